//! No head and a newest run that cannot be read: what was in that run is lost, and nothing older is shown in its place.

use std::path::PathBuf;

use persist_api::{BeatHeader, Durability, Engine, Error, ErrorKind, Result};
use persist_io::Disk as _;
use persist_io::sim::SimDisk;

use super::acts::Rows;
use super::store::{HOME, close, open_at, read_all};

const NEWEST: &str = "branch.ckp.00000002";

fn file(name: &str) -> PathBuf {
    PathBuf::from(HOME).join(name)
}

fn header(engine: &dyn Engine) -> BeatHeader {
    *engine.view().unwrap().header()
}

fn put(engine: &dyn Engine, key: &str, value: &str) {
    let next = header(engine).next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(next).unwrap();
    beat.put_record(key.as_bytes(), value.as_bytes()).unwrap();
    beat.commit_beat().unwrap();
}

fn get(engine: &dyn Engine, key: &str) -> Result<Option<Vec<u8>>> {
    engine.view().unwrap().get_record(key.as_bytes()).map(|value| value.map(|value| value.to_vec()))
}

fn scan(engine: &dyn Engine) -> Result<Rows> {
    read_all(&*engine.view().unwrap())
}

/// A closed store of six beats in two runs, whose keys overlap.
fn closed() -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open_at(disk.clone(), HOME).unwrap();
    for n in 1..=6 {
        put(&*engine, &format!("key {}", n % 4), &format!("of beat {n}"));
        if n % 3 == 0 {
            engine.checkpoint().unwrap();
        }
    }
    close(engine).unwrap();
    assert!(disk.bytes(file(NEWEST)).is_some() && disk.bytes(file("branch.ckp.00000003")).is_none());
    disk
}

/// A copy without a head, missing or with both slots damaged.
fn headless(whole: &SimDisk, missing: bool) -> SimDisk {
    let disk = whole.killed();
    if missing {
        disk.remove_file(&file("branch.meta")).unwrap();
    } else {
        assert!(disk.flip(file("branch.meta"), 8 * 100) && disk.flip(file("branch.meta"), 8 * (4096 + 100)));
    }
    disk
}

fn is_lost(error: &Error) -> bool {
    error.kind() == ErrorKind::Corrupt && error.to_string().contains(NEWEST)
}

#[test]
fn what_an_unreadable_run_held_stays_lost_when_a_new_head_is_written() {
    let whole = closed();
    for (missing, len) in [(true, 0), (true, 16), (false, 0), (false, 200)] {
        let disk = headless(&whole, missing);
        assert!(disk.cut_file(file(NEWEST), len));
        for round in 0..3 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            assert!(is_lost(&get(&*engine, "key 1").unwrap_err()), "round {round}, cut to {len}");
            assert!(is_lost(&scan(&*engine).unwrap_err()), "round {round}, cut to {len}");
            assert_eq!(header(&*engine).beat.0, 4, "at least one beat is lost, and its number is used");
            assert!(engine.stats().unwrap().engine.contains(&("recovered_damaged_spans", 1)));
            close(engine).unwrap();
        }
        let engine = open_at(disk.clone(), HOME).unwrap();
        put(&*engine, "key 1", "anew");
        assert_eq!(header(&*engine).beat.0, 5);
        engine.checkpoint().unwrap();
        close(engine).unwrap();
        // Now a run says it, so that not even a head is needed.
        for disk in [disk.killed(), headless(&disk, true)] {
            let engine = open_at(disk, HOME).unwrap();
            assert_eq!(get(&*engine, "key 1").unwrap().as_deref(), Some(&b"anew"[..]));
            assert!(is_lost(&get(&*engine, "key 2").unwrap_err()));
            assert!(is_lost(&scan(&*engine).unwrap_err()));
        }
    }
}

/// 0 silent: whatever else happens to the newest run of a store without head, what is read is right or fails.
#[test]
fn every_damage_of_a_run_beside_a_lost_head_is_reported_or_harmless() {
    let whole = closed();
    let right = scan(&*open_at(whole.killed(), HOME).unwrap()).unwrap();
    let bytes = whole.bytes(file(NEWEST)).unwrap().len() as u64;
    let flips = (0..bytes * 8).step_by(97).map(|bit| (Some(bit), bytes));
    let cuts = (0..bytes).step_by(7).map(|len| (None, len));
    let (mut lost, mut read) = (0, 0);
    for (n, (bit, len)) in flips.chain(cuts).enumerate() {
        let disk = headless(&whole, n % 2 == 0);
        match bit {
            Some(bit) => assert!(disk.flip(file(NEWEST), bit)),
            None => assert!(disk.cut_file(file(NEWEST), len)),
        }
        for round in 0..2 {
            let engine = open_at(disk.clone(), HOME).unwrap();
            for (key, value) in &right.0 {
                match engine.view().unwrap().get_record(key) {
                    Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "{bit:?} {len} {round}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
                }
            }
            match scan(&*engine) {
                Ok(found) => assert_eq!(found, right, "{bit:?} {len} {round}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            }
            *if scan(&*engine).is_ok() { &mut read } else { &mut lost } += 1;
            close(engine).unwrap();
        }
    }
    assert!(lost > 20 && read > 20, "{lost} lost, {read} read");
}
