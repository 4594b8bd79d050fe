//! What is told about damage is true: which file, which beats. And nothing is given up that is there twice.

use std::path::PathBuf;

use persist_api::{BeatHeader, BeatNo, CompactScope, Durability, Engine, ErrorKind, Quiet};
use persist_io::Disk;
use persist_io::sim::explore::Workload;
use persist_io::sim::{Crash, Fault, Op, SimDisk, When};

use super::damage::full;
use super::store::{HOME, close, open_at, open_with, options, read_all};

fn file(name: &str) -> PathBuf {
    PathBuf::from(HOME).join(name)
}

fn header(engine: &dyn Engine) -> BeatHeader {
    *engine.view().unwrap().header()
}

fn put(engine: &dyn Engine, header: BeatHeader, key: &str, value: &str) {
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(key.as_bytes(), value.as_bytes()).unwrap();
    beat.commit_beat().unwrap();
}

fn put_next(engine: &dyn Engine, key: &str, value: &str) {
    put(engine, header(engine).next(1, Durability::Durable, None).unwrap(), key, value);
}

/// Turns over a bit of the first place in a file where these bytes stand.
fn damage(disk: &SimDisk, name: &str, needle: &str) {
    let bytes = disk.bytes(file(name)).unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
    assert!(disk.flip(file(name), at as u64 * 8));
}

/// The error of reading a key that is lost.
fn lost(engine: &dyn Engine, key: &str) -> persist_api::Error {
    let error = engine.view().unwrap().get_record(key.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    error
}

#[test]
fn lost_beats_are_counted_from_those_that_runs_hold() {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    for n in 1..=3 {
        put_next(&*engine, &format!("k{n}"), "in a run");
    }
    engine.checkpoint().unwrap();
    for n in 4..=6 {
        put_next(&*engine, &format!("k{n}"), "in a frame");
    }
    close(engine).unwrap();
    damage(&disk, "branch.idx.00000002", "k4");
    let engine = open_at(disk, HOME).unwrap();
    let error = lost(&*engine, "k4").to_string();
    assert!(error.contains("beats 4 to 4"), "{error}");
}

#[test]
fn what_an_opening_drops_is_counted_in_bytes_frames_and_beats() {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    put_next(&*engine, "k1", "durable");
    for n in 2..=4 {
        let next = header(&*engine).next(1, Durability::Buffered, None).unwrap();
        put(&*engine, next, &format!("k{n}"), "buffered");
    }
    drop(engine);
    let figures = |disk: &SimDisk| {
        let stats = open_at(disk.clone(), HOME).unwrap().stats().unwrap();
        let figure = |name: &str| stats.engine.iter().find(|(other, _)| *other == name).unwrap().1;
        ["recovered_bytes_aside", "recovered_frames_aside", "recovered_beats_aside"].map(figure)
    };
    assert_eq!(figures(&disk.killed()), [0, 0, 0]);
    let disk = disk.killed();
    damage(&disk, "branch.idx.00000001", "k2");
    let [bytes, frames, beats] = figures(&disk);
    let aside = disk.bytes(file("damaged/branch.idx.00000001.from-232")).unwrap();
    assert_eq!((bytes, frames, beats), (aside.len() as u64, 3, 3), "k2, and k3 and k4 behind it");
}

#[test]
fn a_missing_file_is_named() {
    let store = full();
    let disk = SimDisk::new(1);
    store.run(&disk).unwrap();
    let mut named = 0;
    for (path, _) in disk.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let disk = disk.killed();
        disk.remove_file(&path).unwrap();
        let told = match store.recover(&disk) {
            Ok(found) if found.damage.is_empty() => {
                let whole = store.state_after(found.steps);
                assert_eq!(found.state, whole, "without {name}");
                continue;
            }
            Ok(found) => found.damage.join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(&name), "without {name}: {told}");
        named += 1;
    }
    assert!(named >= 4, "{named} files were missed");
}

/// The keys that an opening shows of a store of `k1`, `k2` and so on, of which one read answers with what was there before; `None`
/// when it is told that something is wrong.
fn shown_with_a_stale_read(disk: &SimDisk, n: u64, only: Option<u64>) -> Option<usize> {
    disk.plan(When::At(n), Fault::StaleRead { only });
    let engine = open_at(disk.clone(), HOME).ok()?;
    let rows = read_all(&*engine.view().unwrap()).ok()?.0;
    for (n, (key, _)) in (1..).zip(&rows) {
        assert_eq!(*key, format!("k{n}").as_bytes(), "the first so many, and no others");
    }
    Some(rows.len())
}

/// A closed store knows what was durable. One that was not closed cannot tell a last frame that the disk does not show from one
/// that was never written (`docs/engines/flatfile.md`, *Limit*).
#[test]
fn a_stale_read_is_told_or_harmless_and_may_hide_the_end_of_a_store_that_was_not_closed() {
    for closed in [true, false] {
        let disk = SimDisk::new(1);
        let engine = open_at(disk.clone(), HOME).unwrap();
        for n in 1..=9 {
            put_next(&*engine, &format!("k{n}"), &"x".repeat(150));
            if n == 3 {
                engine.checkpoint().unwrap();
            }
        }
        if closed {
            close(engine).unwrap();
        } else {
            drop(engine);
        }
        let disk = disk.crash_image(&Crash::Nothing);
        let plain = disk.killed();
        assert_eq!(shown_with_a_stale_read(&plain, u64::MAX, None), Some(9));
        let (mut told, mut hidden) = (0, 0);
        for (n, op) in plain.trace().operations().filter(|(_, op)| matches!(op, Op::Read | Op::Map)) {
            for only in [None].into_iter().chain((0..16).map(Some)) {
                match shown_with_a_stale_read(&disk.killed(), n, only) {
                    None => told += 1,
                    Some(9) => {}
                    Some(fewer) => {
                        assert!(!closed, "operation {n}, {op:?} {only:?}: {fewer} keys and no word");
                        hidden += 1;
                    }
                }
            }
        }
        println!("closed {closed}: {told} told, {hidden} hidden");
        assert!(told > 0 && closed == (hidden == 0), "closed {closed}: {told} told, {hidden} hidden");
    }
}

/// A store whose two runs were just merged into a third one, and nothing removed yet.
fn merged_and_inputs() -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    for round in ["one", "two"] {
        for n in 0..8 {
            put_next(&*engine, &format!("{round} {n}"), &format!("value of {round} {n}"));
        }
        engine.checkpoint().unwrap();
    }
    disk.keep_cut_points();
    engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    let points = disk.cut_points();
    let removing = points.iter().find(|point| {
        point.next == Some(Op::RemoveFile) && { point.killed(1).bytes(file("branch.ckp.00000003")).is_some() }
    });
    removing.unwrap().killed(1)
}

#[test]
fn what_a_merge_was_made_of_stays_when_the_merged_run_is_damaged() {
    let base = merged_and_inputs();
    let right = read_all(&*open_at(base.killed(), HOME).unwrap().view().unwrap()).unwrap();
    assert_eq!(right.0.len(), 16);
    assert_eq!(
        base.bytes(file("branch.ckp.00000001")).is_some(),
        base.bytes(file("branch.ckp.00000002")).is_some()
    );
    let bits = base.bytes(file("branch.ckp.00000003")).unwrap().len() as u64 * 8;
    for bit in (0..bits).step_by(61) {
        let disk = base.killed();
        assert!(disk.flip(file("branch.ckp.00000003"), bit));
        for round in 0..2 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            let found =
                read_all(&*engine.view().unwrap()).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
            assert_eq!(found, right, "bit {bit}, opening {round}");
            assert!(engine.stats().unwrap().engine.contains(&("recovered_damaged_spans", 0)), "bit {bit}");
        }
    }
}

/// Nothing is to be had from it, so each opening looks at its two ends again, and changes nothing.
#[test]
fn a_run_that_cannot_be_made_anew_stays_as_it_is_and_is_named() {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    for key in ["a", "b"] {
        put_next(&*engine, key, "1");
        engine.checkpoint().unwrap();
    }
    put_next(&*engine, "c", "1");
    close(engine).unwrap();
    for name in ["branch.ckp.00000001", "branch.ckp.00000002"] {
        let disk = disk.killed();
        assert!(disk.cut_file(file(name), 16));
        let mut after = Vec::new();
        for _ in 0..3 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            let view = engine.view().unwrap();
            assert_eq!(view.get_record(b"c").unwrap().as_deref(), Some(b"1".as_slice()));
            let error = lost(&*engine, if name.ends_with('1') { "a" } else { "b" });
            assert_eq!(error.path().unwrap(), PathBuf::from(name), "{error}");
            drop(view);
            close(engine).unwrap();
            after.push(disk.killed());
        }
        assert_eq!(after[1].difference(&after[2]), None, "{name}");
        assert_eq!(after[2].bytes(file(name)).unwrap().len(), 16);
    }
}

/// Imported beats need not follow one another.
#[test]
fn what_is_lost_between_imported_beats_is_told_by_its_neighbours() {
    let importing = persist_api::OpenOptions { importing: true, ..options() };
    let disk = SimDisk::new(1);
    let engine = open_with(disk.clone(), HOME, &importing).unwrap();
    for beat in [5, 10, 20] {
        let next = header(&*engine).next(1, Durability::Durable, None).unwrap();
        put(&*engine, BeatHeader { beat: BeatNo(beat), ..next }, &format!("k{beat}"), "imported");
    }
    close(engine).unwrap();
    damage(&disk, "branch.idx.00000001", "k10");
    for options in [&importing, &options()] {
        let engine = open_with(disk.killed(), HOME, options).unwrap();
        assert_eq!(header(&*engine).beat, BeatNo(20));
        let view = engine.view().unwrap();
        assert_eq!(view.get_record(b"k20").unwrap().as_deref(), Some(b"imported".as_slice()));
        let error = lost(&*engine, "k10");
        assert!(error.to_string().contains("beats 6 to 19"), "{error}");
        put_next(&*engine, "k10", "again");
        assert_eq!(engine.view().unwrap().get_record(b"k10").unwrap().as_deref(), Some(b"again".as_slice()));
    }
}
