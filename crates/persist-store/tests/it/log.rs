//! Commit logs: golden bytes, strict reading.

use std::ops::Bound;

use persist_api::{BeatHeader, Driver, Durability, ErrorKind, KeyRange, OpenOptions, Quiet, Scan};
use persist_memory::MemoryDriver;
use persist_store::{BeatLog, Op};
use proptest::prelude::*;

use crate::kit::fails;

const MAX: u64 = 1 << 20;

#[test]
fn golden_bytes() {
    let mut log = BeatLog::new();
    assert_eq!(log.canonical_bytes(), b"PBL1\0\0\0\0\0\0\0\0");
    log.put(b"key", b"value").unwrap();
    log.put(b"", b"").unwrap();
    log.delete(b"gone").unwrap();
    log.delete_range(&KeyRange::all()).unwrap();
    log.delete_range(&KeyRange::new(Bound::Included(b"a"), Bound::Excluded(b"bc"))).unwrap();
    log.delete_range(&KeyRange::new(Bound::Excluded(b""), Bound::Unbounded)).unwrap();
    let golden: &[&[u8]] = &[
        b"PBL1\x06\0\0\0\0\0\0\0",
        b"\x01\x03\0\0\0\x05\0\0\0keyvalue",
        b"\x01\0\0\0\0\0\0\0\0",
        b"\x02\x04\0\0\0gone",
        b"\x03\0\0\0\0\0\0\0\0\0\0",
        b"\x03\x01\x02\x01\0\0\0\x02\0\0\0abc",
        b"\x03\x02\0\0\0\0\0\0\0\0\0",
    ];
    assert_eq!(log.canonical_bytes(), golden.concat());
    assert_eq!(log.leaf(), *blake3::hash(&golden.concat()).as_bytes());
    let read = BeatLog::decode(&golden.concat(), MAX).unwrap();
    assert_eq!(read, log);
    assert_eq!(read.len(), 6);
    let ops: Vec<_> = read.ops().collect();
    assert_eq!(ops[0], Op::Put { key: b"key", value: b"value" });
    assert_eq!(ops[2], Op::Delete { key: b"gone" });
    assert_eq!(
        ops[4],
        Op::DeleteRange { range: KeyRange::new(Bound::Included(b"a"), Bound::Excluded(b"bc")) }
    );
}

#[test]
fn what_is_not_canonical_is_refused() {
    let head = |count: u8| [b"PBL1".as_slice(), &[count, 0, 0, 0, 0, 0, 0, 0]].concat();
    let with = |count: u8, ops: &[u8]| [head(count).as_slice(), ops].concat();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", vec![], "shorter than its head"),
        ("cut head", head(0)[..11].to_vec(), "shorter than its head"),
        ("other magic", b"PBL2\0\0\0\0\0\0\0\0".to_vec(), "not a log"),
        ("count too high", head(1), "number of operations"),
        ("count too low", with(0, b"\x02\0\0\0\0"), "number of operations"),
        ("count huge", with(255, b""), "number of operations"),
        ("tag 0", with(1, b"\0"), "offset 12: unknown operation 0"),
        ("tag 4", with(1, b"\x04\0\0\0\0"), "unknown operation 4"),
        ("cut length", with(1, b"\x02\0\0\0"), "cut short"),
        ("cut key", with(1, b"\x02\x02\0\0\0a"), "cut short"),
        ("huge key", with(1, b"\x02\xFF\xFF\xFF\xFFa"), "cut short"),
        ("huge value", with(1, b"\x01\0\0\0\0\xFF\xFF\xFF\xFF"), "cut short"),
        ("trailing byte", with(1, b"\x02\0\0\0\0\0"), "unknown operation 0"),
        ("bound kind 3", with(1, b"\x03\x03\0\0\0\0\0\0\0\0\0"), "bound"),
        ("unbounded with bytes", with(1, b"\x03\0\0\x01\0\0\0\0\0\0\0a"), "bound"),
        ("empty range", with(1, b"\x03\x01\x02\x01\0\0\0\x01\0\0\0aa"), "empty range"),
        ("inverted range", with(1, b"\x03\x01\x01\x01\0\0\0\x01\0\0\0ba"), "empty range"),
    ];
    for (name, bytes, words) in cases {
        let error = fails(BeatLog::decode(bytes, MAX), ErrorKind::Corrupt, &[words]);
        assert!(error.to_string().contains("offset"), "{name}: {error}");
    }
    fails(BeatLog::decode(&head(0), 11), ErrorKind::TooLarge, &["12", "11"]);
    BeatLog::decode(&head(0), 12).unwrap();
}

#[test]
fn replay_gives_what_the_operations_say() {
    let engine = MemoryDriver::new().open("x".as_ref(), &OpenOptions::default(), &Quiet).unwrap();
    let mut log = BeatLog::new();
    log.put(b"a", b"1").unwrap();
    log.put(b"b", b"1").unwrap();
    log.put(b"c", b"1").unwrap();
    log.delete(b"a").unwrap();
    log.delete_range(&KeyRange::prefix(b"b")).unwrap();
    let header = BeatHeader::default().next(1, Durability::Volatile, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    log.replay(beat.as_mut()).unwrap();
    beat.commit_beat().unwrap();
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        std::ops::ControlFlow::Continue(())
    };
    engine.view().unwrap().scan(Scan::all(), &mut visit).unwrap();
    assert_eq!(keys, [b"c"]);
}

#[derive(Debug, Clone)]
enum Made {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..6)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        (key(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(key, value)| Made::Put(key, value)),
        key().prop_map(Made::Delete),
        (bound(), bound()).prop_map(|(start, end)| Made::Range(start, end)),
    ]
}

fn build(ops: &[Made]) -> BeatLog {
    let mut log = BeatLog::new();
    for op in ops {
        match op {
            Made::Put(key, value) => log.put(key, value).unwrap(),
            Made::Delete(key) => log.delete(key).unwrap(),
            Made::Range(start, end) => {
                log.delete_range(&KeyRange::owned(start.clone(), end.clone())).unwrap();
            }
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_undoes_encoding(ops in proptest::collection::vec(made(), 0..12)) {
        let log = build(&ops);
        let read = BeatLog::decode(log.canonical_bytes(), MAX).unwrap();
        prop_assert_eq!(&read, &log);
        prop_assert_eq!(read.ops().count() as u64, log.len());
        // Whatever is read is canonical: built again from its operations, it gives the same bytes.
        let mut again = BeatLog::new();
        for op in read.ops() {
            match op {
                Op::Put { key, value } => again.put(key, value).unwrap(),
                Op::Delete { key } => again.delete(key).unwrap(),
                Op::DeleteRange { range } => again.delete_range(&range).unwrap(),
            }
        }
        prop_assert_eq!(again.canonical_bytes(), log.canonical_bytes());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let bytes = if magic { [b"PBL1\x01\0\0\0\0\0\0\0".as_slice(), &bytes].concat() } else { bytes };
        if let Ok(log) = BeatLog::decode(&bytes, MAX) {
            prop_assert_eq!(log.canonical_bytes(), bytes);
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_mean_exactly_what_they_say(
        ops in proptest::collection::vec(made(), 1..6), at: prop::sample::Index, with: u8
    ) {
        let mut bytes = build(&ops).canonical_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(log) = BeatLog::decode(&bytes, MAX) {
            prop_assert_eq!(log.canonical_bytes(), bytes);
        }
    }
}

#[test]
fn a_thread_uses_the_memory_of_a_log_again_unless_it_is_large() {
    let of_bytes = |bytes: usize| {
        let mut log = BeatLog::new();
        log.put(b"key", &vec![1; bytes]).unwrap();
        log
    };
    let long = of_bytes(100_000);
    let place = long.canonical_bytes().as_ptr();
    drop((long, of_bytes(10)));
    let (again, other) = (of_bytes(20), of_bytes(20));
    assert_eq!(again.canonical_bytes().as_ptr(), place);
    assert_ne!(other.canonical_bytes().as_ptr(), place);
    assert_eq!(again, other);
    let large = of_bytes(1 << 20);
    drop(again);
    drop(large);
    assert_eq!(of_bytes(20).canonical_bytes().as_ptr(), place, "a large one has taken its place");
}
