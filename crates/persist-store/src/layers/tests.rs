//! Golden vectors and damage, layer by layer. The vectors were computed by another program (`docs/format.md`).

use std::collections::BTreeSet;

use persist_api::{Caps, ErrorKind, FormatGrant, Result};
use proptest::prelude::*;

use super::keys::fill_random;
use super::{AEAD_LAYER, Codec, KeyId, KeyRing, PREFIX_LAYER, Scratch, SecretKey, standard_layers};

const KEY: &[u8] = b"\x01key";
const SEAL: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
const NONCE: &str = "404142434445464748494a4b4c4d4e4f5051525354555657";
const CHECK_TAIL: &str = "d7e8e74b6260a2db986cb8537f7e09e4";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn golden_ring() -> KeyRing {
    KeyRing::new().with(KeyId(7), SecretKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap())))
}

fn codec_with(layers: Caps, seal: &str) -> Result<Codec> {
    let wanted = |name: &str, provides| name == PREFIX_LAYER || layers.intersects(provides);
    let mut layers: Vec<_> = standard_layers().into_iter().map(|layer| layer.grant).collect();
    layers.retain(|layer| wanted(&layer.name, layer.provides));
    for layer in layers.iter_mut().filter(|layer| layer.name == AEAD_LAYER) {
        layer.parameter = format!("{seal}-07000000{NONCE}{CHECK_TAIL}").into();
    }
    Codec::of(&FormatGrant { layers }, Some(&golden_ring()), None)
}

fn codec(layers: Caps) -> Codec {
    codec_with(layers, SEAL).unwrap()
}

fn open(codec: &Codec, key: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
    let mut scratch = Scratch::default();
    let place = codec.open(key, stored, &mut scratch)?;
    Ok(place.of(stored, &scratch).to_vec())
}

fn seal(codec: &Codec, key: &[u8], value: &[u8]) -> Vec<u8> {
    codec.seal(key, value, &mut Scratch::default()).unwrap().to_vec()
}

#[track_caller]
fn damaged(result: Result<Vec<u8>>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.context().contains("\"key\"") && error.context().contains(words), "{error}");
}

const ALL: Caps = Caps::COMPRESSION.union(Caps::AEAD).union(Caps::CRC32C);
/// 40 bytes, `abcabc…`: three literals, 32 bytes from three back, five literals.
const BLOCK: &str = "3f61626303000d506361626361";

#[test]
fn lz4_golden() {
    let codec = codec(Caps::COMPRESSION);
    let value = &b"abc".repeat(14)[..40];
    assert_eq!(open(&codec, KEY, &hex(&format!("{BLOCK}2800000001"))).unwrap(), value);
    assert_eq!(open(&codec, KEY, b"value\0").unwrap(), b"value");
    assert_eq!(open(&codec, KEY, b"\0").unwrap(), b"");
    assert_eq!(seal(&codec, KEY, b"value"), b"value\0");
    let packed = seal(&codec, KEY, value);
    assert_eq!(packed.last(), Some(&1));
    assert_eq!(packed[packed.len() - 5..packed.len() - 1], 40_u32.to_le_bytes());
    assert!(packed.len() < value.len());
}

#[test]
fn lz4_lengths_are_checked_before_memory_is_taken() {
    let codec = codec(Caps::COMPRESSION);
    let claims = |block: &[u8], len: u32| open(&codec, KEY, &[block, &len.to_le_bytes(), &[1]].concat());
    let block = hex(BLOCK);
    let most = u32::try_from(block.len() * 255).unwrap();
    damaged(claims(&block, 41), "shorter");
    damaged(claims(&block, 39), "cannot be unpacked");
    damaged(claims(&block, most), "shorter");
    damaged(claims(&block, most + 1), "longer than its block");
    damaged(claims(&block, u32::MAX), "longer than its block");
    damaged(claims(&[], 1), "longer than its block");
    damaged(claims(&block[..7], 40), "");
    for (stored, words) in
        [(b"".as_slice(), "too short"), (b"\0\0\0\x01", "too short"), (b"value\x02", "last byte")]
    {
        damaged(open(&codec, KEY, stored), words);
    }
    // A block may stand for 255 bytes of a value with each of its own, and hardly more.
    let zeros = vec![0; 1 << 20];
    let packed = seal(&codec, KEY, &zeros);
    assert!(packed.len() * 240 < zeros.len(), "{}", packed.len());
    assert_eq!(open(&codec, KEY, &packed).unwrap(), zeros);
}

#[test]
fn aead_golden() {
    let codec = codec(Caps::AEAD);
    let sealed = hex(&format!("07000000{NONCE}a2586905b5b154ad0395b74fde954df86a8f21fdb3"));
    assert_eq!(open(&codec, KEY, &sealed).unwrap(), b"value");
    assert_eq!(seal(&codec, KEY, b"value").len(), sealed.len());
    codec.prove(b"\0key/\0\0\0\x07", &hex(&format!("07000000{NONCE}{CHECK_TAIL}"))).unwrap();
    // Another seal: another store.
    let error = codec_with(Caps::AEAD, &SEAL.replace("ff", "fe")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.context().contains("key 7"), "{error}");
}

#[test]
fn golden_of_all_layers_in_their_order() {
    let codec = codec(ALL);
    let raw = format!("07000000{NONCE}a2586905b5e0f13a6af9fdbf70effc83757f4a2ab1e509d62d37");
    assert_eq!(open(&codec, KEY, &hex(&raw)).unwrap(), b"value");
    let packed = format!(
        "07000000{NONCE}eb586713d3e07446ec95e5ddceb4659292bb625a747023f4a2fcd31f05c4d2e5c0a73a0016f7"
    );
    assert_eq!(open(&codec, KEY, &hex(&packed)).unwrap(), &b"abc".repeat(14)[..40]);
}

#[test]
fn every_flipped_bit_is_noticed() {
    for layers in
        [Caps::CRC32C, Caps::AEAD, Caps::COMPRESSION | Caps::AEAD, Caps::COMPRESSION | Caps::CRC32C, ALL]
    {
        let codec = codec(layers);
        for value in [b"".as_slice(), b"value", &b"abc".repeat(14)] {
            let sound = seal(&codec, KEY, value);
            assert_eq!(open(&codec, KEY, &sound).unwrap(), value);
            for bit in 0..sound.len() * 8 {
                let mut flipped = sound.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                damaged(open(&codec, KEY, &flipped), "");
            }
            for len in 0..sound.len() {
                damaged(open(&codec, KEY, &sound[..len]), "");
            }
        }
    }
}

#[test]
fn a_value_is_bound_to_its_key_its_space_and_its_store() {
    let here = codec(Caps::AEAD);
    let sealed = seal(&here, b"\x01other", b"value");
    damaged(open(&here, KEY, &sealed), "tag");
    let own = seal(&here, b"\0key", b"value");
    damaged(open(&here, KEY, &own), "tag");
    let elsewhere = golden_ring();
    let mut format = FormatGrant { layers: standard_layers().into_iter().map(|layer| layer.grant).collect() };
    format.layers.retain(|layer| layer.name == PREFIX_LAYER || layer.name == AEAD_LAYER);
    format.layers[1].parameter = super::new_parameter(&elsewhere).unwrap().into();
    let elsewhere = Codec::of(&format, Some(&elsewhere), None).unwrap();
    damaged(open(&elsewhere, KEY, &seal(&here, KEY, b"value")), "tag");
}

#[test]
fn no_nonce_comes_twice() {
    let codec = codec(Caps::AEAD);
    let mut scratch = Scratch::default();
    let mut nonces = BTreeSet::new();
    for _ in 0..5000 {
        nonces.insert(codec.seal(KEY, b"value", &mut scratch).unwrap()[4..28].to_vec());
    }
    assert_eq!(nonces.len(), 5000);
    // The same value under the same key is never stored the same way.
    assert_ne!(seal(&codec, KEY, b"value"), seal(&codec, KEY, b"value"));
}

#[test]
fn what_opens_the_layers_is_not_sealed() {
    let codec = codec(ALL);
    for key in [b"\0format".as_slice(), b"\0key/\0\0\0\x02"] {
        assert_eq!(seal(&codec, key, b"plain"), b"plain");
        assert_eq!(open(&codec, key, b"plain").unwrap(), b"plain");
    }
    for key in [b"\0formats".as_slice(), b"\0feed", b"\x01format"] {
        assert_ne!(seal(&codec, key, b"plain"), b"plain", "the runtime's other records are");
    }
}

#[test]
fn layers_out_of_place_are_refused() {
    let grants: Vec<_> = standard_layers().into_iter().map(|layer| layer.grant).collect();
    let of = |places: &[usize]| {
        let layers = places.iter().map(|at| grants[*at].clone()).collect();
        Codec::of(&FormatGrant { layers }, None, None)
    };
    assert!(of(&[0, 1, 3, 4]).is_ok());
    for places in [[0, 3, 1].as_slice(), &[1, 0], &[0, 0], &[1]] {
        assert_eq!(of(places).err().unwrap().kind(), ErrorKind::Refused, "{places:?}");
    }
}

#[test]
fn keys_do_not_show() {
    let mut bytes = [0; 32];
    fill_random(&mut bytes).unwrap();
    let ring = KeyRing::new().with(KeyId(3), SecretKey::new(bytes));
    assert_eq!(format!("{ring:?}"), "KeyRing({KeyId(3): SecretKey(..)})");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn opening_undoes_sealing_and_nothing_grows_beyond_its_overhead(
        bits in 0..8_u8,
        key in proptest::collection::vec(any::<u8>(), 1..80),
        values in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), 1..8_usize), 1..4),
    ) {
        let all = [Caps::COMPRESSION, Caps::AEAD, Caps::CRC32C];
        let layers = (0..3).filter(|at| bits & (1 << at) != 0).map(|at| all[at]).fold(Caps::empty(), Caps::union);
        let codec = codec(layers);
        let mut scratch = Scratch::default();
        for (part, times) in values {
            let value = part.repeat(times);
            let sealed = codec.seal(&key, &value, &mut scratch).unwrap().to_vec();
            prop_assert!(sealed.len() as u64 <= value.len() as u64 + codec.value_overhead());
            let place = codec.open(&key, &sealed, &mut scratch).unwrap();
            prop_assert_eq!(place.of(&sealed, &scratch), value.as_slice());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(stored in proptest::collection::vec(any::<u8>(), 0..200), bits in 0..8_u8) {
        let all = [Caps::COMPRESSION, Caps::AEAD, Caps::CRC32C];
        let layers = (0..3).filter(|at| bits & (1 << at) != 0).map(|at| all[at]).fold(Caps::empty(), Caps::union);
        let _ = open(&codec(layers), KEY, &stored);
    }
}
