//! The disk as it may be after the power failed at a moment of its log.

use std::fmt;
use std::ops::Range;

use super::super::rng::Rng;
use super::super::sparse::Sparse;
use super::log::{Entry, Log};

/// What a disk writes in one go, in bytes. Disks promise less, and the simulated one tears every sector; but ext4 believes it
/// of its own superblock, and could not be mounted.
const BLOCK: u64 = 4096;

/// What becomes of the writes that no flush has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unflushed {
    /// All of them are there: the disk did everything at once and in order.
    Kept,
    /// None is there.
    Lost,
    /// Each is there, or is not, or its first blocks are, or any of them; by this seed.
    Torn(u64),
}

impl fmt::Display for Unflushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::Torn(_) => "torn",
        })
    }
}

/// A log that is followed from its beginning, when the disk was empty.
pub(super) struct Replay<'l> {
    log: &'l Log,
    done: usize,
    durable: Sparse,
    pending: Vec<&'l Entry>,
}

impl<'l> Replay<'l> {
    pub(super) fn new(log: &'l Log, disk: u64) -> Self {
        let mut durable = Sparse::default();
        durable.set_len(disk);
        Self { log, done: 0, durable, pending: Vec::new() }
    }

    /// Goes on to the moment before entry `moment`; never back.
    pub(super) fn go_to(&mut self, moment: usize) {
        for entry in self.log.entries().get(self.done..moment).unwrap_or_default() {
            if entry.flushes() {
                for earlier in self.pending.drain(..) {
                    apply(&mut self.durable, self.log, earlier, 0..earlier.len);
                }
            }
            if entry.len > 0 {
                self.pending.push(entry);
            }
        }
        self.done = self.done.max(moment);
    }

    /// Something was written that no flush has followed.
    pub(super) fn has_unflushed(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What the disk holds if the power fails now.
    pub(super) fn image(&self, unflushed: Unflushed) -> Sparse {
        let mut image = self.durable.clone();
        for (number, entry) in self.pending.iter().enumerate() {
            match unflushed {
                _ if entry.goes_through() => apply(&mut image, self.log, entry, 0..entry.len),
                Unflushed::Kept => apply(&mut image, self.log, entry, 0..entry.len),
                Unflushed::Lost => {}
                Unflushed::Torn(seed) => self.tear(&mut image, entry, &mut Rng::new(&[seed, number as u64])),
            }
        }
        image
    }

    fn tear(&self, image: &mut Sparse, entry: &Entry, rng: &mut Rng) {
        let blocks = blocks(entry);
        let (kind, first) = (rng.below(4), rng.index(blocks.len()));
        for (number, block) in blocks.into_iter().enumerate() {
            let survives = match kind {
                0 => true,
                1 => false,
                2 => number < first,
                _ => rng.one_in(2),
            };
            if survives {
                apply(image, self.log, entry, block);
            }
        }
    }
}

/// The parts of an entry that lie in one block of the disk each, in bytes of it.
fn blocks(entry: &Entry) -> Vec<Range<u64>> {
    let end = entry.offset.saturating_add(entry.len);
    let inside = |at: u64| at.clamp(entry.offset, end) - entry.offset;
    (entry.offset / BLOCK..end.div_ceil(BLOCK))
        .map(|number| inside(number * BLOCK)..inside((number + 1).saturating_mul(BLOCK)))
        .collect()
}

/// Does a part of an entry, in bytes of it.
fn apply(image: &mut Sparse, log: &Log, entry: &Entry, part: Range<u64>) {
    let at = entry.offset.saturating_add(part.start);
    if entry.discards() {
        image.zero(at, entry.offset.saturating_add(part.end));
    } else if let (Ok(from), Ok(to)) = (usize::try_from(part.start), usize::try_from(part.end)) {
        image.write(at, log.data(entry).get(from..to).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::{PLAIN, Wanted, log_of};
    use super::super::log::{DISCARD, FLUSH, THROUGH};
    use super::*;

    const DISK: u64 = 64 * 512;

    /// The first bytes of some sectors, after the power failed before entry `moment`.
    fn sectors(wanted: &[Wanted], moment: usize, unflushed: Unflushed, which: &[usize]) -> Vec<u8> {
        let log = Log::parse(log_of(wanted), DISK).unwrap();
        let mut replay = Replay::new(&log, DISK);
        replay.go_to(moment / 2);
        replay.go_to(moment);
        let image = replay.image(unflushed);
        assert_eq!(image.len(), DISK);
        let bytes = image.read(0, 64 * 512);
        which.iter().map(|sector| bytes[sector * 512]).collect()
    }

    const EIGHT: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    const WORK: [Wanted; 7] = [
        (0, PLAIN, 2, 1),
        (1, PLAIN, 1, 2),
        (0, FLUSH, 0, 0),
        (2, PLAIN, 2, 3),
        (0, DISCARD, 1, 0),
        (5, THROUGH, 1, 4),
        (6, PLAIN, 1, 5),
    ];

    #[test]
    fn each_moment_holds_what_came_before_it() {
        let kept = |moment| sectors(&WORK, moment, Unflushed::Kept, &EIGHT);
        assert_eq!(kept(0), [0; 8]);
        assert_eq!(kept(1), [1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(kept(2), [1, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(kept(4), [1, 2, 3, 3, 0, 0, 0, 0]);
        assert_eq!(kept(5), [0, 2, 3, 3, 0, 0, 0, 0]);
        assert_eq!(kept(7), [0, 2, 3, 3, 0, 4, 5, 0]);
    }

    #[test]
    fn only_what_was_flushed_or_went_through_cannot_be_lost() {
        let lost = |moment| sectors(&WORK, moment, Unflushed::Lost, &EIGHT);
        assert_eq!(lost(2), [0; 8]);
        assert_eq!(lost(3), [1, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(lost(5), [1, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(lost(7), [1, 2, 0, 0, 0, 4, 0, 0]);
    }

    #[test]
    fn a_torn_write_leaves_any_of_its_blocks_whole_and_nothing_else() {
        // The write begins in the midst of one block of eight sectors, and ends in the midst of the next but one.
        let work = [(0, PLAIN, 1, 1), (0, FLUSH, 0, 0), (12, PLAIN, 16, 2), (40, THROUGH, 16, 3)];
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let torn = |which: &[usize]| sectors(&work, 4, Unflushed::Torn(seed), which);
            assert_eq!(torn(&[0, 11, 28, 39, 40, 55, 56]), [1, 0, 0, 0, 3, 3, 0]);
            let parts = [&[12, 15][..], &[16, 20, 23], &[24, 27]].map(torn);
            for part in &parts {
                assert!(part.iter().all(|sector| *sector == part[0]), "a block is whole: {part:?}");
            }
            assert_eq!(parts[0], torn(&[12, 15]), "a function of the seed");
            seen.insert(parts.map(|part| part[0]));
        }
        assert_eq!(seen.len(), 8, "every subset of the three: {seen:?}");
    }
}
