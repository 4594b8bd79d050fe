//! Runs the suite against its deliberately broken engines and says who caught whom. Fails if a liar survives, if more
//! than five cases catch one, or if a case catches none.

use std::process::ExitCode;

use persist_conformance::liars;

fn main() -> ExitCode {
    let findings = liars::check();
    print!("{}", liars::report_text(&findings));
    if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
