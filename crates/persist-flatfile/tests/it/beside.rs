//! Two memtables become runs at the same time; the newer one is done first and has to wait.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use persist_api::{BeatHeader, Driver, Durability, Engine, OpenOptions, Quiet, Result};
use persist_flatfile::FlatfileDriver;
use persist_io::{Call, Intercept, Intercepted, PassOn, RealDisk};

/// Syncs the first run only once the second is synced.
#[derive(Default)]
struct SecondFirst {
    second: Mutex<bool>,
    changed: Condvar,
}

impl Intercept for SecondFirst {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        pass_on()?;
        let name = path.file_name().unwrap().to_string_lossy();
        let number = name.strip_prefix("branch.ckp.").and_then(|rest| rest.strip_suffix(".new"));
        let (Call::SyncData, Some(number)) = (call, number) else { return Ok(()) };
        let mut second = self.second.lock();
        if number == "1" {
            let waited = self.changed.wait_while_for(&mut second, |second| !*second, Duration::from_secs(60));
            assert!(!waited.timed_out(), "nobody makes the second run meanwhile");
        }
        *second |= number == "2";
        self.changed.notify_all();
        Ok(())
    }
}

#[test]
fn runs_take_their_places_in_the_order_of_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        knobs: [("memtable_bytes".to_owned(), "65536".to_owned())].into(),
        ..OpenOptions::default()
    };
    let driver = FlatfileDriver::new(Arc::new(Intercepted::new(RealDisk, SecondFirst::default())));
    let engine = driver.open(dir.path(), &options, &Quiet).unwrap();
    let mut last = BeatHeader::default();
    // Two of these fill a memtable; the third of them is begun.
    for n in 0..5_u8 {
        last = last.next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(last).unwrap();
        beat.put_record(b"newest", &[n]).unwrap();
        beat.put_record(&[n], &vec![n; 40_000]).unwrap();
        beat.commit_beat().unwrap();
    }
    let check = |engine: &dyn persist_api::Engine| {
        let view = engine.view().unwrap();
        assert_eq!(view.get_record(b"newest").unwrap().as_deref(), Some([4].as_slice()));
        for n in 0..5_u8 {
            assert_eq!(view.get_record(&[n]).unwrap().as_deref(), Some(vec![n; 40_000].as_slice()));
        }
        let stats = engine.stats().unwrap().engine;
        for (name, wanted) in [("runs", 3), ("memtables", 1), ("recovered_damaged_spans", 0)] {
            assert!(stats.contains(&(name, wanted)), "{name}: {stats:?}");
        }
    };
    assert_eq!(engine.checkpoint().unwrap().beat, last.beat);
    check(&*engine);
    engine.close().map_err(|(_, error)| error).unwrap();
    let engine = FlatfileDriver::default().open(dir.path(), &options, &Quiet).unwrap();
    check(&*engine);
}

/// Lets no run be synced before it is told to.
#[derive(Default)]
struct Blocked {
    /// A run is about to be synced; it may be.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Intercept for Blocked {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let name = path.file_name().unwrap().to_string_lossy();
        if matches!(call, Call::SyncData) && name.starts_with("branch.ckp.") {
            let mut state = self.state.lock();
            state.0 = true;
            self.changed.notify_all();
            self.changed.wait_while(&mut state, |state| !state.1);
        }
        pass_on()
    }
}

/// A figure of an open store.
pub(super) fn stat(engine: &dyn Engine, wanted: &str) -> u64 {
    let stats = engine.stats().unwrap().engine;
    stats.into_iter().find(|(name, _)| *name == wanted).unwrap().1
}

#[test]
fn commits_slow_down_while_two_memtables_wait_for_their_runs_and_stop_behind_the_third() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        knobs: [("memtable_bytes".to_owned(), "65536".to_owned())].into(),
        ..OpenOptions::default()
    };
    let disk = Arc::new(Intercepted::new(RealDisk, Blocked::default()));
    let engine = FlatfileDriver::new(disk.clone()).open(dir.path(), &options, &Quiet).unwrap();
    let stat = |wanted: &str| stat(&*engine, wanted);
    let (slowed, stopped) = (|| stat("commits_slowed"), || stat("commits_stopped"));
    let mut last = BeatHeader::default();
    let mut commit = |bytes: usize| {
        last = last.next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(last).unwrap();
        beat.put_record(b"key", &vec![7; bytes]).unwrap();
        beat.commit_beat().unwrap();
    };
    // Two of these fill a memtable. One is full, then a second one.
    for _ in 0..4 {
        commit(40_000);
    }
    let beside_one = slowed();
    commit(10_000);
    {
        let mut state = disk.intercept().state.lock();
        disk.intercept().changed.wait_while(&mut state, |state| !state.0);
    }
    for _ in 0..100 {
        commit(1);
    }
    let beside_two = slowed();
    // The third one becomes full, and the fourth half full.
    while stat("memtables") < 4 {
        commit(40_000);
    }
    let (before, beside_four) = (stat("frames"), stopped());
    let (committed, is_done) = std::thread::scope(|scope| {
        let commits = scope.spawn(|| {
            commit(40_000);
            commit(1);
        });
        let end = Instant::now() + Duration::from_secs(60);
        while stopped() == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        let found = (stat("frames") - before, commits.is_finished());
        disk.intercept().state.lock().1 = true;
        disk.intercept().changed.notify_all();
        found
    });
    assert_eq!(
        (beside_four, committed, is_done),
        (0, 1, false),
        "one waits for a run once all memory is full"
    );
    assert_eq!(stopped(), 1);
    engine.checkpoint().unwrap();
    assert!(beside_one == 0 && beside_two > 0, "{beside_one}, {beside_two}");
    let before = slowed();
    for _ in 0..100 {
        commit(1);
    }
    assert_eq!(slowed(), before);
    engine.close().map_err(|(_, error)| error).unwrap();
}

#[test]
fn of_beats_longer_than_five_memtables_no_more_than_two_are_in_memory() {
    const BEAT: usize = 400_000;
    let dir = tempfile::tempdir().unwrap();
    let knobs = [("memtable_bytes", "65536"), ("large_value_bytes", "1048576")];
    let options = OpenOptions {
        knobs: knobs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..OpenOptions::default()
    };
    let disk = Arc::new(Intercepted::new(RealDisk, Blocked::default()));
    let engine = FlatfileDriver::new(disk.clone()).open(dir.path(), &options, &Quiet).unwrap();
    let stat = |wanted: &str| stat(&*engine, wanted);
    let most = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = BeatHeader::default();
            for n in 0..8_u8 {
                last = last.next(1, Durability::Durable, None).unwrap();
                let mut beat = engine.begin_beat(last).unwrap();
                beat.put_record(&[n], &vec![n; BEAT]).unwrap();
                beat.commit_beat().unwrap();
            }
        });
        let end = Instant::now() + Duration::from_secs(60);
        while stat("commits_stopped") == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        let most = stat("memtable_bytes");
        disk.intercept().state.lock().1 = true;
        disk.intercept().changed.notify_all();
        most
    });
    assert!((2 * BEAT as u64..3 * BEAT as u64).contains(&most), "{most} bytes");
    let view = engine.view().unwrap();
    for n in 0..8_u8 {
        assert!(view.get_record(&[n]).unwrap().is_some_and(|value| value.as_ref() == vec![n; BEAT]));
    }
}

/// Notes of each timeline segment that is removed whether somebody has it open.
#[cfg(target_os = "linux")]
#[derive(Default)]
struct Removed(Mutex<Vec<bool>>);

#[cfg(target_os = "linux")]
impl Intercept for Removed {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        pass_on()?;
        let name = path.file_name().unwrap().to_string_lossy();
        if matches!(call, Call::RemoveFile) && name.starts_with("branch.idx.") {
            let gone = format!("{} (deleted)", path.display());
            let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let mut open = open.filter_map(|file| std::fs::read_link(file.path()).ok());
            self.0.lock().push(open.any(|file| file.to_string_lossy() == gone));
        }
        Ok(())
    }
}

/// While the timeline removes a segment, commits wait for it. The name of a file is gone in a moment; its blocks take the system
/// tens of milliseconds, but only with the last handle.
#[cfg(target_os = "linux")]
#[test]
fn a_segment_is_removed_while_it_is_open_so_that_only_its_name_goes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Intercepted::new(RealDisk, Removed::default()));
    let engine = FlatfileDriver::new(disk.clone()).open(dir.path(), &OpenOptions::default(), &Quiet).unwrap();
    let mut last = BeatHeader::default();
    for n in 0..2_u8 {
        last = last.next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(last).unwrap();
        beat.put_record(b"key", &[n]).unwrap();
        beat.commit_beat().unwrap();
        engine.checkpoint().unwrap();
    }
    engine.close().map_err(|(_, error)| error).unwrap();
    let removed = disk.intercept().0.lock();
    assert!(!removed.is_empty() && removed.iter().all(|open| *open), "{removed:?}");
}
