//! From a frame's bytes to a commit, without touching a store: every check comes before the first write.

use persist_api::{BeatNo, Caps, Error, ErrorKind, Limits as StoreLimits, Result};
use persist_frame::body::Body;
use persist_frame::name::{NameId, Naming, Segment};
use persist_frame::path::{Path, RecordKey};
use persist_frame::{ApplyMode, Frame, Limits, Record, RecordKind};
use persist_store::BeatLog;

use crate::note::FrameNote;
use crate::span::Cell;
use crate::{caps, error, keys};

/// Which bodies must decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyRule {
    /// Those of records whose key is the key of their kind (kind, path of a cell, page or ordinal; or the number of a
    /// name). Nobody looks for cells under any other key, so what lies there is kept as it is and only counted.
    #[default]
    Cells,
    /// All.
    All,
}

/// How to ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestOptions {
    /// What the reader may spend on a frame.
    pub limits: Limits,
    /// Which bodies must decode.
    pub bodies: BodyRule,
}

/// A frame that passed every check and is ready to become a commit.
#[derive(Debug)]
pub struct Plan<'a> {
    frame: Frame<'a>,
    note: FrameNote,
    opaque: u32,
}

impl<'a> Plan<'a> {
    /// Checks a frame, bare or in a container, for a store that grants `granted`: the rules of the frame, then policy
    /// (unknown capability bits, record kinds and versions, capabilities that the store lacks), then the apply mode,
    /// then the bodies.
    ///
    /// # Errors
    /// `Corrupt` with class and offset when the frame breaks a rule, `TooLarge` beyond the reader's limits, `Refused`
    /// (CAPABILITY_MISMATCH) naming everything unknown or missing, `Unsupported` for apply mode 2.
    pub fn new(input: &'a [u8], granted: Caps, options: &IngestOptions) -> Result<Self> {
        let frame = Frame::parse(input, &options.limits).map_err(error::refused)?;
        frame.policy().into_result().map_err(error::refused)?;
        let fields = frame.trailer().fields;
        caps::check(fields.caps, granted)?;
        if fields.apply_mode == ApplyMode::Upsert {
            let context = "apply mode 2 (upsert with compare-and-swap) is not implemented";
            return Err(Error::new(ErrorKind::Unsupported, "ingest", context));
        }
        let opaque = check_bodies(&frame, options.bodies)?;
        let note = FrameNote::of(&frame, input);
        Ok(Self { frame, note, opaque })
    }

    /// The frame record as it will be kept.
    pub fn note(&self) -> &FrameNote {
        &self.note
    }

    /// The frame.
    pub fn frame(&self) -> &Frame<'a> {
        &self.frame
    }

    /// Records whose bodies nobody looked into, because their keys are not those of their kinds.
    pub fn opaque_records(&self) -> u32 {
        self.opaque
    }

    /// The commit that stores this frame as the store's beat `beat`: the frame record, every record as received, and
    /// each record again as the newest of its key.
    ///
    /// # Errors
    /// `TooLarge` when a record exceeds what a commit can carry.
    pub fn log(&self, beat: BeatNo, limits: &StoreLimits) -> Result<BeatLog> {
        let records = self.frame.records().map(|record| (record.key(), record.span()));
        log_of(beat, &self.note, records, limits)
    }
}

/// The operations that store a frame: `records` are keys and spans, in the frame's order.
pub(crate) fn log_of<'r>(
    beat: BeatNo,
    note: &FrameNote,
    records: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    limits: &StoreLimits,
) -> Result<BeatLog> {
    let mut log = BeatLog::new();
    log.put(&keys::frame_key(beat), &note.encode())?;
    let mut cell = Vec::new();
    for (index, (key, span)) in (0_u32..).zip(records) {
        log.put(&keys::record_key(beat, index), span)?;
        Cell::encode(beat, index, span, &mut cell);
        log.put(&keys::cell_key(key, limits.key_bytes_max), &cell)?;
    }
    Ok(log)
}

/// Decodes the bodies that must decode; says how many were left alone.
fn check_bodies(frame: &Frame<'_>, rule: BodyRule) -> Result<u32> {
    let mut opaque = 0_u32;
    for (index, record) in frame.records().enumerate() {
        if rule == BodyRule::Cells && !is_cell_key(&record) {
            opaque = opaque.saturating_add(1);
            continue;
        }
        Body::decode(&record).map_err(|failure| {
            let context =
                format!("record {index} ({}) at byte {}: {failure}", record.kind(), record.offset());
            let kind = error::kind_of(failure.class());
            error::advised(Error::new(kind, "ingest", context).with_source(failure))
        })?;
    }
    Ok(opaque)
}

/// Whether the record lies where a reader of cells would look for a record of its kind.
fn is_cell_key(record: &Record<'_>) -> bool {
    // The frame layer has decoded these, whatever their keys are.
    if record.kind() == RecordKind::PAYLOAD_CHUNK {
        return true;
    }
    let Ok(key) = RecordKey::decode(record.key()) else { return false };
    let is_a_place = match key {
        RecordKey::NamepoolDelta(id) => NameId(id).naming() == Some(Naming::Reference),
        RecordKey::CellDesc(path)
        | RecordKey::PayloadChunk(path, _)
        | RecordKey::ManifestDelta(path, _)
        | RecordKey::OrderDelta(path, _, _)
        | RecordKey::PayloadHistory(path, _, _)
        | RecordKey::ManifestHistory(path, _, _) => names_a_cell(path),
    };
    is_a_place && key.kind() == record.kind()
}

/// At least one segment, and names that can be names in every one.
fn names_a_cell(path: Path<'_>) -> bool {
    let named = |segment: Segment| segment.domain.naming().is_some() && segment.tag.naming().is_some();
    !path.as_bytes().is_empty() && path.segments().all(named)
}
