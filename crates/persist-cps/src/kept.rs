//! Reading back what ingestion kept: frames, cells, and the original bytes.

use std::ops::{ControlFlow, Range};

use persist_api::{BeatNo, Error, ErrorKind, Limits as StoreLimits, Result, Scan, Value};
use persist_frame::{Digest, Frame, FrameWriter, Limits, NewRecord, merkle};
use persist_store::{BeatLog, StoreView};

use crate::branch::BranchNote;
use crate::error::corrupt;
use crate::keys::{self, FrameKey};
use crate::note::FrameNote;
use crate::plan;
use crate::span::parse_span;

/// A frame as it is kept under one beat of the store.
#[derive(Debug, Clone)]
pub struct KeptFrame {
    /// The store's beat that brought it.
    pub beat: BeatNo,
    /// What is kept beside the records.
    pub note: FrameNote,
    kept: Spans,
}

/// A frame from a branch directory, as it is kept under one beat of the store.
#[derive(Debug, Clone)]
pub struct KeptBranchFrame {
    /// The store's beat that brought it.
    pub beat: BeatNo,
    /// What is kept beside the records.
    pub note: BranchNote,
    kept: Spans,
}

/// The kept records of a frame, one after the other.
#[derive(Debug, Clone)]
struct Spans {
    beat: BeatNo,
    arena: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

/// What is known about the frame that arrived with this beat; `None` when the beat brought none.
///
/// # Errors
/// `Corrupt`; `Unsupported` for a frame from a branch directory ([`branch_frame`] reads those); and what reading gives.
pub fn note(view: &StoreView, beat: BeatNo) -> Result<Option<FrameNote>> {
    match view.get(&keys::frame_key(beat))? {
        Some(value) if BranchNote::is_one(&value) => {
            let context = "the frame of this beat came from a branch directory, which keeps records only: there is no \
                           trailer to give back";
            Err(Error::new(ErrorKind::Unsupported, "read_frame", context).with_beat(beat))
        }
        Some(value) => FrameNote::decode(&value).map(Some).map_err(|error| error.with_beat(beat)),
        None => Ok(None),
    }
}

/// The frame that this beat brought from a branch directory, records included; `None` when it brought none from there.
/// Takes as much memory as its records.
///
/// # Errors
/// `Corrupt` when records are missing or there are others, and what reading gives.
pub fn branch_frame(view: &StoreView, beat: BeatNo) -> Result<Option<KeptBranchFrame>> {
    let Some(value) = view.get(&keys::frame_key(beat))?.filter(|value| BranchNote::is_one(value)) else {
        return Ok(None);
    };
    let note = BranchNote::decode(&value).map_err(|error| error.with_beat(beat))?;
    let kept = Spans::read(view, beat, note.records, note.span_bytes)?;
    Ok(Some(KeptBranchFrame { beat, note, kept }))
}

impl KeptBranchFrame {
    /// The records, in the frame's order.
    ///
    /// # Errors
    /// `Corrupt` naming the first that cannot be read.
    pub fn records(&self) -> Result<Vec<NewRecord<'_>>> {
        self.kept.records()
    }

    /// The Merkle root, computed anew from the kept records.
    ///
    /// # Errors
    /// `Corrupt` when a record cannot be read.
    pub fn root(&self) -> Result<Digest> {
        self.kept.root()
    }
}

/// The frame that arrived with this beat, records included; `None` when the beat brought none. Takes as much memory as
/// the bare frame.
///
/// # Errors
/// `Corrupt` when records are missing or there are others, and what reading gives.
pub fn frame(view: &StoreView, beat: BeatNo) -> Result<Option<KeptFrame>> {
    let Some(note) = note(view, beat)? else { return Ok(None) };
    let kept = Spans::read(view, beat, note.records, note.bare_bytes)?;
    Ok(Some(KeptFrame { beat, note, kept }))
}

impl Spans {
    /// Reads so many records, which must not have more than `bytes_max` bytes together.
    fn read(view: &StoreView, beat: BeatNo, records: u32, bytes_max: u64) -> Result<Self> {
        let mut kept = Self { beat, arena: Vec::new(), ranges: Vec::new() };
        let prefix = keys::records_prefix(beat);
        let mut failed = Ok(());
        view.scan(Scan::prefix(&prefix), |key, span| match kept.push(key, span, bytes_max) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        })?;
        failed?;
        if kept.ranges.len() as u64 != u64::from(records) {
            let what = format!("{} records are kept, the frame had {records}", kept.ranges.len());
            return Err(corrupt("read_frame", what).with_beat(beat));
        }
        Ok(kept)
    }

    fn push(&mut self, key: &[u8], span: &[u8], bytes_max: u64) -> Result<()> {
        let expected = u32::try_from(self.ranges.len()).ok().map(|index| FrameKey::Record(self.beat, index));
        if FrameKey::parse(key) != expected {
            let what = format!("\"{}\" is where record {} should be", key.escape_ascii(), self.ranges.len());
            return Err(corrupt("read_frame", what).with_beat(self.beat));
        }
        let start = self.arena.len();
        // The spans of a frame are a part of it, so this also bounds the memory.
        if start.saturating_add(span.len()) as u64 > bytes_max {
            let what = format!("the kept records exceed the frame's {bytes_max} bytes");
            return Err(corrupt("read_frame", what).with_beat(self.beat));
        }
        self.arena.extend_from_slice(span);
        self.ranges.push(start..self.arena.len());
        Ok(())
    }

    fn spans(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ranges.iter().map(|range| self.arena.get(range.clone()).unwrap_or_default())
    }

    fn records(&self) -> Result<Vec<NewRecord<'_>>> {
        self.spans().map(parse_span).collect::<Result<_>>().map_err(|error| error.with_beat(self.beat))
    }

    fn root(&self) -> Result<Digest> {
        let records = self.records()?;
        let leaves = self.spans().map(|span| *blake3::hash(span).as_bytes()).collect();
        Ok(merkle::frame_root(leaves, |index| records.get(index).map_or(&[][..], |record| record.key)))
    }
}

impl KeptFrame {
    /// The spans of the records, in the frame's order.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.kept.spans()
    }

    /// The records, in the frame's order.
    ///
    /// # Errors
    /// `Corrupt` naming the first that cannot be read.
    pub fn records(&self) -> Result<Vec<NewRecord<'_>>> {
        self.kept.records()
    }

    /// The Merkle root, computed anew from the kept records.
    ///
    /// # Errors
    /// `Corrupt` when a record cannot be read.
    pub fn root(&self) -> Result<Digest> {
        self.kept.root()
    }

    /// The commit that stored this frame, made anew: the same operations, so the same Merkle leaf.
    ///
    /// # Errors
    /// `Corrupt` when a record cannot be read.
    pub fn log(&self, limits: &StoreLimits) -> Result<BeatLog> {
        let records = self.records()?;
        let keys = records.iter().map(|record| record.key);
        plan::log_of(self.beat, &self.note, keys.zip(self.spans()), limits)
    }

    /// The frame as it came, in its container if it had one.
    ///
    /// # Errors
    /// `Corrupt` when the kept parts do not give the bare bytes that came; `Unsupported` when they do, but the container
    /// was compressed by something else than zlib at level 1, so that its bytes cannot be made again.
    pub fn reassemble_received(&self) -> Result<Vec<u8>> {
        let bytes = self.write()?;
        if self.note.came_in_container() {
            self.check_bare(self.unwrap(&bytes)?.bare_bytes())?;
            if *blake3::hash(&bytes).as_bytes() != self.note.received_blake3 {
                let context =
                    "the container was compressed in another way; only the bare frame can be given back";
                return Err(Error::new(ErrorKind::Unsupported, "reassemble", context).with_beat(self.beat));
            }
            return Ok(bytes);
        }
        self.check_bare(&bytes)?;
        Ok(bytes)
    }

    /// The bare frame, byte for byte as it came.
    ///
    /// # Errors
    /// `Corrupt` when the kept parts do not give those bytes.
    pub fn reassemble(&self) -> Result<Vec<u8>> {
        let bytes = self.write()?;
        if !self.note.came_in_container() {
            self.check_bare(&bytes)?;
            return Ok(bytes);
        }
        let bare = self.unwrap(&bytes)?.bare_bytes().to_vec();
        self.check_bare(&bare)?;
        Ok(bare)
    }

    fn write(&self) -> Result<Vec<u8>> {
        let failed = |error: persist_frame::FrameError| {
            corrupt("reassemble", error.to_string()).with_beat(self.beat).with_source(error)
        };
        let mut writer = FrameWriter::with_limits(self.note.fields, unlimited());
        for record in self.records()? {
            writer.push(record).map_err(failed)?;
        }
        writer.finish().map_err(failed)
    }

    fn unwrap<'b>(&self, container: &'b [u8]) -> Result<Frame<'b>> {
        Frame::parse(container, &unlimited())
            .map_err(|error| corrupt("reassemble", error.to_string()).with_beat(self.beat).with_source(error))
    }

    fn check_bare(&self, bare: &[u8]) -> Result<()> {
        if bare.len() as u64 == self.note.bare_bytes
            && *blake3::hash(bare).as_bytes() == self.note.bare_blake3
        {
            return Ok(());
        }
        Err(corrupt("reassemble", "the kept parts do not give the frame that came").with_beat(self.beat))
    }
}

/// The bare frame that arrived with this beat, byte for byte as it came.
///
/// # Errors
/// `Invalid` when the beat brought no frame; `Corrupt` when what is kept does not give the bytes that came.
pub fn reassemble(view: &StoreView, beat: BeatNo) -> Result<Vec<u8>> {
    let missing = || Error::new(ErrorKind::Invalid, "reassemble", "no frame arrived with this beat");
    frame(view, beat)?.ok_or_else(|| missing().with_beat(beat))?.reassemble()
}

/// The value of the cell with this frame key ([`Cell::decode`](crate::Cell::decode) reads it); `None` when no frame
/// brought that key.
///
/// # Errors
/// What reading gives.
pub fn cell_value<'v>(view: &'v StoreView, key: &[u8]) -> Result<Option<Value<'v>>> {
    let direct = keys::cell_key(key, u64::MAX);
    if let Some(value) = view.get(&direct)? {
        return Ok(Some(value));
    }
    // Written while the engine took shorter keys only.
    let hashed = keys::cell_key(key, 0);
    if hashed == direct { Ok(None) } else { view.get(&hashed) }
}

/// Kept frames were within the limits of whoever ingested them.
fn unlimited() -> Limits {
    Limits { input_bytes: u64::MAX, frame_bytes: u32::MAX, records: u32::MAX, key_bytes: u32::MAX }
}
