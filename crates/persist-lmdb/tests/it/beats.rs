use std::collections::BTreeMap;
use std::ops::Bound;

use persist_api::{Durability, ErrorKind, KeyRange, OpenOptions};

use crate::support::*;

/// The walk over all pages must find nothing wrong with what LMDB wrote.
fn verify_clean(engine: &dyn persist_api::Engine, records: u64) {
    let mut sound = |finding: persist_api::Finding| {
        assert!(finding.severity < persist_api::Severity::Damage, "{finding:?}");
    };
    assert_eq!(engine.verify(&mut sound, &persist_api::Quiet).unwrap().records, records);
}

#[test]
fn a_second_beat_is_busy_and_does_not_block() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    assert_eq!(engine.begin_beat(header).err().unwrap().kind(), ErrorKind::Busy);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(engine.begin_beat(header).err().unwrap().kind(), ErrorKind::Busy));
    });
    beat.put_record(b"k", b"v").unwrap();
    assert_eq!(beat.commit_beat().unwrap().reached, Durability::Durable);
    assert_eq!(all(&*engine), [(b"k".to_vec(), b"v".to_vec())]);
}

#[test]
fn receipts_say_what_was_reached() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    for (asked, reached) in [
        (Durability::Buffered, Durability::Buffered),
        (Durability::Durable, Durability::Durable),
        (Durability::Volatile, Durability::Buffered),
        (Durability::Durable, Durability::Durable),
    ] {
        let receipt = try_commit(&*engine, asked, |_| Ok(())).unwrap();
        assert_eq!((receipt.header.durability, receipt.reached), (asked, reached));
        assert_eq!(*engine.view().unwrap().header(), receipt.header);
    }
    assert_eq!(engine.sync().unwrap().0, 4);
    assert_eq!(engine.checkpoint().unwrap().beat.0, 4);
}

#[test]
fn a_failed_operation_poisons_its_beat_only() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"k", b"v").unwrap();
    let error = beat.put_record(&[1; 512], b"v").unwrap_err();
    assert_eq!(
        (error.kind(), error.engine(), error.beat()),
        (ErrorKind::TooLarge, Some("lmdb"), Some(header.beat))
    );
    assert_eq!(beat.put_record(b"l", b"v").unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(beat.peek_record(b"k").err().unwrap().kind(), ErrorKind::Poisoned);
    assert_eq!(beat.commit_beat().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(all(&*engine).is_empty());
    assert_eq!(fill(&*engine, 0, 1, 1).0, 1);
}

#[test]
fn numbers_continue_after_reopening_and_may_skip_while_importing() {
    let home = tempfile::tempdir().unwrap();
    fill(&*open(home.path()), 0, 1, 1);
    let engine = open(home.path());
    let header = *engine.view().unwrap().header();
    assert_eq!((header.beat.0, header.root), (1, Some([7; 32])));
    assert_eq!(engine.begin_beat(header).err().unwrap().kind(), ErrorKind::Conflict);
    drop(engine);
    let importing = OpenOptions { importing: true, ..OpenOptions::default() };
    let engine = open_with(home.path(), &importing).unwrap();
    for beat in [1, 1, 9] {
        let header = persist_api::BeatHeader { beat: persist_api::BeatNo(beat), ..header };
        engine.begin_beat(header).unwrap().commit_beat().unwrap();
        assert_eq!(engine.view().unwrap().header().beat.0, beat);
    }
    assert_eq!(engine.begin_beat(header).err().unwrap().kind(), ErrorKind::Conflict);
}

/// Puts, deletes and range deletes of all kinds of bounds against an ordered map, read back inside and after the beat.
#[test]
fn operations_agree_with_a_map() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut state = 42_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..60 {
        let header = engine.view().unwrap().header().next(1, Durability::Buffered, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        for _ in 0..200 {
            let mut key = |longest: u64| -> Vec<u8> {
                let len = if next(10) == 0 { longest } else { 1 + next(3) };
                (0..len).map(|_| [0, 1, 127, 254, 255][next(5) as usize]).collect()
            };
            let (one, two) = (key(511), key(600));
            match next(20) {
                0 => {
                    let bound = |key: &[u8], kind| match kind {
                        0 => Bound::Included(key.to_vec()),
                        2 => Bound::Included(vec![]),
                        _ => Bound::Excluded(key.to_vec()),
                    };
                    let range = KeyRange::owned(bound(&one, next(4)), bound(&two, next(4)));
                    model.retain(|key, _| !range.contains(key));
                    beat.delete_range(range).unwrap();
                }
                1 if next(20) == 0 => {
                    model.clear();
                    beat.delete_range(KeyRange::all()).unwrap();
                }
                2..=5 => {
                    model.remove(&one);
                    beat.delete_record(&one).unwrap();
                }
                _ => {
                    let len = if next(10) == 0 { next(20_000) } else { next(50) };
                    let value = vec![one[0]; len as usize];
                    beat.put_record(&one, &value).unwrap();
                    model.insert(one.clone(), value);
                }
            }
            assert_eq!(beat.peek_record(&one).unwrap().as_deref(), model.get(&one).map(Vec::as_slice));
        }
        beat.commit_beat().unwrap();
        assert!(all(&*engine).into_iter().eq(model.clone()));
        verify_clean(&*engine, model.len() as u64);
    }
    assert!(engine.stats().unwrap().records == Some(model.len() as u64));
}

#[test]
fn dropping_aborts() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    for abort in [true, false] {
        let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        beat.put_record(b"k", b"v").unwrap();
        assert_eq!(beat.peek_record(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
        assert!(beat.peek_record(&[0; 600]).unwrap().is_none() && beat.peek_record(b"").unwrap().is_none());
        if abort {
            beat.abort_beat();
        } else {
            drop(beat);
        }
        assert!(all(&*engine).is_empty());
    }
}
