//! What an increment may make a reader keep in memory.

use persist_api::{Durability, ErrorKind, Quiet};
use persist_store::{BeatLog, BundleLimits, HoldOptions};

use crate::bundle::import;
use crate::bundle_since::{apply, chain, is_same};
use crate::kit::{content, fails, open_default, place, put, toy};

/// Also an empty commit takes memory, so that the number of those in a beat is bounded.
#[test]
fn a_beat_of_too_many_commits_is_refused() {
    let chain = chain();
    let (mut writer, copied) = open_default(&chain.copy);
    let before = content(&copied.view().unwrap());
    let limits = |beat_commits| BundleLimits { beat_commits, ..BundleLimits::default() };
    let done = writer.apply(&chain.since, Durability::Durable, &limits(2), &Quiet);
    fails(done, ErrorKind::TooLarge, &["3 commits", "limit here is 2"]);
    assert_eq!(content(&copied.view().unwrap()), before);
    writer.apply(&chain.since, Durability::Durable, &limits(3), &Quiet).unwrap();
    is_same(&chain, &copied);
}

/// Memory is not counted by the bytes of the file alone.
#[test]
fn many_small_operations_are_not_rehearsed_in_memory() {
    let place = place();
    let (base, since) = (place.home.with_file_name("base"), place.home.with_file_name("since"));
    let copy = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"first", b"1")]);
    let held = store.hold("bundles", HoldOptions::default()).unwrap();
    let from = store.export(&base, &Quiet).unwrap().manifest.as_base();
    for n in 0..4_u8 {
        let mut log = BeatLog::new();
        (0..100_000_u32).for_each(|i| log.put(&[&[n][..], &i.to_be_bytes()].concat(), b"").unwrap());
        writer.commit(&log, Durability::Buffered).unwrap();
    }
    store.export_since(&since, &from, &Quiet).unwrap();
    held.release().unwrap();
    import(&toy(), &base, &copy).unwrap();
    let (mut writer, copied) = open_default(&copy);
    assert!(std::fs::metadata(&since).unwrap().len() < 16 << 20);
    assert!(!apply(&mut writer, &since).unwrap().rehearsed);
    assert_eq!(copied.stats().unwrap().engine.records, Some(400_001));
}
