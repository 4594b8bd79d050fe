//! Checkpoint, compaction, backup, sync: what they report is true.

use std::cell::Cell;
use std::ops::ControlFlow;

use persist_api::{
    BeatNo, CompactScope, Durability, ErrorKind, KeyRange, OpenOptions, Progress, Quiet, Scan,
};

use crate::kit::{Place, close, commit, open, put, rows, verify};

#[test]
fn a_checkpoint_tells_how_far_it_came() {
    let place = Place::new();
    let engine = place.open();
    put(engine.as_ref(), b"1", &[1; 3000]);
    let stat = engine.checkpoint().unwrap();
    assert_eq!(stat.beat, BeatNo(1));
    assert!(stat.bytes > 0);
    assert_eq!(std::fs::metadata(place.home().join("data.db-wal")).unwrap().len(), 0);
    assert_eq!(engine.checkpoint().unwrap().bytes, 0);
    // A view of beat 2 holds back what comes after it.
    put(engine.as_ref(), b"2", &[2; 3000]);
    let view = engine.view().unwrap();
    put(engine.as_ref(), b"3", &[3; 3000]);
    assert_eq!(engine.checkpoint().unwrap().beat, BeatNo(1));
    drop(view);
    assert_eq!(engine.checkpoint().unwrap().beat, BeatNo(3));
    // An open beat does not stop it, nor it the beat.
    put(engine.as_ref(), b"4", &[4; 3000]);
    let header = crate::kit::next(engine.as_ref(), Durability::Durable);
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"5", b"five").unwrap();
    assert_eq!(engine.checkpoint().unwrap().beat, BeatNo(4));
    assert_eq!(engine.sync().unwrap(), BeatNo(4));
    beat.commit_beat().unwrap();
    assert_eq!(rows(engine.view().unwrap().as_ref(), Scan::all()).len(), 5);
}

#[test]
fn compaction_gives_space_back_and_can_be_stopped() {
    let place = Place::new();
    let engine = place.open();
    commit(engine.as_ref(), Durability::Buffered, |beat| {
        (0_u32..3000).try_for_each(|at| beat.put_record(&at.to_be_bytes(), &[3; 1500]))
    })
    .unwrap();
    let end = 2900_u32.to_be_bytes();
    let gone = KeyRange::of::<[u8]>([0_u8].as_slice()..end.as_slice());
    commit(engine.as_ref(), Durability::Buffered, |beat| beat.delete_range(gone)).unwrap();
    let before = rows(engine.view().unwrap().as_ref(), Scan::all());
    assert_eq!(before.len(), 100);

    let view = engine.view().unwrap();
    assert_eq!(engine.compact(CompactScope::default(), &Quiet).unwrap_err().kind(), ErrorKind::Busy);
    drop(view);
    let header = crate::kit::next(engine.as_ref(), Durability::Durable);
    let beat = engine.begin_beat(header).unwrap();
    assert_eq!(engine.compact(CompactScope::default(), &Quiet).unwrap_err().kind(), ErrorKind::Busy);
    drop(beat);
    let stop = |_: Progress| ControlFlow::Break(());
    assert_eq!(engine.compact(CompactScope::default(), &stop).unwrap_err().kind(), ErrorKind::Cancelled);

    let stat = engine.compact(CompactScope::default(), &Quiet).unwrap();
    assert!(stat.bytes_after * 4 < stat.bytes_before, "{stat:?}");
    assert_eq!(rows(engine.view().unwrap().as_ref(), Scan::all()), before);
    assert_eq!(verify(engine.as_ref()).1, []);
    // The engine goes on, and the mark is still there.
    put(engine.as_ref(), b"more", b"more");
    close(engine);
    assert_eq!(rows(place.open().view().unwrap().as_ref(), Scan::all()).len(), 101);
}

#[test]
fn a_backup_is_a_store_and_a_stopped_one_leaves_nothing() {
    let place = Place::new();
    let engine = place.open();
    commit(engine.as_ref(), Durability::Buffered, |beat| {
        (0_u32..2000).try_for_each(|at| beat.put_record(&at.to_be_bytes(), &[3; 1500]))
    })
    .unwrap();
    let target = place.other("copy");
    let steps = Cell::new(0);
    let stop_later = |progress: Progress| {
        steps.set(steps.get() + 1);
        assert!(progress.done <= progress.total.unwrap());
        if steps.get() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert_eq!(engine.backup(&target, &stop_later).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);

    // Beats go on while it copies; it shows the one at which it began.
    let went_on = Cell::new(false);
    let go_on = |_: Progress| {
        if !went_on.replace(true) {
            put(engine.as_ref(), b"later", b"later");
        }
        ControlFlow::Continue(())
    };
    let stat = engine.backup(&target, &go_on).unwrap();
    assert_eq!(stat.beat, BeatNo(1));
    assert_eq!(engine.backup(&target, &Quiet).unwrap_err().kind(), ErrorKind::Mismatch);
    let copy = open(&target, &OpenOptions::default()).unwrap();
    assert_eq!(copy.view().unwrap().header().beat, BeatNo(1));
    assert_eq!(rows(copy.view().unwrap().as_ref(), Scan::all()).len(), 2000);
    assert_eq!(verify(copy.as_ref()).1, []);
    put(copy.as_ref(), b"own", b"way");
    assert!(engine.view().unwrap().get_record(b"own").unwrap().is_none());
}

#[test]
fn the_database_alone_holds_everything_after_a_clean_close() {
    let place = Place::new();
    let engine = place.open();
    put(engine.as_ref(), b"key", b"value");
    let view = engine.view().unwrap();
    // The engine goes first; the view keeps reading, and the last one to go closes the file.
    drop(engine);
    assert_eq!(view.get_record(b"key").unwrap().as_deref(), Some(b"value".as_slice()));
    drop(view);
    assert!(!place.home().join("data.db-wal").exists());
    let value: Vec<u8> = place
        .raw()
        .query_row("SELECT value FROM record WHERE key = x'6b6579'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(value, b"value");
}

#[test]
fn views_that_come_and_go_leave_a_transaction_for_the_next_and_hold_nothing() {
    let place = Place::new();
    let engine = open(&place.home(), &crate::kit::options(&[("wal_bytes", "65536")])).unwrap();
    let wal = || std::fs::metadata(place.home().join("data.db-wal")).unwrap().len();
    let mut last = 0;
    for beat in 1..=200_u64 {
        put(engine.as_ref(), b"key", &beat.to_be_bytes().repeat(400));
        for _ in 0..2 {
            // At least the newest beat, whether the transaction was there or not.
            let view = engine.view().unwrap();
            assert_eq!(view.header().beat.0, beat);
            assert_eq!(&view.get_record(b"key").unwrap().unwrap()[..8], beat.to_be_bytes());
        }
        last = beat;
    }
    // Without the end of what views leave, the WAL would hold every beat.
    assert!(wal() < 4 * 65_536, "{}", wal());
    // One view leaves its transaction while another is at an older beat.
    let old = engine.view().unwrap();
    put(engine.as_ref(), b"key", b"newer");
    drop(engine.view().unwrap());
    drop(old);
    assert_eq!(engine.view().unwrap().header().beat.0, last + 1);
    drop(engine.view().unwrap());
    assert_eq!(engine.checkpoint().unwrap().beat.0, last + 1);
    assert_eq!(wal(), 0);
    drop(engine.view().unwrap());
    engine.compact(CompactScope::default(), &Quiet).unwrap();
    assert_eq!(verify(engine.as_ref()).1, []);
    drop(engine.view().unwrap());
    close(engine);
    assert_eq!(place.open().view().unwrap().header().beat.0, last + 1);
}

#[test]
fn m_03_compaction_and_what_reads_for_long_refuse_each_other_at_once() {
    let place = Place::new();
    let engine = place.open();
    commit(engine.as_ref(), Durability::Buffered, |beat| {
        (0_u32..2000).try_for_each(|at| beat.put_record(&at.to_be_bytes(), &[3; 1500]))
    })
    .unwrap();
    let refused = Cell::new(0);
    let compact_beside = |_: Progress| {
        let error = engine.compact(CompactScope::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        refused.set(refused.get() + 1);
        ControlFlow::Continue(())
    };
    engine.backup(&place.other("copy"), &compact_beside).unwrap();
    let of_backup = refused.get();
    engine.verify(&mut |_| {}, &compact_beside).unwrap();
    assert!(of_backup > 0 && refused.get() > of_backup);
    refused.set(0);
    let read_beside = |_: Progress| {
        assert_eq!(engine.backup(&place.other("two"), &Quiet).unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(engine.verify(&mut |_| {}, &Quiet).unwrap_err().kind(), ErrorKind::Busy);
        refused.set(refused.get() + 1);
        ControlFlow::Continue(())
    };
    let stat = engine.compact(CompactScope::default(), &read_beside).unwrap();
    assert!(refused.get() > 0 && stat.bytes_after <= stat.bytes_before, "{stat:?}");
    assert_eq!(verify(engine.as_ref()).1, []);
}
