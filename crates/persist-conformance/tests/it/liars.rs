//! Every liar is caught, by the cases that the table names and no others; every case catches one.

use persist_conformance::liars;

#[test]
fn every_liar_is_caught_as_the_table_says() {
    let findings = liars::check();
    println!("{}", liars::report_text(&findings));
    assert!(findings.problems.is_empty(), "{:#?}", findings.problems);
}
