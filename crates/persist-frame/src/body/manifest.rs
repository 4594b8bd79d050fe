//! `manifest_delta` and `manifest_history`: one page of a cell's children. Despite the name, a page is a full
//! listing and not a difference.

use super::{EntryOp, Marks, Revision};
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::name::{SEGMENT_LEN, Segment};
use crate::varint;

/// Operation, segment, marks and revision.
const ENTRY_LEN: usize = 1 + SEGMENT_LEN + 2 + 16;

/// One page of children, in the order in which the store walks them (which need not be sorted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// Modification stamp of the store, or the stamp of the snapshot in a history.
    pub epoch: u64,
    /// 1 for stores organised by hash, else 0.
    pub range_kind: u8,
    /// First child of this page; none if there are no children.
    pub range_min: Option<Segment>,
    /// First child of the next page; none on the last page.
    pub range_max: Option<Segment>,
    entries: &'a [u8],
}

/// One child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Whether it is there.
    pub op: EntryOp,
    /// Its name.
    pub name: Segment,
    /// Tombstone and veil.
    pub marks: Marks,
    /// Its fingerprint, little-endian, and eight zero bytes; all zero for a child that is gone.
    pub revision: Revision,
}

impl ManifestEntry {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, FrameError> {
        let op = EntryOp::read(cursor)?;
        let name = Segment::read(cursor)?;
        let marks = Marks::read(cursor)?;
        let revision = cursor.array("entry revision")?;
        Ok(Self { op, name, marks, revision })
    }

    /// Appends the 36 bytes of the entry.
    pub fn append(&self, out: &mut Vec<u8>) {
        out.push(self.op.number());
        out.extend_from_slice(&self.name.to_bytes());
        out.extend_from_slice(&self.marks.mask().to_le_bytes());
        out.extend_from_slice(&self.revision);
    }
}

impl<'a> Manifest<'a> {
    /// A page over entries that were appended with [`ManifestEntry::append`]; anything else is refused.
    pub fn new(
        epoch: u64,
        range_kind: u8,
        range: (Option<Segment>, Option<Segment>),
        entries: &'a [u8],
    ) -> Result<Self, FrameError> {
        check_range_kind(range_kind, 0)?;
        let mut cursor = Cursor::new(entries, 0, ErrorClass::Body);
        while cursor.remaining() > 0 {
            ManifestEntry::read(&mut cursor)?;
        }
        Ok(Self { epoch, range_kind, range_min: range.0, range_max: range.1, entries })
    }

    /// Decodes a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(body, 0, ErrorClass::Body);
        let epoch = cursor.varint("epoch")?;
        let at = cursor.offset();
        let range_kind = cursor.u8("range kind")?;
        check_range_kind(range_kind, at)?;
        let range_min = read_bound(&mut cursor, "range start")?;
        let range_max = read_bound(&mut cursor, "range end")?;
        let count = cursor.varint("entry count")?;
        let entries = cursor.rest();
        if count.checked_mul(ENTRY_LEN as u64) != Some(entries.len() as u64) {
            let message = format!("{count} entries in {} bytes", entries.len());
            return Err(cursor.error(ErrorClass::Body, message));
        }
        while cursor.remaining() > 0 {
            ManifestEntry::read(&mut cursor)?;
        }
        Ok(Self { epoch, range_kind, range_min, range_max, entries })
    }

    /// The children.
    pub fn entries(&self) -> ManifestEntries<'a> {
        ManifestEntries(self.entries.as_chunks().0.iter())
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len().saturating_add(64));
        varint::encode(self.epoch, &mut out);
        out.push(self.range_kind);
        for bound in [self.range_min, self.range_max] {
            match bound {
                Some(segment) => {
                    varint::encode(SEGMENT_LEN as u64, &mut out);
                    out.extend_from_slice(&segment.to_bytes());
                }
                None => varint::encode(0, &mut out),
            }
        }
        varint::encode((self.entries.len() / ENTRY_LEN) as u64, &mut out);
        out.extend_from_slice(self.entries);
        out
    }
}

/// The children of one page.
#[derive(Debug, Clone)]
pub struct ManifestEntries<'a>(std::slice::Iter<'a, [u8; ENTRY_LEN]>);

impl Iterator for ManifestEntries<'_> {
    type Item = ManifestEntry;

    fn next(&mut self) -> Option<ManifestEntry> {
        let entry = self.0.next()?;
        ManifestEntry::read(&mut Cursor::new(entry, 0, ErrorClass::Body)).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for ManifestEntries<'_> {}

fn check_range_kind(range_kind: u8, at: u64) -> Result<(), FrameError> {
    if range_kind > 1 {
        return Err(FrameError::at(ErrorClass::Body, at, format!("range kind {range_kind} is not defined")));
    }
    Ok(())
}

fn read_bound(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Option<Segment>, FrameError> {
    let at = cursor.offset();
    match cursor.varint(what)? {
        0 => Ok(None),
        len if len == SEGMENT_LEN as u64 => Segment::read(cursor).map(Some),
        len => Err(FrameError::at(ErrorClass::Body, at, format!("{what} of {len} bytes"))),
    }
}
