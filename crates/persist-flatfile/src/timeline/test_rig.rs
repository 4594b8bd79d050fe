//! A small store for the tests of this module: writes frames and knows what must be read back.

use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, Durability, Quiet, Result};

use super::builder::FrameBuilder;
use super::frame::PayloadEnd;
use super::head::{Head, HeadWriter, read_head};
use super::kept::Kept;
use super::replay::{Damage, Ended, Found, Note, ReplayFrom, Torn, replay};
use super::test_disk::{DIR, TestDisk};
use super::{AheadOptions, GoOn, Timeline};

/// What a frame must give back: its number, its beat and its body.
pub(crate) type Expected = (u64, BeatNo, Vec<u8>);

pub(crate) const STORE: u64 = 0x1122_3344_5566_7788;
pub(crate) const SMALL: AheadOptions =
    AheadOptions { step: 4096, step_max: 8192, prepare_after: 1024, prepare_late: 2048, spare_max: 1 << 20 };

/// Everything that a replay handed out.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) frames: Vec<Expected>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) torn: Vec<Torn>,
    pub(crate) notes: Vec<Note>,
    pub(crate) ended: Ended,
}

pub(crate) fn read_after(disk: &TestDisk, after: u64) -> Result<Read> {
    let head = read_head(disk, Path::new(DIR))?.head;
    let from = ReplayFrom { head: head.as_ref(), store: Some(STORE), after, ..ReplayFrom::default() };
    let (mut frames, mut damage, mut torn, mut notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let ended = replay(disk, Path::new(DIR), from, &Quiet, &mut |found| {
        match found {
            Found::Frame(frame) => {
                frames.push((frame.frame, frame.footer.header.beat, frame.bytes[frame.body].to_vec()));
            }
            Found::Damage(found) => damage.push(found),
            Found::Torn(found) => torn.push(found),
            Found::Note(found) => notes.push(found),
        }
        Ok(())
    })?;
    Ok(Read { frames, damage, torn, notes, ended })
}

pub(crate) fn read(disk: &TestDisk) -> Result<Read> {
    read_after(disk, 0)
}

/// A timeline and what was written to it.
pub(crate) struct Rig {
    pub(crate) disk: TestDisk,
    pub(crate) timeline: Timeline,
    pub(crate) header: BeatHeader,
    pub(crate) written: Vec<Expected>,
    pub(crate) builder: FrameBuilder,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(TestDisk::default(), GoOn::new_store(STORE), Vec::new(), BeatHeader::default())
    }

    pub(crate) fn on(disk: TestDisk, go_on: GoOn, written: Vec<Expected>, header: BeatHeader) -> Self {
        let kept = Kept::open(&disk, Path::new(DIR), go_on.store, false).unwrap();
        let timeline = Timeline::resume(Arc::new(disk.clone()), Path::new(DIR), go_on, SMALL, kept).unwrap();
        Self { disk, timeline, header, written, builder: FrameBuilder::default() }
    }

    /// Opens what is on the disk, as an engine would.
    pub(crate) fn reopen(disk: TestDisk) -> (Self, Read) {
        let read = read(&disk).unwrap();
        super::aside::ClearUp::new(&read.ended).work(&disk, Path::new(DIR)).unwrap();
        let header = read.ended.newest.map_or_else(BeatHeader::default, |footer| footer.header);
        (Self::on(disk, read.ended.go_on.clone(), read.frames.clone(), header), read)
    }

    pub(crate) fn append(&mut self, rows: u64) -> Result<()> {
        self.header = self.header.next(1, Durability::Durable, None).unwrap();
        self.builder.clear();
        for row in 0..rows {
            self.builder.put(&(self.header.beat.0 * 100 + row).to_be_bytes(), &[0xa5; 20]);
        }
        let body = self.builder.body().to_vec();
        let end = PayloadEnd { segment: 1, offset: 64 * self.header.beat.0 };
        let appended = self.timeline.append(&mut self.builder, &self.header, end)?;
        self.written.push((appended.frame, self.header.beat, body));
        Ok(())
    }

    pub(crate) fn commit(&mut self, rows: u64) {
        self.append(rows).unwrap();
        self.timeline.sync().unwrap();
    }

    pub(crate) fn head(&self, clean: bool) -> Head {
        Head {
            store: STORE,
            durable_frame: self.timeline.durable(),
            durable_beat: self.header.beat.0,
            clean,
            ends: self.timeline.ends(),
            oldest_segment: self.timeline.oldest_segment(),
            ..Head::default()
        }
    }

    pub(crate) fn write_head(&self, clean: bool) {
        let found = read_head(&self.disk, Path::new(DIR)).unwrap();
        let mut writer = HeadWriter::open(&self.disk, Path::new(DIR), &found).unwrap();
        writer.write_both(&self.head(clean)).unwrap();
    }
}
