//! Runs the suite against every liar and compares what was caught with the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use persist_api::{Driver, Grant, Offer, Refusal, Request};
use persist_memory::MemoryDriver;

use super::filed::FiledDriver;
use super::hooks::{BARE, HONEST, Hooks, Shared};
use super::wrap::LyingDriver;
use super::{Base, LIARS, Liar};
use crate::registry::{CASES, Class};
use crate::run::run_case;
use crate::{Fixture, Home};

/// A liar caught by more bodies than this is too crude to count.
pub const MOST: usize = 5;

/// What one liar was caught by.
#[derive(Debug, Clone)]
pub struct LiarReport {
    /// The liar.
    pub liar: &'static str,
    /// The bodies that caught it, with the message of one.
    pub caught_by: BTreeMap<String, String>,
}

/// What is wrong with the suite or its table.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Every liar and what caught it.
    pub liars: Vec<LiarReport>,
    /// What is wrong, one sentence each. Empty: all is well.
    pub problems: Vec<String>,
}

/// The driver of an honest base.
pub(crate) fn base(kind: Base) -> Box<dyn Driver> {
    match kind {
        Base::Full => Box::new(FiledDriver { inner: || Box::new(MemoryDriver::new()) }),
        Base::Bare => Box::new(MemoryDriver::new()),
    }
}

/// A fixture around a lying driver.
pub(crate) struct LiarFixture(LyingDriver);

impl Fixture for LiarFixture {
    fn driver(&self) -> &dyn Driver {
        &self.0
    }

    fn negotiate(&self, offer: &Offer, request: &Request) -> Result<Grant, Refusal> {
        (self.0.hooks.negotiate)(&self.0.shared, offer, request)
    }

    fn home(&self) -> Home {
        // Liars write much and keep nothing: memory will do where the system has some.
        let memory = Path::new("/dev/shm");
        let built =
            memory.is_dir().then(|| tempfile::Builder::new().prefix("persist-liar-").tempdir_in(memory));
        built.and_then(Result::ok).map_or_else(Home::temp, Home::new)
    }
}

/// A fixture of these hooks on this base.
pub(crate) fn fixture_of(kind: Base, hooks: &'static Hooks) -> LiarFixture {
    LiarFixture(LyingDriver { inner: base(kind), hooks, shared: Arc::new(Shared::default()) })
}

/// The two bases without a lie.
pub(crate) fn honest(kind: Base) -> LiarFixture {
    fixture_of(
        kind,
        match kind {
            Base::Full => &HONEST,
            Base::Bare => &BARE,
        },
    )
}

fn caught(fixture: &dyn Fixture) -> BTreeMap<String, String> {
    let quick = CASES.iter().filter(|case| case.class() == Class::Quick);
    let mut caught = BTreeMap::new();
    let mut twins = BTreeSet::new();
    for case in quick {
        // A twin is one body, however many cases need it.
        if let Some(need) = crate::run::caught(|| Ok(case.unmet(fixture))).ok().flatten()
            && !twins.insert(need.name())
        {
            continue;
        }
        let done = run_case(fixture, case);
        if let Some(message) = done.message() {
            caught.insert(done.body_name(), message);
        }
    }
    caught
}

/// Runs the suite against every liar, on as many threads as the machine has processors.
#[must_use]
pub fn check() -> Findings {
    check_some(&LIARS, true)
}

fn check_some(liars: &[&'static Liar], all: bool) -> Findings {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let mut reports: Vec<(usize, LiarReport)> = std::thread::scope(|scope| {
        let next = &next;
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(move || {
                    let mut done = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::AcqRel);
                        let Some(liar) = liars.get(at) else { return done };
                        let caught_by = caught(&fixture_of(liar.base, &liar.hooks));
                        done.push((at, LiarReport { liar: liar.name, caught_by }));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    reports.sort_by_key(|(at, _)| *at);
    let mut findings =
        Findings { liars: reports.into_iter().map(|(_, report)| report).collect(), problems: Vec::new() };
    compare(liars, &mut findings);
    if all {
        honest_bases(&mut findings);
        idle_cases(&mut findings);
    }
    findings
}

/// The lies are only lies if the bases are honest.
fn honest_bases(findings: &mut Findings) {
    for kind in [Base::Full, Base::Bare] {
        for (body, message) in caught(&honest(kind)) {
            findings.problems.push(format!("the honest {kind:?} base fails {body}: {message}"));
        }
    }
}

fn compare(liars: &[&'static Liar], findings: &mut Findings) {
    if findings.liars.len() != liars.len() {
        findings.problems.push(format!("only {} of {} liars were run", findings.liars.len(), liars.len()));
    }
    for (liar, report) in liars.iter().zip(&findings.liars) {
        let caught: BTreeSet<&str> = report.caught_by.keys().map(String::as_str).collect();
        let expected: BTreeSet<&str> = liar.caught_by.iter().copied().collect();
        let mut say = |what: String| findings.problems.push(format!("{}: {what}", liar.name));
        if caught.is_empty() {
            say("survives".to_owned());
        }
        if caught.len() > MOST {
            say(format!("is too crude, {} bodies catch it", caught.len()));
        }
        for body in expected.difference(&caught) {
            say(format!("should be caught by {body}"));
        }
        for body in caught.difference(&expected) {
            let message = report.caught_by.get(*body).map_or("", String::as_str);
            say(format!("is caught by {body}, which the table does not name: {message}"));
        }
    }
}

fn idle_cases(findings: &mut Findings) {
    let busy: BTreeSet<&str> =
        findings.liars.iter().flat_map(|liar| liar.caught_by.keys().map(String::as_str)).collect();
    let idle: Vec<&str> = CASES
        .iter()
        .filter(|case| case.class() == Class::Quick && !busy.contains(case.name))
        .map(|case| case.name)
        .collect();
    let needs: BTreeSet<&str> = CASES.iter().flat_map(|case| case.needs).map(|need| need.name()).collect();
    let twins: Vec<String> = needs
        .iter()
        .map(|need| format!("twin::{need}"))
        .filter(|twin| !busy.contains(twin.as_str()))
        .collect();
    findings.problems.extend(idle.iter().map(|name| format!("{name} catches no liar")));
    findings.problems.extend(twins.iter().map(|name| format!("{name} catches no liar")));
}

/// The findings as text: each liar with what caught it, then the problems.
#[must_use]
pub fn report_text(findings: &Findings) -> String {
    let mut text = String::new();
    for report in &findings.liars {
        let bodies: Vec<&str> = report.caught_by.keys().map(String::as_str).collect();
        let _ = writeln!(text, "{}: {}", report.liar, bodies.join(" "));
    }
    for problem in &findings.problems {
        let _ = writeln!(text, "PROBLEM {problem}");
    }
    let (liars, problems) = (findings.liars.len(), findings.problems.len());
    let _ = writeln!(text, "{liars} liars, {problems} problems");
    text
}
