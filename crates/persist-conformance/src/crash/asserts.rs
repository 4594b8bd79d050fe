//! The classes as assertions, for test binaries. Amounts come from the environment.

#![allow(clippy::panic, reason = "an assertion of a test speaks by panicking")]

use super::child::Subject;
use super::kill::{KillOptions, kill};
use super::parent::Reentry;
use super::power::{PowerOptions, power_cut};
use super::report::CrashError;

fn ran<T>(done: Result<T, CrashError>) -> T {
    done.unwrap_or_else(|error| panic!("the class could not be run: {error}"))
}

/// Runs the kill class and prints its figures.
///
/// # Panics
/// When something was broken or the class could not be run.
pub fn assert_kill(subject: &Subject<'_>, reentry: &Reentry) {
    let report = ran(kill(subject, reentry, &KillOptions::from_env()));
    println!("{report}");
    assert!(report.is_clean(), "{report}");
}

/// Runs the power-cut class and prints its figures.
///
/// # Panics
/// When something was broken or the class could not be run.
pub fn assert_power_cut(subject: &Subject<'_>, reentry: &Reentry) {
    let report = ran(power_cut(subject, reentry, &PowerOptions::from_env()));
    println!("{report}");
    assert!(report.is_clean(), "{report}");
}

/// Runs the power-cut class on a workload whose syncs are all dropped; it must find lost beats, or it proves nothing.
///
/// # Panics
/// When no promised beat was found lost, or the class could not be run.
pub fn assert_power_cut_notices_lost_syncs(subject: &Subject<'_>, reentry: &Reentry) {
    let offer = subject.driver.offer(&subject.options);
    if !offer.caps.contains(persist_api::Caps::DURABLE) {
        return;
    }
    let options = PowerOptions { lose_syncs: true, images: 90, ..PowerOptions::default() };
    let report = ran(power_cut(subject, reentry, &options));
    println!("without syncs, {report}");
    assert!(report.lost_a_promised_beat(), "without any sync, no promised beat was found lost: {report}");
}
