//! What holds on every engine.

use std::ops::ControlFlow;
use std::path::Path;

use persist::{
    BeatLog, Caps, CompactScope, Durability, ErrorKind, Finding, KeyRange, Quiet, Request, Scan, Severity,
    Store, default_request,
};

use crate::kit::{durable_places, fails, places, put};

fn rows(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let view = store.view().unwrap();
    view.scan(Scan::all(), |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

#[test]
fn what_is_written_is_read() {
    for place in places() {
        let (mut writer, store) = place.open().unwrap();
        let receipt =
            put(&mut writer, &[(b"b", b"2"), (b"", b"empty"), (b"a\0", b""), (b"\xFF\xFF", b"high")]);
        assert_eq!((receipt.beat.0, receipt.commit.0), (1, 1), "{}", place.scheme);
        assert!(receipt.root.is_some());
        let expected: [(&[u8], &[u8]); 4] =
            [(b"", b"empty"), (b"a\0", b""), (b"b", b"2"), (b"\xFF\xFF", b"high")];
        let expected = expected.map(|(key, value)| (key.to_vec(), value.to_vec()));
        assert_eq!(rows(&store), expected, "{}", place.scheme);
        let view = store.view().unwrap();
        for (key, value) in &expected {
            assert_eq!(view.get(key).unwrap().as_deref(), Some(value.as_slice()), "{}", place.scheme);
        }
        assert!(view.get(b"absent").unwrap().is_none());
        let mut cursor = view.cursor(Scan::all().reverse()).unwrap();
        for (key, value) in expected.iter().rev() {
            assert!(cursor.advance().unwrap());
            assert_eq!((cursor.key(), cursor.value()), (key.as_slice(), value.as_slice()));
        }
        assert!(!cursor.advance().unwrap());
        let mut beat = writer.begin(Durability::Durable).unwrap();
        beat.delete_range(&KeyRange::all()).unwrap();
        beat.commit().unwrap();
        assert!(rows(&store).is_empty());
        assert!(view.get(b"b").unwrap().is_some(), "{}: a view stays at its beat", place.scheme);
    }
}

#[test]
fn numbers_and_records_are_there_after_reopening() {
    for place in durable_places() {
        for round in 0..3_u64 {
            let (mut writer, store) = place.open().unwrap();
            let receipt = put(&mut writer, &[(&round.to_be_bytes(), b"v")]);
            assert_eq!(receipt.beat.0, 2 * round + 1, "{}", place.scheme);
            assert_eq!(receipt.reached, Durability::Durable);
            let mut logs = [BeatLog::new(), BeatLog::new()];
            logs[0].put(b"group", &round.to_be_bytes()).unwrap();
            let receipts = writer.commit_group(&logs, Durability::Buffered).unwrap();
            let commits: Vec<_> = receipts.into_iter().map(|receipt| receipt.unwrap().commit.0).collect();
            assert_eq!(commits, [3 * round + 2, 3 * round + 3]);
            assert_eq!(rows(&store).len() as u64, round + 2);
            store.close().unwrap();
        }
        // By path alone: the stamp says which engine it is.
        let opened = persist::open_with(&place.path(), &place.options).unwrap();
        assert_eq!(opened.describe().engine, place.scheme);
        let (_writer, store) = opened.negotiate(&default_request()).unwrap();
        assert_eq!(store.view().unwrap().header().beat.0, 6);
    }
}

#[test]
fn refusals_touch_nothing() {
    for place in durable_places() {
        let demanding = Request { required: Caps::REMOTE, ..default_request() };
        let opened = persist::open_with(&place.url(), &place.options).unwrap();
        let failed = opened.negotiate(&demanding).unwrap_err();
        assert_eq!(failed.error().kind(), ErrorKind::Refused, "{}", place.scheme);
        assert!(failed.to_string().contains("REMOTE"));
        assert!(!Path::new(&place.path()).exists());
        let (opened, _) = failed.into_parts();
        opened.negotiate(&default_request()).unwrap();

        std::fs::write(place.dir.path().join("notes"), b"mine").unwrap();
        let foreign = format!("{}:{}", place.scheme, place.dir.path().display());
        fails(persist::open_with(&foreign, &place.options), ErrorKind::Mismatch, &["nothing was touched"]);
    }
    let memory = persist::open("memory:").unwrap().negotiate(&default_request()).unwrap_err();
    assert!(memory.to_string().contains("durability volatile instead of durable"), "{memory}");
}

#[test]
fn a_store_belongs_to_its_engine() {
    for place in durable_places() {
        drop(place.open().unwrap());
        for other in durable_places().iter().filter(|other| other.scheme != place.scheme) {
            let url = format!("{}:{}", other.scheme, place.path());
            fails(persist::open(&url), ErrorKind::Mismatch, &[place.scheme, other.scheme]);
        }
    }
}

#[test]
fn a_second_opening_is_locked_and_names_the_holder() {
    for place in durable_places() {
        let (_writer, _store) = place.open().unwrap();
        fails(place.open(), ErrorKind::Locked, &[&std::process::id().to_string()]);
    }
}

/// A few hundred beats of puts, deletes and range deletes, the same on every engine.
fn workload(writer: &mut persist::Writer) {
    let mut state = 0x9E37_79B9_u64;
    let mut next = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for _ in 0..40 {
        let mut beat = writer.begin(Durability::Buffered).unwrap();
        for _ in 0..next(30) {
            let key = next(200).to_string();
            match next(10) {
                0 => beat.delete(key.as_bytes()).unwrap(),
                1 => {
                    let end = next(200).to_string();
                    beat.delete_range(&KeyRange::of::<str>(key.as_str()..end.as_str())).unwrap();
                }
                _ => {
                    let value = vec![7; usize::try_from(next(300)).unwrap()];
                    beat.put(key.as_bytes(), &value).unwrap();
                }
            }
        }
        beat.commit().unwrap();
    }
}

#[test]
fn equal_content_has_an_equal_digest_and_root_on_every_engine() {
    let mut seen = None;
    for place in places() {
        let (mut writer, store) = place.open().unwrap();
        workload(&mut writer);
        let view = store.view().unwrap();
        let found = (store.digest(&view).unwrap(), view.header().root, view.header().beat);
        assert!(found.0.records > 20);
        assert_eq!(*seen.get_or_insert(found), found, "{}", place.scheme);
    }
}

#[test]
fn every_durability_up_to_the_granted_one_is_kept() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        for asked in [Durability::Volatile, Durability::Buffered, Durability::Durable] {
            let mut beat = writer.begin(asked).unwrap();
            beat.put(asked.name().as_bytes(), b"").unwrap();
            let receipt = beat.commit().unwrap();
            assert!(receipt.reached >= asked, "{} {asked}: {}", place.scheme, receipt.reached);
        }
        assert_eq!(rows(&store).len(), 3);
    }
}

#[test]
fn an_engine_that_refuses_its_options_leaves_nothing() {
    for place in durable_places() {
        let mut options = place.options.clone();
        options.engine.knobs.insert("nosuch".to_owned(), "1".to_owned());
        let opened = persist::open_with(&place.url(), &options).unwrap();
        let error =
            fails(opened.negotiate(&default_request()).map_err(Into::into), ErrorKind::Invalid, &["nosuch"]);
        assert!(!std::path::Path::new(&place.path()).exists(), "{}: {error}", place.scheme);
        place.open().unwrap();
    }
}

#[test]
fn a_sound_store_verifies() {
    for place in places() {
        let (mut writer, store) = place.open().unwrap();
        workload(&mut writer);
        let mut damage: Vec<Finding> = Vec::new();
        let report = store
            .verify(
                &mut |finding| {
                    if finding.severity == Severity::Damage {
                        damage.push(finding);
                    }
                },
                &Quiet,
            )
            .unwrap();
        assert!(damage.is_empty(), "{}: {damage:?}", place.scheme);
        assert_eq!(report.digest, Some(store.digest(&store.view().unwrap()).unwrap()));
        assert_eq!(report.beat.0, 40);
    }
}

#[test]
fn a_backup_opens_by_itself() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        workload(&mut writer);
        let before = store.digest(&store.view().unwrap()).unwrap();
        let copy = place.dir.path().join("copy");
        let report = store.backup(&copy, &Quiet).unwrap();
        put(&mut writer, &[(b"later", b"1")]);
        let opened = persist::open(copy.to_str().unwrap()).unwrap();
        let (mut copy_writer, copy) = opened.negotiate(&default_request()).unwrap();
        assert_eq!(copy.stamp().unwrap().origin, Some(store.stamp().unwrap().store), "{}", place.scheme);
        assert_eq!(report.engine.beat.0, 40);
        let view = copy.view().unwrap();
        assert_eq!(copy.digest(&view).unwrap(), before, "{}", place.scheme);
        assert_eq!(put(&mut copy_writer, &[(b"own", b"1")]).beat.0, 41);
    }
}

#[test]
fn maintenance_changes_no_record() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        workload(&mut writer);
        let before = store.digest(&store.view().unwrap()).unwrap();
        assert_eq!(store.sync().unwrap().0, 40);
        store.checkpoint().unwrap();
        store.compact(CompactScope::default(), &Quiet).unwrap();
        assert_eq!(store.digest(&store.view().unwrap()).unwrap(), before, "{}", place.scheme);
        let stats = store.stats().unwrap();
        assert_eq!((stats.engine.beat.0, stats.commit.0), (40, 40));
        assert!(stats.engine.bytes_on_disk > 0);
        if let Some(records) = stats.engine.records {
            assert_eq!(records, before.records, "{}", place.scheme);
        }
    }
}
