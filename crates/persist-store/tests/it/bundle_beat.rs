//! Increments that begin after a beat that is known by its number only.

use persist_api::{BeatNo, CommitNo, ErrorKind, Quiet};
use persist_store::{BeatLog, BundleBase, HoldOptions, Store};

use crate::bundle::{check, export};
use crate::bundle_book;
use crate::bundle_since::{apply, chain, is_same};
use crate::bundle_since_forged::forged;
use crate::kit::{content, fails, memory, open_default, place, put};

fn base_at(store: &Store, beat: u64) -> persist_api::Result<BundleBase> {
    store.base_at(BeatNo(beat), &Quiet)
}

#[test]
fn a_number_is_enough_to_go_on_from() {
    let chain = chain();
    let base = base_at(&chain.store, 2).unwrap();
    let known = check(&chain.whole).unwrap().manifest.as_base();
    assert_eq!(base, BundleBase { digest: None, ..known });
    let file = chain.since.with_file_name("numbered");
    let report = chain.store.export_since(&file, &base, &Quiet).unwrap();
    assert_eq!(check(&file).unwrap(), report);
    let manifest = persist_store::BundleManifest { base: Some(base), ..chain.report.manifest };
    assert_eq!(report.manifest, manifest, "nothing else is another");
    assert!(bundle_book::run(&file).status.success());
    let (mut writer, copied) = open_default(&chain.copy);
    let applied = apply(&mut writer, &file).unwrap();
    assert_eq!((applied.beats, applied.commits, applied.rehearsed), (4, 6, true));
    is_same(&chain, &copied);
    fails(apply(&mut writer, &file), ErrorKind::Conflict, &["applied already"]);
}

#[test]
fn every_beat_that_is_kept_can_be_named_and_no_other() {
    let chain = chain();
    let commits: Vec<_> = (1..=6).map(|beat| base_at(&chain.store, beat).unwrap().commit.0).collect();
    assert_eq!(commits, [1, 2, 3, 6, 7, 8]);
    let newest = base_at(&chain.store, 6).unwrap();
    assert_eq!(newest, chain.report.manifest.as_base());
    fails(base_at(&chain.store, 7), ErrorKind::Conflict, &["stands at beat 6", "no beat 7"]);
    fails(base_at(&chain.store, u64::MAX), ErrorKind::Conflict, &["no beat"]);
    // Before the hold was made.
    fails(base_at(&chain.store, 0), ErrorKind::Stale, &["beats after 0 are not kept", "after is beat 1"]);
    // Passed by the hold to the middle of beat 4.
    let hold = chain.store.hold("bundles", HoldOptions::default()).unwrap();
    hold.advance(CommitNo(5)).unwrap();
    hold.flush().unwrap();
    for beat in 0..4 {
        fails(base_at(&chain.store, beat), ErrorKind::Stale, &["after is beat 4"]);
    }
    assert_eq!(base_at(&chain.store, 4).unwrap().commit.0, 6);
    hold.release().unwrap();
    fails(base_at(&chain.store, 4), ErrorKind::Stale, &["no hold keeps any"]);
    assert!(base_at(&chain.store, 8).unwrap().digest.is_some(), "the newest beat needs no hold");
}

#[test]
fn another_store_at_the_same_numbers_is_left_alone() {
    let chain = chain();
    let base = base_at(&chain.store, 2).unwrap();
    let file = chain.since.with_file_name("numbered");
    chain.store.export_since(&file, &base, &Quiet).unwrap();
    let (mut writer, store) = memory();
    put(&mut writer, &[]);
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"other", b"")]);
    let before = content(&store.view().unwrap());
    // The blobs are refused first by an engine without a home: so without them.
    let plain = chain.since.with_file_name("plain");
    let after = content(&chain.store.view().unwrap());
    let mut log = BeatLog::new();
    log.put(b"new", &[5; 400]).unwrap();
    std::fs::write(&plain, forged(&base, &after, &[&[log]]).bytes()).unwrap();
    fails(apply(&mut writer, &plain), ErrorKind::Corrupt, &["another digest", "nothing was changed"]);
    fails(apply(&mut writer, &file), ErrorKind::Refused, &["blobs"]);
    let view = store.view().unwrap();
    assert_eq!((view.header().beat.0, content(&view)), (2, before));
}

#[test]
fn what_cannot_be_checked_beforehand_is_refused() {
    let place = place();
    let (mut writer, store) = memory();
    put(&mut writer, &[]);
    let known = export(&store, &place.home.with_file_name("whole")).manifest.as_base();
    let value = vec![7; 4 << 20];
    let logs: Vec<[BeatLog; 1]> = (0..9_u8)
        .map(|n| {
            let mut log = BeatLog::new();
            log.put(&[n], &value).unwrap();
            [log]
        })
        .collect();
    let beats: Vec<&[BeatLog]> = logs.iter().map(<[BeatLog; 1]>::as_slice).collect();
    let after = (0..9_u8).map(|n| (vec![n], value.clone())).collect();
    let file = place.home.with_file_name("large");
    std::fs::write(&file, forged(&BundleBase { digest: None, ..known }, &after, &beats).bytes()).unwrap();
    fails(apply(&mut writer, &file), ErrorKind::TooLarge, &["what records its base has", "anew"]);
    assert_eq!(store.view().unwrap().header().beat.0, 1);
    std::fs::write(&file, forged(&known, &after, &beats).bytes()).unwrap();
    assert!(!apply(&mut writer, &file).unwrap().rehearsed);
}
