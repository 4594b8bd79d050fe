//! The operations of a beat, as bytes: the body of a frame.
//!
//! A body is operations one after the other, in the order in which they apply, without padding:
//!
//! ```text
//! op           = varint(key length << 2 | kind) rest
//! 0 put          rest = varint(value length) key value
//! 1 put large    rest = reference (24 bytes, see PayloadRef) key
//! 2 delete       rest = key
//! 3 delete range rest = bound bound          the key length field is 0
//! bound        = 00                           unbounded
//!              | 01 varint(length) bytes      included
//!              | 02 varint(length) bytes      excluded
//! ```
//!
//! Varints are LEB128 in their shortest form. A put of a key and a value below 32 and 128 bytes costs 2 bytes over them.

use std::ops::Bound;

use crate::coding::{VARINT_BYTES_MAX, put_varint, varint};
use crate::payload_ref::PayloadRef;

const PUT: u8 = 0;
const PUT_LARGE: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

/// One operation, borrowing from the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// The key now has this value.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// The key now has a value that lies in a payload segment.
    PutLarge {
        /// The key.
        key: &'a [u8],
        /// Where its value lies.
        payload: PayloadRef,
    },
    /// The key is gone.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Every key between the bounds is gone.
    DeleteRange {
        /// Where it begins.
        start: Bound<&'a [u8]>,
        /// Where it ends.
        end: Bound<&'a [u8]>,
    },
}

/// Bytes that are no operation, at this offset of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) usize);

/// Appends `varint(key length << 2 | kind)` and what else comes before the key, in one go.
#[inline]
fn put_head(into: &mut Vec<u8>, key_len: usize, kind: u8) {
    let word = (key_len as u64) << 2 | u64::from(kind);
    if word < 0x80 {
        into.push(word.to_le_bytes()[0]);
    } else {
        put_varint(into, word);
    }
}

/// Appends a put.
#[inline]
pub(crate) fn put(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let small = key.len() < 32 && value.len() < 128;
    into.reserve(key.len().saturating_add(value.len()).saturating_add(2 * VARINT_BYTES_MAX));
    if small {
        let head = (key.len() as u64) << 2 | u64::from(PUT);
        into.extend_from_slice(&[head.to_le_bytes()[0], (value.len() as u64).to_le_bytes()[0]]);
    } else {
        put_head(into, key.len(), PUT);
        put_varint(into, value.len() as u64);
    }
    into.extend_from_slice(key);
    into.extend_from_slice(value);
}

/// Appends a put whose value lies in a payload segment.
pub(crate) fn put_large(into: &mut Vec<u8>, key: &[u8], payload: &PayloadRef) {
    put_head(into, key.len(), PUT_LARGE);
    into.extend_from_slice(&payload.encode());
    into.extend_from_slice(key);
}

/// Appends a delete.
#[inline]
pub(crate) fn delete(into: &mut Vec<u8>, key: &[u8]) {
    into.reserve(key.len().saturating_add(VARINT_BYTES_MAX));
    put_head(into, key.len(), DELETE);
    into.extend_from_slice(key);
}

/// Appends a delete of a range.
pub(crate) fn delete_range(into: &mut Vec<u8>, start: Bound<&[u8]>, end: Bound<&[u8]>) {
    put_head(into, 0, DELETE_RANGE);
    put_bound(into, start);
    put_bound(into, end);
}

/// Appends a bound in its stored form.
pub(crate) fn put_bound(into: &mut Vec<u8>, bound: Bound<&[u8]>) {
    let (kind, bytes) = match bound {
        Bound::Unbounded => return into.push(0),
        Bound::Included(bytes) => (1, bytes),
        Bound::Excluded(bytes) => (2, bytes),
    };
    into.push(kind);
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// Reads a bound in its stored form at `at`: the bound and where it ends.
pub(crate) fn bound(bytes: &[u8], at: usize) -> Option<(Bound<&[u8]>, usize)> {
    let kind = *bytes.get(at)?;
    if kind == 0 {
        return Some((Bound::Unbounded, at + 1));
    }
    let (len, at) = varint(bytes, at + 1)?;
    let (bytes, end) = part(bytes, at, len)?;
    match kind {
        1 => Some((Bound::Included(bytes), end)),
        2 => Some((Bound::Excluded(bytes), end)),
        _ => None,
    }
}

/// `len` bytes at `at`, and where they end.
#[inline]
fn part(bytes: &[u8], at: usize, len: u64) -> Option<(&[u8], usize)> {
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    Some((bytes.get(at..end)?, end))
}

impl<'a> Op<'a> {
    /// Reads the operation at `at`: it, and where it ends.
    ///
    /// # Errors
    /// `Malformed` for anything that this module would not have written.
    #[inline]
    pub(crate) fn read(body: &'a [u8], at: usize) -> Result<(Self, usize), Malformed> {
        Self::try_read(body, at).ok_or(Malformed(at))
    }

    #[inline]
    fn try_read(body: &'a [u8], at: usize) -> Option<(Self, usize)> {
        // Nearly all operations: a put of a short key and a short value.
        if let Some([head, value_len @ 0..0x80]) = body.get(at..)?.first_chunk()
            && head & 0x83 == PUT
        {
            let (key, at) = part(body, at + 2, u64::from(head >> 2))?;
            let (value, end) = part(body, at, u64::from(*value_len))?;
            return Some((Self::Put { key, value }, end));
        }
        Self::try_read_any(body, at)
    }

    #[inline(never)]
    fn try_read_any(body: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let (head, at) = varint(body, at)?;
        let key_len = head >> 2;
        match (head & 3).to_le_bytes()[0] {
            PUT => {
                let (value_len, at) = varint(body, at)?;
                let (key, at) = part(body, at, key_len)?;
                let (value, end) = part(body, at, value_len)?;
                Some((Self::Put { key, value }, end))
            }
            PUT_LARGE => {
                let payload = PayloadRef::decode(body, at)?;
                let (key, end) = part(body, at.checked_add(PayloadRef::ENCODED_LEN)?, key_len)?;
                Some((Self::PutLarge { key, payload }, end))
            }
            DELETE => {
                let (key, end) = part(body, at, key_len)?;
                Some((Self::Delete { key }, end))
            }
            _ if key_len != 0 => None,
            _ => {
                let (start, at) = bound(body, at)?;
                let (end, at) = bound(body, at)?;
                Some((Self::DeleteRange { start, end }, at))
            }
        }
    }
}

/// The operations of a body with the offsets at which they begin. Ends early where the body is malformed; [`count`] tells.
#[derive(Debug, Clone)]
pub(crate) struct Ops<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Ops<'a> {
    /// All operations of `body`.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = (usize, Op<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        if at >= self.body.len() {
            return None;
        }
        if let Ok((op, end)) = Op::read(self.body, at) {
            self.at = end;
            return Some((at, op));
        }
        self.at = self.body.len();
        None
    }
}

/// How many operations a body holds.
///
/// # Errors
/// `Malformed` where it does not read to its end.
pub(crate) fn count(body: &[u8]) -> Result<u64, Malformed> {
    let mut at = 0;
    let mut ops = 0_u64;
    while at < body.len() {
        at = Op::read(body, at)?.1;
        ops += 1;
    }
    Ok(ops)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(into: &mut Vec<u8>, op: &Op<'_>) {
        match *op {
            Op::Put { key, value } => put(into, key, value),
            Op::PutLarge { key, payload } => put_large(into, key, &payload),
            Op::Delete { key } => delete(into, key),
            Op::DeleteRange { start, end } => delete_range(into, start, end),
        }
    }

    #[test]
    fn every_operation_comes_back_and_a_cut_one_is_malformed() {
        let long = vec![7; 300];
        let payload = PayloadRef { segment: 3, crc: 9, offset: 64, len: 1 << 33 };
        let (empty, byte): (&[u8], &[u8]) = (&[], &[255]);
        let mut ops = vec![Op::PutLarge { key: &long, payload }];
        for key in [empty, byte, &long[..31], &long[..32], &long] {
            ops.push(Op::Delete { key });
            ops.push(Op::DeleteRange { start: Bound::Included(key), end: Bound::Unbounded });
            ops.push(Op::DeleteRange { start: Bound::Unbounded, end: Bound::Excluded(key) });
            for value in [empty, byte, &long[..127], &long[..128], &long] {
                ops.push(Op::Put { key, value });
            }
        }
        let mut body = Vec::new();
        let mut starts = Vec::new();
        for op in &ops {
            starts.push(body.len());
            write(&mut body, op);
            let alone = body[starts[starts.len() - 1]..].to_vec();
            for cut in 0..alone.len() {
                assert_eq!(Op::read(&alone[..cut], 0), Err(Malformed(0)), "{op:?} cut at {cut}");
            }
        }
        assert_eq!(count(&body), Ok(ops.len() as u64));
        assert!(Ops::new(&body).eq(starts.iter().copied().zip(ops.iter().copied())));
        assert_eq!(count(&body[..body.len() - 1]), Err(Malformed(starts[starts.len() - 1])));
        assert_eq!(Ops::new(&body[..body.len() - 1]).count(), ops.len() - 1);
    }

    #[test]
    fn a_small_row_costs_two_bytes() {
        let mut body = Vec::new();
        put(&mut body, &[1; 16], &[2; 100]);
        assert_eq!(body.len(), 118);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_what_reads_is_written_the_same(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut again = Vec::new();
            for (at, op) in Ops::new(&body) {
                prop_assert_eq!(at, again.len());
                write(&mut again, &op);
            }
            prop_assert_eq!(&body[..again.len()], &again[..]);
            prop_assert_eq!(count(&body).is_ok(), again.len() == body.len());
        }
    }
}
