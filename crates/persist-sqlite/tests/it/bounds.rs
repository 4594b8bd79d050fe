//! Bounds beyond every key, and many statements at once on one view.

use std::ops::{Bound, ControlFlow};

use persist_api::{KeyRange, Scan};

use crate::kit::{Place, put, rows};

const KEY_MAX: usize = 1 << 20;

#[test]
fn a_bound_longer_than_any_key_separates_the_same_keys() {
    let place = Place::new();
    let engine = place.open();
    let longest = vec![b'm'; KEY_MAX];
    for key in [b"a".as_slice(), &longest, b"z"] {
        put(engine.as_ref(), key, b"");
    }
    let view = engine.view().unwrap();
    let beyond = vec![b'm'; 3 * KEY_MAX];
    let count = |start: Bound<&[u8]>, end: Bound<&[u8]>| {
        let range = KeyRange::new(start, end);
        let forward = rows(view.as_ref(), Scan::range(range.borrowed())).len();
        assert_eq!(rows(view.as_ref(), Scan::range(range).reverse()).len(), forward);
        forward
    };
    for bound in [Bound::Included(beyond.as_slice()), Bound::Excluded(beyond.as_slice())] {
        assert_eq!(count(bound, Bound::Unbounded), 1, "only z lies above");
        assert_eq!(count(Bound::Unbounded, bound), 2, "a and the longest lie below");
    }
    assert_eq!(count(Bound::Included(&longest), Bound::Included(&beyond)), 1);
    assert_eq!(count(Bound::Excluded(&longest), Bound::Excluded(&beyond)), 0);
}

#[test]
fn cursors_scans_and_gets_nest() {
    let place = Place::new();
    let engine = place.open();
    let key = |at: u8| [at, at];
    for at in 0..10 {
        put(engine.as_ref(), &key(at), &vec![at; if at % 2 == 0 { 10 } else { 3000 }]);
    }
    let view = engine.view().unwrap();
    let mut cursors: Vec<_> = (0..4).map(|_| view.cursor(Scan::all()).unwrap()).collect();
    let mut seen = 0;
    view.scan(Scan::all(), &mut |outer, value| {
        // All cursors run the statement that this scan runs, each at a place of its own.
        for (lag, cursor) in cursors.iter_mut().enumerate() {
            if seen >= lag {
                assert!(cursor.advance().unwrap());
            }
        }
        assert_eq!((cursors[0].key(), cursors[0].value()), (outer, value));
        assert_eq!(view.get_record(outer).unwrap().as_deref(), Some(value));
        let mut inner = 0;
        view.scan(Scan::all().reverse(), &mut |_, _| {
            inner += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(inner, 10);
        seen += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen, 10);
    for (lag, cursor) in cursors.iter().enumerate() {
        assert_eq!(cursor.key(), key(u8::try_from(9 - lag).unwrap()));
    }
}
