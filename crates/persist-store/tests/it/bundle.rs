//! Export and import: what goes in comes out, and equal content gives equal bytes.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use persist_api::{Caps, Durability, ErrorKind, KeyRange, Progress, Quiet, Request};
use persist_io::RealDisk;
use persist_store::{
    BundleLimits, BundleReport, ImportReport, Store, Writer, default_request, read_bundle, volatile_request,
};
use proptest::prelude::*;

use crate::bundle_forge::Forge;
use crate::kit::{
    Content, content, drivers, fails, files, look, look_at, memory, only, open, open_default, open_memory,
    options, place, put, put_blob, toy,
};
use crate::toy::{TOY_CAPS, Toy};

pub fn export(store: &Store, file: &Path) -> BundleReport {
    store.export(file, &Quiet).unwrap()
}

pub fn import(toy: &Toy, bundle: &Path, home: &Path) -> persist_api::Result<ImportReport> {
    look(toy, home)?.import(bundle, &default_request(), &BundleLimits::default(), &Quiet)
}

pub fn check(bundle: &Path) -> persist_api::Result<BundleReport> {
    read_bundle(&RealDisk, bundle, &BundleLimits::default(), &Quiet)
}

/// A store of a few records, a blob and a beat of two commits.
pub fn fill(writer: &mut Writer, home: &Path) {
    put(writer, &[(b"", b"the empty key"), (b"a", b"gone"), (b"b", b"")]);
    let mut logs = [persist_store::BeatLog::new(), persist_store::BeatLog::new()];
    logs[0].delete(b"a").unwrap();
    logs[1].put(b"\xFF\xFF", &[7; 300]).unwrap();
    for receipt in writer.commit_group(&logs, Durability::Durable).unwrap() {
        receipt.unwrap();
    }
    put_blob(home, b"a blob");
    put_blob(home, b"");
}

#[test]
fn what_is_exported_is_imported() {
    let place = place();
    let (file, copy) = (place.home.with_file_name("bundle"), place.home.with_file_name("copy"));
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    let exported = export(&store, &file);
    assert_eq!(check(&file).unwrap(), exported);
    let view = store.view().unwrap();
    let manifest = exported.manifest;
    assert_eq!((manifest.beat.0, manifest.first_commit.0, manifest.commits), (2, 2, 2));
    assert_eq!(manifest.digest, store.digest(&view).unwrap());
    assert_eq!((manifest.key_bytes_max, manifest.value_bytes_max, manifest.parts), (2, 300, 3));
    assert_eq!((exported.blobs, exported.blob_bytes), (2, 6));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), exported.file_bytes);

    let imported = import(&toy(), &file, &copy).unwrap();
    assert_eq!((imported.engine, &imported.bundle), ("toy", &exported));
    let (mut copy_writer, copied) = open_default(&copy);
    let stamp = copied.stamp().unwrap();
    assert_eq!((Some(stamp.store), stamp.origin), (imported.store, None));
    assert_ne!(stamp.store, store.stamp().unwrap().store);
    let copied_view = copied.view().unwrap();
    assert_eq!(content(&copied_view), content(&view));
    assert_eq!(copied_view.header(), view.header());
    assert_eq!(content(&copied_view)[&b"\xFF\xFF".to_vec()], vec![7; 300]);
    let blobs = |home: &Path| -> Vec<_> {
        files(&home.join("cas"))
            .into_iter()
            .map(|(path, bytes)| (path.file_name().unwrap().to_owned(), bytes))
            .collect()
    };
    assert_eq!(blobs(&copy), blobs(&place.home));
    let mut found = Vec::new();
    let verified = copied.verify(&mut |finding| found.push(finding), &Quiet).unwrap();
    assert_eq!((verified.damaged, verified.digest), (0, Some(manifest.digest)), "{found:?}");

    // Exported again it is the same file, and its numbers go on where those of the original stood.
    let again = place.home.with_file_name("again");
    export(&copied, &again);
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&file).unwrap());
    let receipt = put(&mut copy_writer, &[(b"c", b"3")]);
    assert_eq!((receipt.beat.0, receipt.commit.0), (3, 4));
}

#[test]
fn a_true_bundle_is_what_the_book_says() {
    let place = place();
    let file = place.home.with_file_name("bundle");
    let request = Request { durability: Durability::Durable, ..only(Caps::ORDERED | Caps::SNAPSHOT) };
    let (mut writer, store) = open(&toy(), &place.home, &request).unwrap();
    let big = vec![9; 700_000];
    let receipt = put(&mut writer, &[(b"k", b"v"), (b"", b""), (b"m", &big)]);
    assert_eq!(receipt.root, None);
    for blob in [b"one".as_slice(), b"two", &big] {
        put_blob(&place.home, blob);
    }
    export(&store, &file);
    let forged = Forge::of(&content(&store.view().unwrap()), 1, &[b"two", &big, b"one"]);
    assert!(std::fs::read(&file).unwrap() == forged.bytes());
    // Without a root there is nothing for MERKLE to go on from.
    let copy = place.home.with_file_name("copy");
    import(&toy(), &file, &copy).unwrap();
    let (_writer, copied) = open_default(&copy);
    assert!(!copied.grant().session.caps.contains(Caps::MERKLE));
    assert_eq!(copied.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0);
    let demanding = Request { required: Caps::MERKLE, ..default_request() };
    let other = place.home.with_file_name("other");
    let refused = look(&toy(), &other).unwrap().import(&file, &demanding, &BundleLimits::default(), &Quiet);
    fails(refused, ErrorKind::Refused, &["MERKLE"]);
    assert!(!other.exists());
}

#[test]
fn an_empty_store_and_an_emptied_one() {
    let place = place();
    for (name, beats) in [("none", 0), ("emptied", 2)] {
        let [home, file, copy] =
            ["home", "bundle", "copy"].map(|what| place.home.with_file_name(format!("{name}-{what}")));
        let (mut writer, store) = open_default(&home);
        if beats > 0 {
            put(&mut writer, &[(b"a", b"1")]);
            let mut beat = writer.begin(Durability::Durable).unwrap();
            beat.delete_range(&KeyRange::all()).unwrap();
            beat.commit().unwrap();
        }
        export(&store, &file);
        import(&toy(), &file, &copy).unwrap();
        let (mut writer, copied) = open_default(&copy);
        assert_eq!(copied.view().unwrap().header(), store.view().unwrap().header());
        assert!(content(&copied.view().unwrap()).is_empty());
        assert_eq!(put(&mut writer, &[(b"k", b"v")]).beat.0, beats + 1);
    }
}

#[test]
fn equal_content_gives_equal_bytes_whatever_keeps_it() {
    let place = place();
    let bare = Toy { caps: TOY_CAPS, ..toy() };
    let checked = Toy { caps: TOY_CAPS | Caps::CRC32C, scheme: "checked", ..toy() };
    let mut bundles = Vec::new();
    for (at, toy) in [&bare, &checked].into_iter().enumerate() {
        let home = place.home.with_file_name(format!("home-{at}"));
        let (mut writer, store) = open(toy, &home, &default_request()).unwrap();
        put(&mut writer, &[(b"b", b"2"), (b"a", b"1")]);
        put(&mut writer, &[(b"c", b"3")]);
        let file = place.home.with_file_name(format!("bundle-{at}"));
        export(&store, &file);
        bundles.push(std::fs::read(file).unwrap());
    }
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"b", b"2"), (b"a", b"1")]);
    put(&mut writer, &[(b"c", b"3")]);
    let file = place.home.with_file_name("bundle-memory");
    export(&store, &file);
    bundles.push(std::fs::read(file).unwrap());
    assert!(bundles.windows(2).all(|pair| pair[0] == pair[1]));
    put(&mut writer, &[]);
    let file = place.home.with_file_name("later");
    export(&store, &file);
    assert_ne!(std::fs::read(file).unwrap(), bundles[0], "the numbers are content");
}

#[test]
fn it_shows_one_beat_while_writers_go_on() {
    let place = place();
    let file = place.home.with_file_name("bundle");
    let (mut writer, store) = open_default(&place.home);
    for n in 0..50_u8 {
        put(&mut writer, &[(&[n], &[n; 9000])]);
    }
    let before = store.digest(&store.view().unwrap()).unwrap();
    let writer = std::cell::RefCell::new(writer);
    let steps = std::cell::Cell::new(0);
    let seen = |_: Progress| {
        steps.set(steps.get() + 1);
        put(&mut writer.borrow_mut(), &[(&[0], b"changed"), (&[99], b"new")]);
        ControlFlow::Continue(())
    };
    let report = store.export(&file, &seen).unwrap();
    assert!(steps.get() > 1);
    assert_eq!((report.manifest.beat.0, report.manifest.digest), (50, before));
    assert_ne!(store.digest(&store.view().unwrap()).unwrap(), before);
}

#[test]
fn memory_imports_and_exports() {
    let place = place();
    let file = place.home.with_file_name("bundle");
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"a", b"1"), (b"b", &[3; 1000])]);
    let exported = export(&store, &file);
    let drivers = drivers(&[]);
    let open = || look_at(&drivers, Path::new("name"), Some("memory"), &options()).unwrap();
    let limits = BundleLimits::default();
    let imported = open().import(&file, &volatile_request(), &limits, &Quiet).unwrap();
    assert_eq!((imported.store, &imported.bundle), (None, &exported));
    let (mut writer, copy) = open().negotiate(&volatile_request()).unwrap();
    assert_eq!(content(&copy.view().unwrap()), content(&store.view().unwrap()));
    assert_eq!(put(&mut writer, &[(b"c", b"")]).beat.0, 2);
    drop((writer, copy));
    fails(open().import(&file, &volatile_request(), &limits, &Quiet), ErrorKind::Conflict, &["exists"]);

    let home = place.home;
    let (mut writer, store) = open_default(&home);
    fill(&mut writer, &home);
    let file = home.with_file_name("with-blobs");
    export(&store, &file);
    let other = look_at(&drivers, Path::new("other"), Some("memory"), &options()).unwrap();
    fails(other.import(&file, &volatile_request(), &limits, &Quiet), ErrorKind::Refused, &["blobs"]);
}

#[test]
fn a_name_that_is_taken_and_a_place_that_cannot_be_are_refused() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    let dir = place.home.parent().unwrap().to_path_buf();
    std::fs::write(dir.join("taken"), b"theirs").unwrap();
    std::fs::write(dir.join("free.new"), b"theirs").unwrap();
    let before = files(&dir);
    for (name, kind, what) in [
        ("taken", ErrorKind::Mismatch, "this name"),
        ("free", ErrorKind::Mismatch, "this name"),
        ("home", ErrorKind::Invalid, "names a directory"),
        ("missing/bundle", ErrorKind::Invalid, "no such directory"),
        ("home/bundle", ErrorKind::Invalid, "inside the store"),
        ("home/cas/bundle", ErrorKind::Invalid, "inside the store"),
        ("..", ErrorKind::Invalid, "no file"),
    ] {
        fails(store.export(&dir.join(name), &Quiet), kind, &[what]);
        assert_eq!(files(&dir), before, "{name}");
    }
}

#[test]
fn an_export_that_is_stopped_or_meets_damage_leaves_no_file() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", &vec![1; 600_000])]);
    let blob = put_blob(&place.home, &vec![4; 600_000]);
    let file = place.home.with_file_name("bundle");
    let steps = std::cell::Cell::new(0);
    let count = |_: Progress| {
        steps.set(steps.get() + 1);
        ControlFlow::Continue(())
    };
    store.export(&file, &count).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(steps.get() > 4);
    for stop_at in 0..steps.get() {
        let left = std::cell::Cell::new(stop_at);
        let seen = |_: Progress| {
            if left.replace(left.get() - 1) == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        fails(store.export(&file, &seen), ErrorKind::Cancelled, &[]);
        let names: Vec<PathBuf> = files(file.parent().unwrap()).into_keys().collect();
        assert!(names.iter().all(|path| path.starts_with(&place.home)), "{stop_at}: {names:?}");
    }
    std::fs::write(&blob, b"damaged").unwrap();
    fails(store.export(&file, &Quiet), ErrorKind::Corrupt, &["blob"]);
    assert!(!file.exists() && !file.with_file_name("bundle.new").exists());
}

#[test]
fn what_was_not_granted_is_not_exported() {
    let place = place();
    for missing in [Caps::SNAPSHOT, Caps::ORDERED] {
        let asked = (Caps::SNAPSHOT | Caps::ORDERED) - missing;
        let (_writer, store) = open_memory(&only(asked));
        let file = place.home.with_file_name("bundle");
        fails(store.export(&file, &Quiet), ErrorKind::Unsupported, &[missing.names().as_str()]);
        assert!(!file.exists());
    }
}

fn any_content() -> impl Strategy<Value = Content> {
    let key = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..4),
        1 => prop::collection::vec(any::<u8>(), 200..400),
    ];
    let value = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 200_000..600_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    prop::collection::btree_map(key, value, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn export_and_import_are_the_identity(
        content_in in any_content(),
        blobs in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..9), 0..4),
        beats in 1..5_usize,
    ) {
        let place = place();
        let (file, copy) = (place.home.with_file_name("bundle"), place.home.with_file_name("copy"));
        let (mut writer, store) = open_default(&place.home);
        let rows: Vec<_> = content_in.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        for rows in rows.chunks(rows.len().div_ceil(beats).max(1)) {
            put(&mut writer, rows);
        }
        for blob in &blobs {
            put_blob(&place.home, blob);
        }
        let exported = export(&store, &file);
        let imported = import(&toy(), &file, &copy).unwrap();
        prop_assert_eq!(&imported.bundle, &exported);
        let (_writer, copied) = open_default(&copy);
        prop_assert_eq!(&content(&copied.view().unwrap()), &content_in);
        prop_assert!(copied.view().unwrap().header() == store.view().unwrap().header());
        let again = place.home.with_file_name("again");
        export(&copied, &again);
        prop_assert!(std::fs::read(&again).unwrap() == std::fs::read(&file).unwrap());
    }
}
