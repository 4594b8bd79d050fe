//! Paths, and the keys of real records that are built from them.
//!
//! A key is the record kind, the path's segments, and what tells records of one cell apart. The path of a cell ends
//! with the name of its data type if it has data, then that of its store type if it has children, so it changes
//! when a cell gains its first child or payload.

use std::fmt;

use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::name::{NameId, SEGMENT_LEN, Segment};
use crate::record::RecordKind;
use crate::varint;

/// A path borrowed from a key: a whole number of well-formed segments, root first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path<'a>(&'a [u8]);

impl<'a> Path<'a> {
    /// Checks that `bytes` are segments and nothing else.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(bytes, 0, ErrorClass::Name);
        while cursor.remaining() > 0 {
            Segment::read(&mut cursor)?;
        }
        Ok(Self(bytes))
    }

    /// The segments' bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The segments, root first.
    pub fn segments(self) -> impl Iterator<Item = Segment> + 'a {
        let (chunks, _) = self.0.as_chunks::<SEGMENT_LEN>();
        chunks.iter().filter_map(|chunk| Segment::from_bytes(chunk).ok())
    }
}

impl fmt::Display for Path<'_> {
    /// The segments, separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            segment.fmt(f)?;
        }
        Ok(())
    }
}

/// Appends segments to a path; those without domain and tag are dropped, as upstream does.
pub fn append_segments(segments: impl IntoIterator<Item = Segment>, out: &mut Vec<u8>) {
    for segment in segments {
        if (segment.domain, segment.tag) != (NameId::NONE, NameId::NONE) {
            out.extend_from_slice(&segment.to_bytes());
        }
    }
}

/// The key of a record as the real emitter builds it. Other keys occur (the upstream fixtures have two-byte ones),
/// so a failure to decode one says nothing about the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKey<'a> {
    /// Kind 1.
    CellDesc(Path<'a>),
    /// Kind 2: path and ordinal of the chunk.
    PayloadChunk(Path<'a>, u64),
    /// Kind 3: path and page.
    ManifestDelta(Path<'a>, u64),
    /// Kind 4: path, projection and page.
    OrderDelta(Path<'a>, u64, u64),
    /// Kind 5: the name's number in the writer's name pool.
    NamepoolDelta(u64),
    /// Kind 6: path, revision and ordinal of the chunk.
    PayloadHistory(Path<'a>, [u8; 16], u64),
    /// Kind 7: path, page and revision.
    ManifestHistory(Path<'a>, u64, [u8; 16]),
}

impl<'a> RecordKey<'a> {
    /// Takes a key apart.
    ///
    /// Segments are 17 bytes and a varint at most 10, so the split is mostly forced. Where two ordinals or pages
    /// follow a path, a key can be cut in two ways; the longest path whose segments are well-formed is taken.
    pub fn decode(key: &'a [u8]) -> Result<Self, FrameError> {
        let malformed = || FrameError::new(ErrorClass::Name, "not the key of a real record");
        let (&kind, rest) = key.split_first().ok_or_else(malformed)?;
        match RecordKind(kind) {
            RecordKind::CELL_DESC => Path::from_bytes(rest).map(Self::CellDesc),
            RecordKind::PAYLOAD_CHUNK => cut(rest, varint_tail).map(|(path, n)| Self::PayloadChunk(path, n)),
            RecordKind::MANIFEST_DELTA => {
                cut(rest, varint_tail).map(|(path, n)| Self::ManifestDelta(path, n))
            }
            RecordKind::ORDER_DELTA => cut(rest, two_varints_tail)
                .map(|(path, (first, second))| Self::OrderDelta(path, first, second)),
            RecordKind::NAMEPOOL_DELTA => {
                let id = rest.try_into().map_err(|_| malformed())?;
                Ok(Self::NamepoolDelta(u64::from_le_bytes(id)))
            }
            RecordKind::PAYLOAD_HISTORY => cut(rest, |tail| {
                let (revision, tail) = tail.split_first_chunk()?;
                Some((*revision, varint_tail(tail)?))
            })
            .map(|(path, (revision, ordinal))| Self::PayloadHistory(path, revision, ordinal)),
            RecordKind::MANIFEST_HISTORY => cut(rest, |tail| {
                let (tail, revision) = tail.split_last_chunk()?;
                Some((varint_tail(tail)?, *revision))
            })
            .map(|(path, (page, revision))| Self::ManifestHistory(path, page, revision)),
            _ => Err(malformed()),
        }
    }

    /// The kind of record this is the key of.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::CellDesc(..) => RecordKind::CELL_DESC,
            Self::PayloadChunk(..) => RecordKind::PAYLOAD_CHUNK,
            Self::ManifestDelta(..) => RecordKind::MANIFEST_DELTA,
            Self::OrderDelta(..) => RecordKind::ORDER_DELTA,
            Self::NamepoolDelta(..) => RecordKind::NAMEPOOL_DELTA,
            Self::PayloadHistory(..) => RecordKind::PAYLOAD_HISTORY,
            Self::ManifestHistory(..) => RecordKind::MANIFEST_HISTORY,
        }
    }

    /// The key's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind().0];
        match *self {
            Self::CellDesc(path) => out.extend_from_slice(path.0),
            Self::PayloadChunk(path, number) | Self::ManifestDelta(path, number) => {
                out.extend_from_slice(path.0);
                varint::encode(number, &mut out);
            }
            Self::OrderDelta(path, projection, page) => {
                out.extend_from_slice(path.0);
                varint::encode(projection, &mut out);
                varint::encode(page, &mut out);
            }
            Self::NamepoolDelta(id) => out.extend_from_slice(&id.to_le_bytes()),
            Self::PayloadHistory(path, revision, ordinal) => {
                out.extend_from_slice(path.0);
                out.extend_from_slice(&revision);
                varint::encode(ordinal, &mut out);
            }
            Self::ManifestHistory(path, page, revision) => {
                out.extend_from_slice(path.0);
                varint::encode(page, &mut out);
                out.extend_from_slice(&revision);
            }
        }
        out
    }
}

fn varint_tail(tail: &[u8]) -> Option<u64> {
    varint::decode(tail).ok().filter(|(_, len)| *len == tail.len()).map(|(value, _)| value)
}

fn two_varints_tail(tail: &[u8]) -> Option<(u64, u64)> {
    let (first, len) = varint::decode(tail).ok()?;
    Some((first, varint_tail(tail.get(len..)?)?))
}

/// Cuts `rest` into the longest path and a tail that `parse` takes whole.
fn cut<T>(rest: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Result<(Path<'_>, T), FrameError> {
    // No tail is longer than a revision and two varints, so only the last two cuts can be right.
    let most = rest.len() / SEGMENT_LEN;
    for segments in (most.saturating_sub(2)..=most).rev() {
        let Some((path, tail)) = rest.split_at_checked(segments * SEGMENT_LEN) else { continue };
        if let (Some(tail), Ok(path)) = (parse(tail), Path::from_bytes(path)) {
            return Ok((path, tail));
        }
    }
    Err(FrameError::new(ErrorClass::Name, "not the key of a real record"))
}
