//! Whatever happens to what ingestion kept, `verify` finds it.

use persist_api::{BeatNo, Durability, ErrorKind, Quiet, Severity};
use persist_cps::branch::import_branch;
use persist_cps::{blob_key, branch_key, cell_key, frame_key, reassemble, record_key};
use persist_frame::{Checksum, FrameCaps, NewRecord, RecordKind, TrailerFields};

use crate::branch_kit::{small, survey};
use crate::kit::{Place, frame};

fn filled() -> Place {
    let mut place = Place::new();
    let record = |key, body| NewRecord::new(RecordKind::CELL_DESC, key, body);
    let long = vec![b'k'; 600];
    let fields = TrailerFields { beat: 100, caps: FrameCaps::NONE, ..TrailerFields::default() };
    place.ingest(&frame(fields, &[record(b"a", b"1"), record(b"b", b"2"), record(&long, b"3")])).unwrap();
    place.ingest(&frame(TrailerFields { beat: 3, ..fields }, &[record(b"b", b"4")])).unwrap();
    place
}

/// Exactly these many findings of damage after `change`, the first of which says `what`.
fn found(change: impl FnOnce(&mut Place), what: &str) {
    let mut place = filled();
    assert_eq!(place.verify().1, []);
    change(&mut place);
    let (stat, findings) = place.verify();
    let damage = findings.iter().filter(|finding| finding.severity == Severity::Damage).count();
    assert!(damage > 0, "{what}: {findings:?}");
    assert_eq!(stat.damaged, damage as u64);
    assert!(findings.iter().any(|finding| finding.what.contains(what)), "{what}: {findings:?}");
}

#[test]
fn every_kind_of_damage_is_found() {
    let first = BeatNo(1);
    let span_of = |place: &Place, beat, index| {
        place.store.view().unwrap().get(&record_key(beat, index)).unwrap().unwrap().into_vec()
    };
    let cell_of = |place: &Place, key: &[u8]| {
        place.store.view().unwrap().get(&cell_key(key, u64::MAX)).unwrap().unwrap().into_vec()
    };
    found(
        |place| {
            let mut span = span_of(place, first, 0);
            *span.last_mut().unwrap() ^= 1;
            place.put(&record_key(first, 0), &span);
        },
        "root is not that of the kept records",
    );
    found(|place| place.delete(&record_key(first, 1)), "where record 1 should be");
    found(|place| place.delete(&record_key(first, 2)), "2 records are kept, the frame had 3");
    found(|place| place.put(&record_key(first, 3), b"more"), "4 records are kept, the frame had 3");
    found(|place| place.put(&record_key(first, 3), &[0; 2000]), "exceed");
    found(|place| place.put(&record_key(first, 0), b"no span"), "not the span of a record");
    found(|place| place.delete(&frame_key(first)), "without its frame record");
    found(|place| place.put(&frame_key(first), b"nonsense"), "cannot be read");
    found(
        |place| {
            let text = String::from_utf8(
                persist_cps::note(&place.store.view().unwrap(), first).unwrap().unwrap().encode(),
            );
            let changed = text.unwrap().replace("beat=100", "beat=101");
            place.put(&frame_key(first), changed.as_bytes());
        },
        "do not give the frame that came",
    );
    found(|place| place.delete(&cell_key(b"a", u64::MAX)), "cell of this record is missing");
    found(
        |place| {
            let mut old = cell_of(place, b"b");
            old[..8].copy_from_slice(&1_u64.to_be_bytes());
            old[8..12].copy_from_slice(&1_u32.to_be_bytes());
            place.put(&cell_key(b"b", u64::MAX), &old);
        },
        "older or another one",
    );
    found(
        |place| {
            let cell = cell_of(place, b"a");
            place.put(&cell_key(b"z", u64::MAX), &cell);
        },
        "under a key that is not its own",
    );
    found(
        |place| {
            let mut cell = cell_of(place, b"a");
            *cell.last_mut().unwrap() ^= 1;
            place.put(&cell_key(b"a", u64::MAX), &cell);
        },
        "repeats is not kept",
    );
    let long = cell_key(&[b'k'; 600], u64::MAX);
    found(|place| place.put(&long, b"short"), "too short");
}

#[test]
fn every_kind_of_damage_to_what_was_imported_is_found() {
    let dir = small(Checksum::Crc32).dir;
    let survey = survey(&dir);
    let (frame, blob) = (survey.frames[0], survey.blobs[0]);
    let first = BeatNo(1);
    let found = |change: &dyn Fn(&mut Place), what: &str| {
        let mut place = Place::new();
        import_branch(&mut place.writer, &place.store, &dir, &survey, Durability::Durable, &Quiet).unwrap();
        assert_eq!(place.verify().1, []);
        change(&mut place);
        let (stat, findings) = place.verify();
        assert!(stat.damaged > 0, "{what}");
        assert!(findings.iter().any(|finding| finding.what.contains(what)), "{what}: {findings:?}");
    };
    let span =
        |place: &Place| place.store.view().unwrap().get(&record_key(first, 0)).unwrap().unwrap().into_vec();
    let flip = |place: &mut Place| {
        let mut span = span(place);
        *span.last_mut().unwrap() ^= 1;
        place.put(&record_key(first, 0), &span);
    };
    found(&flip, "root is not that of the kept records");
    found(&|place| place.delete(&record_key(first, 1)), "1 records are kept, the frame had 2");
    found(&|place| place.delete(&cell_key(b"n", u64::MAX)), "cell of this record is missing");
    let mark = branch_key(survey.branch_id, frame.idx_at, &frame.digest);
    found(&|place| place.delete(&mark), "mark that this frame");
    found(&|place| place.put(&mark, &[9; 8]), "mark that this frame");
    found(&|place| place.put(&frame_key(first), b"persist-cps-branch-frame/1 beat=1"), "cannot be read");
    found(&|place| place.put(&blob_key(&blob.hash), b"other"), "blob is not what its name says");
}

#[test]
fn what_is_not_ours_is_only_noted() {
    let mut place = filled();
    place.put(b"frame/of mind", b"");
    let (stat, findings) = place.verify();
    assert_eq!((stat.frames, stat.damaged), (2, 0));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Note);
}

/// Ordinary names of an application's keys.
const THEIRS: [(&[u8], &[u8]); 9] = [
    (b"blob/1", b"hello"),
    (b"blob/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", b"foo, by another hash"),
    (b"cell/abc", b"hello"),
    (b"cell/long enough to be taken for one", &[7; 40]),
    (b"cell-long/x", b""),
    (b"frame/00000000000000000009", b"x"),
    (b"frame/00000000000000000009/0000000000", b"below it"),
    (b"frame/00000000000000000012/0000000003", b"without one above"),
    (b"branch/main", b"a"),
];

#[test]
fn a_store_with_keys_that_sound_like_ours_is_healthy() {
    for mut place in [Place::new(), filled()] {
        for (key, value) in THEIRS {
            place.put(key, value);
        }
        let (stat, findings) = place.verify();
        assert_eq!((stat.damaged, stat.blobs), (0, 0), "{findings:?}");
        assert_eq!(
            findings.len(),
            7,
            "one for each but branch/main, and the two of beat 9 together: {findings:?}"
        );
        assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
    }
}

#[test]
fn very_many_keys_of_others_are_counted() {
    let mut place = Place::new();
    let mut beat = place.writer.begin(Durability::Durable).unwrap();
    for at in 0..250 {
        beat.put(format!("cell/{at}").as_bytes(), b"theirs").unwrap();
    }
    beat.commit().unwrap();
    let (stat, findings) = place.verify();
    assert_eq!((stat.cells, findings.len()), (0, 101));
    assert!(findings[100].what.starts_with("150 more"), "{:?}", findings[100]);
}

#[test]
fn the_root_of_the_newest_beat_is_computed_anew_only_when_it_can_be() {
    let mut place = filled();
    assert_eq!(place.verify().0.beat_root, Some(BeatNo(2)));
    place.put(b"other", b"");
    assert_eq!(place.verify().0.beat_root, None);
}

#[test]
fn beats_without_a_frame_give_none_back() {
    let mut place = filled();
    place.put(b"other", b"");
    let view = place.store.view().unwrap();
    let error = reassemble(&view, BeatNo(3)).unwrap_err();
    assert_eq!((error.kind(), error.beat()), (ErrorKind::Invalid, Some(BeatNo(3))));
}
