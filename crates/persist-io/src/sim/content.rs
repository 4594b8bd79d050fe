//! The bytes of a file, in shared chunks, so that a copy costs one pointer per 4 KiB.

use std::sync::Arc;

const CHUNK: usize = 4096;
const CHUNK_BYTES: u64 = CHUNK as u64;

/// Longest file, so that a table of chunks stays small.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 34;

type Chunk = Arc<[u8; CHUNK]>;

/// Bytes and length. A missing chunk is zeros. Bytes beyond the length are kept only while an image is built.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) len: u64,
    chunks: Vec<Option<Chunk>>,
}

/// Where a position lies: number of the chunk, offset in it.
fn place(at: u64) -> (usize, usize) {
    let index = usize::try_from(at / CHUNK_BYTES).unwrap_or(usize::MAX);
    (index, usize::try_from(at % CHUNK_BYTES).unwrap_or(0))
}

impl Content {
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let mut content = Self { len: bytes.len() as u64, chunks: Vec::new() };
        content.write(0, bytes);
        content
    }

    /// Fills `into` from `offset` on, with zeros where nothing is; the length does not matter.
    pub(super) fn read(&self, mut offset: u64, mut into: &mut [u8]) {
        while !into.is_empty() {
            let (index, start) = place(offset);
            let (head, rest) = into.split_at_mut(into.len().min(CHUNK - start));
            match self.chunks.get(index) {
                Some(Some(chunk)) => {
                    head.copy_from_slice(chunk.get(start..start + head.len()).unwrap_or_default());
                }
                _ => head.fill(0),
            }
            offset = offset.saturating_add(head.len() as u64);
            into = rest;
        }
    }

    /// The bytes of the file.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        self.read(0, &mut bytes);
        bytes
    }

    /// Writes without a change of length.
    pub(super) fn write(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (index, start) = place(offset);
            let (head, rest) = bytes.split_at(bytes.len().min(CHUNK - start));
            if index >= self.chunks.len() {
                self.chunks.resize(index.saturating_add(1), None);
            }
            if let Some(slot) = self.chunks.get_mut(index)
                && (slot.is_some() || head.iter().any(|byte| *byte != 0))
            {
                let chunk = Arc::make_mut(slot.get_or_insert_with(|| Arc::new([0; CHUNK])));
                if let Some(into) = chunk.get_mut(start..start + head.len()) {
                    into.copy_from_slice(head);
                }
            }
            offset = offset.saturating_add(head.len() as u64);
            bytes = rest;
        }
    }

    /// Cuts or extends with zeros; nothing is left beyond the length.
    pub(super) fn resize(&mut self, len: u64) {
        let (index, start) = place(len);
        if let Some(Some(chunk)) = self.chunks.get_mut(index)
            && chunk.get(start..).is_some_and(|tail| tail.iter().any(|byte| *byte != 0))
            && let Some(tail) = Arc::make_mut(chunk).get_mut(start..)
        {
            tail.fill(0);
        }
        self.chunks.truncate(if start == 0 { index } else { index.saturating_add(1) });
        self.len = len;
    }

    /// Turns one bit over; a bit beyond the end stays as it is.
    pub(super) fn flip(&mut self, bit: u64) {
        let at = bit / 8;
        if at < self.len {
            let mut byte = [0];
            self.read(at, &mut byte);
            self.write(at, &byte.map(|byte| byte ^ (1 << (bit % 8))));
        }
    }

    /// True when length and all bytes are equal; shared chunks are not looked at.
    pub(super) fn same(&self, other: &Self) -> bool {
        let chunk = |of: &Self, index| of.chunks.get(index).cloned().flatten();
        let longest = self.chunks.len().max(other.chunks.len());
        self.len == other.len
            && (0..longest).all(|index| match (chunk(self, index), chunk(other, index)) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(&a, &b) || a == b,
                (Some(bytes), None) | (None, Some(bytes)) => bytes.iter().all(|byte| *byte == 0),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_they_were_put_and_zero_elsewhere() {
        let mut content = Content::default();
        content.resize(10_000);
        content.write(4_094, b"across");
        let copy = content.clone();
        content.write(4_096, b"OVER");
        let mut expected = vec![0; 10_000];
        expected[4_094..4_100].copy_from_slice(b"across");
        assert_eq!(copy.to_vec(), expected);
        assert!(!copy.same(&content) && copy.same(&Content::of_bytes(&expected)));
        expected[4_096..].fill(0);
        let mut cut = copy.clone();
        cut.resize(4_096);
        cut.resize(10_000);
        assert_eq!(cut.to_vec(), expected);
        cut.flip(8 * 9_999 + 7);
        cut.flip(8 * 10_000);
        assert_eq!((cut.to_vec()[9_999], cut.len), (0x80, 10_000));
        assert!(!cut.same(&Content::of_bytes(&expected)));
    }

    #[test]
    fn zeros_take_no_memory() {
        let mut content = Content::default();
        content.write(1 << 20, &vec![0; 1 << 16]);
        content.resize(FILE_BYTES_MAX);
        assert!(content.chunks.iter().all(Option::is_none));
    }
}
