//! Opening: what is there becomes a state to read and a place to go on writing.
//!
//! Nothing that verifies is given up, and nothing is changed in place. What is done here is done again, with the same outcome,
//! when a crash comes in between.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, CommitNo, Durability, Error, ErrorKind, Observer, Result};
use persist_io::Disk;

use crate::core::Parts;
use crate::error::is_no_room;
use crate::home::Home;
use crate::log::{HeadKeeper, Log, Recovered};
use crate::lost::Lost;
use crate::memtable::{Buffers, Memtable};
use crate::names::Kind;
use crate::options::{Settings, Upkeep};
use crate::payload::{PayloadWriter, Payloads};
use crate::runs::{Runs, find_runs};
use crate::state::{LiveRun, Published, State};
use crate::timeline::aside::ClearUp;
use crate::timeline::head::{Head, HeadFound, HeadWriter, LiveRun as NamedRun, read_head};
use crate::timeline::kept::Kept;
use crate::timeline::replay::{Damage, Ended, Found, ReplayFrom, Replayed, replay};
use crate::timeline::{FrameSpan, GoOn, Timeline};

/// The tag of a new store: it tells its frames from those of every other store. With inline upkeep it is made of the path, so
/// that everything stays repeatable.
pub(crate) fn new_store_tag(upkeep: Upkeep, dir: &Path) -> u64 {
    let tag = match upkeep {
        Upkeep::Threads => RandomState::new().build_hasher().finish(),
        Upkeep::Inline => crate::run::hash(dir.as_os_str().as_encoded_bytes()),
    };
    tag.max(1)
}

/// Creates an empty store. It is there, durably, once its head is written.
///
/// # Errors
/// `Io`, `Full`.
pub(crate) fn create(disk: &Arc<dyn Disk>, dir: &Path, settings: &Settings) -> Result<Parts> {
    let home = Home::look(&**disk, dir)?;
    for name in &home.unfinished {
        disk.remove_file(&dir.join(name))?;
    }
    for (kind, number) in &home.files {
        disk.remove_file(&dir.join(kind.name(*number)))?;
    }
    let found = read_head(&**disk, dir)?;
    let store = new_store_tag(settings.upkeep, dir);
    let start = Start {
        disk,
        dir,
        settings,
        store,
        go_on: GoOn::new_store(store),
        in_runs: 0,
        owed: None,
        runs: Vec::new(),
        tail: Tail::new(0, settings, BeatHeader::default()),
        payload_end: None,
        next_run: 1,
    };
    start.parts(&found, found.head.is_some())
}

/// Opens a store.
///
/// # Errors
/// `Corrupt` when there are bytes but nothing verifies, `Mismatch` for a later format, `Cancelled`, `Io`, `Full`.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    settings: &Settings,
    seen: &dyn Observer,
) -> Result<Parts> {
    // A process that was killed may have left names that only the system's memory holds. What they supersede is removed below.
    disk.sync_dir(dir)?;
    let found = read_head(&**disk, dir)?;
    let Runs { live, next_number, rebuilt, lost, missed, .. } =
        find_runs(&**disk, dir, found.head.as_ref(), seen)?;
    let after = live.first().map_or(0, |run| run.head().span.upto);
    let newest = live.iter().map(|run| *run.newest()).max_by_key(|header| header.beat);
    let mut tail = Tail::new(after, settings, newest.unwrap_or_default());
    tail.recovered.rebuilt = rebuilt;
    tail.recovered.damaged_spans = lost;
    tail.recovered.notes = found.damaged.len() as u64;
    let there = |named: &NamedRun| live.iter().any(|run| run.head().span.covers(&named.span));
    let named = found.head.iter().flat_map(|head| &head.runs).filter(|run| !there(run)).copied();
    // Of one that cannot be read nothing is known but where it must have begun.
    let beginning = FrameSpan::new(after, after.saturating_add(1));
    let unknown = missed.map(|number| NamedRun { number, span: beginning });
    let durable = unknown.filter(|_| !found.knows_all(after)).map_or(0, |run| run.span.upto);
    let missing: Vec<NamedRun> = named.chain(unknown).collect();
    let beat = tail.header.beat;
    let head = found.head.as_ref();
    let from = ReplayFrom { head, store: None, after, beat, durable, missing: &missing };
    let ended = replay(&**disk, dir, from, seen, &mut |item| {
        tail.take(item);
        Ok(())
    })?;
    let known = found.head.as_ref().map_or(0, |head| head.durable_frame);
    if let Some(head) = found.head.as_ref().filter(|_| known > 0) {
        tail.raise(BeatNo(head.durable_beat), CommitNo(head.durable_commit));
    }
    // More is lost at the end than the head knows. Nobody knows how many beats; a new head keeps that some are.
    if let Some(beat) = tail.lost.as_ref().filter(|lost| lost.frames.upto > known).map(|lost| lost.beat_upto)
    {
        tail.raise(beat, CommitNo(0));
    }
    tail.end();
    // Before the first frame or value is written there is a head that verifies.
    let known_lost = tail.recovered.damaged_spans > 0 || missed.is_some() || found.head.is_none();
    if live.is_empty() && tail.recovered.frames == 0 && known_lost {
        let what = "there are files of a store, but not one beat can be read; `persist doctor` says more";
        let path = missed.map_or_else(|| dir.to_path_buf(), |number| dir.join(Kind::Run.name(number)));
        return Err(Error::new(ErrorKind::Corrupt, "open", what).with_path(path));
    }
    let had_head = found.head.is_some();
    let found = keep_loss(&**disk, dir, found, &ended, &tail)?;
    let mut clear_up = ClearUp::new(&ended);
    let owed = match clear_up.work(&**disk, dir) {
        // The disk is full: what is there can be read, and whoever writes tries again.
        Err(error) if is_no_room(&error) => true,
        cleared => cleared.map(|()| false)?,
    };
    tail.recovered.notes += clear_up.left_out;
    let payload_end = match (&ended.newest, &found.head) {
        _ if !ended.payload_end_known => None,
        (Some(newest), head) => {
            Some(newest.payload_end.max(head.as_ref().map_or(newest.payload_end, |head| head.payload_end)))
        }
        // A head that knows of every run knows of every value that is referred to.
        (None, Some(head)) if head.durable_frame >= after => Some(head.payload_end),
        (None, _) => None,
    };
    let start = Start {
        disk,
        dir,
        settings,
        store: ended.go_on.store,
        go_on: ended.go_on,
        in_runs: after,
        owed: Some(clear_up).filter(|_| owed),
        runs: live.into_iter().map(|run| Arc::new(LiveRun::new(run))).collect(),
        tail,
        payload_end,
        next_run: next_number,
    };
    start.parts(&found, had_head)
}

/// Frames at the end are lost, and only torn ones, which are moved aside next, say that they were durable: a head must say so before,
/// or the next opening would not miss them. Answers the head that is there then.
fn keep_loss(disk: &dyn Disk, dir: &Path, found: HeadFound, ended: &Ended, tail: &Tail) -> Result<HeadFound> {
    let durable_frame = ended.go_on.last_frame;
    let told = found.head.as_ref().is_some_and(|head| head.durable_frame >= durable_frame);
    if ended.payload_end_known || told {
        return Ok(found);
    }
    let before = found.head.clone().unwrap_or_default();
    let head = Head {
        store: ended.go_on.store,
        durable_frame,
        durable_beat: before.durable_beat.max(tail.header.beat.0),
        durable_commit: tail.header.last_commit().0,
        clean: false,
        ..before
    };
    HeadWriter::open(disk, dir, &found)?.write_both(&head)?;
    read_head(disk, dir)
}

/// Everything that is needed to go on.
struct Start<'s> {
    disk: &'s Arc<dyn Disk>,
    dir: &'s Path,
    settings: &'s Settings,
    store: u64,
    go_on: GoOn,
    /// The newest frame that a durable run holds.
    in_runs: u64,
    /// What could not be moved out of the way.
    owed: Option<ClearUp>,
    /// Newest first.
    runs: Vec<Arc<LiveRun>>,
    tail: Tail,
    payload_end: Option<crate::timeline::PayloadEnd>,
    next_run: u32,
}

impl Start<'_> {
    fn parts(self, found: &HeadFound, had_head: bool) -> Result<Parts> {
        let disk = self.disk;
        let frame = self.go_on.last_frame;
        let kept = Kept::open(&**disk, self.dir, self.store, self.settings.keep_feed)?;
        let ahead = self.settings.ahead();
        let mut timeline = Timeline::resume(Arc::clone(disk), self.dir, self.go_on, ahead, kept)?;
        timeline.owe(self.owed);
        let payloads = Payloads::open(&**disk, self.dir)?;
        let bytes = self.settings.payload_segment_bytes();
        let payload = PayloadWriter::resume(
            Arc::clone(disk),
            self.dir,
            self.store,
            &payloads,
            self.payload_end,
            bytes,
        )?;
        let Tail { active, frozen, header, recovered, .. } = self.tail;
        let active = Arc::new(active);
        let state =
            State { active: Arc::clone(&active), frozen, runs: self.runs, payloads: Arc::new(payloads) };
        let published = Published { slots: active.slots_len(), state: Arc::new(state), header, frame };
        let ahead = timeline.ahead();
        let mut log = Log { timeline, payload, ahead, zeros: false, active };
        let writer = HeadWriter::open(&**disk, self.dir, found)?;
        let mut head = HeadKeeper::new(writer, found);
        let runs = &published.state.runs;
        let is_told = had_head && runs.iter().all(|run| found.names(run.run.head().number));
        // A store is there once it has a head; and a run that one slot does not name would not be missed once its segments are gone.
        let told = if is_told && found.agree {
            Ok(())
        } else {
            head.write(log.head(&published, self.store, !had_head))
        };
        match told {
            // What has no room for a copy of what is torn stays among the segments that are in use: every head says where it ends.
            Ok(()) => log.timeline.retire_durably(self.in_runs)?,
            // They stay until both slots can be written, and say which runs there are.
            Err(error) if had_head && is_no_room(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Parts { store: self.store, published, log, head, next_run: self.next_run, recovered })
    }
}

/// The frames that no run holds, on their way into memory.
struct Tail {
    active: Memtable,
    /// Full ones, newest first.
    frozen: Vec<Arc<Memtable>>,
    memtable_bytes: u64,
    header: BeatHeader,
    /// Damage whose end is not known yet.
    lost: Option<Damage>,
    recovered: Recovered,
}

impl Tail {
    fn new(after: u64, settings: &Settings, header: BeatHeader) -> Self {
        let memtable_bytes = settings.memtable_bytes;
        let most = usize::try_from(memtable_bytes).unwrap_or(usize::MAX);
        let buffers = Arc::new(Buffers::new(most, settings.upkeep == Upkeep::Threads));
        Self {
            active: Memtable::new(after, &buffers),
            frozen: Vec::new(),
            memtable_bytes,
            header,
            lost: None,
            recovered: Recovered::default(),
        }
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Frame(frame) => self.frame(frame),
            Found::Damage(damage) => {
                self.end();
                self.lost = Some(damage);
                self.recovered.damaged_spans += 1;
            }
            Found::Torn(torn) => {
                let aside = &mut self.recovered;
                let beats = torn.beat_upto.0.saturating_sub(torn.beat.0).saturating_add(1);
                aside.bytes_aside = aside.bytes_aside.saturating_add(torn.len);
                aside.frames_aside = aside.frames_aside.saturating_add(torn.frames).saturating_add(1);
                aside.beats_aside = aside.beats_aside.saturating_add(beats);
            }
            Found::Note(_) => self.recovered.notes += 1,
        }
    }

    fn frame(&mut self, frame: Replayed) {
        let header = frame.footer.header;
        // The beats before this one are lost, and beats never go back.
        self.settle_lost(BeatNo(header.beat.0.saturating_sub(1)).max(self.header.beat));
        if self.active.bytes() >= self.memtable_bytes {
            let fresh = Memtable::new(self.active.span().upto, self.active.buffers());
            self.frozen.insert(0, Arc::new(std::mem::replace(&mut self.active, fresh)));
        }
        self.header = header;
        self.recovered.frames += 1;
        let bytes = (frame.bytes.into_vec(), frame.body);
        self.active.push(header, frame.frame, bytes, frame.footer.ops, true);
    }

    /// Beats up to this one, with commits up to that one, were durable. When the newest of them are lost, their numbers are not used
    /// again. Of commits that nobody knows there was at least one a beat.
    fn raise(&mut self, durable: BeatNo, commit: CommitNo) {
        let last = self.header;
        if durable > last.beat {
            let known = commit.0.checked_sub(last.last_commit().0).filter(|_| commit.0 > 0);
            let commits = known.unwrap_or(durable.0 - last.beat.0);
            let lost = BeatHeader { durability: Durability::Durable, root: None, ..last };
            let first_commit = CommitNo(last.last_commit().0.saturating_add(1));
            self.header = BeatHeader { beat: durable, first_commit, commits, ..lost };
        }
    }

    /// Nothing follows: what is lost may have been any beat, so that no reader may overlook it.
    fn end(&mut self) {
        self.settle_lost(self.header.beat);
    }

    fn settle_lost(&mut self, beat: BeatNo) {
        if let Some(damage) = self.lost.take() {
            let file = damage.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let what = format!("{} (beats {} to {})", damage.what, damage.beat, damage.beat_upto);
            let lost = Lost { beat, file, offset: damage.offset, what };
            self.active.push_lost(Arc::new(lost), damage.frames.upto);
        }
    }
}
