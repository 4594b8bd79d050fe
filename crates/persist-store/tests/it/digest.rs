//! The store digest: golden vectors, and what it must not depend on.

use persist_api::{Caps, Durability, ErrorKind, Quiet, Request, Scan};
use persist_store::{DigestBuilder, default_request};
use std::ops::ControlFlow;

use crate::kit::{fails, memory, only, open, open_memory, place, put, toy};

type Records = Vec<(Vec<u8>, Vec<u8>)>;

struct Vector {
    name: String,
    records: Records,
    digest: String,
}

fn unhex(text: &str) -> Vec<u8> {
    let text = if text == "-" { "" } else { text };
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Reads `fixtures/digest/vectors.txt`; its head says how.
fn vectors() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/digest/vectors.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut vectors: Vec<Vector> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["vector", name] => {
                vectors.push(Vector { name: name.to_owned(), records: Vec::new(), digest: String::new() });
            }
            ["record", key, value] => vectors.last_mut().unwrap().records.push((unhex(key), unhex(value))),
            ["digest", digest] => digest.clone_into(&mut vectors.last_mut().unwrap().digest),
            _ => panic!("{line}"),
        }
    }
    assert!(vectors.len() >= 6);
    vectors
}

/// The rule of `docs/format.md` once more, on all bytes at once.
fn recompute(records: &Records) -> String {
    let mut sorted = records.clone();
    sorted.sort();
    let mut bytes = Vec::new();
    for (key, value) in sorted {
        bytes.extend((key.len() as u64).to_le_bytes());
        bytes.extend(key);
        bytes.extend((value.len() as u64).to_le_bytes());
        bytes.extend(value);
    }
    blake3::hash(&bytes).to_hex().to_string()
}

fn store_digest(records: &Records, request: &Request, reverse: bool) -> String {
    let (mut writer, store) = open_memory(request);
    let mut rows: Vec<_> = records.iter().collect();
    if reverse {
        rows.reverse();
    }
    for (key, value) in rows {
        put(&mut writer, &[(key, b"first thrown away"), (key, value)]);
    }
    store.digest(&store.view().unwrap()).unwrap().to_string()
}

#[test]
fn golden_vectors() {
    let plain = Request { durability_may_pend: true, ..only(Caps::ORDERED | Caps::SNAPSHOT) };
    let plain = Request { durability: Durability::Durable, ..plain };
    for vector in vectors() {
        let name = &vector.name;
        assert_eq!(recompute(&vector.records), vector.digest, "{name}");
        for reverse in [false, true] {
            assert_eq!(
                store_digest(&vector.records, &persist_store::volatile_request(), reverse),
                vector.digest,
                "{name}"
            );
            assert_eq!(store_digest(&vector.records, &plain, reverse), vector.digest, "{name}, no layers");
        }
    }
}

#[test]
fn an_empty_store_and_a_store_emptied_are_equal() {
    let (mut writer, store) = memory();
    let empty = store.digest(&store.view().unwrap()).unwrap();
    assert_eq!(empty.to_string(), blake3::hash(b"").to_hex().as_str());
    put(&mut writer, &[(b"a", b"1")]);
    let one = store.digest(&store.view().unwrap()).unwrap();
    assert_eq!((one.records, one.bytes), (1, 2));
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.delete(b"a").unwrap();
    beat.commit().unwrap();
    assert_eq!(
        store.digest(&store.view().unwrap()).unwrap(),
        empty,
        "beats and the runtime's own record do not count"
    );
}

#[test]
fn lengths_keep_records_apart() {
    let digest = |records: &[(&[u8], &[u8])]| {
        let mut builder = DigestBuilder::new();
        for (key, value) in records {
            builder.add(key, value);
        }
        builder.finish().blake3
    };
    assert_ne!(digest(&[(b"ab", b"c")]), digest(&[(b"a", b"bc")]));
    assert_ne!(digest(&[(b"a", b"")]), digest(&[(b"", b"a")]));
    assert_ne!(digest(&[]), digest(&[(b"", b"")]));
}

#[test]
fn equal_on_a_durable_engine_and_watched() {
    let place = place();
    let (mut writer, store) = open(&toy(), &place.home, &default_request()).unwrap();
    let (mut other_writer, other) = memory();
    let records: Vec<_> = (0..9000_u32).map(|n| (n.to_be_bytes(), vec![n as u8; n as usize % 50])).collect();
    let records: Vec<(&[u8], &[u8])> =
        records.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
    put(&mut writer, &records);
    put(&mut other_writer, &records);
    let view = store.view().unwrap();
    let digest = view.digest(&Quiet).unwrap();
    assert_eq!(digest, other.digest(&other.view().unwrap()).unwrap());
    assert_eq!(digest.records, 9000);

    let stop = |progress: persist_api::Progress| {
        if progress.done > 4096 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    fails(view.digest(&stop), ErrorKind::Cancelled, &["digest"]);
    let mut rows = 0;
    view.scan(Scan::all(), |_, _| {
        rows += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(rows, 9000);
}
