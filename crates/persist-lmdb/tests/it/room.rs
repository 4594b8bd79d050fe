//! A disk without room, and a file that may not grow.

use std::path::Path;
use std::process::Command;

use persist_api::{Durability, Engine, ErrorKind, OpenOptions};

use crate::support::*;

const CHILD: &str = "PERSIST_LMDB_ROOM";

/// Runs the test of this name again, as a child that knows where, behind a line of shell and under `wrapper`.
fn again(name: &str, home: &Path, wrapper: &[&str], shell: &str) {
    let line = format!("{shell} exec \"$0\" --exact room::{name} --nocapture");
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("env");
    let status = command.args(wrapper).args(["sh", "-c", &line]).arg(program).env(CHILD, home).status();
    assert_eq!(status.unwrap().code(), Some(0));
}

fn here() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

/// Commits until it fails; gives how many beats there are.
fn fill_up(engine: &dyn Engine) -> u64 {
    for n in 0_u64.. {
        let put =
            |beat: &mut dyn persist_api::Beat| beat.put_record(&n.to_be_bytes(), &vec![n as u8; 300_000]);
        if let Err(error) = try_commit(engine, Durability::Durable, put) {
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            return n;
        }
    }
    unreachable!("an endless disk")
}

fn reads_go_on(engine: &dyn Engine, beats: u64) {
    let rows = all(engine);
    assert_eq!(rows.len() as u64, beats);
    assert!(rows.iter().zip(0_u8..).all(|((_, value), n)| *value == vec![n; 300_000]));
}

#[test]
fn a_file_that_may_not_grow_is_full() {
    if let Some(home) = here() {
        let engine = open(&home);
        let beats = fill_up(&*engine);
        assert!(beats > 2);
        reads_go_on(&*engine, beats);
        drop(engine);
        reads_go_on(&*open(&home), beats);
        return;
    }
    let home = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes or 1024, as the shell likes; either way the last value does not fit whole.
    let shell = "ulimit -f 2500; trap '' XFSZ;";
    again("a_file_that_may_not_grow_is_full", home.path(), &[], shell);
    let beats = all(&*open(home.path())).len() as u64;
    reads_go_on(&*open(home.path()), beats);
}

/// A value of more pages than a transaction keeps makes LMDB write the pages that were changed before it.
#[test]
fn d_05_a_write_that_fails_before_the_commit_poisons() {
    if let Some(home) = here() {
        let engine = open(&home);
        let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        let error = (0_u64..10_000)
            .try_for_each(|n| beat.put_record(&n.to_be_bytes(), &[7; 1000]))
            .and_then(|()| beat.put_record(b"spill", &vec![0; 131_072 * 4096]))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        drop(beat);
        let again = engine.begin_beat(header).err().unwrap();
        assert_eq!(again.kind(), ErrorKind::Poisoned, "{again}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let shell = "ulimit -f 2500; trap '' XFSZ;";
    again("d_05_a_write_that_fails_before_the_commit_poisons", home.path(), &[], shell);
}

/// On a small file system of its own, where this machine lets us have one.
#[test]
fn a_full_disk_is_full_and_no_signal() {
    if let Some(home) = here() {
        let store = home.join("store");
        let filler = home.join("filler");
        let engine = open(&store);
        let beats = fill_up(&*engine);
        reads_go_on(&*engine, beats);
        drop(engine);
        // Not a byte is left, and the table of readers has to be made anew.
        std::fs::remove_file(store.join("lock.mdb")).unwrap();
        use_up(&filler);
        assert_eq!(refused(&store, &OpenOptions::default()).kind(), ErrorKind::Full);
        assert_eq!(refused(&home.join("other"), &OpenOptions::default()).kind(), ErrorKind::Full);
        std::fs::remove_file(&filler).unwrap();
        let engine = open(&store);
        reads_go_on(&*engine, beats);
        commit(&*engine, |beat| beat.delete_record(&0_u64.to_be_bytes()));
        return;
    }
    let home = tempfile::tempdir().unwrap();
    // As root of a namespace of its own, which needs no rights where the machine allows it at all.
    let wrapper = ["unshare", "--map-root-user", "--mount"];
    let mount = format!("mount -t tmpfs -o size=1500k tmpfs '{}' &&", home.path().display());
    let may = Command::new("env").args(wrapper).args(["sh", "-c", &format!("{mount} true")]).status();
    if may.is_ok_and(|status| status.success()) {
        again("a_full_disk_is_full_and_no_signal", home.path(), &wrapper, &mount);
    } else {
        eprintln!("no small file system to be had here; `a_file_that_may_not_grow_is_full` has to do");
    }
}

fn use_up(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    while file.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
}
