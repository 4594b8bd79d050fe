use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use persist_io::RealDisk;

use super::*;
use crate::timeline::test_disk::{DIR, Done, TestDisk};
use crate::timeline::test_rig::{Read, Rig, SMALL, STORE, read};

fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(Kind::Timeline.name(number))
}

#[test]
fn a_commit_is_one_write_and_one_sync() {
    let mut rig = Rig::new();
    rig.timeline.open_segment().unwrap();
    rig.timeline.ahead().work(true).unwrap();
    for n in 0..5 {
        rig.disk.take_done();
        rig.commit(n);
        let done = rig.disk.take_done();
        let [Done::Write(path, offset, bytes), Done::Sync(synced)] = &done[..] else { panic!("{done:?}") };
        assert_eq!((path, synced), (&segment(1), &segment(1)));
        // The segment's header goes out with its first frame.
        assert_eq!((*offset == 0, bytes.len() as u64 + offset), (n == 0, rig.timeline.current_bytes()));
    }
    rig.timeline.sync().unwrap();
    assert_eq!(rig.disk.take_done(), [], "there is nothing to sync");
}

#[test]
fn rolling_into_a_prepared_segment_costs_a_commit_nothing() {
    let mut rig = Rig::new();
    rig.timeline.open_segment().unwrap();
    let ahead = rig.timeline.ahead();
    while rig.timeline.current_bytes() < SMALL.prepare_after {
        rig.commit(4);
    }
    assert!(ahead.wanted(true));
    ahead.work(true).unwrap();
    assert!(!ahead.wanted(true));
    let done = rig.disk.take_done();
    let created = done.iter().position(|done| *done == Done::Create(segment(2))).unwrap();
    assert!(done[created..].contains(&Done::SyncDir(DIR.into())), "its name is durable before it is used");
    assert_eq!(done.last(), Some(&Done::Sync(segment(2))), "and so is its length");
    rig.timeline.roll().unwrap();
    rig.commit(1);
    let done = rig.disk.take_done();
    assert!(matches!(&done[..], [Done::Write(path, 0, _), Done::Sync(_)] if *path == segment(2)), "{done:?}");
    assert_eq!(read(&rig.disk).unwrap().frames, rig.written);
}

#[test]
fn what_was_replayed_is_durable_before_anything_is_built_on_it() {
    let mut rig = Rig::new();
    rig.append(1).unwrap();
    rig.timeline.roll().unwrap();
    rig.append(1).unwrap();
    rig.disk.take_done();
    let (rig, read) = Rig::reopen(rig.disk);
    assert_eq!(read.frames.len(), 2);
    let done = rig.disk.take_done();
    for number in [1, 2] {
        assert!(done.contains(&Done::Sync(segment(number))), "{number}: {done:?}");
    }
}

#[test]
fn a_durable_beat_makes_the_frames_of_older_segments_durable_first() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.append(1).unwrap();
        rig.timeline.roll().unwrap();
    }
    rig.disk.take_done();
    rig.commit(1);
    let done = rig.disk.take_done();
    let syncs = [1, 2, 3, 4].map(|number| Done::Sync(segment(number)));
    assert!(matches!(&done[0], Done::Write(..)));
    assert_eq!(done[1..], syncs);
    rig.commit(1);
    assert_eq!(rig.disk.take_done().len(), 2, "what is synced is not synced again");
    assert_eq!((rig.timeline.durable(), rig.timeline.written()), (5, 5));
}

#[test]
fn a_footer_says_what_was_durable() {
    let mut rig = Rig::new();
    rig.commit(1);
    rig.append(1).unwrap();
    rig.append(1).unwrap();
    rig.commit(1);
    rig.commit(1);
    let mut through = Vec::new();
    let from = crate::timeline::replay::ReplayFrom { store: Some(STORE), ..Default::default() };
    crate::timeline::replay::replay(&rig.disk, Path::new(DIR), from, &persist_api::Quiet, &mut |found| {
        if let crate::timeline::replay::Found::Frame(frame) = found {
            through.push(frame.footer.durable_through);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(through, [0, 1, 1, 1, 4]);
}

#[test]
fn filling_ahead_never_touches_what_the_writer_may_be_writing() {
    let mut rig = Rig::new();
    rig.timeline.open_segment().unwrap();
    let ahead = rig.timeline.ahead();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (ahead, stop) = (ahead.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    ahead.work(true).unwrap();
                    ahead.prepare(true, SMALL.step).unwrap();
                }
            });
        }
        for n in 0..3000_u64 {
            rig.append(n % 7 * 20).unwrap();
            if n % 300 == 299 {
                rig.timeline.roll().unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    rig.timeline.sync().unwrap();
    assert_eq!(rig.disk.overlaps(), Vec::<String>::new());
    let Read { frames, damage, torn, notes, .. } = read(&rig.disk).unwrap();
    assert!(frames == rig.written, "{} of {} frames", frames.len(), rig.written.len());
    assert!(damage.is_empty() && torn.is_empty() && notes.is_empty(), "{damage:?} {torn:?} {notes:?}");
}

#[test]
fn zeros_are_where_the_filled_mark_says_and_steps_grow() {
    let dir = tempfile::tempdir().unwrap();
    let segment = Segment::create(&RealDisk, dir.path(), 1, 8192).unwrap();
    assert!(segment.wants_fill());
    let mut lens = Vec::new();
    for _ in 0..4 {
        segment.fill(20_000).unwrap();
        assert!(!segment.wants_fill());
        lens.push(std::fs::metadata(segment.path()).unwrap().len());
        assert_eq!(segment.file_len(), *lens.last().unwrap());
    }
    assert_eq!(lens, [8192, 16_384, 20_480, 20_480]);
    // The writer outruns the filler: it goes on behind what the writer took.
    segment.append(0, &vec![1; 30_001]).unwrap();
    assert!(segment.wants_fill());
    segment.fill(20_000).unwrap();
    let bytes = std::fs::read(segment.path()).unwrap();
    assert_eq!(bytes.len() % 4096, 0);
    assert!(bytes.len() >= 50_000 && bytes[..30_001].iter().all(|&byte| byte == 1));
    assert!(bytes[30_001..].iter().all(|&byte| byte == 0));
}

#[test]
fn the_next_segment_is_filled_as_far_as_the_one_before_it() {
    let mut rig = Rig::new();
    let ahead = rig.timeline.ahead();
    rig.append(1).unwrap();
    ahead.work(true).unwrap();
    let filled = |rig: &Rig| rig.timeline.disk_bytes();
    assert_eq!(filled(&rig), 2 * SMALL.step, "the page in use and one step: nothing is known of this store");
    rig.append(90).unwrap();
    assert!(ahead.wanted(true));
    ahead.work(true).unwrap();
    rig.timeline.roll().unwrap();
    rig.append(1).unwrap();
    assert_eq!(filled(&rig) - rig.timeline.closed[0].bytes, SMALL.step_max, "this one takes much at once");
    assert!(!ahead.wanted(true));
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_written_any_more() {
    type Fails = fn(&Done) -> bool;
    let cases: [(Fails, Fails); 2] = [
        (|done| matches!(done, Done::Write(..)), |done| matches!(done, Done::Write(..))),
        (|done| matches!(done, Done::Sync(_)), |done| matches!(done, Done::Write(..) | Done::Sync(_))),
    ];
    for (fails, seen) in cases {
        let mut rig = Rig::new();
        rig.commit(1);
        rig.disk.fail(fails);
        let failed = rig.append(1).and_then(|()| rig.timeline.sync().map(|_| ()));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
        rig.disk.fail(|_| false);
        rig.disk.take_done();
        assert_eq!(rig.append(1).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(rig.timeline.sync().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(rig.timeline.roll().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(rig.timeline.ahead().work(true).unwrap_err().kind(), ErrorKind::Poisoned);
        assert!(!rig.disk.take_done().iter().any(seen));
        assert_eq!(rig.timeline.durable(), 1);
    }
}

#[test]
fn a_failed_sync_of_the_filler_poisons_the_writer_and_a_failed_zero_does_not() {
    let mut rig = Rig::new();
    rig.append(1).unwrap();
    let ahead = rig.timeline.ahead();
    rig.disk.fail(|done| matches!(done, Done::Write(..)));
    ahead.work(true).unwrap_err();
    rig.disk.fail(|_| false);
    rig.append(1).unwrap();
    rig.disk.fail(|done| matches!(done, Done::Sync(_)));
    ahead.work(true).unwrap_err();
    rig.disk.fail(|_| false);
    assert_eq!(rig.timeline.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(rig.timeline.durable(), 0);
}

#[test]
fn a_beat_without_operations_and_an_empty_segment_are_ordinary() {
    let mut rig = Rig::new();
    rig.timeline.roll().unwrap();
    rig.timeline.open_segment().unwrap();
    rig.timeline.roll().unwrap();
    rig.commit(0);
    assert_eq!(rig.timeline.disk_bytes(), 64 + 152);
    let again = read(&rig.disk).unwrap();
    assert_eq!(again.frames, rig.written);
    let empty = TestDisk::default();
    let (rig, found) = Rig::reopen(empty);
    assert!(found.frames.is_empty() && rig.timeline.written() == 0);
}
