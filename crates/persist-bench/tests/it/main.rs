//! The program as a whole, on stores that are far too small to say anything.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const WORKLOADS: [&str; 12] = [
    "read", "verify", "commit", "values", "writers", "mixed", "syscalls", "open", "cache", "bulk", "swap",
    "growth",
];

fn bench(words: &[&str]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_persist-bench")).args(words).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn samples(dir: &Path, workload: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join(format!("{workload}.jsonl"))).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_workload_gives_samples_of_everybody_and_the_pages_are_made_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (out, stores) = (dir.path().join("out"), dir.path().to_str().unwrap());
    let small = ["--ungated", "--rows", "1000", "--rounds", "1", "--engines", "flatfile,sqlite"];
    let places = ["--out", out.to_str().unwrap(), "--dir", stores];
    let (done, said) = bench(&[&["run"], &small[..], &places[..]].concat());
    assert!(done, "{said}");
    for workload in WORKLOADS {
        let samples = samples(&out, workload);
        for engine in ["flatfile", "sqlite"] {
            // A swap has pairs of engines of ours.
            let missing = workload == "swap" || workload == "verify" && engine == "sqlite";
            let count = samples.iter().filter(|sample| sample["engine"] == engine).count();
            assert_eq!(count == 0, missing, "{workload} {engine}: {said}");
        }
        assert!(samples.iter().all(|sample| sample["value"].as_f64().unwrap() >= 0.0));
    }
    let commits = samples(&out, "syscalls");
    let safe = |sample: &&Value| sample["case"] == "N=1 power-safe";
    assert_eq!(
        commits.iter().filter(safe).map(|sample| sample["value"].as_f64()).collect::<Vec<_>>(),
        [Some(1.0); 2]
    );
    let fresh = |sample: &&Value| sample["case"] == "N=100 fresh store" && sample["rows"] == 0;
    assert_eq!(samples(&out, "commit").iter().filter(fresh).count(), 2);
    let swaps = samples(&out, "swap");
    for pair in
        ["flatfile→sqlite", "sqlite→lmdb", "lmdb→flatfile", "flatfile→lmdb", "lmdb→sqlite", "sqlite→flatfile"]
    {
        for case in ["pause", "longest commit", "copy", "bulk load", "copy ÷ bulk load"] {
            let of = |sample: &&Value| sample["engine"] == pair && sample["case"] == case;
            let samples: Vec<&Value> = swaps.iter().filter(of).collect();
            assert_eq!(samples.len(), 1, "{pair} {case}: {said}");
            assert!(samples.iter().all(|it| it["value"].as_f64().unwrap() > 0.0 && it["rows"] == 1000));
        }
    }
    let page = std::fs::read_to_string(out.join("results.md")).unwrap();
    assert!(page.contains("swap of 1000 rows, 4 writers and 4 readers, worst pair, "), "{page}");
    assert!(WORKLOADS.iter().all(|workload| page.contains(&format!("## {workload}: "))), "{page}");
    for plot in page.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(".svg)")) {
        let svg = std::fs::read_to_string(out.join(format!("{plot}.svg"))).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"),
            "{plot}: {svg}"
        );
    }
    let before = page.len();
    std::fs::remove_file(out.join("results.md")).unwrap();
    let (done, said) = bench(&["render", out.to_str().unwrap()]);
    assert!(done, "{said}");
    assert_eq!(std::fs::read_to_string(out.join("results.md")).unwrap().len(), before);
}

#[test]
fn what_is_not_understood_is_named() {
    for (words, named) in [
        (&["run", "--only", "P99"][..], "P99"),
        (&["run", "--engines", "oracle"], "oracle"),
        (&["run", "--fast"], "--fast"),
        (&["run", "--out"], "--out needs a value"),
        (&["run", "--rows", "many"], "invalid digit"),
        (&["child", "sleep", "lmdb", "home"], "sleep"),
    ] {
        let (done, said) = bench(words);
        assert!(!done && said.contains(named), "{words:?}: {said}");
    }
}

#[test]
fn r14_of_flipped_bits_flatfile_serves_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let few = ["flips", "--trials", "12", "--rows", "2000", "--engines", "flatfile,persist-sqlite"];
    let (done, said) = bench(&[&few[..], &["--out", out, "--dir", out]].concat());
    assert!(done, "{said}");
    let text = std::fs::read_to_string(dir.path().join("flips.jsonl")).unwrap();
    let counts: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(counts.len(), 4, "{said}");
    for count in &counts {
        assert_eq!(count["trials"], 12);
        if count["engine"] == "flatfile" {
            assert_eq!((&count["wrong"], &count["missing"]), (&Value::from(0), &Value::from(0)), "{count}");
        } else {
            // SQLite has no checksums: that it is caught shows that somebody looks.
            assert!(count["wrong"].as_u64().unwrap() + count["missing"].as_u64().unwrap() > 0, "{count}");
        }
    }
    let page = std::fs::read_to_string(dir.path().join("flips.md")).unwrap();
    assert!(page.contains("| flatfile | 12 |"), "{page}");
}
