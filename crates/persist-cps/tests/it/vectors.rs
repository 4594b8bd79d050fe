//! Every vector of the manifests goes through ingestion.

use persist_api::{BeatNo, ErrorKind};
use persist_cps::{Cell, cell_value, frame, reassemble};
use persist_frame::{ApplyMode, Frame, Limits};

use crate::kit::{Place, vectors};

#[test]
fn cps_s3_every_accepted_vector_goes_in_and_comes_out_identical() {
    let mut place = Place::new();
    let mut beats = Vec::new();
    for vector in vectors() {
        let before = place.state();
        let result = place.ingest(&vector.bytes);
        let refused = |kind: ErrorKind, code: i32| {
            let error = result.as_ref().unwrap_err();
            assert_eq!((error.kind(), error.code()), (kind, code), "{}: {error}", vector.name());
            assert_eq!(place.state(), before, "{}", vector.name());
        };
        if !vector.accepted() {
            let kind = result.as_ref().unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::TooLarge), "{}", vector.name());
            refused(kind, kind.code());
        } else if vector.ingest_error().is_some() {
            refused(ErrorKind::Refused, -4);
            assert!(result.unwrap_err().context().starts_with("CAPABILITY_MISMATCH"));
        } else if vector.entry["decoded"]["apply_mode"] == 2 {
            refused(ErrorKind::Unsupported, -7);
        } else {
            let done = result.unwrap_or_else(|error| panic!("{}: {error}", vector.name()));
            assert_eq!(done.receipt.beat, BeatNo(before.0 + 1));
            beats.push((done.receipt.beat, vector));
        }
    }
    assert!(beats.len() >= 95, "{} frames went in", beats.len());

    let view = place.store.view().unwrap();
    for (beat, vector) in &beats {
        let parsed = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        assert_eq!(reassemble(&view, *beat).unwrap(), parsed.bare_bytes(), "{}", vector.name());
        let kept = frame(&view, *beat).unwrap().unwrap();
        assert_eq!(kept.root().unwrap(), parsed.trailer().merkle_root);
        if vector.entry["kind"] != "valid-recompressed" {
            assert_eq!(kept.reassemble_received().unwrap(), vector.bytes, "{}", vector.name());
        }
    }
    let (stat, findings) = place.verify();
    assert_eq!((stat.frames, findings), (beats.len() as u64, Vec::new()));
    assert_eq!(stat.beat_root, Some(view.header().beat));
}

#[test]
fn both_apply_modes_and_repeated_keys_lose_nothing() {
    let mut modes = Vec::new();
    let mut repeated = 0;
    for vector in vectors().iter().filter(|vector| vector.accepted() && vector.ingest_error().is_none()) {
        let parsed = Frame::parse(&vector.bytes, &Limits::default()).unwrap();
        let mut place = Place::new();
        // Twice: the second frame brings keys that are all there already.
        let Ok(first) = place.ingest(&vector.bytes) else { continue };
        let second = place.ingest(&vector.bytes).unwrap();
        modes.push(first.note.fields.apply_mode);
        let view = place.store.view().unwrap();
        for done in [&first, &second] {
            assert_eq!(reassemble(&view, done.receipt.beat).unwrap(), parsed.bare_bytes());
        }
        let mut keys: Vec<&[u8]> = Vec::new();
        for record in parsed.records() {
            let newest = (0..).zip(parsed.records()).filter(|(_, other)| other.key() == record.key()).last();
            let (index, newest) = newest.unwrap();
            let value = cell_value(&view, record.key()).unwrap().unwrap();
            let cell = Cell::decode(&value).unwrap();
            assert_eq!((cell.beat, cell.index, cell.span), (second.receipt.beat, index, newest.span()));
            keys.push(record.key());
            if keys.len() > 64 {
                break;
            }
        }
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        repeated += usize::from(keys.len() < all);
    }
    assert!(modes.contains(&ApplyMode::InsertOnly) && modes.contains(&ApplyMode::OverwriteAll));
    assert!(repeated >= 2, "{repeated} vectors repeat a key");
}
