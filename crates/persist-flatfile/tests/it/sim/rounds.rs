//! How much is searched, and on how many cores.

use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use persist_io::sim::explore::{Failure, Report};

/// What `PERSIST_SIM_ROUNDS` says for all that is asked of the searches. Less is so many 24th parts of it.
pub(super) const WHOLE: u64 = 24;

/// How many parts are asked for.
pub(super) fn parts() -> Option<u64> {
    let said = std::env::var("PERSIST_SIM_ROUNDS").ok();
    said.map(|text| text.parse().expect("PERSIST_SIM_ROUNDS is a number"))
}

/// So many rounds; when parts are asked for, so many for `each` of them.
pub(crate) fn rounds(unasked: u64, each: u64) -> u64 {
    parts().map_or(unasked, |parts| parts.saturating_mul(each))
}

/// The seed of everything that is chosen.
pub(super) fn seed() -> u64 {
    let said = std::env::var("PERSIST_SEED").ok();
    said.map_or(1, |text| text.parse().expect("PERSIST_SEED is a number"))
}

/// How many a second, for printing.
pub(super) fn a_second(count: u64, begun: Instant) -> u64 {
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    count.saturating_mul(1_000) / millis.max(1)
}

/// Searches by number, on every core, and adds up what was tried. The first failure ends it.
pub(super) fn on_every_core(
    numbers: Range<u64>,
    search: impl Fn(u64) -> Result<Report, Box<Failure>> + Sync,
) -> Report {
    let next = AtomicU64::new(numbers.start);
    let take_turns = || {
        let mut done = Report::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return done;
            }
            done = done.and(search(number).unwrap_or_else(|failure| {
                next.store(numbers.end, Ordering::Relaxed);
                panic!("number {number}: {failure}")
            }));
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(take_turns)).collect();
        let done =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.fold(Report::default(), Report::and)
    })
}
