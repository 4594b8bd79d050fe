//! Bytes between the frames that verify: whether they are what a failed commit left, or a frame may have been there.

use std::collections::{BTreeMap, BTreeSet};

use persist_api::Result;

use super::around::frame_at;
use super::finding::BranchSeverity as S;
use super::hints::Beside;
use super::layout::{FramesEntry, HEADER_LEN, PAYLOAD, RecordHeader, TOC_MAGIC, toc_header};
use super::records::{Files, Shape};
use super::survey::{BranchFrame, Gathered};
use super::timeline::Timeline;

const IDX: &str = "branch.idx";
const DAT: &str = "branch.dat";

/// Each piece is compared with each frame that has no entry; a real directory has one or two.
const PIECES_MAX: usize = 64;

/// Whether the directory of frames can say that no frame was somewhere: each of its entries is that of a frame that verifies or was
/// told to be lost, and so is each piece of one. What is neither may be the one of the frame in question.
fn knows_all(beside: &Beside, told: &BTreeSet<u64>, frames: &[BranchFrame]) -> bool {
    let known = |(idx_at, listed): (&u64, &Vec<(u64, FramesEntry)>)| {
        told.contains(idx_at)
            || frame_at(frames, *idx_at)
                .is_some_and(|frame| listed.iter().all(|(_, entry)| entry.frame_id == frame.frame_id))
    };
    !(beside.frames.is_empty() && beside.frames_pieces.is_empty())
        && beside.frames.iter().all(known)
        && pieces_known(beside, frames)
}

/// Whether each piece of an entry is that of a good frame. Either it says beat and number, so far as numbers go here; the frame may then have
/// been listed once more behind it. Or it says less, and stands where the entry of a good frame should be that is listed nowhere else.
fn pieces_known(beside: &Beside, frames: &[BranchFrame]) -> bool {
    if beside.frames_pieces.len() > PIECES_MAX {
        return false;
    }
    let largest = frames.iter().map(|frame| frame.frame_id).max().unwrap_or(0);
    let whole: BTreeMap<u64, u64> = beside
        .frames
        .iter()
        .flat_map(|(idx_at, listed)| listed.iter().map(|(at, _)| (*at, *idx_at)))
        .collect();
    let mut claimed = BTreeSet::new();
    beside.frames_pieces.iter().all(|(at, piece)| {
        let before = whole.range(..at).next_back().map(|(_, idx_at)| *idx_at);
        let behind = whole.range(at..).next().map(|(_, idx_at)| *idx_at);
        let has_place = |frame: &BranchFrame| {
            !beside.frames.contains_key(&frame.idx_at)
                && before.is_none_or(|before| before < frame.idx_at)
                && behind.is_none_or(|behind| frame.idx_at < behind)
        };
        let mut alike = frames.iter().filter(|frame| entry_begins(frame).starts_with(piece));
        let named = says_number(piece, largest);
        alike.any(|frame| named || has_place(frame) && claimed.insert(frame.idx_at))
    })
}

/// Whether a piece has so much of a number that no other up to `largest` begins alike.
fn says_number(piece: &[u8], largest: u64) -> bool {
    let bits = piece.len().saturating_sub(8).saturating_mul(8);
    let rest = u32::try_from(bits).ok().and_then(|bits| largest.checked_shr(bits)).unwrap_or(0);
    bits > 0 && rest == 0
}

/// Whether the file is what a very first commit leaves that was cut short: the beginning of a frame, and nothing behind that.
fn is_begun(files: &Files<'_>) -> Result<bool> {
    let (idx, mut at) = (&files.idx, 0_u64);
    while let Some(head) = idx.array(at)? {
        let (word, count) = toc_header(head);
        if word == TOC_MAGIC {
            return Ok(Shape { start: 0, toc_at: at, count }.end() > idx.len);
        }
        let Some(header) = idx.array(at)?.map(|bytes| RecordHeader::parse(&bytes)) else { break };
        if header.rtype == PAYLOAD || header.rtype > u32::from(u8::MAX) || !files.spend(HEADER_LEN) {
            return Ok(false);
        }
        at = at.saturating_add(HEADER_LEN).saturating_add(header.content_len());
    }
    Ok(true)
}

/// How the entry of a frame begins.
fn entry_begins(frame: &BranchFrame) -> [u8; 32] {
    let mut bytes = [0; 32];
    let fields = [frame.beat, frame.frame_id, frame.idx_at, frame.idx_len];
    for (place, field) in bytes.as_chunks_mut().0.iter_mut().zip(fields) {
        *place = field.to_le_bytes();
    }
    bytes
}

/// Bytes of `branch.idx` in which no frame was recognised.
pub(super) fn in_idx(
    files: &Files<'_>,
    beside: &Beside,
    timeline: &Timeline,
    told: &BTreeSet<u64>,
    gathered: &mut Gathered,
) -> Result<()> {
    let is_first = beside.unborn && gathered.frames.is_empty() && is_begun(files)?;
    let listed = knows_all(beside, told, &gathered.frames);
    for (from, to) in &timeline.gaps {
        let bytes = to.saturating_sub(*from);
        // Already told, as the place of a frame that is lost.
        if told.range(*from..*to).next().is_some() {
            continue;
        }
        let next = gathered.frames.partition_point(|frame| frame.idx_at < *to);
        let id = |index: usize| gathered.frames.get(index).map(|frame| frame.frame_id);
        let (before, after) = (next.checked_sub(1).and_then(id), id(next));
        let place = (IDX, Some(*from), None);
        let named = beside.meta.is_some_and(|meta| meta.head.idx_end() <= *from);
        let nothing_between = after.is_some() && before.unwrap_or(0).checked_add(1) == after;
        // The directory of frames is written after the head, so it may lack the newest frame, and only that.
        if named && after.is_none() {
            let what = format!("{bytes} bytes after the newest frame: a commit that was cut short");
            gathered.findings.add(S::Note, "beyond_head", place, what);
        } else if is_first {
            let what = format!("{bytes} bytes, and no commit before: the very first one, cut short");
            gathered.findings.add(S::Note, "beyond_head", place, what);
        } else if nothing_between || after.is_some() && listed {
            let what = format!("{bytes} bytes between two frames that belong to none: a commit that failed");
            gathered.findings.add(S::Note, "gap", place, what);
        } else {
            let what =
                format!("{bytes} bytes in which no frame can be recognised; nothing says that none was here");
            gathered.findings.add(S::Lost, "unrecognised", place, what);
        }
    }
    Ok(())
}

/// Bytes of `branch.dat` that belong to no verified frame.
pub(super) fn in_dat(files: &Files<'_>, beside: &Beside, gathered: &mut Gathered) {
    let mut extents: Vec<_> = gathered.frames.iter().filter_map(|frame| frame.dat).collect();
    extents.sort_unstable();
    let mut at = 0_u64;
    for (from, to) in extents.into_iter().chain([(files.dat.len, files.dat.len)]) {
        if from > at {
            let bytes = from.saturating_sub(at);
            let after_head = beside.meta.is_some_and(|meta| meta.head.dat_end() <= at);
            let (code, what) = if after_head {
                ("beyond_head", format!("{bytes} bytes after the newest frame: a commit that was cut short"))
            } else {
                ("gap", format!("{bytes} bytes that belong to no frame that verifies"))
            };
            gathered.findings.add(S::Note, code, (DAT, Some(at), None), what);
        }
        at = at.max(to);
    }
}
