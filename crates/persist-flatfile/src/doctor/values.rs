//! Examining the timeline behind the runs, and the large values.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use persist_api::{BeatNo, Error, ErrorKind, Result, Severity};
use persist_io::FileMode;

use super::examine::Exam;
use super::runs::Live;
use super::told::{Complaint, KeySpan, Remedy, Trouble};
use crate::coding::u64_at;
use crate::error::offset_of;
use crate::names::{HEAD, Kind, parse};
use crate::payload::{PayloadFile, Payloads, header};
use crate::payload_ref::PayloadRef;
use crate::run::{Run, Stored};
use crate::timeline::head::{Head, LiveRun};
use crate::timeline::replay::{Damage, Found, Note, ReplayFrom, Replayed, Torn, replay};
use crate::timeline::{FrameSpan, Op, Ops};

/// Rows between two reports.
const STEP: u64 = 4096;
/// Bytes of the header of a payload segment.
const PAYLOAD_HEADER: usize = 64;

/// Opens every payload segment, for reading only.
pub(super) fn payloads(exam: &Exam<'_>) -> Result<Payloads> {
    let mut all = Payloads::default();
    for number in exam.files.numbers(Kind::Payload) {
        all = all.with(Arc::new(PayloadFile::open(exam.disk, exam.home, number, FileMode::Read)?));
    }
    Ok(all)
}

/// The name at the end of an error's path.
pub(super) fn file_of(error: &Error) -> String {
    let name = error.path().and_then(|path| path.file_name()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Exam<'_> {
    /// Looks at the frames behind the runs, and at every value that runs and frames refer to.
    pub(super) fn tail(&mut self, live: &Live) -> Result<()> {
        let files = payloads(self)?;
        for run in &live.open {
            self.values_of(run, &files)?;
        }
        self.frames(live, &files)?;
        self.payload_headers(&files)
    }

    fn values_of(&mut self, run: &Run, files: &Payloads) -> Result<()> {
        if run.stat().large_values == 0 {
            return Ok(());
        }
        let mut cursor = run.cursor();
        let mut rows = 0_u64;
        let mut next = cursor.seek(Bound::Unbounded).and_then(|()| cursor.next());
        loop {
            match next {
                Ok(Some((key, version))) => {
                    if let Stored::Large(place) = version.stored {
                        self.value(files, key, version.beat, &place)?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let what =
                        "large values behind this block could not be checked; they are when the run is whole";
                    let place = (file_of(&error), offset_of(&error));
                    let (unchecked, repair) = (Severity::Unchecked, Remedy::Repair);
                    self.say(Complaint::new(unchecked, Trouble::Value, repair, place, what));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            rows += 1;
            if rows % STEP == 1 {
                self.step("values", rows, "records")?;
            }
            next = cursor.next();
        }
    }

    fn value(&mut self, files: &Payloads, key: &[u8], beat: BeatNo, place: &PayloadRef) -> Result<()> {
        match files.read(place) {
            Ok(_) => self.diagnosis.values += 1,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let context = error.context();
                let what = context.strip_prefix(&format!("at offset {}: ", place.offset)).unwrap_or(context);
                let at = (Kind::Payload.name(place.segment), place.offset);
                let (damage, loss) = (Severity::Damage, Remedy::AcceptLoss);
                let mut complaint = Complaint::new(damage, Trouble::Value, loss, at, what).beats(beat, beat);
                complaint.len = Some(place.len);
                complaint.records = Some(1);
                complaint.keys = Some(KeySpan::one(key));
                self.say(complaint);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn frames(&mut self, live: &Live, files: &Payloads) -> Result<()> {
        let head = self.found.head.clone();
        let first = self.replayed(live, files, head.as_ref(), None);
        let Err(error) = first else { return first.map(drop) };
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        // The walk has not begun: not even the store can be told.
        if head.is_some() && self.replayed(live, files, None, None)? {
            self.plan.drop_head = true;
            let what = "the head is of another store than the timeline; it is made anew from the other files";
            let (damage, repair) = (Severity::Damage, Remedy::Repair);
            self.say(Complaint::new(damage, Trouble::Contradiction, repair, (HEAD, 0), what));
            return Ok(());
        }
        let place = (file_of(&error), offset_of(&error));
        let tag = tag_of(self)?;
        if tag.is_some() && self.replayed(live, files, None, tag)? {
            self.plan.write_tag = true;
            let what = "no header of a timeline segment and no head verify; payload segments tell whose the frames are";
            let (damage, repair) = (Severity::Damage, Remedy::Repair);
            self.say(Complaint::new(damage, Trouble::Frames, repair, place, what));
            return Ok(());
        }
        let (damage, backup) = (Severity::Damage, Remedy::Backup);
        let mut complaint = Complaint::new(damage, Trouble::Frames, backup, place, error.context());
        complaint.keys = Some(KeySpan::ALL);
        self.say(complaint);
        Ok(())
    }

    /// Replays the timeline; true unless it would not be told whose it is.
    fn replayed(
        &mut self,
        live: &Live,
        files: &Payloads,
        head: Option<&Head>,
        store: Option<u64>,
    ) -> Result<bool> {
        let (disk, home, seen) = (self.disk, self.home, self.seen);
        let beat = live.open.iter().map(|run| run.head().last_beat).max().unwrap_or_default();
        let after = live.upto;
        let unknown = live
            .missed
            .map(|number| LiveRun { number, span: FrameSpan::new(after, after.saturating_add(1)) });
        let durable = unknown.filter(|_| !self.found.knows_all(after)).map_or(0, |run| run.span.upto);
        let missing = unknown.as_slice();
        let from = ReplayFrom { head, store, after, beat, durable, missing };
        let told = store.is_some() || head.is_none() && self.found.head.is_some();
        let ended = replay(disk, home, from, seen, &mut |found| match found {
            Found::Frame(frame) => self.frame(&frame, files),
            Found::Damage(damage) => {
                self.damaged(&damage, live);
                Ok(())
            }
            Found::Torn(torn) => {
                self.torn(&torn);
                Ok(())
            }
            Found::Note(note) => {
                self.noted(&note);
                Ok(())
            }
        });
        match ended {
            Ok(ended) => {
                self.plan.store = ended.go_on.store;
                let whole = ended.aside.iter().filter(|aside| aside.tail.is_none());
                whole.for_each(|aside| self.moved_aside(aside.segment));
                Ok(true)
            }
            Err(error) if told && error.kind() == ErrorKind::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn frame(&mut self, frame: &Replayed, files: &Payloads) -> Result<()> {
        self.diagnosis.frames += 1;
        let beat = frame.footer.header.beat;
        self.diagnosis.beat = self.diagnosis.beat.max(beat);
        self.diagnosis.records = self.diagnosis.records.saturating_add(frame.footer.ops);
        let body = frame.bytes.get(frame.body.clone()).unwrap_or_default();
        for (_, op) in Ops::new(body) {
            if let Op::PutLarge { key, payload } = op {
                self.value(files, key, beat, &payload)?;
            }
        }
        Ok(())
    }

    fn damaged(&mut self, damage: &Damage, live: &Live) {
        let name = damage.path.file_name().unwrap_or_default();
        let (mut place, mut len) = ((name.to_string_lossy().into_owned(), damage.offset), damage.len);
        let mut what = damage.what;
        if let Some(missing) = self.missing_before(parse(name).map_or(0, |(_, number)| number)) {
            (place, len) = ((Kind::Timeline.name(missing), 0), 0);
            what = "the segment is missing";
        }
        let what = format!("{what}; these frames were durable, and what they wrote is lost");
        let (severity, loss) = (Severity::Damage, Remedy::AcceptLoss);
        let mut complaint = Complaint::new(severity, Trouble::Frames, loss, place, what);
        complaint.len = Some(len);
        complaint.frames = Some(damage.frames.after.saturating_add(1)..=damage.frames.upto);
        complaint.keys = Some(KeySpan::ALL);
        let (first, last) = self.beats_lost(damage);
        if damage.frames.after == live.upto && live.missed.is_some() {
            self.held_by_unknown();
        }
        self.say(complaint.beats(first, last));
    }

    /// Frames right behind the runs are lost: a newer run of which nothing is known is what held them, so it is not needless.
    fn held_by_unknown(&mut self) {
        for complaint in &mut self.diagnosis.complaints {
            let unknown = complaint.trouble == Trouble::Run && complaint.frames.is_none();
            if unknown {
                complaint.remedy = Remedy::AcceptLoss;
                complaint.keys = Some(KeySpan::ALL);
            }
        }
    }

    /// A segment that the head names, that is not there, and that comes before another one.
    fn missing_before(&self, segment: u32) -> Option<u32> {
        let there = self.files.numbers(Kind::Timeline);
        let head = self.found.head.as_ref()?;
        let named = head.ends.iter().map(|end| end.segment).chain([head.oldest_segment]);
        named.filter(|number| *number > 0 && *number < segment && !there.contains(number)).min()
    }

    /// The beats that damage concerns: the walk does not know those of the runs, nor does it count by the head.
    fn beats_lost(&self, damage: &Damage) -> (BeatNo, BeatNo) {
        let first = damage.beat.max(BeatNo(self.diagnosis.beat.0.saturating_add(1)));
        let known = self.found.head.as_ref().filter(|head| head.durable_frame == damage.frames.upto);
        let last = match known {
            Some(head) => BeatNo(head.durable_beat),
            None if damage.beat_upto < first => {
                BeatNo(first.0.saturating_add(damage.frames.len().saturating_sub(1)))
            }
            None => damage.beat_upto,
        };
        (first, last.max(first))
    }

    fn torn(&mut self, torn: &Torn) {
        let name = torn.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = format!(
            "{}; nothing says that this had become durable, so a crash has cut it short; it is copied to damaged/ and dropped, \
             with {} later frames",
            torn.what, torn.frames
        );
        let (note, opening) = (Severity::Note, Remedy::Opening);
        let mut complaint = Complaint::new(note, Trouble::TornTail, opening, (name, torn.offset), what)
            .beats(torn.beat, torn.beat_upto);
        complaint.len = Some(torn.len);
        complaint.frames = Some(torn.frame..=torn.frame.saturating_add(torn.frames));
        self.say(complaint);
    }

    fn moved_aside(&mut self, segment: u32) {
        let place = (Kind::Timeline.name(segment), 0);
        let what = "nothing of this segment is used; it is moved to damaged/ as a whole";
        self.say(Complaint::new(Severity::Note, Trouble::Leftover, Remedy::Opening, place, what));
    }

    fn noted(&mut self, note: &Note) {
        let name = note.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = (name, note.offset);
        self.say(Complaint::new(Severity::Note, Trouble::Frames, Remedy::None, place, note.what));
    }

    fn payload_headers(&mut self, files: &Payloads) -> Result<()> {
        if self.plan.store == 0 {
            // Neither a head nor a frame: then only these headers tell.
            let Some(tag) = tag_of(self)? else { return Ok(()) };
            (self.plan.store, self.plan.write_tag) = (tag, true);
        }
        for file in files.iter() {
            match file.check_header(self.plan.store) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.plan.headers.push(file.number());
                    let context = error.context();
                    let what = context.strip_prefix("at offset 0: ").unwrap_or(context);
                    let what = format!("{what}; values verify without it");
                    let place = (Kind::Payload.name(file.number()), 0);
                    let (damage, repair) = (Severity::Damage, Remedy::Repair);
                    self.say(Complaint::new(damage, Trouble::PayloadHeader, repair, place, what));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The tag that most headers of payload segments carry.
fn tag_of(exam: &Exam<'_>) -> Result<Option<u64>> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for number in exam.files.numbers(Kind::Payload) {
        let mut bytes = [0; PAYLOAD_HEADER];
        exam.disk
            .open(&exam.home.join(Kind::Payload.name(number)), FileMode::Read)?
            .read_at(0, &mut bytes)?;
        let tag = u64_at(&bytes, 16).filter(|tag| header(number, *tag) == bytes);
        if let Some(tag) = tag {
            *counts.entry(tag).or_default() += 1;
        }
    }
    Ok(counts.into_iter().max_by_key(|(_, count)| *count).map(|(tag, _)| tag))
}
