//! conformance.

use serde_json::json;

use crate::kit::{Place, Run, assert_fields};

const FIELDS: &str = "engine library caps limits cases passed twins failed";

#[test]
fn each_engine_gives_one_report() {
    let place = Place::new();
    let run = place.run(&["conformance", "--json", "--case", "open::", "memory", "sqlite"]).ok();
    let reports = run.objects();
    assert_eq!(reports.iter().map(|report| &report["engine"]).collect::<Vec<_>>(), ["memory", "sqlite"]);
    for report in &reports {
        assert_fields(report, FIELDS);
        assert_fields(&report["cases"][0], "name clauses outcome");
        let cases = report["cases"].as_array().unwrap();
        assert!(cases.iter().all(|case| case["name"].as_str().unwrap().contains("open::")));
        let total = report["passed"].as_u64().unwrap() + report["twins"].as_u64().unwrap();
        assert_eq!((&report["failed"], total), (&json!(0), cases.len() as u64));
        assert!(report["limits"]["key_bytes_max"].is_u64());
    }
    let text = place.run(&["conformance", "--case", "open::", "memory", "--quiet"]).ok();
    assert!(text.text().starts_with("memory ") && text.text().lines().count() == 1, "{}", text.text());
}

#[test]
fn what_cannot_be_run_is_said() {
    let place = Place::new();
    place.run(&["conformance", "nonsense"]).fails(7, "nonsense");
    place.run(&["conformance", "memory", "--case", "nonsense"]).fails(2, "no case");
    let crash = place.run(&["conformance", "memory", "--class", "crash", "--json"]).ok();
    let crash = crash.object(FIELDS);
    assert_eq!((&crash["twins"], &crash["cases"][0]["name"]), (&json!(1), &json!("crash::kill")));
    let block = place.run(&["conformance", "memory", "--class", "block", "--json"]).ok();
    assert_eq!(block.object(FIELDS)["cases"][0]["outcome"], json!("twin"));
}

#[test]
fn a_machine_without_the_tools_of_a_class_does_not_pass_it() {
    let place = Place::new();
    let args = ["conformance", "flatfile", "--class", "block", "--json"];
    let run = Run::of(place.command(&args).env("PATH", place.path()).output().unwrap());
    let block = run.object(FIELDS);
    let case = &block["cases"][0];
    assert_eq!((run.code, run.stderr.as_str(), &block["failed"]), (5, "", &json!(1)));
    assert_eq!((&case["name"], &case["outcome"]), (&json!("crash::block_cut"), &json!("absent")));
    let message = case["message"].as_str().unwrap();
    assert!(message.starts_with("absent: qemu-storage-daemon: "), "{message}");
}
