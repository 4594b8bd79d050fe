//! R3: every bit of a closed store turned over, every file cut to every length. Each is reported or harmless.

#![allow(
    clippy::cast_precision_loss,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "rates for people; names of ours"
)]

use std::time::Instant;

use persist_io::sim::SimDisk;
use persist_io::sim::explore::{Explorer, Workload};

use super::acts::Act;
use super::rounds::{WHOLE, parts, rounds, seed};
use super::store::Store;

/// A store with files of every kind: two runs, one with range deletes and history; payload segments; a timeline segment with
/// frames behind the runs, one prepared ahead; head, lock.
pub(super) fn full() -> Store {
    closed(&ACTS)
}

/// The same files, with more beats in each: 64 KiB in all.
pub(super) fn of_64_kib() -> Store {
    let (first, rest) = ACTS.split_at(6);
    let acts = first.iter().copied().chain((1..12).map(Act::Roll)).chain((0..66).map(Act::Large));
    closed(&acts.chain(rest.iter().copied()).collect::<Vec<_>>())
}

pub(super) fn closed(acts: &[Act]) -> Store {
    let mut store = Store::new(&[], acts);
    store.closed = true;
    store
}

const ACTS: [Act; 14] = [
    Act::Put(1),
    Act::Large(0),
    Act::Roll(0),
    Act::DeleteRange(1),
    Act::Overwrite(2),
    Act::Checkpoint,
    Act::Durable(3),
    Act::LargeBuffered(2),
    Act::Delete(2),
    Act::Checkpoint,
    Act::Durable(5),
    Act::Large(1),
    Act::DeleteRange(2),
    Act::Buffered(1),
];

#[test]
fn every_damaged_bit_and_every_lost_byte_of_a_closed_store_is_reported_or_harmless() {
    let store = of_64_kib();
    let disk = SimDisk::new(1);
    store.run(&disk).unwrap();
    let files = disk.files();
    for kind in ["branch.meta", "branch.idx.", "branch.dat.", "branch.ckp."] {
        assert!(files.iter().any(|(path, _)| path.to_string_lossy().contains(kind)), "{kind}: {files:?}");
    }
    let bytes: u64 = files.iter().map(|(_, len)| len).sum();
    assert!((64 << 10..80 << 10).contains(&bytes), "{bytes}: {files:?}");
    // Spread over all files, other places for each seed.
    let is_whole = parts().is_some_and(|parts| parts >= WHOLE);
    let damages_max = if is_whole { u64::MAX } else { rounds(1_500, 24_000) };
    let explorer = Explorer { damages_max, images_max: u64::MAX, seed: seed(), ..Explorer::default() };
    let begun = Instant::now();
    let report = explorer.damage(&store).unwrap_or_else(|failure| panic!("{failure}"));
    println!(
        "{bytes} bytes, {} damages in {:.1} s: {report:?}",
        report.images,
        begun.elapsed().as_secs_f64()
    );
    assert!(!is_whole || report.images == 9 * bytes, "each bit and each length: {report:?}");
    assert!(report.images > 2_000 && report.reported > report.images / 8, "{report:?}");
}
