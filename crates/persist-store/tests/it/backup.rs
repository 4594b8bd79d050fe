//! Backups.

use std::ops::ControlFlow;

use persist_api::{ErrorKind, Progress, Quiet};
use persist_store::default_request;

use crate::kit::{content, drivers, fails, files, look_at, open, open_default, options, place, put, toy};

#[test]
fn a_backup_opens_by_itself_and_knows_its_origin() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1"), (b"", b"")]);
    std::fs::create_dir(place.home.join("cas/ab")).unwrap();
    std::fs::write(place.home.join("cas/ab/blob"), vec![5; 600_000]).unwrap();
    let report = store.backup(&into, &Quiet).unwrap();
    assert_eq!((report.engine.beat.0, report.blobs, report.blob_bytes), (1, 1, 600_000));
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
    assert_eq!(std::fs::read(into.join("cas/ab/blob")).unwrap(), vec![5; 600_000]);
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
fn a_cancelled_backup_leaves_no_store() {
    let place = place();
    let into = place.home.with_file_name("copy");
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    std::fs::write(place.home.join("cas/blob"), b"blob").unwrap();
    for stop_at in ["copy", "blobs"] {
        let seen = |progress: Progress| {
            if progress.phase == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        fails(store.backup(&into, &seen), ErrorKind::Cancelled, &[]);
        let left: Vec<_> = files(&into).into_keys().collect();
        assert_eq!(left, [into.join("lock")]);
        std::fs::remove_dir_all(&into).unwrap();
    }
    store.backup(&into, &Quiet).unwrap();
    open(&toy(), &into, &default_request()).unwrap();
}
