//! Reading what a beat has staged so far.

use std::collections::HashMap;
use std::ops::Bound;

use persist_api::KeyRange;

use crate::payload_ref::PayloadRef;
use crate::run::hash;
use crate::timeline::Op;

/// So few operations are looked at one by one.
const LOOSE: usize = 24;

/// What a beat did to a key.
pub(crate) enum OwnFound<'b> {
    /// Nothing: the state before decides.
    Nothing,
    Value(&'b [u8]),
    Large(PayloadRef),
    Deleted,
}

/// Where the operations of a body lie, as far as they were looked at. The body only grows.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Bytes of the body that were read.
    read: usize,
    /// Offsets of puts and deletes that are in no map yet.
    loose: Vec<usize>,
    /// Offsets of puts and deletes by the hash of their key, oldest first.
    known: HashMap<u64, Vec<usize>>,
    /// Offsets of range deletes, oldest first.
    ranges: Vec<usize>,
}

fn key_of<'b>(op: &Op<'b>) -> Option<&'b [u8]> {
    match op {
        Op::Put { key, .. } | Op::PutLarge { key, .. } | Op::Delete { key } => Some(key),
        Op::DeleteRange { .. } => None,
    }
}

fn covers(start: Bound<&[u8]>, end: Bound<&[u8]>, key: &[u8]) -> bool {
    KeyRange::new(start, end).contains(key)
}

impl Own {
    /// Reads on to the end of the body.
    fn extend(&mut self, body: &[u8]) {
        while let Ok((op, end)) = Op::read(body, self.read) {
            match op {
                Op::DeleteRange { .. } => self.ranges.push(self.read),
                _ => self.loose.push(self.read),
            }
            self.read = end;
        }
        if self.loose.len() > LOOSE {
            for offset in self.loose.drain(..) {
                if let Ok((op, _)) = Op::read(body, offset)
                    && let Some(key) = key_of(&op)
                {
                    self.known.entry(hash(key)).or_default().push(offset);
                }
            }
        }
    }

    /// What the operations of a body do to a key.
    pub(crate) fn find<'b>(&mut self, body: &'b [u8], key: &[u8]) -> OwnFound<'b> {
        self.extend(body);
        let known = self.known.get(&hash(key)).map_or(&[][..], Vec::as_slice);
        let mut newest_first = self.loose.iter().rev().chain(known.iter().rev());
        let found = newest_first.find_map(|offset| {
            let (op, _) = Op::read(body, *offset).ok()?;
            (key_of(&op) == Some(key)).then_some((*offset, op))
        });
        let from = found.as_ref().map_or(0, |(offset, _)| *offset);
        let covered = self.ranges.iter().rev().take_while(|offset| **offset >= from).any(|offset| {
            matches!(Op::read(body, *offset), Ok((Op::DeleteRange { start, end }, _)) if covers(start, end, key))
        });
        match found {
            _ if covered => OwnFound::Deleted,
            Some((_, Op::Put { value, .. })) => OwnFound::Value(value),
            Some((_, Op::PutLarge { payload, .. })) => OwnFound::Large(payload),
            Some(_) => OwnFound::Deleted,
            None => OwnFound::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::FrameBuilder;

    #[allow(clippy::option_option, reason = "untouched, deleted, put")]
    fn find(own: &mut Own, frame: &FrameBuilder, key: &[u8]) -> Option<Option<Vec<u8>>> {
        match own.find(frame.body(), key) {
            OwnFound::Nothing => None,
            OwnFound::Value(value) => Some(Some(value.to_vec())),
            OwnFound::Deleted => Some(None),
            OwnFound::Large(_) => panic!("nothing large was staged"),
        }
    }

    #[test]
    fn the_last_operation_on_a_key_counts_however_many_there_are() {
        for many in [1_u32, 7, 100] {
            let (mut own, mut frame) = (Own::default(), FrameBuilder::default());
            let key = |n: u32| n.to_be_bytes();
            for n in 0..many {
                frame.put(&key(n), b"old");
            }
            assert_eq!(find(&mut own, &frame, &key(0)), Some(Some(b"old".to_vec())));
            frame.delete_range(Bound::Included(&key(0)), Bound::Unbounded);
            frame.put(&key(0), b"new");
            for n in 1..many {
                assert_eq!(find(&mut own, &frame, &key(n)), Some(None), "{n} of {many}");
            }
            assert_eq!(find(&mut own, &frame, &key(0)), Some(Some(b"new".to_vec())), "{many}");
            assert_eq!(find(&mut own, &frame, &key(many)), Some(None), "never put, but in the range");
            assert_eq!(find(&mut own, &frame, b""), None);
            frame.delete(&key(0));
            assert_eq!(find(&mut own, &frame, &key(0)), Some(None), "{many}");
        }
    }
}
