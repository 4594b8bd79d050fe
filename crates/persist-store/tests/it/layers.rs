//! The layers, seen from below: what is stored, and what happens when stored bytes change.

use persist_api::{Caps, ErrorKind, Finding, FindingCode, Quiet, Request, Scan, Severity};
use persist_store::default_request;
use std::ops::ControlFlow;

use crate::kit::{change_raw, fails, only, open, open_default, place, put, raw, raw_value, toy};

#[test]
fn stored_bytes_are_as_documented() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"key", b"value"), (b"", b"")]);
    drop((writer, store));
    // CRC-32C over 03 00 00 00 "key" "value" and over 00 00 00 00, computed by another program.
    assert_eq!(
        raw_value(&toy(), &place.home, b"\x01key"),
        [b"value".as_slice(), &GOLDEN_CRC.to_le_bytes()].concat()
    );
    assert_eq!(raw_value(&toy(), &place.home, b"\x01"), GOLDEN_CRC_EMPTY.to_le_bytes());
    let format = raw_value(&toy(), &place.home, b"\0format");
    let (text, digest) = format.split_last_chunk::<32>().unwrap();
    let expected = "persist-format-grant 1\n\
        layer prefix/1 key+1 value+0 provides -\n\
        layer crc32c/1 key+0 value+4 provides CRC32C\n\
        layer merkle/1 key+0 value+0 provides MERKLE\n";
    assert_eq!(text, expected.as_bytes());
    assert_eq!(blake3::hash(text).as_bytes(), digest);
    let mut records = 0;
    raw(&toy(), &place.home)
        .view()
        .unwrap()
        .scan(Scan::all(), &mut |_, _| {
            records += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(records, 3, "nothing else is stored");
}

/// Bit by bit, as the polynomial says: another way than the library's.
fn crc32c_by_hand(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & 0_u32.wrapping_sub(crc & 1)))
    })
}

const GOLDEN_CRC: u32 = 0x1CDA_F2C3;
const GOLDEN_CRC_EMPTY: u32 = 0x4867_4BC7;

#[test]
fn golden_checksums_follow_the_polynomial() {
    assert_eq!(crc32c_by_hand(b"123456789"), 0xE306_9283, "the check value of CRC-32C");
    assert_eq!(crc32c_by_hand(b"\x03\0\0\0keyvalue"), GOLDEN_CRC);
    assert_eq!(crc32c_by_hand(b"\0\0\0\0"), GOLDEN_CRC_EMPTY);
}

#[test]
fn checksums_of_keys_of_every_length_follow_the_polynomial() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    let keys: Vec<Vec<u8>> = (0..130_u8).map(|len| (0..len).collect()).collect();
    put(&mut writer, &keys.iter().map(|key| (key.as_slice(), b"value".as_slice())).collect::<Vec<_>>());
    assert_eq!(crate::kit::content(&store.view().unwrap()).len(), 130);
    drop((writer, store));
    let engine = raw(&toy(), &place.home);
    let view = engine.view().unwrap();
    for key in keys {
        let stored = view.get_record(&[b"\x01", key.as_slice()].concat()).unwrap().unwrap();
        let covered = [&(key.len() as u32).to_le_bytes(), key.as_slice(), b"value"].concat();
        assert_eq!(stored[5..], crc32c_by_hand(&covered).to_le_bytes(), "{}", key.len());
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_the_key_is_named() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"fine"), (b"bad\xFE", b"some value"), (b"c", b"fine")]);
    drop((writer, store));
    let sound = raw_value(&toy(), &place.home, b"\x01bad\xFE");
    for bit in 0..sound.len() * 8 {
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        change_raw(&toy(), &place.home, &[(b"\x01bad\xFE", &damaged)]);
        let (_writer, store) = open_default(&place.home);
        let view = store.view().unwrap();
        fails(view.get(b"bad\xFE"), ErrorKind::Corrupt, &["\"bad\\xfe\""]);
        assert!(view.get(b"a").unwrap().is_some());
        let mut rows = Vec::new();
        let scanned = view.scan(Scan::all(), |key, _| {
            rows.push(key.to_vec());
            ControlFlow::Continue(())
        });
        fails(scanned, ErrorKind::Corrupt, &["\"bad\\xfe\""]);
        assert_eq!(rows, [b"a"], "rows before the damage were right");
    }
}

#[test]
fn a_cursor_fails_at_damage_until_it_seeks() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]);
    drop((writer, store));
    change_raw(&toy(), &place.home, &[(b"\x01b", b"2????")]);
    let (_writer, store) = open_default(&place.home);
    let view = store.view().unwrap();
    let mut cursor = view.cursor(Scan::all()).unwrap();
    assert!(cursor.advance().unwrap());
    fails(cursor.advance(), ErrorKind::Corrupt, &["\"b\""]);
    assert_eq!((cursor.key(), cursor.value()), (b"".as_slice(), b"".as_slice()));
    fails(cursor.advance(), ErrorKind::Poisoned, &["seek"]);
    assert!(cursor.seek(b"c").unwrap());
    assert_eq!((cursor.key(), cursor.value()), (b"c".as_slice(), b"3".as_slice()));
    fails(cursor.seek(b"b"), ErrorKind::Corrupt, &["\"b\""]);

    // Without values nothing is checked, and nothing wrong is shown.
    let mut keys = Vec::new();
    view.scan(Scan::all().keys_only(), |key, value| {
        assert!(value.is_empty());
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(keys, [b"a", b"b", b"c"]);
    let mut cursor = view.cursor(Scan::all().keys_only()).unwrap();
    while cursor.advance().unwrap() {
        assert!(cursor.value().is_empty());
    }
}

#[test]
fn swapped_values_are_noticed() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"ab", b"c"), (b"abc", b"")]);
    drop((writer, store));
    let read = |key: &[u8]| raw_value(&toy(), &place.home, key);
    let (a, b, ab, abc) = (read(b"\x01a"), read(b"\x01b"), read(b"\x01ab"), read(b"\x01abc"));
    assert_ne!(ab[1..], abc[..], "the length of the key keeps it apart from the value");
    change_raw(&toy(), &place.home, &[(b"\x01a", &b), (b"\x01b", &a), (b"\x01abc", &ab)]);
    let (_writer, store) = open_default(&place.home);
    let view = store.view().unwrap();
    for key in [b"a".as_slice(), b"b", b"abc"] {
        fails(view.get(key), ErrorKind::Corrupt, &[&format!("{:?}", std::str::from_utf8(key).unwrap())]);
    }
    assert!(view.get(b"ab").unwrap().is_some());
}

#[test]
fn a_value_too_short_for_its_checksum_is_damage() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    for short in [b"".as_slice(), b"1", b"123"] {
        change_raw(&toy(), &place.home, &[(b"\x01a", short)]);
        let (_writer, store) = open_default(&place.home);
        fails(store.view().unwrap().get(b"a"), ErrorKind::Corrupt, &["too short", "\"a\""]);
    }
}

#[test]
fn without_the_layer_values_are_stored_as_they_are() {
    let place = place();
    let plain = only(Caps::SNAPSHOT | Caps::ORDERED);
    let (mut writer, store) =
        open(&toy(), &place.home, &Request { durability: persist_api::Durability::Durable, ..plain.clone() })
            .unwrap();
    put(&mut writer, &[(b"a", b"1")]);
    assert_eq!(store.view().unwrap().get(b"a").unwrap().as_deref(), Some(b"1".as_slice()));
    drop((writer, store));
    assert_eq!(raw_value(&toy(), &place.home, b"\x01a"), b"1");
}

#[test]
fn a_damaged_copy_of_the_grant_is_told_and_written_again_by_the_next_beat() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    let whole = raw_value(&toy(), &place.home, b"\0format");
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    change_raw(&toy(), &place.home, &[(b"\0format", &damaged)]);

    let (mut writer, store) = open_default(&place.home);
    assert_eq!(store.view().unwrap().get(b"a").unwrap().as_deref(), Some(b"1".as_slice()));
    let told = damage(&store);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].code == FindingCode::Header && told[0].place.contains("format"), "{told:?}");
    put(&mut writer, &[(b"b", b"2")]);
    assert_eq!(damage(&store), []);
    drop((writer, store));
    assert_eq!(raw_value(&toy(), &place.home, b"\0format"), whole);
}

fn damage(store: &persist_store::Store) -> Vec<Finding> {
    let mut told = Vec::new();
    store.verify(&mut |finding| told.push(finding), &Quiet).unwrap();
    told.retain(|finding| finding.severity == Severity::Damage);
    told
}

#[test]
fn a_copy_of_the_grant_that_is_missing_or_another_is_corrupt() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    let other = b"persist-format-grant 1\nlayer prefix/1 key+1 value+0 provides -\n";
    let other = [other.as_slice(), blake3::hash(other).as_bytes()].concat();
    change_raw(&toy(), &place.home, &[(b"\0format", &other)]);
    fails(open(&toy(), &place.home, &default_request()), ErrorKind::Corrupt, &["another store"]);

    let bare = crate::kit::place();
    drop(open_default(&bare.home));
    change_raw(&toy(), &bare.home, &[(b"\x01a", b"1")]);
    fails(open(&toy(), &bare.home, &default_request()), ErrorKind::Corrupt, &["not written by this runtime"]);
}
