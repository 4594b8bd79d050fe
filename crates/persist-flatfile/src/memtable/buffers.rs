//! Buffers that go round: from a beat that is staged into the memtable that keeps it, and back when the memtable is gone.
//!
//! Fresh memory costs more than the bytes that are written to it: the system clears each page when it is first touched.

use parking_lot::Mutex;

/// Buffers below this are not worth the trouble.
pub(crate) const LEAST: usize = 32 << 10;

/// Buffers that nobody uses now, up to a number of bytes.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    buffers: Vec<Vec<u8>>,
}

/// Whether a buffer is none too large for so many bytes.
pub(crate) fn suits(capacity: usize, len: usize) -> bool {
    capacity >= len && capacity <= len.saturating_add(len / 2)
}

impl Buffers {
    /// Keeps at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// An empty buffer for so many bytes, and some more.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        if len >= LEAST {
            let mut kept = self.kept.lock();
            let found = kept.buffers.iter().rposition(|buffer| suits(buffer.capacity(), len));
            if let Some(found) = found {
                let buffer = kept.buffers.swap_remove(found);
                kept.bytes = kept.bytes.saturating_sub(buffer.capacity());
                return buffer;
            }
        }
        Vec::with_capacity(len)
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes < LEAST {
            return;
        }
        buffer.clear();
        let mut kept = self.kept.lock();
        if kept.bytes.saturating_add(bytes) > self.most {
            // Those kept longest are of a size that is not asked for any more.
            let Some(oldest) = (!kept.buffers.is_empty()).then(|| kept.buffers.swap_remove(0)) else {
                return;
            };
            kept.bytes = kept.bytes.saturating_sub(oldest.capacity());
        }
        if kept.bytes.saturating_add(bytes) <= self.most {
            kept.bytes = kept.bytes.saturating_add(bytes);
            kept.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_as_many_bytes_and_no_more_are_kept_than_allowed() {
        let buffers = Buffers::new(8 * LEAST);
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
        Buffers::default().give(Vec::with_capacity(LEAST));
    }
}
