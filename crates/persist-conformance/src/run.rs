//! Running cases: a body or its twin, never neither; a panic is a failure.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::registry::{CASES, Case, Class, Need};
use crate::report::{CaseReport, Outcome, Report};
use crate::{CaseResult, Failure, Fixture, twins};

/// Which cases to run.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only cases whose name contains this.
    pub pattern: Option<String>,
    /// The pattern is the whole name.
    pub exact: bool,
    /// Only cases of this class.
    pub class: Option<Class>,
}

impl Filter {
    /// True if the case is to be run.
    #[must_use]
    pub fn admits(&self, case: &Case) -> bool {
        let matches = |pattern: &str| {
            if self.exact { case.name == pattern } else { case.name.contains(pattern) }
        };
        self.pattern.as_deref().is_none_or(matches) && self.class.is_none_or(|class| case.class() == class)
    }
}

/// Runs every case that the filter admits against one engine.
#[must_use]
pub fn run(fixture: &dyn Fixture, filter: &Filter) -> Report {
    run_with(fixture, filter, &mut |_| ())
}

/// The same, calling `seen` after each case.
pub fn run_with(fixture: &dyn Fixture, filter: &Filter, seen: &mut dyn FnMut(&CaseReport)) -> Report {
    let mut report = Report { engine: fixture.driver().scheme(), cases: Vec::new() };
    for case in CASES.iter().filter(|case| filter.admits(case)) {
        let done = run_case(fixture, case);
        seen(&done);
        report.cases.push(done);
    }
    report
}

/// Runs one case, or the twin of what it needs and the engine lacks.
#[must_use]
pub fn run_case(fixture: &dyn Fixture, case: &'static Case) -> CaseReport {
    let unmet = caught(|| Ok(case.unmet(fixture)));
    let twin = unmet.as_ref().ok().copied().flatten();
    let result = unmet.and_then(|unmet| match unmet {
        None => caught(|| (case.body)(fixture)),
        Some(need) => caught(|| twins::run(need, fixture)),
    });
    CaseReport { case, twin, outcome: outcome(result, twin) }
}

fn outcome(result: CaseResult, twin: Option<Need>) -> Outcome {
    match (result, twin) {
        (Ok(()), None) => Outcome::Passed,
        (Ok(()), Some(_)) => Outcome::TwinPassed,
        (Err(failure), _) => Outcome::Failed(failure),
    }
}

/// Runs one case by name and panics unless it passes: what [`conformance!`](crate::conformance) calls.
///
/// # Panics
/// When the case fails, with its message, and when no case has that name.
#[allow(clippy::panic, reason = "this is the assertion of a test")]
#[track_caller]
pub fn assert_case(fixture: &dyn Fixture, name: &str) {
    let Some(case) = Case::named(name) else { panic!("there is no case {name}") };
    let done = run_case(fixture, case);
    if let Outcome::Failed(failure) = &done.outcome {
        panic!("{}: {failure} [clauses {}]", done.body_name(), case.clauses);
    }
}

thread_local! {
    static IN_A_CASE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and turns a panic into a failure that carries its message.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    // The message of a panic ends up in the report; the usual hook would print it as well, between the lines.
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_A_CASE.get() {
                usual(info);
            }
        }));
    });
    let before = IN_A_CASE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IN_A_CASE.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Failure { what: format!("panicked: {text}"), at: "panic".to_owned() })
    })
}
