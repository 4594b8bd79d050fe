//! Increments that say something else than they hold.

use persist_api::ErrorKind;
use persist_store::{BeatLog, BundleBase, beat_root};

use crate::bundle::{check, export};
use crate::bundle_forge::{Forge, hex};
use crate::bundle_since::apply;
use crate::kit::{Content, content, fails, memory, open_default, place, put};

/// An increment of these beats, by the book.
pub fn forged(base: &BundleBase, after: &Content, beats: &[&[BeatLog]]) -> Forge {
    let mut part = Vec::new();
    for logs in beats {
        part.extend((logs.len() as u64).to_le_bytes());
        for log in *logs {
            part.extend((log.canonical_bytes().len() as u64).to_le_bytes());
            part.extend(log.canonical_bytes());
        }
    }
    let commits: usize = beats.iter().map(|logs| logs.len()).sum();
    let newest = beats.last().unwrap();
    let leaves: Vec<_> = newest.iter().map(BeatLog::leaf).collect();
    let mut forge = Forge::of(after, base.beat.0 + beats.len() as u64, &[])
        .with("content", "increment")
        .with("first-commit", &(base.commit.0 + commits as u64 + 1 - newest.len() as u64).to_string())
        .with("commits", &newest.len().to_string())
        .with("root", blake3::Hash::from(beat_root(&leaves)).to_hex().as_str());
    let lines = [
        ("base-beat", base.beat.to_string()),
        ("base-commit", base.commit.to_string()),
        ("base-digest", base.digest.map_or("none".to_owned(), |hash| blake3::Hash::from(hash).to_string())),
    ];
    forge.head.splice(2..2, lines);
    *forge.parts.last_mut().unwrap() = (b"commits".to_vec(), part);
    forge
}

#[test]
fn an_increment_that_lies_about_what_it_gives_changes_nothing() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    let base = export(&store, &place.home.with_file_name("whole")).manifest.as_base();
    let mut log = BeatLog::new();
    log.put(b"b", b"2").unwrap();
    let after = [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())].into();
    let true_one = forged(&base, &after, &[&[BeatLog::new()], &[log.clone()]]).with("key-bytes-max", "1");
    let file = place.home.with_file_name("since");
    for (key, value) in [("digest", hex(b"other")), ("records", "3".to_owned()), ("bytes", "5".to_owned())] {
        std::fs::write(&file, true_one.clone().with(key, &value).bytes()).unwrap();
        check(&file).unwrap();
        fails(apply(&mut writer, &file), ErrorKind::Corrupt, &["another digest", "nothing was changed"]);
        assert_eq!(store.view().unwrap().header().beat.0, 1);
    }
    for (key, value) in [
        ("beat", "4"),
        ("base-beat", "2"),
        ("base-commit", "2"),
        ("first-commit", "4"),
        ("commits", "2"),
        ("commits", "0"),
        ("key-bytes-max", "2"),
        ("value-bytes-max", "2"),
        ("root", &*hex(b"x")),
        ("content", "store"),
    ] {
        std::fs::write(&file, true_one.clone().with(key, value).bytes()).unwrap();
        fails(check(&file), ErrorKind::Corrupt, &["manifest"]);
    }
    for (surplus, what) in [
        (vec![0; 8], "without commits"),
        (vec![1; 3], "cut short"),
        (1_u64.to_le_bytes().to_vec(), "cut short"),
    ] {
        let mut forge = true_one.clone();
        forge.parts.last_mut().unwrap().1.extend(surplus);
        std::fs::write(&file, forge.bytes()).unwrap();
        fails(check(&file), ErrorKind::Corrupt, &[what]);
    }
    let mut forge = true_one.clone();
    let last = forge.parts.last_mut().unwrap();
    let end = last.1.len() - 1;
    last.1[16] = b'X';
    last.1.truncate(end + 1);
    std::fs::write(&file, forge.bytes()).unwrap();
    fails(check(&file), ErrorKind::Corrupt, &["commit log"]);
    std::fs::write(&file, true_one.bytes()).unwrap();
    assert!(apply(&mut writer, &file).unwrap().rehearsed);
    assert_eq!(content(&store.view().unwrap()), after);
}

#[test]
fn what_does_not_fit_into_memory_is_compared_afterwards() {
    let place = place();
    let file = place.home.with_file_name("since");
    let value = vec![7; 4 << 20];
    let mut logs = Vec::new();
    for n in 0..9_u8 {
        let mut log = BeatLog::new();
        log.put(&[n], &value).unwrap();
        logs.push([log]);
    }
    let beats: Vec<&[BeatLog]> = logs.iter().map(<[BeatLog; 1]>::as_slice).collect();
    let after = (0..9_u8).map(|n| (vec![n], value.clone())).collect();
    for (records, kind) in [("9", None), ("8", Some(ErrorKind::Corrupt))] {
        let (mut writer, store) = memory();
        put(&mut writer, &[]);
        let base = export(&store, &place.home.with_file_name(records)).manifest.as_base();
        std::fs::write(&file, forged(&base, &after, &beats).with("records", records).bytes()).unwrap();
        let done = apply(&mut writer, &file);
        assert_eq!(store.view().unwrap().header().beat.0, 10);
        match kind {
            None => assert!(!done.unwrap().rehearsed),
            Some(kind) => drop(fails(done, kind, &["after the last beat"])),
        }
    }
}
