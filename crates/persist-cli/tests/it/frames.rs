//! frame verify and frame show, against both manifests.

use serde_json::{Value, json};

use crate::kit::{Place, assert_fields, fixtures, vectors};

const FIELDS: &str = "file ok error bytes container beat caps record_count record_type_counts merkle_root \
                      records_blake3 ingest_error";

#[test]
fn every_vector_is_judged_as_the_manifest_says() {
    let vectors = vectors();
    let mut args = vec!["frame", "verify", "--json"];
    args.extend(vectors.iter().map(|(_, file)| file.as_str()));
    let run = Place::new().run(&args);
    assert_eq!((run.code, run.stderr.as_str()), (5, ""));
    let reports = run.objects();
    assert_eq!(reports.len(), vectors.len());
    for (report, (entry, file)) in reports.iter().zip(&vectors) {
        assert_fields(report, FIELDS);
        assert_eq!(report["file"], file.as_str());
        if entry["expect"] == "reject" {
            assert_eq!(report["ok"], false, "{file}");
            assert_fields(&report["error"], "class message offset");
            assert!(report["beat"].is_null() && report["merkle_root"].is_null());
            continue;
        }
        assert_eq!((&report["ok"], &report["error"]), (&json!(true), &Value::Null), "{file}");
        let decoded = &entry["decoded"];
        for field in [
            "beat",
            "caps",
            "record_count",
            "record_type_counts",
            "merkle_root",
            "records_blake3",
            "container",
        ] {
            assert_eq!(report[field], decoded[field], "{file} {field}");
        }
        assert_eq!(report["bytes"], entry["size"], "{file}");
        assert_eq!(report["ingest_error"]["class"], entry["ingest_error"], "{file}");
    }
}

#[test]
fn good_files_are_good_alone_and_bad_ones_give_their_code() {
    let place = Place::new();
    let good = fixtures().join("frames/payload_ref_inline.frame").display().to_string();
    let bare = std::fs::read(&good).unwrap();
    let run = place.run(&["frame", "verify", &good]).ok();
    assert!(run.text().starts_with("ok ") && run.text().contains("root 29034274bfb60c14"), "{}", run.text());

    let mut flipped = bare.clone();
    flipped[20] ^= 4;
    let bad = place.write("bad", &flipped);
    let run = place.run(&["frame", "verify", &good, &bad]);
    assert_eq!((run.code, run.stderr.as_str()), (5, ""));
    assert!(run.text().contains("REFUSED bad  crc: ") && run.text().ends_with("2 files, 1 refused\n"));

    let run = place.run(&["frame", "verify", "--json", "missing"]);
    assert_eq!((run.code, &run.objects()[0]["error"]["class"]), (3, &json!("io")));
    for limit in [["--max-input", "100"], ["--max-frame", "100"], ["--max-records", "0"], ["--max-key", "1"]]
    {
        let run = place.run(&[&["frame", "verify", "--json", good.as_str()], &limit[..]].concat());
        assert_eq!((run.code, &run.objects()[0]["error"]["class"]), (9, &json!("limit")), "{limit:?}");
    }
    // A file without an end is not read to its end.
    let run = place.run(&["frame", "verify", "--json", "/dev/zero", "--max-input", "1M"]);
    assert_eq!((run.code, &run.objects()[0]["error"]["class"]), (9, &json!("limit")));
}

#[test]
fn show_tells_what_a_frame_holds() {
    let place = Place::new();
    for (entry, file) in vectors().iter().filter(|(entry, _)| entry["expect"] == "accept") {
        let run = place.run(&["frame", "show", file, "--json", "--limit", "3"]).ok();
        let objects = run.objects();
        let decoded = &entry["decoded"];
        for field in [
            "beat",
            "apply_mode",
            "compression",
            "checksum",
            "caps",
            "cap_names",
            "record_count",
            "merkle_root",
        ] {
            assert_eq!(objects[0][field], decoded[field], "{file} {field}");
        }
        let expected = decoded["record_count"].as_u64().unwrap().min(3);
        assert_eq!(objects.len() as u64, 1 + expected, "{file}");
        for (shown, record) in objects[1..].iter().zip(decoded["records"].as_array().into_iter().flatten()) {
            for field in ["version", "flags", "offset", "body_len", "crc", "leaf"] {
                assert_eq!(shown[field], record[field], "{file} {field}");
            }
        }
    }
    let cell = fixtures().join("generated/frames/cell_value_inline_small_s1.frame").display().to_string();
    let text = place.run(&["frame", "show", &cell]).ok();
    assert!(text.text().contains("CEP/") && text.text().contains("inline"), "{}", text.text());
    place.run(&["frame", "show", "/dev/null"]).fails(5, "missing_trailer");
}
