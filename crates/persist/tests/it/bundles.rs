//! Bundles on every engine: the same bytes from each, and any of them from any bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use persist::{
    BundleLimits, BundleReport, Disk, Durability, ErrorKind, ImportReport, KeyId, KeyRing, Options, Quiet,
    RealDisk, Request, Result, SecretKey, Stamp, StampState, Store, Writer, compressed, default_request,
    encrypted, read_bundle,
};
use persist_io::sim::{Crash, SimDisk};

use crate::kit::{Place, durable_places, fails, places, put};

/// Some beats of some commits, the same on every engine.
fn fill(writer: &mut Writer) {
    for round in 0..12_u8 {
        let mut beat = writer.begin(Durability::Buffered).unwrap();
        for n in 0..40_u8 {
            beat.put(&[b'k', n ^ round, round % 3], &vec![round; usize::from(n) * 11]).unwrap();
        }
        beat.delete(&[b'k', round, 0]).unwrap();
        beat.commit().unwrap();
    }
    put(writer, &[(b"", b"the empty key"), (b"\xFF\xFF", b""), (b"large", &vec![9; 700_000])]);
}

fn put_blob(home: &Path, bytes: &[u8]) {
    let hex = blake3::hash(bytes).to_hex();
    let bucket = home.join("cas").join(&hex[..2]);
    std::fs::create_dir_all(&bucket).unwrap();
    // As everybody does who writes blobs: nobody sees one that is not whole.
    let path = bucket.join(format!("{hex}.blob"));
    let unfinished = bucket.join(format!("{hex}.blob.new"));
    std::fs::write(&unfinished, bytes).unwrap();
    std::fs::rename(unfinished, path).unwrap();
}

fn import(place: &Place, file: &Path) -> Result<ImportReport> {
    let opened = persist::open_with(&place.url(), &place.options)?;
    opened.import(file, &place.request(), &BundleLimits::default(), &Quiet)
}

fn export(store: &Store, file: &Path) -> (BundleReport, Vec<u8>) {
    let report = store.export(file, &Quiet).unwrap();
    (report, std::fs::read(file).unwrap())
}

fn file(place: &Place, name: &str) -> PathBuf {
    place.dir.path().join(name)
}

#[test]
fn every_engine_exports_the_same_bytes_and_imports_them_from_every_other() {
    let mut first: Option<(BundleReport, Vec<u8>)> = None;
    for place in places() {
        let (mut writer, store) = place.open().unwrap();
        fill(&mut writer);
        let found = export(&store, &file(&place, "bundle"));
        let (report, bytes) = first.get_or_insert_with(|| found.clone());
        assert_eq!(&found.0, report, "{}", place.scheme);
        assert!(found.1 == *bytes, "{}: other bytes", place.scheme);
    }
    let (report, bytes) = first.unwrap();
    for place in places() {
        let bundle = file(&place, "bundle");
        std::fs::write(&bundle, &bytes).unwrap();
        assert_eq!(import(&place, &bundle).unwrap().bundle, report, "{}", place.scheme);
        let (mut writer, store) = place.open().unwrap();
        let view = store.view().unwrap();
        assert_eq!(store.digest(&view).unwrap(), report.manifest.digest, "{}", place.scheme);
        assert_eq!(*view.header(), report.manifest.header(view.header().durability));
        assert_eq!(store.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{}", place.scheme);
        drop(view);
        assert!(export(&store, &file(&place, "again")).1 == bytes, "{}: other bytes", place.scheme);
        let receipt = put(&mut writer, &[(b"next", b"1")]);
        assert_eq!((receipt.beat.0, receipt.commit.0), (14, 14), "{}", place.scheme);
        drop((writer, store));
        let taken = persist::open_with(&place.url(), &place.options).unwrap();
        let again = taken.import(&bundle, &place.request(), &BundleLimits::default(), &Quiet);
        fails(again, ErrorKind::Conflict, &["a store exists"]);
    }
}

/// The names of all files below a directory that hold these bytes.
pub fn files_with(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                return files_with(&path, bytes);
            }
            let found = std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes);
            if found { vec![path] } else { Vec::new() }
        })
        .collect()
}

#[test]
fn layers_are_taken_off_and_those_of_the_new_store_put_on() {
    let plainly = b"as plain as can be, again and again";
    let ring = |byte| Arc::new(KeyRing::new().with(KeyId(1), SecretKey::new([byte; 32])));
    let filled = |place: &Place, request: &Request, options: &Options| {
        let (mut writer, store) =
            persist::open_with(&place.url(), options).unwrap().negotiate(request).unwrap();
        fill(&mut writer);
        put(&mut writer, &[(b"word", plainly)]);
        export(&store, &file(place, "bundle")).1
    };
    let Some(plain) = durable_places().pop() else { return };
    let bytes = filled(&plain, &default_request(), &plain.options);
    assert!(!files_with(&plain.dir.path().join("home"), plainly).is_empty());
    let stacks = [
        compressed(default_request()),
        encrypted(default_request()),
        encrypted(compressed(default_request())),
    ];
    for (n, place) in (0_u8..).zip(durable_places()) {
        let (request, options) = (&stacks[usize::from(n) % 3], place.options.clone().keys(ring(n)));
        assert!(filled(&place, request, &options) == bytes, "{}: other bytes", place.scheme);
        // And a store of other layers and keys is made of it.
        for (m, target) in (7_u8..).zip(durable_places()) {
            let (bundle, request) = (file(&place, "bundle"), &stacks[2 - usize::from(n) % 2]);
            let opened = persist::open_with(&target.url(), &target.options).unwrap();
            let keyless = opened.import(&bundle, request, &BundleLimits::default(), &Quiet);
            fails(keyless, ErrorKind::Refused, &["AEAD"]);
            assert!(!Path::new(&target.path()).exists());
            let options = target.options.clone().keys(ring(m));
            let opened = persist::open_with(&target.url(), &options).unwrap();
            opened.import(&bundle, request, &BundleLimits::default(), &Quiet).unwrap();
            assert!(files_with(Path::new(&target.path()), plainly).is_empty(), "{}", target.scheme);
            let wrong = persist::open_with(&target.url(), &target.options.clone().keys(ring(99))).unwrap();
            fails(wrong.negotiate(request).map_err(Into::into), ErrorKind::Refused, &["key 1"]);
            let (_writer, store) =
                persist::open_with(&target.url(), &options).unwrap().negotiate(request).unwrap();
            assert_eq!(store.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0);
            assert!(export(&store, &file(&target, "again")).1 == bytes, "{}: other bytes", target.scheme);
        }
    }
}

#[test]
fn an_imported_store_has_nothing_left_to_replay() {
    let Some(place) = durable_places().into_iter().find(|place| place.scheme == "flatfile") else { return };
    let (mut writer, store) = place.open().unwrap();
    fill(&mut writer);
    let bundle = file(&place, "bundle");
    export(&store, &bundle);
    let target = Place { dir: tempfile::tempdir().unwrap(), ..place };
    import(&target, &bundle).unwrap();
    let (_writer, store) = target.open().unwrap();
    let figures = store.stats().unwrap().engine.engine;
    let figure = |name| figures.iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!((figure("recovered_frames"), figure("runs")), (0, 1));
}

#[test]
fn an_engine_with_short_keys_refuses_before_anything_is_made() {
    let places = durable_places();
    let (Some(from), Some(lmdb)) = (
        places.iter().find(|place| place.scheme == "flatfile"),
        places.iter().find(|place| place.scheme == "lmdb"),
    ) else {
        return;
    };
    let (mut writer, store) = from.open().unwrap();
    put(&mut writer, &[(&[b'k'; 600], b"1")]);
    let bundle = file(from, "bundle");
    export(&store, &bundle);
    fails(import(lmdb, &bundle), ErrorKind::TooLarge, &["key", "510"]);
    assert!(!Path::new(&lmdb.path()).exists());
}

#[test]
fn a_damaged_bundle_makes_nothing_on_any_engine() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        fill(&mut writer);
        let bundle = file(&place, "bundle");
        let (_, mut bytes) = export(&store, &bundle);
        drop((writer, store));
        let target = Place { dir: tempfile::tempdir().unwrap(), ..place };
        for at in (0..bytes.len()).step_by(bytes.len() / 40) {
            bytes[at] ^= 0x10;
            std::fs::write(&bundle, &bytes).unwrap();
            import(&target, &bundle).unwrap_err();
            assert!(!Path::new(&target.path()).exists(), "{}", target.scheme);
            bytes[at] ^= 0x10;
        }
        std::fs::write(&bundle, &bytes).unwrap();
        import(&target, &bundle).unwrap();
    }
}

/// A writer that commits beats whose records belong together, with a blob that each of them names.
fn keep_writing(writer: &mut Writer, home: &Path, stop: &AtomicBool) -> u64 {
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let bytes = round.to_le_bytes();
        put_blob(home, &bytes);
        put(
            writer,
            &[
                (b"a", &bytes),
                (b"b", &bytes),
                (&[b"n".as_slice(), &bytes].concat(), blake3::hash(&bytes).as_bytes()),
            ],
        );
    }
    round
}

/// Stops the writer, also when a check fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a copy of such a store must show: one beat whole, and every blob that it names.
fn is_whole(store: &Store) {
    let view = store.view().unwrap();
    let a = view.get(b"a").unwrap().unwrap().to_vec();
    assert_eq!(view.get(b"b").unwrap().as_deref(), Some(a.as_slice()));
    let beat = u64::from_le_bytes(a.try_into().unwrap());
    assert_eq!(view.header().beat.0, beat);
    for round in 1..=beat {
        let key = [b"n".as_slice(), &round.to_le_bytes()].concat();
        let hash = blake3::Hash::from_slice(&view.get(&key).unwrap().unwrap()).unwrap().to_hex();
        let blob = store.home().unwrap().join("cas").join(&hash[..2]).join(format!("{hash}.blob"));
        assert_eq!(std::fs::read(blob).unwrap(), round.to_le_bytes());
    }
}

#[test]
fn backups_and_bundles_under_a_writer_show_one_beat_with_its_blobs() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        put_blob(Path::new(&place.path()), &1_u64.to_le_bytes());
        let stop = AtomicBool::new(false);
        let home = PathBuf::from(place.path());
        let written = std::thread::scope(|scope| {
            let writing = scope.spawn(|| keep_writing(&mut writer, &home, &stop));
            let stopping = Stop(&stop);
            while store.view().unwrap().header().beat.0 < 3 {
                std::thread::yield_now();
            }
            for n in 0..3 {
                store.backup(&file(&place, &format!("backup-{n}")), &Quiet).unwrap();
                store.export(&file(&place, &format!("bundle-{n}")), &Quiet).unwrap();
            }
            drop(stopping);
            writing.join().unwrap()
        });
        assert!(written >= 3);
        for n in 0..3 {
            let open = |path: PathBuf| persist::open_with(path.to_str().unwrap(), &place.options).unwrap();
            let (_writer, backup) =
                open(file(&place, &format!("backup-{n}"))).negotiate(&default_request()).unwrap();
            is_whole(&backup);
            let url = format!("{}:{}", place.scheme, file(&place, &format!("copy-{n}")).display());
            let opened = persist::open_with(&url, &place.options).unwrap();
            let bundle = file(&place, &format!("bundle-{n}"));
            opened.import(&bundle, &default_request(), &BundleLimits::default(), &Quiet).unwrap();
            let (_writer, copy) =
                open(file(&place, &format!("copy-{n}"))).negotiate(&default_request()).unwrap();
            is_whole(&copy);
        }
    }
}

#[cfg(feature = "flatfile")]
mod simulated {
    use super::*;
    use persist::Driver;
    use persist_flatfile::FlatfileDriver;

    fn options(disk: &SimDisk) -> Options {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let driver: Arc<dyn Driver> = Arc::new(FlatfileDriver::new(Arc::clone(&disk)));
        Options::default().disk(disk).driver(driver)
    }

    fn import(disk: &SimDisk) -> Result<ImportReport> {
        let opened = persist::open_with("flatfile:/copy", &options(disk))?;
        opened.import(Path::new("/bundle"), &default_request(), &BundleLimits::default(), &Quiet)
    }

    /// A bundle at rest on a disk in memory.
    fn bundle() -> (SimDisk, BundleReport) {
        let place = places().into_iter().find(|place| place.scheme == "memory").unwrap();
        let (mut writer, store) = place.open().unwrap();
        put(&mut writer, &[(b"a", b"1"), (b"b", &[3; 3000]), (b"", b"")]);
        put(&mut writer, &[(b"c", b"2")]);
        let bundle = file(&place, "bundle");
        let (report, bytes) = export(&store, &bundle);
        let disk = SimDisk::new(5);
        assert!(disk.put("/bundle", &bytes));
        assert_eq!(read_bundle(&RealDisk, &bundle, &BundleLimits::default(), &Quiet).unwrap(), report);
        (disk, report)
    }

    /// There is no store on the disk, or the whole one; and where there is none, the same import makes it.
    fn judge(disk: &SimDisk, report: &BundleReport, at: &str) -> bool {
        let stamp = Stamp::read(disk, Path::new("/copy")).unwrap_or_else(|error| panic!("{at}: {error}"));
        let ready = stamp.is_some_and(|stamp| stamp.state == StampState::Ready);
        if !ready {
            let opened = persist::open_with("/copy", &options(disk));
            let opened = opened.and_then(|opened| opened.negotiate(&default_request()).map_err(Into::into));
            assert!(opened.is_err(), "{at}: a store without its last stamp");
            let done = import(disk).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(done.bundle, *report, "{at}");
        }
        let opened = persist::open_with("/copy", &options(disk)).unwrap();
        let (_writer, store) =
            opened.negotiate(&default_request()).unwrap_or_else(|error| panic!("{at}: {error}"));
        let view = store.view().unwrap();
        assert_eq!(store.digest(&view).unwrap(), report.manifest.digest, "{at}");
        assert_eq!(view.header().beat, report.manifest.beat, "{at}");
        ready
    }

    #[test]
    fn a_power_cut_or_a_kill_anywhere_in_an_import_leaves_no_store_or_the_whole_one() {
        let (disk, report) = bundle();
        disk.keep_cut_points();
        import(&disk).unwrap();
        let cuts = disk.cut_points();
        assert!(cuts.len() > 40, "{}", cuts.len());
        let (mut none, mut whole) = (0, 0);
        for (n, point) in cuts.iter().enumerate() {
            let cut = point.cut(7);
            let seeds = (0..4).map(Crash::Random);
            for crash in [Crash::Nothing, Crash::Everything].into_iter().chain(seeds) {
                let ready = judge(&cut.image(&crash), &report, &format!("cut {n}, {crash:?}"));
                if ready { whole += 1 } else { none += 1 }
            }
            judge(&point.killed(7), &report, &format!("killed at {n}"));
        }
        assert!(none > 100 && whole > 0, "{none} {whole}");
    }
}
