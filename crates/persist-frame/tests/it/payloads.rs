//! Sealed payloads: those of the vectors open with their keys, and sealing again gives the stored bytes.

use persist_frame::aead::{self, AeadKey, AeadMode, ChunkPlace};
use persist_frame::body::{Body, CellDesc, PayloadChunk};
use persist_frame::{ErrorClass, Frame, Limits, RecordKind};

use crate::manifest::{accepted, generated, unhex};

fn description<'f>(frame: &'f Frame<'_>) -> CellDesc<'f> {
    let record = frame.records().find(|record| record.kind() == RecordKind::CELL_DESC).unwrap();
    CellDesc::decode(record.body()).unwrap()
}

#[test]
fn payloads_sealed_by_the_writer_open_with_the_given_key() {
    let mut opened = 0;
    for vector in accepted() {
        let Some(key) = vector.hex("aead_key") else { continue };
        let key = AeadKey::new(key.try_into().unwrap());
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        for payload in frame.payloads().unwrap() {
            assert_ne!(payload.aead_mode(), AeadMode::None);
            let plaintext = payload.open(Some(&key)).unwrap();
            let reference = description(&frame).payload_ref.unwrap();
            assert_eq!(plaintext.len() as u64, reference.payload_size);
            assert_eq!(blake3::hash(&plaintext).as_bytes(), reference.hash, "{}", vector.name);
            assert_eq!(payload.open(None).unwrap_err().class(), ErrorClass::Aead);
            let wrong = AeadKey::new([7; 32]);
            assert_eq!(payload.open(Some(&wrong)).unwrap_err().class(), ErrorClass::Aead);
            for (record, chunk) in payload.chunks() {
                assert_resealed(record.key(), chunk, &key);
                opened += 1;
            }
        }
        for record in frame.records().filter(|record| record.kind() == RecordKind::PAYLOAD_HISTORY) {
            let Body::PayloadHistory(history) = Body::decode(&record).unwrap() else { panic!() };
            assert_resealed(record.key(), &history.chunk, &key);
            opened += 1;
        }
    }
    assert!(opened > 10, "{opened}");
}

/// Opens a chunk, seals the plaintext again, and expects nonce and bytes as stored.
fn assert_resealed(record_key: &[u8], chunk: &PayloadChunk<'_>, key: &AeadKey) {
    let plaintext = aead::open_chunk(chunk, record_key, key).unwrap();
    let place = ChunkPlace {
        record_key,
        fingerprint: chunk.fingerprint,
        offset: chunk.chunk_offset,
        size: chunk.chunk_size,
        total: chunk.total_size,
    };
    let (nonce, data) = aead::seal_chunk(chunk.aead_mode, key, &place, &plaintext).unwrap();
    assert_eq!((&nonce[..], &data[..]), (chunk.nonce, chunk.data));
    assert_eq!(aead::open_chunk(chunk, b"another key", key).unwrap_err().class(), ErrorClass::Aead);
}

#[test]
fn presealed_payloads_open_with_their_public_key_number() {
    let mut opened = 0;
    for vector in accepted() {
        let Some(key_id) = vector.entry["secdata_key_id"].as_u64() else { continue };
        let key = AeadKey::of_secdata(key_id);
        let frame = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        for payload in frame.payloads().unwrap().iter().filter(|payload| payload.is_presealed()) {
            let [(record, chunk)] = payload.chunks() else { panic!("one chunk") };
            let stored = aead::open_presealed(chunk, &key).unwrap();
            assert_eq!(stored.len() + aead::TAG_LEN, chunk.data.len());
            assert_eq!(aead::open_chunk(chunk, record.key(), &key).unwrap_err().class(), ErrorClass::Aead);
            let wrong = AeadKey::of_secdata(key_id + 1);
            assert_eq!(aead::open_presealed(chunk, &wrong).unwrap_err().class(), ErrorClass::Aead);
            opened += 1;
        }
    }
    assert_eq!(opened, 2);
}

#[test]
fn presealed_bytes_follow_from_path_and_plaintext() {
    let bytes = generated("cell_secdata_enc_chacha20_s1");
    let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
    let payloads = frame.payloads().unwrap();
    let (_, chunk) = &payloads[0].chunks()[0];
    let key = AeadKey::of_secdata(42);
    let plaintext = aead::open_presealed(chunk, &key).unwrap();
    let base = payloads[0].base_key();
    let fingerprint = aead::fingerprint_of(&plaintext);
    // The path that was sealed is the whole base key but for the kind in front.
    let path = &base[1..];
    assert_eq!(chunk.fingerprint, Some(fingerprint));
    let sealed = aead::seal_presealed(chunk.aead_mode, &key, path, fingerprint, &plaintext).unwrap();
    assert_eq!(&sealed.aad_hash, chunk.aad_hash);
    assert_eq!((&sealed.nonce[..], &sealed.data[..]), (chunk.nonce, chunk.data));
}

#[test]
fn both_ciphers_are_the_standard_ones() {
    // The frame's vectors would not notice a cipher that is wrong in both directions; these bytes come from the C
    // program, so opening them would.
    let bytes = generated("cell_aead_chacha20_s1");
    let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
    assert_eq!(frame.payloads().unwrap()[0].aead_mode(), AeadMode::ChaCha20Poly1305);
    let key = AeadKey::new(
        unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").try_into().unwrap(),
    );
    assert_eq!(frame.payloads().unwrap()[0].open(Some(&key)).unwrap().len(), 3000);
    assert_eq!(format!("{key:?}"), "AeadKey(..)");
}
