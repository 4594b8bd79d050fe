//! Hostile and malformed frames of our own, beside those of the manifests: one change each, and its class.

use persist_frame::ErrorClass as Class;
use persist_frame::{Checksum, Frame, FrameCaps, Limits};

use crate::forge::{Chunk, Forge, Rec, chunk, container, number, rec, zlib};

/// Two records with keys out of order.
fn plain() -> Forge {
    Forge::of(&[rec(1, b"b", b"one"), rec(3, b"a", b"two")])
}

fn parse(bytes: &[u8]) -> Result<(), Class> {
    Frame::parse(bytes, &Limits::default()).map(drop).map_err(|error| error.class())
}

#[track_caller]
fn check(cases: Vec<(&str, Vec<u8>, Result<(), Class>)>) {
    for (name, bytes, expected) in cases {
        assert_eq!(parse(&bytes), expected, "{name}");
    }
}

fn forged(change: impl FnOnce(&mut Forge)) -> Vec<u8> {
    let mut forge = plain();
    change(&mut forge);
    forge.bare()
}

#[test]
fn the_forge_makes_good_frames() {
    check(vec![
        ("bare", plain().bare(), Ok(())),
        ("raw Castagnoli", Forge { checksum: Checksum::RawCastagnoli, ..plain() }.bare(), Ok(())),
        ("container", plain().container(), Ok(())),
        ("empty", Forge::default().bare(), Ok(())),
        ("empty with the list bit", Forge { caps: Some(0x200), ..Forge::default() }.bare(), Ok(())),
        ("branch", forged(|f| (f.caps, f.branch) = (Some(0x600), [&[25][..], &[0; 25]].concat())), Ok(())),
        (
            "flags and versions above 0 are the caller's",
            forged(|f| {
                f.records[0].flags = 0xFFFF;
                f.records[1].version = 255;
            }),
            Ok(()),
        ),
    ]);
}

#[test]
fn the_walk_over_the_records() {
    let lying = |lengths: Vec<u8>| forged(|f| f.records[0].lengths = Some(lengths));
    let wrap = |key: u64, body: u64| lying([number(key), number(body)].concat());
    let only = |bytes: &[u8]| bytes.to_vec();
    let whole = plain().bare();
    check(vec![
        ("nothing", vec![], Err(Class::MissingTrailer)),
        ("one byte", only(&[0xFF]), Err(Class::Truncated)),
        ("header only", only(&[1, 1, 0, 0]), Err(Class::Truncated)),
        ("no body length", only(&[1, 1, 0, 0, 0]), Err(Class::Truncated)),
        ("no checksum", only(&[1, 1, 0, 0, 0, 0, 1, 2, 3]), Err(Class::Truncated)),
        ("lengths wrap to 0", wrap(u64::MAX, 1), Err(Class::Truncated)),
        ("lengths and checksum wrap to 0", wrap(u64::MAX - 4, 1), Err(Class::Truncated)),
        ("lengths wrap to a small number", wrap(u64::MAX, 10), Err(Class::Truncated)),
        ("largest lengths", wrap(u64::MAX, u64::MAX), Err(Class::Truncated)),
        ("key length alone", wrap(1 << 63, 0), Err(Class::Truncated)),
        ("body length alone", wrap(1, 1 << 40), Err(Class::Truncated)),
        ("key length in two bytes", lying(vec![0x81, 0, 3]), Err(Class::VarintNoncanonical)),
        ("body length in two bytes", lying(vec![1, 0x83, 0]), Err(Class::VarintNoncanonical)),
        ("key length of 65 bits", lying([vec![0xFF; 9], vec![2, 3]].concat()), Err(Class::VarintOverflow)),
        ("key length of 11 bytes", lying([vec![0x80; 10], vec![0, 3]].concat()), Err(Class::VarintOverflow)),
        ("a byte after the trailer", [&whole[..], &[0]].concat(), Err(Class::BytesAfterTrailer)),
        ("a second frame after the first", [&whole[..], &whole].concat(), Err(Class::BytesAfterTrailer)),
        (
            "a trailer in the middle",
            [Forge::default().bare(), whole.clone()].concat(),
            Err(Class::BytesAfterTrailer),
        ),
        ("record version 0", forged(|f| f.records[1].version = 0), Err(Class::RecordVersion)),
    ]);
}

#[test]
fn the_trailer_record_itself() {
    let shaped = |change: fn(&mut Rec)| {
        forged(|f| {
            let mut trailer = rec(0xFF, &[], &f.trailer_body());
            change(&mut trailer);
            f.trailer_record = Some(trailer);
        })
    };
    check(vec![
        ("version 0", shaped(|t| t.version = 0), Err(Class::TrailerShape)),
        ("version 255", shaped(|t| t.version = 255), Err(Class::TrailerShape)),
        ("flags", shaped(|t| t.flags = 0x8000), Err(Class::TrailerShape)),
        ("key", shaped(|t| t.key = vec![0]), Err(Class::TrailerShape)),
        ("key of 100 KiB", shaped(|t| t.key = vec![0; 100 << 10]), Err(Class::TrailerShape)),
        ("three bytes", shaped(|t| t.body.truncate(3)), Err(Class::TrailerMagic)),
        ("magic only", shaped(|t| t.body.truncate(4)), Err(Class::Truncated)),
        ("version only", shaped(|t| t.body.truncate(5)), Err(Class::Truncated)),
        ("half a root", shaped(|t| t.body.truncate(30)), Err(Class::Truncated)),
        ("no capabilities", shaped(|t| t.body.truncate(t.body.len() - 4)), Err(Class::Truncated)),
        ("three bytes of capabilities", shaped(|t| t.body.truncate(t.body.len() - 1)), Err(Class::Truncated)),
        ("one byte more", shaped(|t| t.body.push(0)), Err(Class::TrailerTrailing)),
    ]);
}

#[test]
fn the_trailers_fields() {
    let overlong = |value: u8| vec![value | 0x80, 0];
    let eleven = || vec![0x80; 11];
    check(vec![
        ("trailer version 0", forged(|f| f.trailer_version = Some(0)), Err(Class::TrailerVersion)),
        ("beat in two bytes", forged(|f| f.beat = Some(overlong(1))), Err(Class::VarintNoncanonical)),
        ("beat of 11 bytes", forged(|f| f.beat = Some(eleven())), Err(Class::VarintOverflow)),
        ("largest beat", forged(|f| f.beat = Some(number(u64::MAX))), Ok(())),
        ("count in two bytes", forged(|f| f.count = Some(overlong(2))), Err(Class::VarintNoncanonical)),
        ("count + 1", forged(|f| f.count = Some(number(3))), Err(Class::RecordCount)),
        ("count 0", forged(|f| f.count = Some(number(0))), Err(Class::RecordCount)),
        ("count + 2^32", forged(|f| f.count = Some(number(2 + (1 << 32)))), Err(Class::RecordCount)),
        ("apply mode 3", forged(|f| f.apply_mode = 3), Err(Class::ApplyMode)),
        ("hash 3", forged(|f| f.hash = Some(3)), Err(Class::HashAlg)),
        ("compression 2", forged(|f| f.compression = 2), Err(Class::Compression)),
        ("bare with compression 1", forged(|f| f.compression = 1), Err(Class::Compression)),
        ("checksum 2", forged(|f| f.trailer_checksum = Some(2)), Err(Class::ChecksumAlg)),
        ("checksum 255", forged(|f| f.trailer_checksum = Some(255)), Err(Class::ChecksumAlg)),
        ("declared 1, computed 0", forged(|f| f.trailer_checksum = Some(1)), Err(Class::Crc)),
        ("root of 31 bytes", forged(|f| f.root = Some([&[31][..], &[0; 31]].concat())), Err(Class::RootLen)),
        (
            "root of 2^64 - 1",
            forged(|f| f.root = Some([number(u64::MAX), vec![0; 32]].concat())),
            Err(Class::RootLen),
        ),
        ("root of zeros", forged(|f| f.root = Some([&[32][..], &[0; 32]].concat())), Err(Class::Merkle)),
        (
            "history 2^32",
            forged(|f| f.history = Some([number(1 << 32), vec![0]].concat())),
            Err(Class::History),
        ),
        (
            "second history 2^32",
            forged(|f| f.history = Some([vec![0], number(1 << 32)].concat())),
            Err(Class::History),
        ),
        (
            "history in two bytes",
            forged(|f| f.history = Some(vec![0x80, 0, 0])),
            Err(Class::VarintNoncanonical),
        ),
        ("largest histories", forged(|f| f.history = Some(number(u64::from(u32::MAX)).repeat(2))), Ok(())),
        ("bit 5 on a bare frame", forged(|f| f.caps = Some(0x220)), Err(Class::CapabilityInconsistent)),
        ("all unknown bits", forged(|f| f.caps = Some(0xFFFF_FA00)), Ok(())),
    ]);
}

#[test]
fn the_table_of_contents() {
    let right = plain().right_toc();
    let with = |toc: Vec<u8>| forged(|f| f.toc = Some(toc));
    let changed = |at: usize, value: u8| {
        let mut toc = plain().right_toc();
        toc[at] = value;
        with(toc)
    };
    let declared = |count: u64| with([number(count), right[1..].to_vec()].concat());
    check(vec![
        ("2^60 entries", declared(1 << 60), Err(Class::Toc)),
        ("2^64 - 1 entries", declared(u64::MAX), Err(Class::Toc)),
        (
            "6148914691236517206 entries of 3 bytes wrap to 2",
            declared(6_148_914_691_236_517_206),
            Err(Class::Toc),
        ),
        (
            "count in two bytes",
            with([vec![0x82, 0], right[1..].to_vec()].concat()),
            Err(Class::VarintNoncanonical),
        ),
        ("key length beyond the trailer", changed(2, 0x7F), Err(Class::Toc)),
        ("other kind", changed(1, 2), Err(Class::TocMismatch)),
        ("other key", changed(3, b'x'), Err(Class::TocMismatch)),
        ("other offset", changed(4, 1), Err(Class::TocMismatch)),
        (
            "offset in two bytes",
            with([&right[..4], &[0x80, 0], &right[5..]].concat()),
            Err(Class::VarintNoncanonical),
        ),
        ("one entry too few", with([&[1][..], &right[1..5]].concat()), Err(Class::TocMismatch)),
        ("one entry too many", with([&[3][..], &right[1..], &[1, 0, 0]].concat()), Err(Class::TocMismatch)),
        ("entries without the bit", forged(|f| f.caps = Some(0)), Err(Class::TocMismatch)),
        (
            "one entry without the bit",
            forged(|f| (f.caps, f.toc) = (Some(0), Some(vec![1, 1, 0, 0]))),
            Err(Class::TocMismatch),
        ),
        ("the bit without entries", with(vec![0]), Err(Class::TocMismatch)),
        ("neither", forged(|f| (f.caps, f.toc) = (Some(0), Some(vec![0]))), Ok(())),
    ]);
}

#[test]
fn the_branch_block() {
    let with = |branch: Vec<u8>| forged(|f| (f.caps, f.branch) = (Some(0x600), branch));
    let block = |glob: u8| [&[25, glob][..], &[7; 24]].concat();
    check(vec![
        ("glob 1", with(block(1)), Ok(())),
        ("glob 2", with(block(2)), Err(Class::BranchMetadata)),
        ("glob 255", with(block(255)), Err(Class::BranchMetadata)),
        ("missing", with(vec![]), Err(Class::BranchMetadata)),
        ("length 24", with([&[24][..], &[0; 24]].concat()), Err(Class::BranchMetadata)),
        ("length 0", with(vec![0]), Err(Class::BranchMetadata)),
        ("length 2^64 - 1", with(number(u64::MAX)), Err(Class::BranchMetadata)),
        ("length in two bytes", with([&[0x99, 0][..], &[0; 25]].concat()), Err(Class::VarintNoncanonical)),
        ("cut short", with(block(0)[..20].to_vec()), Err(Class::BranchMetadata)),
        ("one byte more", with([block(0), vec![0]].concat()), Err(Class::TrailerTrailing)),
        ("without the bit", forged(|f| f.branch = block(0)), Err(Class::TrailerTrailing)),
    ]);
}

#[test]
fn order_and_duplicates() {
    let three = [rec(1, b"k", b"1"), rec(1, b"k", b"2"), rec(1, b"k", b"3")];
    let mut swapped = Forge::of(&three);
    let root = swapped.root_of_records();
    swapped.records.swap(0, 1);
    swapped.root = Some([&[32][..], &root].concat());
    // Three leaves and four, the last repeated, have one root; only the count tells them apart.
    let mut repeated = Forge::of(&three);
    repeated.records.push(three[2].clone());
    assert_eq!(repeated.root_of_records(), Forge::of(&three).root_of_records());
    let mut reordered = plain();
    let root = reordered.root_of_records();
    reordered.records.swap(0, 1);
    assert_eq!(reordered.root_of_records(), root, "the root does not cover the order of different keys");
    check(vec![
        ("equal keys", Forge::of(&three).bare(), Ok(())),
        ("equal keys in another order than the root's", swapped.bare(), Err(Class::Merkle)),
        ("the last record twice", repeated.bare(), Ok(())),
        ("and not counted", Forge { count: Some(number(3)), ..repeated }.bare(), Err(Class::RecordCount)),
        ("other keys in another order", reordered.bare(), Ok(())),
        (
            "with the list of the old order",
            Forge { toc: Some(plain().right_toc()), ..reordered }.bare(),
            Err(Class::TocMismatch),
        ),
    ]);
}

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
        ("a container in it", nested, Err(Class::Truncated)),
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

fn chunks(list: &[Chunk]) -> Vec<u8> {
    Forge::of(&list.iter().map(Chunk::rec).collect::<Vec<_>>()).bare()
}

fn one_chunk(change: impl FnOnce(&mut Chunk)) -> Vec<u8> {
    chunks(&[chunk(b"base", 0, 4, 0, b"data").with(change)])
}

#[test]
fn chunk_bodies() {
    let sealed = |mode: u8, nonce: usize, data: usize| {
        one_chunk(|c| {
            (c.mode, c.nonce) = (mode, [number(nonce as u64), vec![9; nonce]].concat());
            c.data = vec![1; data];
        })
    };
    check(vec![
        ("good", one_chunk(|_| {}), Ok(())),
        ("payload kind 3", one_chunk(|c| c.kind = 3), Ok(())),
        ("payload kind 4", one_chunk(|c| c.kind = 4), Err(Class::ChunkLength)),
        ("fingerprint of 8", one_chunk(|c| c.fingerprint = [&[8][..], &[1; 8]].concat()), Ok(())),
        (
            "fingerprint of 4",
            one_chunk(|c| c.fingerprint = [&[4][..], &[1; 4]].concat()),
            Err(Class::ChunkFingerprint),
        ),
        (
            "fingerprint of 9",
            one_chunk(|c| c.fingerprint = [&[9][..], &[1; 9]].concat()),
            Err(Class::ChunkFingerprint),
        ),
        ("fingerprint of 2^64 - 1", one_chunk(|c| c.fingerprint = number(u64::MAX)), Err(Class::ChunkLength)),
        (
            "fingerprint length in two bytes",
            one_chunk(|c| c.fingerprint = vec![0x80, 0]),
            Err(Class::VarintNoncanonical),
        ),
        ("mode 0 with a nonce", sealed(0, 12, 4), Err(Class::ChunkAead)),
        ("mode 1", sealed(1, 12, 20), Err(Class::ChunkAead)),
        ("mode 1 without a nonce", sealed(1, 0, 20), Err(Class::ChunkAead)),
        ("mode 4", sealed(4, 24, 20), Err(Class::ChunkAead)),
        ("mode 2", sealed(2, 12, 20), Ok(())),
        ("mode 2 without a nonce", sealed(2, 0, 20), Err(Class::ChunkAead)),
        ("mode 2 with 11", sealed(2, 11, 20), Err(Class::ChunkAead)),
        ("mode 2 with 24", sealed(2, 24, 20), Err(Class::ChunkAead)),
        ("mode 3", sealed(3, 24, 20), Ok(())),
        ("mode 3 with 12", sealed(3, 12, 20), Err(Class::ChunkAead)),
        ("mode 3, 19 bytes", sealed(3, 24, 19), Err(Class::ChunkLength)),
        ("mode 3, 21 bytes", sealed(3, 24, 21), Err(Class::ChunkLength)),
        (
            "nonce of 2^64 - 32",
            one_chunk(|c| (c.mode, c.nonce) = (2, number(u64::MAX - 31))),
            Err(Class::ChunkAead),
        ),
        ("mode 0 with a tag's room", one_chunk(|c| c.data = vec![0; 20]), Err(Class::ChunkLength)),
        ("no aad hash", one_chunk(|c| (c.aad, c.data) = (Some(vec![]), vec![])), Err(Class::ChunkLength)),
        ("aad hash of another key", one_chunk(|c| c.aad = Some(vec![7; 32])), Err(Class::ChunkAad)),
        (
            "sealed, aad hash of another key",
            one_chunk(|c| {
                (c.mode, c.nonce) = (2, [&[12][..], &[0; 12]].concat());
                (c.data, c.aad) = (vec![0; 20], Some(vec![7; 32]));
            }),
            Err(Class::ChunkAad),
        ),
        ("size 0", one_chunk(|c| (c.size, c.data) = (0, vec![])), Err(Class::ChunkExtent)),
        (
            "size 0 of a payload of 0",
            one_chunk(|c| (c.size, c.total, c.data) = (0, 0, vec![])),
            Err(Class::ChunkExtent),
        ),
        ("size above the total", one_chunk(|c| (c.total, c.size) = (3, 4)), Err(Class::ChunkExtent)),
        (
            "extent wraps",
            one_chunk(|c| (c.offset, c.total) = (u64::MAX - 1, u64::MAX)),
            Err(Class::ChunkExtent),
        ),
        ("first chunk not at 0", one_chunk(|c| (c.offset, c.total) = (1, 5)), Err(Class::ChunkOrder)),
        ("not complete", one_chunk(|c| c.total = 5), Err(Class::ChunkUnsealed)),
        ("complete but for 2^63", one_chunk(|c| c.total = 1 << 63), Err(Class::ChunkUnsealed)),
    ]);
}

#[test]
fn presealed_payloads() {
    let presealed = |change: fn(&mut Chunk)| {
        one_chunk(|c| {
            (c.mode, c.nonce) = (3, [&[24][..], &[1; 24]].concat());
            (c.total, c.size, c.data) = (33, 33, vec![5; 33]);
            c.aad = Some(vec![7; 32]);
            change(c);
        })
    };
    let followed = chunks(&[
        chunk(b"base", 0, 33, 0, &[5; 33]).with(|c| (c.mode, c.nonce) = (2, [&[12][..], &[1; 12]].concat())),
        chunk(b"base", 1, 33, 33, b"x"),
    ]);
    check(vec![
        ("XChaCha20", presealed(|_| {}), Ok(())),
        ("ChaCha20", presealed(|c| (c.mode, c.nonce) = (2, [&[12][..], &[1; 12]].concat())), Ok(())),
        (
            "in clear it is an ordinary chunk",
            presealed(|c| (c.mode, c.nonce) = (0, vec![0])),
            Err(Class::ChunkAad),
        ),
        ("mode 1", presealed(|c| c.mode = 1), Err(Class::ChunkAead)),
        ("wrong nonce", presealed(|c| c.nonce = vec![0]), Err(Class::ChunkAead)),
        ("not the whole payload", presealed(|c| c.total = 34), Err(Class::ChunkLength)),
        ("one byte less than it says", presealed(|c| c.data = vec![5; 32]), Err(Class::ChunkLength)),
        (
            "with a tag more it is sealed by the writer",
            presealed(|c| c.data = vec![5; 49]),
            Err(Class::ChunkAad),
        ),
        ("and then needs the hash of its key", presealed(|c| (c.data, c.aad) = (vec![5; 49], None)), Ok(())),
        ("at ordinal 1", presealed(|c| c.key = b"base\x01".to_vec()), Err(Class::ChunkOrder)),
        ("and a chunk behind it", followed, Err(Class::ChunkOrder)),
    ]);
}

#[test]
fn chunk_order() {
    let a = |ordinal: u64| chunk(b"a", ordinal, 6, ordinal * 2, b"aa");
    let b = |ordinal: u64| chunk(b"b", ordinal, 4, ordinal * 2, b"bb");
    check(vec![
        ("three chunks", chunks(&[a(0), a(1), a(2)]), Ok(())),
        ("interleaved", chunks(&[a(0), b(0), a(1), b(1), a(2)]), Ok(())),
        (
            "other records between",
            Forge::of(&[a(0).rec(), rec(1, b"a\x01", b""), a(1).rec(), a(2).rec()]).bare(),
            Ok(()),
        ),
        ("the last is missing", chunks(&[a(0), a(1)]), Err(Class::ChunkUnsealed)),
        ("the first is missing", chunks(&[a(1), a(2)]), Err(Class::ChunkOrder)),
        ("the middle is missing", chunks(&[a(0), a(2)]), Err(Class::ChunkOrder)),
        ("backwards", chunks(&[a(2), a(1), a(0)]), Err(Class::ChunkOrder)),
        ("the first twice", chunks(&[a(0), a(0), a(1), a(2)]), Err(Class::ChunkOrder)),
        ("the second twice", chunks(&[a(0), a(1), a(1), a(2)]), Err(Class::ChunkOrder)),
        (
            "one after the end",
            chunks(&[a(0), a(1), a(2), a(3).with(|c| (c.offset, c.total) = (4, 6))]),
            Err(Class::ChunkOrder),
        ),
        ("the payload again", chunks(&[b(0), b(1), b(0), b(1)]), Err(Class::ChunkOrder)),
        ("a gap in the offsets", chunks(&[a(0), a(1).with(|c| c.offset = 3)]), Err(Class::ChunkOrder)),
        ("an overlap", chunks(&[a(0), a(1).with(|c| c.offset = 1)]), Err(Class::ChunkOrder)),
        ("another total", chunks(&[a(0), a(1).with(|c| c.total = 7)]), Err(Class::ChunkTotal)),
        (
            "another kind and fingerprint",
            chunks(&[
                a(0),
                a(1).with(|c| {
                    (c.kind, c.fingerprint) = (2, [&[8][..], &[1; 8]].concat());
                }),
                a(2),
            ]),
            Ok(()),
        ),
    ]);
}

#[test]
fn chunk_keys() {
    let keyed = |key: &[u8]| one_chunk(|c| c.key = key.to_vec());
    check(vec![
        ("empty", keyed(b""), Err(Class::ChunkKey)),
        ("no base", keyed(b"\0"), Err(Class::ChunkKey)),
        ("no base, ordinal 5", keyed(b"\x05"), Err(Class::ChunkKey)),
        ("ends in the middle of a varint", keyed(b"base\x80"), Err(Class::ChunkKey)),
        ("base of one byte", keyed(b"x\0"), Ok(())),
        ("base that ends like a varint", keyed(b"x\x80\0"), Ok(())),
        ("base of zeros", keyed(b"\0\0\0"), Ok(())),
    ]);
    let long = |count: u64| (0..count).map(|n| chunk(b"long", n, count, n, b"x")).collect::<Vec<_>>();
    let mut reversed = long(200);
    reversed[128].key = b"long\x01\x80".to_vec();
    let mut overlong = long(130);
    overlong[127].key = b"long\xFF\x00".to_vec();
    let mut skipped = long(130);
    skipped.remove(128);
    check(vec![
        ("128 chunks", chunks(&long(128)), Ok(())),
        ("129 chunks", chunks(&long(129)), Ok(())),
        ("16 500 chunks", chunks(&long(16_500)), Ok(())),
        ("ordinal 128 reversed", chunks(&reversed), Err(Class::ChunkKey)),
        ("ordinal 127 in two bytes is a new payload", chunks(&overlong), Err(Class::ChunkOrder)),
        ("ordinal 128 missing", chunks(&skipped), Err(Class::ChunkOrder)),
    ]);
}

#[test]
fn a_key_that_two_payloads_await_is_refused() {
    // "p" awaits ordinal 128 = 80 01, "p\x80" awaits ordinal 1: both keys are p 80 01.
    let first = |count: u64, total: u64| (0..count).map(move |n| chunk(b"p", n, total, n, b"x"));
    let second = chunk(b"p\x80", 0, 2, 0, b"y");
    let contested = chunk(b"p", 128, 129, 128, b"x");
    let all = |parts: &[&[Chunk]]| chunks(&parts.concat());
    let p: Vec<Chunk> = first(128, 129).collect();
    let whole: Vec<Chunk> = first(128, 128).collect();
    let other = chunk(b"p\x80", 1, 2, 1, b"y");
    check(vec![
        ("contested", all(&[&p, &[second.clone(), contested.clone()]]), Err(Class::ChunkKey)),
        (
            "contested by a payload that is complete",
            all(&[&whole, &[second.clone(), other.clone()]]),
            Err(Class::ChunkKey),
        ),
        (
            "the one before the other awaits it",
            all(&[&[second.clone(), other.clone()], &p, std::slice::from_ref(&contested)]),
            Ok(()),
        ),
        ("and the other way round", all(&[&p, &[contested, second, other]]), Ok(())),
    ]);
}

#[test]
fn history_is_not_followed_like_a_payload() {
    let body = [number(5), chunk(b"k", 0, 100, 0, b"x").rec().body].concat();
    check(vec![
        ("half a revision", Forge::of(&[rec(6, b"k", &body)]).bare(), Ok(())),
        ("twice the same key", Forge::of(&[rec(6, b"k", &body), rec(6, b"k", &body)]).bare(), Ok(())),
        ("random bytes", Forge::of(&[rec(6, b"", b"\xFF")]).bare(), Ok(())),
    ]);
}

#[test]
fn configured_limits() {
    let class =
        |bytes: &[u8], limits: Limits| Frame::parse(bytes, &limits).map(drop).map_err(|error| error.class());
    let bare = plain().bare();
    let boxed = plain().container();
    let base = Limits::default();
    let len = u32::try_from(bare.len()).unwrap();
    let of = |input: usize| Limits { input_bytes: input as u64, ..base };
    assert_eq!(class(&bare, of(bare.len())), Ok(()));
    assert_eq!(class(&bare, of(bare.len() - 1)), Err(Class::Limit));
    for bytes in [&bare, &boxed] {
        assert_eq!(class(bytes, Limits { frame_bytes: len, ..base }), Ok(()));
        assert_eq!(class(bytes, Limits { frame_bytes: len - 1, ..base }), Err(Class::Limit));
        assert_eq!(class(bytes, Limits { records: 2, ..base }), Ok(()));
        assert_eq!(class(bytes, Limits { records: 1, ..base }), Err(Class::Limit));
        assert_eq!(class(bytes, Limits { key_bytes: 1, ..base }), Ok(()));
        assert_eq!(class(bytes, Limits { key_bytes: 0, ..base }), Err(Class::Limit));
    }
    let longest = Forge::of(&[rec(1, &vec![1; 64 << 10], b"")]).bare();
    let longer = Forge::of(&[rec(1, &vec![1; (64 << 10) + 1], b"")]).bare();
    assert_eq!((class(&longest, base), class(&longer, base)), (Ok(()), Err(Class::Limit)));
}

#[test]
fn errors_say_what_and_where() {
    let mut bytes = plain().bare();
    let second = plain().records[0].sealed(Checksum::Crc32).len();
    bytes[second + 7] ^= 1;
    let error = Frame::parse(&bytes, &Limits::default()).unwrap_err();
    assert_eq!((error.class(), error.offset()), (Class::Crc, Some(second as u64)));
    assert!(
        error.to_string().starts_with("crc: ") && error.to_string().ends_with(&format!("(at byte {second})"))
    );
    let names: std::collections::HashSet<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
    assert_eq!(names.len(), Class::ALL.len());
    assert_eq!(FrameCaps::from_bits(0x300).to_string(), "0x00000300");
}
