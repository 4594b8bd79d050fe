//! Malformed containers: one change each, and its class.

use persist_frame::ErrorClass as Class;

use crate::forge::{Forge, container, rec, zlib};
use crate::refusals::{check, plain};

#[test]
fn containers() {
    let bare = Forge { compression: 1, ..plain() }.bare();
    let size = bare.len() as u64;
    let stream = zlib(&bare);
    let good = container(&stream, size, 0);
    let byte = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let sized = |raw: u64, compressed: u64| {
        let mut bytes = good.clone();
        bytes[8..16].copy_from_slice(&raw.to_le_bytes());
        bytes[16..24].copy_from_slice(&compressed.to_le_bytes());
        bytes
    };
    let len = stream.len() as u64;
    let nested = container(&zlib(&good), good.len() as u64, 0);
    let dictionary = [&[0x78, 0xBB][..], &[0, 0, 0, 1], &stream[2..]].concat();
    check(vec![
        ("good", good.clone(), Ok(())),
        ("magic only", b"TLFC".to_vec(), Err(Class::Container)),
        ("header cut short", good[..23].to_vec(), Err(Class::Container)),
        ("header only", good[..24].to_vec(), Err(Class::Container)),
        ("version 0", byte(4, 0), Err(Class::Container)),
        ("compression 0", byte(5, 0), Err(Class::Container)),
        ("checksum 255", byte(6, 255), Err(Class::Container)),
        ("the other checksum", byte(6, 1), Err(Class::ContainerMismatch)),
        ("reserved", byte(7, 1), Err(Class::ContainerReserved)),
        ("a byte after it", [&good[..], &[0]].concat(), Err(Class::ContainerTrailing)),
        (
            "a byte after the stream, counted",
            container(&[&stream[..], &[0]].concat(), size, 0),
            Err(Class::ContainerTrailing),
        ),
        ("two streams", container(&stream.repeat(2), size, 0), Err(Class::ContainerTrailing)),
        ("compressed size - 1", sized(size, len - 1), Err(Class::ContainerTrailing)),
        ("compressed size + 1", sized(size, len + 1), Err(Class::Container)),
        ("compressed size 0", sized(size, 0), Err(Class::ContainerTrailing)),
        ("compressed size wraps", sized(size, u64::MAX - 23), Err(Class::Container)),
        ("raw size 0", sized(0, len), Err(Class::Container)),
        ("raw size - 1", sized(size - 1, len), Err(Class::Container)),
        ("raw size + 1", sized(size + 1, len), Err(Class::Container)),
        ("raw size 64 MiB, true size small", sized(64 << 20, len), Err(Class::Container)),
        ("raw size beyond the limit", sized((64 << 20) + 1, len), Err(Class::Limit)),
        ("raw size 4 GiB + true size", sized((1 << 32) + size, len), Err(Class::Limit)),
        ("raw size 2^64 - 1", sized(u64::MAX, len), Err(Class::Limit)),
        ("a stream that needs a dictionary", container(&dictionary, size, 0), Err(Class::Container)),
        ("raw deflate", container(&stream[2..stream.len() - 4], size, 0), Err(Class::Container)),
        ("no Adler-32", container(&stream[..stream.len() - 4], size, 0), Err(Class::Container)),
        ("not deflate at all", container(&[0x78, 0x01, 0xFF, 0xFF, 0xFF], size, 0), Err(Class::Container)),
        ("a container in it", nested, Err(Class::Container)),
        (
            "a bare frame that says it is bare",
            container(&zlib(&plain().bare()), plain().bare().len() as u64, 0),
            Err(Class::Compression),
        ),
        (
            "without bit 5",
            Forge { caps: Some(0x200), ..plain() }.container(),
            Err(Class::CapabilityInconsistent),
        ),
        ("empty stream of an empty frame", container(&zlib(&[]), 0, 0), Err(Class::MissingTrailer)),
        ("magic the wrong way round", [b"CFLT", &good[4..]].concat(), Err(Class::Container)),
    ]);
}

#[test]
fn a_first_record_that_looks_like_a_container_is_one_only_when_bare() {
    let mut lookalike = rec(b'T', b"k", b"v");
    (lookalike.version, lookalike.flags) = (b'L', u16::from_le_bytes(*b"FC"));
    let forge = Forge::of(&[lookalike]);
    check(vec![
        ("bare", forge.bare(), Err(Class::Container)),
        ("in a container", forge.container(), Ok(())),
        ("type 0x54 otherwise", Forge::of(&[rec(b'T', b"k", b"v")]).bare(), Ok(())),
    ]);
}
