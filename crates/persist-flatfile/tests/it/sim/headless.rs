//! No head, or half of one, and a newest run that cannot be read: what was in that run is lost, and nothing older is shown in its
//! place.

use std::path::PathBuf;

use persist_api::{BeatHeader, Durability, Engine, Error, ErrorKind, Result};
use persist_io::sim::{Op, SimDisk};
use persist_io::{Disk as _, FileMode};

use super::acts::Rows;
use super::store::{HOME, close, open_at, read_all};

const NEWEST: &str = "branch.ckp.00000002";
const THIRD: &str = "branch.ckp.00000003";

fn file(name: &str) -> PathBuf {
    PathBuf::from(HOME).join(name)
}

fn header(engine: &dyn Engine) -> BeatHeader {
    *engine.view().unwrap().header()
}

fn put(engine: &dyn Engine, key: &str, value: &str) {
    let next = header(engine).next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(next).unwrap();
    beat.put_record(key.as_bytes(), value.as_bytes()).unwrap();
    beat.commit_beat().unwrap();
}

fn get(engine: &dyn Engine, key: &str) -> Result<Option<Vec<u8>>> {
    engine.view().unwrap().get_record(key.as_bytes()).map(|value| value.map(|value| value.to_vec()))
}

fn scan(engine: &dyn Engine) -> Result<Rows> {
    read_all(&*engine.view().unwrap())
}

/// A closed store of six beats in two runs, whose keys overlap.
fn closed() -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    for n in 1..=6 {
        put(&*engine, &format!("key {}", n % 4), &format!("of beat {n}"));
        if n % 3 == 0 {
            engine.checkpoint().unwrap();
        }
    }
    close(engine).unwrap();
    assert!(disk.bytes(file(NEWEST)).is_some() && disk.bytes(file("branch.ckp.00000003")).is_none());
    disk
}

/// A copy without a head, missing or with both slots damaged.
fn headless(whole: &SimDisk, missing: bool) -> SimDisk {
    let disk = whole.killed();
    if missing {
        disk.remove_file(&file("branch.meta")).unwrap();
    } else {
        assert!(disk.flip(file("branch.meta"), 8 * 100) && disk.flip(file("branch.meta"), 8 * (4096 + 100)));
    }
    disk
}

fn names(error: &Error, run: &str) -> bool {
    error.kind() == ErrorKind::Corrupt && error.to_string().contains(run)
}

fn is_lost(error: &Error) -> bool {
    names(error, NEWEST)
}

/// A store that was killed right after its third run had taken the place of its segments, and the head as it was before that.
fn killed_with_a_third_run() -> (SimDisk, Vec<u8>) {
    let disk = closed();
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 1", "of beat 7");
    let before = disk.bytes(file("branch.meta")).unwrap();
    engine.checkpoint().unwrap();
    assert!(disk.bytes(file(THIRD)).is_some() && disk.bytes(file(NEWEST)).is_some());
    (disk.killed(), before)
}

/// What the third run held up to a beat is lost: reads say so, and its beat is not given out again, also by the opening after that.
fn third_is_lost(disk: &SimDisk, beat: u64, case: &str) {
    for round in 0..2 {
        let engine = open_at(disk.clone(), HOME).unwrap();
        // A file that is not even there is named by the head that knew it only.
        let name = if round == 0 || disk.bytes(file(THIRD)).is_some() { THIRD } else { "" };
        assert!(names(&get(&*engine, "key 1").unwrap_err(), name), "{case}, round {round}");
        assert!(names(&scan(&*engine).unwrap_err(), name), "{case}, round {round}");
        assert_eq!(header(&*engine).beat.0, beat, "{case}, round {round}");
        close(engine).unwrap();
    }
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 1", "anew");
    assert_eq!(header(&*engine).beat.0, beat + 1, "{case}");
}

#[test]
fn half_a_head_knows_the_run_whose_segments_are_gone() {
    let (whole, _) = killed_with_a_third_run();
    for slot in [0, 4096] {
        for len in [None, Some(0), Some(16)] {
            let disk = whole.killed();
            assert!(disk.flip(file("branch.meta"), 8 * (slot + 45)));
            match len {
                None => disk.remove_file(&file(THIRD)).unwrap(),
                Some(len) => assert!(disk.cut_file(file(THIRD), len)),
            }
            third_is_lost(&disk, 7, &format!("slot at {slot} damaged, run cut to {len:?}"));
        }
    }
}

/// As a program may have left it that wrote one slot only, and as a power cut may in between.
#[test]
fn a_run_that_half_a_head_does_not_name_is_missed() {
    let (whole, before) = killed_with_a_third_run();
    for slot in [0, 4096] {
        let disk = whole.killed();
        disk.open(&file("branch.meta"), FileMode::Write).unwrap().write_at(0, &before).unwrap();
        assert!(disk.flip(file("branch.meta"), 8 * (slot + 45)));
        let right = scan(&*open_at(disk.killed(), HOME).unwrap()).unwrap();
        assert_eq!(right.0[&b"key 1"[..]], b"of beat 7", "a whole run is used");
        assert!(disk.cut_file(file(THIRD), 16));
        third_is_lost(&disk, 7, &format!("slot at {slot} damaged"));
    }
}

/// A process is killed right after a run has got its name, the next one while it opens, and then the run cannot be read: where its
/// segments are gone a head knows it.
#[test]
fn a_killed_opening_leaves_no_run_that_nobody_named_in_place_of_its_segments() {
    let disk = closed();
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 1", "of beat 7");
    let last = fill_a_segment(&*engine, &disk);
    disk.keep_cut_points();
    engine.checkpoint().unwrap();
    drop(engine);
    let points = disk.cut_points();
    let named = points.iter().position(|point| point.next == Some(Op::Rename)).unwrap() + 1;
    let unnamed = points[named].killed(1);
    assert!(unnamed.bytes(file(THIRD)).is_some());
    unnamed.keep_cut_points();
    let engine = open_at(unnamed.clone(), HOME).unwrap();
    let (mut kept, mut lost) = (0, 0);
    for (point, len) in unnamed.cut_points().iter().flat_map(|point| [(point, None), (point, Some(16))]) {
        let disk = point.killed(1);
        let place = format!("killed after {}, run cut to {len:?}", point.after);
        let right = get(&*open_at(disk.killed(), HOME).unwrap(), "key 1").unwrap();
        assert_eq!(right.as_deref(), Some(&b"of beat 7"[..]), "{place}");
        match len {
            None => assert!(disk.take_away(file(THIRD))),
            Some(len) => assert!(disk.cut_file(file(THIRD), len)),
        }
        let found = get(&*open_at(disk.clone(), HOME).unwrap(), "key 1");
        if let Ok(found) = found {
            assert_eq!(found.as_deref(), Some(&b"of beat 7"[..]), "{place}");
            kept += 1;
        } else {
            third_is_lost(&disk, last, &place);
            lost += 1;
        }
    }
    drop(engine);
    assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
}

/// All of an older head is back, and the newest run cannot be read.
#[test]
fn a_head_that_knows_less_than_the_runs_does_not_know_all_of_them() {
    let (whole, before) = killed_with_a_third_run();
    let engine = open_at(whole.clone(), HOME).unwrap();
    put(&*engine, "key 2", "of beat 8");
    engine.checkpoint().unwrap();
    drop(engine);
    let disk = whole.killed();
    assert!(disk.put(file("branch.meta"), &before) && disk.cut_file(file("branch.ckp.00000004"), 16));
    let engine = open_at(disk, HOME).unwrap();
    assert!(names(&get(&*engine, "key 2").unwrap_err(), "branch.ckp.00000004"));
}

#[test]
fn what_an_unreadable_run_held_stays_lost_when_a_new_head_is_written() {
    let whole = closed();
    for (missing, len) in [(true, 0), (true, 16), (false, 0), (false, 200)] {
        let disk = headless(&whole, missing);
        assert!(disk.cut_file(file(NEWEST), len));
        for round in 0..3 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            assert!(is_lost(&get(&*engine, "key 1").unwrap_err()), "round {round}, cut to {len}");
            assert!(is_lost(&scan(&*engine).unwrap_err()), "round {round}, cut to {len}");
            assert_eq!(header(&*engine).beat.0, 4, "at least one beat is lost, and its number is used");
            assert!(engine.stats().unwrap().engine.contains(&("recovered_damaged_spans", 1)));
            close(engine).unwrap();
        }
        let engine = open_at(disk.clone(), HOME).unwrap();
        put(&*engine, "key 1", "anew");
        assert_eq!(header(&*engine).beat.0, 5);
        engine.checkpoint().unwrap();
        close(engine).unwrap();
        // Now a run says it, so that not even a head is needed.
        for disk in [disk.killed(), headless(&disk, true)] {
            let engine = open_at(disk, HOME).unwrap();
            assert_eq!(get(&*engine, "key 1").unwrap().as_deref(), Some(&b"anew"[..]));
            assert!(is_lost(&get(&*engine, "key 2").unwrap_err()));
            assert!(is_lost(&scan(&*engine).unwrap_err()));
        }
    }
}

/// A closed store of six beats in two runs and two in frames, the last of them over two sectors.
fn closed_with_frames() -> SimDisk {
    let disk = closed();
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 1", "of beat 7");
    put(&*engine, "key 2", &"of beat 8".repeat(20));
    close(engine).unwrap();
    disk
}

/// The timeline segment in use.
fn segment(disk: &SimDisk) -> PathBuf {
    let mut segments: Vec<_> = disk.files().into_iter().map(|(path, _)| path).collect();
    segments.retain(|path| path.to_string_lossy().contains("branch.idx."));
    segments.pop().unwrap()
}

/// Buffered beats until the first of them in another segment; answers its number.
fn fill_a_segment(engine: &dyn Engine, disk: &SimDisk) -> u64 {
    let first = segment(disk);
    for n in 0..9 {
        let next = header(engine).next(1, Durability::Buffered, None).unwrap();
        let mut beat = engine.begin_beat(next).unwrap();
        (0..20_u8).for_each(|row| beat.put_record(&[b'r', row], &[n; 250]).unwrap());
        beat.commit_beat().unwrap();
        if segment(disk) != first && disk.bytes(segment(disk)).unwrap()[..64] != [0; 64] {
            return next.beat.0;
        }
    }
    panic!("{} holds all of it", first.display())
}

/// A segment that was removed, as a run has its frames, and is there again: what was written since does not know its last frame.
#[test]
fn a_segment_that_came_back_does_not_end_the_chain() {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 1", "in a run");
    let (path, old) = (segment(&disk), disk.bytes(segment(&disk)).unwrap());
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 2", "since");
    close(engine).unwrap();
    assert!(disk.bytes(&path).is_none() && disk.put(&path, &old));
    // Without head and run the frames are all there is.
    assert!(disk.take_away(file("branch.meta")) && disk.take_away(file("branch.ckp.00000001")));
    let engine = open_at(disk, HOME).unwrap();
    assert_eq!(get(&*engine, "key 1").unwrap().as_deref(), Some(&b"in a run"[..]));
    assert_eq!(get(&*engine, "key 2").unwrap().as_deref(), Some(&b"since"[..]));
}

/// What was durable is known only from a frame that comes later and is dropped itself, as a buffered one between them is lost too. The
/// head is from before all of them.
#[test]
fn what_only_dropped_frames_know_of_stays_lost() {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    put(&*engine, "key 0", "in a run");
    engine.checkpoint().unwrap();
    put(&*engine, "key 1", "durable");
    put(&*engine, "key 2", "durable");
    let first = segment(&disk);
    let last = fill_a_segment(&*engine, &disk);
    drop(engine);
    let disk = disk.killed();
    let second = disk.bytes(segment(&disk)).unwrap();
    assert_eq!(second[64 + 8..64 + 16], last.to_le_bytes(), "one frame in a second segment");
    let mut bytes = disk.bytes(&first).unwrap();
    bytes[64..].fill(0xff);
    assert!(disk.put(&first, &bytes));
    for round in 0..3 {
        let engine = open_at(disk.clone(), HOME).unwrap();
        for key in ["key 1", "key 2"] {
            assert_eq!(get(&*engine, key).unwrap_err().kind(), ErrorKind::Corrupt, "{key}, opening {round}");
        }
        assert_eq!(header(&*engine).beat.0, 3, "opening {round}: these numbers are not used again");
        drop(engine);
    }
}

/// Of a segment whose header is zeros the tag of the store is not known, so none of its frames verifies: that is not to say that they
/// are torn.
#[test]
fn frames_are_not_torn_because_nothing_tells_whose_they_are() {
    let young = || {
        let disk = SimDisk::new(1);
        let engine = open_at(disk.clone(), HOME).unwrap();
        put(&*engine, "key 1", "of beat 1");
        put(&*engine, "key 2", &"of beat 2".repeat(20));
        close(engine).unwrap();
        disk
    };
    for (zeros, whole) in
        [(64, closed_with_frames()), (300, closed_with_frames()), (64, young()), (300, young())]
    {
        let disk = headless(&whole, false);
        let path = segment(&disk);
        let mut bytes = disk.bytes(&path).unwrap();
        bytes[..zeros].fill(0);
        assert!(disk.put(&path, &bytes));
        let before = disk.killed();
        let error = open_at(disk.clone(), HOME).map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*path)), "{error}");
        let engine_files = |disk: &SimDisk| {
            disk.files().into_iter().filter(|(path, _)| !path.ends_with("lock")).collect::<Vec<_>>()
        };
        assert_eq!(engine_files(&before), engine_files(&disk), "nothing is moved aside");
    }
}

/// A head says "closed" and knows fewer frames than the runs hold: it is an older one, and no word on where the frames end.
#[test]
fn a_head_that_knows_less_than_the_runs_does_not_tell_the_end() {
    let disk = SimDisk::new(1);
    close(open_at(disk.clone(), HOME).unwrap()).unwrap();
    let old = disk.bytes(file("branch.meta")).unwrap();
    let engine = open_at(disk.clone(), HOME).unwrap();
    let large = "large ".repeat(100);
    put(&*engine, "key 1", &large);
    engine.checkpoint().unwrap();
    put(&*engine, "key 2", "lost");
    put(&*engine, "key 3", "there");
    close(engine).unwrap();
    assert!(disk.put(file("branch.meta"), &old));
    // With its frames all there nothing is wrong, and new values do not go over old ones.
    let whole = disk.killed();
    let gone = segment(&whole);
    assert!(whole.take_away(gone));
    let engine = open_at(whole.clone(), HOME).unwrap();
    put(&*engine, "key 4", &"other ".repeat(100));
    assert_eq!(get(&*engine, "key 1").unwrap().as_deref(), Some(large.as_bytes()));
    close(engine).unwrap();
    // Header and first frame read as zeros; the second one says that it was durable.
    let path = segment(&disk);
    let mut bytes = disk.bytes(&path).unwrap();
    bytes[..200].fill(0);
    assert!(disk.put(&path, &bytes));
    let engine = open_at(disk, HOME).unwrap();
    assert_eq!(get(&*engine, "key 3").unwrap().as_deref(), Some(&b"there"[..]));
    assert_eq!(get(&*engine, "key 2").unwrap_err().kind(), ErrorKind::Corrupt);
}

/// As above, by a head from when the store was closed before: valid frames behind the end that it tells are not overlooked, nor removed.
#[test]
fn frames_behind_the_end_that_an_older_head_tells_are_not_overlooked() {
    for beats_before in [0, 1] {
        let disk = SimDisk::new(1);
        let engine = open_at(disk.clone(), HOME).unwrap();
        (0..beats_before).for_each(|_| put(&*engine, "key 0", "there"));
        close(engine).unwrap();
        let old = disk.bytes(file("branch.meta")).unwrap();
        let engine = open_at(disk.clone(), HOME).unwrap();
        for key in ["key 1", "key 2", "key 3"] {
            put(&*engine, key, &"there".repeat(40));
        }
        close(engine).unwrap();
        assert!(disk.put(file("branch.meta"), &old));
        // The first frame behind that end reads as zeros, with the header of the segment where it is the first of all.
        let path = segment(&disk);
        let mut bytes = disk.bytes(&path).unwrap();
        let at = bytes.windows(5).position(|window| window == b"key 1").unwrap();
        let from = if beats_before == 0 { 0 } else { at - 36 };
        bytes[from..at + 20].fill(0);
        assert!(disk.put(&path, &bytes));
        for round in 0..2 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            assert_eq!(get(&*engine, "key 1").unwrap_err().kind(), ErrorKind::Corrupt, "opening {round}");
            assert_eq!(
                get(&*engine, "key 3").unwrap().unwrap(),
                "there".repeat(40).as_bytes(),
                "opening {round}"
            );
            close(engine).unwrap();
        }
    }
}

/// 0 silent: whatever else happens to the newest run of a store without head, what is read is right or fails.
#[test]
fn every_damage_of_a_run_beside_a_lost_head_is_reported_or_harmless() {
    let whole = closed();
    let right = scan(&*open_at(whole.killed(), HOME).unwrap()).unwrap();
    let bytes = whole.bytes(file(NEWEST)).unwrap().len() as u64;
    let flips = (0..bytes * 8).step_by(97).map(|bit| (Some(bit), bytes));
    let cuts = (0..bytes).step_by(7).map(|len| (None, len));
    let (mut lost, mut read) = (0, 0);
    for (n, (bit, len)) in flips.chain(cuts).enumerate() {
        let disk = headless(&whole, n % 2 == 0);
        match bit {
            Some(bit) => assert!(disk.flip(file(NEWEST), bit)),
            None => assert!(disk.cut_file(file(NEWEST), len)),
        }
        for round in 0..2 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            for (key, value) in &right.0 {
                match engine.view().unwrap().get_record(key) {
                    Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "{bit:?} {len} {round}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
                }
            }
            match scan(&*engine) {
                Ok(found) => assert_eq!(found, right, "{bit:?} {len} {round}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            }
            *if scan(&*engine).is_ok() { &mut read } else { &mut lost } += 1;
            close(engine).unwrap();
        }
    }
    assert!(lost > 20 && read > 20, "{lost} lost, {read} read");
}
