//! A store that is being filled: several states have the number of one beat.

use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
use persist_sqlite::SqliteDriver;

#[test]
fn a_view_that_outlives_a_beat_of_the_same_number_leaves_the_next_nothing_old() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { importing: true, ..OpenOptions::default() };
    let engine = SqliteDriver.open(&dir.path().join("home"), &options, &Quiet).unwrap();
    let header = BeatHeader::default().next(1, Durability::Durable, None).unwrap();
    for n in 0..3_u8 {
        let before = engine.view().unwrap();
        // The view is in its transaction from here on.
        assert!(before.get_record(&[n]).unwrap().is_none());
        let mut beat = engine.begin_beat(header).unwrap();
        beat.put_record(&[n], b"value").unwrap();
        beat.commit_beat().unwrap();
        drop(before);
        assert_eq!(engine.view().unwrap().get_record(&[n]).unwrap().as_deref(), Some(&b"value"[..]));
    }
}
