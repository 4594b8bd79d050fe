//! The list of cases is sound, and agrees with the contract.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use persist_conformance::liars::{Base, LIARS, honest};
use persist_conformance::{CASES, CHECKED_ELSEWHERE, Class, Filter, Outcome, run};

const CONTRACT: &str = include_str!("../../../../docs/contract.md");

/// The numbers of the clauses, as `- **B-1** ...`.
fn clauses() -> BTreeSet<&'static str> {
    CONTRACT
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**").map(|(number, _)| number))
        .collect()
}

#[test]
fn names_are_unique_and_bodies_distinct() {
    let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len());
    let bodies: BTreeMap<usize, &str> = CASES.iter().map(|case| (case.body as usize, case.name)).collect();
    assert_eq!(bodies.len(), CASES.len(), "two cases share a body");
    assert!(CASES.len() >= 150, "only {} cases", CASES.len());
}

#[test]
fn cases_and_clauses_agree() {
    let known = clauses();
    assert!(known.len() > 50, "the contract was not read: {known:?}");
    let cited: BTreeSet<&str> = CASES.iter().flat_map(persist_conformance::Case::each_clause).collect();
    let elsewhere: BTreeSet<&str> = CHECKED_ELSEWHERE.iter().map(|(clause, _)| *clause).collect();
    assert_eq!(&cited - &known, BTreeSet::new(), "cited, but not in the contract");
    assert_eq!(&elsewhere - &known, BTreeSet::new(), "excepted, but not in the contract");
    assert_eq!(&cited & &elsewhere, BTreeSet::new(), "excepted, but cited");
    assert_eq!(&(&known - &cited) - &elsewhere, BTreeSet::new(), "in the contract, but checked by nobody");
    for case in CASES {
        assert!(case.each_clause().count() > 0, "{} cites nothing", case.name);
    }
}

#[test]
fn liars_have_unique_names_and_name_real_bodies() {
    let names: BTreeSet<&str> = LIARS.iter().map(|liar| liar.name).collect();
    assert_eq!(names.len(), LIARS.len());
    assert!(LIARS.len() >= 25);
    let needs: BTreeSet<String> =
        CASES.iter().flat_map(|case| case.needs).map(|need| format!("twin::{}", need.name())).collect();
    for liar in LIARS.iter() {
        for body in liar.caught_by {
            let known = CASES.iter().any(|case| case.name == *body) || needs.contains(*body);
            assert!(known, "{} is said to be caught by {body}, which is nothing", liar.name);
        }
        assert!(liar.broken.ends_with('.'), "{}", liar.name);
    }
}

#[test]
fn every_body_runs_on_the_full_engine_and_every_twin_on_the_bare_one() {
    let filter = Filter { class: Some(Class::Quick), ..Filter::default() };
    let full = run(&*honest(Base::Full), &filter);
    assert!(full.is_ok(), "{}", full.failures());
    assert_eq!(full.twins(), 0, "every body runs");

    let bare = run(&*honest(Base::Bare), &filter);
    assert!(bare.is_ok(), "{}", bare.failures());
    let needing = CASES.iter().filter(|case| case.class() == Class::Quick && !case.needs.is_empty()).count();
    assert_eq!(bare.twins(), needing, "every case that needs something runs its twin");
    assert_eq!(bare.passed() + bare.failed(), full.cases.len(), "nothing is skipped");
}

#[test]
fn filters_and_json() {
    let filter = Filter { pattern: Some("count_from_one".to_owned()), ..Filter::default() };
    let report = run(&*honest(Base::Bare), &filter);
    assert_eq!(report.cases.len(), 1);
    assert!(matches!(report.cases[0].outcome, Outcome::Passed));
    let json = report.to_json();
    assert!(
        json.starts_with("{\"engine\":\"memory\",\"passed\":1,\"twins\":0,\"failed\":0,\"cases\":[{"),
        "{json}"
    );
    assert!(
        json.contains("\"case\":\"numbers::count_from_one\",\"class\":\"quick\",\"clauses\":[\"B-2\"]"),
        "{json}"
    );
}
