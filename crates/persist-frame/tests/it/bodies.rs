//! Bodies that are wrong in one place, and every value that a field may have.

use persist_frame::body::{
    Body, CellDesc, CellType, EntryOp, Manifest, ManifestEntry, Marks, NamepoolDelta, OrderDelta, OrderEntry,
    PayloadChunk, PayloadHistory, PayloadKind,
};
use persist_frame::name::{NameId, Segment};
use persist_frame::{ErrorClass, Frame, Limits, RecordKind};

use crate::forge::{Forge, chunk, number, rec};
use crate::manifest::generated;

fn class<T: std::fmt::Debug>(result: Result<T, persist_frame::FrameError>) -> ErrorClass {
    result.unwrap_err().class()
}

/// A cell description with everything in it; the payload reference begins at `BLOCK`.
fn full_cell() -> Vec<u8> {
    let mut body = vec![1, 2, 2, 5, 6];
    body.extend([7; 16]);
    body.push(1);
    body.push(8);
    body.extend(9_u64.to_le_bytes());
    body.extend([2, b'h', b'i']);
    body.extend([38, 1, 1, 1, 3, 64, 32]);
    body.extend([0xAA; 32]);
    body.extend([2, 0xDE, 0xAD]);
    body.extend([3, 0]);
    body
}

const BLOCK: usize = 5 + 16 + 1 + 9 + 3;

#[test]
fn a_full_cell_description_round_trips() {
    let body = full_cell();
    let cell = CellDesc::decode(&body).unwrap();
    assert_eq!(
        (cell.cell_type, cell.store_descriptor, cell.created, cell.latest),
        (CellType::Normal, 0x0202, 5, 6)
    );
    assert_eq!((cell.payload_kind, cell.fingerprint, cell.inline), (PayloadKind::Data, Some(9), &b"hi"[..]));
    assert_eq!(cell.namepool_map_ref, [0xDE, 0xAD]);
    assert_eq!(cell.marks, Marks { tombstone: true, veiled: true });
    assert_eq!(cell.encode(), body);
}

#[test]
fn a_cell_description_wrong_in_one_byte_is_refused() {
    let wrong = [
        (0, 4, "cell type"),
        (21, 4, "payload kind"),
        (22, 7, "fingerprint length"),
        (BLOCK, 37, "block one shorter than its content"),
        (BLOCK, 39, "block one longer than its content"),
        (BLOCK + 1, 2, "reference kind"),
        (BLOCK + 2, 0, "hash algorithm"),
        (BLOCK + 2, 2, "hash algorithm"),
        (BLOCK + 3, 2, "codec"),
        (BLOCK + 4, 1, "AES-GCM"),
        (BLOCK + 4, 4, "mode"),
        (BLOCK + 6, 31, "hash length"),
        (BLOCK + 6, 33, "hash length beyond the block"),
        (BLOCK + 39, 1, "name pool block too short"),
        (BLOCK + 39, 9, "name pool block too long"),
        (BLOCK + 42, 4, "unknown mark"),
        (BLOCK + 43, 1, "unknown mark"),
    ];
    for (at, value, what) in wrong {
        let mut body = full_cell();
        body[at] = value;
        assert_eq!(class(CellDesc::decode(&body)), ErrorClass::Body, "{what}");
    }
    for len in 0..full_cell().len() {
        assert_eq!(class(CellDesc::decode(&full_cell()[..len])), ErrorClass::Body, "{len}");
    }
    assert_eq!(class(CellDesc::decode(&[&full_cell()[..], &[0]].concat())), ErrorClass::Body);
}

#[test]
fn lengths_that_wrap_are_refused() {
    let huge = number(u64::MAX);
    let mut body = full_cell()[..22].to_vec();
    body.extend(&huge);
    assert_eq!(class(CellDesc::decode(&body)), ErrorClass::Body);
    let manifest = [&[1, 0, 0, 0][..], &number(u64::MAX / 36 + 1), &[0; 36]].concat();
    assert_eq!(class(Manifest::decode(&manifest)), ErrorClass::Body);
    let order = [&[1, 0, 0][..], &huge, &[0; 40]].concat();
    assert_eq!(class(OrderDelta::decode(&order)), ErrorClass::Body);
    assert_eq!(class(NamepoolDelta::decode(&[&huge[..], &[0, b'x']].concat())), ErrorClass::Body);
}

fn child(tag: u64) -> ManifestEntry {
    let name = Segment { domain: NameId(1), tag: NameId(tag), glob: tag % 2 == 1 };
    let op = if tag == 3 { EntryOp::Remove } else { EntryOp::Add };
    ManifestEntry { op, name, marks: Marks { tombstone: tag == 3, veiled: false }, revision: [tag as u8; 16] }
}

#[test]
fn a_manifest_is_built_read_and_refused() {
    let mut entries = Vec::new();
    (1..4).for_each(|tag| child(tag).append(&mut entries));
    let range = (Some(child(1).name), None);
    let page = Manifest::new(77, 1, range, &entries).unwrap();
    let body = page.encode();
    let decoded = Manifest::decode(&body).unwrap();
    assert_eq!(decoded, page);
    assert_eq!(decoded.entries().len(), 3);
    assert_eq!(decoded.entries().collect::<Vec<_>>(), [child(1), child(2), child(3)]);
    assert_eq!(class(Manifest::new(0, 2, range, &entries)), ErrorClass::Body);
    assert!(Manifest::new(0, 0, range, &entries[1..]).is_err());
    // epoch, range kind, 17 and a segment, 0, count, then entries of 36 bytes.
    let first = 1 + 1 + 18 + 1 + 1;
    let wrong = [
        (1, 2),
        (2, 16),
        (19, 2),
        (20, 16),
        (21, 2),
        (21, 4),
        (first, 0),
        (first, 3),
        (first + 17, 2),
        (first + 18, 4),
    ];
    for (at, value) in wrong {
        let mut bad = body.clone();
        bad[at] = value;
        assert!(Manifest::decode(&bad).is_err(), "byte {at}");
    }
    (0..body.len()).for_each(|len| assert!(Manifest::decode(&body[..len]).is_err()));
}

#[test]
fn an_order_is_built_read_and_refused() {
    let place =
        |tag, sort_key| OrderEntry { op: EntryOp::Add, name: child(tag).name, position: tag * 100, sort_key };
    let mut entries = Vec::new();
    place(1, b"").append(&mut entries);
    place(2, b"sort").append(&mut entries);
    let page = OrderDelta::new(2, 300, 64, &entries).unwrap();
    let body = page.encode();
    let decoded = OrderDelta::decode(&body).unwrap();
    assert_eq!(decoded, page);
    assert_eq!(decoded.entries().collect::<Vec<_>>(), [place(1, b""), place(2, b"sort")]);
    assert_eq!(class(OrderDelta::new(3, 0, 0, &entries)), ErrorClass::Body);
    for (at, value) in [(0, 3), (4, 1), (4, 3), (5, 0), (5, 3)] {
        let mut bad = body.clone();
        bad[at] = value;
        assert_eq!(class(OrderDelta::decode(&bad)), ErrorClass::Body, "byte {at}");
    }
    (0..body.len()).for_each(|len| assert!(OrderDelta::decode(&body[..len]).is_err()));
}

#[test]
fn a_name_pool_text_has_256_bytes_at_most_and_one_flag() {
    for (len, ok) in [(0_usize, true), (256, true), (257, false)] {
        let text = vec![0xFE; len];
        for glob in [false, true] {
            let body = NamepoolDelta { glob, text: &text }.encode();
            assert_eq!(
                NamepoolDelta::decode(&body).is_ok_and(|name| name == NamepoolDelta { glob, text: &text }),
                ok
            );
        }
    }
    assert_eq!(class(NamepoolDelta::decode(&[1, 2, b'x'])), ErrorClass::Body);
    assert_eq!(class(NamepoolDelta::decode(&[1, 0, b'x', b'y'])), ErrorClass::Body);
    assert_eq!(class(NamepoolDelta::decode(&[2, 0, b'x'])), ErrorClass::Body);
    assert_eq!(class(NamepoolDelta::decode(&[0x81, 0, 0, b'x'])), ErrorClass::VarintNoncanonical);
}

#[test]
fn chunk_bodies_alone_are_checked_for_shape() {
    let good = chunk(b"k", 0, 10, 0, b"0123456789");
    assert!(PayloadChunk::decode(&good.rec().body).is_ok());
    let history = [&number(5)[..], &good.rec().body].concat();
    let decoded = PayloadHistory::decode(&history).unwrap();
    assert_eq!(
        (decoded.beat, decoded.chunk.data, decoded.encode()),
        (5, &b"0123456789"[..], history.clone())
    );
    for kind in 0..=255 {
        let decoded =
            PayloadChunk::decode(&good.clone().with(|c| c.kind = kind).rec().body).map(|c| c.payload_kind);
        assert_eq!(decoded.is_ok(), kind <= 3);
    }
    assert_eq!(class(PayloadHistory::decode(&history[..history.len() - 1])), ErrorClass::ChunkLength);
    assert_eq!(class(PayloadHistory::decode(&[])), ErrorClass::ChunkLength);
}

#[test]
fn only_known_kinds_of_version_1_are_decoded() {
    let records = [rec(5, b"k", &[1, 0, b'x']), rec(8, b"k", &[1, 0, b'x'])];
    let mut version = records[0].clone();
    version.version = 2;
    let bytes = Forge::of(&[records[0].clone(), records[1].clone(), version]).bare();
    let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
    let decoded: Vec<_> =
        frame.records().map(|record| Body::decode(&record).map(|body| body.kind())).collect();
    assert_eq!(decoded[0], Ok(RecordKind::NAMEPOOL_DELTA));
    for refused in &decoded[1..] {
        assert_eq!(refused.as_ref().unwrap_err().class(), ErrorClass::UnsupportedRecord);
    }
}

#[test]
fn bodies_of_random_vectors_never_panic() {
    let bytes = generated("raw_large_1037_s1");
    let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
    let refused = frame.records().filter(|record| Body::decode(record).is_err()).count();
    assert!(refused > 1000, "{refused}");
}
