//! Names and paths as they occur in real frames.

use persist_frame::name::{NameId, Naming, Segment};
use persist_frame::path::{Path, RecordKey, append_segments};
use persist_frame::{ErrorClass, Frame, Limits};

use crate::manifest::accepted;

#[test]
fn keys_of_real_frames_come_apart_and_together_again() {
    let mut seen = std::collections::BTreeSet::new();
    let mut namings = std::collections::HashSet::new();
    for vector in accepted().iter().filter(|vector| vector.entry["origin"] == "c-emitter") {
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        for record in frame.records() {
            let key =
                RecordKey::decode(record.key()).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
            assert_eq!(key.encode(), record.key());
            assert_eq!(key.kind(), record.kind());
            seen.insert(key.kind());
            if let RecordKey::CellDesc(path) = key {
                assert!(
                    path.to_string().starts_with("CEP/data CEP/persist") || path.to_string().contains("CEP/")
                );
                namings.extend(path.segments().filter_map(|segment| segment.tag.naming()));
                let mut again = Vec::new();
                append_segments(path.segments(), &mut again);
                assert_eq!(again, path.as_bytes());
            }
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!([Naming::Word, Naming::Acronym, Naming::Reference].iter().all(|naming| namings.contains(naming)));
}

#[test]
fn cps_s3_chunk_keys_keep_ordinals_above_127() {
    let mut path = Vec::new();
    append_segments([Segment::from_text("CEP", "/").unwrap(), Segment::default()], &mut path);
    assert_eq!(path.len(), 17, "a segment without a name is dropped");
    let path = Path::from_bytes(&path).unwrap();
    for ordinal in [0, 1, 127, 128, 16_384, u64::MAX] {
        let key = RecordKey::PayloadChunk(path, ordinal);
        assert_eq!(RecordKey::decode(&key.encode()), Ok(key));
        let key = RecordKey::PayloadHistory(path, [0xFF; 16], ordinal);
        assert_eq!(RecordKey::decode(&key.encode()), Ok(key));
        let key = RecordKey::ManifestHistory(path, ordinal, [0x80; 16]);
        assert_eq!(RecordKey::decode(&key.encode()), Ok(key));
        let key = RecordKey::OrderDelta(path, 2, ordinal);
        assert_eq!(RecordKey::decode(&key.encode()), Ok(key));
    }
}

#[test]
fn what_is_no_key_of_a_real_record_is_refused() {
    let toy: [&[u8]; 8] =
        [b"", b"\x11\x01", b"\x01short", b"\x05\x01\x02", b"\x02", b"\x03\x80", b"\x09", b"\x06\x01\x02"];
    for key in toy {
        assert_eq!(RecordKey::decode(key).unwrap_err().class(), ErrorClass::Name, "{key:?}");
    }
    let mut segment = Segment::from_text("CEP", "data").unwrap().to_bytes();
    segment[16] = 2;
    assert_eq!(Path::from_bytes(&segment).unwrap_err().class(), ErrorClass::Name);
}

#[test]
fn names_print_as_people_know_them() {
    let segment = Segment {
        tag: NameId::reference(4097).unwrap(),
        glob: true,
        ..Segment::from_text("CEP", "x").unwrap()
    };
    assert_eq!(segment.to_string(), "CEP/ref:4097~");
    assert_eq!(NameId(u64::MAX).to_string(), "0xffffffffffffffff");
}
