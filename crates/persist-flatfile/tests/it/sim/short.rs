//! R2: every sequence of a few operations, every moment, every prefix of what was not synced, each sector lost or torn.

use std::time::Instant;

use persist_io::sim::explore::{Explorer, sequences};

use super::acts::{ALPHABET, Act};
use super::rounds::{WHOLE, a_second, on_every_core, parts, seed};
use super::store::Store;

/// What is there before: records to overwrite and delete, a large value, a run and frames behind it.
const BEFORE: [Act; 4] = [Act::Durable(0), Act::Large(0), Act::Checkpoint, Act::Buffered(1)];

/// All of one, two and three letters by number: 1,884. Unless asked for more, one part of the longer ones, another one
/// for each seed; for very many parts, those of four letters too.
#[test]
fn every_short_sequence_survives_every_crash() {
    let begun = Instant::now();
    let parts = parts().unwrap_or(1);
    let longest = if parts >= 1_000 { 4 } else { 3 };
    let chosen = |number: u64| (number + seed()) % WHOLE < parts;
    let all = (0..).zip(sequences(&ALPHABET, longest));
    let all: Vec<_> =
        all.filter(|(number, acts)| acts.len() == 1 || chosen(*number)).map(|(_, acts)| acts).collect();
    let tried = u64::try_from(all.len()).unwrap();
    let total = on_every_core(0..tried, |at| {
        let explorer = Explorer { seed: seed(), randoms: 1, deep_one_in: 2_000, ..Explorer::default() };
        explorer.crashes(&Store::new(&BEFORE, &all[usize::try_from(at).unwrap()]))
    });
    assert!(!total.cut_short);
    println!("{tried} sequences, {} images, {}/s: {total:?}", total.images, a_second(total.images, begun));
    assert!(total.images > 1_000, "{total:?}");
}
