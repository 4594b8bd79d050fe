//! What a crash leaves of a merge, and damage to it: the doctor says what an opening does.
#![allow(clippy::disallowed_methods, reason = "a test damages files")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use persist_api::{BeatHeader, CompactScope, OpenMode, Quiet};
use persist_io::RealDisk;
use persist_io::sim::{Crash, SimDisk};
use tempfile::TempDir;

use super::crash_tests::{self, HOME};
use super::tests::{Files, Records, beat, close, disk, files, open, scan};
use super::*;
use crate::names::{HEAD, Kind, parse};
use crate::timeline::head::read_head;

/// A store between a merge and the removal of what was merged.
struct Halfway {
    files: Files,
    records: Records,
    /// The merged run.
    merged: String,
    /// The runs that it was made of.
    inputs: Vec<String>,
    /// The head that does not name it yet.
    old_head: Vec<u8>,
}

fn halfway() -> Halfway {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    let mut header = BeatHeader::default();
    (0..30).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    (30..60).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    let before = files(dir.path());
    engine.compact(CompactScope { keep_beats: 3 }, &Quiet).unwrap();
    let records = scan(&*engine);
    close(engine);
    let mut all = files(dir.path());
    let is_run = |name: &String| parse(name.as_ref()).is_some_and(|(kind, _)| kind == Kind::Run);
    let runs: Vec<String> = all.keys().filter(|name| is_run(name)).cloned().collect();
    let [merged] = runs.as_slice() else { panic!("{runs:?}") };
    let inputs: Vec<String> = before.keys().filter(|name| is_run(name)).cloned().collect();
    assert!(inputs.len() >= 2 && !inputs.contains(merged), "{inputs:?}");
    for (name, bytes) in &before {
        if matches!(parse(name.as_ref()), Some((Kind::Run | Kind::Payload, _))) {
            all.entry(name.clone()).or_insert_with(|| bytes.clone());
        }
    }
    Halfway { files: all, records, merged: merged.clone(), inputs, old_head: before[HEAD].clone() }
}

impl Halfway {
    /// On disk, with some files changed.
    fn with(&self, changed: &[(&str, &[u8])]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.files {
            let other = changed.iter().find(|(other, _)| other == name);
            fs::write(dir.path().join(name), other.map_or(bytes.as_slice(), |(_, bytes)| bytes)).unwrap();
        }
        dir
    }

    /// The merged run with some of its bytes changed.
    fn damaged(&self, at: &[usize]) -> Vec<u8> {
        let mut bytes = self.files[&self.merged].clone();
        for at in at {
            bytes[*at] ^= 4;
        }
        bytes
    }
}

#[test]
fn a_head_names_the_merged_run_before_the_first_of_the_others_goes() {
    let sim = SimDisk::new(1);
    let engine = crash_tests::open(&sim, OpenMode::default());
    let mut header = BeatHeader::default();
    for from in [0, 20, 40] {
        (from..from + 20).for_each(|n| beat(&*engine, &mut header, n));
        engine.checkpoint().unwrap();
    }
    sim.keep_cut_points();
    engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    let mut named = BTreeSet::new();
    for point in sim.cut_points() {
        let image = point.cut(1).image(&Crash::Everything);
        let home = Path::new(HOME);
        let head = read_head(&image, home).unwrap().head.unwrap();
        for run in &head.runs {
            let path = home.join(Kind::Run.name(run.number));
            assert!(image.bytes(&path).is_some(), "before operation {}: {}", point.after, path.display());
            named.insert(run.number);
        }
    }
    assert!(named.len() > 2, "the merged run and what it was made of: {named:?}");
    close(engine);
}

#[test]
fn a_damaged_merged_run_gives_way_to_the_runs_it_was_made_of() {
    let store = halfway();
    let len = store.files[&store.merged].len();
    let data = store.files[&store.merged].windows(4).position(|bytes| bytes == b"PR\x02\0").unwrap() + 40;
    for at in [&[data][..], &[data, 40], &[data, len - 40], &[40, len - 40]] {
        let bytes = store.damaged(at);
        for old_head in [false, true] {
            let mut changed = vec![(store.merged.as_str(), bytes.as_slice())];
            changed.extend(old_head.then_some((HEAD, store.old_head.as_slice())));
            let dir = store.with(&changed);
            let case = format!("bytes {at:?}, old head {old_head}");
            let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
            assert!(told.verdict <= Verdict::Repairable, "{case}: {told:#?}");
            assert!(told.complaints.iter().any(|complaint| complaint.file == store.merged), "{case}");

            let opened = store.with(&changed);
            let engine = open(opened.path()).unwrap();
            assert_eq!(scan(&*engine), store.records, "{case}: an opening loses nothing");
            assert_eq!(engine.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{case}");
            close(engine);

            let repaired = repair(&disk(), dir.path(), Losses::GiveUp, &[], &Quiet).unwrap();
            assert_eq!(repaired.given_up, [], "{case}");
            let engine = open(dir.path()).unwrap();
            assert_eq!(scan(&*engine), store.records, "{case}");
            close(engine);
            let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
            assert_eq!((told.verdict, told.complaints), (Verdict::Whole, Vec::new()), "{case}");
        }
    }
}

#[test]
fn a_damaged_merged_run_is_used_where_a_run_that_it_was_made_of_is_missing() {
    let mut store = halfway();
    let input = store.inputs.pop().unwrap();
    store.files.remove(&input);
    let data = store.files[&store.merged].windows(4).position(|bytes| bytes == b"PR\x02\0").unwrap() + 40;
    let bytes = store.damaged(&[data]);
    let dir = store.with(&[(&store.merged, &bytes)]);
    let told = examine(&RealDisk, dir.path(), &Quiet).unwrap();
    assert_eq!(told.verdict, Verdict::Lossy, "{told:#?}");
    assert!(told.damage().all(|complaint| complaint.file == store.merged), "{told:#?}");
    let kept = store.inputs.iter().all(|name| {
        told.complaints
            .iter()
            .any(|other| other.file == *name && other.severity == persist_api::Severity::Note)
    });
    assert!(kept, "{told:#?}");
    close(open(dir.path()).unwrap());
    assert!(dir.path().join("damaged").join(&store.inputs[0]).exists(), "as an opening does");
}
