//! R1: any workload, any crash.

use std::time::Instant;

use persist_io::sim::Rng;
use persist_io::sim::explore::Explorer;

use super::acts::any;
use super::rounds::{a_second, on_every_core, rounds, seed};
use super::store::Store;

/// Between the seeds of two rounds.
const APART: u64 = 1_000_003;

#[test]
fn any_workload_survives_any_power_cut() {
    let begun = Instant::now();
    let total = on_every_core(0..rounds(2, 2), |round| {
        let mut rng = Rng::new(seed().wrapping_add(round.wrapping_mul(APART)));
        let len = usize::try_from(4 + rng.below(16)).unwrap();
        let before = usize::try_from(rng.below(3) * 6).unwrap();
        let store = Store::new(&any(&mut rng, before), &any(&mut rng, len));
        let explorer = Explorer {
            seed: rng.next(),
            randoms: 4,
            images_max: 50_000,
            deep_one_in: 200,
            ..Explorer::default()
        };
        explorer.crashes(&store)
    });
    assert!(!total.cut_short, "a workload with more moments than were tried");
    println!("{} images, {}/s: {total:?}", total.images, a_second(total.images, begun));
    assert!(total.images > 1_000, "{total:?}");
}
