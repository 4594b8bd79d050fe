//! What is larger than the limits, and what only looks so: lengths in damaged and hostile branches.

use std::cell::Cell;
use std::collections::BTreeMap;

use persist_api::{ErrorKind, Quiet, Result};
use persist_cps::branch::{BranchFile, BranchLimits, BranchSource, BranchSurvey, SourceEntry};
use persist_frame::{Checksum, Limits};

use crate::branch_kit::{Dir, Engine, chunk, codes, ids, plain, survey};

/// Limits with so many bytes for a frame.
fn at_most(frame_bytes: u32) -> BranchLimits {
    let limits = BranchLimits::default();
    BranchLimits { frame: Limits { frame_bytes, ..limits.frame }, ..limits }
}

fn read(dir: &Dir, frame_bytes: u32) -> Result<BranchSurvey> {
    BranchSurvey::read(dir, at_most(frame_bytes), &Quiet)
}

fn flip(dir: &mut Dir, name: &str, at: usize, bit: usize) {
    dir.get_mut(name).unwrap()[at + bit / 8] ^= 1 << (bit % 8);
}

/// A branch whose files go on with zeros up to a length, as a sparse file does; counts what is read.
struct Sparse {
    dir: Dir,
    lens: BTreeMap<&'static str, u64>,
    read: Cell<u64>,
}

struct SparseFile<'s> {
    bytes: &'s [u8],
    len: u64,
    read: &'s Cell<u64>,
}

impl Sparse {
    fn new(dir: Dir, name: &'static str, len: u64) -> Self {
        Self { dir, lens: BTreeMap::from([(name, len)]), read: Cell::new(0) }
    }

    fn survey(&self, limits: BranchLimits) -> BranchSurvey {
        BranchSurvey::read(self, limits, &Quiet).unwrap()
    }
}

impl BranchSource for Sparse {
    fn open(&self, name: &str) -> Result<Option<Box<dyn BranchFile + '_>>> {
        let len = self.lens.get(name).copied();
        Ok(self.dir.get(name).map(|bytes| {
            let len = len.unwrap_or(bytes.len() as u64);
            Box::new(SparseFile { bytes, len, read: &self.read }) as Box<dyn BranchFile>
        }))
    }

    fn list(&self, dir: &str) -> Result<Vec<SourceEntry>> {
        self.dir.list(dir)
    }
}

impl BranchFile for SparseFile<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.read.set(self.read.get() + into.len() as u64);
        let from = usize::try_from(offset).unwrap().min(self.bytes.len());
        let there = self.bytes[from..].len().min(into.len());
        into[..there].copy_from_slice(&self.bytes[from..from + there]);
        into[there..].fill(0);
        Ok(())
    }
}

/// Ten frames of about 500 bytes, each with one chunk as its last record.
fn ten() -> Dir {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 99);
    for beat in 1..=10_u8 {
        engine.commit(beat.into(), &[plain(1, &[beat], b"cell"), chunk(&[beat], 0, &[beat; 400], 400, 0)]);
    }
    engine.dir
}

#[test]
fn a_flipped_bit_in_a_length_does_not_make_a_frame_too_large() {
    let dir = ten();
    let intact = survey(&dir);
    assert_eq!((ids(&intact).len(), codes(&intact)), (10, vec![]));
    for at in [4, 8] {
        // So long that it still ends inside of the file: bytes of the other frames.
        for bit in 10..12 {
            let mut damaged = dir.clone();
            flip(&mut damaged, "branch.dat", at, bit);
            let survey = read(&damaged, 1000).unwrap();
            assert_eq!(codes(&survey), ["record_header"], "byte {at} bit {bit}");
            assert_eq!((&survey.keys, &survey.frames), (&intact.keys, &intact.frames));
            assert!(survey.is_complete() && survey.stale_keys.is_empty());
            // The table fits, so nothing is too large where the value is damaged, too: one frame is lost.
            flip(&mut damaged, "branch.dat", 300, 0);
            let survey = read(&damaged, 1000).unwrap();
            assert_eq!((ids(&survey), codes(&survey)), ((2..=10).collect(), vec!["frame_damaged", "gap"]));
        }
    }
}

#[test]
fn a_flipped_bit_that_says_256_mib_is_repaired_without_reading_them() {
    let intact = survey(&ten());
    let last = ten()["branch.dat"].len() - intact.frames[9].record_bytes_max as usize - 56;
    for at in [4, 8] {
        let mut dir = ten();
        flip(&mut dir, "branch.dat", last + at, 28);
        let source = Sparse::new(dir, "branch.dat", 1 << 29);
        let survey = source.survey(BranchLimits::default());
        assert_eq!(codes(&survey), ["beyond_head", "record_header"]);
        assert_eq!((&survey.keys, &survey.frames), (&intact.keys, &intact.frames));
        assert!(source.read.get() < 4 << 20, "{} bytes read", source.read.get());
    }
}

#[test]
fn a_frame_that_is_too_large_is_refused_in_spite_of_damage() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 99);
    engine.commit(1, &[plain(1, b"a", b"small")]);
    engine.commit(2, &[plain(1, b"b", b"cell"), chunk(b"p", 0, &[7; 2000], 2000, 0)]);
    engine.commit(3, &[plain(1, b"c", b"small")]);
    let second = survey(&engine.dir).frames[1];
    let (start, end) = (second.idx_at as usize, (second.idx_at + second.idx_len) as usize);
    let table = end - 64 - 2 * 40 - 8;
    let damage: [(&str, &str, usize); 6] = [
        ("nothing", "branch.dat", usize::MAX),
        ("flags of a header", "branch.dat", 12),
        ("a key's length", "branch.idx", start + 4),
        ("magic of the table", "branch.idx", table),
        ("a line of the table", "branch.idx", table + 8 + 40),
        ("magic of the trailer", "branch.idx", end - 64),
    ];
    for (what, name, at) in damage {
        let mut damaged = engine.dir.clone();
        if at < usize::MAX {
            flip(&mut damaged, name, at, 0);
        }
        let error = read(&damaged, 1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{what}: {error}");
        assert!(error.context().contains(&format!("at byte {start} of")), "{what}: {error}");
        let whole = read(&damaged, 4000).unwrap();
        assert!(whole.is_complete() && ids(&whole) == [1, 2, 3], "{what}: {:?}", whole.findings.kept());
    }
}

#[test]
fn what_only_a_table_calls_large_is_not_read() {
    let mut dir = ten();
    let last = survey(&dir).frames[9];
    let end = (last.idx_at + last.idx_len) as usize;
    let table = end - 64 - 2 * 40 - 8;
    // Neither the header nor the table's own magic is right, and the line of the chunk says 64 MiB.
    let header = dir["branch.dat"].len() - 400;
    flip(&mut dir, "branch.dat", header, 0);
    flip(&mut dir, "branch.idx", table, 0);
    flip(&mut dir, "branch.idx", table + 8 + 40 + 28, 26);
    let source = Sparse::new(dir, "branch.dat", 1 << 30);
    let survey = source.survey(at_most(1000));
    assert_eq!((ids(&survey), survey.is_complete()), ((1..=9).collect(), false));
    assert!(source.read.get() < 4 << 20, "{} bytes read", source.read.get());
}

const HUGE: u32 = 1_600_000_000;

/// The header of a checkpoint of the frame that begins here, of so many records.
fn copy_header(count: u32, idx_at: u64) -> Vec<u8> {
    let words = [0x434B_5031, count].into_iter().flat_map(u32::to_le_bytes);
    words.chain([1, 1, 0, idx_at].into_iter().flat_map(u64::to_le_bytes)).collect()
}

#[test]
fn a_checkpoint_of_more_records_than_a_frame_may_have_is_not_read() {
    let mut good = ten();
    good.insert("branch.ckp".to_owned(), copy_header(HUGE, 0));
    let source = Sparse::new(good.clone(), "branch.ckp", 40 + 40 * u64::from(HUGE));
    let survey = source.survey(BranchLimits::default());
    assert_eq!((ids(&survey).len(), survey.is_complete()), (10, true));
    assert_eq!(codes(&survey), ["checkpoint_differs"]);
    assert!(source.read.get() < 4 << 20, "{} bytes read", source.read.get());
    // The same where the table of the frame says so, too.
    let table = [0x544F_4331, HUGE].into_iter().flat_map(u32::to_le_bytes).chain([0; 100]);
    good.insert("branch.idx".to_owned(), table.collect());
    let source = Sparse::new(good, "branch.ckp", 40 + 40 * u64::from(HUGE));
    let survey = source.survey(BranchLimits::default());
    assert_eq!((ids(&survey), survey.is_complete()), (vec![], false));
    assert!(source.read.get() < 4 << 20, "{} bytes read", source.read.get());
}

#[test]
fn a_table_of_more_records_than_a_frame_may_have_is_not_read() {
    let (count, limits) = (100_000_u32, BranchLimits::default());
    let limits = BranchLimits { frame: Limits { records: 10, ..limits.frame }, ..limits };
    // Nothing but a trailer behind zeros; then an entry that names it as a frame, too.
    let len = 8 + 40 * u64::from(count);
    let trailer = [0x5452_4C31_u64, 1, 1, count.into()].into_iter().flat_map(u64::to_le_bytes);
    let idx: Vec<u8> = vec![0; len as usize].into_iter().chain(trailer).chain([9; 32]).collect();
    let entry: Vec<u8> = [1, 1, 0, len + 64, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
    for (frames, found) in
        [(None, ["meta_missing", "unrecognised"]), (Some(entry), ["frame_lost", "meta_missing"])]
    {
        let frames = frames.map(|frames| ("branch.frames".to_owned(), frames));
        let dir = [("branch.idx".to_owned(), idx.clone())].into_iter().chain(frames).collect();
        let source = Sparse::new(dir, "branch.dat", 0);
        let survey = source.survey(limits);
        assert_eq!((ids(&survey), codes(&survey)), (vec![], found.to_vec()));
        // The search goes through the file once.
        assert!(source.read.get() < len + len / 2, "{} bytes read of {len}", source.read.get());
    }
}

#[test]
fn a_directory_of_frames_made_of_holes_is_not_read_to_its_end() {
    let intact = survey(&ten());
    let source = Sparse::new(ten(), "branch.frames", 1 << 40);
    let survey = source.survey(BranchLimits::default());
    assert_eq!((&survey.keys, &survey.frames), (&intact.keys, &intact.frames));
    assert_eq!(codes(&survey), ["frames_entry", "search_cut_short"]);
    assert!(!survey.is_complete());
    assert!(source.read.get() < 128 << 20, "{} bytes read", source.read.get());
}

#[test]
fn a_hole_in_the_directory_of_frames_does_not_outvote_a_frame() {
    let mut dir = ten();
    let intact = survey(&dir);
    dir.get_mut("branch.frames").unwrap().extend([0; 5 * 48]);
    let survey = survey(&dir);
    assert_eq!(codes(&survey), ["frames_entry"]);
    assert_eq!((&survey.keys, &survey.frames), (&intact.keys, &intact.frames));
}
