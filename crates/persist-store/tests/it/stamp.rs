//! The stamp: golden text, strict reading.

use persist_api::{ErrorKind, FormatGrant, LayerGrant};
use persist_store::{
    STAMP_BYTES_MAX, Stamp, StampState, StoreId, SwapId, SwapMark, SwapPlace, SwapState, standard_layers,
};
use proptest::prelude::*;

use crate::kit::fails;

fn stamp() -> Stamp {
    let mut layers: Vec<_> = standard_layers().into_iter().map(|layer| layer.grant).collect();
    layers[2].parameter = "0123-abc".into();
    Stamp {
        store: "00112233445566778899aabbccddeeff".parse().unwrap(),
        state: StampState::Ready,
        engine: "sqlite".to_owned(),
        engine_format: 1,
        epoch: 1,
        origin: None,
        swap: None,
        format: FormatGrant { layers },
    }
}

#[test]
fn golden_text() {
    let body = "persist-stamp = 1\n\
        store = 00112233445566778899aabbccddeeff\n\
        state = ready\n\
        engine = sqlite\n\
        engine-format = 1\n\
        epoch = 1\n\
        origin = none\n\
        grant = persist-format-grant 1\n\
        grant = layer prefix/1 key+1 value+0 provides -\n\
        grant = layer lz4/1 key+0 value+1 provides COMPRESSION\n\
        grant = layer xchacha20-poly1305/1 key+0 value+44 provides AEAD with 0123-abc\n\
        grant = layer crc32c/1 key+0 value+4 provides CRC32C\n\
        grant = layer merkle/1 key+0 value+0 provides MERKLE\n\
        grant-digest = ";
    let grant = stamp().format.canonical_text();
    let body = format!("{body}{}\n", blake3::hash(grant.as_bytes()).to_hex());
    let text = format!("{body}blake3 = {}\n", blake3::hash(body.as_bytes()).to_hex());
    assert_eq!(stamp().to_text(), text);
    assert_eq!(Stamp::parse(text.as_bytes()).unwrap(), stamp());
}

#[test]
fn every_changed_byte_is_refused() {
    let text = stamp().to_text().into_bytes();
    for at in 0..text.len() {
        for change in [1, 0x20, 0x80] {
            let mut changed = text.clone();
            changed[at] ^= change;
            fails(Stamp::parse(&changed), ErrorKind::Corrupt, &["stamp"]);
        }
        fails(Stamp::parse(&text[..at]), ErrorKind::Corrupt, &["stamp"]);
    }
    fails(Stamp::parse(&[text.as_slice(), b"\n"].concat()), ErrorKind::Corrupt, &[]);
    fails(Stamp::parse(&vec![b'\n'; 16 * 1024 + 1]), ErrorKind::Corrupt, &["16385"]);
    assert_eq!(STAMP_BYTES_MAX, 16 * 1024);
}

/// Changes the text and makes its check line right again.
fn resealed(from: &str, to: &str) -> Vec<u8> {
    let text = stamp().to_text();
    assert!(text.contains(from), "{from}");
    let (body, _) = text.rsplit_once("blake3 = ").unwrap();
    let body = body.replacen(from, to, 1);
    format!("{body}blake3 = {}\n", blake3::hash(body.as_bytes()).to_hex()).into_bytes()
}

#[test]
fn a_sound_check_line_does_not_excuse_the_rest() {
    let id = "store = 00112233445566778899aabbccddeeff";
    let cases = [
        ("store = 0011", "store = 001", "store"),
        (id, &id.to_uppercase().replace("STORE", "store"), "store"),
        ("state = ready", "state = steady", "state"),
        ("engine = sqlite", "engine = SQLite", "engine"),
        ("engine = sqlite", "engine = ", "engine"),
        ("engine-format = 1", "engine-format = 01", "canonical"),
        ("engine-format = 1", "engine-format = +1", "canonical"),
        ("engine-format = 1", "engine-format = 4294967296", "engine-format"),
        ("epoch = 1", "epoch = 0", "epoch"),
        ("epoch = 1", "epoch  = 1", "epoch"),
        ("origin = none", "origin = nobody", "origin"),
        ("origin = none\n", "origin = none\ncolour = red\n", "colour"),
        ("origin = none\n", "", "origin"),
        ("state = ready\nengine = sqlite\n", "engine = sqlite\nstate = ready\n", "state"),
        ("prefix/1 key+1", "prefix/1 key+2", "grant-digest"),
        ("grant-digest = ", "grant-digest = 0", "grant-digest"),
        ("grant = layer", "grant= layer", "grant"),
        ("\ngrant-digest", "\n\ngrant-digest", "grant"),
    ];
    for (from, to, words) in cases {
        fails(Stamp::parse(&resealed(from, to)), ErrorKind::Corrupt, &[words]);
    }
    let (body, _) =
        stamp().to_text().rsplit_once("blake3 = ").map(|(b, l)| (b.to_owned(), l.to_owned())).unwrap();
    let body = format!("{body}more = 1\n");
    let more = format!("{body}blake3 = {}\n", blake3::hash(body.as_bytes()).to_hex());
    fails(Stamp::parse(more.as_bytes()), ErrorKind::Corrupt, &["unknown line", "more"]);
    let newer = Stamp::parse(&resealed("persist-stamp = 1", "persist-stamp = 4"));
    fails(newer, ErrorKind::Mismatch, &["format 4", "reads 1 to 3"]);
}

#[test]
fn store_ids_are_random_and_read_back() {
    let (one, two) = (StoreId::random().unwrap(), StoreId::random().unwrap());
    assert_ne!(one, two);
    assert_eq!(one.to_string().parse::<StoreId>().unwrap(), one);
    assert_eq!(StoreId([0; 16]).to_string(), "0".repeat(32));
    for wrong in
        ["", "00", &"0".repeat(33), &"G".repeat(32), &format!("+{}", "0".repeat(31)), &"é".repeat(16)]
    {
        fails(wrong.parse::<StoreId>(), ErrorKind::Invalid, &["32 hex digits"]);
    }
}

fn layer() -> impl Strategy<Value = LayerGrant> {
    let parameter = prop_oneof![Just(String::new()), "[a-z0-9.-]{1,120}"];
    ("[a-z][a-z0-9-]{0,8}", any::<u16>(), any::<u64>(), any::<u64>(), any::<u64>(), parameter).prop_map(
        |(name, version, key_overhead, value_overhead, bits, parameter)| LayerGrant {
            name: name.into(),
            version,
            provides: persist_api::Caps::from_bits_truncate(bits),
            key_overhead,
            value_overhead,
            parameter: parameter.into(),
        },
    )
}

fn any_mark() -> impl Strategy<Value = SwapMark> {
    let places = prop_oneof![
        Just(SwapPlace::Here),
        Just(SwapPlace::Nowhere),
        "/[ -~é]{0,20}".prop_map(|path| SwapPlace::Home(path.into())),
    ];
    let states = prop_oneof![Just(SwapState::Copying), Just(SwapState::Flipped)];
    (any::<[u8; 16]>(), states, "[a-z][a-z0-9-]{0,12}", any::<(u32, u64, bool)>(), places).prop_map(
        |(id, state, engine, (engine_format, epoch, follow_back), place)| SwapMark {
            id: SwapId(id),
            state,
            engine,
            engine_format,
            epoch,
            place,
            follow_back,
        },
    )
}

#[test]
fn golden_text_of_a_swap() {
    let text = stamp().to_text();
    let mark = SwapMark {
        id: SwapId(*b"0123456789abcdef"),
        state: SwapState::Copying,
        engine: "lmdb".to_owned(),
        engine_format: 3,
        epoch: 2,
        place: SwapPlace::Home("/some where".into()),
        follow_back: false,
    };
    let lines = "swap = 30313233343536373839616263646566\n\
        swap-state = copying\n\
        swap-engine = lmdb\n\
        swap-engine-format = 3\n\
        swap-epoch = 2\n\
        swap-place = home /some where\n";
    let marked = Stamp { swap: Some(mark), ..stamp() };
    let (body, _) = text.rsplit_once("blake3 = ").unwrap();
    let text_of = |version: u8, lines: &str| {
        let body = body.replacen("persist-stamp = 1\n", &format!("persist-stamp = {version}\n"), 1);
        let body = body.replacen("origin = none\n", &format!("origin = none\n{lines}"), 1);
        format!("{body}blake3 = {}\n", blake3::hash(body.as_bytes()).to_hex())
    };
    let expected = text_of(2, lines);
    assert_eq!(marked.to_text(), expected);
    assert_eq!(Stamp::parse(expected.as_bytes()).unwrap(), marked);
    let back = SwapMark { follow_back: true, ..marked.swap.clone().unwrap() };
    let back = Stamp { swap: Some(back), ..stamp() };
    let more = format!("{lines}swap-follow-back = yes\n");
    assert_eq!(back.to_text(), text_of(3, &more));
    assert_eq!(Stamp::parse(back.to_text().as_bytes()).unwrap(), back);
    for (version, lines) in [(2, &*more), (3, lines), (3, &format!("{lines}swap-follow-back = no\n"))] {
        fails(Stamp::parse(text_of(version, lines).as_bytes()), ErrorKind::Corrupt, &[]);
    }
    let unmarked = Stamp { swap: None, state: StampState::Moved, ..marked };
    fails(Stamp::parse(unmarked.to_text().as_bytes()), ErrorKind::Corrupt, &["not where to"]);
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    let quiet = prop_oneof![Just(StampState::Creating), Just(StampState::Ready), Just(StampState::Importing)];
    let swapping = prop_oneof![Just(StampState::Ready), Just(StampState::Importing), Just(StampState::Moved)];
    let states = prop_oneof![
        quiet.prop_map(|state| (state, None)),
        (swapping, any_mark()).prop_map(|(state, mark)| (state, Some(mark))),
    ];
    let names = (any::<[u8; 16]>(), any::<Option<[u8; 16]>>(), "[a-z][a-z0-9-]{0,12}");
    let numbers = (any::<u32>(), 1..=u64::MAX);
    (states, names, numbers, proptest::collection::vec(layer(), 0..5)).prop_map(
        |((state, swap), (store, origin, engine), (engine_format, epoch), layers)| Stamp {
            store: StoreId(store),
            state,
            engine,
            engine_format,
            epoch,
            origin: origin.map(StoreId),
            swap,
            format: FormatGrant { layers },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_undoes_writing(stamp in any_stamp()) {
        prop_assert_eq!(Stamp::parse(stamp.to_text().as_bytes()).unwrap(), stamp);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Stamp::parse(&bytes).is_err());
    }

    #[test]
    fn arbitrary_lines_under_a_sound_check_line_never_panic(
        lines in proptest::collection::vec("(persist-stamp|store|grant|epoch|[a-z]{0,4})( = )?[ -~]{0,12}", 0..12)
    ) {
        let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let text = format!("{body}blake3 = {}\n", blake3::hash(body.as_bytes()).to_hex());
        prop_assert!(Stamp::parse(text.as_bytes()).is_err());
    }
}
