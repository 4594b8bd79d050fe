//! What ingestion refuses, how it says so, and that nothing changes.

use persist_api::{Caps, ErrorKind};
use persist_cps::{BodyRule, IngestOptions, Plan};
use persist_frame::name::{NameId, Segment};
use persist_frame::{ApplyMode, FrameCaps, FrameError, Limits, NewRecord, RecordKind, TrailerFields};

use crate::kit::{Place, frame};

fn fields() -> TrailerFields {
    TrailerFields { beat: 9, ..TrailerFields::default() }
}

/// The key of a description of a cell that a reader would find.
fn cell_key() -> Vec<u8> {
    let segment = Segment::from_text("CEP", "data").unwrap();
    assert_ne!(segment.tag, NameId::NONE);
    [&[RecordKind::CELL_DESC.0][..], &segment.to_bytes()].concat()
}

#[test]
fn cps_s2_every_refusal_is_typed_and_changes_nothing() {
    let mut place = Place::new();
    place.put(b"before", b"frames");
    let before = place.state();
    let toy = NewRecord::new(RecordKind::CELL_DESC, b"key", b"body");
    let good = frame(fields(), &[toy]);
    let mut flipped = good.clone();
    flipped[9] ^= 1;
    let cases: [(&str, Vec<u8>, ErrorKind, &[&str]); 8] = [
        ("nothing", Vec::new(), ErrorKind::Corrupt, &["missing_trailer"]),
        ("a flipped bit", flipped, ErrorKind::Corrupt, &["crc", "at byte 0"]),
        ("a cut", good[..good.len() - 1].to_vec(), ErrorKind::Corrupt, &["truncated"]),
        (
            "unknown bits",
            frame(TrailerFields { caps: FrameCaps::from_bits(0x8000_1800), ..fields() }, &[toy]),
            ErrorKind::Refused,
            &["CAPABILITY_MISMATCH", "0x80001800"],
        ),
        (
            "an unknown version",
            frame(fields(), &[toy, NewRecord { version: 7, ..toy }]),
            ErrorKind::Refused,
            &["CAPABILITY_MISMATCH", "record versions 7"],
        ),
        (
            "unknown kinds",
            frame(
                fields(),
                &[NewRecord { kind: RecordKind(0x20), ..toy }, NewRecord { kind: RecordKind(9), ..toy }],
            ),
            ErrorKind::Refused,
            &["CAPABILITY_MISMATCH", "record types 0x09, 0x20"],
        ),
        (
            "apply mode 2",
            frame(TrailerFields { apply_mode: ApplyMode::Upsert, ..fields() }, &[toy]),
            ErrorKind::Unsupported,
            &["apply mode 2"],
        ),
        (
            "a malformed body of a real cell",
            frame(fields(), &[toy, NewRecord::new(RecordKind::CELL_DESC, &cell_key(), b"body")]),
            ErrorKind::Corrupt,
            &["record 1 (cell_desc)", "body"],
        ),
    ];
    for (what, bytes, kind, named) in cases {
        let error = place.ingest(&bytes).unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert_ne!(error.advice(), persist_api::Advice::Restore, "{what}: the store is not what is wrong");
        for name in named {
            assert!(error.context().contains(name), "{what}: {error}");
        }
        if kind != ErrorKind::Unsupported {
            let source = std::error::Error::source(&error).expect("the frame's own error");
            assert!(source.is::<FrameError>(), "{what}");
        }
        assert_eq!(place.state(), before, "{what}");
    }
    assert_eq!(place.ingest(&good).unwrap().receipt.beat.0, before.0 + 1);
}

#[test]
fn a_body_that_does_not_decode_is_placed_in_its_frame() {
    let records = [b"key".to_vec(), cell_key()].map(|key| (key, b"body"));
    let records = records.each_ref().map(|(key, body)| NewRecord::new(RecordKind::CELL_DESC, key, *body));
    let bytes = frame(fields(), &records);
    let error = Place::new().ingest(&bytes).unwrap_err();
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<FrameError>());
    let whole = [&cell_key()[..], b"body"].concat();
    let key_at = bytes.windows(whole.len()).position(|window| window == whole).unwrap();
    let body_at = (key_at + cell_key().len()) as u64;
    let offset = source.unwrap().offset().unwrap();
    assert!((body_at..=body_at + 4).contains(&offset), "{offset}, the body is at {body_at}");
}

#[test]
fn bodies_under_other_keys_are_kept_unless_all_must_decode() {
    let bytes = frame(fields(), &[NewRecord::new(RecordKind::CELL_DESC, b"key", b"body")]);
    let mut place = Place::new();
    assert_eq!(place.ingest(&bytes).unwrap().opaque_records, 1);
    let strict = IngestOptions { bodies: BodyRule::All, ..IngestOptions::default() };
    assert_eq!(place.ingest_with(&bytes, &strict).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn limits_of_the_reader_are_kept() {
    let bytes = frame(fields(), &[NewRecord::new(RecordKind::CELL_DESC, b"key", &[0; 200])]);
    let limits = Limits { frame_bytes: 100, ..Limits::default() };
    let options = IngestOptions { limits, ..IngestOptions::default() };
    let mut place = Place::new();
    assert_eq!(place.ingest_with(&bytes, &options).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(place.state().0, 0);
}

#[test]
fn nothing_is_written_over_where_a_frame_goes() {
    let bytes = frame(fields(), &[NewRecord::new(RecordKind::CELL_DESC, b"key", b"body")]);
    for (key, taken) in [
        (&b"frame/00000000000000000002"[..], true),
        (b"frame/00000000000000000002/0000000000", true),
        (b"frame/00000000000000000002/notes", true),
        (b"frame/00000000000000000002+", false),
        (b"frame/000000000000000000020", false),
        (b"frame/00000000000000000001", false),
        (b"frame/00000000000000000003", false),
    ] {
        let mut place = Place::new();
        place.put(key, b"theirs");
        let before = place.state();
        let done = place.ingest(&bytes);
        if !taken {
            assert_eq!(done.unwrap().receipt.beat.0, 2, "{}", key.escape_ascii());
            continue;
        }
        let error = done.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.context().contains(&key.escape_ascii().to_string()), "{error}");
        assert_eq!(place.state(), before);
    }
}

#[test]
fn cps_s2_a_store_that_grants_too_little_is_refused_before_anything_is_planned() {
    let bytes = frame(fields(), &[]);
    let error = Plan::new(&bytes, Caps::BEAT_ATOMIC, &IngestOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.context().contains("PREFIX_SCAN ORDERED"), "{error}");
}
