//! What verifying a frame costs beside the hashing that no reader can avoid.
//!
//! ```text
//! cargo run --release -p persist-frame --example verify_cost [part of a row's name]
//! ```
//!
//! The unavoidable part: checksum and BLAKE3 of every span, BLAKE3 of the tree's parents, BLAKE3 of each chunk's key.
//! Both are measured in turns on one thread; the ratio is taken within a turn, and the median is printed with the
//! smallest and the largest. `fastest` compares the fastest turn of each side, which a busy machine disturbs least.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use persist_frame::aead::AeadMode;
use persist_frame::body::{PayloadChunk, PayloadKind};
use persist_frame::{
    Checksum, Frame, FrameCaps, FrameWriter, Limits, NewRecord, RecordKind, TrailerFields, varint,
};

const FRAME_BYTES: usize = 10_000_000;
const TURNS: usize = 41;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!(
        "{:<44} {:>9} {:>10} {:>10}   ratio (min to max)   fastest",
        "frame of 10 MB", "records", "hashing", "verified"
    );
    for checksum in [Checksum::Crc32, Checksum::RawCastagnoli] {
        let name = checksum.name();
        report(&format!("chunks of 4 KiB, {name}"), &chunks(checksum, 4096)?)?;
        report(&format!("chunks of 100 bytes, {name}"), &chunks(checksum, 100)?)?;
        report(&format!("records of 100 bytes, key order, {name}"), &records(checksum, false)?)?;
        report(&format!("records of 100 bytes, random order, {name}"), &records(checksum, true)?)?;
    }
    Ok(())
}

fn writer(checksum: Checksum) -> FrameWriter {
    FrameWriter::new(TrailerFields {
        caps: FrameCaps::FRAME_TOC,
        checksum,
        beat: 1,
        ..TrailerFields::default()
    })
}

/// One payload in chunks of `size` bytes, under a path of five segments as real cells have.
fn chunks(checksum: Checksum, size: usize) -> Result<Vec<u8>> {
    // A small chunk brings more key than data: to its record, and once more to the table of contents.
    let total = FRAME_BYTES / (size + 250) * size;
    let payload: Vec<u8> = (0..=250).cycle().take(total).collect();
    let mut writer = writer(checksum);
    for (ordinal, data) in payload.chunks(size).enumerate() {
        let mut key = vec![0x02];
        key.extend_from_slice(&[0x11; 85]);
        varint::encode(ordinal as u64, &mut key);
        let aad_hash = blake3::hash(&key);
        let chunk = PayloadChunk {
            payload_kind: PayloadKind::Data,
            total_size: total as u64,
            chunk_offset: (ordinal * size) as u64,
            chunk_size: data.len() as u64,
            fingerprint: Some(7),
            aead_mode: AeadMode::None,
            nonce: &[],
            aad_hash: aad_hash.as_bytes(),
            data,
        };
        writer.push(NewRecord::new(RecordKind::PAYLOAD_CHUNK, &key, &chunk.encode()))?;
    }
    Ok(writer.finish()?)
}

/// Records of 100 bytes, checksum included, with keys of 35 bytes.
fn records(checksum: Checksum, random: bool) -> Result<Vec<u8>> {
    let mut writer = writer(checksum);
    for number in 0..(FRAME_BYTES / 100) as u64 {
        let spread = if random { number.wrapping_mul(0x9E37_79B9_7F4A_7C15) } else { number };
        let key = [&[0x03_u8; 27][..], &spread.to_be_bytes()].concat();
        writer.push(NewRecord::new(RecordKind(0x03), &key, &[0x5A; 55]))?;
    }
    Ok(writer.finish()?)
}

/// What must be hashed: spans, keys of chunks, number of leaves.
struct Work<'f> {
    checksum: Checksum,
    spans: Vec<&'f [u8]>,
    chunk_keys: Vec<&'f [u8]>,
}

impl<'f> Work<'f> {
    fn of(frame: &'f Frame<'_>) -> Self {
        let chunk = |record: &persist_frame::Record<'_>| record.kind() == RecordKind::PAYLOAD_CHUNK;
        Self {
            checksum: frame.trailer().fields.checksum,
            spans: frame.records().chain([frame.trailer_record()]).map(|record| record.span()).collect(),
            chunk_keys: frame.records().filter(chunk).map(|record| record.key()).collect(),
        }
    }

    fn hash(&self) {
        let mut level: Vec<[u8; 32]> = Vec::with_capacity(self.spans.len());
        for (index, span) in self.spans.iter().enumerate() {
            black_box(self.checksum.of(span));
            if index + 1 < self.spans.len() {
                level.push(*blake3::hash(span).as_bytes());
            }
        }
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => *blake3::hash([*left, *right].as_flattened()).as_bytes(),
                    _ => *blake3::hash(pair.repeat(2).as_flattened()).as_bytes(),
                })
                .collect();
        }
        black_box(level);
        for key in &self.chunk_keys {
            black_box(blake3::hash(key));
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn report(name: &str, bytes: &[u8]) -> Result<()> {
    if std::env::args().nth(1).is_some_and(|wanted| !name.contains(&wanted)) {
        return Ok(());
    }
    let limits = Limits::default();
    let frame = Frame::parse(bytes, &limits)?;
    let work = Work::of(&frame);
    let mut turns: Vec<(f64, Duration, Duration)> = (0..TURNS)
        .map(|_| {
            let hashing = timed(|| work.hash());
            let verified =
                timed(|| Frame::parse(black_box(bytes), &limits).map(|frame| frame.records().len()));
            (verified.as_secs_f64() / hashing.as_secs_f64(), hashing, verified)
        })
        .collect();
    turns.sort_by(|one, other| one.0.total_cmp(&other.0));
    let fastest =
        |side: fn(&(f64, Duration, Duration)) -> Duration| turns.iter().map(side).min().unwrap_or_default();
    let fastest = fastest(|turn| turn.2).as_secs_f64() / fastest(|turn| turn.1).as_secs_f64();
    let (Some(best), Some(middle), Some(worst)) = (turns.first(), turns.get(TURNS / 2), turns.last()) else {
        return Ok(());
    };
    println!(
        "{name:<44} {:>9} {:>8.2}ms {:>8.2}ms   {:.3} ({:.3} to {:.3})   {fastest:.3}",
        frame.records().len(),
        middle.1.as_secs_f64() * 1e3,
        middle.2.as_secs_f64() * 1e3,
        middle.0,
        best.0,
        worst.0
    );
    Ok(())
}
