//! A repair that is cut short by a power cut, at every operation: repaired again, the store is what it would have been, and the
//! originals are there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use persist_api::{BeatHeader, BeatNo, CompactScope, Driver, ErrorKind, OpenMode, OpenOptions, Quiet};
use persist_io::sim::{Crash, SimDisk};
use persist_io::{Call, Disk, Intercept, Intercepted, PassOn};

use super::tests::{Records, beat, close, knobs, scan};
use super::*;
use crate::FlatfileDriver;

pub(super) const HOME: &str = "/home";

pub(super) fn open(sim: &SimDisk, mode: OpenMode) -> Box<dyn persist_api::Engine> {
    let options = OpenOptions { mode, knobs: knobs(), ..OpenOptions::default() };
    FlatfileDriver::new(Arc::new(sim.clone())).open(Path::new(HOME), &options, &Quiet).unwrap()
}

/// A closed store, and its records.
pub(super) fn store() -> (SimDisk, Records) {
    let sim = SimDisk::new(1);
    let engine = open(&sim, OpenMode::default());
    let mut header = BeatHeader::default();
    (0..60).for_each(|n| beat(&*engine, &mut header, n));
    engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    (60..80).for_each(|n| beat(&*engine, &mut header, n));
    let records = scan(&*engine);
    close(engine);
    (sim.killed(), records)
}

/// Flips a bit in the middle of the first file of each kind that is named; answers the damaged bytes by name.
pub(super) fn damage(sim: &SimDisk, kinds: &[(&str, usize, usize)]) -> BTreeMap<String, Vec<u8>> {
    let mut damaged = BTreeMap::new();
    for (stem, part, of) in kinds {
        let stem = format!("{HOME}/{stem}");
        let mut files = sim.files().into_iter().map(|(path, _)| path);
        let path = files.find(|path| path.to_str().is_some_and(|path| path.starts_with(&stem))).unwrap();
        let bytes = sim.bytes(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        assert!(sim.flip(&path, (used * part / of * 8) as u64));
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        damaged.insert(name, sim.bytes(&path).unwrap());
    }
    damaged
}

pub(super) fn records(sim: &SimDisk) -> Records {
    let engine = open(sim, OpenMode::MustExist);
    let mut told = Vec::new();
    let stat = engine.verify(&mut |finding| told.push(finding), &Quiet).unwrap();
    assert_eq!(stat.damaged, 0, "{told:?}");
    let records = scan(&*engine);
    close(engine);
    records
}

#[test]
fn a_repair_that_is_cut_short_is_repeated() {
    let mut cuts = 0;
    for kinds in [
        &[("branch.ckp.", 1, 2), ("branch.meta", 1, 2)][..],
        &[("branch.idx.", 1, 3), ("branch.dat.", 2, 3)],
        &[("branch.ckp.", 99, 100), ("branch.dat.", 0, 1), ("branch.idx.", 5, 6)],
    ] {
        let (sim, whole) = store();
        // One that somebody knows comes back, wherever the repair was cut short.
        let known: Vec<_> = whole.iter().take(1).map(|(key, value)| (key.clone(), value.clone())).collect();
        let damaged = damage(&sim, kinds);
        sim.keep_cut_points();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let repaired = repair(&disk, Path::new(HOME), Losses::GiveUp, &known, &Quiet).unwrap();
        assert!(repaired.before.verdict > Verdict::Whole && repaired.after.verdict == Verdict::Whole);
        let points = sim.cut_points();
        let expected = records(&sim);
        assert!(known.iter().all(|(key, value)| expected.get(key) == Some(value)));
        for (key, value) in &expected {
            let lost = repaired.given_up.iter().filter_map(|loss| loss.keys.as_ref());
            assert!(whole.get(key) == Some(value) || lost.map(KeySpan::range).any(|keys| keys.contains(key)));
        }
        for (n, point) in points.iter().enumerate() {
            for crash in [Crash::Nothing, Crash::Everything, Crash::Random(n as u64)] {
                let after = point.cut(n as u64).image(&crash);
                let disk: Arc<dyn Disk> = Arc::new(after.clone());
                let case =
                    format!("{kinds:?} before operation {} ({:?}), {crash:?}", point.after, point.next);
                let again = repair(&disk, Path::new(HOME), Losses::GiveUp, &known, &Quiet);
                let again = again.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(again.after.verdict, Verdict::Whole, "{case}: {:#?}", again.after);
                assert_eq!(records(&after), expected, "{case}");
                for (name, bytes) in &damaged {
                    let files = after.files().into_iter().map(|(path, _)| path);
                    let mut kept = files.filter(|path| path.ends_with(name));
                    let is_kept = kept.any(|path| after.bytes(path).as_ref() == Some(bytes));
                    assert!(is_kept, "{case}: the original of {name} is gone");
                }
                cuts += 1;
            }
        }
    }
    assert!(cuts > 100, "{cuts}");
}

/// Somebody else opens the store, changes it and closes it when the lock is first asked for.
struct Before(SimDisk, AtomicBool);

impl Intercept for Before {
    fn around(&self, _: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
        if matches!(call, Call::TryLock) && !self.1.swap(true, Ordering::Relaxed) {
            let engine = open(&self.0, OpenMode::MustExist);
            let mut header = *engine.view().unwrap().header();
            (80..90).for_each(|n| beat(&*engine, &mut header, n));
            engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
            close(engine);
        }
        pass_on()
    }
}

#[test]
fn a_repair_does_nothing_by_what_it_saw_before_somebody_changed_the_store() {
    let (sim, _) = store();
    damage(&sim, &[("branch.dat", 0, 100)]);
    let path = Path::new(HOME);
    assert!(examine(&sim, path, &Quiet).unwrap().damage().any(|told| told.remedy == Remedy::Repair));
    let before = Before(sim.clone(), AtomicBool::new(false));
    let disk: Arc<dyn Disk> = Arc::new(Intercepted::new(sim.clone(), before));
    let error = repair(&disk, path, Losses::GiveUp, &[], &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    let copies = path.join("damaged");
    assert!(!sim.files().iter().any(|(path, _)| path.starts_with(&copies)), "nothing was changed");
    repair(&disk, path, Losses::GiveUp, &[], &Quiet).unwrap();
    assert_eq!(examine(&sim, path, &Quiet).unwrap().verdict, Verdict::Whole);
    assert_eq!(open(&sim, OpenMode::MustExist).view().unwrap().header().beat, BeatNo(90));
}
