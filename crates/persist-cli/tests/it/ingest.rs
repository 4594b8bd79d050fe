//! ingest: the vectors, refusals that change nothing, keys of every length.

use persist_cps::{Cell, cell_value, reassemble};
use persist_frame::{Frame, FrameCaps, FrameWriter, Limits, NewRecord, RecordKind, TrailerFields};
use serde_json::{Value, json};

use crate::kit::{Place, fixtures, vectors};

const FIELDS: &str =
    "file ok error beat commit reached beat_root frame_beat records opaque_records merkle_root";

/// The store of a place, read with the library.
fn store(place: &Place) -> persist::Store {
    let url = place.path().join("store").display().to_string();
    persist::open(&url).unwrap().negotiate(&persist::default_request()).unwrap().1
}

#[test]
fn every_accepted_vector_goes_in_on_every_engine_and_comes_out_identical() {
    let vectors = vectors();
    let accepted: Vec<_> = vectors
        .iter()
        .filter(|(entry, _)| {
            entry["expect"] == "accept"
                && entry["ingest_error"].is_null()
                && entry["decoded"]["apply_mode"] != 2
        })
        .collect();
    let mut digests = Vec::new();
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        let mut args = vec!["ingest", "--json", "--buffered"];
        args.extend(accepted.iter().map(|(_, file)| file.as_str()));
        let reports = place.run(&args).ok().objects();
        assert_eq!(reports.len(), accepted.len());
        let verify = place.run(&["verify", "--json"]).ok();
        let verify = verify.objects().pop().unwrap();
        assert_eq!((&verify["ok"], &verify["frames"]), (&json!(true), &json!(accepted.len())), "{verify}");
        assert_eq!(verify["beat_root"], "verified");
        digests.push(verify["digest"].clone());

        let store = store(&place);
        let view = store.view().unwrap();
        for (beat, ((entry, file), report)) in (1_u64..).zip(accepted.iter().zip(&reports)) {
            assert_eq!((&report["beat"], &report["ok"]), (&json!(beat.to_string()), &json!(true)));
            assert_eq!(report["frame_beat"], entry["decoded"]["beat"]);
            assert_eq!(report["merkle_root"], entry["decoded"]["merkle_root"]);
            let bytes = std::fs::read(file).unwrap();
            let frame = Frame::parse(&bytes, &Limits::default()).unwrap();
            assert_eq!(reassemble(&view, persist::BeatNo(beat)).unwrap(), frame.bare_bytes(), "{file}");
        }
    }
    assert_eq!(digests[0], digests[1], "equal frames give equal content on every engine");
}

#[test]
fn a_refused_frame_changes_nothing_and_says_why() {
    let place = Place::with("sqlite");
    place.run(&["put", "before", "frames"]).ok();
    let before = place.state();
    for (entry, file) in vectors() {
        let mode_2 = entry["decoded"]["apply_mode"] == 2;
        let refused = entry["expect"] == "reject" || !entry["ingest_error"].is_null();
        let hostile = entry["kind"] == "hostile" || entry["kind"] == "noncanonical";
        if !(mode_2 || refused && (hostile || entry["expect"] == "accept")) {
            continue;
        }
        let run = place.run(&["ingest", "--json", &file]);
        let code = if mode_2 {
            7
        } else if !entry["ingest_error"].is_null() {
            4
        } else {
            run.code
        };
        assert!(code == run.code && [4, 5, 7, 9].contains(&code), "{file} {}", run.code);
        let report = run.object(FIELDS);
        assert_eq!((&report["ok"], &report["error"]["code"]), (&json!(false), &json!(-code)), "{file}");
        if code == 4 {
            assert!(report["error"]["message"].as_str().unwrap().starts_with("CAPABILITY_MISMATCH"));
            assert_eq!(report["error"]["frame"]["class"], entry["ingest_error"], "{file}");
        }
    }
    assert_eq!(place.state(), before);
}

#[test]
fn frames_before_a_refused_one_stay_and_later_ones_wait_unless_asked() {
    let place = Place::with("sqlite");
    let frame = |name: &str| fixtures().join("frames").join(name).display().to_string();
    let (first, last) = (frame("payload_ref_inline.frame"), frame("payload_ref_cas_plain.frame"));
    let bad = place.write("bad", b"no frame");
    place.run(&["ingest", &first, &bad, &last]).fails(5, "[bad]");
    assert_eq!(place.state().0, "1");
    let run = place.run(&["ingest", "--keep-going", &first, &bad, &last]).fails(5, "truncated");
    assert_eq!(run.text().lines().count(), 2);
    assert_eq!(place.state().0, "3");
}

#[test]
fn long_keys_and_repeated_keys_lose_nothing_where_keys_are_short() {
    let place = Place::with("lmdb");
    let long = vec![b'k'; 60_000];
    let fields = TrailerFields { beat: 5, caps: FrameCaps::FRAME_TOC, ..TrailerFields::default() };
    let mut writer = FrameWriter::new(fields);
    let bodies: [(&[u8], &[u8]); 4] = [(&long, b"1"), (b"", b"2"), (&long, b"3"), (b"short", b"4")];
    for (key, body) in bodies {
        writer.push(NewRecord::new(RecordKind::ORDER_DELTA, key, body)).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let file = place.write("frame", &bytes);
    let report = place.run(&["ingest", "--json", &file]).ok().object(FIELDS);
    assert_eq!((&report["opaque_records"], &report["error"]), (&json!(4), &Value::Null));
    place.run(&["verify"]).ok();
    let store = store(&place);
    let view = store.view().unwrap();
    assert_eq!(reassemble(&view, persist::BeatNo(1)).unwrap(), bytes);
    for (key, body) in [(&long[..], b"3"), (b"", b"2"), (b"short", b"4")] {
        let value = cell_value(&view, key).unwrap().unwrap();
        let cell = Cell::decode(&value).unwrap();
        assert_eq!((cell.record.key, cell.record.body), (key, &body[..]));
    }
    drop((view, store));
    place.run(&["ingest", "--all-bodies", &file]).fails(5, "record 0 (order_delta)");
}

#[test]
fn emitted_frames_are_the_ingested_ones_container_included() {
    let place = Place::with("sqlite");
    let frame = |name: &str| fixtures().join("generated/frames").join(name).display().to_string();
    let files = [frame("cell_value_inline_1_s1.frame"), frame("cell_deflate_crc32c_s1.frame")];
    place.run(&["ingest", &files[0], &files[1]]).ok();
    for (beat, file) in ["1", "2"].into_iter().zip(&files) {
        assert_eq!(place.run(&["emit", beat]).ok().stdout, std::fs::read(file).unwrap());
    }
    let json = place.run(&["emit", "2", "--bare", "--out", "bare", "--json"]).ok();
    let json = json.object("beat out bytes container blake3 merkle_root");
    let bare = std::fs::read(place.path().join("bare")).unwrap();
    let received = std::fs::read(&files[1]).unwrap();
    let parsed = Frame::parse(&received, &Limits::default()).unwrap();
    assert_eq!((bare.as_slice(), &json["container"]), (parsed.bare_bytes(), &json!(false)));
    place.run(&["emit", "3"]).fails(1, "beat 3 brought no frame; `persist scan --prefix frame/ --keys-only`");
    place.run(&["emit", "1", "--json"]).fails(2, "--out");
}
