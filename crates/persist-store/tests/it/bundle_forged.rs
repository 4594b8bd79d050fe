//! Bundles whose every checksum fits and which lie nevertheless.

use std::path::Path;

use persist_api::{Durability, ErrorKind, Quiet};
use persist_io::{Disk, sim::SimDisk};
use persist_store::{BundleLimits, BundleReport, read_bundle};

use crate::bundle_forge::{CHUNK, Forge, blob_name, chunk, hex, records};
use crate::kit::{Content, fails};

fn read(bytes: &[u8]) -> persist_api::Result<BundleReport> {
    let disk = SimDisk::new(1);
    assert!(disk.put("/bundle", bytes));
    read_bundle(&disk as &dyn Disk, Path::new("/bundle"), &BundleLimits::default(), &Quiet)
}

fn small() -> Forge {
    let content: Content = [("a", "1"), ("b", "22")].map(|(key, value)| (key.into(), value.into())).into();
    Forge::of(&content, 4, &[b"blob", b"other"])
}

#[track_caller]
fn refused(forge: &Forge, words: &[&str]) {
    fails(read(&forge.bytes()), ErrorKind::Corrupt, words);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    read(&small().bytes()).unwrap();
    let good = String::from_utf8(blob_name(b"blob")).unwrap();
    let file = good.rsplit('/').next().unwrap();
    let mut names: Vec<Vec<u8>> = [
        "../outside",
        "/etc/passwd",
        "..",
        ".",
        "",
        "cas",
        "cas/",
        "cas//x",
        "persist.stamp",
        "lock",
        "engine-1/data",
        "records/../x",
        "RECORDS",
        "records ",
        "C:\\x",
        "..\\x",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    for name in [
        format!("../{good}"),
        format!("/{good}"),
        format!("./{good}"),
        format!("cas/../{good}"),
        format!("cas/{file}"),
        format!("cas/zz/{file}"),
        format!("cas/{}/{file}/", &file[..2]),
        format!("{good}.new"),
        good.to_uppercase(),
        good.replace(".blob", ".BLOB"),
        good.replace(".blob", ""),
        format!("cas\\{}\\{file}", &file[..2]),
    ] {
        names.push(name.into_bytes());
    }
    names.push([good.as_bytes(), b"\0"].concat());
    names.push(vec![0xFF; 80]);
    names.push(vec![b'a'; 100_000]);
    for name in names {
        let mut forge = small();
        forge.parts.drain(..2);
        forge.parts.insert(0, (name.clone(), b"blob".to_vec()));
        let error = fails(read(&forge.bytes()), ErrorKind::Corrupt, &[]);
        let told = error.to_string();
        assert!(told.contains("name") || name.is_empty() && told.contains("length"), "{name:?}: {told}");
    }
}

#[test]
fn parts_out_of_place_are_refused() {
    let part = |blob: &[u8]| (blob_name(blob), blob.to_vec());
    let mut without_records = small();
    without_records.parts.pop();
    refused(&without_records, &["no part but blobs"]);
    let mut twice = small();
    twice.parts.push(twice.parts[2].clone());
    refused(&twice, &["name"]);
    let mut early = small();
    early.parts.rotate_right(1);
    refused(&early, &["name"]);
    let mut unsorted = small();
    unsorted.parts[..2].reverse();
    refused(&unsorted, &["name"]);
    let mut repeated = small();
    repeated.parts = vec![part(b"blob"), part(b"blob"), repeated.parts[2].clone()];
    refused(&repeated, &["name"]);
    let mut of_another_kind = small();
    of_another_kind.parts[2] = (b"commits".to_vec(), Vec::new());
    refused(&of_another_kind, &["content"]);
    let mut other_bytes = small();
    other_bytes.parts[0].1 = b"not the bytes of that name".to_vec();
    refused(&other_bytes, &["BLAKE3"]);
    let mut none = small();
    none.parts.clear();
    refused(&none, &[]);
}

#[test]
fn a_manifest_that_says_something_else_is_refused() {
    for (key, value) in [
        ("digest", &*hex(b"other")),
        ("records", "3"),
        ("bytes", "6"),
        ("key-bytes-max", "2"),
        ("value-bytes-max", "1"),
        ("records", "02"),
        ("records", "+2"),
        ("records", " 2"),
        ("records", ""),
        ("records", "18446744073709551616"),
        ("beat", "0"),
        ("beat", "-1"),
        ("root", "None"),
        ("root", &*"A".repeat(64)),
        ("first-commit", "18446744073709551615"),
        ("digest", &*small().head[6].1.to_uppercase()),
        ("persist-bundle", "01"),
        ("content", "increment"),
        ("content", "Store"),
    ] {
        let kind = if key == "persist-bundle" { ErrorKind::Mismatch } else { ErrorKind::Corrupt };
        fails(read(&small().with(key, value).bytes()), kind, &[]);
    }
    fails(read(&small().with("persist-bundle", "2").bytes()), ErrorKind::Mismatch, &["format 2"]);
    let lines: Vec<String> = small()
        .manifest()
        .lines()
        .filter(|line| line.starts_with("part ="))
        .map(|line| format!("{line}\n"))
        .collect();
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        Forge { part_lines: Some(lines), ..small() }
    };
    read(&changed(&|_| {}).bytes()).unwrap();
    refused(&changed(&|lines| drop(lines.pop())), &["parts"]);
    refused(&changed(&|lines| lines.swap(1, 2)), &["parts"]);
    refused(&changed(&|lines| lines.push("part = ../x 0 0\n".to_owned())), &["parts"]);
    refused(&changed(&|lines| lines[0] = lines[0].replace(" 4 ", " 14 ").replace(" 5 ", " 4 ")), &["parts"]);
    refused(&changed(&|lines| lines[0] = lines[0].to_uppercase()), &["parts"]);
    refused(&changed(&|lines| lines.push("surplus\n".to_owned())), &["parts"]);
    refused(&changed(&|lines| assert_eq!(lines[2].pop(), Some('\n'))), &["parts"]);
    let mut reordered = small();
    reordered.head.swap(2, 3);
    refused(&reordered, &["\"beat\" expected"]);
    let mut surplus = small();
    surplus.head.insert(2, ("engine", "toy".to_owned()));
    refused(&surplus, &["\"beat\" expected"]);
    let mut endless = small();
    endless.head.insert(1, ("x", "y".repeat(1_000_000)));
    refused(&endless, &["head"]);
}

#[test]
fn records_that_cannot_be_are_refused() {
    let rows = |rows: &[(&[u8], &[u8])]| small().with_records(records(rows.iter().copied()));
    refused(&rows(&[(b"b", b"22"), (b"a", b"1")]), &["not above"]);
    refused(&rows(&[(b"a", b"1"), (b"a", b"22")]), &["not above"]);
    refused(&rows(&[(b"a", b""), (b"", b"122")]), &["not above"]);
    refused(&rows(&[(b"a", b"1")]), &["number of records"]);
    let good = records([(b"a".as_slice(), b"1".as_slice()), (b"b", b"22")]);
    for cut in 1..good.len() {
        refused(&small().with_records(good[..cut].to_vec()), &[]);
    }
    refused(&small().with_records([good.as_slice(), &[0]].concat()), &["cut short"]);
    let huge = [u64::MAX.to_le_bytes().as_slice(), b"a"].concat();
    fails(read(&small().with_records(huge).bytes()), ErrorKind::TooLarge, &["the key of record 1"]);
    let huge = [1_u64.to_le_bytes().as_slice(), b"a", &u64::MAX.to_le_bytes()].concat();
    fails(read(&small().with_records(huge).bytes()), ErrorKind::TooLarge, &["the value of record 1"]);
    let none = Forge::of(&Content::new(), 0, &[]);
    read(&none.bytes()).unwrap();
    let some = Forge::of(&[(b"a".to_vec(), b"1".to_vec())].into(), 0, &[]);
    refused(&some, &["without a beat"]);
    let root = none.with("root", &hex(b"root"));
    refused(&root, &["without beats"]);
}

#[test]
fn there_is_one_way_to_cut_into_chunks() {
    let content: Content = [(b"k".to_vec(), vec![5; 3 * CHUNK])].into();
    let good = Forge::of(&content, 1, &[]);
    read(&good.bytes()).unwrap();
    for chunk in [1000, CHUNK - 1] {
        refused(&Forge { chunk, ..good.clone() }, &["not full"]);
    }
    refused(&Forge { chunk: CHUNK + 1, ..good.clone() }, &["length"]);
    // A part whose last chunk is full has no empty one after it.
    let exact: Content = [(b"k".to_vec(), vec![5; CHUNK - 17])].into();
    let exact = Forge::of(&exact, 1, &[]);
    assert_eq!(exact.parts[0].1.len(), CHUNK);
    read(&exact.bytes()).unwrap();
    let mut file = exact.magic.clone();
    chunk(&mut file, 1, b"records");
    chunk(&mut file, 2, &exact.parts[0].1);
    let before = file.clone();
    chunk(&mut file, 2, b"");
    fails(read(&file), ErrorKind::Corrupt, &["length"]);
    // Chunks where they cannot stand.
    for (kind, payload) in [(4, b"end".as_slice()), (0, b"x"), (5, b"x"), (255, b"x"), (3, b"x")] {
        let mut file = before.clone();
        chunk(&mut file, kind, payload);
        fails(read(&file), ErrorKind::Corrupt, &[]);
    }
    for (first, what) in [(2, "cannot stand here"), (3, "cannot stand here"), (4, "missing")] {
        let mut file = exact.magic.clone();
        chunk(&mut file, first, b"x");
        fails(read(&file), ErrorKind::Corrupt, &[what]);
    }
}

#[test]
fn what_is_no_bundle_is_foreign() {
    for bytes in [
        b"".as_slice(),
        b"persist",
        b"persist-bundle 2\n",
        b"PK\x03\x04 a zip file of some length",
        &[0; 5000],
    ] {
        fails(read(bytes), ErrorKind::Mismatch, &["no bundle"]);
    }
    let stored = Forge { magic: b"persist-bundle 2\n".to_vec(), ..small() };
    fails(read(&stored.bytes()), ErrorKind::Mismatch, &["version"]);
}

#[test]
fn any_numbers_and_roots_that_can_be_are_read() {
    let report =
        read(&small().with("beat", "18446744073709551615").with("root", &hex(b"root")).bytes()).unwrap();
    assert_eq!(report.manifest.beat.0, u64::MAX);
    assert_eq!(report.manifest.root, Some(*blake3::hash(b"root").as_bytes()));
    assert_eq!(report.manifest.header(Durability::Durable).beat.0, u64::MAX);
}
