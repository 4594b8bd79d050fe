//! Every kind of damage in every kind of file: told with file and offset, repaired without touching what still verifies.
#![allow(clippy::disallowed_methods, reason = "a test damages files")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{
    BeatHeader, CompactScope, Driver, Durability, Engine, ErrorKind, KeyRange, OpenOptions, Quiet, Scan,
};
use persist_io::{Disk, RealDisk};
use tempfile::TempDir;

use super::*;
use crate::FlatfileDriver;
use crate::names::{Kind, parse};

pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Tiny tables, and everything done by the caller.
pub(super) fn knobs() -> BTreeMap<String, String> {
    let knobs = [
        ("maintenance", "inline"),
        ("memtable_bytes", "8192"),
        ("large_value_bytes", "512"),
        ("segment_step_bytes", "4096"),
        ("history_beats", "5"),
    ];
    knobs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub(super) fn open(home: &Path) -> persist_api::Result<Box<dyn Engine>> {
    let options = OpenOptions { knobs: knobs(), ..OpenOptions::default() };
    FlatfileDriver::default().open(home, &options, &Quiet)
}

pub(super) fn close(engine: Box<dyn Engine>) {
    engine.close().map_err(|(_, error)| error).unwrap();
}

pub(super) fn scan(engine: &dyn Engine) -> Records {
    let mut records = Records::new();
    let view = engine.view().unwrap();
    let mut take = |key: &[u8], value: &[u8]| {
        records.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    view.scan(Scan::all(), &mut take).unwrap();
    records
}

pub(super) fn files(home: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            found.insert(name, fs::read(&path).unwrap());
        } else {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        }
    }
    found
}

/// A closed store with two runs, large values, range deletes and frames behind the runs, and what is in it.
struct Sample {
    files: Files,
    records: Records,
}

pub(super) fn beat(engine: &dyn Engine, header: &mut BeatHeader, n: u32) {
    *header = header.next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(*header).unwrap();
    let key = |n: u32| format!("key/{:04}", n % 613).into_bytes();
    for step in 0..6 {
        let len = usize::try_from((n * 7 + step * 13) % 60).unwrap();
        beat.put_record(&key(n * 6 + step), &vec![n.to_le_bytes()[0]; len]).unwrap();
    }
    if n.is_multiple_of(9) {
        beat.put_record(&key(n * 5), &vec![n.to_le_bytes()[0]; 700]).unwrap();
    }
    if n.is_multiple_of(7) {
        beat.delete_record(&key(n * 3)).unwrap();
    }
    if n.is_multiple_of(31) {
        let (start, end) = (key(n), key(n + 5));
        beat.delete_range(KeyRange::new(Bound::Included(&start), Bound::Excluded(&end))).unwrap();
    }
    beat.commit_beat().unwrap();
}

fn sample() -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    let mut header = BeatHeader::default();
    (0..150).for_each(|n| beat(&*engine, &mut header, n));
    engine.compact(CompactScope { keep_beats: 3 }, &Quiet).unwrap();
    (150..210).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    (210..222).for_each(|n| beat(&*engine, &mut header, n));
    let records = scan(&*engine);
    close(engine);
    let files = files(dir.path());
    let count = |kind: Kind| {
        files.keys().filter(|name| parse(name.as_ref()).is_some_and(|(of, _)| of == kind)).count()
    };
    assert!(
        count(Kind::Run) >= 2 && count(Kind::Payload) >= 2 && count(Kind::Timeline) >= 1,
        "{:?}",
        files.keys()
    );
    Sample { files, records }
}

/// A copy of the sample with one file changed, or missing.
fn damaged(sample: &Sample, name: &str, bytes: Option<&[u8]>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (other, whole) in &sample.files {
        match bytes {
            _ if other != name => fs::write(dir.path().join(other), whole).unwrap(),
            Some(bytes) => fs::write(dir.path().join(other), bytes).unwrap(),
            None => {}
        }
    }
    dir
}

/// Reads every key: the value that was there, or `Corrupt`. Answers how many could not be read.
fn honest(home: &Path, sample: &Sample, case: &str) -> usize {
    let engine = open(home).unwrap_or_else(|error| panic!("{case}: {error}"));
    let view = engine.view().unwrap();
    let mut failed = 0;
    for n in 0..620 {
        let key = format!("key/{n:04}").into_bytes();
        match view.get_record(&key) {
            Ok(value) => {
                assert_eq!(value.as_deref(), sample.records.get(&key).map(Vec::as_slice), "{case}: key {n}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}: {error}");
                failed += 1;
            }
        }
    }
    drop(view);
    close(engine);
    failed
}

/// Keys are what they were, except those that were given up.
fn left(home: &Path, sample: &Sample, given_up: &[Complaint], case: &str) {
    let engine = open(home).unwrap_or_else(|error| panic!("{case}: {error}"));
    let mut told = Vec::new();
    let stat = engine.verify(&mut |finding| told.push(finding), &Quiet).unwrap();
    assert_eq!(stat.damaged, 0, "{case}: {told:?}");
    let records = scan(&*engine);
    close(engine);
    let is_lost = |key: &[u8]| {
        given_up.iter().any(|loss| loss.keys.as_ref().is_some_and(|keys| keys.range().contains(key)))
    };
    for (key, value) in &sample.records {
        if !is_lost(key) {
            assert_eq!(records.get(key), Some(value), "{case}: {}", key.escape_ascii());
        }
    }
    assert!(records.keys().all(|key| sample.records.contains_key(key) || is_lost(key)), "{case}");
    assert!(records.len() * 3 > sample.records.len(), "{case}: only {} records are left", records.len());
}

/// Examines, repairs, and repairs with losses accepted.
fn case(sample: &Sample, name: &str, bytes: Option<&[u8]>, at: u64, case: &str) -> Verdict {
    let dir = damaged(sample, name, bytes);
    let home = dir.path();
    let before = files(home);
    let told = examine(&RealDisk, home, &Quiet).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(files(home), before, "{case}: an examination changes nothing");
    if told.complaints.is_empty() {
        assert_eq!(honest(home, sample, case), 0, "{case}: not noticed");
        return told.verdict;
    }
    let place = told.complaints.iter().find(|complaint| complaint.file == name);
    let place = place.unwrap_or_else(|| panic!("{case}: the file is not named: {:#?}", told.complaints));
    assert!(place.offset <= at, "{case}: {place:?}");

    let repaired = match repair(&disk(), home, Losses::Keep, &[], &Quiet) {
        Ok(repaired) => repaired,
        Err(error) => panic!("{case}: {error} {told:#?}"),
    };
    assert_eq!(repaired.before, told, "{case}");
    assert_eq!(repaired.given_up, [], "{case}");
    let kept = repaired.kept_in.map(|kept| files(&kept));
    if told.verdict == Verdict::Whole || repaired.after == told {
        assert_eq!(kept, None, "{case}");
        assert_eq!(files(home), before, "{case}: nothing to do, nothing done");
    } else if let Some(bytes) = bytes {
        assert_eq!(kept.unwrap().get(name).map(Vec::as_slice), Some(bytes), "{case}: the original is kept");
    }
    let open_ends = |complaint: &&Complaint| matches!(complaint.remedy, Remedy::Opening | Remedy::Repair);
    assert_eq!(repaired.after.damage().find(open_ends), None, "{case}");
    let failed = honest(home, sample, case);
    let lossy = repaired.after.verdict == Verdict::Lossy;
    assert!(lossy || failed == 0, "{case}: {failed}: {:#?}", repaired.after);

    let repaired =
        repair(&disk(), home, Losses::GiveUp, &[], &Quiet).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(repaired.after.verdict, Verdict::Whole, "{case}: {:#?}", repaired.after);
    // Opening may have dropped an old version that was lost.
    assert!(repaired.given_up.is_empty() || lossy, "{case}");
    assert!(!repaired.given_up.is_empty() || failed == 0, "{case}");
    left(home, sample, &repaired.given_up, case);
    told.verdict
}

#[test]
fn a_whole_store_is_left_as_it_is_byte_for_byte() {
    let sample = sample();
    for lock in [true, false] {
        let dir = damaged(&sample, if lock { "" } else { "lock" }, None);
        let before = files(dir.path());
        let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
        assert_eq!((told.verdict, told.complaints, told.closed), (Verdict::Whole, Vec::new(), true));
        assert_eq!((told.beat.0, told.left_out), (222, 0));
        assert!(told.runs >= 2 && told.frames == 12 && told.values > 5 && told.records > 500);
        for losses in [Losses::Keep, Losses::GiveUp] {
            let repaired = repair(&disk(), dir.path(), losses, &[], &Quiet).unwrap();
            assert_eq!((repaired.kept_in, repaired.kept.len()), (None, 0));
        }
        assert_eq!(files(dir.path()), before);
    }
}

#[test]
fn flipped_bits_are_told_and_repaired() {
    let sample = sample();
    let mut seen = BTreeMap::new();
    for (name, whole) in &sample.files {
        let used = whole.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for n in 0..24 {
            let at = used * n / 24 + n % 5;
            if name == crate::names::HEAD || parse(name.as_ref()).is_some() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (n % 8);
                let verdict =
                    case(&sample, name, Some(&bytes), at as u64, &format!("bit of byte {at} in {name}"));
                let kind = name.get(..10).unwrap_or(name).to_owned();
                *seen.entry((kind, verdict)).or_insert(0) += 1;
            }
        }
    }
    let times = |kind: &str, verdict| seen.get(&(kind.to_owned(), verdict)).copied().unwrap_or(0);
    assert!(times("branch.met", Verdict::Whole) > 10, "{seen:?}");
    assert!(times("branch.idx", Verdict::Lossy) > 10, "{seen:?}");
    assert!(times("branch.dat", Verdict::Lossy) > 5, "{seen:?}");
    assert!(times("branch.ckp", Verdict::Lossy) > 5, "{seen:?}");
    assert!(times("branch.ckp", Verdict::Repairable) > 1, "{seen:?}");
}

#[test]
fn cut_and_missing_files_are_told_and_repaired() {
    let sample = sample();
    for (name, whole) in &sample.files {
        if name != crate::names::HEAD && parse(name.as_ref()).is_none() {
            continue;
        }
        let used = whole.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for part in 0..8 {
            let len = used * part / 8 + part.min(3);
            let what = format!("{name} cut to {len}");
            // Damage that is noticed at the end of the file is named by the place of its last whole piece.
            case(&sample, name, Some(&whole[..len]), used as u64, &what);
        }
        let what = format!("{name} missing");
        case(&sample, name, None, used as u64, &what);
    }
}

#[test]
fn every_part_of_a_run_but_its_records_is_made_anew_without_loss() {
    let sample = sample();
    let (name, whole) = sample.files.iter().find(|(name, _)| name.starts_with("branch.ckp.")).unwrap();
    let mut kinds = Vec::new();
    for at in (0..whole.len()).step_by(8) {
        let kind = whole[at + 2];
        if whole[at..].starts_with(b"PR") && !kinds.contains(&kind) && matches!(kind, 1 | 3 | 4 | 7 | 8) {
            kinds.push(kind);
            let mut bytes = whole.clone();
            bytes[at + 30] ^= 1;
            let dir = damaged(&sample, name, Some(&bytes));
            let repaired = repair(&disk(), dir.path(), Losses::Keep, &[], &Quiet).unwrap();
            assert_eq!(repaired.before.verdict, Verdict::Repairable, "kind {kind}");
            assert!(repaired.before.damage().all(|complaint| complaint.trouble == Trouble::RunStructure));
            assert_eq!((repaired.after.verdict, repaired.rebuilt), (Verdict::Whole, vec![name.clone()]));
            assert_eq!(
                &fs::read(dir.path().join(name)).unwrap(),
                whole,
                "the same bytes as before, kind {kind}"
            );
            left(dir.path(), &sample, &[], "structure");
        }
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn a_store_that_does_not_open_is_saved_as_far_as_can_be() {
    let sample = sample();
    // Both ends of the oldest run and both head slots: nothing tells what the run is about.
    let name = sample.files.keys().find(|name| name.starts_with("branch.ckp.")).unwrap();
    let mut run = sample.files[name].clone();
    let len = run.len();
    (run[40], run[len - 40]) = (run[40] ^ 1, run[len - 40] ^ 1);
    let dir = damaged(&sample, name, Some(&run));
    fs::write(dir.path().join("branch.meta"), vec![7; 8192]).unwrap();
    let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
    assert_eq!(told.verdict, Verdict::Lossy);
    assert!(told.damage().any(|complaint| complaint.trouble == Trouble::Run && complaint.file == *name));
    let repaired = repair(&disk(), dir.path(), Losses::GiveUp, &[], &Quiet).unwrap();
    assert_eq!(repaired.after.verdict, Verdict::Whole, "{:#?}", repaired.after);
    let kept = files(&repaired.kept_in.unwrap());
    assert_eq!(kept[name], run);
    let engine = open(dir.path()).unwrap();
    assert_eq!(engine.view().unwrap().header().beat.0, 222);
    assert!(scan(&*engine).len() > 100);
    close(engine);
}

#[test]
fn where_nothing_can_be_read_nothing_is_touched() {
    let sample = sample();
    let dir = tempfile::tempdir().unwrap();
    for name in sample.files.keys() {
        fs::write(dir.path().join(name), [0x5a; 9000]).unwrap();
    }
    let before = files(dir.path());
    let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
    assert_eq!(told.verdict, Verdict::Unreadable, "{told:#?}");
    assert!(told.damage().all(|complaint| complaint.remedy == Remedy::Backup));
    for losses in [Losses::Keep, Losses::GiveUp] {
        let error = repair(&disk(), dir.path(), losses, &[], &Quiet).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(dir.path())));
    }
    assert_eq!(files(dir.path()), before);
}

#[test]
fn what_the_caller_knows_is_written_again_though_losses_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    let mut header = BeatHeader::default();
    (0..5).for_each(|n| beat(&*engine, &mut header, n));
    let records = scan(&*engine);
    close(engine);
    let segment = dir.path().join("branch.idx.00000001");
    let mut bytes = fs::read(&segment).unwrap();
    // In the frame of the first beat.
    bytes[120] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let known: Vec<_> = records.into_iter().take(1).collect();
    let read = || {
        let engine = open(dir.path()).unwrap();
        let view = engine.view().unwrap();
        let known = view.get_record(&known[0].0).map(|found| found.unwrap().into_vec());
        let other = view.get_record(b"key/0001").map(drop).map_err(|error| error.kind());
        drop(view);
        close(engine);
        (known.map_err(|error| error.kind()), other)
    };
    assert_eq!(read(), (Err(ErrorKind::Corrupt), Err(ErrorKind::Corrupt)));
    // As one that died when it had marked what is lost.
    let before = repair(&disk(), dir.path(), Losses::Keep, &[], &Quiet).unwrap();
    assert_eq!((before.restored, before.after.verdict), (0, Verdict::Lossy));
    let repaired = repair(&disk(), dir.path(), Losses::Keep, &known, &Quiet).unwrap();
    assert_eq!((repaired.restored, repaired.after.verdict), (1, Verdict::Lossy));
    let again = repair(&disk(), dir.path(), Losses::Keep, &known, &Quiet).unwrap();
    assert_eq!((again.restored, again.kept_in), (0, None));
    assert_eq!(read(), (Ok(known[0].1.clone()), Err(ErrorKind::Corrupt)));
}

#[test]
fn a_torn_tail_is_a_note_and_left_to_the_opening() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    let mut header = BeatHeader::default();
    (0..5).for_each(|n| beat(&*engine, &mut header, n));
    drop(engine);
    let segment = dir.path().join("branch.idx.00000001");
    let mut bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 8 * 8 + 8;
    bytes.truncate(end);
    bytes.extend([0x77; 100]);
    fs::write(&segment, &bytes).unwrap();
    let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
    assert_eq!((told.verdict, told.beat.0, told.closed), (Verdict::Whole, 5, false));
    let [torn] = told.complaints.as_slice() else { panic!("{told:#?}") };
    assert_eq!((torn.trouble, torn.remedy), (Trouble::TornTail, Remedy::Opening));
    assert_eq!((torn.offset, torn.len, torn.beats.clone()), (end as u64, Some(100), Some(6..=6)));
    assert_eq!(repair(&disk(), dir.path(), Losses::GiveUp, &[], &Quiet).unwrap().kept_in, None);
    close(open(dir.path()).unwrap());
    let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
    assert_eq!(told.complaints, []);
    assert_eq!(told.aside, [format!("branch.idx.00000001.from-{end}")]);
}

#[test]
fn only_a_closed_store_of_this_engine_is_examined() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |home: PathBuf| examine(&RealDisk, &home, &Quiet).map_err(|error| error.kind());
    assert_eq!(kind(dir.path().join("nothing")).unwrap_err(), ErrorKind::Invalid);
    assert_eq!(kind(dir.path().to_path_buf()).unwrap().verdict, Verdict::Empty);
    let home = dir.path().join("home");
    let engine = open(&home).unwrap();
    assert_eq!(kind(home.clone()).unwrap_err(), ErrorKind::Locked);
    assert_eq!(repair(&disk(), &home, Losses::GiveUp, &[], &Quiet).unwrap_err().kind(), ErrorKind::Locked);
    close(engine);
    assert_eq!(kind(home.clone()).unwrap().verdict, Verdict::Whole, "without a beat");
    fs::write(home.join("letter"), "not ours").unwrap();
    assert_eq!(kind(home).unwrap_err(), ErrorKind::Mismatch);
}

/// As a process leaves it that dies in its first moment, and a head in it that says nothing.
#[test]
fn where_there_is_no_store_yet_nothing_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("branch.meta"), "not a head").unwrap();
    assert_eq!(examine(&RealDisk, dir.path(), &Quiet).unwrap().verdict, Verdict::Empty);
    let before = files(dir.path());
    for losses in [Losses::Keep, Losses::GiveUp] {
        assert_eq!(repair(&disk(), dir.path(), losses, &[], &Quiet).unwrap().kept_in, None);
    }
    assert_eq!(files(dir.path()), before);
}

#[test]
fn the_head_of_another_store_is_replaced() {
    let sample = sample();
    let other = tempfile::tempdir().unwrap();
    close(FlatfileDriver::default().open(other.path(), &OpenOptions::default(), &Quiet).unwrap());
    let head = fs::read(other.path().join("branch.meta")).unwrap();
    case(&sample, "branch.meta", Some(&head), 0, "the head of another store");
}
