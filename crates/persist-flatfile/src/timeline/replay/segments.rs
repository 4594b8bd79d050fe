//! The segments of a home: which there are, and what their headers say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, EntryKind, FileMode};

use super::scan::At;
use crate::error::{SCHEME, corrupt};
use crate::names::{Kind, parse, parse_kept};
use crate::timeline::FrameSpan;
use crate::timeline::frame::Place;
use crate::timeline::go_on::ClosedSegment;
use crate::timeline::head::SegmentEnd;
use crate::timeline::segment_header::{FIRST_FRAME_AT, SEGMENT_HEADER, SegmentHeader, VERSION};

/// What stands where a segment header should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderState {
    /// A header of this segment.
    Valid(SegmentHeader),
    /// Only zeros: never written to.
    Zero,
    /// Something that does not verify.
    Bad,
}

/// One segment.
pub(super) struct Listed {
    pub(super) number: u32,
    pub(super) len: u64,
    pub(super) header: HeaderState,
    /// Where its frames end, when the segment that came after it or the head says so.
    pub(super) stated_end: Option<u64>,
    /// The segment that came after it, when that one's header says so.
    pub(super) follower: Option<usize>,
}

impl Listed {
    /// Where there is nothing more to look at.
    pub(super) fn limit(&self) -> u64 {
        self.stated_end.map_or(self.len, |end| end.min(self.len))
    }

    /// As a segment whose frames, up to `upto` at most, are all in runs.
    pub(super) fn superseded(&self, upto: u64) -> ClosedSegment {
        let end = self.limit();
        // Where there is no frame, none is kept for the feed.
        let frames = FrameSpan { after: 0, upto: if end > FIRST_FRAME_AT { upto } else { 0 } };
        ClosedSegment { segment: self.number, frames, end, bytes: self.len, damaged: false }
    }

    pub(super) fn header_used(&self) -> bool {
        self.header != HeaderState::Zero
    }
}

/// All segments in the order of their numbers, those of other stores left out.
pub(super) struct Segments<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    list: Vec<Listed>,
    /// Tag of the store.
    pub(super) store: u64,
    /// Segments of other stores.
    pub(super) foreign: Vec<u32>,
    /// The greatest number there is, segments kept for the feed among them.
    pub(super) greatest: u32,
}

impl<'a> Segments<'a> {
    /// Reads the headers of all segments in `dir`. Without a known tag the one that most headers carry is taken. With
    /// `forget`, the cache of the operating system is dropped first.
    ///
    /// # Errors
    /// `Mismatch` for a newer format, `Corrupt` when there are bytes but nothing says whose they are, `Io`.
    pub(super) fn read(
        disk: &'a dyn Disk,
        dir: &'a Path,
        store: Option<u64>,
        ends: &[SegmentEnd],
        forget: bool,
    ) -> Result<Self> {
        let mut list = Vec::new();
        let mut greatest = 0;
        for entry in disk.list(dir)?.unwrap_or_default() {
            if entry.kind != EntryKind::File {
                continue;
            }
            if let Some((Kind::Timeline, number)) = parse(&entry.name) {
                list.push(read_header(disk, dir, number, forget)?);
                greatest = greatest.max(number);
            } else if let Some((number, _)) = parse_kept(&entry.name) {
                greatest = greatest.max(number);
            }
        }
        list.sort_by_key(|listed| listed.number);
        let store = match store.or_else(|| most_common(&list)) {
            Some(store) => store,
            None => match list.iter().find(|listed| listed.header == HeaderState::Bad) {
                None => 0,
                Some(bad) => {
                    let path = dir.join(Kind::Timeline.name(bad.number));
                    return Err(corrupt("open", &path, 0, "no header of any timeline segment verifies"));
                }
            },
        };
        let foreign =
            |listed: &Listed| matches!(listed.header, HeaderState::Valid(header) if header.store != store);
        let foreign_numbers: Vec<u32> =
            list.iter().filter(|listed| foreign(listed)).map(|listed| listed.number).collect();
        list.retain(|listed| !foreign(listed));
        let own = |listed: &Listed| matches!(listed.header, HeaderState::Valid(_));
        if let (Some(&number), false) = (foreign_numbers.first(), list.iter().any(own)) {
            // Rather the head is a stranger's than all the segments.
            let what = "all timeline segments are of another store than the head or the runs";
            return Err(corrupt("open", &dir.join(Kind::Timeline.name(number)), 0, what));
        }
        let mut segments = Self { disk, dir, list, store, foreign: foreign_numbers, greatest };
        segments.link(ends);
        Ok(segments)
    }

    /// Notes what headers, and the head where they say nothing, state about the segments before.
    fn link(&mut self, ends: &[SegmentEnd]) {
        let places: HashMap<u32, usize> =
            self.list.iter().enumerate().map(|(n, listed)| (listed.number, n)).collect();
        for end in ends {
            if let Some(listed) = places.get(&end.segment).and_then(|&n| self.list.get_mut(n)) {
                listed.stated_end = Some(end.end);
            }
        }
        for index in 0..self.list.len() {
            let Some(HeaderState::Valid(header)) = self.list.get(index).map(|listed| listed.header) else {
                continue;
            };
            let before = places.get(&header.previous).copied().filter(|&before| before < index);
            if let Some(listed) = before.and_then(|before| self.list.get_mut(before)) {
                listed.stated_end = Some(header.previous_end);
                listed.follower = Some(index);
            }
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Listed> {
        self.list.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &Listed)> {
        self.list.iter().enumerate()
    }

    pub(super) fn number(&self, index: usize) -> u32 {
        self.list.get(index).map_or(0, |listed| listed.number)
    }

    pub(super) fn path(&self, index: usize) -> PathBuf {
        self.path_of(self.number(index))
    }

    pub(super) fn path_of(&self, number: u32) -> PathBuf {
        self.dir.join(Kind::Timeline.name(number))
    }

    pub(super) fn open(&self, index: usize) -> Result<Box<dyn DiskFile>> {
        self.disk.open(&self.path(index), FileMode::Read)
    }

    pub(super) fn seed(&self, at: At) -> u32 {
        Place { store: self.store, segment: self.number(at.index), offset: at.offset }.seed()
    }

    /// True when a segment of this number is there.
    pub(super) fn has(&self, number: u32) -> bool {
        self.list.iter().any(|listed| listed.number == number)
    }
}

fn read_header(disk: &dyn Disk, dir: &Path, number: u32, forget: bool) -> Result<Listed> {
    let path = dir.join(Kind::Timeline.name(number));
    let file = disk.open(&path, FileMode::Read)?;
    if forget {
        file.drop_cache()?;
    }
    let len = file.len()?;
    let mut bytes = [0; SEGMENT_HEADER];
    file.read_at(0, &mut bytes)?;
    let header = match SegmentHeader::decode(&bytes) {
        Some(Ok(header)) if header.segment == number => HeaderState::Valid(header),
        Some(Err(version)) => {
            let context =
                format!("segment of format version {version}; this program knows version {VERSION}");
            let error = Error::new(ErrorKind::Mismatch, "open", context);
            return Err(error.with_engine(SCHEME).with_path(path));
        }
        _ if bytes.iter().all(|&byte| byte == 0) => HeaderState::Zero,
        _ => HeaderState::Bad,
    };
    Ok(Listed { number, len, header, stated_end: None, follower: None })
}

fn most_common(list: &[Listed]) -> Option<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for listed in list {
        if let HeaderState::Valid(header) = listed.header {
            *counts.entry(header.store).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|&(store, count)| (count, store)).map(|(store, _)| store)
}
