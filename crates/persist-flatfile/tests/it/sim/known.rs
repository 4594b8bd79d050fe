//! What the files of a damaged store must still tell, worked out from `docs/format-flatfile.md` alone.
//!
//! A head slot that is whole tells everything. Without one "the rest of the files tells everything but this: whether frames at the
//! very end are missing" (`docs/engines/flatfile.md`), so all that a whole frame or run speaks of must be there, or damage reported.

use std::ops::Range;
use std::path::PathBuf;

use persist_io::sim::SimDisk;
use persist_io::sim::explore::Place;

use super::store::HOME;

const SLOT: usize = 4096;
/// The first block of a run, and the last.
const END_OF_RUN: usize = 24 + 248;

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// A frame of a timeline segment.
struct Frame {
    /// Header, body and footer.
    at: Range<usize>,
    beat: u64,
    /// Newest frame that was durable when it was written.
    durable: u64,
}

fn frames(segment: &[u8]) -> Vec<Frame> {
    let (mut at, mut frames) = (64, Vec::new());
    while segment.get(at..at + 4) == Some(b"PBT1") {
        let [number, beat, body] = [8, 16, 24].map(|field| word(segment, at + field).unwrap());
        assert_eq!(number, beat, "one frame a beat");
        let footer = at + 32 + usize::try_from(body).unwrap();
        let durable = word(segment, footer + 8).unwrap();
        frames.push(Frame { at: at..footer + 120, beat, durable });
        at = (footer + 120).next_multiple_of(8);
    }
    frames
}

/// The newest durable beat by a head slot, where it verifies.
fn head(meta: &[u8], slot: usize) -> Option<u64> {
    let bytes = meta.get(slot * SLOT..(slot + 1) * SLOT)?;
    let right = bytes.starts_with(b"PBM1") && bytes[4..8] == crc32c::crc32c(&bytes[8..]).to_le_bytes();
    let here = word(bytes, 8)? % 2 == slot as u64;
    word(bytes, 40).filter(|_| right && here)
}

/// Files of a kind, by path.
fn of_kind(disk: &SimDisk, kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter().map(|(path, _)| path);
    let named = files.filter(|path| path.starts_with(HOME) && path.to_string_lossy().contains(kind));
    named.map(|path| (path.clone(), disk.bytes(&path).unwrap())).collect()
}

/// Of the `newest` beats of a closed store, how many must still be known.
pub(super) fn still_known(whole: &SimDisk, damaged: &SimDisk, newest: u64) -> u64 {
    let mut known = 0;
    for (path, meta) in of_kind(whole, "branch.meta") {
        let now = damaged.bytes(path).unwrap_or_default();
        for slot in 0..2 {
            let bytes = slot * SLOT..(slot + 1) * SLOT;
            if now.get(bytes.clone()) == meta.get(bytes) {
                return newest;
            }
            known = known.max(head(&now, slot).unwrap_or(0));
        }
    }
    for (path, run) in of_kind(whole, "branch.ckp.") {
        let now = damaged.bytes(path).unwrap_or_default();
        let foot = run.len() - END_OF_RUN..run.len();
        let stands = |at: Range<usize>| now.get(at.clone()) == run.get(at);
        if stands(0..END_OF_RUN) || (now.len() == run.len() && stands(foot)) {
            known = known.max(word(&run, 24 + 32).unwrap());
        }
    }
    let mut standing = Vec::new();
    for (path, segment) in of_kind(whole, "branch.idx.") {
        let now = damaged.bytes(path).unwrap_or_default();
        // The file must reach to the end of its padding.
        let stands = |frame: &Frame| {
            let bytes = frame.at.clone();
            now.get(bytes.clone()) == segment.get(bytes) && now.len() >= frame.at.end.next_multiple_of(8)
        };
        standing.extend(frames(&segment).into_iter().filter(stands));
    }
    known = standing.iter().map(|frame| frame.durable).fold(known, u64::max);
    while standing.iter().any(|frame| frame.beat == known + 1) {
        known += 1;
    }
    known
}

/// All short headers of a store in groups: bits of one group are turned over in pairs.
pub(super) fn headers(disk: &SimDisk) -> Vec<(String, Vec<Place>)> {
    let mut groups = Vec::new();
    let mut group = |what: String, path: &PathBuf, parts: &[(usize, usize)]| {
        let place =
            |&(from, to): &(usize, usize)| Place { path: path.clone(), bytes: from as u64..to as u64 };
        groups.push((what, parts.iter().map(place).collect()));
    };
    for (path, _) in of_kind(disk, "branch.meta") {
        group("head slot 0".to_owned(), &path, &[(0, SLOT)]);
        group("head slot 1".to_owned(), &path, &[(SLOT, 2 * SLOT)]);
        group("what both head slots say".to_owned(), &path, &[(0, 160), (SLOT, SLOT + 160)]);
    }
    for kind in ["branch.idx.", "branch.dat."] {
        for (path, bytes) in of_kind(disk, kind) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            group(format!("header of {name}"), &path, &[(0, 64)]);
            for Frame { at, beat, .. } in frames(&bytes).into_iter().filter(|_| kind == "branch.idx.") {
                let ends = [(at.start, at.start + 32), (at.end - 120, at.end)];
                group(format!("header and footer of frame {beat} in {name}"), &path, &ends);
            }
        }
    }
    for (path, run) in of_kind(disk, "branch.ckp.") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (first, last) = ((0, END_OF_RUN), (run.len() - END_OF_RUN, run.len()));
        group(format!("head of {name}"), &path, &[first]);
        group(format!("foot of {name}"), &path, &[last]);
        group(format!("head and foot of {name}"), &path, &[first, last]);
    }
    groups
}
