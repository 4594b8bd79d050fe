//! No room on the disk for the files that work beside the commits makes: nothing ends, and it goes on when there is room again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use persist_api::{
    BeatHeader, CompactScope, Driver, Durability, Engine, Error, ErrorKind, OpenOptions, Quiet, Result, Scan,
};
use persist_flatfile::FlatfileDriver;
use persist_io::sim::{Code, Crash, Fault, Op, SimDisk, When};
use persist_io::{Call, FileMode, Intercept, Intercepted, PassOn};

const HOME: &str = "/home";

/// There is no room for files whose names begin with what this says: to write them, or, behind `remove `, to remove them.
#[derive(Default)]
struct Room {
    none_for: Mutex<Option<&'static str>>,
    refused: Mutex<u64>,
}

impl Room {
    fn is_none_for(&self, prefix: impl Into<Option<&'static str>>) {
        *self.none_for.lock() = prefix.into();
    }
}

impl Intercept for Room {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A run is begun, but not a segment: of a file that is not there nothing can be left.
        let takes_room = match call {
            Call::WriteAt { .. } => name.starts_with("branch.ckp") || name.starts_with("branch.meta"),
            Call::Open(mode) => mode == FileMode::CreateNew && name.starts_with("branch.idx"),
            Call::RemoveFile => !name.ends_with(".new"),
            _ => false,
        };
        let removes = matches!(call, Call::RemoveFile);
        let is_refused = |prefix: &str| match prefix.strip_prefix("remove ") {
            Some(prefix) => removes && name.starts_with(prefix),
            None => !removes && name.starts_with(prefix),
        };
        if takes_room && self.none_for.lock().is_some_and(is_refused) {
            *self.refused.lock() += 1;
            return Err(Error::io("write_file", path, std::io::ErrorKind::StorageFull.into()));
        }
        pass_on()
    }
}

fn inline() -> OpenOptions {
    super::tiny::options()
}

fn threads() -> OpenOptions {
    let mut options = inline();
    options.knobs.remove("maintenance");
    options
}

struct Store {
    sim: SimDisk,
    room: Arc<Room>,
    options: OpenOptions,
    engine: Box<dyn Engine>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    last: BeatHeader,
}

fn open(sim: &SimDisk, room: &Arc<Room>, options: &OpenOptions) -> Box<dyn Engine> {
    let disk: Intercepted<_, Room> = Intercepted::new(sim.clone(), Arc::clone(room));
    FlatfileDriver::new(Arc::new(disk)).open(Path::new(HOME), options, &Quiet).unwrap()
}

impl Store {
    fn new(options: OpenOptions) -> Self {
        let (sim, room) = (SimDisk::new(1), Arc::default());
        let engine = open(&sim, &room, &options);
        Self { sim, room, options, engine, rows: BTreeMap::new(), last: BeatHeader::default() }
    }

    fn put(&mut self, n: u64, len: usize) -> Result<()> {
        let next = self.last.next(1, Durability::Durable, None)?;
        let (key, value) = (n.to_be_bytes().to_vec(), vec![n.to_le_bytes()[0]; len]);
        let mut beat = self.engine.begin_beat(next)?;
        beat.put_record(&key, &value)?;
        beat.commit_beat()?;
        self.rows.insert(key, value);
        self.last = next;
        Ok(())
    }

    /// Puts until it is refused; answers why.
    fn fill(&mut self) -> Error {
        let refused = (1000..2000).find_map(|n| self.put(n, 120).err());
        let error = refused.expect("no end of memory");
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(error.to_string().contains("branch.") && error.path().is_some(), "{error}");
        error
    }

    fn figure(&self, name: &str) -> u64 {
        let stats = self.engine.stats().unwrap();
        stats.engine.iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// All rows are there, nothing is poisoned, and no file was left half written.
    fn check(&self) {
        let mut found = BTreeMap::new();
        let view = self.engine.view().unwrap();
        view.scan(Scan::all(), &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        assert!(found == self.rows, "{} rows of {}", found.len(), self.rows.len());
        assert_eq!((*view.header(), self.figure("poisoned")), (self.last, 0));
    }

    fn reopen(&mut self, sim: SimDisk) {
        self.sim = sim;
        self.engine = open(&self.sim, &self.room, &self.options);
    }

    /// With room again the same engine goes on, and so does the next one.
    fn goes_on(mut self) {
        self.room.is_none_for(None);
        for n in 5000..5100 {
            self.put(n, 90).unwrap();
        }
        self.engine.checkpoint().unwrap();
        self.engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
        assert_eq!((self.figure("runs"), self.figure("memtables")), (1, 1));
        self.check();
        let left = self.sim.files();
        assert!(!left.iter().any(|(path, _)| path.to_string_lossy().ends_with(".new")), "{left:?}");
        let cut = self.sim.crash_image(&Crash::Nothing);
        self.reopen(cut);
        self.check();
        assert_eq!(self.engine.verify(&mut |_| (), &Quiet).unwrap().damaged, 0);
    }
}

fn verbs_meet_full(options: OpenOptions) {
    let mut store = Store::new(options);
    for n in 0..60 {
        store.put(n, 100).unwrap();
    }
    store.engine.checkpoint().unwrap();
    store.put(60, 100).unwrap();
    for prefix in ["branch.ckp", "branch.idx"] {
        store.room.is_none_for(prefix);
        for _ in 0..3 {
            let checkpoint = store.engine.checkpoint().map(|stat| stat.bytes);
            let compact = store.engine.compact(CompactScope::default(), &Quiet).map(drop);
            // What has a segment for the next frame needs no new one.
            if prefix == "branch.ckp" {
                assert_eq!(checkpoint.unwrap_err().kind(), ErrorKind::Full);
                assert_eq!(compact.unwrap_err().kind(), ErrorKind::Full);
            }
            store.check();
            // A beat may need the segment as well.
            if let Err(error) = store.put(70, 50) {
                assert_eq!((prefix, error.kind()), ("branch.idx", ErrorKind::Full), "{error}");
            }
        }
        assert!(*store.room.refused.lock() >= 3, "{prefix}");
        *store.room.refused.lock() = 0;
        store.room.is_none_for(None);
        store.put(71, 50).unwrap();
    }
    store.goes_on();
}

#[test]
fn verbs_that_meet_a_full_disk_say_so_and_change_nothing() {
    verbs_meet_full(inline());
}

#[test]
fn verbs_that_meet_a_full_disk_say_so_and_change_nothing_beside_threads() {
    verbs_meet_full(threads());
}

/// As long as the next beat need not wait for a run, it is committed; then it is refused, and nothing more.
fn commits_meet_full(options: OpenOptions, prefix: &'static str) {
    let mut store = Store::new(options);
    store.put(0, 100).unwrap();
    store.room.is_none_for(prefix);
    for _ in 0..3 {
        store.fill();
        store.check();
    }
    let memtables = store.figure("memtables");
    assert!(prefix != "branch.ckp" || memtables == 4, "{memtables}");
    // What could not become runs is read again by an opening, also while there is no room.
    let killed = store.sim.killed();
    store.reopen(killed);
    store.check();
    store.fill();
    store.check();
    store.goes_on();
}

#[test]
fn beats_are_refused_while_there_is_no_room_for_runs() {
    commits_meet_full(inline(), "branch.ckp");
}

#[test]
fn beats_are_refused_while_there_is_no_room_for_the_runs_of_threads() {
    commits_meet_full(threads(), "branch.ckp");
}

#[test]
fn beats_are_refused_while_there_is_no_room_for_a_segment() {
    commits_meet_full(inline(), "branch.idx");
}

#[test]
fn beats_are_refused_while_threads_have_no_room_for_a_segment() {
    commits_meet_full(threads(), "branch.idx");
}

/// What a killed process could not say in the head for want of room is said by a later one: until then nothing is removed.
#[test]
fn a_run_that_no_head_could_name_is_read_while_there_is_no_room_for_a_head() {
    let mut store = Store::new(inline());
    for n in 0..3 {
        store.put(n, 100).unwrap();
    }
    store.room.is_none_for("branch.meta");
    assert_eq!(store.engine.checkpoint().unwrap_err().kind(), ErrorKind::Full);
    store.check();
    for _ in 0..2 {
        let killed = store.sim.killed();
        store.reopen(killed);
        store.check();
        assert_eq!(store.figure("runs"), 1);
    }
    let cut = store.sim.crash_image(&Crash::Nothing);
    store.reopen(cut);
    store.check();
    store.goes_on();
}

/// There are file systems on which it takes room to remove a file.
#[test]
fn a_compaction_that_has_no_room_to_remove_runs_keeps_the_values_that_it_has_moved() {
    let mut store = Store::new(inline());
    for round in 0..4 {
        for n in 0..6 {
            store.put(n, 1_000 + round).unwrap();
        }
        store.engine.checkpoint().unwrap();
    }
    store.room.is_none_for("remove branch.ckp");
    store.engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    assert!(*store.room.refused.lock() > 0);
    store.check();
    for _ in 0..2 {
        let killed = store.sim.killed();
        store.reopen(killed);
        store.check();
        assert_eq!(store.figure("runs"), 1, "the others are left out");
    }
    let cut = store.sim.crash_image(&Crash::Nothing);
    store.reopen(cut);
    store.goes_on();
}

/// The run of the older memtable meets a full disk while the newer one, done first, waits for it.
#[derive(Default)]
struct OlderFails {
    newer_done: Mutex<bool>,
    changed: Condvar,
}

impl Intercept for OlderFails {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut newer_done = self.newer_done.lock();
        if matches!(call, Call::WriteAt { .. }) && name == "branch.ckp.00000001.new" {
            let minute = Duration::from_secs(60);
            let waited = self.changed.wait_while_for(&mut newer_done, |done| !*done, minute);
            assert!(!waited.timed_out(), "nobody makes the second run meanwhile");
            return Err(Error::io("write_file", path, std::io::ErrorKind::StorageFull.into()));
        }
        let is_second = matches!(call, Call::SyncData) && name == "branch.ckp.00000002.new";
        *newer_done |= is_second;
        self.changed.notify_all();
        drop(newer_done);
        pass_on()
    }
}

#[test]
fn a_run_that_waits_for_an_older_one_does_not_wait_for_one_that_has_no_room() {
    let sim = SimDisk::new(1);
    let disk = Intercepted::new(sim.clone(), OlderFails::default());
    let engine = FlatfileDriver::new(Arc::new(disk)).open(Path::new(HOME), &threads(), &Quiet).unwrap();
    let mut last = BeatHeader::default();
    for n in 0..400_u32 {
        let next = last.next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(next).unwrap();
        beat.put_record(&n.to_be_bytes(), &[7; 100]).unwrap();
        match beat.commit_beat() {
            Ok(_) => last = next,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
        }
    }
    assert_eq!(engine.checkpoint().unwrap().beat, last.beat);
    assert!(engine.stats().unwrap().engine.contains(&("poisoned", 0)));
    drop(engine);
    let engine = FlatfileDriver::new(Arc::new(sim)).open(Path::new(HOME), &threads(), &Quiet).unwrap();
    assert_eq!(engine.verify(&mut |_| (), &Quiet).unwrap().damaged, 0);
    assert_eq!(engine.view().unwrap().header().beat, last.beat);
}

#[test]
fn what_a_sync_has_no_room_for_poisons_and_who_comes_later_hears_why() {
    let mut store = Store::new(inline());
    store.put(0, 100).unwrap();
    let begun = store.sim.operations();
    store.engine.checkpoint().unwrap();
    let of_run = |(n, op): &(u64, Op)| *n > begun && *op == Op::SyncFile;
    let sync = store.sim.trace().operations().find(of_run).unwrap().0 - begun;
    let mut store = Store::new(inline());
    store.put(0, 100).unwrap();
    let full = Fault::Error { code: Code::NoSpace, applied: false };
    store.sim.plan(When::At(store.sim.operations() + sync), full);
    assert_eq!(store.engine.checkpoint().unwrap_err().kind(), ErrorKind::Full);
    for error in [store.put(1, 1).unwrap_err(), store.engine.checkpoint().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        assert!(error.to_string().contains("sync_file") && error.to_string().contains("branch."), "{error}");
    }
}
