//! Damage under a large value names the beat that wrote it, wherever the record lies and however it is read.

use std::ops::ControlFlow;

use persist_api::{BeatNo, Engine, Error, ErrorKind, Quiet, Scan, Severity};
use persist_io::{Disk, FileMode, RealDisk};
use tempfile::TempDir;

use crate::feed::{opened, put};

/// Turns one bit in the middle of every stored copy of a value of a thousand equal bytes.
fn damage(dir: &TempDir, value: u8) {
    let mut found = 0;
    for entry in std::fs::read_dir(dir.path().join("home")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if let Some(at) = bytes.windows(1000).position(|part| part == [value; 1000]) {
            let file = RealDisk.open(&path, FileMode::Write).unwrap();
            file.write_at(at as u64 + 500, &[value ^ 1]).unwrap();
            found += 1;
        }
    }
    assert_eq!(found, 1);
}

fn close(engine: Box<dyn Engine>) {
    engine.close().map_err(|(_, error)| error).unwrap();
}

fn told(error: &Error, beat: u64) {
    assert_eq!((error.kind(), error.beat()), (ErrorKind::Corrupt, Some(BeatNo(beat))), "{error}");
    assert!(error.path().is_some() && error.context().contains("offset"), "{error}");
}

fn every_read_tells(engine: &dyn Engine, beat: u64) {
    let view = engine.view().unwrap();
    told(&view.get_record(b"key").unwrap_err(), beat);
    told(&view.scan(Scan::all(), &mut |_, _| ControlFlow::Continue(())).unwrap_err(), beat);
    let mut cursor = view.cursor(Scan::all()).unwrap();
    told(&cursor.advance().unwrap_err(), beat);
    let mut places = Vec::new();
    let verified = engine.verify(
        &mut |finding| {
            if finding.severity == Severity::Damage {
                places.push(finding.place);
            }
        },
        &Quiet,
    );
    verified.unwrap();
    assert!(places.iter().any(|place| place.ends_with(&format!(", beat {beat}"))), "{places:?}");
}

#[test]
fn a_damaged_value_of_a_record_in_memory_names_its_beat() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    put(&*engine, b"small");
    put(&*engine, &[7; 1000]);
    close(engine);
    damage(&dir, 7);
    let engine = opened(&dir);
    every_read_tells(&*engine, 2);
    told(&engine.feed(BeatNo(0), &mut |_| ControlFlow::Continue(())).unwrap_err(), 2);
}

#[test]
fn a_damaged_value_of_a_record_in_a_run_names_its_beat() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    put(&*engine, b"small");
    put(&*engine, &[7; 1000]);
    engine.checkpoint().unwrap();
    close(engine);
    damage(&dir, 7);
    every_read_tells(&*opened(&dir), 2);
}
