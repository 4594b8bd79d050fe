//! From a survey into a store: each verified frame one beat, oldest first; then the blobs.

use persist_api::{BeatNo, Durability, Error, ErrorKind, Limits as StoreLimits, Observer, Progress, Result};
use persist_frame::{Digest, merkle, varint};
use persist_store::{BeatLog, Store, StoreView, Writer};

use super::cas;
use super::finding::Findings;
use super::fits::{self, BEAT_OWN, Extra};
use super::hints::Beside;
use super::marks;
use super::note::BranchNote;
use super::records::Verified;
use super::source::{BranchSource, File};
use super::survey::{self, BranchFrame, BranchSurvey};
use super::watch::Watch;
use crate::caps::REQUIRED;
use crate::span::Cell;
use crate::{keys, ours};

/// Bytes of blobs that go into one beat, unless one alone is longer.
const BLOB_BEAT_BYTES: u64 = 8 << 20;

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BranchImported {
    /// Frames imported, each as one beat.
    pub frames: u64,
    /// Frames that an earlier import of this branch had brought.
    pub frames_present: u64,
    /// Blobs imported.
    pub blobs: u64,
    /// Blobs that were there already.
    pub blobs_present: u64,
    /// The first and the last beat of this import.
    pub beats: Option<(BeatNo, BeatNo)>,
}

/// Imports what a survey of the same branch found good. All checks of the branch come before the first write. A frame is
/// one beat, so an import that is interrupted has brought whole frames, and the next one goes on from there.
///
/// What is imported counts as newer than everything that the store holds already. Nobody else may commit meanwhile.
///
/// # Errors
/// `Conflict` when the store has newer frames of this branch but lacks one that would have to come before, or has frames that
/// may be of this branch or of another one, because an identity is not known, or when something else lies where a frame would be
/// kept; `TooLarge` when the store cannot hold a record, a frame's beat or a blob (nothing is written then); `Corrupt` when the branch changed since
/// the survey; `Refused` when the store grants too little; and those of [`Writer::commit`].
pub fn import_branch(
    writer: &mut Writer,
    store: &Store,
    source: &dyn BranchSource,
    survey: &BranchSurvey,
    durability: Durability,
    seen: &dyn Observer,
) -> Result<BranchImported> {
    let session = &store.grant().session;
    let missing = REQUIRED - session.caps;
    if !missing.is_empty() {
        let context = format!("CAPABILITY_MISMATCH: an import needs {} of the store", missing.names());
        return Err(Error::new(ErrorKind::Refused, OP, context));
    }
    let limits = session.limits;
    let view = store.view()?;
    let present = marks::present(&view, survey)?;
    let (_, frames) = survey.frames.split_at_checked(present).unwrap_or_default();
    let blobs = new_blobs(&view, survey)?;
    if let Some(more) = frames.len().checked_sub(1) {
        let first = BeatNo(view.header().beat.0.saturating_add(1));
        ours::check_free(&view, OP, first, more as u64)?;
    }
    drop(view);
    fits::check_all(frames, blobs.iter().map(|(_, bytes)| *bytes), &limits, Extra::of(store))?;
    let blobs_present = survey.blobs.len().saturating_sub(blobs.len()) as u64;
    let done = BranchImported { frames_present: present as u64, blobs_present, ..BranchImported::default() };
    let seen = &Watch::new(seen);
    let mut import = Import { writer, store, limits, durability, seen, done };
    import.frames(source, survey, frames)?;
    import.blobs(source, survey, &blobs)?;
    Ok(import.done)
}

pub(super) const OP: &str = "import_branch";

struct Import<'i> {
    writer: &'i mut Writer,
    store: &'i Store,
    limits: StoreLimits,
    durability: Durability,
    seen: &'i Watch<'i>,
    done: BranchImported,
}

impl Import<'_> {
    fn step(&self, phase: &'static str, done: usize, total: usize, unit: &'static str) -> Result<()> {
        self.seen.step(Progress { phase, done: done as u64, total: Some(total as u64), unit })
    }

    fn note_beat(&mut self, beat: BeatNo) {
        let first = self.done.beats.map_or(beat, |(first, _)| first);
        self.done.beats = Some((first, beat));
    }

    fn frames(
        &mut self,
        source: &dyn BranchSource,
        survey: &BranchSurvey,
        frames: &[BranchFrame],
    ) -> Result<()> {
        let files = survey::open(source, survey.limits, self.seen)?;
        let copies = File::open(source, "branch.ckp", self.seen)?;
        let beside = Beside::read(source, &files, &copies, &mut Findings::default(), self.seen)?;
        for (done, frame) in frames.iter().enumerate() {
            self.step("import frames", done, frames.len(), "frames")?;
            let verified = survey::again(&files, &copies, &beside, frame)?;
            let key_bytes_max = self.limits.key_bytes_max;
            let log = |beat| {
                // Somebody may have committed since the first look.
                ours::check_free(&self.store.view()?, OP, beat, 0)?;
                frame_log(beat, survey, frame, &verified, &files, key_bytes_max)
            };
            let beat = self.writer.commit_with(self.durability, log)?.beat;
            self.note_beat(beat);
            self.done.frames = self.done.frames.saturating_add(1);
        }
        Ok(())
    }

    fn commit_blobs(&mut self, log: &BeatLog) -> Result<()> {
        let beat = self.writer.commit(log, self.durability)?.beat;
        self.note_beat(beat);
        Ok(())
    }

    fn blobs(
        &mut self,
        source: &dyn BranchSource,
        survey: &BranchSurvey,
        blobs: &[(Digest, u64)],
    ) -> Result<()> {
        let mut log = BeatLog::new();
        let mut staged = 0_u64;
        let most = BLOB_BEAT_BYTES.min(self.limits.beat_bytes_max);
        for (done, (hash, bytes)) in blobs.iter().enumerate() {
            self.step("import blobs", done, blobs.len(), "blobs")?;
            let cost = bytes.saturating_add(BEAT_OWN);
            if staged > 0 && staged.saturating_add(cost) > most {
                self.commit_blobs(&std::mem::take(&mut log))?;
                staged = 0;
            }
            let (plaintext, _) = cas::read(source, hash, survey.limits.blob_bytes)?.map_err(|why| {
                let what = format!("a blob changed while it was being imported: {why}");
                Error::new(ErrorKind::Corrupt, OP, what)
            })?;
            log.put(&keys::blob_key(hash), &plaintext)?;
            staged = staged.saturating_add(cost);
            self.done.blobs = self.done.blobs.saturating_add(1);
        }
        if staged > 0 { self.commit_blobs(&log) } else { Ok(()) }
    }
}

/// A record as ingestion would have kept it. Version and flags of the record did not survive; every known writer says
/// version 1 and no flags.
fn span(kind: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut span = Vec::with_capacity(key.len().saturating_add(value.len()).saturating_add(24));
    span.extend_from_slice(&[kind, persist_frame::RECORD_VERSION, 0, 0]);
    varint::encode(key.len() as u64, &mut span);
    varint::encode(value.len() as u64, &mut span);
    span.extend_from_slice(key);
    span.extend_from_slice(value);
    span
}

/// Hash and size of the blobs that the store does not have.
fn new_blobs(view: &StoreView, survey: &BranchSurvey) -> Result<Vec<(Digest, u64)>> {
    let mut blobs = Vec::new();
    for blob in &survey.blobs {
        if view.get(&keys::blob_key(&blob.hash))?.is_none() {
            blobs.push((blob.hash, blob.bytes));
        }
    }
    Ok(blobs)
}

/// The commit that stores a frame: the same keys as for a frame that was ingested.
fn frame_log(
    beat: BeatNo,
    survey: &BranchSurvey,
    frame: &BranchFrame,
    verified: &Verified,
    files: &super::records::Files<'_>,
    key_bytes_max: u64,
) -> Result<BeatLog> {
    let mut log = BeatLog::new();
    let (mut cell, mut keys, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    let mut span_bytes = 0_u64;
    let mut index = 0_u32;
    for record in &verified.located {
        // Other types cannot be records of a frame; the survey has said so.
        let Some(kind) = record.kind() else { continue };
        let (key, value) = record.read(files)?;
        let span = span(kind, &key, &value);
        span_bytes = span_bytes.saturating_add(span.len() as u64);
        leaves.push(*blake3::hash(&span).as_bytes());
        log.put(&keys::record_key(beat, index), &span)?;
        Cell::encode(beat, index, &span, &mut cell);
        log.put(&keys::cell_key(&key, key_bytes_max), &cell)?;
        keys.push(key);
        index = index.saturating_add(1);
    }
    let note = BranchNote {
        branch_id: survey.branch_id,
        beat: frame.beat,
        frame_id: frame.frame_id,
        idx_at: frame.idx_at,
        records: index,
        span_bytes,
        digest: frame.digest,
        root: merkle::frame_root(leaves, |index| keys.get(index).map_or(&[][..], Vec::as_slice)),
    };
    log.put(&keys::frame_key(beat), &note.encode())?;
    let mark = keys::branch_key(survey.branch_id, frame.idx_at, &frame.digest);
    log.put(&mark, &beat.0.to_be_bytes())?;
    Ok(log)
}
