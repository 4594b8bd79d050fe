//! What reading a hostile branch costs: bytes read, and whether it can be stopped.

use std::cell::Cell;
use std::ops::ControlFlow;

use persist_api::{ErrorKind, Progress, Quiet, Result};
use persist_cps::branch::{BranchFile, BranchLimits, BranchSource, BranchSurvey, SourceEntry};
use persist_frame::Checksum;

use crate::branch_kit::{Dir, Engine, codes, ids, plain, small};

/// Counts the bytes that are read.
struct Counted<'d> {
    dir: &'d Dir,
    read: Cell<u64>,
}

struct CountedFile<'d> {
    file: Box<dyn BranchFile + 'd>,
    read: &'d Cell<u64>,
}

impl BranchSource for Counted<'_> {
    fn open(&self, name: &str) -> Result<Option<Box<dyn BranchFile + '_>>> {
        let file = self.dir.open(name)?;
        Ok(file.map(|file| Box::new(CountedFile { file, read: &self.read }) as Box<dyn BranchFile>))
    }

    fn list(&self, dir: &str) -> Result<Vec<SourceEntry>> {
        self.dir.list(dir)
    }
}

impl BranchFile for CountedFile<'_> {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.read.set(self.read.get() + into.len() as u64);
        self.file.read_at(offset, into)
    }
}

fn counted(dir: &Dir) -> (BranchSurvey, u64) {
    let source = Counted { dir, read: Cell::new(0) };
    let survey = BranchSurvey::read(&source, BranchLimits::default(), &Quiet).unwrap();
    (survey, source.read.get())
}

fn bytes(dir: &Dir) -> u64 {
    dir.values().map(|bytes| bytes.len() as u64).sum()
}

/// A trailer of so many records, whose digest nothing has.
fn trailer(count: u64) -> Vec<u8> {
    let head = [0x5452_4C31_u64, 1, 1, count].into_iter().flat_map(u64::to_le_bytes);
    head.chain([9; 32]).collect()
}

fn with_idx(idx: Vec<u8>) -> Dir {
    Dir::from([("branch.idx".to_owned(), idx), ("branch.dat".to_owned(), vec![0; 1000])])
}

#[test]
fn bytes_that_look_like_trailers_are_not_read_again_for_each() {
    let magic = 0x5452_4C31_u32.to_le_bytes();
    for idx in [magic.repeat(64 << 10), trailer(0).repeat(4 << 10), trailer(3).repeat(4 << 10)] {
        let dir = with_idx(idx);
        let (survey, read) = counted(&dir);
        assert_eq!((ids(&survey), survey.is_complete()), (vec![], false));
        assert!(read <= 8 * bytes(&dir), "{read} bytes read of {}", bytes(&dir));
    }
}

#[test]
fn the_search_can_be_stopped() {
    let dir = with_idx(trailer(0).repeat(1000));
    let steps = Cell::new(0);
    let stop = |_: Progress| {
        steps.set(steps.get() + 1);
        if steps.get() < 100 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let error = BranchSurvey::read(&dir, BranchLimits::default(), &stop).unwrap_err();
    assert_eq!((error.kind(), steps.get()), (ErrorKind::Cancelled, 100));
}

#[test]
fn one_large_frame_or_hole_can_be_stopped_within() {
    let mut large = Engine::new("r/b", Checksum::Crc32, 9);
    large.commit(1, &[plain(1, b"k", &vec![7; 8 << 20])]);
    let mut many = Engine::new("r/b", Checksum::Crc32, 9);
    many.commit(1, &(0..40_000_u32).map(|n| plain(1, &n.to_be_bytes(), &[7; 100])).collect::<Vec<_>>());
    let hole = with_idx(vec![0xA5; 8 << 20]);
    for dir in [large.dir, many.dir, hole] {
        let steps = Cell::new(0);
        let stop = |_: Progress| {
            steps.set(steps.get() + 1);
            if steps.get() < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let source = Counted { dir: &dir, read: Cell::new(0) };
        let error = BranchSurvey::read(&source, BranchLimits::default(), &stop).unwrap_err();
        assert_eq!((error.kind(), steps.get()), (ErrorKind::Cancelled, 4));
        assert!(source.read.get() <= 4 << 20, "{} bytes read before", source.read.get());
    }
}

#[test]
fn a_frame_behind_much_that_looks_like_trailers_is_found() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[plain(1, b"k", b"v")]);
    engine.dir.get_mut("branch.idx").unwrap().extend(trailer(0).repeat(2000));
    engine.commit(2, &[plain(1, b"k", b"w")]);
    let (survey, _) = counted(&engine.dir);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2], vec!["gap"]));
}

#[test]
fn entries_that_lead_nowhere_cost_what_they_weigh() {
    let mut dir = small(Checksum::Crc32).dir;
    dir.get_mut("branch.idx").unwrap().extend(vec![7; 600 << 10]);
    // Each names another place in the long tail.
    let frames = dir.get_mut("branch.frames").unwrap();
    for at in 0..1000_u64 {
        let entry = [1, 1, at * 131_071 % (600 << 10), 100 + at % 7, 0, 0];
        frames.extend(entry.iter().flat_map(|field| field.to_le_bytes()));
    }
    let (survey, read) = counted(&dir);
    assert_eq!(ids(&survey), [1, 2, 3, 4]);
    assert!(codes(&survey).contains(&"frames_entry"), "{:?}", codes(&survey));
    assert!(read <= 16 * bytes(&dir), "{read} bytes read of {}", bytes(&dir));
}
