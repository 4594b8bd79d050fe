//! A kept record: the span of the frame's record, exactly as it was received.
//!
//! The span is everything but the checksum (kind, version, flags, lengths, key, body), so its BLAKE3 is the record's
//! Merkle leaf and the frame can be put together again from spans alone.

use persist_api::{BeatNo, Result};
use persist_frame::{NewRecord, RecordKind, varint};

use crate::error::corrupt;

/// Bytes before the span in the value of a cell: store beat and index of the record that it repeats.
pub(crate) const ORIGIN_LEN: usize = 12;

/// Takes a span apart.
///
/// # Errors
/// `Corrupt` when it is not exactly one span.
pub fn parse_span(span: &[u8]) -> Result<NewRecord<'_>> {
    parse(span).ok_or_else(|| corrupt("read_frame", "a kept record is not the span of a record"))
}

fn parse(span: &[u8]) -> Option<NewRecord<'_>> {
    let (&[kind, version, low, high], rest) = span.split_first_chunk()?;
    let (key_len, used) = varint::decode(rest).ok()?;
    let rest = rest.get(used..)?;
    let (body_len, used) = varint::decode(rest).ok()?;
    let rest = rest.get(used..)?;
    let (key, body) = rest.split_at_checked(usize::try_from(key_len).ok()?)?;
    if body.len() as u64 != body_len {
        return None;
    }
    Some(NewRecord { kind: RecordKind(kind), version, flags: u16::from_le_bytes([low, high]), key, body })
}

/// The newest record of a key, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The store's beat that brought it.
    pub beat: BeatNo,
    /// Its place in that frame, counted from 0.
    pub index: u32,
    /// The record's span, as it is kept under that beat and index.
    pub span: &'a [u8],
    /// The span taken apart; the key in it is whole, also where the cell lies under a hash.
    pub record: NewRecord<'a>,
}

impl<'a> Cell<'a> {
    /// Reads the value of a cell.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(value: &'a [u8]) -> Result<Self> {
        let short = || corrupt("read_cell", "the value of a cell is too short");
        let (beat, rest) = value.split_first_chunk().ok_or_else(short)?;
        let (index, span) = rest.split_first_chunk().ok_or_else(short)?;
        let (beat, index) = (BeatNo(u64::from_be_bytes(*beat)), u32::from_be_bytes(*index));
        Ok(Self { beat, index, span, record: parse_span(span)? })
    }

    /// Puts the value of a cell into `buffer`.
    pub(crate) fn encode(beat: BeatNo, index: u32, span: &[u8], buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.reserve(ORIGIN_LEN.saturating_add(span.len()));
        buffer.extend_from_slice(&beat.0.to_be_bytes());
        buffer.extend_from_slice(&index.to_be_bytes());
        buffer.extend_from_slice(span);
    }
}

#[cfg(test)]
mod tests {
    use persist_frame::{Frame, FrameCaps, FrameWriter, Limits, TrailerFields};

    use super::*;

    fn span() -> Vec<u8> {
        let mut writer =
            FrameWriter::new(TrailerFields { caps: FrameCaps::FRAME_TOC, ..TrailerFields::default() });
        let body = vec![9; 200];
        let record =
            NewRecord { flags: 0xBEEF, version: 3, ..NewRecord::new(RecordKind(0x20), b"key", &body) };
        writer.push(record).unwrap();
        let bytes = writer.finish().unwrap();
        let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
        let record = frame.record(0).unwrap();
        assert_eq!(parse_span(record.span()).unwrap(), NewRecord::from(record));
        record.span().to_vec()
    }

    #[test]
    fn a_span_gives_the_record_and_nothing_else_does() {
        let span = span();
        for end in 0..span.len() {
            assert!(parse_span(&span[..end]).is_err(), "cut at {end}");
        }
        assert!(parse_span(&[&span[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_cell_reads_back() {
        let span = span();
        let mut value = Vec::new();
        Cell::encode(BeatNo(5), 6, &span, &mut value);
        let cell = Cell::decode(&value).unwrap();
        assert_eq!((cell.beat, cell.index, cell.span), (BeatNo(5), 6, &span[..]));
        assert_eq!(cell.record.key, b"key");
        assert!(Cell::decode(&value[..11]).is_err());
    }
}
