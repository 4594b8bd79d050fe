//! The crash window of creation, clearing, commit and backup: the disk stops after each operation in turn.

use std::sync::Arc;

use persist_api::{ErrorKind, Quiet};
use persist_io::{Disk, RealDisk};
use persist_store::{Stamp, StampState, default_request, open_with};

use crate::faulty::fails_after;
use crate::kit::{content, drivers, files, look, open, open_default, options, place, put, put_blob, toy};
use crate::toy::Toy;

#[test]
fn creation_that_stops_anywhere_is_followed_by_one_that_works() {
    let mut steps = 0;
    let mut unfinished_seen = 0;
    loop {
        let place = place();
        let disk = fails_after(steps);
        let stopping = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let done = open(&stopping, &place.home, &default_request());
        let finished = !disk.intercept().stopped();
        assert_eq!(done.is_ok(), finished, "step {steps}");
        drop(done);

        let opened = look(&toy(), &place.home).unwrap();
        unfinished_seen += u32::from(opened.describe().unfinished);
        let (mut writer, store) = opened.negotiate(&default_request()).unwrap();
        assert_eq!(put(&mut writer, &[(b"k", b"v")]).beat.0, 1, "step {steps}");
        assert_eq!(store.stamp().unwrap().state, StampState::Ready);
        let names: Vec<_> = files(&place.home)
            .into_keys()
            .map(|path| path.strip_prefix(&place.home).unwrap().to_owned())
            .collect();
        let expected =
            ["cas", "engine-1", "engine-1/toy.data", "lock", "persist.stamp"].map(std::path::PathBuf::from);
        assert_eq!(names, expected, "step {steps}");
        if finished {
            break;
        }
        steps += 1;
    }
    assert!(steps > 15, "creation has many operations: {steps}");
    assert!(unfinished_seen > 5, "the stamp says `creating` for a while: {unfinished_seen}");
}

#[test]
fn clearing_that_stops_anywhere_can_be_repeated() {
    for creation_steps in [12, 16, 19, 22] {
        for steps in 0.. {
            let place = place();
            let first = Toy::new(fails_after(creation_steps));
            assert!(open(&first, &place.home, &default_request()).is_err());
            let disk = fails_after(steps);
            let second = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
            let done = open(&second, &place.home, &default_request()).is_ok();
            assert_eq!(done, !disk.intercept().stopped());
            let (mut writer, _store) = open_default(&place.home);
            assert_eq!(put(&mut writer, &[(b"k", b"v")]).beat.0, 1);
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_stopped_creation_next_to_a_neighbour_leaves_the_neighbour_alone() {
    for steps in 0..30 {
        let place = place();
        let neighbour = place.home.with_file_name("neighbour");
        std::fs::write(&neighbour, b"mine").unwrap();
        let _ = open(&Toy::new(fails_after(steps)), &place.home, &default_request());
        open_default(&place.home);
        assert_eq!(std::fs::read(&neighbour).unwrap(), b"mine");
    }
}

#[test]
fn a_commit_that_stops_anywhere_is_whole_or_absent_and_poisons() {
    for steps in 0.. {
        let place = place();
        let (mut writer, store) = open_default(&place.home);
        put(&mut writer, &[(b"a", b"1"), (b"b", b"1")]);
        store.close().unwrap();
        drop((writer, store));

        let disk = fails_after(u64::MAX - 1);
        let (mut writer, store) =
            open(&Toy::new(Arc::clone(&disk) as Arc<dyn Disk>), &place.home, &default_request()).unwrap();
        disk.intercept().stop_after(steps);
        let mut beat = writer.begin(persist_api::Durability::Durable).unwrap();
        beat.put(b"a", b"2").unwrap();
        beat.put(b"b", b"2").unwrap();
        let done = beat.commit().is_ok();
        assert_eq!(done, !disk.intercept().stopped());
        if !done {
            let again = writer.begin(persist_api::Durability::Durable).unwrap().commit();
            assert_eq!(again.unwrap_err().kind(), ErrorKind::Poisoned);
        }
        drop((writer, store));

        let (_writer, store) = open_default(&place.home);
        let view = store.view().unwrap();
        let values: Vec<_> = content(&view).into_values().collect();
        let old = vec![b"1".to_vec(), b"1".to_vec()];
        let new = vec![b"2".to_vec(), b"2".to_vec()];
        assert!(values == new || !done && values == old, "step {steps}: {values:?}");
        assert_eq!(view.header().beat.0, if values == new { 2 } else { 1 });
        if done {
            break;
        }
    }
}

#[test]
fn a_backup_that_stops_anywhere_is_no_store_and_harms_nothing() {
    let mut refused = 0;
    for steps in 0.. {
        let place = place();
        let into = place.home.with_file_name("copy");
        let disk = fails_after(u64::MAX - 1);
        let (mut writer, store) =
            open(&Toy::new(Arc::clone(&disk) as Arc<dyn Disk>), &place.home, &default_request()).unwrap();
        put(&mut writer, &[(b"a", b"1")]);
        disk.intercept().stop_after(steps);
        let done = store.backup(&into, &Quiet).is_ok();
        assert_eq!(done, !disk.intercept().stopped());
        drop((writer, store));
        let (_writer, store) = open_default(&place.home);
        assert_eq!(content(&store.view().unwrap()).len(), 1);
        // After the last rename only the sync of the directory is missing: the copy is then whole.
        let stamped = Stamp::read(&RealDisk, &into).unwrap().is_some();
        if stamped {
            let (_writer, copy) = open_default(&into);
            assert_eq!(content(&copy.view().unwrap()).len(), 1);
        } else if into.join("engine-1").exists() {
            let error = look(&toy(), &into).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            refused += 1;
        }
        if done {
            assert!(stamped);
            break;
        }
    }
    assert!(refused > 0);
}

#[test]
fn the_stamp_comes_after_all_that_it_vouches_for() {
    let place = place();
    let (home, into) = (place.home.clone(), place.home.with_file_name("copy"));
    let disk = fails_after(u64::MAX - 1);
    let (mut writer, store) =
        open(&Toy::new(Arc::clone(&disk) as Arc<dyn Disk>), &home, &default_request()).unwrap();
    let ready = disk.intercept().last_place_of("rename", &home.join("persist.stamp"));
    let engine = disk.intercept().last_place_of("sync_dir", &home.join("engine-1"));
    // The engine's name and that of `cas` are durable before the stamp says so, and the stamp's own name after it.
    let names = ready - 3; // an old temporary stamp is removed and the new one synced in between
    assert!(engine < names);
    assert_eq!(disk.intercept().op_at(names), ("sync_dir", home.clone()));
    assert_eq!(disk.intercept().op_at(ready + 1), ("sync_dir", home.clone()));

    put(&mut writer, &[(b"a", b"1")]);
    let blob = put_blob(&home, b"blob");
    let blob = into.join(blob.strip_prefix(&home).unwrap());
    store.backup(&into, &Quiet).unwrap();
    let stamp = disk.intercept().last_place_of("rename", &into.join("persist.stamp"));
    for (op, path) in [
        ("sync_dir", blob.parent().unwrap().to_path_buf()),
        ("sync_file", blob),
        ("sync_dir", into.join("cas")),
        ("sync_dir", into.join("engine-1")),
    ] {
        assert!(disk.intercept().last_place_of(op, &path) < stamp, "{op} {}", path.display());
    }
    assert_eq!(disk.intercept().op_at(stamp - 3), ("sync_dir", into.clone()));
    assert_eq!(disk.intercept().op_at(stamp + 1), ("sync_dir", into));
    assert_eq!(disk.intercept().done(), stamp + 2, "nothing comes after the stamp");
}

#[test]
fn a_creation_that_is_taken_back_removes_its_stamp_last() {
    let place = place();
    let disk = fails_after(u64::MAX - 1);
    let stopping = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
    let mut options = options();
    options.knobs.insert("nosuch".to_owned(), "1".to_owned());
    let shared = Arc::clone(&disk) as Arc<dyn Disk>;
    let opened = open_with(shared, &drivers(&[stopping]), &place.home, Some("toy"), &options).unwrap();
    opened.negotiate(&default_request()).unwrap_err();
    let removed = disk.intercept().last_place_of("remove_file", &place.home.join("persist.stamp"));
    assert_eq!(
        disk.intercept().op_at(removed - 1),
        ("sync_dir", place.home.clone()),
        "what it vouched for is gone before"
    );
    assert_eq!(disk.intercept().op_at(removed + 1), ("sync_dir", place.home.clone()));
    assert_eq!(disk.intercept().done(), removed + 2);
}
