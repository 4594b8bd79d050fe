//! What an import refuses, and that it then touches nothing; how one is stopped.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{Driver, ErrorKind, Limits, OpenMode, OpenOptions, Progress, Quiet};
use persist_flatfile::FlatfileDriver;
use persist_io::sim::SimDisk;
use persist_io::{Disk, RealDisk, lock_dir, replace};
use persist_store::{
    BundleLimits, STAMP_FILE, Stamp, StampState, check_bundle_name, default_request, open_with,
};

use crate::bundle::{export, fill, import};
use crate::bundle_forge::Forge;
use crate::kit::{
    Place, content, drivers, fails, files, look, look_at, open_default, options, place, put, toy,
};
use crate::toy::Toy;

/// A bundle of some chunks, and where it shall go.
fn bundle() -> (Place, PathBuf, PathBuf) {
    let place = place();
    let (file, home) = (place.home.with_file_name("bundle"), place.home.with_file_name("copy"));
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    put(&mut writer, &[(b"a key of 18 bytes.", &vec![8; 900_000])]);
    export(&store, &file);
    (place, file, home)
}

#[test]
fn a_home_that_holds_anything_is_left_alone() {
    let (_place, file, home) = bundle();
    let (mut writer, store) = open_default(&home);
    put(&mut writer, &[(b"theirs", b"1")]);
    drop((writer, store));
    let before = files(&home);
    fails(import(&toy(), &file, &home), ErrorKind::Conflict, &["a store exists"]);
    assert_eq!(files(&home), before);
    let other = home.with_file_name("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("notes"), b"mine").unwrap();
    let before = files(&other);
    fails(import(&toy(), &file, &other), ErrorKind::Mismatch, &["not ours"]);
    assert_eq!(files(&other), before);
}

/// Before anything is written: a rename would refuse it when everything is.
#[test]
fn a_directory_is_no_bundle() {
    let place = place();
    let (_writer, store) = open_default(&place.home);
    let parent = place.home.parent().unwrap();
    std::fs::create_dir(parent.join("there")).unwrap();
    std::os::unix::fs::symlink(parent.join("there"), parent.join("link")).unwrap();
    let before = files(parent);
    for name in ["out/", "out/.", "there", "there/", "link", "link/"] {
        let file = parent.join(name);
        let seen = |_: Progress| -> ControlFlow<()> { panic!("{name}: something was read") };
        let error = fails(store.export(&file, &seen), ErrorKind::Invalid, &["this names a directory"]);
        assert_eq!(error.path(), Some(file.as_path()));
        fails(check_bundle_name(&RealDisk, &file), ErrorKind::Invalid, &["this names a directory"]);
    }
    for name in ["", "..", "/"] {
        fails(check_bundle_name(&RealDisk, name.as_ref()), ErrorKind::Invalid, &["this names no file"]);
    }
    check_bundle_name(&RealDisk, &parent.join("out")).unwrap();
    assert_eq!(files(parent), before);
}

#[test]
fn a_disk_without_room_for_a_bundle_is_left_alone() {
    let (_place, file, _) = bundle();
    let bytes = std::fs::read(&file).unwrap();
    let disk = SimDisk::new(1);
    disk.put("/bundle", &bytes);
    let import = |disk: &SimDisk| {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let drivers: [Arc<dyn Driver>; 1] = [Arc::new(FlatfileDriver::new(Arc::clone(&disk)))];
        let mut options = OpenOptions::default();
        options.knobs.insert("maintenance".to_owned(), "inline".to_owned());
        let opened = open_with(disk, &drivers, Path::new("/copy"), Some("flatfile"), &options)?;
        opened.import(Path::new("/bundle"), &default_request(), &BundleLimits::default(), &Quiet)
    };
    disk.limit_space(Some(2 * bytes.len() as u64 - 1));
    let before = disk.files();
    fails(import(&disk), ErrorKind::Full, &["there is room for", "nothing was changed"]);
    assert_eq!(disk.files(), before);
    disk.limit_space(None);
    import(&disk).unwrap();
}

#[test]
fn a_home_that_somebody_locks_is_refused() {
    let (_place, file, home) = bundle();
    std::fs::create_dir(&home).unwrap();
    let lock = lock_dir(&RealDisk, &home).unwrap();
    fails(import(&toy(), &file, &home), ErrorKind::Locked, &["held by"]);
    drop(lock);
    import(&toy(), &file, &home).unwrap();
}

#[test]
fn what_the_engine_cannot_hold_is_refused_before_anything_is_made() {
    let (_place, file, home) = bundle();
    let own = toy().limits;
    for (limits, what) in
        [(Limits { key_bytes_max: 18, ..own }, "key"), (Limits { value_bytes_max: 900_003, ..own }, "value")]
    {
        let small = Toy { limits, ..toy() };
        fails(import(&small, &file, &home), ErrorKind::TooLarge, &[what, "limit"]);
        assert!(!home.exists(), "{what}");
    }
    // Exactly so much is enough: one byte of a key is ours, and four of a value.
    let enough = Limits { key_bytes_max: 19, value_bytes_max: 900_004, ..own };
    import(&Toy { limits: enough, ..toy() }, &file, &home).unwrap();
}

#[test]
fn what_is_beyond_the_callers_limits_is_refused() {
    let (_place, file, home) = bundle();
    let len = std::fs::metadata(&file).unwrap().len();
    let all = BundleLimits::default();
    for (limits, what) in [
        (BundleLimits { file_bytes: len - 1, ..all }, "bytes"),
        (BundleLimits { key_bytes: 17, ..all }, "key"),
        (BundleLimits { value_bytes: 899_999, ..all }, "value"),
    ] {
        let done = look(&toy(), &home).unwrap().import(&file, &default_request(), &limits, &Quiet);
        fails(done, ErrorKind::TooLarge, &[what]);
        assert!(!home.exists());
    }
    let exact = BundleLimits { file_bytes: len, key_bytes: 18, value_bytes: 900_000, ..all };
    look(&toy(), &home).unwrap().import(&file, &default_request(), &exact, &Quiet).unwrap();
}

#[test]
fn a_bundle_that_is_not_there_is_an_error_with_its_name() {
    let (_place, file, home) = bundle();
    let missing = file.with_file_name("missing");
    let error = fails(import(&toy(), &missing, &home), ErrorKind::Io, &["missing"]);
    assert_eq!(error.path(), Some(missing.as_path()));
    assert!(!home.exists());
}

#[test]
fn an_import_can_be_stopped_at_any_step_and_leaves_no_store() {
    let (_place, file, home) = bundle();
    let steps = Cell::new(0);
    let phases = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let count = |progress: Progress| {
        steps.set(steps.get() + 1);
        phases.borrow_mut().insert(progress.phase);
        ControlFlow::Continue(())
    };
    let scratch = home.with_file_name("scratch");
    let limits = BundleLimits::default();
    look(&toy(), &scratch).unwrap().import(&file, &default_request(), &limits, &count).unwrap();
    assert_eq!(phases.into_inner().into_iter().collect::<Vec<_>>(), ["blobs", "check", "digest", "import"]);
    for stop_at in 0..steps.get() {
        let left = Cell::new(stop_at);
        let seen = |_: Progress| {
            if left.replace(left.get() - 1) == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let done = look(&toy(), &home).unwrap().import(&file, &default_request(), &limits, &seen);
        fails(done, ErrorKind::Cancelled, &[]);
        let names: Vec<_> = files(&home).into_keys().collect();
        assert!(names.is_empty() || names == [home.join("lock")], "step {stop_at}: {names:?}");
    }
    import(&toy(), &file, &home).unwrap();
}

/// An import that died: all of it is there but the last stamp.
fn unfinished(file: &Path, home: &Path) {
    import(&toy(), file, home).unwrap();
    let stamp = Stamp::read(&RealDisk, home).unwrap().unwrap();
    let stamp = Stamp { state: StampState::Importing, ..stamp };
    replace(&RealDisk, &home.join(STAMP_FILE), stamp.to_text().as_bytes()).unwrap();
}

#[test]
fn what_an_import_left_is_cleared_by_the_next_and_by_nothing_else() {
    let (place, file, home) = bundle();
    unfinished(&file, &home);
    let before = files(&home);
    fails(
        look(&toy(), &home).unwrap().negotiate(&default_request()).map_err(Into::into),
        ErrorKind::Mismatch,
        &["not finished"],
    );
    assert_eq!(files(&home), before);
    // Another content, so that what is left could be seen.
    let other = home.with_file_name("other-bundle");
    std::fs::write(&other, Forge::of(&[(b"k".to_vec(), b"v".to_vec())].into(), 9, &[b"one"]).bytes())
        .unwrap();
    import(&toy(), &other, &home).unwrap();
    let (_writer, store) = open_default(&home);
    assert_eq!(content(&store.view().unwrap()), [(b"k".to_vec(), b"v".to_vec())].into());
    assert_eq!(files(&home.join("cas")).len(), 2);
    drop(place);
}

#[test]
fn an_unfinished_import_is_no_store() {
    let place = place();
    open_default(&place.home);
    let stamp = Stamp::read(&RealDisk, &place.home).unwrap().unwrap();
    let stamp = Stamp { state: StampState::Importing, ..stamp };
    replace(&RealDisk, &place.home.join(STAMP_FILE), stamp.to_text().as_bytes()).unwrap();
    let before = files(&place.home);
    for mode in [OpenMode::OpenOrCreate, OpenMode::MustCreate, OpenMode::MustExist] {
        let options = OpenOptions { mode, ..options() };
        let opened = look_at(&drivers(&[toy()]), &place.home, None, &options);
        let done = opened.and_then(|opened| {
            assert!(opened.describe().unfinished);
            opened.negotiate(&default_request()).map_err(Into::into)
        });
        fails(done, ErrorKind::Mismatch, &["import", "not finished"]);
    }
    assert_eq!(files(&place.home), before);
}

#[test]
fn what_is_not_ours_among_what_an_import_left_is_kept() {
    let (_place, file, home) = bundle();
    unfinished(&file, &home);
    for stray in ["notes", "cas/notes", "engine-1/notes", "engine-2"] {
        std::fs::write(home.join(stray), b"theirs").unwrap();
        let before = files(&home);
        fails(import(&toy(), &file, &home), ErrorKind::Mismatch, &[]);
        assert_eq!(files(&home), before, "{stray}");
        std::fs::remove_file(home.join(stray)).unwrap();
    }
    import(&toy(), &file, &home).unwrap();
}

#[test]
fn a_bundle_that_changes_between_the_two_readings_is_refused() {
    let (_place, file, home) = bundle();
    let other = Forge::of(&[(b"k".to_vec(), b"v".to_vec())].into(), 9, &[]).bytes();
    let changed = Cell::new(false);
    let seen = |progress: Progress| {
        if progress.phase == "import" && !changed.replace(true) {
            std::fs::write(&file, &other).unwrap();
        }
        ControlFlow::Continue(())
    };
    let limits = BundleLimits::default();
    let done = look(&toy(), &home).unwrap().import(&file, &default_request(), &limits, &seen);
    fails(done, ErrorKind::Corrupt, &[]);
    assert!(changed.get());
    assert_eq!(files(&home).into_keys().collect::<Vec<_>>(), [home.join("lock")]);
}
