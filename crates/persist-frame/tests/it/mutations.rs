//! A bounded fuzz run that is the same every time: seeded mutations of every vector.

use persist_frame::body::Body;
use persist_frame::path::RecordKey;
use persist_frame::{Frame, Limits};

use crate::manifest::vectors;

/// How many mutations, unless `PERSIST_FUZZ_ROUNDS` says otherwise.
const ROUNDS: usize = 20_000;

/// A small generator (splitmix64), so that a failing round can be run again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Values at which lengths and counts break.
const EDGES: [u64; 8] = [0, 1, 0x7F, 0x80, 0xFFFF_FFFF, 1 << 32, 1 << 60, u64::MAX];

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF][random.below(7)],
            2 => bytes.truncate(at),
            3 => {
                let mut varint = Vec::new();
                persist_frame::varint::encode(EDGES[random.below(8)], &mut varint);
                bytes.splice(at..at, varint);
            }
            4 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            5 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len());
                let to = (from + random.below(200)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let edge = EDGES[random.below(8)].to_le_bytes();
                bytes.iter_mut().skip(at).zip(edge).for_each(|(to, from)| *to = from);
            }
        }
    }
}

/// Repairs checksums so that what lies behind them is reached too: walks like a reader and rewrites each.
fn repair(bytes: &mut [u8]) {
    let mut start = 0;
    while let Some(header) = bytes.get(start + 4..) {
        let Ok((key_len, first)) = persist_frame::varint::decode(header) else { return };
        let Ok((body_len, second)) = persist_frame::varint::decode(&header[first..]) else { return };
        let end = (start as u64 + 4 + (first + second) as u64)
            .checked_add(key_len)
            .and_then(|n| n.checked_add(body_len));
        let Some(end) = end.filter(|end| end.checked_add(4).is_some_and(|end| end <= bytes.len() as u64))
        else {
            return;
        };
        let end = end as usize;
        let sum = persist_frame::Checksum::Crc32.of(&bytes[start..end]);
        bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
        start = end + 4;
    }
}

#[test]
fn mutated_vectors_never_panic_and_what_is_accepted_round_trips() {
    let originals: Vec<Vec<u8>> =
        vectors().into_iter().map(|vector| vector.bytes).filter(|b| b.len() < 8192).collect();
    let limits = Limits { frame_bytes: 1 << 20, ..Limits::default() };
    let mut random = Random(0x5EED);
    let (mut accepted, mut classes) = (0, std::collections::BTreeSet::new());
    let asked = std::env::var("PERSIST_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    for _ in 0..asked.unwrap_or(ROUNDS) {
        let mut bytes = originals[random.below(originals.len())].clone();
        mutate(&mut bytes, &originals, &mut random);
        if random.below(2) == 0 {
            repair(&mut bytes);
        }
        match Frame::parse(&bytes, &limits) {
            Err(error) => _ = classes.insert(error.class().as_str()),
            Ok(frame) => {
                accepted += 1;
                let encoded = frame.encode().unwrap();
                assert!(frame.came_in_container() || encoded == bytes);
                assert_eq!(Frame::parse(&encoded, &limits).unwrap().bare_bytes(), frame.bare_bytes());
                exercise(&frame);
            }
        }
    }
    assert!(accepted > 0, "some mutations change nothing that matters");
    assert!(classes.len() > 20, "the run reaches deep: {classes:?}");
}

fn exercise(frame: &Frame<'_>) {
    frame.policy();
    frame.summary();
    for payload in frame.payloads().unwrap() {
        _ = payload.open(Some(&persist_frame::aead::AeadKey::new([1; 32])));
    }
    for record in frame.records() {
        if let Ok(body) = Body::decode(&record) {
            assert_eq!(body.encode(), record.body());
        }
        if let Ok(key) = RecordKey::decode(record.key()) {
            assert_eq!(key.encode(), record.key());
        }
    }
}
