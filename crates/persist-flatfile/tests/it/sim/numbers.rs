//! Numbers of beats and commits that are lost: nobody gets them again.

use persist_api::ErrorKind;
use persist_io::sim::SimDisk;

use super::defects::{file, get, header, open, put, put_commits};
use super::store::close;

/// Durable beats that are lost at the end of the timeline leave their numbers used.
#[test]
fn numbers_of_lost_beats_are_not_used_again() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    for n in ["1", "2", "3"] {
        put(&*engine, &[("a", n)]);
    }
    close(engine).unwrap();
    assert!(disk.cut_file(file("branch.idx.00000001"), 300));
    for _ in 0..2 {
        let engine = open(&disk);
        assert_eq!(header(&*engine).beat.0, 3);
        assert_eq!(
            engine.view().unwrap().get_record(b"a").map(|_| ()).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
    let engine = open(&disk);
    put(&*engine, &[("a", "4")]);
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    let engine = open(&disk);
    assert_eq!((header(&*engine).beat.0, get(&*engine, "a").as_deref()), (4, Some("4")));
}

/// A closed store of three beats with five commits each, of which only the first can be read, from a run or from its frame.
fn lost_commits(in_run: bool) -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    for n in ["1", "2", "3"] {
        put_commits(&*engine, 5, &[("a", n)]);
        if in_run && n == "1" {
            engine.checkpoint().unwrap();
        }
    }
    close(engine).unwrap();
    let (segment, cut) = if in_run { ("branch.idx.00000002", 100) } else { ("branch.idx.00000001", 300) };
    assert!(disk.cut_file(file(segment), cut));
    disk
}

#[test]
fn numbers_of_lost_commits_are_not_used_again() {
    for in_run in [true, false] {
        let disk = lost_commits(in_run);
        for _ in 0..2 {
            let engine = open(&disk);
            assert_eq!((header(&*engine).beat.0, header(&*engine).last_commit().0), (3, 15));
            close(engine).unwrap();
        }
        let engine = open(&disk);
        put(&*engine, &[("a", "4")]);
        assert_eq!((header(&*engine).beat.0, header(&*engine).first_commit.0), (4, 16));
        engine.checkpoint().unwrap();
        close(engine).unwrap();
        assert_eq!(header(&*open(&disk)).last_commit().0, 16);
    }
}

/// Heads of before that was kept say nothing of commits: a lost beat then counts as one.
#[test]
fn heads_without_the_number_of_the_durable_commit_are_read() {
    let disk = lost_commits(true);
    let mut head = disk.bytes(file("branch.meta")).unwrap();
    for slot in head.chunks_mut(4096) {
        let count = |at: usize| usize::from(slot[at]);
        let at = 80 + 24 * count(72) + 16 * count(76);
        assert_eq!(slot[at..at + 8], 15_u64.to_le_bytes());
        slot[at..at + 8].fill(0);
        let crc = crc32c::crc32c(&slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    disk.put(file("branch.meta"), &head);
    let engine = open(&disk);
    assert_eq!((header(&*engine).beat.0, header(&*engine).last_commit().0), (3, 7));
}
