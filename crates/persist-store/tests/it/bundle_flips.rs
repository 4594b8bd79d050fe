//! A bundle that is not byte for byte what was exported is refused, and nothing is touched.

use std::path::Path;

use persist_api::{ErrorKind, Quiet};
use persist_io::{Disk, sim::SimDisk};
use persist_store::{BundleLimits, read_bundle};

use crate::bundle::{check, export, fill, import};
use crate::kit::{files, open_default, place, toy};

/// A small bundle with everything in it.
fn small() -> Vec<u8> {
    let place = place();
    let file = place.home.with_file_name("bundle");
    let (mut writer, store) = open_default(&place.home);
    fill(&mut writer, &place.home);
    export(&store, &file);
    check(&file).unwrap();
    std::fs::read(file).unwrap()
}

/// Reads bytes as a bundle, on a disk in memory.
fn read(bytes: &[u8]) -> persist_api::Result<()> {
    let disk = SimDisk::new(1);
    assert!(disk.put("/bundle", bytes));
    let operations = disk.operations();
    let done =
        read_bundle(&disk as &dyn Disk, Path::new("/bundle"), &BundleLimits::default(), &Quiet).map(drop);
    assert!(disk.operations() > operations);
    done
}

#[track_caller]
fn is_refused(bytes: &[u8], what: impl FnOnce() -> String) {
    match read(bytes) {
        Ok(()) => panic!("{} is read", what()),
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Mismatch), "{}: {error}", what());
            assert_eq!(error.path(), Some(Path::new("/bundle")));
        }
    }
}

#[test]
fn every_other_value_of_every_byte_is_refused() {
    let good = small();
    read(&good).unwrap();
    assert!(good.len() < 2500, "{}", good.len());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        for change in 1..=255 {
            bytes[at] = good[at] ^ change;
            is_refused(&bytes, || format!("byte {at} with {change:#04x} turned over"));
        }
    }
}

#[test]
fn every_truncation_and_every_surplus_is_refused() {
    let good = small();
    for len in 0..good.len() {
        is_refused(&good[..len], || format!("a bundle cut at {len}"));
    }
    for byte in 0..=255 {
        is_refused(&[good.as_slice(), &[byte]].concat(), || format!("a bundle with {byte} after it"));
    }
    is_refused(&[good.as_slice(), &good].concat(), || "a bundle twice".to_owned());
    for len in 1..good.len() {
        is_refused(&[good.as_slice(), &good[good.len() - len..]].concat(), || {
            format!("its last {len} bytes twice")
        });
    }
}

#[test]
fn every_byte_left_out_doubled_or_swapped_is_refused() {
    let good = small();
    for at in 0..good.len() {
        let without = [&good[..at], &good[at + 1..]].concat();
        is_refused(&without, || format!("a bundle without byte {at}"));
        let doubled = [&good[..=at], &good[at..]].concat();
        is_refused(&doubled, || format!("a bundle with byte {at} twice"));
        if at > 0 && good[at - 1] != good[at] {
            let mut swapped = good.clone();
            swapped.swap(at - 1, at);
            is_refused(&swapped, || format!("a bundle with bytes {} and {at} swapped", at - 1));
        }
    }
}

#[test]
fn an_import_of_a_damaged_bundle_touches_nothing() {
    let place = place();
    let (file, home) = (place.home.with_file_name("bundle"), place.home.with_file_name("copy"));
    let good = small();
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file, &bytes).unwrap();
        let before = files(file.parent().unwrap());
        import(&toy(), &file, &home).unwrap_err();
        assert_eq!(files(file.parent().unwrap()), before, "byte {at}");
    }
    std::fs::write(&file, &good).unwrap();
    import(&toy(), &file, &home).unwrap();
}
