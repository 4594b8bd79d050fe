//! The records of one frame and where its parts lie.

use std::cell::Cell;

use persist_api::{Error, ErrorKind, Result};
use persist_frame::body::PayloadChunk;
use persist_frame::{Checksum, Digest, Limits};

use super::import::OP;
use super::layout::{
    ENTRY_LEN, Entry, HEADER_LEN, PAYLOAD, PAYLOAD_HEADER_LEN, PayloadHeader, RecordHeader, TOC_HEADER_LEN,
    TOC_MAGIC, TRAILER_LEN, Trailer, key_hash, ordinal, toc_header,
};
use super::source::File;

/// The two files that frames lie in, and what reading them may cost.
pub(super) struct Files<'s> {
    pub(super) idx: File<'s>,
    pub(super) dat: File<'s>,
    pub(super) limits: Limits,
    /// Bytes that the search for frames may still look at.
    pub(super) budget: Cell<u64>,
}

impl Files<'_> {
    /// Takes from the budget; `false` when it is used up.
    pub(super) fn spend(&self, bytes: u64) -> bool {
        let left = self.budget.get().checked_sub(bytes);
        self.budget.set(left.unwrap_or(0));
        left.is_some()
    }

    pub(super) fn file(&self, in_dat: bool) -> &File<'_> {
        if in_dat { &self.dat } else { &self.idx }
    }
}

/// One record of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) in_dat: bool,
    /// Where the header begins.
    pub(super) at: u64,
    pub(super) header: RecordHeader,
    /// Whether the bytes of the header count, or one made from the table of contents.
    pub(super) as_stored: bool,
}

impl Located {
    fn head_len(&self) -> u64 {
        if self.in_dat { HEADER_LEN + PAYLOAD_HEADER_LEN } else { HEADER_LEN }
    }

    pub(super) fn key_at(&self) -> u64 {
        self.at.saturating_add(self.head_len())
    }

    pub(super) fn value_at(&self) -> u64 {
        self.key_at().saturating_add(u64::from(self.header.key_len))
    }

    pub(super) fn end(&self) -> u64 {
        self.key_at().saturating_add(self.header.content_len())
    }

    /// What kind of record of a frame this is; `None` for what no frame can hold, or not there.
    pub(super) fn kind(&self) -> Option<u8> {
        let rtype = self.header.rtype;
        u8::try_from(rtype).ok().filter(|_| self.in_dat == (rtype == PAYLOAD))
    }

    /// Reads key and value.
    pub(super) fn read(&self, files: &Files<'_>) -> Result<(Vec<u8>, Vec<u8>)> {
        let file = files.file(self.in_dat);
        // One by one: many keys are kept, and none with the room of its value.
        let key = file.bytes(self.key_at(), self.header.key_len.into())?.unwrap_or_default();
        let value = file.bytes(self.value_at(), self.header.value_len.into())?.unwrap_or_default();
        Ok((key, value))
    }

    /// The table entry that the original would write, flags aside.
    pub(super) fn entry(&self, key: &[u8]) -> Entry {
        Entry {
            key_hash: key_hash(key),
            record_at: self.at,
            value_at: self.value_at(),
            key_len: self.header.key_len,
            value_len: self.header.value_len,
            rtype: self.header.rtype,
            flags: 0,
        }
    }
}

/// How the records were located.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By the headers before them.
    Headers,
    /// By the table of contents.
    Toc,
    /// By the copy of the table in `branch.ckp`.
    Copy,
}

/// A frame whose records are what a digest says.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) shape: Shape,
    pub(super) located: Vec<Located>,
    pub(super) digest: Digest,
    pub(super) trailer: Trailer,
    pub(super) how: How,
}

/// Where the parts of a frame in `branch.idx` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) start: u64,
    pub(super) toc_at: u64,
    pub(super) count: u32,
}

impl Shape {
    pub(super) fn trailer_at(&self) -> u64 {
        let entries = u64::from(self.count).saturating_mul(ENTRY_LEN);
        self.toc_at.saturating_add(TOC_HEADER_LEN).saturating_add(entries)
    }

    pub(super) fn end(&self) -> u64 {
        self.trailer_at().saturating_add(TRAILER_LEN)
    }

    pub(super) fn trailer(&self, files: &Files<'_>) -> Result<Option<Trailer>> {
        Ok(files.idx.array(self.trailer_at())?.map(|bytes| Trailer::parse(&bytes)))
    }

    pub(super) fn entries(&self, files: &Files<'_>) -> Result<Vec<Entry>> {
        entries(files, &files.idx, self.toc_at.saturating_add(TOC_HEADER_LEN), self.count)
    }

    /// As many lines of the table as the end of the file leaves.
    pub(super) fn entries_left(&self, files: &Files<'_>) -> Result<Vec<Entry>> {
        let at = self.toc_at.saturating_add(TOC_HEADER_LEN);
        let left = files.idx.len.saturating_sub(at) / ENTRY_LEN;
        entries(files, &files.idx, at, u32::try_from(left).unwrap_or(u32::MAX).min(self.count))
    }
}

/// A table of contents; empty if it is not all inside the file, or of more records than a frame may have: a file with holes is
/// as long as one likes.
pub(super) fn entries(files: &Files<'_>, file: &File<'_>, at: u64, count: u32) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let len = u64::from(count).saturating_mul(ENTRY_LEN);
    if count > files.limits.records || !file.holds(at, len) {
        return Ok(entries);
    }
    if entries.try_reserve_exact(count as usize).is_err() {
        let what = format!("no memory for a table of {count} records in {}", file.name);
        return Err(Error::new(ErrorKind::TooLarge, OP, what));
    }
    let mut at = at;
    for _ in 0..count {
        let Some(bytes) = file.array(at)? else { break };
        entries.push(Entry::parse(&bytes));
        at = at.saturating_add(ENTRY_LEN);
    }
    Ok(entries)
}

/// What else the branch knows about a frame that begins at some place.
#[derive(Debug, Clone, Default)]
pub(super) struct Hints {
    /// Digests of it outside its own trailer.
    pub(super) digests: Vec<Digest>,
    /// Copies of its table of contents.
    pub(super) copies: Vec<Vec<Entry>>,
    /// Where its records in `branch.dat` may begin.
    pub(super) dat_starts: Vec<u64>,
    /// What its trailer said, for one that the end of the file cuts off.
    pub(super) trailer: Option<Trailer>,
}

/// Follows record headers in `branch.idx` from `start` to a table of contents.
pub(super) fn follow(files: &Files<'_>, start: u64) -> Result<Option<Shape>> {
    let mut records = 0_u32;
    let mut at = start;
    loop {
        let Some(head) = files.idx.array(at)? else { return Ok(None) };
        let (word, count) = toc_header(head);
        if word == TOC_MAGIC {
            return Ok(Some(Shape { start, toc_at: at, count }));
        }
        let Some(record) = record_at(files, at, false)? else { return Ok(None) };
        if records >= files.limits.records || !files.spend(HEADER_LEN) {
            return Ok(None);
        }
        at = record.end();
        records = records.saturating_add(1);
    }
}

/// The record whose header stands here; `None` when it is not all inside the file.
pub(super) fn record_at(files: &Files<'_>, at: u64, in_dat: bool) -> Result<Option<Located>> {
    let file = files.file(in_dat);
    let Some(bytes) = file.array(at)? else { return Ok(None) };
    let record = Located { in_dat, at, header: RecordHeader::parse(&bytes), as_stored: true };
    let len = record.end().saturating_sub(at);
    Ok(file.holds(at, len).then_some(record))
}

/// Both magics stand where they should and agree on the number of records.
pub(super) fn claims_to_be_whole(files: &Files<'_>, shape: Shape, trailer: &Trailer) -> Result<bool> {
    let head = files.idx.array(shape.toc_at)?.map(toc_header);
    Ok(head == Some((TOC_MAGIC, shape.count))
        && trailer.magic == super::layout::TRAILER_MAGIC
        && trailer.count == shape.count)
}

/// Every line of the table points somewhere else than into this frame: these are bytes of another frame, copied. What
/// comes again at a later place must not pass for newer.
pub(super) fn moved(toc: &[Entry], shape: Shape) -> bool {
    let inside = |at: u64| at >= shape.start && at <= shape.toc_at;
    let structural = || toc.iter().filter(|entry| !entry.is_payload());
    structural().next().is_some()
        && structural().all(|entry| !inside(entry.record_at) && !inside(entry.value_at))
}

/// Both headers of a payload record, as the original makes them from key and value.
pub(super) fn payload_head(
    header: &RecordHeader,
    key: &[u8],
    value: &[u8],
    mode: Checksum,
) -> Option<(RecordHeader, PayloadHeader)> {
    let chunk = PayloadChunk::decode(value).ok()?;
    let flags = u32::from(chunk.payload_kind.number()) | u32::from(chunk.aead_mode.number()) << 8;
    let payload = PayloadHeader {
        key_hash: key_hash(key),
        offset: chunk.chunk_offset,
        total: chunk.total_size,
        ordinal: ordinal(key)?,
        size: u32::try_from(chunk.chunk_size).ok()?,
        checksum: mode.of(chunk.data),
    };
    Some((RecordHeader { rtype: PAYLOAD, flags, ..*header }, payload))
}

/// The stored headers of a payload record.
pub(super) fn stored_payload_head(
    files: &Files<'_>,
    record: &Located,
) -> Result<Option<(RecordHeader, PayloadHeader)>> {
    let header = files.dat.array(record.at)?.map(|bytes| RecordHeader::parse(&bytes));
    let payload = files.dat.array(record.at.saturating_add(HEADER_LEN))?;
    Ok(header.zip(payload.map(|bytes| PayloadHeader::parse(&bytes))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::branch::survey;
    use crate::branch::watch::Watch;

    #[test]
    fn a_key_takes_no_memory_of_its_value() {
        let header = RecordHeader { rtype: 1, key_len: 3, value_len: 10_000, flags: 0 };
        let record = Located { in_dat: false, at: 0, header, as_stored: true };
        let bytes = [&header.encode()[..], b"key", &[7; 10_000]].concat();
        let dir = BTreeMap::from([("branch.idx".to_owned(), bytes)]);
        let watch = Watch::new(&persist_api::Quiet);
        let files = survey::open(&dir, survey::BranchLimits::default(), &watch).unwrap();
        let (key, value) = record.read(&files).unwrap();
        assert_eq!((&key[..], value), (&b"key"[..], vec![7; 10_000]));
        assert!(key.capacity() < 100, "{}", key.capacity());
    }
}
