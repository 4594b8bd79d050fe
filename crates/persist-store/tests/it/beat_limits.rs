//! What a beat may stage: the bytes that the engine's beat will count.

use persist_api::{Durability, ErrorKind, KeyRange};
use persist_store::{BeatLog, default_request};

use crate::beats::log;
use crate::kit::{content, fails, open, place, put, toy};

#[test]
fn commits_beyond_the_beats_limit_are_refused_and_the_others_go_on() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 400;
    let (mut writer, store) = open(&small, &place.home, &default_request()).unwrap();
    put(&mut writer, &[]);
    // Each stages 1 + 1 + 190 + 4 bytes: prefix, key, value, checksum.
    let value = vec![1; 190];
    let logs = [log(&[(b"a", &value)]), log(&[(b"b", &value)]), log(&[(b"c", &value)]), log(&[])];
    let results = writer.commit_group(&logs, Durability::Durable).unwrap();
    let good: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, true, false, true]);
    assert_eq!(results[2].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(content(&store.view().unwrap()).len(), 2);
    let large = log(&[(b"d", &[1; 200]), (b"e", &[1; 189])]);
    fails(writer.commit(&large, Durability::Durable), ErrorKind::TooLarge, &["401", "400"]);
    let fits = log(&[(b"d", &[1; 200]), (b"e", &[1; 188])]);
    writer.commit(&fits, Durability::Durable).unwrap();
}

#[test]
fn the_first_beat_counts_the_runtimes_own_record() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 400;
    let (mut writer, _store) = open(&small, &place.home, &default_request()).unwrap();
    let logs = [log(&[(b"a", &[1; 390])]), log(&[(b"b", b"1")])];
    let results = writer.commit_group(&logs, Durability::Durable).unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(results[1].as_ref().unwrap().beat.0, 1);
    let results = writer.commit_group(&logs, Durability::Durable).unwrap();
    assert!(results[0].is_ok());
}

#[test]
fn a_staged_beat_takes_no_more_memory_than_its_limit() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 1000;
    let (mut writer, _store) = open(&small, &place.home, &default_request()).unwrap();
    put(&mut writer, &[]);
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.put(b"a", &[0; 494]).unwrap();
    beat.put(b"b", &[0; 490]).unwrap();
    beat.delete(b"123").unwrap(); // 500 + 496 + 4 = 1000
    let before = beat.log().canonical_bytes().len();
    fails(beat.delete(b""), ErrorKind::TooLarge, &["1001", "1000"]);
    assert_eq!(beat.log().canonical_bytes().len(), before);
    drop(beat);
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.put(b"a", &[0; 494]).unwrap();
    beat.put(b"b", &[0; 490]).unwrap();
    beat.delete(b"123").unwrap();
    beat.commit().unwrap();
}

#[test]
fn staged_ranges_count_against_the_limit_of_their_beat() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 1000;
    let (mut writer, _store) = open(&small, &place.home, &default_request()).unwrap();
    put(&mut writer, &[]);
    let all = KeyRange::all();
    let long = [7; 494];
    let to_long = KeyRange::of::<[u8]>(..=long.as_slice());
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.delete_range(&to_long).unwrap();
    beat.delete_range(&to_long).unwrap(); // each: 494 bytes of bounds, and 2 more for each of two bounds
    beat.delete_range(&KeyRange::of::<[u8]>(b"z".as_slice()..b"a".as_slice())).unwrap(); // empty: stages nothing
    beat.delete_range(&all).unwrap(); // 4 more make 1000
    let before = beat.log().canonical_bytes().len();
    fails(beat.delete_range(&all), ErrorKind::TooLarge, &["1004", "1000"]);
    assert_eq!(beat.log().canonical_bytes().len(), before);
    drop(beat);

    let mut log = BeatLog::new();
    (0..250).for_each(|_| log.delete_range(&all).unwrap());
    writer.commit(&log, Durability::Durable).unwrap();
    log.delete_range(&all).unwrap();
    fails(writer.commit(&log, Durability::Durable), ErrorKind::TooLarge, &["1004", "1000"]);
    let copy = BeatLog::decode(log.canonical_bytes(), 1 << 20).unwrap();
    fails(writer.commit(&copy, Durability::Durable), ErrorKind::TooLarge, &["1004", "1000"]);
}
