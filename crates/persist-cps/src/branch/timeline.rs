//! Walking `branch.idx` from front to back: frame after frame, over damage to the next frame that verifies.

use std::collections::BTreeMap;

use persist_api::{Progress, Result};
use persist_frame::Digest;

use super::hints::Beside;
use super::layout::{ENTRY_LEN, TOC_HEADER_LEN, TRAILER_LEN, TRAILER_MAGIC, Trailer};
use super::locate;
use super::records::{self, Files, Shape, Verified};
use super::source::File;
use super::watch::Watch;

/// So many places that are named elsewhere are tried inside of what looks like a damaged frame.
const NAMED_MAX: usize = 16;

/// What the walk found beside the frames that verify.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Frames whose beginning and end are known, but whose records are not what any digest says.
    pub(super) damaged: Vec<Shape>,
    /// Bytes in which no frame could be recognised: from, to.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Frames that stand there a second time: number and offset.
    pub(super) repeated: Vec<(u64, u64)>,
    /// The search had to stop before the end of the file.
    pub(super) cut_short: bool,
}

/// Walks the timeline; shows every frame that verifies, in order.
pub(super) fn walk(
    files: &Files<'_>,
    beside: &Beside,
    copies: &File<'_>,
    seen: &Watch<'_>,
    each: &mut dyn FnMut(Verified) -> Result<()>,
) -> Result<Timeline> {
    let mut walk = Walk {
        files,
        beside,
        copies,
        seen,
        dat_end: 0,
        known: BTreeMap::new(),
        timeline: Timeline::default(),
    };
    let mut at = 0_u64;
    while at < files.idx.len {
        walk.step(at)?;
        at = match walk.frame_at(at)? {
            Step::Frame(verified) => walk.accept(verified, each)?,
            Step::Damaged(shape) => {
                walk.timeline.damaged.push(shape);
                shape.end()
            }
            Step::Behind(verified) => {
                walk.timeline.gaps.push((at, verified.shape.start));
                walk.accept(verified, each)?
            }
            Step::Nothing => {
                if let Some(verified) = walk.search(at, None)? {
                    walk.timeline.gaps.push((at, verified.shape.start));
                    walk.accept(verified, each)?
                } else {
                    walk.timeline.gaps.push((at, files.idx.len));
                    files.idx.len
                }
            }
        };
    }
    walk.timeline.cut_short = files.budget.get() == 0;
    walk.timeline.gaps.retain(|(from, to)| from < to);
    Ok(walk.timeline)
}

enum Step {
    Frame(Verified),
    Damaged(Shape),
    /// What looks like a damaged frame reaches into this one: bytes of a failed commit, and what was appended after it.
    Behind(Verified),
    Nothing,
}

struct Walk<'w, 's> {
    files: &'w Files<'s>,
    beside: &'w Beside,
    copies: &'w File<'s>,
    seen: &'w Watch<'w>,
    /// Where the last frame's part of `branch.dat` ended.
    dat_end: u64,
    /// Frames that were shown: number to digest, and where their records in `branch.dat` begin.
    known: BTreeMap<u64, (Digest, Option<u64>)>,
    timeline: Timeline,
}

impl Walk<'_, '_> {
    fn step(&self, at: u64) -> Result<()> {
        let total = Some(self.files.idx.len);
        self.seen.step(Progress { phase: "verify branch", done: at, total, unit: "bytes" })
    }

    fn accept(&mut self, verified: Verified, each: &mut dyn FnMut(Verified) -> Result<()>) -> Result<u64> {
        let (start, end) = (verified.shape.start, verified.shape.end());
        let id = verified.trailer.frame_id;
        let in_dat = verified.located.iter().find(|record| record.in_dat).map(|record| record.at);
        let known = (verified.digest, in_dat);
        if self.known.get(&id) == Some(&known) && self.is_copy(&verified) {
            self.timeline.repeated.push((id, start));
            return Ok(end);
        }
        self.known.insert(id, known);
        let payloads = verified.located.iter().filter(|record| record.in_dat);
        self.dat_end = payloads.map(records::Located::end).max().unwrap_or(self.dat_end);
        each(verified)?;
        Ok(end)
    }

    /// Whether a frame that was shown before is here as a copy of old bytes, which must not pass for newer ones. A second writer
    /// on the same directory may have written the same anew: then the table speaks of this place, or somebody names it.
    fn is_copy(&self, verified: &Verified) -> bool {
        let start = verified.shape.start;
        // With records in `branch.idx`, a table that speaks of another place does not verify here.
        verified.located.iter().all(|record| record.in_dat)
            && !self.beside.frames.contains_key(&start)
            && self.beside.heads().all(|meta| meta.head.idx_at != start)
    }

    fn verify(&self, shape: Shape) -> Result<Option<Verified>> {
        let hints = self.beside.hints(self.files, shape, self.dat_end, self.copies)?;
        locate::verify(self.files, shape, &hints)
    }

    /// The frame that begins here.
    fn frame_at(&self, at: u64) -> Result<Step> {
        let Some(shape) = records::follow(self.files, at)? else { return Ok(Step::Nothing) };
        if let Some(verified) = self.verify(shape)? {
            return Ok(Step::Frame(verified));
        }
        // Where it ends is believed only if both magics agree and the table speaks of this place.
        let whole = match shape.trailer(self.files)? {
            Some(trailer) => records::claims_to_be_whole(self.files, shape, &trailer)?,
            None => false,
        };
        if whole && !records::moved(&shape.entries(self.files)?, shape) {
            return Ok(self.inside(shape)?.map_or(Step::Damaged(shape), Step::Behind));
        }
        Ok(Step::Nothing)
    }

    /// A frame that verifies and begins inside what looks like a damaged one. A failed commit leaves bytes that may parse as
    /// records up to the table of the next frame, or a torn trailer that seems to end inside of that.
    fn inside(&self, damaged: Shape) -> Result<Option<Verified>> {
        if let Some(verified) = self.search(damaged.start, Some(damaged))? {
            return Ok(Some(verified));
        }
        let inside = damaged.start.saturating_add(1)..damaged.end();
        let heads = self.beside.heads().map(|meta| meta.head.idx_at).filter(|start| inside.contains(start));
        let listed = self.beside.frames.range(inside.clone()).map(|(start, _)| *start);
        for start in heads.chain(listed).take(NAMED_MAX) {
            if let Some(shape) = records::follow(self.files, start)?
                && let Some(verified) = self.verify(shape)?
            {
                return Ok(Some(verified));
            }
        }
        Ok(None)
    }

    /// The next frame from `from` on that verifies, found by its trailer; with a shape that is known not to verify, one that
    /// begins before that ends.
    fn search(&self, from: u64, damaged: Option<Shape>) -> Result<Option<Verified>> {
        let mut at = from;
        while let Some(trailer_at) = self.files.idx.find(at, TRAILER_MAGIC)? {
            self.step(trailer_at)?;
            // What was looked through, and the trailer.
            if !self.files.spend(trailer_at.saturating_sub(at).saturating_add(TRAILER_LEN)) {
                break;
            }
            let shapes = self.shapes(from, trailer_at)?;
            if self.is_behind(&shapes, damaged)? {
                return Ok(None);
            }
            for shape in shapes.into_iter().filter(|shape| damaged != Some(*shape)) {
                if let Some(verified) = self.verify(shape)? {
                    return Ok(Some(verified));
                }
            }
            at = trailer_at.saturating_add(1);
        }
        if damaged.is_some() {
            return Ok(None);
        }
        // The newest frame may have lost its trailer to the end of the file.
        for start in self.beside.heads().map(|meta| meta.head.idx_at).filter(|start| *start > from) {
            if let Step::Frame(verified) = self.frame_at(start)? {
                return Ok(Some(verified));
            }
        }
        Ok(None)
    }

    /// Whether a trailer closes a frame that says to begin after the damaged one, so that the search can end. Without this,
    /// each of many damaged frames would be searched to the end of the file.
    fn is_behind(&self, shapes: &[Shape], damaged: Option<Shape>) -> Result<bool> {
        let Some((told, damaged)) = shapes.first().zip(damaged) else { return Ok(false) };
        let trailer = told.trailer(self.files)?.filter(|_| told.start >= damaged.end());
        trailer.map_or(Ok(false), |trailer| records::claims_to_be_whole(self.files, *told, &trailer))
    }

    /// What the frame before a trailer may look like, first what its table tells.
    fn shapes(&self, from: u64, trailer_at: u64) -> Result<Vec<Shape>> {
        let Some(trailer) = self.files.idx.array(trailer_at)?.map(|bytes| Trailer::parse(&bytes)) else {
            return Ok(Vec::new());
        };
        let table = u64::from(trailer.count).saturating_mul(ENTRY_LEN).saturating_add(TOC_HEADER_LEN);
        let Some(toc_at) = trailer_at.checked_sub(table).filter(|toc_at| *toc_at >= from) else {
            return Ok(Vec::new());
        };
        // Whether such a frame is really there can be said without a look at its table.
        if trailer.count > self.files.limits.records {
            return Ok(vec![Shape { start: from, toc_at, count: trailer.count }]);
        }
        if !self.files.spend(table) {
            return Ok(Vec::new());
        }
        let shape = Shape { start: toc_at, toc_at, count: trailer.count };
        let table = shape.entries(self.files)?;
        let structural = table.iter().filter(|entry| !entry.is_payload()).map(|entry| entry.record_at);
        let told = structural.filter(|at| (from..=toc_at).contains(at)).min().unwrap_or(toc_at);
        let mut starts = vec![told, from];
        starts.dedup();
        Ok(starts.into_iter().map(|start| Shape { start, ..shape }).collect())
    }
}
