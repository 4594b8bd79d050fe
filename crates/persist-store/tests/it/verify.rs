//! Verification: what is read, what is found, what is admitted.

use persist_api::{Caps, ErrorKind, Finding, FindingCode, Progress, Quiet, Request, Severity};
use persist_store::{Store, VerifyReport};
use std::ops::ControlFlow;

use crate::kit::{change_raw, fails, memory, only, open, open_default, place, put, raw, raw_value, toy};

fn verify(store: &Store) -> (VerifyReport, Vec<Finding>) {
    let mut findings = Vec::new();
    let report = store.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    assert_eq!(report.damaged, count(Severity::Damage));
    assert_eq!(report.unchecked, count(Severity::Unchecked));
    (report, findings)
}

#[test]
fn a_sound_store_is_read_whole() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"", b"")]);
    let (report, findings) = verify(&store);
    assert_eq!((report.beat.0, report.records, report.engine.records, report.damaged), (1, 3, 4, 0));
    assert_eq!(report.digest, Some(store.digest(&store.view().unwrap()).unwrap()));
    let words: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].contains("root cannot be computed again"), "what could not be checked is said");
    assert_eq!(store.stats().unwrap().engine.records, Some(3));
}

#[test]
fn a_store_without_checksums_says_so() {
    let place = place();
    let plain = Request { durability: persist_api::Durability::Durable, ..only(Caps::SNAPSHOT) };
    let (mut writer, store) = open(&toy(), &place.home, &plain).unwrap();
    put(&mut writer, &[(b"a", b"1")]);
    let (report, findings) = verify(&store);
    assert_eq!((report.damaged, report.unchecked), (0, 1));
    assert_eq!(findings[0].code, FindingCode::NoChecksums, "{findings:?}");

    let mut able = toy();
    able.caps.insert(Caps::CRC32C);
    let own = crate::kit::place();
    let (_writer, store) = open(&able, &own.home, &plain).unwrap();
    assert_eq!(verify(&store).0.unchecked, 0);
}

#[test]
fn an_engine_without_checksums_is_covered_by_the_layer_that_has_them() {
    let place = place();
    let mut bare = toy();
    bare.unchecked = Some(FindingCode::NoChecksums);
    let severity = |findings: &[Finding]| {
        findings.iter().find(|finding| finding.code == FindingCode::NoChecksums).unwrap().severity
    };
    let (mut writer, store) = open(&bare, &place.home, &persist_store::default_request()).unwrap();
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2")]);
    assert_eq!(severity(&verify(&store).1), Severity::Note);
    drop((writer, store));
    // What the layer could not read, it cannot vouch for.
    change_raw(&bare, &place.home, &[(b"\x01b", b"2\0\0\0\0")]);
    let (_writer, store) = open(&bare, &place.home, &persist_store::default_request()).unwrap();
    assert_eq!(severity(&verify(&store).1), Severity::Unchecked);

    let plain = crate::kit::place();
    let request = Request { durability: persist_api::Durability::Durable, ..only(Caps::SNAPSHOT) };
    let (_writer, store) = open(&bare, &plain.home, &request).unwrap();
    assert_eq!(severity(&verify(&store).1), Severity::Unchecked, "without the layer nobody checks");
    let mut other = toy();
    other.unchecked = Some(FindingCode::NotRead);
    let other_place = crate::kit::place();
    let (_writer, store) = open(&other, &other_place.home, &persist_store::default_request()).unwrap();
    assert_eq!(verify(&store).0.unchecked, 1, "the layer covers values, nothing else");
}

#[test]
fn all_damage_is_found_and_named() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]);
    drop((writer, store));
    let c = raw_value(&toy(), &place.home, b"\x01c");
    change_raw(
        &toy(),
        &place.home,
        &[(b"\x01b", b"2\0\0\0\0"), (b"\x01d", &c), (b"\x02x", b""), (b"\0new", b"")],
    );
    let (_writer, store) = open_default(&place.home);
    let (report, findings) = verify(&store);
    assert_eq!((report.records, report.damaged, report.digest), (4, 3, None));
    let places: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Damage)
        .map(|finding| finding.place.as_str())
        .collect();
    assert_eq!(places, ["\"b\"", "\"d\"", "\"\\x02x\""]);
    let notes: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Note).collect();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].place.contains("new"));
}

#[test]
fn a_header_that_contradicts_the_grant_is_damage() {
    let place = place();
    let plain = Request { durability: persist_api::Durability::Durable, ..only(Caps::SNAPSHOT) };
    let (mut writer, store) = open(&toy(), &place.home, &plain).unwrap();
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    change_raw(&toy(), &place.home, &[]); // gives its beat a root
    let (_writer, store) = open(&toy(), &place.home, &plain).unwrap();
    let (report, findings) = verify(&store);
    assert_eq!(report.damaged, 1);
    assert!(findings[0].what.contains("never granted"), "{findings:?}");
}

#[test]
fn a_header_without_the_granted_root_is_damage() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    let engine = raw(&toy(), &place.home);
    let last = *engine.view().unwrap().header();
    let header = last.next(1, persist_api::Durability::Durable, None).unwrap();
    engine.begin_beat(header).unwrap().commit_beat().unwrap();
    drop(engine);
    let (_writer, store) = open_default(&place.home);
    let (report, findings) = verify(&store);
    assert_eq!(report.damaged, 1);
    assert!(findings[0].what.contains("root is missing"), "{findings:?}");
    assert_eq!(findings[0].place, "header of beat 2");
}

#[test]
fn an_empty_store_verifies() {
    let (_writer, store) = memory();
    let (report, findings) = verify(&store);
    assert_eq!((report.beat.0, report.records, report.damaged), (0, 0, 0));
    assert_eq!(report.digest.unwrap().to_string(), blake3::hash(b"").to_hex().as_str());
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn verification_can_be_stopped() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    let keys: Vec<_> = (0..5000_u32).map(u32::to_be_bytes).collect();
    put(&mut writer, &keys.iter().map(|key| (key.as_slice(), b"".as_slice())).collect::<Vec<_>>());
    let seen = |progress: Progress| {
        if progress.phase == "layers" && progress.done > 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    fails(store.verify(&mut |_| {}, &seen), ErrorKind::Cancelled, &["verify"]);
    assert_eq!(verify(&store).0.records, 5000);
}
