//! Every vector of both manifests: accepted or refused, decoded values, class, bytes after re-encoding.

use std::collections::BTreeMap;

use persist_frame::body::{Body, CellDesc};
use persist_frame::{ErrorClass, Frame, Limits, RecordKind};
use serde_json::{Value, json};

use crate::forge::{Forge, rec};
use crate::manifest::{Vector, accepted, hex, vectors};

#[test]
fn each_is_accepted_or_refused_as_the_manifest_says_with_its_class() {
    for vector in vectors() {
        match (vector.accepted(), Frame::parse(&vector.bytes, &Limits::default())) {
            (true, Ok(_)) => {}
            (true, Err(error)) => panic!("{}: refused: {error}", vector.name),
            (false, Ok(_)) => panic!("{}: accepted", vector.name),
            (false, Err(error)) => {
                let Some(expected) = vector.entry["error"].as_str() else { continue };
                assert_eq!(error.class().as_str(), expected, "{}: {error}", vector.name);
            }
        }
    }
}

#[test]
fn decoded_values_are_those_of_the_manifest() {
    for vector in accepted() {
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        let expected = &vector.entry["decoded"];
        assert!(expected.is_object(), "{}", vector.name);
        let actual = decoded(&frame, expected);
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&actual[field], value, "{}: {field}", vector.name);
        }
    }
}

/// The frame in the manifest's words. Optional parts are given where `expected` has them.
fn decoded(frame: &Frame<'_>, expected: &Value) -> Value {
    let trailer = frame.trailer();
    let fields = &trailer.fields;
    let summary = frame.summary();
    let counts: BTreeMap<String, u32> =
        summary.record_type_counts.iter().map(|(kind, count)| (kind.to_string(), *count)).collect();
    let long_keys_are_null = |index: usize| expected["records"][index]["key"].is_null();
    let records: Vec<Value> = frame
        .records()
        .enumerate()
        .map(|(index, record)| {
            json!({
                "type": record.kind().0,
                "version": record.version(),
                "flags": record.flags(),
                "offset": record.offset(),
                "key": if long_keys_are_null(index) { Value::Null } else { json!(hex(record.key())) },
                "key_len": record.key().len(),
                "body_len": record.body().len(),
                "crc": format!("{:08x}", record.stored_checksum()),
                "leaf": hex(&record.leaf()),
            })
        })
        .collect();
    let cell_desc = frame
        .records()
        .find(|record| record.kind() == RecordKind::CELL_DESC && !expected["cell_desc"].is_null())
        .map(|record| cell_desc(&CellDesc::decode(record.body()).unwrap()));
    json!({
        "beat": fields.beat.to_string(),
        "apply_mode": fields.apply_mode.number(),
        "hash_algorithm": 1,
        "compression": fields.compression.name(),
        "container": frame.came_in_container(),
        "checksum": fields.checksum.name(),
        "caps": fields.caps.to_string(),
        "cap_names": fields.caps.names().collect::<Vec<_>>(),
        "payload_history_beats": fields.payload_history_beats,
        "manifest_history_beats": fields.manifest_history_beats,
        "branch": fields.branch.map(|branch| json!({
            "glob": u8::from(branch.glob),
            "domain": branch.domain.to_string(),
            "tag": branch.tag.to_string(),
            "frame_id": branch.frame_id.to_string(),
        })),
        "merkle_root": hex(&summary.merkle_root),
        "trailer_offset": frame.trailer_record().offset(),
        "trailer_crc": format!("{:08x}", frame.trailer_record().stored_checksum()),
        "frame_size": frame.bare_bytes().len(),
        "bodies_wellformed": expected["bodies_wellformed"],
        "toc_count": trailer.toc_count,
        "record_count": summary.record_count,
        "record_type_counts": counts,
        "records": records,
        "records_blake3": hex(&summary.records_blake3),
        "payloads": payloads(frame),
        "cell_desc": cell_desc,
    })
}

fn payloads(frame: &Frame<'_>) -> Vec<Value> {
    let payloads = frame.payloads().unwrap();
    payloads
        .iter()
        .map(|payload| {
            let stored: Vec<u8> =
                payload.chunks().iter().flat_map(|(_, chunk)| chunk.data).copied().collect();
            json!({
                "base_key": hex(payload.base_key()),
                "chunks": payload.chunks().len(),
                "total_size": payload.total_size(),
                "aead_mode": payload.aead_mode().number(),
                "stored_bytes": stored.len(),
                "stored_bytes_blake3": blake3::hash(&stored).to_string(),
            })
        })
        .collect()
}

fn cell_desc(cell: &CellDesc<'_>) -> Value {
    json!({
        "cell_type": cell.cell_type.number(),
        "store_descriptor": cell.store_descriptor,
        "created": cell.created.to_string(),
        "latest": cell.latest.to_string(),
        "revision": hex(&cell.revision),
        "payload_kind": cell.payload_kind.number(),
        "fingerprint": cell.fingerprint.map(|value| hex(&value.to_le_bytes())).unwrap_or_default(),
        "inline": hex(cell.inline),
        "payload_ref": cell.payload_ref.map(|reference| json!({
            "kind": reference.kind.number(),
            "hash_alg": 1,
            "codec": reference.codec.number(),
            "aead_mode": reference.aead_mode.number(),
            "payload_size": reference.payload_size,
            "hash": hex(reference.hash),
        })),
        "meta_mask": cell.marks.mask(),
    })
}

#[test]
fn encoding_anew_gives_the_same_bytes() {
    let must = |vector: &Vector| vector.entry["kind"] != "valid-recompressed";
    for vector in accepted().iter().filter(|vector| must(vector)) {
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        assert!(frame.encode().unwrap() == vector.bytes, "{}", vector.name);
        assert!(frame.clone().into_owned().encode().unwrap() == vector.bytes, "{}", vector.name);
    }
}

#[test]
fn wellformed_bodies_and_keys_decode_and_encode_to_the_same_bytes() {
    let mut seen = BTreeMap::new();
    for vector in accepted().iter().filter(|vector| vector.entry["decoded"]["bodies_wellformed"] == true) {
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        for record in frame.records() {
            let body = Body::decode(&record).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
            assert_eq!(body.kind(), record.kind());
            assert!(body.encode() == record.body(), "{}: {}", vector.name, record.kind());
            *seen.entry(record.kind()).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 7, "every kind occurs: {seen:?}");
}

#[test]
fn policy_refuses_what_the_manifest_says_and_nothing_else() {
    let mut refused = 0;
    for vector in accepted() {
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        let class = frame.policy().into_result().err().map(|error| error.class().as_str());
        if vector.entry["ingest"] == "reject" {
            assert_eq!(class, vector.entry["ingest_error"].as_str(), "{}", vector.name);
            refused += 1;
        } else {
            assert_eq!(class, None, "{}", vector.name);
        }
    }
    assert!(refused >= 3);
}

#[test]
fn policy_names_everything_that_is_unknown_once() {
    let mut newer = rec(1, b"k", b"");
    newer.version = 9;
    let records =
        [rec(1, b"k", b""), newer.clone(), rec(8, b"k", b""), newer, rec(0, b"k", b""), rec(8, b"k", b"")];
    let of = |caps| {
        let bytes = Forge { caps: Some(caps), ..Forge::of(&records) }.bare();
        Frame::parse(&bytes, &Limits::default()).unwrap().policy()
    };
    let report = of(0x200);
    assert!(!report.is_clean());
    assert_eq!(report.unknown_kinds, [RecordKind(0), RecordKind(8)]);
    assert_eq!(report.unknown_versions, [9]);
    assert_eq!(report.into_result().unwrap_err().class(), ErrorClass::UnsupportedRecord);
    let error = of(0x4000_0A00).into_result().unwrap_err();
    assert_eq!(error.class(), ErrorClass::CapabilityMismatch);
    for named in ["0x40000800", "0x00, 0x08", "versions 9"] {
        assert!(error.message().contains(named), "{error}");
    }
}
