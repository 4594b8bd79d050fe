//! Chunks that are built from CAS blobs: the two known answers, and blobs that lie.

use persist_frame::aead::AeadKey;
use persist_frame::body::{CellDesc, PayloadCodec};
use persist_frame::cas::{deflate_blob, descriptor_keys, open_blob, open_by_hash, synthesize_chunk};
use persist_frame::{ErrorClass, Frame, Limits};

use crate::manifest::{hex, json, root, unhex};

const LIMIT: u32 = 1 << 20;

#[test]
fn both_known_answers() {
    let manifest = json("manifest.json");
    let answers = manifest["cas_chunk_known_answers"].as_array().unwrap();
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let text = |field: &str| answer[field].as_str().unwrap();
        let bytes = std::fs::read(root().join(text("frame"))).unwrap();
        let blob = std::fs::read(root().join(text("blob"))).unwrap();
        let key = AeadKey::new(unhex(text("aead_key")).try_into().unwrap());
        let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
        let record = frame.record(0).unwrap();
        let chunk_key = unhex(text("record_key"));
        assert!(descriptor_keys(&chunk_key).contains(&(record.key().to_vec(), 0)));
        let description = CellDesc::decode(record.body()).unwrap();
        let plaintext = open_blob(&description.payload_ref.unwrap(), &blob, LIMIT).unwrap();
        let chunk = synthesize_chunk(&chunk_key, 0, &description, &plaintext, Some(&key)).unwrap();
        assert_eq!(hex(&chunk), text("expected_record_value"));

        let keyless = synthesize_chunk(&chunk_key, 0, &description, &plaintext, None);
        assert_eq!(keyless.unwrap_err().class(), ErrorClass::Aead);
        let beyond = synthesize_chunk(&chunk_key, 1, &description, &plaintext, Some(&key));
        assert_eq!(beyond.unwrap_err().class(), ErrorClass::Cas);
        let wraps = synthesize_chunk(&chunk_key, u64::MAX, &description, &plaintext, Some(&key));
        assert_eq!(wraps.unwrap_err().class(), ErrorClass::Cas);
    }
}

#[test]
fn a_blob_that_is_not_what_its_reference_says_is_refused() {
    for (frame, blob) in [("payload_ref_cas_plain", true), ("payload_ref_cas_deflate", false)] {
        let bytes = std::fs::read(root().join(format!("frames/{frame}.frame"))).unwrap();
        let good = std::fs::read(root().join(format!("cas/{frame}.blob"))).unwrap();
        let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
        let record = frame.record(0).unwrap();
        let description = CellDesc::decode(record.body()).unwrap();
        let reference = description.payload_ref.unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // A zlib header has bits that change nothing; the plaintext is then still the right one.
                if let Ok(plaintext) = open_blob(&reference, &bad, LIMIT) {
                    assert!(!blob && plaintext.len() == 96, "byte {at} bit {bit}");
                }
            }
        }
        assert!(open_blob(&reference, &good[1..], LIMIT).is_err());
        assert!(open_blob(&reference, &[&good[..], b"x"].concat(), LIMIT).is_err());
        assert!(open_blob(&reference, &[], LIMIT).is_err());
        assert_eq!(open_blob(&reference, &good, 10).unwrap_err().class(), ErrorClass::Limit);
    }
}

#[test]
fn windows_are_4096_bytes_and_the_last_is_the_rest() {
    let plaintext: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
    let hash = blake3::hash(&plaintext);
    let blob = deflate_blob(&plaintext).unwrap();
    let reference = persist_frame::body::PayloadRef {
        kind: persist_frame::body::RefKind::Cas,
        codec: persist_frame::body::PayloadCodec::Deflate,
        aead_mode: persist_frame::aead::AeadMode::None,
        payload_size: 10_000,
        hash: hash.as_bytes(),
    };
    let description = CellDesc { payload_ref: Some(reference), fingerprint: Some(9), ..CellDesc::default() };
    let opened = open_blob(&reference, &blob, LIMIT).unwrap();
    let mut joined = Vec::new();
    for ordinal in 0..3 {
        let key = [b"base".as_slice(), &[ordinal as u8]].concat();
        let body = synthesize_chunk(&key, ordinal, &description, &opened, None).unwrap();
        let chunk = persist_frame::body::PayloadChunk::decode(&body).unwrap();
        assert_eq!(
            (chunk.chunk_offset, chunk.total_size, chunk.fingerprint),
            (ordinal * 4096, 10_000, Some(9))
        );
        assert_eq!(chunk.aad_hash, blake3::hash(&key).as_bytes());
        joined.extend_from_slice(chunk.data);
    }
    assert_eq!(joined, plaintext);
    assert!(synthesize_chunk(b"base\x03", 3, &description, &opened, None).is_err());
    let inline = CellDesc::default();
    assert_eq!(synthesize_chunk(b"k\0", 0, &inline, &opened, None).unwrap_err().class(), ErrorClass::Cas);
}

#[test]
fn descriptions_are_looked_for_under_both_kinds_and_every_ordinal() {
    assert_eq!(descriptor_keys(b"\x02path\x05"), [(b"\x01path".to_vec(), 5), (b"\x02path".to_vec(), 5)]);
    let long = descriptor_keys(b"\x22\x80\x01");
    assert_eq!(long, [(b"\x22\x80".to_vec(), 1), (b"\x22".to_vec(), 128)]);
    assert_eq!(descriptor_keys(b"\x05"), []);
    assert_eq!(descriptor_keys(b""), []);
}

#[test]
fn a_blob_is_known_by_its_hash_alone() {
    let plaintext = vec![7_u8; 5000];
    let hash = *blake3::hash(&plaintext).as_bytes();
    let deflated = deflate_blob(&plaintext).unwrap();
    let open = |blob: &[u8], limit| open_by_hash(&hash, blob.to_vec(), limit);
    assert_eq!(open(&plaintext, LIMIT).unwrap(), (plaintext.clone(), PayloadCodec::None));
    assert_eq!(open(&deflated, 5000).unwrap(), (plaintext.clone(), PayloadCodec::Deflate));
    assert_eq!(open(&deflated, 4999).unwrap_err().class(), ErrorClass::Cas);
    assert_eq!(open(&plaintext, 4999).unwrap_err().class(), ErrorClass::Limit);
    assert_eq!(open(&[&deflated[..], &[0]].concat(), LIMIT).unwrap_err().class(), ErrorClass::Cas);
    assert_eq!(open(&deflated[..deflated.len() - 1], LIMIT).unwrap_err().class(), ErrorClass::Cas);
    assert_eq!(open(&deflate_blob(b"other").unwrap(), LIMIT).unwrap_err().class(), ErrorClass::Cas);
    assert_eq!(open(&[], LIMIT).unwrap_err().class(), ErrorClass::Cas);
}
