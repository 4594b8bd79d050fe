//! Which payload a chunk belongs to, and whether the payloads of a frame are complete.
//!
//! A chunk's key is its payload's base key and the ordinal as a varint, and nothing says where one ends and the
//! other begins. So every payload remembers which ordinal it awaits, and a key is compared with that. (Upstream
//! parses the ordinal backwards from the end, which is wrong from 128 on: it refuses its own frames.)

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::body::PayloadChunk;
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::record::{Place, Record, RecordKind};
use crate::varint;

/// Follows the payloads of one frame, chunk by chunk. Chunks of different payloads may interleave.
#[derive(Debug, Default)]
pub(crate) struct ChunkTracker<'a> {
    payloads: Vec<Progress<'a>>,
    by_base: HashMap<&'a [u8], u32>,
    /// Which lengths base keys have, modulo 64: spares most of the look-ups that find nothing.
    lengths: u64,
    /// The payload of the last chunk, which mostly is that of the next.
    last: u32,
}

/// One payload: what has come and what is awaited.
#[derive(Debug)]
struct Progress<'a> {
    base: &'a [u8],
    ordinal: u64,
    offset: u64,
    total: u64,
}

impl Progress<'_> {
    fn is_complete(&self) -> bool {
        self.offset == self.total
    }
}

impl<'a> ChunkTracker<'a> {
    /// Takes the next chunk: the number of its payload, counted in order of first chunks.
    pub(crate) fn accept(&mut self, key: &'a [u8], chunk: &PayloadChunk<'_>) -> Result<u32, FrameError> {
        let known = self.awaiting(key)?;
        if let Some(progress) = known.and_then(|index| self.payloads.get(index as usize)) {
            if progress.is_complete() {
                return Err(FrameError::new(ErrorClass::ChunkOrder, "the payload is complete already"));
            }
            if chunk.total_size != progress.total {
                let message = format!("payload of {} bytes, earlier {}", chunk.total_size, progress.total);
                return Err(FrameError::new(ErrorClass::ChunkTotal, message));
            }
        }
        let end = chunk.chunk_offset.checked_add(chunk.chunk_size);
        let Some(end) = end.filter(|end| chunk.chunk_size > 0 && *end <= chunk.total_size) else {
            let message = format!(
                "{} bytes from {} in a payload of {}",
                chunk.chunk_size, chunk.chunk_offset, chunk.total_size
            );
            return Err(FrameError::new(ErrorClass::ChunkExtent, message));
        };
        let index = match known {
            Some(index) => index,
            None => self.begin(key, chunk.total_size)?,
        };
        let Some(progress) = self.payloads.get_mut(index as usize) else {
            return Err(FrameError::new(ErrorClass::ChunkOrder, "no such payload"));
        };
        if chunk.chunk_offset != progress.offset {
            let message = format!("offset {} where {} is next", chunk.chunk_offset, progress.offset);
            return Err(FrameError::new(ErrorClass::ChunkOrder, message));
        }
        self.last = index;
        progress.offset = end;
        progress.ordinal = progress.ordinal.saturating_add(1);
        Ok(index)
    }

    /// The one open payload that awaits this key. Two of them is an error: nothing could tell whose chunk it is. Without one, a
    /// complete payload that the key would go on from, for then the chunk comes too late.
    fn awaiting(&self, key: &[u8]) -> Result<Option<u32>, FrameError> {
        let (mut open, mut complete) = (None, None);
        for (base, ordinal) in splits(key) {
            let Some(index) = self.find(base) else { continue };
            let Some(progress) = self.payloads.get(index as usize) else { continue };
            if progress.ordinal != ordinal {
                continue;
            }
            if progress.is_complete() {
                complete = Some(index);
            } else if open.replace(index).is_some() {
                return Err(FrameError::new(ErrorClass::ChunkKey, "two payloads await this key"));
            }
        }
        Ok(open.or(complete))
    }

    fn find(&self, base: &[u8]) -> Option<u32> {
        if self.lengths & length_bit(base) == 0 {
            return None;
        }
        if self.base(self.last) == base {
            return Some(self.last);
        }
        self.by_base.get(base).copied()
    }

    /// A new payload, whose first chunk has ordinal 0.
    fn begin(&mut self, key: &'a [u8], total: u64) -> Result<u32, FrameError> {
        let base = match key.split_last() {
            Some((0, base)) if !base.is_empty() => base,
            Some((last, base)) if *last < 0x80 && !base.is_empty() => {
                return Err(FrameError::new(ErrorClass::ChunkOrder, "no payload awaits this ordinal"));
            }
            _ => return Err(FrameError::new(ErrorClass::ChunkKey, "the key holds no base and ordinal")),
        };
        let Ok(index) = u32::try_from(self.payloads.len()) else {
            return Err(FrameError::new(ErrorClass::Limit, "too many payloads"));
        };
        match self.by_base.entry(base) {
            Entry::Occupied(_) => Err(FrameError::new(ErrorClass::ChunkOrder, "ordinal 0 comes twice")),
            Entry::Vacant(vacant) => {
                vacant.insert(index);
                self.lengths |= length_bit(base);
                self.payloads.push(Progress { base, ordinal: 0, offset: 0, total });
                Ok(index)
            }
        }
    }

    /// The end of the frame: every payload must be complete.
    pub(crate) fn finish(&self) -> Result<(), FrameError> {
        match self.payloads.iter().find(|progress| !progress.is_complete()) {
            Some(progress) => {
                let message = format!("{} of {} bytes have come", progress.offset, progress.total);
                Err(FrameError::new(ErrorClass::ChunkUnsealed, message))
            }
            None => Ok(()),
        }
    }

    /// The base key of a payload.
    pub(crate) fn base(&self, index: u32) -> &'a [u8] {
        self.payloads.get(index as usize).map(|progress| progress.base).unwrap_or_default()
    }
}

fn length_bit(base: &[u8]) -> u64 {
    1 << (base.len() % 64)
}

/// Every way to read the end of `key` as a varint in shortest form: what stands before it, and its value. More than
/// one only where the byte before the last looks like the middle of a varint.
pub(crate) fn splits(key: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    (1..=varint::MAX_LEN.min(key.len()))
        .map_while(|len| key.split_at_checked(key.len() - len))
        .take_while(|(_, tail)| tail.len() == 1 || tail.first().is_some_and(|byte| *byte >= 0x80))
        .filter_map(|(base, tail)| match varint::decode(tail) {
            Ok((value, len)) if len == tail.len() => Some((base, value)),
            _ => None,
        })
}

/// Reads the fields of a chunk record; offsets in errors are those of the frame.
pub(crate) fn read_chunk<'a>(record: &Record<'a>) -> Result<PayloadChunk<'a>, FrameError> {
    let body = record.body();
    let offset = record.offset() + (record.span().len() - body.len()) as u64;
    PayloadChunk::read(Cursor::new(body, offset, ErrorClass::ChunkLength))
}

/// The chunk rules over a whole frame.
pub(crate) fn check(bytes: &[u8], places: &[Place]) -> Result<(), FrameError> {
    let mut tracker = ChunkTracker::default();
    for place in places {
        if place.kind(bytes) != RecordKind::PAYLOAD_CHUNK {
            continue;
        }
        let record = place.view(bytes);
        let chunk = read_chunk(&record)?;
        tracker
            .accept(record.key(), &chunk)
            .and_then(|_| chunk.check_stored_len())
            .map_err(|error| FrameError::at(error.class(), record.offset(), error.message().to_owned()))?;
        if !chunk.is_presealed() && blake3::hash(record.key()).as_bytes() != chunk.aad_hash {
            let message = "aad hash is not the hash of the record key";
            return Err(FrameError::at(ErrorClass::ChunkAad, record.offset(), message));
        }
    }
    tracker.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_splits_wherever_a_varint_in_shortest_form_can_begin() {
        let all = |key| splits(key).map(|(base, value)| (base.len(), value)).collect::<Vec<_>>();
        assert_eq!(all(b"ab\x05"), [(2, 5)]);
        assert_eq!(all(b"ab\x80\x01"), [(3, 1), (2, 128)]);
        assert_eq!(all(b"ab\x80\x00"), [(3, 0)]);
        assert_eq!(all(b"ab\x80"), []);
        assert_eq!(all(b""), []);
        assert_eq!(all(b"\x07"), [(0, 7)]);
    }
}
