//! What the writer makes of what it is given.

use std::ops::Bound;

use persist_api::ErrorKind;

use super::*;
use crate::run::{RangeKind, hash};

#[test]
fn the_overhead_of_small_rows_is_what_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    for n in 0..50_000_u64 {
        let key = [hash(&n.to_le_bytes()).to_be_bytes(), n.to_be_bytes()].concat();
        model.insert((key, Reverse(60)), Kept::Inline(vec![7; 100]));
    }
    let stat = write(dir.path(), head(60, 60), Shape::default(), &model, &[], &[header(60)]);
    assert_eq!(stat.file_len, bytes_of(dir.path()).len() as u64);
    // 1.07 of keys and values.
    let payload = stat.key_bytes + stat.value_bytes;
    assert!(stat.file_len * 100 < payload * 107, "{} bytes for {payload}", stat.file_len);
}

#[test]
fn order_is_demanded() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |records: &[(&[u8], u64)]| {
        let mut writer = RunWriter::create(&RealDisk, dir.path(), head(60, 50)).unwrap();
        let mut added = records.iter().map(|(key, beat)| writer.add(key, BeatNo(*beat), &Stored::Deleted));
        added.find_map(Result::err).map(|error| error.kind())
    };
    assert_eq!(refused(&[(b"a", 55), (b"a", 50), (b"b", 60)]), None);
    for wrong in [
        [(&b"b"[..], 55), (&b"a"[..], 55)],
        [(b"a", 55), (b"a", 55)],
        [(b"a", 55), (b"a", 56)],
        [(b"a", 50), (b"a", 49)],
        [(b"", 55), (b"", 55)],
    ] {
        assert_eq!(refused(&wrong), Some(ErrorKind::Corrupt), "{wrong:?}");
    }
    assert_eq!(RealDisk.list(dir.path()).unwrap().unwrap(), [], "a writer that was dropped leaves nothing");
}

#[test]
fn head_ranges_and_headers_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let ranges: Vec<RangeDelete> = (0..40_u64)
        .map(|n| RangeDelete {
            start: Bound::Included(n.to_be_bytes().to_vec()),
            end: Bound::Unbounded,
            beat: BeatNo(20 + n),
            kind: match n % 3 {
                0 => RangeKind::Deleted,
                _ => RangeKind::Damaged { file: "x".into(), offset: n, what: "y".into() },
            },
        })
        .collect();
    let headers: Vec<BeatHeader> = (10..200).map(header).collect();
    for model in [Model::new(), mixed(20, 50, 60)] {
        write(dir.path(), head(60, 50), SMALL, &model, &ranges, &headers);
        let run = Run::open(&RealDisk, dir.path(), NUMBER).unwrap();
        assert_eq!(run.head(), &head(60, 50));
        assert_eq!(run.ranges(), ranges);
        assert_eq!(run.headers().unwrap(), headers);
        assert_eq!(run.header(BeatNo(77)).unwrap(), Some(header(77)));
        assert_eq!(run.header(BeatNo(200)).unwrap(), None);
        assert_eq!(run.newest(), &header(199));
        assert_eq!(run.stat().records, model.len() as u64);
    }
}

#[test]
fn a_floor_above_the_newest_beat_is_the_newest_beat() {
    let dir = tempfile::tempdir().unwrap();
    let model = Model::from([((b"k".to_vec(), Reverse(30)), Kept::Deleted)]);
    write(dir.path(), head(60, 1000), SMALL, &model, &[], &[]);
    let run = Run::open(&RealDisk, dir.path(), NUMBER).unwrap();
    assert_eq!(run.head().floor, BeatNo(60));
    let version = run.get(b"k", hash(b"k"), BeatNo(60)).unwrap().unwrap();
    assert_eq!(version, Version { beat: BeatNo(60), stored: Stored::Deleted });
}

#[test]
fn records_longer_than_a_table_can_tell_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    for n in 0..40_u8 {
        let len = if n % 9 == 0 { 200_000 } else { 3 };
        model
            .insert((vec![n; if n % 10 == 5 { 70_000 } else { 2 }], Reverse(60)), Kept::Inline(vec![n; len]));
    }
    // A wide block with several records.
    let wide = Shape { block: 1 << 20, ..Shape::default() };
    for shape in [Shape::default(), SMALL, wide] {
        write(dir.path(), head(60, 60), shape, &model, &[], &[]);
        let run = Run::open(&RealDisk, dir.path(), NUMBER).unwrap();
        for ((key, _), value) in &model {
            let found = run.get(key, hash(key), BeatNo(60)).unwrap().unwrap();
            assert!(Kept::of(&found.stored) == *value);
        }
    }
}
