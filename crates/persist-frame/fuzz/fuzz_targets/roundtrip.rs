//! Arbitrary records through the writer and back: what the writer accepts, the reader gives back unchanged.

#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use persist_frame::{
    ApplyMode, Branch, Checksum, Compression, Frame, FrameCaps, FrameWriter, Limits, NewRecord, RecordKind,
    TrailerFields,
};

type Record = (u8, u8, u16, Vec<u8>, Vec<u8>);
type Fields = (u64, u8, bool, bool, u32, u32, u32, Option<(bool, u64, u64, u64)>);

fn fields((beat, mode, deflate, castagnoli, payload, manifest, caps, branch): Fields) -> TrailerFields {
    TrailerFields {
        beat,
        apply_mode: ApplyMode::from_number(mode % 3).unwrap_or_default(),
        compression: if deflate { Compression::Deflate } else { Compression::None },
        checksum: if castagnoli { Checksum::RawCastagnoli } else { Checksum::Crc32 },
        payload_history_beats: payload,
        manifest_history_beats: manifest,
        caps: FrameCaps::from_bits(caps),
        branch: branch.map(|(glob, domain, tag, frame_id)| Branch { glob, domain, tag, frame_id }),
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    let Ok((chosen, records)) = <(Fields, Vec<Record>)>::arbitrary(&mut input) else { return };
    let fields = fields(chosen);
    let mut writer = FrameWriter::new(fields);
    let mut written = Vec::new();
    for (kind, version, flags, key, body) in &records {
        let record = NewRecord { kind: RecordKind(*kind), version: *version, flags: *flags, key, body };
        if writer.push(record).is_ok() {
            written.push(record);
        }
    }
    let Ok(bytes) = writer.finish() else { return };
    let frame = Frame::parse(&bytes, &Limits::default()).expect("what was written can be read");
    assert_eq!(frame.trailer().fields, fields);
    assert!(frame.records().map(NewRecord::from).eq(written));
    assert_eq!(frame.encode().expect("and written again"), bytes);
});
