//! `docs/format-bundle.md`: a bundle that was written once is read and written for ever, and a reader of a few lines of Python, which
//! knows nothing but that page, finds in it what is there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::bundle::{check, export, fill, import};
use crate::bundle_forge::Forge;
use crate::kit::{content, files, open_default, place, put, toy};

/// Written once, when the format was written down, and never made anew.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/bundle/whole.bundle")
}

pub fn run(file: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/bundle_reader.py");
    let run = Command::new("python3").arg("-B").arg(script).arg(file).output();
    run.expect("python3 cannot be run; `cargo xtask setup` installs it")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if text.is_empty() {
        text.push('-');
    }
    text
}

#[test]
fn the_golden_bundle_is_what_its_store_exports_and_what_it_becomes() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    let file = place.home.with_file_name("whole.bundle");
    export(&store, &file);
    let bytes = std::fs::read(golden()).unwrap();
    assert!(std::fs::read(&file).unwrap() == bytes, "the format has changed: that needs a new version");
    let report = check(&golden()).unwrap();
    assert_eq!(blake3::Hash::from(report.id).to_hex().as_str(), GOLDEN_ID);
    let copy = place.home.with_file_name("copy");
    import(&toy(), &golden(), &copy).unwrap();
    let (_writer, copied) = open_default(&copy);
    assert_eq!(content(&copied.view().unwrap()), content(&store.view().unwrap()));
}

const GOLDEN_ID: &str = "dffa77ee742edba661ee54163c1ac69967807ae6d2e7a7af5f7dc6192a94d6ff";

#[test]
fn a_reader_that_knows_the_page_alone_finds_what_is_there() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    put(&mut writer, &[(b"more than a chunk", &vec![3; 300_000])]);
    let file = place.home.with_file_name("bundle");
    export(&store, &file);
    let told = run(&file);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stdout));
    let told = String::from_utf8(told.stdout).unwrap();
    let mut expected = String::new();
    for (path, bytes) in files(&place.home.join("cas")) {
        if let Some(bytes) = bytes {
            let name = path.strip_prefix(&place.home).unwrap().display();
            writeln!(expected, "blob {name} {}", hex(&bytes)).unwrap();
        }
    }
    for (key, value) in content(&store.view().unwrap()) {
        writeln!(expected, "record {} {}", hex(&key), hex(&value)).unwrap();
    }
    assert!(told.ends_with(&expected), "{}", told.len());
    assert!(told.starts_with("persist-bundle = 1\ncontent = store\nbeat = 3\n"), "{}", &told[..60]);
    let forged = place.home.with_file_name("forged");
    std::fs::write(&forged, Forge::of(&content(&store.view().unwrap()), 3, &[]).bytes()).unwrap();
    assert!(run(&forged).status.success());
    let mut bytes = std::fs::read(golden()).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        bytes[at] ^= 4;
        std::fs::write(&forged, &bytes).unwrap();
        assert!(!run(&forged).status.success(), "byte {at}");
        bytes[at] ^= 4;
    }
}
