//! Malformed frames of our own, beside those of the manifests: one change each, and its class.

use persist_frame::ErrorClass as Class;
use persist_frame::{Checksum, Frame, FrameCaps, Limits};

use crate::forge::{Forge, Rec, number, rec};

/// Two records with keys out of order.
pub(crate) fn plain() -> Forge {
    Forge::of(&[rec(1, b"b", b"one"), rec(3, b"a", b"two")])
}

fn parse(bytes: &[u8]) -> Result<(), Class> {
    Frame::parse(bytes, &Limits::default()).map(drop).map_err(|error| error.class())
}

/// Parses every case and compares what became of it.
#[track_caller]
pub(crate) fn check(cases: Vec<(&str, Vec<u8>, Result<(), Class>)>) {
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
