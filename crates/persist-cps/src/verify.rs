//! Checking everything that ingestion kept: records against roots, frames against their hashes, cells against records.

use persist_api::{
    BeatNo, ErrorKind, Finding, FindingCode, Limits, Observer, Progress, Result, Scan, Severity,
};
use persist_frame::NewRecord;
use persist_store::{StoreView, beat_root};

use crate::kept::{self, KeptBranchFrame, KeptFrame};
use crate::keys::{self, FrameKey};
use crate::span::Cell;
use crate::{branch, ours};

/// What [`verify`] checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameVerifyStat {
    /// Frames whose root was computed anew.
    pub frames: u64,
    /// Frames from branch directories whose root was computed anew.
    pub imported: u64,
    /// The records of both.
    pub records: u64,
    /// Cells compared with the records they repeat.
    pub cells: u64,
    /// Blobs compared with their names.
    pub blobs: u64,
    /// Findings of severity `Damage`.
    pub damaged: u64,
    /// The newest beat, when it brought a frame and has a Merkle root, and that root was computed anew and fits.
    pub beat_root: Option<BeatNo>,
}

/// Checks every kept frame and every cell.
///
/// For each frame: its records are all there, their digests and the Merkle root over them give the kept root, the bytes
/// of the bare frame come out as they came in (this covers the trailer too), and each record's key leads to a cell that
/// is this record or a later one. For each cell: the record that it repeats is kept and equal. If the newest beat brought a
/// frame, the beat's own root in the header is computed anew, too. Damage is a finding, not an error. What lies below our
/// prefixes and is nothing that ingestion writes is somebody else's: a note, the first hundred one by one. `limits` are those
/// of the grant. Memory: a few times one frame.
///
/// # Errors
/// `Cancelled`, and failures other than damage.
pub fn verify(
    view: &StoreView,
    limits: &Limits,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<FrameVerifyStat> {
    let mut pass = Pass { view, limits, found, seen, stat: FrameVerifyStat::default(), done: 0, noted: 0 };
    pass.frames()?;
    pass.cells(keys::CELLS)?;
    pass.cells(keys::LONG_CELLS)?;
    pass.blobs()?;
    pass.notes_left_out();
    Ok(pass.stat)
}

/// What an application may have below our prefixes.
const NOT_OURS: &str = "not what ingestion writes under such a key";
/// So many keys of others are noted one by one.
const NOTES_MAX: u64 = 100;

struct Pass<'p> {
    view: &'p StoreView,
    limits: &'p Limits,
    found: &'p mut dyn FnMut(Finding),
    seen: &'p dyn Observer,
    stat: FrameVerifyStat,
    done: u64,
    noted: u64,
}

impl Pass<'_> {
    /// Notes a key that is somebody else's. An application may have very many.
    fn note(&mut self, key: &[u8], what: &str) {
        self.noted = self.noted.saturating_add(1);
        if self.noted <= NOTES_MAX {
            self.report(Severity::Note, what, place_of(key));
        }
    }

    fn notes_left_out(&mut self) {
        if let Some(more) = self.noted.checked_sub(NOTES_MAX).filter(|more| *more > 0) {
            let what = format!("{more} more keys that ingestion did not write");
            self.report(Severity::Note, what, "frame/, cell/, cell-long/, blob/");
        }
    }

    fn report(&mut self, severity: Severity, what: impl Into<String>, place: impl Into<String>) {
        let code = if severity == Severity::Note { FindingCode::Unknown } else { FindingCode::Record };
        self.found(Finding { severity, code, what: what.into(), place: place.into() });
    }

    fn found(&mut self, finding: Finding) {
        if finding.severity == Severity::Damage {
            self.stat.damaged = self.stat.damaged.saturating_add(1);
        }
        (self.found)(finding);
    }

    /// Damage becomes a finding and `None`; other failures stay failures.
    fn damage<T>(&mut self, result: Result<T>, place: impl FnOnce() -> String) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.report(Severity::Damage, error.context(), place());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn step(&mut self, records: u64) -> Result<()> {
        self.done = self.done.saturating_add(records);
        let progress = Progress { phase: "verify frames", done: self.done, total: None, unit: "records" };
        self.seen.step("verify", progress)
    }

    /// Walks from frame to frame, skipping their records: those are read with their frame.
    fn frames(&mut self) -> Result<()> {
        let view = self.view;
        let mut cursor = view.cursor(Scan::prefix(keys::FRAMES).keys_only())?;
        let mut more = cursor.advance()?;
        while more {
            let next = match FrameKey::parse(cursor.key()) {
                Some(FrameKey::Frame(beat)) => {
                    self.frame(beat)?;
                    after(beat)
                }
                Some(FrameKey::Record(beat, _)) => {
                    if self.has_records(beat)? {
                        let what = "records of a frame without its frame record";
                        self.report(Severity::Damage, what, at(beat));
                    } else {
                        self.note(cursor.key(), NOT_OURS);
                    }
                    after(beat)
                }
                None => {
                    let key = cursor.key();
                    self.note(key, "not a key that ingestion writes");
                    Some([key, &[0]].concat())
                }
            };
            more = match next {
                Some(next) => cursor.seek(&next)?,
                None => false,
            };
        }
        Ok(())
    }

    fn has_records(&mut self, beat: BeatNo) -> Result<bool> {
        let has = ours::has_records(self.view, beat);
        Ok(self.damage(has, || at(beat))?.unwrap_or(false))
    }

    fn frame(&mut self, beat: BeatNo) -> Result<()> {
        let key = keys::frame_key(beat);
        let Some(Some(value)) = self.damage(self.view.get(&key), || at(beat))? else { return Ok(()) };
        if !ours::is_frame_record(&value) && !self.has_records(beat)? {
            self.note(&key, NOT_OURS);
            return Ok(());
        }
        drop(value);
        let imported = kept::branch_frame(self.view, beat);
        match self.damage(imported, || at(beat))? {
            Some(Some(imported)) => return self.imported(&imported),
            Some(None) => {}
            None => return Ok(()),
        }
        let kept = kept::frame(self.view, beat);
        let Some(Some(kept)) = self.damage(kept, || at(beat))? else { return Ok(()) };
        self.step(u64::from(kept.note.records))?;
        let root = kept.root();
        match self.damage(root, || at(beat))? {
            Some(root) if root != kept.note.root => {
                let what = "the root is not that of the kept records";
                self.found(Finding::damage(FindingCode::Root, what, at(beat)));
            }
            Some(_) => {
                self.damage(kept.reassemble(), || at(beat))?;
            }
            None => return Ok(()),
        }
        self.stat.frames = self.stat.frames.saturating_add(1);
        self.stat.records = self.stat.records.saturating_add(u64::from(kept.note.records));
        self.beat_root(&kept)?;
        let Ok(records) = kept.records() else { return Ok(()) };
        self.newest(beat, records)
    }

    /// A frame from a branch directory: its records against the root that was computed at the import.
    fn imported(&mut self, kept: &KeptBranchFrame) -> Result<()> {
        let (beat, note) = (kept.beat, &kept.note);
        self.step(u64::from(note.records))?;
        let Some(root) = self.damage(kept.root(), || at(beat))? else { return Ok(()) };
        if root != note.root {
            self.report(Severity::Damage, "the root is not that of the kept records", at(beat));
        }
        let marked = branch::is_marked(self.view, note, beat);
        if self.damage(marked, || at(beat))? == Some(false) {
            let what = "the mark that this frame of a branch was imported is missing or names another beat";
            self.report(Severity::Damage, what, at(beat));
        }
        self.stat.imported = self.stat.imported.saturating_add(1);
        self.stat.records = self.stat.records.saturating_add(u64::from(note.records));
        let Ok(records) = kept.records() else { return Ok(()) };
        self.newest(beat, records)
    }

    /// A blob must be what its name says.
    fn blobs(&mut self) -> Result<()> {
        let view = self.view;
        let mut cursor = view.cursor(Scan::prefix(keys::BLOBS).keys_only())?;
        while cursor.advance()? {
            self.step(1)?;
            let key = cursor.key();
            if !ours::is_blob_key(key) {
                self.note(key, NOT_OURS);
                continue;
            }
            let Some(Some(value)) = self.damage(view.get(key), || place_of(key))? else { continue };
            if keys::blob_key(blake3::hash(&value).as_bytes()) != key {
                // Only branch directories bring blobs. Others name things by other hashes.
                if self.stat.imported == 0 {
                    self.note(key, NOT_OURS);
                    continue;
                }
                self.report(Severity::Damage, "the blob is not what its name says", place_of(key));
            }
            self.stat.blobs = self.stat.blobs.saturating_add(1);
        }
        Ok(())
    }

    /// The root in the header is over the commits of the newest beat. One that brought a frame can be made anew.
    fn beat_root(&mut self, kept: &KeptFrame) -> Result<()> {
        let header = *self.view.header();
        let Some(root) = header.root.filter(|_| header.beat == kept.beat && header.commits == 1) else {
            return Ok(());
        };
        let Some(log) = self.damage(kept.log(self.limits), || at(kept.beat))? else { return Ok(()) };
        if beat_root(&[log.leaf()]) == root {
            self.stat.beat_root = Some(kept.beat);
        } else {
            let place = format!("header of beat {}", kept.beat);
            let what = "the Merkle root is not that of the frame this beat brought";
            self.found(Finding::damage(FindingCode::Root, what, place));
        }
        Ok(())
    }

    /// Each record's key must lead to this record or to a later one.
    fn newest(&mut self, beat: BeatNo, records: Vec<NewRecord<'_>>) -> Result<()> {
        for (index, record) in (0_u32..).zip(records) {
            let place = || format!("{}, record {index}", at(beat));
            let value = kept::cell_value(self.view, record.key);
            let Some(value) = self.damage(value, place)? else { continue };
            let Some(value) = value else {
                self.report(Severity::Damage, "the cell of this record is missing", place());
                continue;
            };
            let Some(cell) = self.damage(Cell::decode(&value), place)? else { continue };
            if cell.record.key != record.key || (cell.beat, cell.index) < (beat, index) {
                self.report(
                    Severity::Damage,
                    "the cell of this record holds an older or another one",
                    place(),
                );
            }
        }
        Ok(())
    }

    fn cells(&mut self, prefix: &[u8]) -> Result<()> {
        let view = self.view;
        // Keys only, so that one damaged value does not end the walk.
        let mut cursor = view.cursor(Scan::prefix(prefix).keys_only())?;
        while cursor.advance()? {
            self.step(1)?;
            let key = cursor.key();
            let place = || place_of(key);
            let value = view.get(key);
            let Some(Some(value)) = self.damage(value, place)? else { continue };
            let Ok(cell) = Cell::decode(&value) else {
                // If a frame has a record with this key, its check has called this damage.
                self.note(key, "not the value of a cell");
                continue;
            };
            self.stat.cells = self.stat.cells.saturating_add(1);
            let own = [u64::MAX, 0].map(|limit| keys::cell_key(cell.record.key, limit));
            if !own.iter().any(|own| own == key) {
                self.report(Severity::Damage, "a cell under a key that is not its own", place());
                continue;
            }
            let origin = view.get(&keys::record_key(cell.beat, cell.index));
            match self.damage(origin, place)? {
                Some(Some(span)) if *span == *cell.span => {}
                Some(_) => {
                    self.report(Severity::Damage, "the record that this cell repeats is not kept", place());
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn place_of(key: &[u8]) -> String {
    format!("key \"{}\"", key.escape_ascii())
}

fn at(beat: BeatNo) -> String {
    format!("frame of beat {beat}")
}

/// Where the walk goes on after a frame.
fn after(beat: BeatNo) -> Option<Vec<u8>> {
    beat.0.checked_add(1).map(|next| keys::frame_key(BeatNo(next)))
}
