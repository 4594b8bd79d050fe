//! The bytes of a [`BeatLog`](crate::BeatLog): all integers little-endian, layout in `docs/format.md`.

use std::ops::Bound;

use persist_api::{Error, ErrorKind, KeyRange, Result};

use crate::log::{Op, Tally, bound_bytes};

const MAGIC: &[u8; 4] = b"PBL1";
const HEAD_LEN: usize = 12;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const UNBOUNDED: u8 = 0;
const INCLUDED: u8 = 1;
const EXCLUDED: u8 = 2;

/// Starts an empty log.
pub(crate) fn begin(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&0_u64.to_le_bytes());
}

/// Writes the number of operations into the head.
pub(crate) fn set_count(bytes: &mut [u8], count: u64) {
    if let Some(slot) = bytes.get_mut(MAGIC.len()..HEAD_LEN) {
        slot.copy_from_slice(&count.to_le_bytes());
    }
}

/// Adds one operation, or nothing.
pub(crate) fn append(bytes: &mut Vec<u8>, op: &Op<'_>) -> Result<()> {
    match op {
        Op::Put { key, value } => {
            let (key_len, value_len) = (length("put", key)?, length("put", value)?);
            bytes.reserve(9 + key.len() + value.len());
            bytes.push(PUT);
            bytes.extend_from_slice(&key_len);
            bytes.extend_from_slice(&value_len);
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        Op::Delete { key } => {
            let key_len = length("delete", key)?;
            bytes.push(DELETE);
            bytes.extend_from_slice(&key_len);
            bytes.extend_from_slice(key);
        }
        Op::DeleteRange { range } => {
            let (start, end) = (bound_bytes(range.start()), bound_bytes(range.end()));
            let (start_len, end_len) = (length("delete_range", start)?, length("delete_range", end)?);
            bytes.extend_from_slice(&[DELETE_RANGE, bound_kind(range.start()), bound_kind(range.end())]);
            bytes.extend_from_slice(&start_len);
            bytes.extend_from_slice(&end_len);
            bytes.extend_from_slice(start);
            bytes.extend_from_slice(end);
        }
    }
    Ok(())
}

/// Bytes that an operation takes.
pub(crate) fn op_bytes(op: &Op<'_>) -> u64 {
    let bytes = match op {
        Op::Put { key, value } => 9 + key.len() + value.len(),
        Op::Delete { key } => 5 + key.len(),
        Op::DeleteRange { range } => 11 + bound_bytes(range.start()).len() + bound_bytes(range.end()).len(),
    };
    bytes as u64
}

fn length(op: &'static str, bytes: &[u8]) -> Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(|_| {
        let context = format!("{} bytes; a commit carries at most {} at a time", bytes.len(), u32::MAX);
        Error::new(ErrorKind::TooLarge, op, context)
    })
}

fn bound_kind(bound: Bound<&[u8]>) -> u8 {
    match bound {
        Bound::Unbounded => UNBOUNDED,
        Bound::Included(_) => INCLUDED,
        Bound::Excluded(_) => EXCLUDED,
    }
}

/// Reads all of a log and says what it adds up to.
///
/// # Errors
/// `Corrupt` naming the offset.
pub(crate) fn check(bytes: &[u8]) -> Result<Tally> {
    let Some((head, _)) = bytes.split_first_chunk::<HEAD_LEN>() else {
        return Err(corrupt(0, "shorter than its head"));
    };
    let [m0, m1, m2, m3, count @ ..] = *head;
    if [m0, m1, m2, m3] != *MAGIC {
        return Err(corrupt(0, "not a log of this format"));
    }
    let mut reader = Reader::after_head(bytes);
    let mut tally = Tally::default();
    while let Some(op) = reader.next_op()? {
        tally.add(&op);
    }
    if tally.ops() != u64::from_le_bytes(count) {
        return Err(corrupt(MAGIC.len(), "the number of operations differs"));
    }
    Ok(tally)
}

fn corrupt(offset: usize, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read_log", format!("commit log, offset {offset}: {what}"))
}

/// Walks the operations.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'l> {
    bytes: &'l [u8],
    at: usize,
}

impl<'l> Reader<'l> {
    /// A reader at the first operation.
    pub(crate) const fn after_head(bytes: &'l [u8]) -> Self {
        Self { bytes, at: HEAD_LEN }
    }

    /// The next operation; `None` exactly at the end.
    pub(crate) fn next_op(&mut self) -> Result<Option<Op<'l>>> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let op = match self.byte()? {
            PUT => {
                let (key, value) = self.pair()?;
                Op::Put { key, value }
            }
            DELETE => {
                let len = self.length()?;
                Op::Delete { key: self.take(len)? }
            }
            DELETE_RANGE => {
                let (start_kind, end_kind) = (self.byte()?, self.byte()?);
                let (from, to) = self.pair()?;
                let bounds = bound(start_kind, from).zip(bound(end_kind, to));
                let (from, to) = bounds.ok_or_else(|| corrupt(start, "a bound that cannot be"))?;
                let range = KeyRange::new(from, to);
                if range.is_empty() {
                    return Err(corrupt(start, "an empty range"));
                }
                Op::DeleteRange { range }
            }
            tag => return Err(corrupt(start, &format!("unknown operation {tag}"))),
        };
        Ok(Some(op))
    }

    /// Two lengths, then two strings.
    fn pair(&mut self) -> Result<(&'l [u8], &'l [u8])> {
        let (first, second) = (self.length()?, self.length()?);
        Ok((self.take(first)?, self.take(second)?))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn length(&mut self) -> Result<usize> {
        let bytes = self.take(4)?.try_into().map_or(0, u32::from_le_bytes);
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn take(&mut self, len: usize) -> Result<&'l [u8]> {
        let end = self.at.checked_add(len);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| corrupt(self.at, "cut short"))?;
        self.at += len;
        Ok(taken)
    }
}

fn bound(kind: u8, key: &[u8]) -> Option<Bound<&[u8]>> {
    match kind {
        UNBOUNDED if key.is_empty() => Some(Bound::Unbounded),
        INCLUDED => Some(Bound::Included(key)),
        EXCLUDED => Some(Bound::Excluded(key)),
        _ => None,
    }
}
