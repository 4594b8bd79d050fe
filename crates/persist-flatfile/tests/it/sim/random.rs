//! R1: any workload, any crash.

#![allow(
    clippy::cast_precision_loss,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "rates for people; names of ours"
)]

use std::time::Instant;

use persist_io::sim::Rng;
use persist_io::sim::explore::{Explorer, Report};

use super::acts::{a_second, any, rounds, seed};
use super::store::Store;

#[test]
fn any_workload_survives_any_power_cut() {
    let (mut total, begun) = (Report::default(), Instant::now());
    let mut rng = Rng::new(seed());
    for round in 0..rounds(2) {
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
        let report = explorer.crashes(&store).unwrap_or_else(|failure| panic!("round {round}: {failure}"));
        total = total.and(report);
    }
    assert!(!total.cut_short, "a workload with more moments than were tried");
    println!("{} images, {}/s: {total:?}", total.images, a_second(total.images, begun));
    assert!(total.images > 1_000, "{total:?}");
}
