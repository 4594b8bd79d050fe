//! One writer, many readers, checkpoints and backups at once: nobody ever meets `Busy`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use persist_api::{Durability, Quiet, Scan};

use crate::kit::{Place, commit, open, options, rows, verify};

const BEATS: u64 = 150;
const READERS: usize = 8;
const KEYS: u64 = 40;

#[test]
fn one_writer_eight_readers_and_checkpoints_never_wait_for_locks() {
    let place = Place::new();
    // A small WAL: it starts anew many times.
    let engine = open(&place.home(), &options(&[("wal_bytes", "65536")])).unwrap();
    let engine = engine.as_ref();
    let over = AtomicBool::new(false);
    let committed = AtomicU64::new(0);
    let views = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for beat in 1..=BEATS {
                let level = if beat % 3 == 0 { Durability::Durable } else { Durability::Buffered };
                let receipt = commit(engine, level, |open| {
                    (0..KEYS).try_for_each(|key| {
                        let long = if key % 10 == 0 { 2000 } else { 20 };
                        let value = [beat.to_be_bytes().as_slice(), &vec![1; long]].concat();
                        open.put_record(&key.to_be_bytes(), &value)
                    })
                });
                committed.store(receipt.unwrap().header.beat.0, Ordering::SeqCst);
            }
            over.store(true, Ordering::SeqCst);
        });
        for _ in 0..READERS {
            scope.spawn(|| {
                // At least once each, however late the thread gets its turn.
                let mut last = false;
                while !last {
                    last = over.load(Ordering::SeqCst);
                    let floor = committed.load(Ordering::SeqCst);
                    let view = engine.view().unwrap();
                    let beat = view.header().beat.0;
                    assert!(beat >= floor, "beat {beat} in view after {floor} was committed");
                    for (_, value) in rows(view.as_ref(), Scan::all()) {
                        assert_eq!(value[..8], beat.to_be_bytes());
                    }
                    views.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                engine.checkpoint().unwrap();
                engine.sync().unwrap();
            }
        });
        scope.spawn(|| {
            for at in 0..3 {
                engine.backup(&place.other(&format!("copy {at}")), &Quiet).unwrap();
            }
        });
    });
    assert!(views.load(Ordering::Relaxed) >= READERS as u64);
    assert_eq!(verify(engine).1, []);
    for at in 0..3 {
        let copy = open(&place.other(&format!("copy {at}")), &persist_api::OpenOptions::default()).unwrap();
        assert_eq!(verify(copy.as_ref()).1, []);
        let view = copy.view().unwrap();
        let beat = view.header().beat.0;
        assert!(rows(view.as_ref(), Scan::all()).iter().all(|(_, value)| value[..8] == beat.to_be_bytes()));
    }
}

#[test]
fn the_wal_stays_bounded_unless_a_view_holds_it() {
    let place = Place::new();
    let limit = 256 << 10;
    let engine = open(&place.home(), &options(&[("wal_bytes", &limit.to_string())])).unwrap();
    let wal = || {
        let stats = engine.stats().unwrap();
        stats.engine.iter().find(|(name, _)| *name == "wal_bytes").unwrap().1
    };
    let write = |beats: u32| {
        for beat in 0..beats {
            commit(engine.as_ref(), Durability::Buffered, |open| {
                open.put_record(&beat.to_be_bytes(), &[9; 3000])
            })
            .unwrap();
        }
    };
    write(300);
    assert!(wal() < 3 * limit, "{} bytes", wal());
    let view = engine.view().unwrap();
    write(300);
    assert!(wal() > 3 * limit, "a view holds the WAL, yet it has {} bytes", wal());
    let stats = engine.stats().unwrap();
    assert_eq!(stats.oldest_view_beat, Some(view.header().beat));
    drop(view);
    write(300);
    assert!(wal() < 3 * limit, "{} bytes after the view", wal());
}
