//! The ceiling of the store.

use persist_api::{Durability, ErrorKind, OpenOptions};

use crate::kit::{Place, commit, open, verify};

#[test]
fn at_the_ceiling_reads_and_deletes_go_on() {
    let place = Place::new();
    let max = 2 << 20;
    let options = OpenOptions { store_bytes_max: Some(max), ..OpenOptions::default() };
    let engine = open(&place.home(), &options).unwrap();
    let mut stored = 0_u64;
    let full = loop {
        let done = commit(engine.as_ref(), Durability::Buffered, |beat| {
            (0..16).try_for_each(|at| beat.put_record(format!("{stored}/{at}").as_bytes(), &[7; 4000]))
        });
        match done {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "no ceiling");
    };
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
    assert_eq!(full.engine_code(), Some(13));
    assert!(stored > 10, "only {stored} beats of 64 kB in {max} bytes");
    let view = engine.view().unwrap();
    assert_eq!(view.header().beat.0, stored);
    assert!(view.get_record(b"0/0").unwrap().is_some());
    assert!(view.get_record(format!("{stored}/0").as_bytes()).unwrap().is_none());
    drop(view);
    engine.checkpoint().unwrap();
    assert!(std::fs::metadata(place.home().join("data.db")).unwrap().len() <= max);
    commit(engine.as_ref(), Durability::Durable, |beat| {
        (0..16).try_for_each(|at| beat.delete_record(format!("0/{at}").as_bytes()))
    })
    .unwrap();
    commit(engine.as_ref(), Durability::Durable, |beat| beat.put_record(b"again", &[1; 4000])).unwrap();
    assert_eq!(verify(engine.as_ref()).1, []);
}
