//! R4: the n-th call fails, for every n and every way to fail, once and from then on; in the store's work and in recovery. And pairs of
//! such faults.

use std::time::Instant;

use persist_io::sim::explore::{Explorer, Report};

use super::acts::Act;
use super::rounds::{a_second, on_every_core, rounds, seed};
use super::store::Store;

/// What is there before, where something is.
const BEFORE: [Act; 5] = [Act::Durable(0), Act::Large(0), Act::Checkpoint, Act::Buffered(1), Act::Put(1)];

/// The scenarios by name: what is there, and what is done while calls fail.
const SCENARIOS: [(&str, &[Act], &[Act]); 14] = [
    ("create", &[], &[]),
    ("commit", &BEFORE, &[Act::Put(2), Act::Durable(2), Act::Delete(0)]),
    ("buffered and sync", &BEFORE, &[Act::Buffered(2), Act::Buffered(3), Act::Sync, Act::Buffered(4)]),
    ("roll", &BEFORE, &[Act::Roll(0), Act::Put(3), Act::Roll(1), Act::Put(4)]),
    ("checkpoint", &BEFORE, &[Act::DeleteRange(1), Act::Checkpoint, Act::Put(3)]),
    (
        "merge",
        &BEFORE,
        &[
            Act::Put(1),
            Act::Checkpoint,
            Act::Put(2),
            Act::Checkpoint,
            Act::Delete(1),
            Act::Checkpoint,
            Act::Put(3),
            Act::Checkpoint,
            Act::Overwrite(3),
            Act::Checkpoint,
            Act::Put(4),
        ],
    ),
    ("compaction", &BEFORE, &[Act::Large(0), Act::Delete(1), Act::Compact, Act::Put(2)]),
    ("large values", &BEFORE, &[Act::Large(0), Act::LargeBuffered(1), Act::Large(2), Act::Sync]),
    ("given up", &BEFORE, &[Act::Abort(0), Act::Large(1), Act::Abort(1), Act::Put(1)]),
    ("backup", &BEFORE, &[Act::Backup, Act::Put(2)]),
    ("close and open", &BEFORE, &[Act::Reopen, Act::Put(2), Act::Reopen]),
    ("verify", &BEFORE, &[Act::Large(1), Act::Verify, Act::Put(2)]),
    ("range deletes", &BEFORE, &[Act::DeleteRange(0), Act::Roll(2), Act::DeleteRange(3), Act::Checkpoint]),
    ("checkpoint and close", &BEFORE, &[Act::Roll(3), Act::Checkpoint, Act::Reopen, Act::Compact]),
];

fn explorer(seed: u64) -> Explorer {
    Explorer {
        seed,
        randoms: 0,
        deep_one_in: 4_000,
        lies_stay: false,
        images_max: u64::MAX,
        ..Explorer::default()
    }
}

fn store(before: &[Act], acts: &[Act]) -> Store {
    let mut store = Store::new(before, acts);
    store.buffered_stay = false;
    store
}

fn scenario(name: &str, before: &[Act], acts: &[Act]) -> Report {
    let begun = Instant::now();
    let (explorer, store) = (explorer(seed()), store(before, acts));
    let report = explorer.faults(&store).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    assert!(!report.cut_short, "{name}");
    println!("{name}: {report:?} in {:.1} s", begun.elapsed().as_secs_f64());
    report
}

#[test]
fn every_call_may_fail_in_every_way() {
    let only = std::env::var("PERSIST_SIM_ONLY").unwrap_or_default();
    let total = SCENARIOS
        .iter()
        .filter(|(name, ..)| name.contains(&only))
        .map(|(name, before, acts)| scenario(name, before, acts))
        .fold(Report::default(), Report::and);
    println!("{total:?}");
    assert!(total.runs > 5_000 && total.images > 20_000, "{total:?}");
}

/// Pairs of one search; each has its own seed and takes the next scenario.
const PAIRS: u64 = 20;
/// Between the seeds of two searches.
const APART: u64 = 1_000_003;

#[test]
fn a_second_fault_of_another_kind_is_survived_after_the_first() {
    let begun = Instant::now();
    let total = on_every_core(0..rounds(28, 14), |number| {
        let (name, before, acts) = SCENARIOS[usize::try_from(number).unwrap() % SCENARIOS.len()];
        let explorer = explorer(seed().wrapping_add(number.wrapping_mul(APART)));
        explorer.fault_pairs(&store(before, acts), PAIRS).inspect_err(|_| println!("{name}"))
    });
    println!("{} runs, {}/s: {total:?}", total.runs, a_second(total.runs, begun));
    assert!(total.runs > 560 && total.images > 1_000, "{total:?}");
}
