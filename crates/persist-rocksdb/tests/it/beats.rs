//! Beats: order within the batch, ranges, limits, the ceiling.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use persist_api::{BeatHeader, Durability, ErrorKind, KeyRange, OpenOptions, Scan};

use crate::kit::{Records, commit, home, open, open_with, put, records, rows, try_commit};

fn range<'k>(start: Bound<&'k [u8]>, end: Bound<&'k [u8]>) -> KeyRange<'k> {
    KeyRange::new(start, end)
}

/// Every kind of range against a plain map, with puts of the same beat before and after.
#[test]
fn delete_range_removes_exactly_what_lies_in_the_range_at_that_point() {
    let keys: [&[u8]; 8] = [b"\0", b"\0\0", b"a", b"a\0", b"b", b"\xff", b"\xff\xff", &[0xff; 70]];
    let bounds: Vec<Bound<&[u8]>> = keys
        .iter()
        .flat_map(|key| [Included(*key), Excluded(*key)])
        .chain([Unbounded, Included(b"".as_slice()), Excluded(b"".as_slice())])
        .collect();
    let (_guard, home) = home();
    let engine = open(&home);
    for &start in &bounds {
        for &end in &bounds {
            let doomed = range(start, end);
            let mut expected = Records::new();
            commit(&*engine, Durability::Buffered, |beat| {
                for key in keys.iter().step_by(2) {
                    beat.put_record(key, key).unwrap();
                    expected.insert(key.to_vec(), key.to_vec());
                }
            });
            commit(&*engine, Durability::Buffered, |beat| {
                for key in keys.iter().skip(1).step_by(2) {
                    beat.put_record(key, b"own").unwrap();
                    expected.insert(key.to_vec(), b"own".to_vec());
                }
                beat.delete_range(doomed.clone()).unwrap();
                expected.retain(|key, _| !doomed.contains(key));
                beat.put_record(b"a", b"later").unwrap();
                expected.insert(b"a".to_vec(), b"later".to_vec());
            });
            assert_eq!(records(&*engine), expected, "{doomed:?}");
            commit(&*engine, Durability::Buffered, |beat| beat.delete_range(KeyRange::all()).unwrap());
            assert_eq!(records(&*engine), Records::new(), "{doomed:?}");
        }
    }
    // The header was never in a range.
    let beat = engine.view().unwrap().header().beat;
    drop(engine);
    assert_eq!(open(&home).view().unwrap().header().beat, beat);
}

#[test]
fn deleted_ranges_stay_deleted_in_tables() {
    let (_guard, home) = home();
    let engine = open(&home);
    commit(&*engine, Durability::Durable, |beat| {
        for n in 0..1000_u32 {
            beat.put_record(&n.to_be_bytes(), b"v").unwrap();
        }
    });
    engine.checkpoint().unwrap();
    commit(&*engine, Durability::Durable, |beat| {
        beat.delete_range(range(Included(&10_u32.to_be_bytes()), Unbounded)).unwrap();
    });
    engine.checkpoint().unwrap();
    let view = engine.view().unwrap();
    assert_eq!(rows(&*view, Scan::all()).len(), 10);
    assert_eq!(rows(&*view, Scan::all().reverse()).len(), 10);
    assert!(view.get_record(&500_u32.to_be_bytes()).unwrap().is_none());
}

#[test]
fn sizes_at_the_limit_work_and_one_more_is_refused() {
    let (_guard, home) = home();
    let engine = open(&home);
    let limits = engine.offer().limits;
    let longest = vec![0xff; usize::try_from(limits.key_bytes_max).unwrap()];
    put(&*engine, &longest, b"at the limit");
    put(&*engine, b"a", b"1");
    let view = engine.view().unwrap();
    assert_eq!(view.get_record(&longest).unwrap().as_deref(), Some(b"at the limit".as_slice()));
    assert_eq!(rows(&*view, Scan::all().reverse().limit(1))[0].0, longest);
    // All of it goes although nothing that may be stored lies beyond.
    commit(&*engine, Durability::Durable, |beat| beat.delete_range(KeyRange::all()).unwrap());
    assert_eq!(records(&*engine), Records::new());
    engine.checkpoint().unwrap();

    let mut longer = longest;
    longer.push(0);
    let next = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(next).unwrap();
    let error = beat.put_record(&longer, b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(beat.delete_record(b"a").unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(beat.commit_beat().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(engine.view().unwrap().get_record(&longer).unwrap().is_none());
}

#[test]
fn a_value_larger_than_the_write_buffer_is_an_ordinary_value() {
    let (_guard, home) = home();
    let options = crate::kit::with_knob("write_buffer_bytes", 64 << 10);
    let engine = open_with(&home, &options).unwrap();
    let value: Vec<u8> = (0..8_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    put(&*engine, b"big", &value);
    put(&*engine, b"after", b"1");
    drop(engine);
    let engine = open_with(&home, &options).unwrap();
    assert!(engine.view().unwrap().get_record(b"big").unwrap().unwrap() == value[..]);
    assert_eq!(records(&*engine).len(), 2);
}

#[test]
fn at_the_ceiling_puts_are_refused_and_reads_and_deletes_go_on() {
    let (_guard, home) = home();
    let options = OpenOptions { store_bytes_max: Some(1 << 20), ..OpenOptions::default() };
    let engine = open_with(&home, &options).unwrap();
    let value = [7; 10_000];
    let mut n = 0_u32;
    let error = loop {
        let put = try_commit(&*engine, Durability::Buffered, |beat| {
            beat.put_record(&n.to_be_bytes(), &value).unwrap();
        });
        match put {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        assert!(n < 200, "{n} beats of 10 kB under a ceiling of 1 MiB");
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(n > 50, "only {n} beats of 10 kB fit");
    assert!(engine.stats().unwrap().bytes_on_disk <= 1 << 20);
    assert_eq!(records(&*engine).len(), n as usize);
    // Not poisoned: deleting makes room, once the space is given back.
    commit(&*engine, Durability::Durable, |beat| beat.delete_range(KeyRange::all()).unwrap());
    put(&*engine, b"again", &value);
    assert_eq!(records(&*engine).len(), 1);
    // Overwriting for ever fits as well.
    for _ in 0..300 {
        commit(&*engine, Durability::Buffered, |beat| beat.put_record(b"again", &value).unwrap());
    }
}

#[test]
fn one_beat_at_a_time_and_dropping_aborts() {
    let (_guard, home) = home();
    let engine = open(&home);
    let header = BeatHeader::default().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"a", b"1").unwrap();
    assert_eq!(engine.begin_beat(header).err().unwrap().kind(), ErrorKind::Busy);
    drop(beat);
    assert_eq!(records(&*engine), Records::new());
    let beat = engine.begin_beat(header).unwrap();
    assert_eq!(beat.commit_beat().unwrap().reached, Durability::Durable);
    assert_eq!(engine.begin_beat(header).err().unwrap().kind(), ErrorKind::Conflict);
    assert_eq!(engine.sync().unwrap(), header.beat);
}
