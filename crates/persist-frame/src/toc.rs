//! The table of contents in a trailer: kind, key and offset of every record, or nothing at all.

use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::record::{Place, RecordKind};
use crate::varint;

/// Kind, key length and offset take a byte each at least.
const SHORTEST_ENTRY: u64 = 3;

/// The table of contents, compared with the records while it was read.
#[derive(Debug)]
pub(crate) struct Toc {
    offset: u64,
    /// Entries, as declared and as found.
    pub(crate) count: u64,
    /// Number and offset of the first entry that is not that of the record with its number.
    mismatch: Option<(u64, u64)>,
}

impl Toc {
    /// Reads the table and compares it with the records. Nothing is stored, so a declared count costs nothing. A
    /// mismatch is kept for later: whether there may be entries at all is said behind the table.
    pub(crate) fn read(cursor: &mut Cursor<'_>, bytes: &[u8], places: &[Place]) -> Result<Self, FrameError> {
        let offset = cursor.offset();
        let count = cursor.varint("table of contents")?;
        if count > cursor.remaining() as u64 / SHORTEST_ENTRY {
            let message = format!("{count} entries do not fit into {} bytes", cursor.remaining());
            return Err(cursor.error(ErrorClass::Toc, message));
        }
        cursor.set_lack(ErrorClass::Toc);
        let mut mismatch = None;
        let mut places = places.iter();
        for index in 0..count {
            let at = cursor.offset();
            let kind = RecordKind(cursor.u8("entry kind")?);
            let key = cursor.prefixed("entry key")?;
            let offset = cursor.varint("entry offset")?;
            let matches = places.next().is_some_and(|place| {
                offset == place.offset() && kind == place.kind(bytes) && key == place.key(bytes)
            });
            if !matches && mismatch.is_none() {
                mismatch = Some((index, at));
            }
        }
        cursor.set_lack(ErrorClass::Truncated);
        Ok(Self { offset, count, mismatch })
    }

    /// There must be `expected` entries, one for each record in its place.
    pub(crate) fn check(&self, expected: usize) -> Result<(), FrameError> {
        if self.count != expected as u64 {
            let message = format!("{} entries instead of {expected}", self.count);
            return Err(FrameError::at(ErrorClass::TocMismatch, self.offset, message));
        }
        match self.mismatch {
            Some((index, at)) => {
                let message = format!("entry {index} is not that of record {index}");
                Err(FrameError::at(ErrorClass::TocMismatch, at, message))
            }
            None => Ok(()),
        }
    }
}

/// Appends the table: the count and an entry for each place.
pub(crate) fn append(bytes: &[u8], places: &[Place], out: &mut Vec<u8>) {
    varint::encode(places.len() as u64, out);
    for place in places {
        let key = place.key(bytes);
        out.push(place.kind(bytes).0);
        varint::encode(key.len() as u64, out);
        out.extend_from_slice(key);
        varint::encode(place.offset(), out);
    }
}
