//! R3: pairs of bits in every short header, and damage in several places at once. Each is reported or harmless.

use std::fs;
use std::time::Instant;

use persist_io::sim::explore::{Explorer, Report, Workload};
use persist_io::sim::{Rng, SimDisk};

use super::acts::{Act, any};
use super::damage::{closed, full, of_64_kib};
use super::known::headers;
use super::rounds::{a_second, on_every_core, rounds, seed};
use super::store::Store;

/// Rounds of one search; each has its own seed.
const EACH: u64 = 50;
/// Between the seeds of two searches.
const APART: u64 = 1_000_003;

/// The most memory that this process ever had, where the system tells.
fn memory_peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// A length that damage has made is never believed: no length of 32 bits may become memory.
pub(super) fn memory_is_bounded() {
    let peak = memory_peak_bytes();
    println!("peak memory: {peak:?} bytes");
    assert!(peak.is_none_or(|bytes| bytes < 1 << 30), "{peak:?} bytes");
}

#[test]
fn every_pair_of_bits_in_a_header_is_reported_or_harmless() {
    let store = full();
    let disk = SimDisk::new(1);
    store.run(&disk).unwrap();
    let groups = headers(&disk);
    for what in [
        "head slot 1",
        "both head slots",
        "header of branch.idx.",
        "header and footer of frame",
        "header of branch.dat.",
        "head and foot of branch.ckp.",
    ] {
        assert!(groups.iter().any(|(name, _)| name.contains(what)), "{what}: {groups:?}");
    }
    // Spread over the pairs of each group; all of them where there are no more.
    let explorer = Explorer { damages_max: rounds(25, 200), images_max: u64::MAX, ..Explorer::default() };
    let begun = Instant::now();
    let total = on_every_core(0..groups.len() as u64, |number| {
        let (name, places) = &groups[usize::try_from(number).unwrap()];
        let report = explorer.pairs(&store, std::slice::from_ref(places))?;
        println!("{name}: {} pairs, {} reported", report.images, report.reported);
        Ok(report)
    });
    println!("{} pairs, {}/s: {total:?}", total.images, a_second(total.images, begun));
    assert!(total.images >= 25 * groups.len() as u64 && total.reported > total.images / 8, "{total:?}");
    memory_is_bounded();
}

/// Any store, closed; often one that was closed and opened before.
fn any_closed(number: u64) -> Store {
    let mut rng = Rng::new(seed().wrapping_add(number));
    let len = usize::try_from(4 + rng.below(16)).unwrap();
    let mut acts = any(&mut rng, len);
    acts.retain(|act| !matches!(act, Act::Backup | Act::Verify));
    closed(&acts)
}

#[test]
fn any_damage_in_several_places_is_reported_or_harmless() {
    let begun = Instant::now();
    let stores = [full(), of_64_kib()];
    let store = |number: u64| match number % 4 {
        0 => stores[0].clone(),
        1 => stores[1].clone(),
        _ => any_closed(number),
    };
    let total: Report = on_every_core(0..rounds(12, 50), |number| {
        let explorer = Explorer {
            seed: seed().wrapping_add(number.wrapping_mul(APART)),
            damages_max: EACH,
            images_max: u64::MAX,
            // A byte behind the end of the frames may be copied to `damaged/` by the second opening only: the first one may
            // know the end from a head, or from a later segment, that it then puts away.
            second_changes_nothing: false,
            ..Explorer::default()
        };
        explorer.damage_several(&store(number))
    });
    println!("{} damages, {}/s: {total:?}", total.images, a_second(total.images, begun));
    assert!(total.images >= 12 * EACH && total.reported > total.images / 2, "{total:?}");
    assert!(total.reported < total.images, "some of it is harmless: {total:?}");
    memory_is_bounded();
}
