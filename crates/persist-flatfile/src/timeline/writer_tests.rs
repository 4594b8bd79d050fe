use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use persist_io::RealDisk;

use super::*;
use crate::names::kept_name;
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
fn retired_segments_are_removed_oldest_first_and_the_current_one_stays() {
    let mut rig = Rig::new();
    for n in 0..9_u64 {
        if n % 3 == 0 {
            rig.timeline.roll().unwrap();
        }
        rig.append(1).unwrap();
    }
    assert_eq!((rig.timeline.oldest_segment(), rig.timeline.ends().len()), (1, 2));
    assert_eq!(rig.timeline.retire(2, false).unwrap().count, 0);
    assert_eq!(rig.timeline.durable(), 2, "runs hold them");
    rig.disk.take_done();
    assert_eq!(rig.timeline.retire(9, false).unwrap().count, 2);
    assert_eq!(rig.disk.take_done(), [Done::Remove(segment(1)), Done::Remove(segment(2))]);
    assert_eq!(rig.timeline.oldest_segment(), 3);
    rig.commit(1);
    assert!(!rig.disk.take_done().contains(&Done::Sync(segment(2))));
    assert_eq!(crate::timeline::test_rig::read_after(&rig.disk, 9).unwrap().frames, rig.written[9..]);
}

fn spare(number: u32) -> PathBuf {
    Path::new(DIR).join(Kind::Timeline.name(number) + crate::names::UNFINISHED)
}

/// Segments of two frames; answers how many frames there are.
fn segments(rig: &mut Rig, count: u64) -> u64 {
    for _ in 0..count {
        rig.commit(9);
        rig.commit(9);
        rig.timeline.roll().unwrap();
    }
    rig.timeline.written()
}

#[test]
fn a_segment_that_nobody_needs_becomes_the_next_one_once_it_is_zero() {
    let mut rig = Rig::new();
    let ahead = rig.timeline.ahead();
    let upto = segments(&mut rig, 1);
    rig.disk.take_done();
    let mut retired = rig.timeline.retire(upto, true).unwrap();
    assert_eq!(rig.disk.take_done(), [Done::Rename(segment(1), spare(1))]);
    assert_eq!(
        rig.timeline.ends().len(),
        1,
        "until that is durable, what lies behind its end must stay dead"
    );
    ahead.work(true).unwrap();
    let touched = |done: &[Done], path: &Path| {
        done.iter().any(|done| matches!(done, Done::Write(written, ..) if written == path))
    };
    assert!(!touched(&rig.disk.take_done(), &spare(1)), "a crash may make a segment of it again");
    rig.timeline.gone(&mut retired);
    assert_eq!((rig.timeline.ends().len(), rig.timeline.reused()), (0, 1));
    rig.commit(1);
    rig.timeline.roll().unwrap();
    assert!(rig.disk.take_done().contains(&Done::Create(segment(3))), "it is not zero yet");
    // Zeros are for those who wait for their beats.
    ahead.work(false).unwrap();
    assert!(!touched(&rig.disk.take_done(), &spare(1)));
    assert!(ahead.wanted(true) && !ahead.wanted(false));
    ahead.work(true).unwrap();
    let done = rig.disk.take_done();
    let zeroed = done.iter().position(|done| matches!(done, Done::Write(path, 0, _) if *path == spare(1)));
    assert!(done[zeroed.unwrap()..].contains(&Done::Sync(spare(1))), "{done:?}");
    assert!(rig.disk.image()[&spare(1)].iter().all(|&byte| byte == 0));
    while rig.timeline.current_bytes() < SMALL.prepare_after {
        rig.commit(9);
    }
    rig.disk.take_done();
    ahead.work(true).unwrap();
    let done = rig.disk.take_done();
    let created = [Done::Rename(spare(1), segment(4)), Done::SyncDir(DIR.into())];
    assert!(done.starts_with(&created) && !touched(&done, &spare(1)));
    rig.timeline.roll().unwrap();
    rig.commit(1);
    let done = rig.disk.take_done();
    assert!(matches!(&done[..], [Done::Write(path, 0, _), Done::Sync(_)] if *path == segment(4)), "{done:?}");
    let read = crate::timeline::test_rig::read_after(&rig.disk, upto).unwrap();
    assert_eq!(read.frames, rig.written[2..]);
    assert!(read.torn.is_empty() && read.notes.is_empty());
}

#[test]
fn what_an_opening_dropped_stays_dead_where_a_crash_brings_its_segment_back() {
    let mut rig = Rig::new();
    rig.commit(1);
    let torn_at = usize::try_from(rig.timeline.current_bytes()).unwrap();
    for _ in 0..5 {
        rig.append(1).unwrap();
    }
    let mut image = rig.disk.image();
    image.get_mut(&segment(1)).unwrap()[torn_at + 40] ^= 1;
    let (mut rig, found) = Rig::reopen(TestDisk::of(&image));
    assert_eq!((found.frames.len(), found.torn[0].frames), (1, 4));
    let dropped = rig.disk.image()[&segment(1)].clone();
    rig.commit(1);
    rig.commit(1);
    rig.timeline.roll().unwrap();
    rig.commit(1);
    rig.timeline.roll().unwrap();
    // Runs hold all four; the segments go, and the store is closed.
    let mut retired = rig.timeline.retire(4, false).unwrap();
    assert_eq!(retired.count, 3);
    rig.write_head(true);
    let mut image = rig.disk.image();
    image.insert(segment(1), dropped);
    let again = crate::timeline::test_rig::read_after(&TestDisk::of(&image), 4).unwrap();
    assert_eq!(again.frames, [], "frames 5 and 6 of before");
    rig.timeline.gone(&mut retired);
    assert_eq!(rig.timeline.ends(), []);
}

#[test]
fn a_segment_that_is_read_or_too_long_or_one_too_many_is_removed() {
    let removed =
        |rig: &Rig| rig.disk.take_done().iter().filter(|done| matches!(done, Done::Remove(_))).count();
    let mut rig = Rig::new();
    let upto = segments(&mut rig, 3);
    rig.disk.take_done();
    let mut retired = rig.timeline.retire(upto, true).unwrap();
    assert_eq!((retired.count, removed(&rig)), (3, 1), "two are enough");
    rig.timeline.gone(&mut retired);
    // What is given back when nobody commits any more is removed as well.
    let given = rig.timeline.give_back();
    assert_eq!((given.len(), removed(&rig)), (2, 2));
    let upto = segments(&mut rig, 1);
    let open = rig.timeline.feed_segment(|_| true).unwrap();
    rig.disk.take_done();
    let _ = rig.timeline.retire(upto, true).unwrap();
    assert_eq!(removed(&rig), 1, "the feed reads it");
    drop(open);
    rig.append(SMALL.spare_max / 30).unwrap();
    let upto = segments(&mut rig, 1);
    rig.disk.take_done();
    let _ = rig.timeline.retire(upto, true).unwrap();
    assert_eq!(removed(&rig), 1, "it is too long");
}

#[test]
fn what_lies_ready_is_cut_before_a_rest() {
    let mut rig = Rig::new();
    let upto = segments(&mut rig, 1);
    // A long one becomes the next.
    rig.append(2000).unwrap();
    rig.timeline.roll().unwrap();
    let mut retired = rig.timeline.retire(upto + 1, true).unwrap();
    rig.timeline.gone(&mut retired);
    let ahead = rig.timeline.ahead();
    while rig.timeline.current_bytes() < SMALL.prepare_late || ahead.wanted(true) {
        rig.commit(9);
        ahead.work(true).unwrap();
    }
    let len = |rig: &Rig, number| rig.disk.image()[&segment(number)].len() as u64;
    let next = rig.timeline.shared.next.lock().clone().unwrap().number();
    let before = len(&rig, next);
    let _at_once = rig.timeline.give_back();
    assert_eq!(len(&rig, next), before.min(SMALL.step_max));
    rig.timeline.roll().unwrap();
    rig.commit(1);
    rig.timeline.give_back_all();
    assert!(len(&rig, next) <= rig.timeline.current_bytes().next_multiple_of(4096) + SMALL.step_max);
    assert_eq!(crate::timeline::test_rig::read_after(&rig.disk, upto + 1).unwrap().frames, rig.written[3..]);
}

#[test]
fn a_kept_segment_whose_older_one_a_crash_brought_back_stays() {
    let mut rig = Rig::new();
    for _ in 0..4 {
        rig.append(1).unwrap();
        rig.timeline.roll().unwrap();
    }
    rig.timeline.keep(Keep::Everything, BeatNo(4), 0).unwrap();
    let _ = rig.timeline.retire(3, false).unwrap();
    let dir = Path::new(DIR);
    let old = |rig: &Rig, number| dir.join(kept_name(number, rig.timeline.kept().end_of(number).unwrap()));
    // The names of 2 and 3 were not durable, and only that of 3 came to the disk.
    rig.disk.rename(&old(&rig, 2), &segment(2)).unwrap();
    let kept = Kept::open(&rig.disk, dir, STORE, true).unwrap();
    let numbers = |kept: &Kept| kept.iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(numbers(&kept), [3], "what comes before a gap cannot be followed");
    let go_on = crate::timeline::test_rig::read_after(&rig.disk, 3).unwrap().ended.go_on;
    let mut timeline = Timeline::resume(Arc::new(rig.disk.clone()), dir, go_on, SMALL, kept).unwrap();
    let _ = timeline.retire(3, false).unwrap();
    assert_eq!(numbers(timeline.kept()), [2, 3]);
}

#[test]
fn what_runs_held_while_nobody_wanted_it_is_not_served_when_somebody_does() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.append(1).unwrap();
        rig.timeline.roll().unwrap();
    }
    // A run holds the first two, and whoever made it has not removed their segments yet.
    rig.disk.take_done();
    let oldest = rig.timeline.keep(Keep::After(BeatNo(0)), BeatNo(3), 2).unwrap();
    assert_eq!(oldest, Some(BeatNo(3)));
    assert!(rig.disk.take_done().contains(&Done::Sync(segment(3))), "no run of it may be there first");
    assert_eq!(rig.timeline.oldest_segment(), 3);
    // From here on somebody does.
    rig.timeline.keep(Keep::After(BeatNo(0)), BeatNo(3), 3).unwrap();
    let _ = rig.timeline.retire(3, false).unwrap();
    assert_eq!(rig.timeline.kept().iter().collect::<Vec<_>>(), [(3, Some(BeatNo(3)))]);
}

#[test]
fn segments_that_are_held_stay_and_those_that_nobody_wants_are_not_kept_afterwards() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.append(1).unwrap();
        rig.timeline.roll().unwrap();
    }
    rig.timeline.hold();
    rig.disk.take_done();
    assert_eq!(rig.timeline.retire(2, false).unwrap().count, 0);
    assert_eq!((rig.timeline.durable(), rig.disk.take_done()), (2, vec![]));
    // Somebody wants what follows: the two are still here, and not for that.
    let oldest = rig.timeline.keep(Keep::After(BeatNo(0)), BeatNo(3), 2).unwrap();
    assert_eq!((oldest, rig.timeline.oldest_segment()), (Some(BeatNo(3)), 1));
    rig.disk.take_done();
    assert_eq!(rig.timeline.release(2).unwrap().count, 2);
    assert_eq!(rig.disk.take_done(), [Done::Remove(segment(1)), Done::Remove(segment(2))]);
    let _ = rig.timeline.retire(3, false).unwrap();
    assert_eq!(rig.timeline.kept().iter().collect::<Vec<_>>(), [(3, Some(BeatNo(3)))]);
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
