//! Files of segments that nobody needs any more become the next ones.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{
    BeatNo, CompactScope, Driver, Durability, Engine, Error, ErrorKind, FeedItem, OpenOptions, Quiet, Result,
};
use persist_flatfile::FlatfileDriver;
use persist_io::{Call, Intercept, Intercepted, PassOn, RealDisk};

use super::beside::stat;

/// Four beats fill a memtable, and a segment is longer than what the feed reads at once.
const BEAT: usize = 70_000;

fn options() -> OpenOptions {
    let knobs = [("maintenance", "inline"), ("memtable_bytes", "262144"), ("large_value_bytes", "1048576")];
    let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    OpenOptions { knobs: knobs.into(), ..OpenOptions::default() }
}

fn commit(engine: &dyn Engine, count: u64) {
    for _ in 0..count {
        let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        beat.put_record(&header.beat.0.to_be_bytes(), &vec![7; BEAT]).unwrap();
        beat.commit_beat().unwrap();
    }
}

fn reused(engine: &dyn Engine) -> u64 {
    stat(engine, "timeline_segments_reused")
}

fn files(home: &Path, wanted: &str) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let found = entries.filter(|entry| entry.file_name().to_string_lossy().contains(wanted));
    found.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect()
}

#[derive(Debug, PartialEq)]
enum Seen {
    /// A segment got the name of an unfinished file, or that the name of a segment.
    Spared(PathBuf),
    Named(PathBuf),
    Written(PathBuf),
    SyncDir,
}

#[derive(Default)]
struct Names(Mutex<Vec<Seen>>);

impl Intercept for Names {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        pass_on()?;
        let is_spare = |path: &Path| path.to_string_lossy().ends_with(".new");
        if path.to_string_lossy().contains("branch.idx.") || matches!(call, Call::SyncDir) {
            let path_of = path.to_path_buf();
            self.0.lock().extend(match call {
                Call::RenameTo(to) if is_spare(to) => Some(Seen::Spared(to.to_path_buf())),
                Call::RenameTo(to) => Some(Seen::Named(to.to_path_buf())),
                Call::WriteAt { .. } => Some(Seen::Written(path_of)),
                Call::SyncDir => Some(Seen::SyncDir),
                _ => None,
            });
        }
        Ok(())
    }
}

#[test]
fn a_file_is_written_to_only_once_its_new_name_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let disk = Arc::new(Intercepted::new(RealDisk, Names::default()));
    let engine = FlatfileDriver::new(disk.clone()).open(&home, &options(), &Quiet).unwrap();
    commit(&*engine, 40);
    assert!(reused(&*engine) > 3);
    let seen = std::mem::take(&mut *disk.intercept().0.lock());
    let mut changed = 0;
    for (at, what) in seen.iter().enumerate() {
        let (Seen::Spared(path) | Seen::Named(path)) = what else { continue };
        let behind = &seen[at..];
        let synced = behind.iter().position(|seen| *seen == Seen::SyncDir);
        let written = behind.iter().position(|seen| *seen == Seen::Written(path.clone()));
        assert!(written.is_none_or(|written| synced.is_some_and(|synced| synced < written)), "{path:?}");
        changed += 1;
    }
    assert!(changed > 6, "{changed}");
    // As a killed process leaves it: a spare file is removed, the beats are there.
    drop(engine);
    let engine = FlatfileDriver::default().open(&home, &options(), &Quiet).unwrap();
    assert_eq!(files(&home, ".new"), []);
    let view = engine.view().unwrap();
    for beat in 1..=40_u64 {
        let found = view.get_record(&beat.to_be_bytes()).unwrap();
        assert!(found.is_some_and(|value| value.as_ref() == vec![7; BEAT]), "beat {beat}");
    }
    let stats = engine.stats().unwrap().engine;
    for name in ["recovered_bytes_aside", "recovered_damaged_spans", "recovered_notes"] {
        assert!(stats.contains(&(name, 0)), "{stats:?}");
    }
}

#[test]
fn a_feed_goes_on_reading_a_segment_that_is_needed_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FlatfileDriver::default().open(&dir.path().join("home"), &options(), &Quiet).unwrap();
    commit(&*engine, 3);
    let mut beats = Vec::new();
    let done = engine.feed(BeatNo(0), &mut |item| {
        if let FeedItem::Beat(header) = item {
            beats.push(header.beat.0);
            if beats.len() == 1 {
                // Its segment is full, a run has it, and it would be zeros by now.
                commit(&*engine, 12);
            }
        }
        ControlFlow::Continue(())
    });
    done.unwrap();
    assert_eq!(beats, [1, 2, 3]);
    let before = reused(&*engine);
    commit(&*engine, 12);
    assert!(reused(&*engine) > before, "nobody reads any more");
}

/// Whether runs have room.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    Enough,
    None,
    /// As long as there is a spare file, none.
    BesideNoSpare,
}

struct Beside {
    home: PathBuf,
    room: Mutex<Room>,
    refused: AtomicU64,
}

impl Intercept for Beside {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let is_run = path.to_string_lossy().contains("branch.ckp");
        let is_refused = match *self.room.lock() {
            Room::Enough => false,
            Room::None => true,
            Room::BesideNoSpare => files(&self.home, ".new").iter().any(|(path, _)| is_spare(path)),
        };
        if is_run && is_refused && matches!(call, Call::WriteAt { .. }) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::io("write_file", path, std::io::ErrorKind::StorageFull.into()));
        }
        pass_on()
    }
}

fn is_spare(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.contains(".idx.") && name.ends_with(".new")
}

#[test]
fn what_lies_ready_is_given_back_where_a_run_has_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let beside = Beside { home: home.clone(), room: Mutex::new(Room::Enough), refused: AtomicU64::new(0) };
    let disk = Arc::new(Intercepted::new(RealDisk, beside));
    let engine = FlatfileDriver::new(disk.clone()).open(&home, &options(), &Quiet).unwrap();
    let beside = disk.intercept();
    // Several memtables become runs at once, so that there are more spare files than are needed next.
    *beside.room.lock() = Room::None;
    commit(&*engine, 10);
    *beside.room.lock() = Room::Enough;
    commit(&*engine, 4);
    assert!(files(&home, ".new").iter().any(|(path, _)| is_spare(path)));
    *beside.room.lock() = Room::BesideNoSpare;
    let before = beside.refused.load(Ordering::Relaxed);
    for _ in 0..20 {
        commit(&*engine, 1);
        assert!(stat(&*engine, "memtables") <= 2, "what is full becomes a run with the next beat");
    }
    assert!(beside.refused.load(Ordering::Relaxed) > before);
    assert_eq!(engine.verify(&mut |found| panic!("{found:?}"), &Quiet).unwrap().damaged, 0);
}

#[test]
fn what_lies_ready_is_given_back_by_a_checkpoint_a_compaction_and_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let engine = FlatfileDriver::default().open(&home, &options(), &Quiet).unwrap();
    let all = || files(&home, "branch.").iter().map(|(_, len)| *len).sum::<u64>();
    let until_one_is_spared = || {
        commit(&*engine, 10);
        (0..40).take_while(|_| files(&home, ".new").is_empty()).for_each(|_| commit(&*engine, 1));
        assert!(!files(&home, ".new").is_empty());
    };
    until_one_is_spared();
    assert_eq!(engine.stats().unwrap().bytes_on_disk, all());
    engine.checkpoint().unwrap();
    assert_eq!(files(&home, ".new"), []);
    until_one_is_spared();
    engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    assert_eq!(files(&home, ".new"), []);
    until_one_is_spared();
    engine.close().map_err(|(_, error)| error).unwrap();
    assert_eq!(files(&home, ".new"), []);
}

/// Has no room for writes to files of this name, as long as there is one.
#[derive(Default)]
struct NoRoom(Mutex<Option<&'static str>>);

impl Intercept for NoRoom {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let is_full = self.0.lock().is_some_and(|name| path.to_string_lossy().contains(name));
        if is_full && matches!(call, Call::WriteAt { .. }) {
            return Err(Error::new(ErrorKind::Full, "write", "no room, as asked").with_path(path));
        }
        pass_on()
    }
}

#[test]
fn segments_stay_until_the_head_names_the_run_of_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let disk = Arc::new(Intercepted::new(RealDisk, NoRoom::default()));
    let engine = FlatfileDriver::new(disk.clone()).open(&home, &options(), &Quiet).unwrap();
    commit(&*engine, 3);
    *disk.intercept().0.lock() = Some("branch.meta");
    assert_eq!(engine.checkpoint().unwrap_err().kind(), ErrorKind::Full);
    let before = files(&home, "branch.idx.0");
    assert_eq!((before.len(), files(&home, "branch.ckp.").len()), (2, 1), "{before:?}");
    engine.verify(&mut |finding| panic!("{finding:?}"), &Quiet).unwrap();
    engine.keep_feed(Some(BeatNo(3))).unwrap();
    engine.keep_feed(None).unwrap();
    assert_eq!(files(&home, "branch.idx.0"), before);
    *disk.intercept().0.lock() = None;
    engine.verify(&mut |finding| panic!("{finding:?}"), &Quiet).unwrap();
    assert_eq!(files(&home, "branch.idx.0").len(), 1);
}

#[test]
fn a_spare_file_that_cannot_be_zeroed_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let disk = Arc::new(Intercepted::new(RealDisk, NoRoom::default()));
    let engine = FlatfileDriver::new(disk.clone()).open(&home, &options(), &Quiet).unwrap();
    *disk.intercept().0.lock() = Some("branch.idx.00000001.new");
    commit(&*engine, 20);
    assert_eq!(files(&home, "00000001"), files(&home, "branch.ckp.00000001"), "segment 1 is gone");
    assert!(reused(&*engine) > 0, "the next one is not");
}

#[test]
fn below_a_ceiling_nothing_is_spared() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { store_bytes_max: Some(64 << 20), ..options() };
    let engine = FlatfileDriver::default().open(&dir.path().join("home"), &options, &Quiet).unwrap();
    commit(&*engine, 40);
    assert_eq!(reused(&*engine), 0);
}
