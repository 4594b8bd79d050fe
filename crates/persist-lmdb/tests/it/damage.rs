//! Damaged and cut files. Each trial runs in a child process, because what LMDB is spared from by our checks would end
//! the process.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use persist_api::{ErrorKind, OpenOptions, Quiet, Scan, Severity};

use crate::support::*;

const CHILD: &str = "PERSIST_LMDB_DAMAGED";

fn make(home: &Path) -> Vec<u8> {
    let engine = open(home);
    for round in 0..8 {
        fill(&*engine, round * 40, 150, 60 + 100 * round as usize);
        commit(&*engine, |beat| beat.put_record(&(round * 3).to_be_bytes(), &[9; 9_000]));
    }
    drop(engine);
    std::fs::read(home.join("data.mdb")).unwrap()
}

/// Opens, reads, verifies and writes; every outcome but a crash or a panic is fine here.
fn exercise(home: &Path) {
    let options = with_knob("check_bytes", &u64::MAX.to_string());
    let Ok(engine) = open_with(home, &options) else { return };
    if let Ok(view) = engine.view() {
        let mut sum = 0_u64;
        let mut keys = Vec::new();
        let _ = view.scan(Scan::all(), &mut |key, value| {
            keys.push(key.to_vec());
            sum += value.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            ControlFlow::Continue(())
        });
        let _ = view.scan(Scan::all().reverse(), &mut |_, _| ControlFlow::Continue(()));
        for key in keys {
            let _ = view.get_record(&key);
        }
        assert!(sum < u64::MAX);
    }
    let _ = engine.verify(&mut |_| {}, &Quiet);
    let _ = try_commit(&*engine, persist_api::Durability::Buffered, |beat| {
        (0..400_u64).step_by(3).try_for_each(|n| beat.put_record(&n.to_be_bytes(), &[3; 400]))
    });
    let _ = try_commit(&*engine, persist_api::Durability::Buffered, |beat| {
        beat.delete_range(persist_api::KeyRange::of::<[u8]>(&[0][..]..))
    });
}

/// The child: damages a copy in many places, one after the other, as its share of the trials says.
#[test]
fn flipped_bits_never_end_the_process() {
    if let Ok(share) = std::env::var(CHILD) {
        let (first, home) = share.split_once(' ').unwrap();
        return trials(first.parse().unwrap(), Path::new(home));
    }
    let home = tempfile::tempdir().unwrap();
    for first in 0..2_u64 {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "damage::flipped_bits_never_end_the_process", "--nocapture"])
            .env(CHILD, format!("{first} {}", home.path().join(first.to_string()).display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&status.stderr);
        assert!(status.status.success(), "{:?}: {}", status.status, said.lines().last().unwrap_or_default());
    }
}

fn trials(first: u64, home: &Path) {
    let good = make(home);
    let path = home.join("data.mdb");
    let mut state = first + 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for trial in 0..400 {
        let mut bytes = good.clone();
        // Mostly into page headers, node offsets and node headers, where it hurts.
        for _ in 0..=next(3) {
            let page = next(bytes.len() / 4096) * 4096;
            let at = page + if next(4) == 0 { next(4096) } else { next(160) };
            bytes[at] ^= 1 << next(8);
        }
        if next(5) == 0 {
            bytes.truncate(next(good.len()));
        }
        eprintln!("trial {first}.{trial}");
        std::fs::write(&path, &bytes).unwrap();
        exercise(home);
    }
}

#[test]
fn a_cut_file_is_corrupt_at_every_length() {
    let home = tempfile::tempdir().unwrap();
    let good = make(home.path());
    let path = home.path().join("data.mdb");
    for check in ["0", "100000000"] {
        for len in (0..good.len()).step_by(4096).flat_map(|len| [len, len + 100]) {
            std::fs::write(&path, &good[..len.min(good.len() - 1)]).unwrap();
            match open_with(home.path(), &with_knob("check_bytes", check)) {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{len} bytes: {error}");
                    assert_eq!(error.path(), Some(path.as_path()), "{error}");
                }
                // Only free pages were cut off.
                Ok(engine) => assert_eq!(engine.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{len}"),
            }
        }
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(open(home.path()).verify(&mut |_| {}, &Quiet).unwrap().damaged, 0);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(refused(home.path(), &OpenOptions::default()).kind(), ErrorKind::Corrupt);
}

/// Damage that the short check at open leaves alone is found by verify, without touching it through the map.
#[test]
fn verify_finds_structural_damage() {
    let home = tempfile::tempdir().unwrap();
    let good = make(home.path());
    let path = home.path().join("data.mdb");
    let mut found = 0;
    for page in 2..good.len() / 4096 {
        let mut bytes = good.clone();
        bytes[page * 4096] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let Ok(engine) = open_with(home.path(), &with_knob("check_bytes", "0")) else { continue };
        let mut damage = Vec::new();
        let stat = engine.verify(&mut |finding| damage.push(finding), &Quiet).unwrap();
        let counted = damage.iter().filter(|finding| finding.severity == Severity::Damage).count();
        assert_eq!(stat.damaged, counted as u64);
        found += u64::from(stat.damaged > 0);
    }
    assert!(found > 10, "{found} damaged pages found");
}
