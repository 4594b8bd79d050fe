//! R2: every sequence of a few operations, every moment, every prefix of what was not synced, each sector lost or torn.

#![allow(
    clippy::cast_precision_loss,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "rates for people; names of ours"
)]

use std::time::Instant;

use persist_io::sim::explore::{Explorer, Report, sequences};

use super::acts::{ALPHABET, Act, rounds, seed};
use super::store::Store;

/// What is there before: records to overwrite and delete, a large value, a run and frames behind it.
const BEFORE: [Act; 4] = [Act::Durable(0), Act::Large(0), Act::Checkpoint, Act::Buffered(1)];

/// All of one, two and three letters by number: 1,884. Without more rounds one in so many of the longer ones, another
/// one for each seed.
const ONE_IN: u64 = 24;

#[test]
fn every_short_sequence_survives_every_crash() {
    let (mut total, begun) = (Report::default(), Instant::now());
    let all = rounds(1) >= ONE_IN;
    let longest = if rounds(1) >= 1_000 { 4 } else { 3 };
    let (mut tried, offset) = (0, seed() % ONE_IN);
    for (number, acts) in (0..).zip(sequences(&ALPHABET, longest)) {
        if acts.len() > 1 && !all && number % ONE_IN != offset {
            continue;
        }
        tried += 1;
        let explorer = Explorer { seed: seed(), randoms: 1, deep_one_in: 2_000, ..Explorer::default() };
        let store = Store::new(&BEFORE, &acts);
        let report =
            explorer.crashes(&store).unwrap_or_else(|failure| panic!("sequence {number}: {failure}"));
        assert!(!report.cut_short);
        total = total.and(report);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{tried} sequences, {} images, {:.0}/s: {total:?}", total.images, total.images as f64 / seconds);
    assert!(total.images > 1_000, "{total:?}");
}
