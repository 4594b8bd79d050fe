//! Laws over arbitrary frames: what is written is read, what is changed is refused.

use persist_frame::{
    ApplyMode, Branch, Checksum, Compression, Frame, FrameCaps, FrameWriter, Limits, NewRecord, RecordKind,
    TrailerFields, container,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct OwnedRecord {
    kind: u8,
    version: u8,
    flags: u16,
    key: Vec<u8>,
    body: Vec<u8>,
}

impl OwnedRecord {
    fn parts(&self) -> NewRecord<'_> {
        NewRecord {
            kind: RecordKind(self.kind),
            version: self.version,
            flags: self.flags,
            key: &self.key,
            body: &self.body,
        }
    }
}

/// Any record but a trailer and a chunk; chunks have rules and a test of their own.
fn record() -> impl Strategy<Value = OwnedRecord> {
    let kind = any::<u8>().prop_filter("a kind without rules", |kind| ![2, 0xFF].contains(kind));
    let key = prop_oneof![vec(any::<u8>(), 0..40), vec(0_u8..2, 0..4), vec(Just(b'k'), 0..20)];
    (kind, 1_u8.., any::<u16>(), key, vec(any::<u8>(), 0..200))
        .prop_map(|(kind, version, flags, key, body)| OwnedRecord { kind, version, flags, key, body })
}

fn branch() -> impl Strategy<Value = Branch> {
    (any::<bool>(), any::<u64>(), any::<u64>(), any::<u64>())
        .prop_map(|(glob, domain, tag, frame_id)| Branch { glob, domain, tag, frame_id })
}

fn fields(compression: impl Strategy<Value = bool>) -> impl Strategy<Value = TrailerFields> {
    let windows = (any::<u32>(), any::<u32>());
    (any::<u64>(), 0_u8..3, compression, any::<bool>(), windows, any::<u32>(), option::of(branch())).prop_map(
        |(beat, mode, deflate, castagnoli, windows, caps, branch)| {
            let set = |caps: FrameCaps, bit, on| if on { caps.with(bit) } else { caps.without(bit) };
            let caps = set(FrameCaps::from_bits(caps), FrameCaps::FRAME_COMPRESSION, deflate);
            TrailerFields {
                beat,
                apply_mode: ApplyMode::from_number(mode).unwrap(),
                compression: if deflate { Compression::Deflate } else { Compression::None },
                checksum: Checksum::from_number(u8::from(castagnoli)).unwrap(),
                payload_history_beats: windows.0,
                manifest_history_beats: windows.1,
                caps: set(caps, FrameCaps::BRANCH_METADATA, branch.is_some()),
                branch,
            }
        },
    )
}

fn write(fields: TrailerFields, records: &[OwnedRecord]) -> Vec<u8> {
    let mut writer = FrameWriter::new(fields);
    for record in records {
        writer.push(record.parts()).unwrap();
    }
    writer.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_and_written_again(fields in fields(any::<bool>()), records in vec(record(), 0..40)) {
        let bytes = write(fields, &records);
        let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
        prop_assert_eq!(frame.trailer().fields, fields);
        prop_assert_eq!(frame.records().len(), records.len());
        for (read, written) in frame.records().zip(&records) {
            prop_assert_eq!(NewRecord::from(read), written.parts());
        }
        prop_assert!(frame.encode().unwrap() == bytes);
        prop_assert_eq!(frame.policy().unknown_caps, fields.caps.unknown());
    }

    #[test]
    fn any_flipped_bit_of_a_bare_frame_is_refused(fields in fields(Just(false)), records in vec(record(), 0..4)) {
        let mut bytes = write(fields, &records);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                prop_assert!(Frame::parse(&bytes, &Limits::default()).is_err(), "byte {} bit {}", at, bit);
                bytes[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn no_proper_prefix_and_no_extension_is_accepted(
        fields in fields(any::<bool>()), records in vec(record(), 0..6), more in vec(any::<u8>(), 1..9),
    ) {
        let bytes = write(fields, &records);
        for len in 0..bytes.len() {
            prop_assert!(Frame::parse(&bytes[..len], &Limits::default()).is_err(), "{} of {}", len, bytes.len());
        }
        prop_assert!(Frame::parse(&[bytes, more].concat(), &Limits::default()).is_err());
    }

    #[test]
    fn a_flipped_bit_of_a_container_never_changes_what_is_read(
        fields in fields(Just(true)), records in vec(record(), 0..4),
    ) {
        let mut bytes = write(fields, &records);
        let read = Frame::parse(&bytes, &Limits::default()).unwrap().into_owned();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                // Deflate can say one thing in several ways, so a flip may be accepted, but only as the same frame.
                if let Ok(other) = Frame::parse(&bytes, &Limits::default()) {
                    prop_assert!(at >= container::HEADER_LEN && other.bare_bytes() == read.bare_bytes());
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Frame::parse(&bytes, &Limits::default()).is_err());
        let trailer_like = [&[0xFF, 1, 0, 0, 0][..], &[bytes.len() as u8 & 0x7F], &bytes].concat();
        prop_assert!(Frame::parse(&trailer_like, &Limits::default()).is_err());
        let container_like = [&b"TLFC\x01\x01\x00\x00"[..], &bytes].concat();
        prop_assert!(Frame::parse(&container_like, &Limits::default()).is_err());
    }

    #[test]
    fn the_digest_of_the_records_ignores_how_they_travelled(
        records in vec(record(), 0..10), one in fields(any::<bool>()), other in fields(any::<bool>()),
    ) {
        let digest = |fields| {
            let bytes = write(fields, &records);
            let summary = Frame::parse(&bytes, &Limits::default()).unwrap().summary();
            (summary.records_blake3, summary.merkle_root, summary.record_type_counts)
        };
        prop_assert_eq!(digest(one), digest(other));
    }
}
