//! Random sequences. Keys come from a small alphabet, so that they meet.

use std::ops::Bound;

use persist_api::{Caps, Direction};

use super::step::{End, Move, ScanSpec, Step};
use super::text::Trace;
use crate::Fixture;
use crate::kit::offer;
use crate::rng::Rng;

/// A sequence of `length` steps for this engine.
pub(super) fn sequence(fixture: &dyn Fixture, seed: u64, length: usize) -> Trace {
    let offer = offer(fixture);
    let mut rng = Rng::new(seed);
    let longest = usize::try_from(offer.limits.key_bytes_max.min(300)).unwrap_or(1).max(1);
    let mut make = Maker { rng: &mut rng, longest, caps: offer.caps };
    let mut steps: Vec<Step> = (0..length).map(|_| make.step()).collect();
    // What is left open is compared at the end.
    steps.extend([
        Step::End(End::Commit),
        Step::View,
        Step::Compare(0),
        Step::Reopen,
        Step::View,
        Step::Compare(0),
    ]);
    Trace::new(steps)
}

struct Maker<'r> {
    rng: &'r mut Rng,
    longest: usize,
    caps: Caps,
}

impl Maker<'_> {
    fn step(&mut self) -> Step {
        let has = |cap| self.caps.contains(cap);
        let (range, peek) = (has(Caps::DELETE_RANGE), has(Caps::READ_OWN));
        match self.rng.below(100) {
            34..=41 => Step::Delete(self.key()),
            42..=45 if range => Step::Range(self.bound(), self.bound()),
            46..=48 if peek => Step::Peek(self.key()),
            49 => Step::Poison,
            50..=60 => Step::End(self.end()),
            61..=65 => Step::View,
            66 => Step::Drop(self.slot()),
            67..=71 => Step::Get(self.slot(), self.key()),
            72..=79 => Step::Scan(self.slot(), self.spec()),
            80..=89 => Step::Cursor(self.slot(), self.spec(), self.moves()),
            90..=92 => Step::Compare(self.slot()),
            93 => Step::Reopen,
            94 => Step::Checkpoint,
            95 => Step::Compact,
            96 => Step::Backup,
            97 => Step::Verify,
            98..=99 if has(Caps::HISTORY) => Step::Past(self.rng.below(24)),
            _ => self.put(),
        }
    }

    fn put(&mut self) -> Step {
        let length = match self.rng.below(20) {
            0 => 0,
            1 => 3000 + self.rng.below(4000),
            _ => self.rng.below(40),
        };
        let seed = self.rng.next().to_le_bytes()[0];
        Step::Put { key: self.key(), length: usize::try_from(length).unwrap_or(0), seed }
    }

    fn end(&mut self) -> End {
        match self.rng.below(12) {
            0 => End::Durable,
            1 => End::Abort,
            2 => End::Drop,
            _ => End::Commit,
        }
    }

    fn slot(&mut self) -> usize {
        usize::try_from(self.rng.below(4)).unwrap_or(0)
    }

    /// A key that can be put.
    fn key(&mut self) -> Vec<u8> {
        let length = if self.rng.chance(30) { self.longest as u64 } else { 1 + self.rng.below(3) };
        (0..length.min(self.longest as u64)).map(|_| self.letter()).collect()
    }

    /// Any bytes, the empty key and one longer than any may be included.
    fn place(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => Vec::new(),
            1 => vec![self.letter(); self.longest + 1],
            _ => self.key(),
        }
    }

    fn letter(&mut self) -> u8 {
        self.rng.pick(&[0, 1, b'a', b'b', b'c', 0x7f, 0x80, 0xfe, 0xff], 0)
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.rng.below(5) {
            0 => Bound::Unbounded,
            1 | 2 => Bound::Included(self.place()),
            _ => Bound::Excluded(self.place()),
        }
    }

    fn spec(&mut self) -> ScanSpec {
        ScanSpec {
            start: self.bound(),
            end: self.bound(),
            direction: if self.rng.chance(2) { Direction::Reverse } else { Direction::Forward },
            limit: if self.rng.chance(3) { self.rng.below(6) } else { u64::MAX },
            keys_only: self.rng.chance(8),
        }
    }

    fn moves(&mut self) -> Vec<Move> {
        let count = 1 + self.rng.below(8);
        (0..count)
            .map(|_| if self.rng.chance(3) { Move::Seek(self.place()) } else { Move::Advance })
            .collect()
    }
}
