//! What the writer derives and what it refuses.

use persist_frame::{
    Branch, Compression, ErrorClass, Frame, FrameCaps, FrameError, FrameWriter, Limits, NewRecord,
    RecordKind, TrailerFields,
};

use crate::forge::chunk;
use crate::manifest::accepted;

fn finish(fields: TrailerFields, records: &[NewRecord<'_>]) -> Result<Vec<u8>, FrameError> {
    let mut writer = FrameWriter::new(fields);
    records.iter().try_for_each(|record| writer.push(*record))?;
    writer.finish()
}

fn one(kind: u8) -> NewRecord<'static> {
    NewRecord::new(RecordKind(kind), b"key", b"body")
}

#[test]
fn derived_bits_are_those_that_the_real_emitter_set() {
    let mut compared = 0;
    for vector in accepted().iter().filter(|vector| vector.entry["origin"] == "c-emitter") {
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        let fields = TrailerFields { caps: FrameCaps::NONE, ..frame.trailer().fields };
        let mut writer = FrameWriter::new(fields);
        frame.records().for_each(|record| writer.push(NewRecord::from(record)).unwrap());
        assert!(!writer.is_empty() && writer.len() < vector.bytes.len() * 100);
        writer.derive_caps();
        assert!(writer.finish().unwrap() == vector.bytes, "{}", vector.name);
        compared += 1;
    }
    assert!(compared > 30);
}

#[test]
fn contradictory_capability_bits_are_refused() {
    let with = |caps, compression, branch| {
        let fields = TrailerFields { caps, compression, branch, ..TrailerFields::default() };
        finish(fields, &[one(1)]).map_err(|error| error.class())
    };
    let branch = Some(Branch::default());
    assert_eq!(with(FrameCaps::BRANCH_METADATA, Compression::None, None), Err(ErrorClass::BranchMetadata));
    assert_eq!(with(FrameCaps::NONE, Compression::None, branch), Err(ErrorClass::BranchMetadata));
    assert_eq!(
        with(FrameCaps::FRAME_COMPRESSION, Compression::None, None),
        Err(ErrorClass::CapabilityInconsistent)
    );
    assert_eq!(with(FrameCaps::NONE, Compression::Deflate, None), Err(ErrorClass::CapabilityInconsistent));
    assert!(with(FrameCaps::BRANCH_METADATA, Compression::None, branch).is_ok());
}

#[test]
fn records_that_a_reader_would_refuse_are_refused() {
    let class = |record| finish(TrailerFields::default(), &[record]).unwrap_err().class();
    assert_eq!(class(one(0xFF)), ErrorClass::Writer);
    assert_eq!(class(NewRecord { version: 0, ..one(1) }), ErrorClass::RecordVersion);
    let half = chunk(b"base", 0, 10, 0, b"half").rec();
    assert_eq!(class(NewRecord::new(RecordKind(2), &half.key, &half.body)), ErrorClass::ChunkUnsealed);
    // The first four bytes would be those of a container.
    let lookalike = NewRecord { version: b'L', flags: u16::from_le_bytes(*b"FC"), ..one(b'T') };
    assert_eq!(class(lookalike), ErrorClass::Writer);
    // Inside a container nothing can be mistaken.
    let caps = FrameCaps::FRAME_COMPRESSION.with(FrameCaps::FRAME_TOC);
    let fields = TrailerFields { caps, compression: Compression::Deflate, ..TrailerFields::default() };
    let bytes = finish(fields, &[lookalike]).unwrap();
    assert_eq!(Frame::parse(&bytes, &Limits::default()).unwrap().encode().unwrap(), bytes);
}

#[test]
fn limits_hold_and_a_refused_record_leaves_no_trace() {
    let limits = Limits { frame_bytes: 200, records: 2, key_bytes: 3, ..Limits::default() };
    let mut writer = FrameWriter::with_limits(TrailerFields::default(), limits);
    writer.push(one(1)).unwrap();
    let len = writer.len();
    let long_key = NewRecord::new(RecordKind(1), b"long", b"");
    assert_eq!(writer.push(long_key).unwrap_err().class(), ErrorClass::Limit);
    let long_body = NewRecord::new(RecordKind(1), b"k", &[0; 200]);
    assert_eq!(writer.push(long_body).unwrap_err().class(), ErrorClass::Limit);
    assert_eq!(writer.len(), len);
    writer.push(one(1)).unwrap();
    assert_eq!(writer.push(one(1)).unwrap_err().class(), ErrorClass::Limit);
    let bytes = writer.finish().unwrap();
    assert_eq!(Frame::parse(&bytes, &limits).unwrap().records().len(), 2);
    let mut writer = FrameWriter::with_limits(TrailerFields::default(), Limits { frame_bytes: 60, ..limits });
    writer.push(one(1)).unwrap();
    assert_eq!(writer.finish().unwrap_err().class(), ErrorClass::Limit, "the trailer counts too");
}
