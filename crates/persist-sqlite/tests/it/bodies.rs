//! Long values lie in a table of their own. Nobody may notice, whatever happens to a record.

use std::collections::BTreeMap;

use persist_api::{Durability, KeyRange, Scan};

use crate::kit::{Place, close, commit, rows, verify};

/// Around the edge where a value leaves its row, and far from it.
const LENGTHS: [usize; 9] = [0, 1, 33, 900, 960, 990, 1000, 5000, 200_000];

fn value(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at + seed) % 251).unwrap()).collect()
}

fn bodies(place: &Place) -> u64 {
    place
        .raw()
        .query_row("SELECT count(*) FROM body", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .try_into()
        .unwrap()
}

#[test]
fn every_length_comes_back_from_every_way_of_reading() {
    let place = Place::new();
    let engine = place.open();
    let mut want = BTreeMap::new();
    commit(engine.as_ref(), Durability::Durable, |beat| {
        for (at, len) in LENGTHS.into_iter().enumerate() {
            for key in [format!("{at}").into_bytes(), value(at + 7, 2000)] {
                beat.put_record(&key, &value(at, len))?;
                assert_eq!(beat.peek_record(&key)?.as_deref(), Some(value(at, len).as_slice()));
                want.insert(key, value(at, len));
            }
        }
        Ok(())
    })
    .unwrap();
    let view = engine.view().unwrap();
    let want: Vec<_> = want.into_iter().collect();
    assert_eq!(rows(view.as_ref(), Scan::all()), want);
    let reversed: Vec<_> = want.iter().rev().cloned().collect();
    assert_eq!(rows(view.as_ref(), Scan::all().reverse()), reversed);
    let mut cursor = view.cursor(Scan::all()).unwrap();
    for (key, value) in &want {
        assert!(cursor.advance().unwrap());
        assert_eq!((cursor.key(), cursor.value()), (key.as_slice(), value.as_slice()));
        assert_eq!(view.get_record(key).unwrap().as_deref(), Some(value.as_slice()));
    }
    assert!(!cursor.advance().unwrap());
    assert_eq!(verify(engine.as_ref()).1, []);
}

#[test]
fn no_body_is_left_behind_and_none_is_lost() {
    let place = Place::new();
    let engine = place.open();
    let long = value(3, 3000);
    let put_all = |keys: std::ops::Range<u8>, value: &[u8]| {
        commit(engine.as_ref(), Durability::Buffered, |beat| {
            keys.clone().try_for_each(|key| beat.put_record(&[key], value))
        })
        .unwrap();
    };
    put_all(1..101, &long);
    assert_eq!(bodies(&place), 100);
    // Longer by longer, longer by shorter, shorter by longer.
    put_all(1..51, &value(4, 4000));
    put_all(51..61, b"short");
    put_all(51..53, &long);
    assert_eq!(bodies(&place), 92);
    commit(engine.as_ref(), Durability::Buffered, |beat| {
        beat.delete_record(&[1])?;
        beat.delete_record(&[60])?;
        beat.delete_record(&[200])?;
        beat.delete_range(KeyRange::of::<[u8]>([2_u8].as_slice()..[12_u8].as_slice()))
    })
    .unwrap();
    assert_eq!(bodies(&place), 81);
    // An aborted beat leaves everything.
    let mut beat = engine.begin_beat(crate::kit::next(engine.as_ref(), Durability::Durable)).unwrap();
    beat.delete_range(KeyRange::all()).unwrap();
    beat.put_record(b"x", &long).unwrap();
    beat.abort_beat();
    assert_eq!(bodies(&place), 81);
    assert_eq!(verify(engine.as_ref()).1, []);
    assert_eq!(verify(engine.as_ref()).0.records, 88);
    commit(engine.as_ref(), Durability::Buffered, |beat| beat.delete_range(KeyRange::all())).unwrap();
    assert_eq!(bodies(&place), 0);
    close(engine);
    // What is known about bodies is found again by the next open.
    let engine = place.open();
    put_one(&place, engine.as_ref(), &long, 1);
    close(engine);
    let engine = place.open();
    put_one(&place, engine.as_ref(), b"", 0);
}

fn put_one(place: &Place, engine: &dyn persist_api::Engine, value: &[u8], want: u64) {
    crate::kit::put(engine, b"key", value);
    assert_eq!(bodies(place), want);
}

#[test]
fn the_longest_value_is_as_long_as_offered() {
    // The row limit can only be lowered, on a connection of our own: the rule behind the offered number is checked on a
    // small scale, with the same table.
    let place = Place::new();
    close(place.open());
    let raw = place.raw();
    let row_max = 300_000;
    raw.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH, row_max).unwrap();
    let row_max = usize::try_from(row_max).unwrap();
    let put = |len: usize| raw.execute("INSERT INTO body(bytes) VALUES(?1)", [vec![1_u8; len]]);
    put(row_max - 16).unwrap();
    let error = put(row_max - 4).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::TooBig));
    // And the library's own limit is the one that the offer counts from.
    let limit = rusqlite::Connection::open_in_memory().unwrap();
    assert_eq!(limit.limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH).unwrap(), 1_000_000_000);
}
