use persist_api::{Durability, ErrorKind, OpenOptions};

use crate::support::*;

#[test]
fn full_is_reached_at_the_ceiling_only_and_reads_go_on() {
    let home = tempfile::tempdir().unwrap();
    let ceiling = 4_u64 << 20;
    let options = OpenOptions { store_bytes_max: Some(ceiling), ..OpenOptions::default() };
    let engine = open_with(home.path(), &options).unwrap();
    let mut written = 0_u64;
    let error = loop {
        let before = all(&*engine).len() as u64;
        let put = |beat: &mut dyn persist_api::Beat| {
            (written..written + 10).try_for_each(|n| beat.put_record(&n.to_be_bytes(), &[1; 3000]))
        };
        match try_commit(&*engine, Durability::Durable, put) {
            Ok(_) => written += 10,
            Err(error) => {
                assert_eq!(all(&*engine).len() as u64, before);
                break error;
            }
        }
    };
    assert_eq!((error.kind(), error.engine_code()), (ErrorKind::Full, Some(-30792)));
    assert!(written * 3000 > ceiling * 7 / 10, "full after {written} records");
    assert!(engine.stats().unwrap().bytes_on_disk <= ceiling);
    // Full is no failure of the disk: the engine goes on, and has room again once something is gone.
    for n in 0..40_u64 {
        let gone = try_commit(&*engine, Durability::Durable, |beat| beat.delete_record(&n.to_be_bytes()));
        assert!(gone.is_ok() || n > 0, "{gone:?}");
    }
    assert_eq!(
        try_commit(&*engine, Durability::Durable, |beat| beat.put_record(b"k", &[1; 3000]))
            .err()
            .map(|e| e.kind()),
        None
    );
    drop(engine);
    // A higher ceiling makes room.
    let options = OpenOptions { store_bytes_max: Some(2 * ceiling), ..OpenOptions::default() };
    fill(&*open_with(home.path(), &options).unwrap(), 10_000, 200, 3000);
    // A ceiling below what is there opens, for reading.
    let options = OpenOptions { store_bytes_max: Some(64 << 10), ..OpenOptions::default() };
    let engine = open_with(home.path(), &options).unwrap();
    assert!(all(&*engine).len() as u64 > written);
    let more = try_commit(&*engine, Durability::Durable, |beat| beat.put_record(b"more", &[0; 1 << 20]));
    assert_eq!(more.unwrap_err().kind(), ErrorKind::Full);
}

#[test]
fn sizes_at_the_limits() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    commit(&*engine, |beat| {
        beat.put_record(&[255; 511], b"")?;
        beat.put_record(&[0], &vec![1; 10 << 20])
    });
    for (key, kind) in [(vec![], ErrorKind::Invalid), (vec![1; 512], ErrorKind::TooLarge)] {
        let put = try_commit(&*engine, Durability::Buffered, |beat| beat.put_record(&key, b"v"));
        let deleted = try_commit(&*engine, Durability::Buffered, |beat| beat.delete_record(&key));
        assert_eq!((put.unwrap_err().kind(), deleted.unwrap_err().kind()), (kind, kind));
    }
    let view = engine.view().unwrap();
    assert_eq!(view.get_record(&[255; 511]).unwrap().unwrap().len(), 0);
    assert_eq!(view.get_record(&[0]).unwrap().unwrap().len(), 10 << 20);
}

/// A small address space makes the default map smaller, not the open fail; a size that was asked for is not reduced.
#[test]
fn an_address_limit_lowers_the_default_map() {
    if let Ok(home) = std::env::var("PERSIST_LMDB_SMALL") {
        let asked = OpenOptions { store_bytes_max: Some(1 << 40), ..OpenOptions::default() };
        let error = refused(home.as_ref(), &asked);
        assert_eq!((error.kind(), error.engine_code()), (ErrorKind::Io, Some(12)));
        let engine = open(home.as_ref());
        let map = engine.stats().unwrap().engine[0].1;
        assert!((64 << 20..4 << 30).contains(&map), "{map} bytes of map");
        fill(&*engine, 0, 10, 10);
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -v 4194304 && exec \"$0\" --exact limits::an_address_limit_lowers_the_default_map",
        ])
        .arg(program)
        .env("PERSIST_LMDB_SMALL", home.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(all(&*open(home.path())).len(), 10);
}

/// The map may also turn out to be full in the commit itself, which needs pages for its own lists.
#[test]
fn full_in_a_commit_does_not_poison() {
    let mut commits_refused = 0;
    for bytes in (200..2000).step_by(97) {
        let home = tempfile::tempdir().unwrap();
        let options = OpenOptions { store_bytes_max: Some(192 << 10), ..OpenOptions::default() };
        let engine = open_with(home.path(), &options).unwrap();
        for n in 0_u64.. {
            let header = engine.view().unwrap().header().next(1, Durability::Buffered, None).unwrap();
            let mut beat = engine.begin_beat(header).unwrap();
            let Ok(()) = beat.put_record(&n.to_be_bytes(), &vec![1; bytes]) else { break };
            if let Err(error) = beat.commit_beat() {
                assert_eq!(error.kind(), ErrorKind::Full);
                commits_refused += 1;
                break;
            }
        }
        let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
        assert!(engine.begin_beat(header).is_ok());
        assert!(engine.sync().is_ok());
    }
    assert!(commits_refused > 0);
}
