//! The crash window of export and import: the disk stops after each operation in turn.

use std::sync::Arc;

use persist_api::{ErrorKind, Quiet};
use persist_io::{Disk, RealDisk};
use persist_store::{Stamp, StampState, default_request};

use crate::bundle::{check, export, fill, import};
use crate::faulty::fails_after;
use crate::kit::{content, look, open, open_default, place, put, toy};
use crate::toy::Toy;

#[test]
fn an_import_that_stops_anywhere_is_no_store_or_the_whole_one() {
    let place = place();
    let file = place.home.with_file_name("bundle");
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    put(&mut writer, &[(b"x", &vec![3; 300_000]), (b"y", b"")]);
    let exported = export(&store, &file);
    let expected = content(&store.view().unwrap());
    let (mut unfinished, mut refused) = (0, 0);
    for steps in 0.. {
        let home = place.home.with_file_name(format!("copy-{steps}"));
        let disk = fails_after(steps);
        let stopping = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let done = import(&stopping, &file, &home);
        let stopped = disk.intercept().stopped();
        assert_eq!(done.is_err(), stopped, "step {steps}");

        let state = Stamp::read(&RealDisk, &home).unwrap().map(|stamp| stamp.state);
        match state {
            Some(StampState::Ready) => {}
            Some(StampState::Importing) => {
                unfinished += 1;
                let error = look(&toy(), &home).unwrap().negotiate(&default_request()).unwrap_err();
                assert_eq!(error.error().kind(), ErrorKind::Mismatch);
            }
            other => assert_eq!(other, None, "step {steps}"),
        }
        if state != Some(StampState::Ready) {
            refused += 1;
            assert_eq!(import(&toy(), &file, &home).unwrap().bundle, exported, "step {steps}");
        }
        let (_writer, copied) = open_default(&home);
        assert_eq!(content(&copied.view().unwrap()), expected, "step {steps}");
        assert_eq!(copied.view().unwrap().header(), store.view().unwrap().header());
        if !stopped {
            break;
        }
    }
    assert!(unfinished > 15 && refused > unfinished, "{unfinished} {refused}");
}

#[test]
fn clearing_an_import_that_stops_anywhere_can_be_repeated() {
    let place = place();
    let file = place.home.with_file_name("bundle");
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    export(&store, &file);
    for first in [16, 24] {
        for steps in 0.. {
            let home = place.home.with_file_name(format!("copy-{first}-{steps}"));
            import(&Toy::new(fails_after(first)), &file, &home).unwrap_err();
            let disk = fails_after(steps);
            let done = import(&Toy::new(Arc::clone(&disk) as Arc<dyn Disk>), &file, &home).is_ok();
            if !done {
                let again = import(&toy(), &file, &home);
                // Where only the last sync is missing, the store is there already.
                assert!(again.is_ok() || again.unwrap_err().kind() == ErrorKind::Conflict, "{first} {steps}");
            }
            let (_writer, copied) = open_default(&home);
            assert_eq!(content(&copied.view().unwrap()), content(&store.view().unwrap()));
            if done {
                break;
            }
        }
    }
}

#[test]
fn an_export_that_stops_anywhere_leaves_no_bundle_or_the_whole_one() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    put(&mut writer, &[(b"x", &vec![3; 600_000])]);
    drop((writer, store));
    let mut failed = 0;
    for steps in 0.. {
        let file = place.home.with_file_name(format!("bundle-{steps}"));
        let disk = fails_after(u64::MAX - 1);
        let stopping = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let (_writer, store) = open(&stopping, &place.home, &default_request()).unwrap();
        disk.intercept().stop_after(steps);
        let done = store.export(&file, &Quiet);
        assert_eq!(done.is_err(), disk.intercept().stopped(), "step {steps}");
        if file.exists() {
            check(&file).unwrap();
        } else {
            failed += 1;
        }
        if done.is_ok() {
            let places =
                [("sync_file", file.with_file_name(format!("bundle-{steps}.new"))), ("rename", file.clone())]
                    .map(|(op, path)| disk.intercept().last_place_of(op, &path));
            assert!(places[0] < places[1], "the bytes are durable before the name is");
            assert_eq!(
                disk.intercept().op_at(places[1] + 1),
                ("sync_dir", place.home.parent().unwrap().to_path_buf())
            );
            break;
        }
    }
    assert!(failed > 5);
}
