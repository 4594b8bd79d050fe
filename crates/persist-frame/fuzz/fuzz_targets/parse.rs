//! Arbitrary bytes as a frame: no panic, bounded memory, and what is accepted is written again to the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use persist_frame::body::Body;
use persist_frame::path::RecordKey;
use persist_frame::{Frame, Limits};

fuzz_target!(|input: &[u8]| {
    let limits = Limits { frame_bytes: 1 << 20, records: 10_000, ..Limits::default() };
    let Ok(frame) = Frame::parse(input, &limits) else { return };
    let encoded = frame.encode().expect("a frame that was read can be written");
    if frame.came_in_container() {
        let again = Frame::parse(&encoded, &limits).expect("and read again");
        assert_eq!(again.bare_bytes(), frame.bare_bytes());
    } else {
        assert_eq!(encoded, input);
    }
    frame.policy();
    frame.summary();
    frame.payloads().expect("its chunks were checked");
    for record in frame.records() {
        if let Ok(body) = Body::decode(&record) {
            assert_eq!(body.encode(), record.body());
        }
        if let Ok(key) = RecordKey::decode(record.key()) {
            assert_eq!(key.encode(), record.key());
        }
    }
});
