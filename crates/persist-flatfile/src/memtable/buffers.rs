//! Buffers that go round: from a beat that is staged into the memtable that keeps it, and back when the memtable is gone.
//!
//! Fresh memory costs more than the bytes that are written to it: the system clears each page when it is first touched. So
//! some buffers are kept ready, their pages touched by a thread for which nobody waits.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Buffers below this are not worth the trouble.
pub(crate) const LEAST: usize = 8 << 10;

/// Bytes of buffers that are made ready, at most.
const READY: usize = 4 << 20;
/// So many are looked at, those that came last: commits do not wait for a look at all, and who asks for one size finds it there.
const LOOK: usize = READY / LEAST;
/// No page is smaller.
const PAGE: usize = 4 << 10;

/// Buffers that nobody uses now, up to a number of bytes.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    most: usize,
    /// Bytes of those that are made ready, at most.
    ready: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    /// Those kept longest first.
    buffers: VecDeque<Vec<u8>>,
    /// What was asked for last.
    asked: usize,
    /// Nothing suited since buffers were last made ready.
    missed: bool,
}

impl Kept {
    /// Those kept last, the last one first.
    fn latest(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.buffers.iter().rev().take(LOOK)
    }
}

/// Whether a buffer is none too large for so many bytes.
pub(crate) fn suits(capacity: usize, len: usize) -> bool {
    capacity >= len && capacity <= len.saturating_add(len / 2)
}

impl Buffers {
    /// Keeps at most so many bytes; makes some ready if somebody is there who calls [`make_ready`](Self::make_ready).
    pub(crate) fn new(most: usize, make_ready: bool) -> Self {
        let ready = if make_ready { READY.min(most / 8) } else { 0 };
        Self { most, ready, kept: Mutex::default() }
    }

    /// An empty buffer for so many bytes, and some more.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        if len >= LEAST {
            let mut kept = self.kept.lock();
            kept.asked = len;
            let found = kept.latest().position(|buffer| suits(buffer.capacity(), len));
            let at = found.and_then(|found| kept.buffers.len().checked_sub(found + 1));
            if let Some(buffer) = at.and_then(|at| kept.buffers.remove(at)) {
                kept.bytes = kept.bytes.saturating_sub(buffer.capacity());
                return buffer;
            }
            kept.missed = true;
        }
        Vec::with_capacity(len)
    }

    /// Whether it is time to [make more ready](Self::make_ready). Cheap enough for every commit.
    pub(crate) fn run_low(&self) -> bool {
        let kept = self.kept.lock();
        (1..=self.ready).contains(&kept.asked) && (kept.missed || kept.bytes < self.ready / 2)
    }

    /// Makes buffers like the one that was asked for last, so that some are there before they are needed. Those that are taken
    /// meanwhile it leaves to the next time.
    pub(crate) fn make_ready(&self) {
        let (asked, mut there) = {
            let mut kept = self.kept.lock();
            kept.missed = false;
            let asked = kept.asked;
            let fitting = kept.latest().map(Vec::capacity).filter(|capacity| suits(*capacity, asked));
            (asked, fitting.sum::<usize>())
        };
        while asked > 0 && there.saturating_add(asked) <= self.ready {
            let mut buffer = Vec::with_capacity(asked);
            touch(&mut buffer);
            if !self.give(buffer) {
                return;
            }
            there = there.saturating_add(asked);
        }
    }

    /// Takes a buffer back; false if it is not kept.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) -> bool {
        let bytes = buffer.capacity();
        if bytes < LEAST || bytes > self.most {
            return false;
        }
        buffer.clear();
        let mut kept = self.kept.lock();
        while kept.bytes.saturating_add(bytes) > self.most {
            // Those kept longest are of a size that is not asked for any more.
            let Some(oldest) = kept.buffers.pop_front() else { return false };
            kept.bytes = kept.bytes.saturating_sub(oldest.capacity());
        }
        kept.bytes = kept.bytes.saturating_add(bytes);
        kept.buffers.push_back(buffer);
        true
    }
}

/// Writes to each page of a buffer's room.
fn touch(buffer: &mut Vec<u8>) {
    for page in buffer.spare_capacity_mut().chunks_mut(PAGE) {
        if let [first, ..] = page {
            first.write(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_as_many_bytes_and_no_more_are_kept_than_allowed() {
        let buffers = Buffers::new(8 * LEAST, false);
        let mut buffer = buffers.take(2 * LEAST + 7);
        buffer.resize(2 * LEAST, 7);
        buffers.give(buffer);
        assert_eq!(buffers.take(LEAST).capacity(), LEAST, "the one kept is too large");
        assert_eq!(buffers.take(2 * LEAST + 8).capacity(), 2 * LEAST + 8, "too small");
        let again = buffers.take(2 * LEAST - 100);
        assert_eq!((again.capacity(), again.len()), (2 * LEAST + 7, 0));
        buffers.give(again);
        for size in [1, 2, 3, 3, 3, 9] {
            buffers.give(Vec::with_capacity(size * LEAST));
            let kept = buffers.kept.lock();
            let bytes: usize = kept.buffers.iter().map(Vec::capacity).sum();
            assert!(kept.bytes == bytes && bytes <= 8 * LEAST, "{} {bytes}", kept.bytes);
        }
        assert_eq!(buffers.take(3 * LEAST).capacity(), 3 * LEAST);
        assert!(!Buffers::default().give(Vec::with_capacity(LEAST)));
    }

    #[test]
    fn buffers_are_there_before_they_are_asked_for() {
        let buffers = Buffers::new(64 * LEAST, true);
        assert!(!buffers.run_low(), "nobody has asked for any");
        buffers.make_ready();
        let ready = || buffers.kept.lock().buffers.iter().map(Vec::capacity).collect::<Vec<_>>();
        assert_eq!(ready(), []);
        buffers.take(2 * LEAST);
        assert!(buffers.run_low(), "there was none");
        buffers.make_ready();
        assert_eq!(ready(), [2 * LEAST; 4], "as many as fit into an eighth of what may be kept");
        let mut low = Vec::new();
        for _ in 0..4 {
            buffers.take(2 * LEAST);
            low.push(buffers.run_low());
        }
        assert_eq!(low, [false, false, true, true]);
        // Other sizes are asked for now.
        buffers.make_ready();
        buffers.take(4 * LEAST);
        assert!(buffers.run_low());
        buffers.make_ready();
        assert_eq!(ready().iter().filter(|capacity| **capacity == 4 * LEAST).count(), 2);
        assert!(!buffers.run_low());
        // Too large to keep several, and more than anybody makes ready.
        buffers.take(9 * LEAST);
        assert!(!buffers.run_low());
        // Those of other sizes that are kept give way, the oldest first.
        let full = Buffers::new(64 * LEAST, true);
        full.give(Vec::with_capacity(3 * LEAST));
        (0..61).for_each(|_| assert!(full.give(Vec::with_capacity(LEAST))));
        full.take(LEAST * 8 / 5);
        full.make_ready();
        let kept: Vec<usize> = full.kept.lock().buffers.iter().map(Vec::capacity).collect();
        assert_eq!(kept.iter().filter(|capacity| **capacity == LEAST * 8 / 5).count(), 5, "{kept:?}");
        assert!(!kept.contains(&(3 * LEAST)));
        // Commits look at the last ones only.
        let many = Buffers::new(2 * LOOK * LEAST, false);
        many.give(Vec::with_capacity(3 * LEAST));
        (1..LOOK).for_each(|_| assert!(many.give(Vec::with_capacity(LEAST))));
        let oldest = many.take(3 * LEAST);
        assert!(many.kept.lock().buffers.iter().all(|buffer| buffer.capacity() == LEAST));
        let kept = |buffers: &Buffers| buffers.kept.lock().buffers.len();
        many.give(oldest);
        (0..LOOK).for_each(|_| assert!(many.give(Vec::with_capacity(LEAST))));
        let before = kept(&many);
        many.take(3 * LEAST);
        assert_eq!(kept(&many), before, "it lies behind all that are looked at");
        let none = Buffers::new(64 * LEAST, false);
        none.take(LEAST);
        none.make_ready();
        assert!(!none.run_low() && none.kept.lock().buffers.is_empty());
    }
}
