//! A full disk and a torn tail: the store opens, what it holds can be read and compacted, and what is torn is kept: where it is, and in
//! `damaged/` once there is room.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use persist_api::{
    BeatHeader, CompactScope, Driver, Durability, Engine, Error, ErrorKind, Quiet, Result, Scan,
};
use persist_flatfile::FlatfileDriver;
use persist_io::sim::{Crash, SimDisk};
use persist_io::{Call, Disk, FileMode, Intercept, Intercepted, PassOn};

const HOME: &str = "/home";

/// What there is no room for in `damaged/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// The directory itself.
    Dir,
    /// One more file.
    File,
    /// The bytes of a file.
    Bytes,
}

#[derive(Default)]
struct Room {
    lack: Mutex<Option<Lack>>,
    refused: Mutex<u32>,
}

impl Intercept for Room {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let inside = path.parent().is_some_and(|parent| parent.ends_with("damaged"));
        let (refused, why) = match *self.lack.lock() {
            Some(Lack::Dir) => {
                let creates = matches!(call, Call::CreateDir) && path.ends_with("damaged");
                (creates, std::io::ErrorKind::StorageFull)
            }
            Some(Lack::File) => {
                let creates = matches!(call, Call::Open(FileMode::CreateNew | FileMode::OpenOrCreate));
                (creates && inside, std::io::ErrorKind::QuotaExceeded)
            }
            Some(Lack::Bytes) => {
                (matches!(call, Call::WriteAt { .. }) && inside, std::io::ErrorKind::StorageFull)
            }
            None => (false, std::io::ErrorKind::Other),
        };
        if refused {
            *self.refused.lock() += 1;
            return Err(Error::io("write_file", path, why.into()));
        }
        pass_on()
    }
}

struct Store {
    sim: SimDisk,
    room: Arc<Room>,
}

fn file(name: &str) -> PathBuf {
    Path::new(HOME).join(name)
}

fn put(engine: &dyn Engine, key: &str, durability: Durability) -> Result<()> {
    let last: BeatHeader = *engine.view()?.header();
    let mut beat = engine.begin_beat(last.next(1, durability, None)?)?;
    beat.put_record(key.as_bytes(), b"value")?;
    beat.commit_beat().map(drop)
}

fn keys(engine: &dyn Engine) -> Vec<String> {
    let mut keys = Vec::new();
    let view = engine.view().unwrap();
    view.scan(Scan::all(), &mut |key, _| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    keys
}

impl Store {
    fn open(&self) -> Box<dyn Engine> {
        let disk: Intercepted<_, Room> = Intercepted::new(self.sim.clone(), Arc::clone(&self.room));
        FlatfileDriver::new(Arc::new(disk)).open(Path::new(HOME), &super::tiny::options(), &Quiet).unwrap()
    }

    /// What a killed process leaves that had written one durable beat and then three that do not verify from the first on; with `begin`
    /// at the beginning of a segment. Answers the name of the segment too.
    fn torn(begin: bool, lack: Lack) -> (Self, &'static str) {
        let mut store = Self { sim: SimDisk::new(1), room: Arc::default() };
        let engine = store.open();
        put(&*engine, "k1", Durability::Durable).unwrap();
        if begin {
            engine.checkpoint().unwrap();
        }
        for key in ["k2", "k3", "k4"] {
            put(&*engine, key, Durability::Buffered).unwrap();
        }
        // On the disk, but no frame says so.
        engine.sync().unwrap();
        drop(engine);
        let name = if begin { "branch.idx.00000002" } else { "branch.idx.00000001" };
        store.sim = store.sim.killed();
        let bytes = store.bytes(name);
        let at = bytes.windows(2).position(|two| two == b"k2").unwrap() as u64;
        assert!(store.sim.flip(file(name), at * 8));
        *store.room.lack.lock() = Some(lack);
        (store, name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.sim.bytes(file(name)).unwrap_or_default()
    }

    /// The bytes in `damaged/`, by name.
    fn aside(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.sim.files().into_iter().filter(|(path, _)| path.starts_with(file("damaged")));
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.map(|(path, _)| (name(&path), self.sim.bytes(&path).unwrap())).collect()
    }
}

fn figure(engine: &dyn Engine, name: &str) -> u64 {
    engine.stats().unwrap().engine.iter().find(|(other, _)| *other == name).unwrap().1
}

/// The torn bytes, or the whole segment as it was.
fn is_kept(name: &str, bytes: &[u8], whole: &[u8]) -> bool {
    let from = name.strip_prefix("branch.idx.00000001").unwrap();
    let from = from.strip_prefix(".from-").map_or(0, |from| from.parse::<usize>().unwrap());
    let rest = whole[from..].strip_prefix(bytes);
    bytes.windows(2).any(|two| two == b"k3") && rest.is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

#[test]
fn without_room_for_a_copy_of_torn_bytes_the_store_goes_on_and_they_stay() {
    for lack in [Lack::Dir, Lack::File, Lack::Bytes] {
        for how in ["the same engine", "another engine", "a power cut"] {
            let (mut store, segment) = Store::torn(false, lack);
            let whole = store.bytes(segment);
            let mut engine = store.open();
            assert_eq!(keys(&*engine), ["k1"], "{lack:?}");
            assert_eq!(figure(&*engine, "recovered_notes"), 1, "the copy that is missing");
            // What is written goes elsewhere, and when its frames are in runs the segment does not go.
            put(&*engine, "k5", Durability::Durable).unwrap();
            engine.checkpoint().unwrap();
            put(&*engine, "k6", Durability::Durable).unwrap();
            engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
            assert_eq!(
                (keys(&*engine), figure(&*engine, "runs")),
                (vec!["k1".into(), "k5".into(), "k6".into()], 1)
            );
            assert!(store.bytes(segment) == whole && store.aside().is_empty(), "{lack:?}");
            if how != "the same engine" {
                drop(engine);
                if how == "a power cut" {
                    store.sim = store.sim.crash_image(&Crash::Nothing);
                }
                engine = store.open();
                assert_eq!(keys(&*engine), ["k1", "k5", "k6"], "{lack:?}, {how}");
                let stayed = store.bytes(segment) == whole && store.aside().is_empty();
                assert!(stayed || store.aside() == [(segment.to_owned(), whole.clone())], "{lack:?}, {how}");
            }
            assert!(*store.room.refused.lock() >= 2, "{lack:?}");
            *store.room.lack.lock() = None;
            if how != "the same engine" {
                drop(engine);
                engine = store.open();
            }
            put(&*engine, "k7", Durability::Durable).unwrap();
            engine.checkpoint().unwrap();
            assert_eq!(keys(&*engine), ["k1", "k5", "k6", "k7"], "{lack:?}, {how}");
            let aside = store.aside();
            let [(name, copy)] = &aside[..] else { panic!("{lack:?}, {how}: {} files", aside.len()) };
            assert!(is_kept(name, copy, &whole), "{lack:?}, {how}: {name}");
            assert_eq!(store.bytes(segment), [], "{lack:?}, {how}");
        }
    }
}

#[test]
fn without_room_to_move_a_torn_segment_the_store_is_read_and_writing_waits() {
    for reopened in [false, true] {
        let (store, segment) = Store::torn(true, Lack::Dir);
        let whole = store.bytes(segment);
        for _ in 0..2 {
            let engine = store.open();
            assert_eq!(keys(&*engine), ["k1"]);
            for _ in 0..2 {
                let error = put(&*engine, "k5", Durability::Durable).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert!(error.to_string().contains("damaged"), "{error}");
            }
            engine.checkpoint().unwrap();
            engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
            assert_eq!((keys(&*engine), figure(&*engine, "poisoned")), (vec!["k1".to_owned()], 0));
            engine.close().map_err(|(_, error)| error).unwrap();
            assert!(store.bytes(segment) == whole, "nothing is changed");
        }
        let mut engine = store.open();
        *store.room.lack.lock() = None;
        if reopened {
            drop(engine);
            engine = store.open();
        }
        put(&*engine, "k5", Durability::Durable).unwrap();
        assert_eq!(keys(&*engine), ["k1", "k5"]);
        assert!(store.aside() == [(segment.to_owned(), whole)], "moved as it was");
        drop(engine);
        assert_eq!(keys(&*store.open()), ["k1", "k5"]);
    }
}

#[test]
fn what_was_dropped_and_had_to_stay_is_never_read_again() {
    for lack in [Lack::Dir, Lack::File, Lack::Bytes] {
        let (mut store, segment) = Store::torn(false, lack);
        let whole = store.bytes(segment);
        let mut expected = vec!["k1".to_owned()];
        for round in 0..4 {
            let engine = store.open();
            assert_eq!(keys(&*engine), expected, "{lack:?}, opening {round}");
            if round % 2 == 0 {
                // The next opening finds a segment behind the torn one, which says that all before it is in runs.
                for (n, ends) in [(5, true), (6, false)] {
                    let key = format!("r{round} k{n}");
                    put(&*engine, &key, Durability::Durable).unwrap();
                    expected.push(key);
                    if ends {
                        engine.checkpoint().unwrap();
                    }
                }
            } else {
                // Nor is that one there any more.
                engine.checkpoint().unwrap();
            }
            assert_eq!(keys(&*engine), expected, "{lack:?}, opening {round}");
            if round == 0 {
                drop(engine);
                store.sim = store.sim.killed();
            } else {
                engine.close().map_err(|(_, error)| error).unwrap();
            }
            let stayed = store.bytes(segment) == whole && store.aside().is_empty();
            assert!(
                stayed || store.aside() == [(segment.to_owned(), whole.clone())],
                "{lack:?}, opening {round}"
            );
        }
        *store.room.lack.lock() = None;
        let engine = store.open();
        assert_eq!(keys(&*engine), expected, "{lack:?}");
        assert_eq!(engine.view().unwrap().header().beat.0, 5, "{lack:?}");
        assert_eq!(store.bytes(segment), [], "{lack:?}");
        let aside = store.aside();
        let [(name, copy)] = &aside[..] else { panic!("{lack:?}: {} files", aside.len()) };
        assert!(is_kept(name, copy, &whole), "{lack:?}: {name}");
    }
}

#[test]
fn copies_of_torn_tails_with_one_name_are_all_kept() {
    let store = Store { sim: SimDisk::new(1), room: Arc::default() };
    let mut kept = Vec::new();
    for (byte, len) in [(0xaa, 3000), (0xbb, 1000), (0xaa, 3001), (0xcc, 5000)] {
        // Nothing but zeros is behind the frames of a store that was closed; what a killed process had begun to write is here.
        let engine = store.open();
        put(&*engine, "key", Durability::Durable).unwrap();
        drop(engine);
        let is_written = |path: &PathBuf| {
            let name = path.strip_prefix(HOME).unwrap().to_str().unwrap();
            name.starts_with("branch.idx") && store.sim.bytes(path).unwrap().iter().any(|byte| *byte != 0)
        };
        let segment = store.sim.files().into_iter().map(|(path, _)| path).filter(is_written);
        let segment = segment.max().unwrap();
        let bytes = store.sim.bytes(&segment).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        let file = store.sim.open(&segment, FileMode::Write).unwrap();
        let rubbish = vec![byte; len];
        file.write_at(end.next_multiple_of(8), &rubbish).unwrap();
        drop(file);
        // The second opening finds no room, and takes no copy of another's away.
        for lack in [None, Some(Lack::Bytes), None] {
            *store.room.lack.lock() = lack;
            let engine = store.open();
            if lack.is_none() {
                engine.checkpoint().unwrap();
            }
            engine.close().map_err(|(_, error)| error).unwrap();
        }
        kept.push(rubbish);
        let copies: Vec<_> = store.aside().into_iter().map(|(_, bytes)| bytes).collect();
        for wanted in &kept {
            assert!(copies.iter().any(|copy| copy.starts_with(wanted)), "{} copies", copies.len());
        }
    }
}
