//! Memory stays bounded before anything is trusted: peaks measured by a counting allocator.
//!
//! Counts are per thread, so that tests may run side by side. zlib allocates through Rust and is counted too. A
//! reallocation counts as if old and new block lay side by side for a moment.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use persist_frame::{ErrorClass, Frame, Limits, container};

use crate::forge::{self, Forge, chunk, number, rec, zlib};
use crate::manifest::vectors;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn grow(bytes: usize) {
    // Blocks can be freed by another thread than the one that asked for them, hence the wrapping arithmetic.
    let live = LIVE.get().wrapping_add(bytes);
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

fn shrink(bytes: usize) {
    LIVE.set(LIVE.get().wrapping_sub(bytes));
}

#[allow(unsafe_code, reason = "an allocator is unsafe by definition; this one only counts and passes on")]
// SAFETY: every call goes to the system allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: the caller's promise about `block` and `layout` is passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        shrink(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` needs at its worst, beyond what is allocated already.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    // A base in the middle of the range, so that frees of older blocks cannot wrap.
    const BASE: usize = usize::MAX / 2;
    LIVE.set(BASE);
    PEAK.set(BASE);
    let result = work();
    (result, PEAK.get() - BASE)
}

fn refused(bytes: &[u8], limits: &Limits) -> (ErrorClass, usize) {
    let (result, peak) = peak_of(|| Frame::parse(bytes, limits).map(drop));
    (result.unwrap_err().class(), peak)
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[test]
fn the_counter_counts() {
    let (block, peak) = peak_of(|| vec![1_u8; 5 * MIB]);
    assert_eq!(peak, 5 * MIB);
    let ((), peak) = peak_of(|| drop(block));
    assert_eq!(peak, 0);
    let ((), peak) = peak_of(|| {
        let mut growing = vec![1_u8; MIB];
        growing.reserve_exact(MIB);
    });
    assert_eq!(peak, 3 * MIB, "old and new block at once");
}

#[test]
fn every_vector_stays_within_a_small_multiple_of_what_is_there() {
    for vector in vectors() {
        let (_, peak) =
            peak_of(|| Frame::parse(&vector.bytes, &Limits::default()).map(|frame| frame.bare_bytes().len()));
        let hostile = vector.entry["kind"] == "hostile";
        // 7 KiB of a zlib stream need about 40 KiB of state and a first buffer of 64 KiB.
        let bound = if hostile { 16 * KIB } else { 192 * KIB + 8 * vector.bytes.len() };
        assert!(peak <= bound, "{}: {peak} bytes for {}", vector.name, vector.bytes.len());
    }
}

#[test]
fn declared_sizes_alone_cost_nothing() {
    let plain = Forge::of(&[rec(1, b"k", b"v")]);
    let toc = |count: u64| Forge { toc: Some([number(count), vec![0; 64]].concat()), ..plain.clone() }.bare();
    let boxed = |raw: u64, compressed: u64| {
        let mut bytes = plain.container();
        bytes[8..16].copy_from_slice(&raw.to_le_bytes());
        bytes[16..24].copy_from_slice(&compressed.to_le_bytes());
        bytes
    };
    let lying = |lengths: Vec<u8>| {
        let mut record = rec(2, b"k", b"v");
        record.lengths = Some(lengths);
        Forge::of(&[record]).bare()
    };
    let stream = plain.container().len() as u64 - container::HEADER_LEN as u64;
    let cases = [
        (toc(1 << 60), ErrorClass::Toc),
        (toc(1 << 32), ErrorClass::Toc),
        (boxed(1 << 63, stream), ErrorClass::Limit),
        (boxed(1 << 40, stream), ErrorClass::Limit),
        (boxed(150, u64::MAX - 23), ErrorClass::Container),
        (lying([number(u64::MAX), number(u64::MAX)].concat()), ErrorClass::Truncated),
        (lying([number(1), number(1 << 40)].concat()), ErrorClass::Truncated),
    ];
    for (bytes, class) in cases {
        let (actual, peak) = refused(&bytes, &Limits::default());
        assert_eq!(actual, class);
        assert!(peak < 4 * KIB, "{class}: {peak}");
    }
    // Within the limit, but not within the stream: the buffer grows with what comes, not with what is announced.
    let (class, peak) = refused(&boxed(64 << 20, stream), &Limits::default());
    assert_eq!(class, ErrorClass::Container);
    assert!(peak < 256 * KIB, "{peak}");
}

#[test]
fn a_bomb_stops_at_what_it_announced_and_at_the_record_limit() {
    let zeros = vec![0; 64 * MIB];
    let stream = zlib(&zeros);
    assert!(stream.len() < 80 * KIB);
    drop(zeros);
    // 64 MiB of zeros are 6.7 million empty records of type 0.
    let limits = Limits::default();
    let (class, peak) = refused(&forge::container(&stream, 64 << 20, 0), &limits);
    assert_eq!(class, ErrorClass::Limit);
    assert!(peak <= 2 * limits.frame_bytes as usize, "{peak}");
    // Announced as 1 MiB, holding 64.
    let (class, peak) = refused(&forge::container(&stream, 1 << 20, 0), &limits);
    assert_eq!(class, ErrorClass::Container);
    assert!(peak <= 2 * MIB + 128 * KIB, "{peak}");
    // More than a smaller limit allows: nothing is inflated.
    let small = Limits { frame_bytes: 1 << 20, ..limits };
    let (class, peak) = refused(&forge::container(&stream, 64 << 20, 0), &small);
    assert_eq!(class, ErrorClass::Limit);
    assert!(peak < 4 * KIB, "{peak}");
    // As many bytes as the smaller limit allows: the limit on records holds as well.
    let small = Limits { frame_bytes: 1 << 20, records: 1000, ..limits };
    let (class, peak) = refused(&forge::container(&zlib(&vec![0; MIB]), 1 << 20, 0), &small);
    assert_eq!(class, ErrorClass::Limit);
    assert!(peak <= 2 * MIB + 128 * KIB, "{peak}");
}

#[test]
fn what_limits_promise_about_memory_holds() {
    let record = |n: u32| rec(1, &n.reverse_bits().to_le_bytes(), b"");
    let piece = |n: u32| chunk(&[&b"p"[..], &n.reverse_bits().to_le_bytes()].concat(), 0, 1, 0, b"x").rec();
    // All but one key have the same first bytes, so they are compared in full.
    let alike =
        |n: u32| rec(1, &[&[u8::from(n == 0); 12][..], &n.reverse_bits().to_le_bytes()].concat(), b"");
    for (count, make, each) in [
        (100_000, &record as &dyn Fn(u32) -> forge::Rec, PER_RECORD),
        (100_000, &alike, PER_RECORD),
        (20_000, &piece, PER_RECORD + PER_CHUNK),
    ] {
        let frame = Forge::of(&(0..count).map(make).collect::<Vec<_>>()).bare();
        let (result, peak) = peak_of(|| Frame::parse(&frame, &Limits::default()).map(drop));
        result.unwrap();
        assert!(peak <= count as usize * each, "{} bytes a record", peak / count as usize);
    }
}

/// See the documentation of `Limits`.
const PER_RECORD: usize = 120;
const PER_CHUNK: usize = 200;
