//! Whole runs.

mod damage;
mod model;
mod repair;
mod writing;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use persist_api::{BeatHeader, BeatNo, Durability};
use persist_io::{Disk, FileMode, Mapping, RealDisk};

use super::head::RunStat;
use super::writer::Shape;
use super::{RangeDelete, Run, RunHead, RunWriter, Stored, Version};
use crate::names;
use crate::payload_ref::PayloadRef;
use crate::timeline::FrameSpan;

pub(super) const NUMBER: u32 = 7;
/// So small that a few records make several groups.
pub(super) const SMALL: Shape = Shape { block: 160, index: 60, ranges: 64 };

/// What a version holds, without borrowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    Inline(Vec<u8>),
    Large(PayloadRef),
    Deleted,
}

impl Kept {
    pub(super) fn stored(&self) -> Stored<'_> {
        match self {
            Self::Inline(value) => Stored::Inline(value),
            Self::Large(payload) => Stored::Large(*payload),
            Self::Deleted => Stored::Deleted,
        }
    }

    pub(super) fn of(stored: &Stored<'_>) -> Self {
        match stored {
            Stored::Inline(value) => Self::Inline(value.to_vec()),
            Stored::Large(payload) => Self::Large(*payload),
            Stored::Deleted => Self::Deleted,
        }
    }
}

/// Versions in the order of a run.
pub(super) type Model = BTreeMap<(Vec<u8>, Reverse<u64>), Kept>;

pub(super) fn head(last_beat: u64, floor: u64) -> RunHead {
    RunHead {
        number: NUMBER,
        span: FrameSpan::new(20, 30),
        first_beat: BeatNo(11),
        last_beat: BeatNo(last_beat),
        floor: BeatNo(floor),
    }
}

pub(super) fn header(beat: u64) -> BeatHeader {
    BeatHeader { beat: BeatNo(beat), durability: Durability::Durable, commits: 1, ..BeatHeader::default() }
}

/// Writes a run into `dir`.
pub(super) fn write(
    dir: &Path,
    head: RunHead,
    shape: Shape,
    model: &Model,
    ranges: &[RangeDelete],
    headers: &[BeatHeader],
) -> RunStat {
    let mut writer = RunWriter::create_shaped(&RealDisk, dir, head, shape).unwrap();
    for ((key, Reverse(beat)), kept) in model {
        writer.add(key, BeatNo(*beat), &kept.stored()).unwrap();
    }
    for range in ranges {
        writer.range(range);
    }
    for header in headers {
        writer.header(header);
    }
    writer.finish().unwrap()
}

/// The bytes of a run's file.
pub(super) fn bytes_of(dir: &Path) -> Vec<u8> {
    let file = RealDisk.open(&dir.join(names::Kind::Run.name(NUMBER)), FileMode::Read).unwrap();
    file.map(0, file.len().unwrap()).unwrap().to_vec()
}

/// Opens a run whose file has these bytes.
pub(super) fn open(bytes: &[u8]) -> persist_api::Result<Run> {
    Run::of_bytes(names::Kind::Run.name(NUMBER).into(), NUMBER, Mapping::of_bytes(bytes))
}

pub(super) fn kept(found: (&[u8], Version<'_>)) -> (Vec<u8>, u64, Kept) {
    (found.0.to_vec(), found.1.beat.0, Kept::of(&found.1.stored))
}

/// Records of every kind: 0..`keys` with one to four versions each, some keys long, some values long.
pub(super) fn mixed(keys: u64, floor: u64, last_beat: u64) -> Model {
    let mut model = Model::new();
    for n in 0..keys {
        let mut key = format!("key/{:05}", n * 7).into_bytes();
        if n % 11 == 3 {
            key.extend(vec![b'x'; 60]);
        }
        for version in 0..=(n % 4) {
            let beat = if version == 0 { floor } else { (floor + version * (n % 5 + 1)).min(last_beat) };
            let kept = match (n + version) % 5 {
                3 => Kept::Deleted,
                4 => Kept::Large(PayloadRef { segment: 3, crc: 9, offset: n * 8, len: 70_000 + n }),
                kind => Kept::Inline(vec![
                    b'a' + u8::try_from(n % 26).unwrap();
                    usize::try_from(kind * 9 + n % 13).unwrap()
                ]),
            };
            model.insert((key.clone(), Reverse(beat)), kept);
        }
    }
    model
}
