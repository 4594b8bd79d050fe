//! Backups.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use persist_api::{ErrorKind, Progress, Quiet, Result};
use persist_io::{Call, Intercept, Intercepted, PassOn, RealDisk};
use persist_store::{Store, SwapOptions, SwapTarget, default_request};

use crate::kit::{
    content, drivers, fails, files, look_at, open, open_default, options, place, put, put_blob, toy,
};
use crate::toy::Toy;

#[test]
fn a_backup_opens_by_itself_and_knows_its_origin() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1"), (b"", b"")]);
    let blob = put_blob(&place.home, &vec![5; 600_000]);
    put_blob(&place.home, b"");
    // Still being written, so that no beat can name it.
    std::fs::write(blob.with_extension("blob.new"), b"half").unwrap();
    let report = store.backup(&into, &Quiet).unwrap();
    assert_eq!((report.engine.beat.0, report.blobs, report.blob_bytes), (1, 2, 600_000));
    put(&mut writer, &[(b"b", b"2")]);

    let opened = look_at(&drivers(&[toy()]), &into, None, &options()).unwrap();
    let (mut copy_writer, copy) = opened.negotiate(&default_request()).unwrap();
    let (stamp, origin) = (copy.stamp().unwrap(), store.stamp().unwrap());
    assert_eq!((stamp.store, stamp.origin), (report.store, Some(origin.store)));
    assert_eq!(report.origin, origin.store);
    assert_ne!(stamp.store, origin.store);
    assert_eq!(stamp.format, origin.format);
    let (view, source) = (copy.view().unwrap(), store.view().unwrap());
    assert_eq!(content(&view).len(), 2);
    assert_eq!(content(&source).len(), 3);
    assert_eq!(view.header().beat.0, 1);
    let copied = into.join(blob.strip_prefix(&place.home).unwrap());
    assert_eq!(std::fs::read(&copied).unwrap(), vec![5; 600_000]);
    assert!(!copied.with_extension("blob.new").exists());
    // The copy goes its own way, its numbers go on.
    assert_eq!(put(&mut copy_writer, &[(b"c", b"3")]).beat.0, 2);
    assert_eq!(content(&store.view().unwrap()).len(), 3);
}

#[test]
fn a_backup_of_a_backup_names_its_parent() {
    let place = place();
    let (one, two) = (place.home.with_file_name("one"), place.home.with_file_name("two"));
    let (_writer, store) = open_default(&place.home);
    store.backup(&one, &Quiet).unwrap();
    let (_writer, first) = open_default(&one);
    first.backup(&two, &Quiet).unwrap();
    let (_writer, second) = open_default(&two);
    assert_eq!(second.stamp().unwrap().origin, Some(first.stamp().unwrap().store));
}

#[test]
fn a_target_that_holds_anything_is_refused_untouched() {
    let place = place();
    let into = place.home.with_file_name("copy");
    std::fs::create_dir(&into).unwrap();
    std::fs::write(into.join("notes.txt"), b"theirs").unwrap();
    let (_writer, store) = open_default(&place.home);
    let before = files(&into);
    fails(store.backup(&into, &Quiet), ErrorKind::Mismatch, &["not empty"]);
    fails(store.backup(&place.home, &Quiet), ErrorKind::Mismatch, &["not empty"]);
    assert_eq!(files(&into), before);
}

#[test]
fn a_backup_into_its_own_home_is_refused_and_changes_nothing() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    let link = place.home.with_file_name("link");
    std::os::unix::fs::symlink(place.home.join("cas"), &link).unwrap();
    let before = files(&place.home);
    let inside = ["copy", "cas/copy", "engine-1/copy", "cas/deep/er/copy"].map(|name| place.home.join(name));
    let by_detour = [place.home.join("../home/copy"), link.join("copy")];
    for into in inside.into_iter().chain(by_detour) {
        fails(store.backup(&into, &Quiet), ErrorKind::Invalid, &["inside the store", "elsewhere"]);
        assert_eq!(files(&place.home), before, "{into:?}");
    }
    store.backup(&place.home.with_file_name("home-copy"), &Quiet).unwrap();
}

/// Such a path leads nowhere when it is looked at, and into the home once its missing parts are made.
#[test]
fn a_path_that_goes_up_from_what_is_not_there_is_refused_and_makes_nothing() {
    let place = place();
    let above = place.home.parent().unwrap();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    std::fs::create_dir(above.join("other")).unwrap();
    let before = files(above);
    for detour in ["other/nope/../../home/engine-1/bk", "other/no/pe/../../../home/cas/bk", "nope/../home/bk"]
    {
        let into = above.join(detour);
        let error = fails(store.backup(&into, &Quiet), ErrorKind::Invalid, &["`..`", "not there"]);
        assert_eq!(error.path(), Some(into.as_path()));
        fails(store.export(&into, &Quiet), ErrorKind::Invalid, &["`..`"]);
        fails(
            store.swap(&SwapTarget::at("toy", &into), &SwapOptions::default(), &Quiet),
            ErrorKind::Invalid,
            &["`..`"],
        );
        assert_eq!(files(above), before, "{detour}");
    }
    assert!(store.swap_status().is_none() && store.holds().unwrap().is_empty());
    // Up from what is there is as good as any other path.
    store.backup(&above.join("other/../home/../other/bk"), &Quiet).unwrap();
    open_default(&above.join("other/bk"));
}

#[test]
fn a_backup_that_lost_a_race_leaves_the_winners_copy() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    // Another backup finishes between the first look at the directory and its lock.
    let other = place.home.with_file_name("other");
    let race = Race { other: Mutex::new(Some(store)), into: into.clone() };
    let (_writer, second) =
        open(&Toy::new(Arc::new(Intercepted::new(RealDisk, race))), &other, &default_request()).unwrap();
    fails(second.backup(&into, &Quiet), ErrorKind::Mismatch, &["not empty"]);
    let (_writer, copy) = open_default(&into);
    assert_eq!(content(&copy.view().unwrap()).len(), 1);
}

#[test]
fn a_cancelled_backup_leaves_no_store() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    put_blob(&place.home, b"blob");
    for stop_at in ["copy", "blobs"] {
        let seen = |progress: Progress| {
            if progress.phase == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        fails(store.backup(&into, &seen), ErrorKind::Cancelled, &[]);
        let left: Vec<_> = files(&into).into_keys().collect();
        assert_eq!(left, [into.join("lock")]);
    }
    // The lock that stayed is no obstacle to another try.
    store.backup(&into, &Quiet).unwrap();
    open(&toy(), &into, &default_request()).unwrap();
}

#[test]
fn a_blob_that_is_not_what_its_name_says_fails_the_backup_and_is_named() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    put_blob(&place.home, b"good");
    let bad = put_blob(&place.home, &vec![6; 300_000]);
    let mut bytes = vec![6; 300_000];
    bytes[299_999] ^= 1;
    for damaged in [bytes, vec![6; 299_999], vec![]] {
        std::fs::write(&bad, damaged).unwrap();
        let name = bad.file_name().unwrap().to_str().unwrap();
        let error = fails(store.backup(&into, &Quiet), ErrorKind::Corrupt, &[name, "blob"]);
        assert_eq!(error.path(), Some(bad.as_path()));
        assert_eq!(files(&into).into_keys().collect::<Vec<_>>(), [into.join("lock")]);
    }
    std::fs::write(&bad, vec![6; 300_000]).unwrap();
    assert_eq!(store.backup(&into, &Quiet).unwrap().blobs, 2);
}

#[test]
fn what_is_no_blob_is_not_left_out_in_silence() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (_writer, store) = open_default(&place.home);
    let blob = put_blob(&place.home, b"blob");
    let bucket = blob.parent().unwrap();
    let other = place.home.join("cas/zz").join(blob.file_name().unwrap());
    std::fs::create_dir(place.home.join("cas/zz")).unwrap();
    let upper = blob.file_name().unwrap().to_str().unwrap().to_uppercase();
    let names = [place.home.join("cas/notes"), bucket.join("notes"), bucket.join(upper), other];
    for stray in names {
        std::fs::write(&stray, b"blob").unwrap();
        let error = fails(store.backup(&into, &Quiet), ErrorKind::Mismatch, &["no blob"]);
        assert_eq!(error.path(), Some(stray.as_path()));
        std::fs::remove_file(stray).unwrap();
    }
    std::os::unix::fs::symlink(&blob, bucket.join(format!("{}.blob", "0".repeat(64)))).unwrap();
    fails(store.backup(&into, &Quiet), ErrorKind::Mismatch, &["no blob"]);
}

/// Another store's backup is written to `into` just before that directory is locked.
struct Race {
    other: Mutex<Option<Store>>,
    into: PathBuf,
}

impl Intercept for Race {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        if matches!(call, Call::TryLock)
            && path.parent() == Some(&self.into)
            && let Some(other) = self.other.lock().take()
        {
            other.backup(&self.into, &Quiet)?;
        }
        pass_on()
    }
}
