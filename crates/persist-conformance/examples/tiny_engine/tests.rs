//! What the suite cannot ask of an engine through the contract: damage to the byte, and a disk that fails. And that
//! the walk-through quotes this code as it is.

use persist_api::{Beat, Driver, Durability, Engine, ErrorKind, OpenMode, OpenOptions, Probe, Quiet, Result};

use super::image::{IMAGE, NEW_IMAGE, decode};
use super::{LOCK, TinyDriver};

fn open(home: &std::path::Path) -> Box<dyn Engine> {
    TinyDriver.open(home, &OpenOptions::default(), &Quiet).unwrap()
}

fn put(engine: &dyn Engine, key: &[u8]) -> Result<()> {
    let header = engine.view()?.header().next(1, Durability::Durable, None)?;
    let mut beat: Box<dyn Beat + '_> = engine.begin_beat(header)?;
    beat.put_record(key, b"value")?;
    beat.commit_beat().map(drop)
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    put(&*engine, b"one").unwrap();
    put(&*engine, b"two").unwrap();
    let image = std::fs::read(dir.path().join(IMAGE)).unwrap();
    assert_eq!(decode(&image).unwrap().rows.len(), 2);
    for length in 0..image.len() {
        assert!(decode(&image[..length]).is_err(), "cut to {length} bytes");
    }
    for bit in 0..image.len() * 8 {
        let mut image = image.clone();
        image[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&image).is_err(), "bit {bit}");
    }
}

/// Clause D-5.
#[test]
fn a_failed_write_poisons_the_engine_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let engine = open(&home);
    put(&*engine, b"before").unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    assert_eq!(put(&*engine, b"lost").unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(put(&*engine, b"after").unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(engine.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    let view = engine.view().unwrap();
    assert_eq!(view.header().beat.0, 1);
    assert!(view.get_record(b"before").unwrap().is_some() && view.get_record(b"lost").unwrap().is_none());
}

/// Clauses O-2 and O-4: the lock, and an image that was never renamed.
#[test]
fn what_an_unfinished_creation_left_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let left = [(LOCK, "process 1"), (NEW_IMAGE, "TINY")];
    for (name, text) in left {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    assert_eq!(TinyDriver.probe(dir.path()).unwrap(), Probe::Empty);
    let with = |mode| TinyDriver.open(dir.path(), &OpenOptions { mode, ..OpenOptions::default() }, &Quiet);
    assert_eq!(with(OpenMode::MustExist).err().unwrap().kind(), ErrorKind::Invalid);
    for (name, text) in left {
        assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), text, "it was left alone");
    }
    assert!(!dir.path().join(IMAGE).exists());
    drop(with(OpenMode::MustCreate).unwrap());
    assert_eq!(with(OpenMode::MustCreate).err().unwrap().kind(), ErrorKind::Conflict);
}

/// Clause M-2: a target that holds anything, though the probe calls it empty.
#[test]
fn no_backup_over_what_an_unfinished_creation_left() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("home"));
    let into = dir.path().join("backup");
    std::fs::create_dir(&into).unwrap();
    std::fs::write(into.join(LOCK), "process 1").unwrap();
    assert_eq!(engine.backup(&into, &Quiet).unwrap_err().kind(), ErrorKind::Mismatch);
    assert!(!into.join(IMAGE).exists());
}

#[test]
fn verify_reports_a_damaged_image() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    put(&*engine, b"one").unwrap();
    let mut image = std::fs::read(dir.path().join(IMAGE)).unwrap();
    image[90] ^= 1;
    std::fs::write(dir.path().join(IMAGE), image).unwrap();
    let mut findings = Vec::new();
    let stat = engine.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    assert_eq!((stat.damaged, findings.len()), (1, 1));
}

/// Lines without their indentation, so that a quotation may begin at the margin.
fn flat(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold("\n".to_owned(), |all, line| all + line + "\n")
}

#[test]
fn the_walk_through_quotes_this_code() {
    let files = [
        ("engine.rs", flat(include_str!("engine.rs"))),
        ("image.rs", flat(include_str!("image.rs"))),
        ("main.rs", flat(include_str!("main.rs"))),
        ("view.rs", flat(include_str!("view.rs"))),
    ];
    let text = include_str!("../../../../docs/write-a-backend.md");
    let mut blocks = 0;
    for (at, _) in text.match_indices("```rust\n") {
        let block = text[at..].trim_start_matches("```rust\n").split("```").next().unwrap();
        let named = text[..at].trim_end().lines().last().unwrap();
        let (_, code) =
            files.iter().find(|(name, _)| named.contains(&format!("tiny_engine/{name}"))).unwrap();
        assert!(code.contains(&flat(block)), "after {named:?}, this is not in that file:\n{block}");
        blocks += 1;
    }
    assert!(blocks >= 8, "only {blocks} blocks of code");
}

/// A case that was renamed is not to live on in the walk-through.
#[test]
fn the_walk_through_names_cases_that_there_are() {
    let text = include_str!("../../../../docs/write-a-backend.md");
    let is_part_of_name = |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter == ':';
    let mut named = 0;
    for block in text.split("```").filter(|block| block.starts_with("text") || block.starts_with("console")) {
        for word in block.split(|letter| !is_part_of_name(letter)) {
            let word = word.trim_matches(':');
            if word.contains("::") && !word.starts_with("persist_conformance::") && !word.ends_with("probe::")
            {
                assert!(persist_conformance::Case::named(word).is_some(), "no case {word}");
                named += 1;
            }
        }
    }
    assert!(named >= 8, "only {named} names of cases");
}
