//! Defects of the original that no other test shows to be absent; all of them are in the table of `docs/cps.md`.

use std::sync::Arc;

use persist_api::{BeatNo, Durability, OpenOptions, Quiet, Request};
use persist_cps::branch::{BranchSeverity, import_branch};
use persist_cps::{Cell, blob_key, cell_value, frame as kept_frame};
use persist_flatfile::FlatfileDriver;
use persist_frame::aead::AeadMode;
use persist_frame::body::{CellDesc, PayloadCodec};
use persist_frame::name::Segment;
use persist_frame::{Checksum, NewRecord, RecordKind, TrailerFields};
use persist_io::sim::SimDisk;
use persist_store::{KeyId, KeyRing, SecretKey, Store, Writer, default_request, encrypted, open_with};

use crate::branch_kit::{Engine, chunk, codes, plain, refers_with, survey};
use crate::kit::{Place, frame};

const SECRET: &[u8] = b"for the eyes of those who hold the key, and in the cache for everybody's";

/// A branch with one blob, to which a cell refers in this mode.
fn with_blob(mode: AeadMode) -> Engine {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.blob(SECRET, SECRET, 0);
    let cell = refers_with(SECRET, PayloadCodec::None, mode, SECRET.len() as u64);
    engine.commit(1, &[plain(1, b"c", &cell)]);
    engine
}

fn stored(disk: &SimDisk, request: &Request) -> (Writer, Store) {
    let drivers: [Arc<dyn persist_api::Driver>; 1] = [Arc::new(FlatfileDriver::new(Arc::new(disk.clone())))];
    let disk = Arc::new(disk.clone());
    let opened =
        open_with(disk, &drivers, "/store".as_ref(), Some("flatfile"), &OpenOptions::default()).unwrap();
    let keys = KeyRing::new().with(KeyId(1), SecretKey::new([1; 32]));
    opened.keys(Arc::new(keys)).negotiate(request).unwrap()
}

/// The cache of the original has no other form of them than the plaintext, and their keys are not ours to have.
#[test]
fn cps_s3_blobs_of_encrypted_references_are_told_and_lie_as_the_store_keeps_values() {
    let told = |mode| {
        let survey = survey(&with_blob(mode).dir);
        let mut notes = survey.findings.kept().iter().filter(|finding| finding.code == "blob_in_clear");
        notes.next().map(|note| (note.severity, survey.findings.count(BranchSeverity::Lost)))
    };
    assert_eq!(told(AeadMode::XChaCha20Poly1305), Some((BranchSeverity::Note, 0)));
    assert_eq!(told(AeadMode::ChaCha20Poly1305), Some((BranchSeverity::Note, 0)));
    assert_eq!(told(AeadMode::None), None);

    for (request, readable) in [(default_request(), true), (encrypted(default_request()), false)] {
        let (disk, dir) = (SimDisk::new(1), with_blob(AeadMode::XChaCha20Poly1305).dir);
        let (mut writer, store) = stored(&disk, &request);
        import_branch(&mut writer, &store, &dir, &survey(&dir), Durability::Durable, &Quiet).unwrap();
        let view = store.view().unwrap();
        let blob = blob_key(blake3::hash(SECRET).as_bytes());
        assert_eq!(view.get(&blob).unwrap().as_deref(), Some(SECRET));
        drop(view);
        store.close().unwrap();
        let holds = |bytes: Vec<u8>| bytes.windows(SECRET.len()).any(|window| window == SECRET);
        let found = disk.files().into_iter().any(|(path, _)| holds(disk.bytes(path).unwrap()));
        assert_eq!(found, readable);
    }
}

/// The original writes the checksum of a chunk and compares it with nothing.
#[test]
fn cps_s3_the_checksum_of_a_chunk_is_compared() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[chunk(b"p", 0, b"0123456789", 10, 0)]);
    assert_eq!(codes(&survey(&engine.dir)), [""; 0]);
    engine.dir.get_mut("branch.dat").unwrap()[48] ^= 1;
    assert_eq!(codes(&survey(&engine.dir)), ["record_header"], "the frame's digest is of another");
    // Written so: the digest is of the wrong one.
    let digest = blake3::hash(&engine.dir["branch.dat"]);
    let idx = engine.dir.get_mut("branch.idx").unwrap();
    let at = idx.len() - 32;
    idx[at..].copy_from_slice(digest.as_bytes());
    engine.dir.remove("branch.meta");
    assert_eq!(codes(&survey(&engine.dir)), ["chunk_checksum", "meta_missing"]);
}

/// The original stored the cell at the root of a branch and called everything below it clean.
#[test]
fn cps_s4_every_record_of_a_frame_is_kept_and_not_the_first_alone() {
    let names = ["data", "orders", "lines", "total"].map(|name| Segment::from_text("CEP", name).unwrap());
    let body = CellDesc::default().encode();
    let mut records: Vec<(RecordKind, Vec<u8>, Vec<u8>)> = Vec::new();
    for depth in 1..=names.len() {
        let path: Vec<u8> = names[..depth].iter().flat_map(|segment| segment.to_bytes()).collect();
        records.push((RecordKind::CELL_DESC, [&[RecordKind::CELL_DESC.0][..], &path].concat(), body.clone()));
        for (ordinal, data) in [(0, &b"0123456789"[..]), (1, b"abcdef")] {
            let base = [&[RecordKind::PAYLOAD_CHUNK.0][..], &path].concat();
            let (_, key, chunk) = chunk(&base, ordinal, data, 16, u64::from(ordinal) * 10);
            records.push((RecordKind::PAYLOAD_CHUNK, key, chunk));
        }
    }
    let new: Vec<_> = records.iter().map(|(kind, key, body)| NewRecord::new(*kind, key, body)).collect();
    let mut place = Place::new();
    let done = place.ingest(&frame(TrailerFields { beat: 9, ..TrailerFields::default() }, &new)).unwrap();
    assert_eq!(done.opaque_records, 0, "keys and bodies are those of real cells");
    let view = place.store.view().unwrap();
    let kept = kept_frame(&view, done.receipt.beat).unwrap().unwrap();
    assert_eq!(kept.records().unwrap().len(), 12);
    for (kind, key, body) in &records {
        let value = cell_value(&view, key).unwrap().unwrap();
        let found = Cell::decode(&value).unwrap().record;
        assert_eq!((found.kind, found.key, found.body), (*kind, &key[..], &body[..]));
    }
}

#[test]
fn cps_s4_the_beat_of_a_frame_is_data_and_orders_nothing() {
    let mut place = Place::new();
    for (store_beat, beat) in (1..).map(BeatNo).zip([9, 3, u64::MAX, 2]) {
        let body = beat.to_le_bytes();
        let fields = TrailerFields { beat, ..TrailerFields::default() };
        let bytes = frame(fields, &[NewRecord::new(RecordKind::CELL_DESC, b"key", &body)]);
        let done = place.ingest(&bytes).unwrap();
        assert_eq!((done.receipt.beat, done.note.fields.beat), (store_beat, beat));
        let view = place.store.view().unwrap();
        let value = cell_value(&view, b"key").unwrap().unwrap();
        let cell = Cell::decode(&value).unwrap();
        assert_eq!((cell.beat, cell.record.body), (store_beat, &body[..]), "what came last is shown");
    }
}
