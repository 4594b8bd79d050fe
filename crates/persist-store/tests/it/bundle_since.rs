//! Increments: what came after a base, for a store that stands there.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{Advice, Caps, CommitNo, Durability, ErrorKind, KeyRange, Limits, Progress, Quiet};
use persist_io::{
    Disk,
    sim::{Crash, SimDisk},
};
use persist_store::{
    ApplyReport, BeatLog, BundleBase, BundleLimits, BundleReport, HoldOptions, Store, Writer,
    default_request, read_bundle,
};
use proptest::prelude::*;

use crate::bundle::{check, export, import};
use crate::bundle_forge::blob_name;
use crate::faulty::fails_after;
use crate::kit::{Place, content, fails, files, memory, open, open_default, place, put, put_blob, toy};
use crate::toy::{TOY_CAPS, Toy};

pub fn apply(writer: &mut Writer, bundle: &Path) -> persist_api::Result<ApplyReport> {
    writer.apply(bundle, Durability::Durable, &BundleLimits::default(), &Quiet)
}

/// One beat of these commits.
fn beat(writer: &mut Writer, logs: &[BeatLog]) {
    for receipt in writer.commit_group(logs, Durability::Durable).unwrap() {
        receipt.unwrap();
    }
}

/// A few beats of every kind of change.
fn go_on(writer: &mut Writer) {
    put(writer, &[(b"a", b"changed"), (b"new", &[5; 400])]);
    let mut logs = [BeatLog::new(), BeatLog::new(), BeatLog::new()];
    logs[0].delete(b"b").unwrap();
    logs[1].delete_range(&KeyRange::of::<[u8]>(b"m".as_slice()..b"n".as_slice())).unwrap();
    logs[1].put(b"mm", b"after the range").unwrap();
    beat(writer, &logs);
    put(writer, &[]);
    put(writer, &[(b"", b"")]);
}

/// A store with a base bundle, its increment, and a copy that stands at the base.
pub struct Chain {
    pub place: Place,
    pub store: Store,
    pub whole: PathBuf,
    pub since: PathBuf,
    pub copy: PathBuf,
    pub report: BundleReport,
}

pub fn chain() -> Chain {
    let place = place();
    let [whole, since, copy] = ["whole", "since", "copy"].map(|name| place.home.with_file_name(name));
    let (mut writer, store) = open_default(&place.home);
    store.hold("bundles", HoldOptions::default()).unwrap();
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"m1", b""), (b"m2", b"")]);
    put_blob(&place.home, b"old");
    let base = export(&store, &whole).manifest.as_base();
    go_on(&mut writer);
    put_blob(&place.home, b"new");
    let report = store.export_since(&since, &base, &Quiet).unwrap();
    import(&toy(), &whole, &copy).unwrap();
    Chain { place, store, whole, since, copy, report }
}

/// The copy is what the original is.
#[track_caller]
pub fn is_same(chain: &Chain, copied: &Store) {
    let copy = copied.home().unwrap();
    let (view, copied_view) = (chain.store.view().unwrap(), copied.view().unwrap());
    assert_eq!(content(&copied_view), content(&view));
    let (header, copied_header) = (view.header(), copied_view.header());
    assert_eq!((copied_header.beat, copied_header.first_commit), (header.beat, header.first_commit));
    assert_eq!((copied_header.commits, copied_header.root), (header.commits, header.root));
    let names = |home: &Path| files(&home.join("cas")).into_values().flatten().collect::<Vec<_>>();
    assert_eq!(names(&copy), names(&chain.place.home));
}

#[test]
fn what_stands_at_the_base_comes_to_the_newest_beat() {
    let chain = chain();
    assert_eq!(check(&chain.since).unwrap(), chain.report);
    let manifest = chain.report.manifest;
    assert_eq!(manifest.base, Some(check(&chain.whole).unwrap().manifest.as_base()));
    assert_eq!((manifest.beat.0, manifest.commits, chain.report.blobs), (6, 1, 2));
    let (mut writer, copied) = open_default(&chain.copy);
    let applied = apply(&mut writer, &chain.since).unwrap();
    assert_eq!((applied.beats, applied.commits, applied.rehearsed), (4, 6, true));
    assert_eq!(applied.bundle, chain.report);
    is_same(&chain, &copied);
    let [one, two] = ["one", "two"].map(|name| chain.whole.with_file_name(name));
    export(&chain.store, &one);
    export(&copied, &two);
    assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap(), "whole bundles are equal again");
    let before = content(&copied.view().unwrap());
    fails(apply(&mut writer, &chain.since), ErrorKind::Conflict, &["applied already"]);
    assert_eq!(content(&copied.view().unwrap()), before);
    // And the next increment goes on from this one.
    let three = chain.whole.with_file_name("three");
    let empty = chain.store.export_since(&three, &manifest.as_base(), &Quiet).unwrap();
    assert_eq!((empty.manifest.beat.0, empty.manifest.digest), (6, manifest.digest));
    assert_eq!(apply(&mut writer, &three).unwrap().beats, 0);
}

#[test]
fn an_increment_whose_predecessor_is_missing_says_so() {
    let chain = chain();
    let mut log = BeatLog::new();
    log.put(b"later", b"1").unwrap();
    chain.store.commit(log, Durability::Durable).unwrap().wait().unwrap();
    let next = chain.since.with_file_name("next");
    chain.store.export_since(&next, &chain.report.manifest.as_base(), &Quiet).unwrap();
    let (mut writer, copied) = open_default(&chain.copy);
    let before = content(&copied.view().unwrap());
    let error = fails(apply(&mut writer, &next), ErrorKind::Conflict, &["apply the increments between"]);
    assert_eq!((error.advice(), content(&copied.view().unwrap()) == before), (Advice::FixPath, true));
    apply(&mut writer, &chain.since).unwrap();
    apply(&mut writer, &next).unwrap();
    is_same(&chain, &copied);
}

#[test]
fn equal_histories_give_equal_increments() {
    let place = place();
    let mut bundles = Vec::new();
    let mut make = |name: &str, (mut writer, store): (Writer, Store)| {
        store.hold("bundles", HoldOptions::default()).unwrap();
        put(&mut writer, &[(b"a", b"1"), (b"b", b"2")]);
        let [whole, since] =
            ["whole", "since"].map(|what| place.home.with_file_name(format!("{name}-{what}")));
        let base = export(&store, &whole).manifest.as_base();
        go_on(&mut writer);
        store.export_since(&since, &base, &Quiet).unwrap();
        bundles.push(std::fs::read(since).unwrap());
    };
    for (name, caps) in [("plain", TOY_CAPS), ("checked", TOY_CAPS | Caps::CRC32C)] {
        let home = place.home.with_file_name(name);
        make(name, open(&Toy { caps, ..toy() }, &home, &default_request()).unwrap());
    }
    make("memory", memory());
    assert!(bundles.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_base_that_is_none_of_this_store_is_refused() {
    let chain = chain();
    let base = chain.report.manifest.base.unwrap();
    let file = chain.since.with_file_name("other");
    let export = |base: BundleBase| chain.store.export_since(&file, &base, &Quiet);
    let changed = |beat: u64, commit: u64| BundleBase {
        beat: persist_api::BeatNo(beat),
        commit: CommitNo(commit),
        ..base
    };
    fails(export(changed(7, 9)), ErrorKind::Conflict, &["no state of this store"]);
    fails(export(changed(6, 2)), ErrorKind::Conflict, &["no state of this store"]);
    fails(export(changed(2, 8)), ErrorKind::Conflict, &["no state of this store"]);
    // In the middle of a beat, and at a beat with another number.
    fails(export(changed(3, 4)), ErrorKind::Conflict, &["no beat of this store"]);
    fails(export(changed(3, 2)), ErrorKind::Conflict, &["no beat of this store"]);
    // Before the hold was made.
    fails(export(changed(0, 0)), ErrorKind::Stale, &["no hold kept it"]);
    let newest = BundleBase { digest: Some([7; 32]), ..chain.report.manifest.as_base() };
    fails(export(newest), ErrorKind::Conflict, &["other records"]);
    assert!(!file.exists() && !file.with_file_name("other.new").exists());
}

#[test]
fn a_store_that_stands_elsewhere_is_left_alone() {
    let chain = chain();
    let refused = |home: &Path, file: &Path, kind, words: &[&str]| {
        let (mut writer, store) = open_default(home);
        let before = (content(&store.view().unwrap()), *store.view().unwrap().header());
        fails(apply(&mut writer, file), kind, words);
        assert_eq!((content(&store.view().unwrap()), *store.view().unwrap().header()), before);
    };
    refused(&chain.copy, &chain.whole, ErrorKind::Mismatch, &["whole store"]);
    let empty = chain.copy.with_file_name("empty");
    refused(&empty, &chain.since, ErrorKind::Conflict, &["stands at beat 0"]);
    // The same numbers and other records.
    let other = chain.copy.with_file_name("other");
    let (mut writer, store) = open_default(&other);
    put(&mut writer, &[]);
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    refused(&other, &chain.since, ErrorKind::Conflict, &["other commits or records"]);
    // Beyond the base, by another way.
    let (mut writer, store) = open_default(&chain.copy);
    put(&mut writer, &[(b"own", b"way")]);
    drop((writer, store));
    refused(&chain.copy, &chain.since, ErrorKind::Conflict, &["another one in the increment"]);
    fails(
        import(&toy(), &chain.since, &chain.copy.with_file_name("none")),
        ErrorKind::Mismatch,
        &["increment"],
    );
    assert!(!chain.copy.with_file_name("none").exists());
}

#[test]
fn what_the_target_cannot_hold_is_refused_before_the_first_beat() {
    let chain = chain();
    let own = toy().limits;
    let small = Toy { limits: Limits { value_bytes_max: 400, ..own }, ..toy() };
    let (mut writer, store) = open(&small, &chain.copy, &default_request()).unwrap();
    fails(apply(&mut writer, &chain.since), ErrorKind::TooLarge, &["value"]);
    assert_eq!(store.view().unwrap().header().beat.0, 2);
}

#[test]
fn every_change_of_an_increment_is_refused() {
    let chain = chain();
    let good = std::fs::read(&chain.since).unwrap();
    assert!(good.len() < 3000);
    let read = |bytes: &[u8]| {
        let disk = SimDisk::new(1);
        disk.put("/bundle", bytes);
        read_bundle(&disk as &dyn Disk, Path::new("/bundle"), &BundleLimits::default(), &Quiet)
    };
    read(&good).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        for bit in 0..8 {
            bytes[at] = good[at] ^ (1 << bit);
            let error = read(&bytes).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Mismatch), "{at}: {error}");
        }
        assert!(read(&good[..at]).is_err(), "cut at {at}");
        bytes.remove(at);
        assert!(read(&bytes).is_err(), "without {at}");
    }
}

#[test]
fn an_application_that_stops_anywhere_is_at_a_beat_of_the_original_and_goes_on() {
    let chain = chain();
    let mut resumed = 0;
    for steps in 0.. {
        let home = chain.copy.with_file_name(format!("copy-{steps}"));
        import(&toy(), &chain.whole, &home).unwrap();
        let disk = fails_after(u64::MAX - 1);
        let stopping = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let (mut writer, store) = open(&stopping, &home, &default_request()).unwrap();
        disk.intercept().stop_after(steps);
        let done = apply(&mut writer, &chain.since);
        assert_eq!(done.is_err(), disk.intercept().stopped(), "step {steps}");
        drop((writer, store));

        let (mut writer, store) = open_default(&home);
        let stood = store.view().unwrap().header().beat.0;
        assert!((2..=6).contains(&stood));
        let again = apply(&mut writer, &chain.since);
        if stood == 6 {
            fails(again, ErrorKind::Conflict, &["applied already"]);
        } else {
            assert_eq!(again.unwrap().beats, 6 - stood, "step {steps}");
            resumed += u32::from(stood > 2);
        }
        is_same(&chain, &store);
        if done.is_ok() {
            break;
        }
    }
    assert!(resumed > 3, "{resumed}");
}

#[test]
fn one_that_is_cancelled_goes_on_where_it_stopped() {
    let chain = chain();
    let (mut writer, store) = open_default(&chain.copy);
    let mut beats = Vec::new();
    for stop_at in 0.. {
        let left = Cell::new(stop_at);
        let seen = |_: Progress| {
            if left.replace(left.get() - 1) == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let done = writer.apply(&chain.since, Durability::Durable, &BundleLimits::default(), &seen);
        beats.push(store.view().unwrap().header().beat.0);
        if done.is_ok() {
            break;
        }
        fails(done, ErrorKind::Cancelled, &[]);
    }
    assert_eq!((beats.first(), beats.last()), (Some(&2), Some(&6)));
    is_same(&chain, &store);
}

#[test]
fn blobs_come_along_and_those_that_are_there_stay() {
    let chain = chain();
    let blob = |bytes: &[u8]| chain.copy.join(String::from_utf8(blob_name(bytes)).unwrap());
    assert!(blob(b"old").exists() && !blob(b"new").exists());
    std::fs::create_dir_all(blob(b"new").parent().unwrap()).unwrap();
    std::fs::write(blob(b"new").with_extension("blob.new"), b"left by one that died").unwrap();
    let (mut writer, copied) = open_default(&chain.copy);
    apply(&mut writer, &chain.since).unwrap();
    is_same(&chain, &copied);
}

#[test]
fn cps_s4_a_blob_that_was_left_by_one_who_died_is_durable_before_a_beat_relies_on_it() {
    let chain = chain();
    let [whole, since, home] = ["/whole", "/since", "/home"].map(Path::new);
    let disk = SimDisk::new(1);
    assert!(disk.put(whole, &std::fs::read(&chain.whole).unwrap()));
    assert!(disk.put(since, &std::fs::read(&chain.since).unwrap()));
    let toy_on = |disk: &SimDisk| Toy::new(Arc::new(disk.clone()) as Arc<dyn Disk>);
    let apply_on = |disk: &SimDisk| {
        let (mut writer, _store) = open(&toy_on(disk), home, &default_request()).unwrap();
        apply(&mut writer, since).unwrap();
    };
    import(&toy_on(&disk), whole, home).unwrap();
    disk.keep_cut_points();
    apply_on(&disk);
    let blob = home.join(String::from_utf8(blob_name(b"new")).unwrap());
    let mut relied = 0;
    for point in disk.cut_points() {
        let killed = point.killed(1);
        let is_durable = |disk: &SimDisk| disk.crash_image(&Crash::Nothing).bytes(&blob).is_some();
        if killed.bytes(&blob).is_some() && !is_durable(&killed) {
            apply_on(&killed);
            assert!(is_durable(&killed), "killed after operation {}", point.after);
            relied += 1;
        }
    }
    assert!(relied > 0, "nobody was killed in between");
}

#[test]
fn the_feed_of_the_copy_gives_the_same_commits() {
    let chain = chain();
    let (mut writer, copied) = open_default(&chain.copy);
    let whole = check(&chain.whole).unwrap().manifest.as_base();
    let hold = chain.store.find_hold("bundles").unwrap().unwrap();
    let mut feed = hold.feed().unwrap();
    apply(&mut writer, &chain.since).unwrap();
    let mut commits = 0;
    while let Some(commit) = feed.pull().unwrap() {
        commits += u64::from(commit.commit > whole.commit);
    }
    assert_eq!(commits, 6);
    assert_eq!(copied.stats().unwrap().commit, chain.store.stats().unwrap().commit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn increments_follow_the_store(
        steps in prop::collection::vec(prop::collection::vec((0..4_u8, 0..40_u8, 0..40_u8), 0..12), 1..8),
        cuts in prop::collection::vec(any::<bool>(), 8),
    ) {
        let place = place();
        let (mut writer, store) = memory();
        let (mut copy_writer, copy) = open_default(&place.home);
        store.hold("bundles", HoldOptions::default()).unwrap();
        put(&mut copy_writer, &[]);
        let mut base = export(&copy, &place.home.with_file_name("base")).manifest.as_base();
        for (n, step) in steps.iter().enumerate() {
            let mut log = BeatLog::new();
            for (kind, from, to) in step {
                match kind {
                    0 => log.delete(&[*from]).unwrap(),
                    1 => log.delete_range(&KeyRange::of::<[u8]>([*from].as_slice()..[*to].as_slice())).unwrap(),
                    _ => log.put(&[*from], &vec![*to; usize::from(*to)]).unwrap(),
                }
            }
            beat(&mut writer, &[log, BeatLog::new()]);
            if cuts[n] || n + 1 == steps.len() {
                let file = place.home.with_file_name(format!("since-{n}"));
                let report = store.export_since(&file, &base, &Quiet).unwrap();
                prop_assert!(apply(&mut copy_writer, &file).unwrap().rehearsed);
                base = report.manifest.as_base();
                prop_assert_eq!(content(&copy.view().unwrap()), content(&store.view().unwrap()));
            }
        }
    }
}
