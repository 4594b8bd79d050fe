//! The directory of a store: layout, recognition, refusal.

use std::path::Path;
use std::sync::Arc;

use persist_api::{ErrorKind, OpenMode, OpenOptions};
use persist_io::{RealDisk, lock_dir, replace};
use persist_store::{STAMP_FILE, Stamp, StampState, default_request, open_with, volatile_request};

use crate::kit::{
    content, drivers, fails, files, look, look_at, open, open_default, options, place, put, toy,
};
use crate::toy::FILE;

fn put_file(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Looking fails, and nothing changes.
#[track_caller]
fn refused_untouched(home: &Path, kind: ErrorKind, words: &[&str]) {
    let before = files(home);
    for scheme in [Some("toy"), None] {
        fails(look_at(&drivers(&[toy()]), home, scheme, &options()), kind, words);
    }
    assert_eq!(files(home), before);
}

#[test]
fn looking_writes_nothing() {
    let place = place();
    let opened = look(&toy(), &place.home).unwrap();
    assert_eq!(opened.describe().engine, "toy");
    assert_eq!(opened.describe().stamp, None);
    assert!(!place.home.exists());
    open_default(&place.home);
    let before = files(&place.home);
    let opened = look(&toy(), &place.home).unwrap();
    assert!(opened.describe().stamp.is_some());
    assert_eq!(opened.describe().home.as_deref(), Some(place.home.as_path()));
    assert_eq!(files(&place.home), before);
}

#[test]
fn the_layout_is_as_documented() {
    let place = place();
    open_default(&place.home);
    let names: Vec<_> =
        std::fs::read_dir(&place.home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in ["persist.stamp", "lock", "engine-1", "cas"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    let stamp = Stamp::read(&RealDisk, &place.home).unwrap().unwrap();
    assert_eq!((stamp.state, stamp.epoch, stamp.origin), (StampState::Ready, 1, None));
    assert_eq!((stamp.engine.as_str(), stamp.engine_format), ("toy", 1));
}

#[test]
fn a_path_alone_follows_the_stamp() {
    let place = place();
    let drivers = drivers(&[toy()]);
    fails(
        look_at(&drivers, &place.home, None, &options()),
        ErrorKind::Invalid,
        &["no store here", "sqlite:path"],
    );
    assert!(!place.home.exists());
    open_default(&place.home);
    let opened = look_at(&drivers, &place.home, None, &options()).unwrap();
    assert_eq!(opened.describe().engine, "toy");
    opened.negotiate(&default_request()).unwrap();
}

#[test]
fn a_scheme_that_contradicts_the_stamp_is_a_mismatch_that_names_both() {
    let place = place();
    open_default(&place.home);
    let mut other = toy();
    other.scheme = "other";
    let before = files(&place.home);
    let both = drivers(&[toy(), other]);
    fails(look_at(&both, &place.home, Some("other"), &options()), ErrorKind::Mismatch, &["toy", "other"]);
    assert_eq!(files(&place.home), before);
}

#[test]
fn an_unknown_engine_is_named_with_those_that_there_are() {
    let place = place();
    let names = ["nosuch", "toy, memory"];
    fails(
        look_at(&drivers(&[toy()]), &place.home, Some("nosuch"), &options()),
        ErrorKind::Unsupported,
        &names,
    );
    open_default(&place.home);
    fails(look_at(&drivers(&[]), &place.home, None, &options()), ErrorKind::Unsupported, &["toy", "memory"]);
}

#[test]
fn another_engine_format_is_a_mismatch() {
    let place = place();
    open_default(&place.home);
    let mut newer = toy();
    newer.format = 2;
    let opened = look(&newer, &place.home).unwrap();
    fails(
        opened.negotiate(&default_request()).map_err(Into::into),
        ErrorKind::Mismatch,
        &["format 1", "format 2"],
    );
}

#[test]
fn foreign_directories_are_refused_untouched() {
    let names = [
        "notes.txt",
        "engine-01/x",
        "engine-0/x",
        "engine-x/x",
        "Engine-1/x",
        "cas/x",
        ".hidden",
        "lock/x",
        "persist.stamp.new/x",
    ];
    for name in names {
        let place = place();
        put_file(&place.home.join(name), b"theirs");
        let before = files(&place.home);
        let first = name.split('/').next().unwrap();
        fails(look(&toy(), &place.home), ErrorKind::Mismatch, &[first, "nothing was touched"]);
        assert_eq!(files(&place.home), before);
    }
}

#[test]
fn a_stamp_or_lock_that_is_no_file_is_refused_untouched() {
    let place = place();
    let victim = place.home.with_file_name("victim");
    std::fs::write(&victim, b"theirs").unwrap();
    for name in ["persist.stamp", "lock"] {
        open_default(&place.home);
        let path = place.home.join(name);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        fails(look(&toy(), &place.home), ErrorKind::Mismatch, &["not a file", "nothing was touched"]);
        assert_eq!(std::fs::read(&victim).unwrap(), b"theirs");
        std::fs::remove_file(&path).unwrap();
        // A socket stands for what cannot be opened like a file; a pipe would block.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        fails(look(&toy(), &place.home), ErrorKind::Mismatch, &["not a file"]);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, kept).unwrap();
    }
    open_default(&place.home);
}

#[test]
fn a_strangers_lock_file_is_not_ours() {
    for content in [b"their notes".to_vec(), vec![b'p'; 5000]] {
        let place = place();
        put_file(&place.home.join("lock"), &content);
        let before = files(&place.home);
        fails(look(&toy(), &place.home), ErrorKind::Mismatch, &["lock"]);
        assert_eq!(files(&place.home), before);
    }
}

#[test]
fn an_engine_without_a_stamp_is_refused_untouched() {
    let place = place();
    open_default(&place.home);
    std::fs::remove_file(place.home.join(STAMP_FILE)).unwrap();
    refused_untouched(&place.home, ErrorKind::Corrupt, &["engine-1", STAMP_FILE, "restore"]);
}

#[test]
fn a_damaged_stamp_is_refused_untouched() {
    let place = place();
    open_default(&place.home);
    let path = place.home.join(STAMP_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    refused_untouched(&place.home, ErrorKind::Corrupt, &[STAMP_FILE]);
    std::fs::write(&path, vec![b'x'; 20_000]).unwrap();
    refused_untouched(&place.home, ErrorKind::Corrupt, &[STAMP_FILE]);
}

/// A home whose stamp says `creating`, with these files beside it.
fn unfinished(home: &Path, files: &[&str]) {
    let (mut writer, store) = open_default(home);
    put(&mut writer, &[(b"left", b"over")]);
    drop((writer, store));
    let stamp = Stamp::read(&RealDisk, home).unwrap().unwrap();
    let stamp = Stamp { state: StampState::Creating, ..stamp };
    replace(&RealDisk, &home.join(STAMP_FILE), stamp.to_text().as_bytes()).unwrap();
    for name in files {
        put_file(&home.join(name), b"theirs");
    }
}

#[test]
fn an_unfinished_creation_is_cleared_only_when_all_of_it_is_ours() {
    for stranger in ["notes.txt", "cas/blob", "engine-1/notes.txt", "engine-2/x"] {
        let place = place();
        unfinished(&place.home, &[stranger]);
        refused_untouched(&place.home, ErrorKind::Mismatch, &["cannot be cleared"]);
    }
    let place = place();
    unfinished(&place.home, &[]);
    let opened = look(&toy(), &place.home).unwrap();
    assert!(opened.describe().unfinished);
    let before = files(&place.home);
    let (opened, error) = opened
        .negotiate(&persist_api::Request { required: persist_api::Caps::REMOTE, ..default_request() })
        .unwrap_err()
        .into_parts();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(files(&place.home), before, "a refusal clears nothing");
    let old = Stamp::read(&RealDisk, &place.home).unwrap().unwrap();
    let (writer, store) = opened.negotiate(&default_request()).unwrap();
    assert_ne!(store.stamp().unwrap().store, old.store);
    assert_eq!(writer.last().beat.0, 0, "what was left is gone");
}

#[test]
fn clearing_never_follows_a_link() {
    let place = place();
    unfinished(&place.home, &[]);
    let outside = place.home.with_file_name("outside");
    std::fs::rename(place.home.join("engine-1"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, place.home.join("engine-1")).unwrap();
    refused_untouched(&place.home, ErrorKind::Mismatch, &["cannot be cleared", "engine-1"]);
    assert!(outside.join(crate::toy::FILE).exists());

    let place = crate::kit::place();
    unfinished(&place.home, &[]);
    std::fs::remove_dir(place.home.join("cas")).unwrap();
    let elsewhere = place.home.with_file_name("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.home.join("cas")).unwrap();
    refused_untouched(&place.home, ErrorKind::Mismatch, &["cannot be cleared", "cas"]);
}

#[test]
fn an_unfinished_creation_may_become_another_engine() {
    let place = place();
    unfinished(&place.home, &[]);
    let mut other = toy();
    other.scheme = "other";
    let both = drivers(&[toy(), other.clone()]);
    let opened = look_at(&both, &place.home, Some("other"), &options()).unwrap();
    let (writer, store) = opened.negotiate(&default_request()).unwrap();
    assert_eq!(store.stamp().unwrap().engine, "other");
    drop((writer, store));
    unfinished_engine_gone(&place.home, &drivers(&[other]));
}

/// Without the driver of the stamped engine, what it left cannot be judged.
fn unfinished_engine_gone(home: &Path, with_driver: &crate::kit::Drivers) {
    let stamp = Stamp::read(&RealDisk, home).unwrap().unwrap();
    let stamp = Stamp { state: StampState::Creating, ..stamp };
    replace(&RealDisk, &home.join(STAMP_FILE), stamp.to_text().as_bytes()).unwrap();
    fails(look_at(&drivers(&[toy()]), home, Some("toy"), &options()), ErrorKind::Unsupported, &["other"]);
    look_at(with_driver, home, None, &options()).unwrap().negotiate(&default_request()).unwrap();
}

#[test]
fn engines_of_other_epochs_are_reported_and_never_opened() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"k", b"v")]);
    store.close().unwrap();
    put_file(&place.home.join("engine-2/toy.data"), b"not even a header");
    put_file(&place.home.join("notes.txt"), b"theirs");
    let opened = look(&toy(), &place.home).unwrap();
    let strangers = opened.describe().strangers;
    assert_eq!(strangers, ["engine-2", "notes.txt"]);
    let (_writer, store) = opened.negotiate(&default_request()).unwrap();
    assert_eq!(content(&store.view().unwrap()).len(), 1);
    assert_eq!(std::fs::read(place.home.join("engine-2/toy.data")).unwrap(), b"not even a header");
    assert_eq!(std::fs::read(place.home.join("notes.txt")).unwrap(), b"theirs");
}

#[test]
fn modes_are_kept() {
    let place = place();
    let mode = |mode| OpenOptions { mode, ..options() };
    let look = |mode_wanted| look_at(&drivers(&[toy()]), &place.home, Some("toy"), &mode(mode_wanted));
    fails(look(OpenMode::MustExist), ErrorKind::Invalid, &["no store"]);
    assert!(!place.home.exists());
    look(OpenMode::MustCreate).unwrap().negotiate(&default_request()).unwrap();
    fails(look(OpenMode::MustCreate), ErrorKind::Conflict, &["exists"]);
    look(OpenMode::MustExist).unwrap().negotiate(&default_request()).unwrap();
}

#[test]
fn a_home_has_one_holder_until_its_last_view_is_gone() {
    let place = place();
    let (writer, store) = open_default(&place.home);
    let opened = look(&toy(), &place.home).unwrap();
    let (opened, error) = opened.negotiate(&default_request()).unwrap_err().into_parts();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    let view = store.view().unwrap();
    drop((writer, store));
    let (opened, error) = opened.negotiate(&default_request()).unwrap_err().into_parts();
    assert_eq!(error.kind(), ErrorKind::Locked, "a view is still open");
    drop(view);
    opened.negotiate(&default_request()).unwrap();
}

#[test]
fn a_creation_by_somebody_else_in_between_is_noticed() {
    let place = place();
    let late = look(&toy(), &place.home).unwrap();
    let must_create = OpenOptions { mode: OpenMode::MustCreate, ..options() };
    let too_late = look_at(&drivers(&[toy()]), &place.home, Some("toy"), &must_create).unwrap();
    let mut other = toy();
    other.scheme = "other";
    let other = look(&other, &place.home).unwrap();

    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"k", b"v")]);
    let id = store.stamp().unwrap().store;
    store.close().unwrap();

    fails(too_late.negotiate(&default_request()).map_err(Into::into), ErrorKind::Conflict, &["exists"]);
    fails(other.negotiate(&default_request()).map_err(Into::into), ErrorKind::Mismatch, &["toy"]);
    let (_writer, store) = late.negotiate(&default_request()).unwrap();
    assert_eq!(store.stamp().unwrap().store, id);
    assert_eq!(content(&store.view().unwrap()).len(), 1);
}

#[test]
fn files_that_came_in_between_stop_a_creation() {
    let place = place();
    let opened = look(&toy(), &place.home).unwrap();
    put_file(&place.home.join("notes.txt"), b"theirs");
    fails(opened.negotiate(&default_request()).map_err(Into::into), ErrorKind::Mismatch, &["notes.txt"]);
    assert_eq!(std::fs::read(place.home.join("notes.txt")).unwrap(), b"theirs");
    assert!(!place.home.join(STAMP_FILE).exists());
}

#[test]
fn options_that_no_open_could_take_leave_nothing() {
    let place = place();
    let mut options = options();
    options.knobs.insert("early".to_owned(), "1".to_owned());
    let look = || look_at(&drivers(&[toy()]), &place.home, Some("toy"), &options).unwrap();
    fails(look().negotiate(&default_request()).map_err(Into::into), ErrorKind::Invalid, &["early"]);
    assert!(!place.home.exists());
    open_default(&place.home);
    let before = files(&place.home);
    fails(look().negotiate(&default_request()).map_err(Into::into), ErrorKind::Invalid, &["early"]);
    assert_eq!(files(&place.home), before);
}

#[test]
fn an_engine_that_will_not_open_leaves_no_stamp() {
    let place = place();
    let mut options = options();
    options.knobs.insert("nosuch".to_owned(), "1".to_owned());
    let opened = look_at(&drivers(&[toy()]), &place.home, Some("toy"), &options).unwrap();
    fails(opened.negotiate(&default_request()).map_err(Into::into), ErrorKind::Invalid, &["nosuch"]);
    let left: Vec<_> = files(&place.home).into_keys().collect();
    assert_eq!(left, [place.home.join("lock")]);
    open_default(&place.home);
}

/// Nobody begins anew where a stamp says that there is a store.
#[test]
fn a_store_whose_engine_finds_nothing_is_corrupt() {
    let place = place();
    open_default(&place.home);
    let lost = || {
        let words = ["its files are gone", "engine-1"];
        fails(open(&toy(), &place.home, &default_request()), ErrorKind::Corrupt, &words);
    };
    std::fs::remove_file(place.home.join("engine-1").join(FILE)).unwrap();
    lost();
    std::fs::remove_dir(place.home.join("engine-1")).unwrap();
    lost();
}

#[test]
fn an_engine_directory_of_another_store_is_noticed() {
    let (one, two) = (place(), place());
    let (mut writer, store) = open_default(&one.home);
    put(&mut writer, &[(b"k", b"v")]);
    store.close().unwrap();
    let plain = crate::kit::only(persist_api::Caps::ORDERED);
    drop(open(&toy(), &two.home, &plain).unwrap());
    let name = Path::new("engine-1").join(crate::toy::FILE);
    std::fs::copy(one.home.join(&name), two.home.join(&name)).unwrap();
    fails(open(&toy(), &two.home, &plain), ErrorKind::Corrupt, &["another store"]);
}

#[test]
fn a_held_home_is_not_created_into() {
    let place = place();
    std::fs::create_dir(&place.home).unwrap();
    let held = lock_dir(&RealDisk, &place.home).unwrap();
    let opened = look(&toy(), &place.home).unwrap();
    fails(opened.negotiate(&default_request()).map_err(Into::into), ErrorKind::Locked, &[]);
    drop(held);
    assert!(!place.home.join(STAMP_FILE).exists());
    open_default(&place.home);
}

#[test]
fn a_store_on_disk_needs_a_path_and_memory_does_not() {
    fails(look_at(&drivers(&[toy()]), Path::new(""), Some("toy"), &options()), ErrorKind::Invalid, &["path"]);
    let importing = OpenOptions { importing: true, ..options() };
    fails(
        look_at(&drivers(&[]), Path::new(""), Some("memory"), &importing),
        ErrorKind::Invalid,
        &["importing"],
    );
}

#[test]
fn memory_makes_no_files_and_its_homes_are_names() {
    let place = place();
    let drivers = drivers(&[]);
    let look = |mode| {
        let options = OpenOptions { mode, ..options() };
        open_with(Arc::new(RealDisk), &drivers, &place.home, Some("memory"), &options)
    };
    let opened = look(OpenMode::MustExist).unwrap();
    fails(opened.negotiate(&volatile_request()).map_err(Into::into), ErrorKind::Invalid, &["no store"]);
    let (mut writer, store) = look(OpenMode::OpenOrCreate).unwrap().negotiate(&volatile_request()).unwrap();
    put(&mut writer, &[(b"k", b"v")]);
    assert_eq!((store.stamp(), store.home()), (None, None));
    store.close().unwrap();
    drop((writer, store));
    assert!(!place.home.exists());
    let opened = look(OpenMode::MustCreate).unwrap();
    fails(opened.negotiate(&volatile_request()).map_err(Into::into), ErrorKind::Conflict, &["exists"]);
    // Its format stands, though nobody stamped it: this request alone would have chosen no checksum.
    let plain = crate::kit::only(persist_api::Caps::ORDERED | persist_api::Caps::SNAPSHOT);
    let (mut writer, store) = look(OpenMode::MustExist).unwrap().negotiate(&plain).unwrap();
    assert!(store.grant().format.layer("crc32c").is_some());
    assert_eq!(content(&store.view().unwrap()).len(), 1);
    assert_eq!(writer.begin(persist_api::Durability::Volatile).unwrap().commit().unwrap().beat.0, 2);
}
