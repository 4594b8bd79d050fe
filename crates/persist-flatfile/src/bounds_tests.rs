//! What is said about memory, disk and time, held against a store in use.
#![allow(clippy::disallowed_methods, reason = "a test looks at the files")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use persist_api::{
    BeatNo, CompactScope, Driver, Durability, Engine, Error, ErrorKind, FeedItem, Observer, OpenOptions,
    Progress, Quiet,
};
use persist_io::sim::{Crash, SimDisk};
use persist_io::{Call, Intercept, Intercepted, PassOn};

use crate::FlatfileDriver;
use crate::core::Core;
use crate::engine::FlatfileEngine;
use crate::names::HEAD;
use crate::timeline::frame::tests::header_claiming;
use crate::timeline::frame::{BODY_BYTES_MAX, FRAME_HEADER, FrameHead, Place};

/// Tiny tables, and everything done by the caller, with some knobs set otherwise.
fn options(knobs: &[(&str, &str)]) -> OpenOptions {
    let tiny = [("maintenance", "inline"), ("memtable_bytes", "4096"), ("segment_step_bytes", "4096")];
    let knobs = tiny.iter().chain(knobs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    OpenOptions { knobs: knobs.collect(), ..OpenOptions::default() }
}

fn open(home: &Path, options: &OpenOptions) -> Box<dyn Engine> {
    FlatfileDriver::default().open(home, options, &Quiet).unwrap()
}

/// A store whose parts can be looked at while it is used.
fn open_core(home: &Path, options: &OpenOptions) -> (Arc<Core>, FlatfileEngine) {
    let core = FlatfileDriver::default().open_core(home, options, &Quiet).unwrap();
    let core = Arc::new(core);
    let engine = FlatfileEngine::new(
        Arc::clone(&core),
        crate::options::offer(options),
        false,
        std::time::Duration::ZERO,
    );
    (core, engine.unwrap())
}

fn put(engine: &dyn Engine, durability: Durability, key: &[u8], value: &[u8]) -> persist_api::Result<()> {
    let header = engine.view()?.header().next(1, durability, None)?;
    let mut beat = engine.begin_beat(header)?;
    beat.put_record(key, value)?;
    beat.commit_beat().map(drop)
}

fn figure(engine: &dyn Engine, name: &str) -> u64 {
    let stats = engine.stats().unwrap();
    stats.engine.iter().find(|(other, _)| *other == name).unwrap().1
}

/// Bytes of the files of a store. The lock is not one of them.
fn bytes_in(home: &Path) -> u64 {
    let files = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("branch."));
    files.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn v_06_a_view_lets_the_directory_go_before_it_counts_as_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (core, engine) = open_core(dir.path(), &options(&[]));
    for _ in 0..500 {
        let view = engine.view().unwrap();
        std::thread::scope(|scope| {
            // Somebody has to be told, which takes a moment, and in that moment the lock is looked at.
            scope.spawn(|| core.ledger.wait_until_closed(std::time::Duration::from_secs(60)).unwrap());
            scope.spawn(move || drop(view));
            while core.ledger.count() > 0 {
                std::hint::spin_loop();
            }
            assert_eq!(Arc::strong_count(&core.lock), 1, "the view holds it still");
        });
    }
}

#[test]
fn l_02_the_ceiling_counts_what_a_beat_stages() {
    let dir = tempfile::tempdir().unwrap();
    let max = 8 << 20;
    let engine = open(dir.path(), &OpenOptions { store_bytes_max: Some(max), ..options(&[]) });
    let header = engine.view().unwrap().header().next(1, Durability::Buffered, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    let value = vec![7; 900 << 10];
    let refused = (0..12_u8).find_map(|n| beat.put_record(&[n], &value).err());
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Full));
    assert!(bytes_in(dir.path()) <= max);
    assert!(engine.stats().unwrap().bytes_on_disk >= bytes_in(dir.path()));
    drop(beat);
    put(&*engine, Durability::Durable, b"key", &value).unwrap();
    assert!(bytes_in(dir.path()) < 2 << 20, "nothing is left of the beat that did not fit");
}

#[test]
fn every_byte_on_disk_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let engine =
        open(dir.path(), &options(&[("segment_step_bytes", "65536"), ("large_value_bytes", "9000")]));
    let counted = || engine.stats().unwrap().bytes_on_disk;
    for n in 0..40_u8 {
        put(&*engine, Durability::Durable, &[n], &vec![n; 800 + 1100 * usize::from(n % 9)]).unwrap();
        let there = bytes_in(dir.path());
        assert!(counted() >= there, "beat {n}: {} of {there}", counted());
    }
}

#[test]
fn runs_are_merged_around_one_that_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), &options(&[]));
    for n in 0..60_u8 {
        put(&*engine, Durability::Buffered, &[n], &[n; 500]).unwrap();
        engine.checkpoint().unwrap();
        if n == 3 {
            let run = dir.path().join("branch.ckp.00000004");
            let mut bytes = std::fs::read(&run).unwrap();
            let at = bytes.windows(500).position(|part| part == [n; 500]).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&run, bytes).unwrap();
        }
    }
    assert!(figure(&*engine, "runs") <= 16, "{:?}", engine.stats().unwrap().engine);
    assert_eq!(figure(&*engine, "runs_not_merged"), 1);
    let view = engine.view().unwrap();
    assert_eq!(view.get_record(&[3]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(view.get_record(&[2]).unwrap().unwrap()[..], [2; 500]);
}

#[test]
fn a_close_waits_for_no_merge() {
    let dir = tempfile::tempdir().unwrap();
    let (core, engine) = open_core(dir.path(), &options(&[]));
    for n in 0..8_u8 {
        if n == 7 {
            core.due.stop();
        }
        put(&engine, Durability::Buffered, &[n], &[n; 500]).unwrap();
        engine.checkpoint().unwrap();
    }
    assert_eq!(figure(&engine, "runs"), 8);
    let stopped = crate::merging::merge_due(&core).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert_eq!(figure(&engine, "runs"), 8);
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".new")));
    Box::new(engine).close().map_err(|(_, error)| error).unwrap();
}

#[test]
fn zeros_are_filled_as_they_are_used_and_a_kept_segment_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let knobs = [("memtable_bytes", "1048576"), ("segment_step_bytes", "65536")];
    let options = OpenOptions { keep_feed: true, ..options(&knobs) };
    let engine = open(dir.path(), &options);
    for n in 0..40 {
        put(&*engine, Durability::Durable, &[n], &[1; 300]).unwrap();
    }
    let filled = figure(&*engine, "timeline_bytes");
    assert!(filled <= 70_000, "{filled} bytes for 20,000 of frames");
    engine.checkpoint().unwrap();
    let used = engine.keep_feed(Some(BeatNo(0))).unwrap().bytes;
    assert!((12_000..20_000).contains(&used), "{used}");
    engine.close().map_err(|(_, error)| error).unwrap();
    // A crash may bring them back.
    let kept = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.into_iter().find(|path| path.to_string_lossy().contains(".old.")).unwrap();
    std::fs::OpenOptions::new().write(true).open(&kept).unwrap().set_len(50_000).unwrap();
    let engine = open(dir.path(), &options);
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), used);
    let mut beats = 0;
    let mut visit = |item: FeedItem<'_>| {
        beats += u32::from(matches!(item, FeedItem::Beat(_)));
        ControlFlow::Continue(())
    };
    engine.feed(BeatNo(0), &mut visit).unwrap();
    assert_eq!(beats, 40);
}

/// Commits whenever the frames are being read, and has what it commits flushed.
struct Commits(Arc<Core>, FlatfileEngine);

impl Observer for Commits {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        if progress.phase == "replay" {
            for n in 0..20 {
                put(&self.1, Durability::Durable, &[n], &[n; 1000]).unwrap();
            }
            assert!(self.0.log.lock().timeline.is_held());
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn beats_are_committed_and_flushed_while_a_verify_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (core, engine) = open_core(dir.path(), &options(&[]));
    put(&engine, Durability::Durable, b"key", &[1; 1000]).unwrap();
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let seen = Commits(core, engine);
        let mut findings = Vec::new();
        let stat = seen.1.verify(&mut |finding| findings.push(finding), &seen).unwrap();
        let left = seen.0.log.lock().timeline.ends().len();
        done.send((stat.damaged, findings, left, figure(&seen.1, "runs"))).unwrap();
    });
    let (damaged, findings, left, runs) =
        wait.recv_timeout(std::time::Duration::from_secs(60)).expect("verify and commit wait for each other");
    assert_eq!((damaged, findings), (0, vec![]));
    assert!(runs > 1 && left <= 1, "{runs} runs, {left} segments before the one in use");
}

#[test]
fn what_is_kept_before_a_gap_is_not_served() {
    // Which of six segments is missing, and the first beat that is served then.
    for (missing, first) in [(1, 2), (3, 4), (6, 7)] {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { keep_feed: true, ..options(&[]) };
        let engine = open(dir.path(), &options);
        for n in 0..6 {
            put(&*engine, Durability::Buffered, &[n], &[n]).unwrap();
            engine.checkpoint().unwrap();
        }
        put(&*engine, Durability::Buffered, b"last", b"one").unwrap();
        engine.close().map_err(|(_, error)| error).unwrap();
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let wanted = format!("branch.old.{missing:08}");
        let path = names.into_iter().find(|path| path.to_string_lossy().contains(&wanted)).unwrap();
        std::fs::remove_file(path).unwrap();
        let engine = open(dir.path(), &options);
        assert_eq!(engine.keep_feed(Some(BeatNo(0))).unwrap().after, BeatNo(first - 1));
        let feed = |after| {
            let mut beats = Vec::new();
            let mut visit = |item: FeedItem<'_>| {
                if let FeedItem::Beat(header) = item {
                    beats.push(header.beat.0);
                }
                ControlFlow::Continue(())
            };
            let done = engine.feed(BeatNo(after), &mut visit).map_err(|error| error.kind());
            done.map(|()| beats)
        };
        assert_eq!(feed(first - 1), Ok((first..=7).collect()));
        assert_eq!(feed(first - 2), Err(ErrorKind::Stale));
    }
}

#[test]
fn what_is_in_runs_is_looked_at_when_no_compaction_can_come_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let (core, engine) = open_core(dir.path(), &options(&[]));
    put(&engine, Durability::Buffered, b"key", b"value").unwrap();
    std::thread::scope(|scope| {
        // Who looks at the runs waits here; by then it must have what a compaction asks for.
        let published = core.published.lock();
        scope.spawn(|| engine.keep_feed(Some(BeatNo(0))).unwrap());
        let held = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            core.log.is_locked()
        });
        drop(published);
        assert!(held, "the runs are looked at without the timeline");
    });
}

#[test]
fn a_frame_that_claims_more_than_a_beat_may_have_is_damage_to_the_feed() {
    let dir = tempfile::tempdir().unwrap();
    let (core, engine) = open_core(dir.path(), &options(&[]));
    engine.keep_feed(Some(BeatNo(0))).unwrap();
    for n in 0..2 {
        put(&engine, Durability::Durable, &[n], &[n]).unwrap();
    }
    let path = dir.path().join("branch.idx.00000001");
    let mut bytes = std::fs::read(&path).unwrap();
    let mut place = Place { store: core.store, segment: 1, offset: 64 };
    place.offset += FrameHead::read(&bytes[64..], place.seed()).unwrap().len;
    let at = usize::try_from(place.offset).unwrap();
    bytes[at..at + FRAME_HEADER].copy_from_slice(&header_claiming(&place, 2, BODY_BYTES_MAX + 1));
    std::fs::write(&path, bytes).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(BODY_BYTES_MAX * 2).unwrap();
    let mut beats = 0;
    let mut visit = |item: FeedItem<'_>| {
        beats += u32::from(matches!(item, FeedItem::Beat(_)));
        ControlFlow::Continue(())
    };
    let error = engine.feed(BeatNo(0), &mut visit).unwrap_err();
    assert_eq!((error.kind(), beats), (ErrorKind::Corrupt, 1));
    // The header alone says so: nothing was read for the body.
    assert!(error.context().contains("no frame verifies"), "{error}");
}

/// So many heads are written yet before there is no room, not even to remove a run.
struct Heads(AtomicU64, AtomicBool);

impl Intercept for Heads {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
        let is_head = path.file_name().is_some_and(|name| name == HEAD);
        if is_head && matches!(call, Call::WriteAt { .. }) {
            let less = |left: u64| left.checked_sub(1);
            if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
                return Err(Error::io("write_file", path, std::io::ErrorKind::StorageFull.into()));
            }
        }
        let is_run = path.to_string_lossy().contains("branch.ckp.")
            && path.extension().is_some_and(|end| end != "new");
        if is_run && matches!(call, Call::RemoveFile) && self.1.load(Ordering::Relaxed) {
            return Err(Error::io("remove_file", path, std::io::ErrorKind::StorageFull.into()));
        }
        pass_on()
    }
}

/// A slot names the merged run, and it cannot be taken back: so the values that were moved for it stay.
#[test]
fn a_compaction_whose_run_may_be_named_and_cannot_be_removed_keeps_its_values() {
    let options = options(&[("large_value_bytes", "128")]);
    let (sim, heads) = (SimDisk::new(1), Arc::new(Heads(AtomicU64::new(u64::MAX), AtomicBool::new(false))));
    let disk: Arc<Intercepted<_, Heads>> = Arc::new(Intercepted::new(sim.clone(), Arc::clone(&heads)));
    let home = Path::new("/home");
    let engine = FlatfileDriver::new(disk).open(home, &options, &Quiet).unwrap();
    for round in 0..3_u8 {
        for n in 0..6_u8 {
            put(&*engine, Durability::Durable, &[n], &[round + n; 500]).unwrap();
        }
        engine.checkpoint().unwrap();
    }
    heads.0.store(1, Ordering::Relaxed);
    heads.1.store(true, Ordering::Relaxed);
    let refused = engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    let check = |engine: &dyn Engine| {
        let view = engine.view().unwrap();
        assert!((0..6_u8).all(|n| view.get_record(&[n]).unwrap().unwrap()[..] == [2 + n; 500]));
    };
    check(&*engine);
    assert_eq!(figure(&*engine, "poisoned"), 1);
    for crash in [Crash::Nothing, Crash::Everything] {
        let engine = FlatfileDriver::new(Arc::new(sim.crash_image(&crash)));
        let engine = engine.open(home, &options, &Quiet).unwrap();
        check(&*engine);
        assert_eq!(engine.verify(&mut |found| panic!("{found:?}"), &Quiet).unwrap().damaged, 0);
    }
}

#[test]
fn a_merge_that_finds_no_room_for_its_head_changes_nothing() {
    // How many of the two slots are written.
    for slots in [0, 1] {
        let (sim, heads) =
            (SimDisk::new(1), Arc::new(Heads(AtomicU64::new(u64::MAX), AtomicBool::new(false))));
        let disk: Arc<Intercepted<_, Heads>> = Arc::new(Intercepted::new(sim.clone(), Arc::clone(&heads)));
        let home = Path::new("/home");
        let core = Arc::new(FlatfileDriver::new(disk).open_core(home, &options(&[]), &Quiet).unwrap());
        let offer = crate::options::offer(&options(&[]));
        let engine = FlatfileEngine::new(Arc::clone(&core), offer, false, std::time::Duration::ZERO).unwrap();
        for n in 0..8_u8 {
            put(&engine, Durability::Durable, &[n], &[n; 500]).unwrap();
            engine.checkpoint().unwrap();
        }
        let runs = |sim: &SimDisk| {
            let is_run = |path: &Path| path.to_string_lossy().contains("branch.ckp.");
            sim.files().into_iter().filter(|(path, _)| is_run(path)).collect::<Vec<_>>()
        };
        let (before, bytes) = (runs(&sim), engine.stats().unwrap().bytes_on_disk);
        heads.0.store(slots, Ordering::Relaxed);
        assert_eq!(crate::merging::merge_due(&core).unwrap_err().kind(), ErrorKind::Full);
        assert_eq!((runs(&sim), figure(&engine, "runs")), (before, 8));
        assert_eq!(engine.stats().unwrap().bytes_on_disk, bytes);
        for crash in [Crash::Nothing, Crash::Everything] {
            let engine = FlatfileDriver::new(Arc::new(sim.crash_image(&crash)));
            let engine = engine.open(home, &options(&[]), &Quiet).unwrap();
            assert_eq!(engine.verify(&mut |found| panic!("{found:?}"), &Quiet).unwrap().damaged, 0);
            let view = engine.view().unwrap();
            assert!((0..8_u8).all(|n| view.get_record(&[n]).unwrap().unwrap()[..] == [n; 500]));
        }
        heads.0.store(u64::MAX, Ordering::Relaxed);
        crate::merging::merge_due(&core).unwrap();
        assert_eq!((runs(&sim).len(), figure(&engine, "runs")), (1, 1));
    }
}
