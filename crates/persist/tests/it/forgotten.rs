//! A forgotten view on real files: what it makes an engine keep, and that its recall ends that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use persist::{
    BeatLog, Clock, CompactScope, Durability, ErrorKind, OpenOptions, Quiet, Store, ViewOptions, Writer,
};

use crate::kit::{Place, durable_places, fails};

const ROWS: u64 = 64;
const VALUE_BYTES: usize = 1024;
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct HandClock(Mutex<Duration>);

impl Clock for HandClock {
    fn now(&self) -> Duration {
        *self.0.lock()
    }
}

struct Running {
    writer: Writer,
    store: Store,
    clock: Arc<HandClock>,
    beats: u64,
}

fn open(place: &Place, age_max: Option<Duration>) -> Running {
    let clock = Arc::new(HandClock::default());
    let mut options = place.options.clone();
    let knobs: &[(&str, &str)] = match place.scheme {
        "sqlite" => &[("wal_bytes", "65536")],
        "flatfile" => &[("history_beats", "0")],
        _ => &[],
    };
    options.engine = OpenOptions {
        knobs: knobs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..options.engine
    };
    let opened = persist::open_with(&place.url(), &options).unwrap().with_clock(clock.clone());
    let (writer, store) = opened.negotiate(&place.request()).unwrap();
    store.set_view_options(ViewOptions { age_max });
    let mut running = Running { writer, store, clock, beats: 0 };
    running.rewrite(1);
    running
}

impl Running {
    /// So many beats, each with new values for the same keys.
    fn rewrite(&mut self, beats: u64) {
        for _ in 0..beats {
            self.beats += 1;
            let mut log = BeatLog::new();
            for row in 0..ROWS {
                let mut value = Vec::new();
                while value.len() < VALUE_BYTES {
                    let mixed = (self.beats << 32 | row << 16 | value.len() as u64)
                        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    value.extend_from_slice(&mixed.to_le_bytes());
                }
                log.put(&row.to_be_bytes(), &value).unwrap();
            }
            self.writer.commit(&log, Durability::Buffered).unwrap();
        }
    }

    fn bytes(&self) -> u64 {
        self.store.stats().unwrap().engine.bytes_on_disk
    }

    fn compacted(&self) -> u64 {
        self.store.compact(CompactScope::default(), &Quiet).unwrap();
        self.bytes()
    }
}

/// Sizes with a view that was forgotten before the first of 20 beats: after them, and after 60 more, before which its time
/// was up if it had a limit.
fn growth(place: &Place, age_max: Option<Duration>) -> (u64, u64) {
    let mut running = open(place, age_max);
    let view = running.store.view().unwrap();
    running.rewrite(20);
    let held = running.bytes();
    *running.clock.0.lock() += LIMIT;
    running.rewrite(60);
    let end = running.bytes();
    assert_eq!(running.store.stats().unwrap().engine.views_open, u64::from(age_max.is_none()));
    if age_max.is_some() {
        fails(view.get(b"x"), ErrorKind::Stale, &[]);
    } else {
        assert!(view.get(&0_u64.to_be_bytes()).unwrap().is_some());
    }
    (held, end)
}

/// SQLite's log and LMDB's file grow with every beat while a view is held, and stop when it is recalled.
#[test]
fn the_log_of_sqlite_and_the_file_of_lmdb_stop_growing() {
    for (with, without) in durable_places().into_iter().zip(durable_places()) {
        if !["sqlite", "lmdb"].contains(&with.scheme) {
            continue;
        }
        let (held, end) = growth(&with, Some(LIMIT));
        let (held_alike, grown) = growth(&without, None);
        assert_eq!(held, held_alike, "{}", with.scheme);
        assert!(end <= held + held / 4, "{}: {held} bytes at the recall, {end} later", with.scheme);
        assert!(grown >= held * 2, "{}: {held} bytes, {grown} later without a recall", with.scheme);
    }
}

/// RocksDB keeps what a view sees through every compaction; after the recall the next one drops it.
#[test]
fn rocksdb_drops_what_only_a_recalled_view_saw() {
    for place in durable_places().iter().filter(|place| place.scheme == "rocksdb") {
        let mut running = open(place, Some(LIMIT));
        let _view = running.store.view().unwrap();
        running.rewrite(3);
        let held = running.compacted();
        *running.clock.0.lock() += LIMIT;
        let dropped = running.compacted();
        assert!(
            held >= dropped + ROWS * VALUE_BYTES as u64 * 3 / 4,
            "{held} held, {dropped} after the recall"
        );
    }
}

/// Files of flatfile that were replaced stay mapped while a view needs them.
#[cfg(target_os = "linux")]
#[test]
fn flatfile_lets_go_of_removed_files() {
    for place in durable_places().iter().filter(|place| place.scheme == "flatfile") {
        let mut running = open(place, Some(LIMIT));
        running.rewrite(3);
        running.compacted();
        let _view = running.store.view().unwrap();
        running.rewrite(3);
        running.compacted();
        assert!(removed_but_mapped(place.dir.path()) > 0);
        *running.clock.0.lock() += LIMIT;
        running.rewrite(1);
        assert_eq!(removed_but_mapped(place.dir.path()), 0);
    }
}

/// How many removed files below a directory this process still maps.
#[cfg(target_os = "linux")]
fn removed_but_mapped(dir: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let below = dir.to_str().unwrap();
    maps.lines().filter(|line| line.contains(below) && line.ends_with("(deleted)")).count()
}

/// Values that the engine pins, lends or copies, in and beside the views' memory, are the same with and without a limit.
#[test]
fn reads_are_the_same_with_and_without_a_limit() {
    for place in durable_places() {
        let mut running = open(&place, Some(LIMIT));
        let large = vec![7_u8; 300_000];
        let mut log = BeatLog::new();
        log.put(b"large", &large).unwrap();
        log.put(b"empty", b"").unwrap();
        running.writer.commit(&log, Durability::Buffered).unwrap();
        let bound = running.store.view().unwrap();
        running.store.set_view_options(ViewOptions { age_max: None });
        let free = running.store.view().unwrap();
        for key in [b"large".as_slice(), b"empty", b"absent", &0_u64.to_be_bytes()] {
            let (bound, free) = (bound.get(key).unwrap(), free.get(key).unwrap());
            assert_eq!(bound.as_deref(), free.as_deref(), "{}", place.scheme);
            let zero_copy =
                |value: &Option<persist::Value<'_>>| value.as_ref().map(persist::Value::is_zero_copy);
            assert_eq!(zero_copy(&bound), zero_copy(&free), "{}", place.scheme);
        }
        let value = bound.get(b"large").unwrap().unwrap();
        *running.clock.0.lock() += LIMIT;
        running.rewrite(1);
        assert_eq!(*value, *large, "{}: what is held stays", place.scheme);
        drop(value);
        let left = running.store.stats().unwrap();
        assert_eq!((left.views.overdue, left.engine.views_open), (0, 1), "{}", place.scheme);
    }
}
