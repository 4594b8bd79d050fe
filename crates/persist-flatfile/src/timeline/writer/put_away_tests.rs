use std::path::Path;
use std::sync::Arc;

use persist_api::BeatNo;
use persist_io::Disk;

use super::*;
use crate::names::{UNFINISHED, kept_name};
use crate::timeline::kept::{Keep, Kept};
use crate::timeline::test_disk::{DIR, Done, TestDisk};
use crate::timeline::test_rig::{Rig, SMALL, STORE, read_after};

fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(Kind::Timeline.name(number))
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
    assert_eq!(rig.timeline.retire(2, false).unwrap().count(), 0);
    assert_eq!(rig.timeline.durable(), 2, "runs hold them");
    rig.disk.take_done();
    assert_eq!(rig.timeline.retire(9, false).unwrap().count(), 2);
    assert_eq!(rig.disk.take_done(), [Done::Remove(segment(1)), Done::Remove(segment(2))]);
    assert_eq!(rig.timeline.oldest_segment(), 3);
    rig.commit(1);
    assert!(!rig.disk.take_done().contains(&Done::Sync(segment(2))));
    assert_eq!(read_after(&rig.disk, 9).unwrap().frames, rig.written[9..]);
}

fn spare(number: u32) -> PathBuf {
    Path::new(DIR).join(Kind::Timeline.name(number) + UNFINISHED)
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
    assert_eq!(rig.timeline.ends().len(), 0);
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
    assert_eq!(rig.timeline.reused(), 1);
    rig.timeline.roll().unwrap();
    rig.commit(1);
    let done = rig.disk.take_done();
    assert!(matches!(&done[..], [Done::Write(path, 0, _), Done::Sync(_)] if *path == segment(4)), "{done:?}");
    let read = read_after(&rig.disk, upto).unwrap();
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
    assert_eq!(retired.count(), 3);
    rig.write_head(true);
    let mut image = rig.disk.image();
    image.insert(segment(1), dropped);
    let again = read_after(&TestDisk::of(&image), 4).unwrap();
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
    assert_eq!((retired.count(), removed(&rig)), (3, 1), "two are enough");
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
    assert_eq!(read_after(&rig.disk, upto + 1).unwrap().frames, rig.written[3..]);
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
    let go_on = read_after(&rig.disk, 3).unwrap().ended.go_on;
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
    let _ = rig.timeline.retire(2, false).unwrap();
    assert_eq!((rig.timeline.oldest_segment(), rig.timeline.kept().iter().count()), (3, 0));
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
    assert_eq!(rig.timeline.retire(2, false).unwrap().count(), 0);
    assert_eq!((rig.timeline.durable(), rig.disk.take_done()), (2, vec![]));
    // Somebody wants what follows: the two are still here, and not for that.
    let oldest = rig.timeline.keep(Keep::After(BeatNo(0)), BeatNo(3), 2).unwrap();
    assert_eq!((oldest, rig.timeline.oldest_segment()), (Some(BeatNo(3)), 1));
    rig.disk.take_done();
    rig.timeline.release();
    assert_eq!(rig.timeline.retire(2, false).unwrap().count(), 2);
    assert_eq!(rig.disk.take_done(), [Done::Remove(segment(1)), Done::Remove(segment(2))]);
    let _ = rig.timeline.retire(3, false).unwrap();
    assert_eq!(rig.timeline.kept().iter().collect::<Vec<_>>(), [(3, Some(BeatNo(3)))]);
}
