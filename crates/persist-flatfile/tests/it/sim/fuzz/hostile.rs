//! Bytes that verify and were never written: by somebody who means harm. What is shown of them may be anything, for nobody knows what
//! would be right; but nothing panics, nothing grows, and what is refused is refused in so many words.

use std::ops::ControlFlow;
use std::sync::Arc;

use persist_api::{
    BeatNo, CompactScope, Durability, Engine, Error, ErrorKind, OpenOptions, Quiet, Result, Scan, View,
};
use persist_flatfile::doctor::{Losses, examine, repair};
use persist_io::Disk;
use persist_io::sim::SimDisk;

use super::super::store::{HISTORY, HOME, close, open_at, open_with, options};

/// More than a store of these files takes, and little enough that an offset from nowhere makes no large file.
const ROOM: u64 = 16 << 20;
/// Bytes of values that a scan looks at: one value may be named over and over.
const VALUES_MAX: usize = 8 << 20;
/// Keys that are asked for by themselves.
const KEYS: usize = 24;

fn bytes_on(disk: &SimDisk) -> u64 {
    disk.files().iter().map(|(_, len)| len).sum()
}

/// An error must say what is wrong with the store, not with its caller.
fn fair<T>(done: Result<T>) -> Option<T> {
    use ErrorKind::{Corrupt, Full, Io, Mismatch, Poisoned, Stale};
    done.map_err(|error: Error| {
        let kinds = [Corrupt, Mismatch, Full, Poisoned, Stale, Io];
        assert!(kinds.contains(&error.kind()) && !error.context().is_empty(), "{:?}: {error}", error.kind());
    })
    .ok()
}

/// Opens the store, reads it, writes to it and closes it, twice; asks the doctor; with a feed and without.
pub(super) fn survives(disk: &SimDisk) {
    disk.limit_space(Some(bytes_on(disk) + ROOM));
    ask_the_doctor(&disk.killed());
    let feed = OpenOptions { keep_feed: true, ..options() };
    if let Some(engine) = fair(open_with(disk.killed(), HOME, &feed)) {
        let mut items = 0;
        fair(engine.feed(BeatNo(0), &mut |_| {
            items += 1;
            assert!(items <= 2 * bytes_on(disk), "a feed that does not end");
            ControlFlow::Continue(())
        }));
    }
    for _ in 0..2 {
        if let Some(engine) = fair(open_at(disk.clone(), HOME)) {
            used(disk, engine);
        }
    }
}

fn ask_the_doctor(disk: &SimDisk) {
    fair(examine(disk, HOME.as_ref(), &Quiet));
    for losses in [Losses::Keep, Losses::GiveUp] {
        let copy: Arc<dyn Disk> = Arc::new(disk.killed());
        fair(repair(&copy, HOME.as_ref(), losses, &[], &Quiet));
    }
}

fn used(disk: &SimDisk, engine: Box<dyn Engine>) {
    fair(engine.stats());
    fair(engine.verify(&mut |_| (), &Quiet));
    looked_at(disk, &*engine);
    written_to(&*engine);
    fair(engine.checkpoint());
    looked_at(disk, &*engine);
    fair(engine.compact(CompactScope { keep_beats: 0 }, &Quiet));
    looked_at(disk, &*engine);
    fair(close(engine));
}

fn written_to(engine: &dyn Engine) {
    let Some(view) = fair(engine.view()) else { return };
    // There is no beat behind the last number that there is.
    let Ok(next) = view.header().next(1, Durability::Durable, None) else { return };
    drop(view);
    let Some(mut beat) = fair(engine.begin_beat(next)) else { return };
    let done = beat
        .put_record(b"k00", b"anew")
        .and_then(|()| beat.delete_record(b"k01"))
        .and_then(|()| beat.put_record(b"k02", &[7; 300]));
    if fair(done).is_some() {
        fair(beat.commit_beat());
    }
}

fn looked_at(disk: &SimDisk, engine: &dyn Engine) {
    let Some(view) = fair(engine.view()) else { return };
    read(disk, &*view);
    let newest = view.header().beat.0;
    for back in 1..=HISTORY + 1 {
        if let Some(view) = newest.checked_sub(back).and_then(|beat| fair(engine.view_at(BeatNo(beat)))) {
            read(disk, &*view);
        }
    }
}

fn read(disk: &SimDisk, view: &dyn View) {
    // A row takes a byte at least, wherever it lies.
    let rows_max = usize::try_from(bytes_on(disk)).unwrap();
    let mut keys = Vec::new();
    for scan in [Scan::all(), Scan::all().reverse()] {
        let (mut rows, mut bytes) = (0, 0);
        fair(view.scan(scan, &mut |key, value| {
            rows += 1;
            bytes += value.len();
            assert!(rows <= rows_max, "a scan that does not end");
            if keys.len() < KEYS {
                keys.push(key.to_vec());
            }
            if bytes < VALUES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }));
    }
    keys.extend((0..4).map(|n| format!("k{n:02}").into_bytes()));
    for key in &keys {
        fair(view.get_record(key));
    }
    for scan in [Scan::all(), Scan::all().reverse()] {
        let Some(mut cursor) = fair(view.cursor(scan)) else { continue };
        fair(cursor.advance());
        for key in keys.iter().step_by(3) {
            if fair(cursor.seek(key)) == Some(true) {
                fair(cursor.advance());
            }
        }
    }
}
