//! Range deletions as bytes: the payload of a ranges block holds `count` of them, one after the other.
//!
//! ```text
//! kind       1        0 deleted, 1 damaged
//! beat       varint
//! start      bound    1 byte: 0 unbounded, 1 included, 2 excluded; then, unless unbounded, varint(length) and the key
//! end        bound
//! damaged    varint(length) and name of the file, varint(offset), varint(length) and text of what was found
//! ```

use std::ops::Bound;

use persist_api::BeatNo;

use super::version::{RangeDelete, RangeKind};
use crate::coding::{put_varint, varint};

fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn put_bound(into: &mut Vec<u8>, bound: &Bound<Vec<u8>>) {
    match bound {
        Bound::Unbounded => into.push(0),
        Bound::Included(key) => {
            into.push(1);
            put_bytes(into, key);
        }
        Bound::Excluded(key) => {
            into.push(2);
            put_bytes(into, key);
        }
    }
}

pub(super) fn put(into: &mut Vec<u8>, range: &RangeDelete) {
    into.push(u8::from(range.kind != RangeKind::Deleted));
    put_varint(into, range.beat.0);
    put_bound(into, &range.start);
    put_bound(into, &range.end);
    if let RangeKind::Damaged { file, offset, what } = &range.kind {
        put_bytes(into, file.as_bytes());
        put_varint(into, *offset);
        put_bytes(into, what.as_bytes());
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, end) = varint(self.0, 0)?;
        self.0 = self.0.get(end..)?;
        Some(number)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn bound(&mut self) -> Option<Bound<Vec<u8>>> {
        match self.byte()? {
            0 => Some(Bound::Unbounded),
            1 => Some(Bound::Included(self.bytes()?.to_vec())),
            2 => Some(Bound::Excluded(self.bytes()?.to_vec())),
            _ => None,
        }
    }

    fn range(&mut self) -> Option<RangeDelete> {
        let kind = self.byte()?;
        let beat = BeatNo(self.number()?);
        let (start, end) = (self.bound()?, self.bound()?);
        let kind = match kind {
            0 => RangeKind::Deleted,
            1 => RangeKind::Damaged { file: self.text()?, offset: self.number()?, what: self.text()? },
            _ => return None,
        };
        Some(RangeDelete { start, end, beat, kind })
    }
}

/// Reads the `count` range deletions of a payload; `None` when it is malformed.
pub(super) fn read(payload: &[u8], count: u32, into: &mut Vec<RangeDelete>) -> Option<()> {
    let mut rest = Rest(payload);
    for _ in 0..count {
        into.push(rest.range()?);
    }
    rest.0.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_deletions_come_back_and_cut_ones_do_not() {
        let damaged =
            RangeKind::Damaged { file: "branch.idx.00000003".into(), offset: 4096, what: "crc".into() };
        let ranges = [
            (Bound::Unbounded, Bound::Unbounded, damaged),
            (Bound::Included(b"a".to_vec()), Bound::Excluded(b"b".to_vec()), RangeKind::Deleted),
            (Bound::Excluded(vec![]), Bound::Included(vec![0xff; 300]), RangeKind::Deleted),
        ]
        .map(|(start, end, kind)| RangeDelete { start, end, beat: BeatNo(77_777), kind });
        let mut payload = Vec::new();
        for range in &ranges {
            put(&mut payload, range);
        }
        let mut back = Vec::new();
        assert_eq!(read(&payload, 3, &mut back), Some(()));
        assert_eq!(back, ranges);
        for len in 0..payload.len() {
            assert_eq!(read(&payload[..len], 3, &mut Vec::new()), None);
        }
        assert_eq!(read(&payload, 2, &mut Vec::new()), None, "bytes left over");
    }
}
