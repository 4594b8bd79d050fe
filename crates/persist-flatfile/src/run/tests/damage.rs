//! Every bit flipped, every length cut: the right answer or a typed error, never a wrong or missing record.

use std::ops::{Bound, ControlFlow};

use persist_api::{Direction, ErrorKind, KeyRange};

use super::*;
use crate::run::{RangeKind, hash};

const FLOOR: u64 = 50;
const LAST: u64 = 60;

struct Sample {
    bytes: Vec<u8>,
    model: Model,
    rows: Vec<(Vec<u8>, u64, Kept)>,
    ranges: Vec<RangeDelete>,
    headers: Vec<BeatHeader>,
    absent: Vec<Vec<u8>>,
}

fn sample(keys: u64) -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let model = mixed(keys, FLOOR, LAST);
    let ranges = vec![RangeDelete {
        start: Bound::Included(b"key/1".to_vec()),
        end: Bound::Unbounded,
        beat: BeatNo(LAST),
        kind: RangeKind::Deleted,
    }];
    let headers: Vec<BeatHeader> = (FLOOR..=LAST).map(header).collect();
    write(dir.path(), head(LAST, FLOOR), SMALL, &model, &ranges, &headers);
    let rows = model.iter().map(|((key, Reverse(beat)), kept)| (key.clone(), *beat, kept.clone())).collect();
    let absent = (0..keys).map(|n| format!("key/{:05}", n * 7 + 3).into_bytes()).collect();
    Sample { bytes: bytes_of(dir.path()), model, rows, ranges, headers, absent }
}

/// Reads everything in every way. Answers whether any of it failed; a wrong answer panics.
fn read_all(sample: &Sample, bytes: &[u8], what: &str) -> bool {
    let mut failed = false;
    let mut told = |error: &persist_api::Error| {
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Mismatch), "{what}: {error}");
        failed = true;
    };
    let run = match open(bytes) {
        Ok(run) => run,
        Err(error) => {
            told(&error);
            return true;
        }
    };
    assert_eq!(run.ranges(), sample.ranges, "{what}");
    assert_eq!(run.head(), &head(LAST, FLOOR), "{what}");
    match run.headers() {
        Ok(headers) => assert_eq!(headers, sample.headers, "{what}"),
        Err(error) => told(&error),
    }
    for ((key, Reverse(beat)), kept) in &sample.model {
        match run.get(key, hash(key), BeatNo(*beat)) {
            Ok(found) => {
                let found = found.map(|version| (version.beat.0, Kept::of(&version.stored)));
                assert_eq!(found, Some((*beat, kept.clone())), "{what}: {key:?} at {beat}");
            }
            Err(error) => told(&error),
        }
    }
    for key in &sample.absent {
        match run.get(key, hash(key), BeatNo(LAST)) {
            Ok(found) => assert_eq!(found, None, "{what}: {key:?}"),
            Err(error) => told(&error),
        }
    }
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut seen = Vec::new();
        let done = run.visit(&KeyRange::all(), direction, |key, version| {
            seen.push(kept((key, version)));
            ControlFlow::Continue(())
        });
        let whole = done.is_ok();
        if let Err(error) = done {
            told(&error);
        }
        let part = |n: usize| match direction {
            Direction::Forward => sample.rows.get(n),
            Direction::Reverse => sample.rows.iter().rev().nth(n),
        };
        assert!(seen.iter().enumerate().all(|(n, row)| part(n) == Some(row)), "{what}");
        assert!(!whole || seen.len() == sample.rows.len(), "{what}: rows are missing");
    }
    failed
}

#[test]
fn no_flipped_bit_goes_unnoticed_or_is_harmful() {
    let sample = sample(20);
    assert!(!read_all(&sample, &sample.bytes, "whole"));
    let mut bytes = sample.bytes.clone();
    let mut noticed = 0;
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        noticed += usize::from(read_all(&sample, &bytes, &format!("bit {bit}")));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // What is harmless: head, foot (each stands for the other), filters (not asked), padding.
    assert!(noticed * 10 > bytes.len() * 8 * 6, "{noticed} of {}", bytes.len() * 8);
}

#[test]
fn no_cut_goes_unnoticed() {
    let sample = sample(20);
    for len in 0..sample.bytes.len() {
        assert!(read_all(&sample, &sample.bytes[..len], &format!("cut to {len}")));
    }
    for more in [1, 7, 8, 4096] {
        let mut longer = sample.bytes.clone();
        longer.resize(longer.len() + more, 0);
        assert!(read_all(&sample, &longer, "longer"));
    }
}
