//! R4 of the repair: its n-th call fails, in every way, once and from then on. The originals are there whatever comes of it, what
//! verified is read as before, and a second repair ends what the first began.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use persist_api::{Driver, ErrorKind, OpenMode, OpenOptions, Quiet};
use persist_io::Disk;
use persist_io::sim::{Code, Crash, Fault, Forgot, Op, Rng, SimDisk, When};

use super::crash_tests::{HOME, damage, records, store};
use super::tests::{Records, close, knobs};
use super::*;
use crate::FlatfileDriver;

/// How a call may fail. What the seam hides is among them: then nothing may come of it.
const FAILURES: [Fault; 11] = [
    Fault::Error { code: Code::Io, applied: false },
    Fault::Error { code: Code::Io, applied: true },
    Fault::Error { code: Code::NoSpace, applied: false },
    Fault::Error { code: Code::NoSpace, applied: true },
    Fault::Error { code: Code::Interrupted, applied: false },
    Fault::ShortWrite { bytes: 1, then: Some(Code::Io) },
    Fault::ShortWrite { bytes: 700, then: Some(Code::NoSpace) },
    Fault::ShortWrite { bytes: 7, then: None },
    Fault::ShortRead { bytes: 5 },
    Fault::SyncForgets(Forgot::All),
    Fault::SyncForgets(Forgot::Some(3)),
];

/// So many calls are tried of each kind of damage, of fault, once and from then on. `PERSIST_SIM_ROUNDS` takes so many times as
/// many; from 24 on all.
const CALLS: usize = 10;

/// What the stores that are repaired suffer from, all together.
const REPAIRED: [Trouble; 8] = [
    Trouble::Frames,
    Trouble::Gap,
    Trouble::Head,
    Trouble::PayloadHeader,
    Trouble::Run,
    Trouble::RunRecords,
    Trouble::RunStructure,
    Trouble::Value,
];

/// A damaged store, and what there is to know of it.
struct Patient {
    sim: SimDisk,
    whole: Records,
    /// What was damaged, by name.
    originals: BTreeMap<String, Vec<u8>>,
    known: Vec<(Vec<u8>, Vec<u8>)>,
    /// What a repair that meets no fault leaves, and gives up.
    expected: Records,
    lost: Vec<KeySpan>,
    /// What is told of it.
    troubles: Vec<Trouble>,
    /// The calls of that repair.
    calls: Vec<(u64, Op)>,
}

fn mend(sim: &SimDisk, known: &[(Vec<u8>, Vec<u8>)]) -> persist_api::Result<Repaired> {
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    repair(&disk, Path::new(HOME), Losses::GiveUp, known, &Quiet)
}

/// Damages a store, and looks how a repair goes that meets no fault.
fn patient(kinds: &[(&str, usize, usize)]) -> Patient {
    let (sim, whole) = store();
    let originals = damage(&sim, kinds);
    let known: Vec<_> = whole.iter().take(1).map(|(key, value)| (key.clone(), value.clone())).collect();
    let plain = sim.killed();
    let repaired = mend(&plain, &known).unwrap();
    assert!(repaired.before.verdict > Verdict::Whole && repaired.after.verdict == Verdict::Whole);
    let calls = plain.trace().operations().collect();
    let expected = records(&plain);
    assert!(known.iter().all(|(key, value)| expected.get(key) == Some(value)));
    let troubles = repaired.before.damage().map(|complaint| complaint.trouble).collect();
    let lost = repaired.given_up.into_iter().filter_map(|loss| loss.keys).collect();
    Patient { sim, whole, originals, known, expected, lost, troubles, calls }
}

impl Patient {
    /// Wherever a repair stops, what it changes can be had as it was.
    fn has_originals(&self, sim: &SimDisk, case: &str) {
        for (name, bytes) in &self.originals {
            let mut files = sim.files().into_iter().filter(|(path, _)| path.ends_with(name));
            let kept = files.any(|(path, _)| sim.bytes(&path).as_ref() == Some(bytes));
            assert!(kept, "{case}: the original of {name} is gone");
        }
    }

    /// Half a repair hides nothing: what verified before it is read as it was, or the reader is told.
    fn is_honest(&self, sim: &SimDisk, case: &str) {
        let options = OpenOptions { mode: OpenMode::MustExist, knobs: knobs(), ..OpenOptions::default() };
        let engine = match FlatfileDriver::new(Arc::new(sim.clone())).open(Path::new(HOME), &options, &Quiet)
        {
            Ok(engine) => engine,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}: {error}"),
        };
        let view = engine.view().unwrap();
        let kept = |key: &Vec<u8>| !self.lost.iter().any(|lost| lost.range().contains(key));
        for (key, value) in self.whole.iter().filter(|(key, _)| kept(key)) {
            match view.get_record(key) {
                Ok(found) => assert_eq!(found.as_deref(), Some(value.as_slice()), "{case}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}: {error}"),
            }
        }
        drop(view);
        close(engine);
    }

    /// The store is as a repair leaves it, and a power cut takes nothing of that back.
    fn is_mended(&self, sim: &SimDisk, case: &str) {
        for there in [sim.killed(), sim.crash_image(&Crash::Nothing)] {
            let told = examine(&there, Path::new(HOME), &Quiet).unwrap();
            assert_eq!(told.verdict, Verdict::Whole, "{case}: {told:#?}");
            assert_eq!(records(&there), self.expected, "{case}");
            self.has_originals(&there, case);
        }
    }

    /// Repairs with a fault, and again without. Whether the fault was met, and whether the repair failed by it.
    fn fails_at(&self, when: When, fault: Fault, case: &str) -> (bool, bool) {
        let sim = self.sim.killed();
        sim.plan(when, fault);
        let done = mend(&sim, &self.known);
        let met = sim.met();
        sim.unplan();
        match &done {
            Ok(repaired) => {
                assert_eq!(repaired.after.verdict, Verdict::Whole, "{case}: {:#?}", repaired.after);
                self.is_mended(&sim, case);
            }
            Err(error) => {
                let kinds = [ErrorKind::Io, ErrorKind::Full, ErrorKind::Poisoned];
                assert!(kinds.contains(&error.kind()), "{case}: {error}");
                let seen = met.iter().any(|(_, op, fault)| !fault.hidden(*op));
                assert!(seen, "{case}: nobody had to see it: {error}");
            }
        }
        let (When::At(n) | When::From(n)) = when;
        let images = [
            sim.killed(),
            sim.crash_image(&Crash::Nothing),
            sim.crash_image(&Crash::Everything),
            sim.crash_image(&Crash::Random(n)),
        ];
        for (number, image) in images.into_iter().enumerate() {
            let case = format!("{case}, image {number}");
            self.has_originals(&image, &case);
            self.is_honest(&image.killed(), &case);
            let again = mend(&image, &self.known).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(again.after.verdict, Verdict::Whole, "{case}: {:#?}", again.after);
            self.is_mended(&image, &case);
        }
        (!met.is_empty(), done.is_err())
    }
}

fn said(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_call_of_a_repair_may_fail_in_every_way() {
    let begun = std::time::Instant::now();
    let rounds = said("PERSIST_SIM_ROUNDS");
    let most = match rounds {
        Some(24..) => usize::MAX,
        rounds => CALLS * usize::try_from(rounds.unwrap_or(1)).unwrap(),
    };
    let mut rng = Rng::new(said("PERSIST_SEED").unwrap_or(1));
    let (mut runs, mut failures, mut troubles) = (0_u64, 0_u64, Vec::new());
    for kinds in [
        // Losses are given up, and what is known comes back.
        &[("branch.ckp.", 1, 2), ("branch.meta", 1, 2)][..],
        &[("branch.idx.", 1, 3), ("branch.dat.", 2, 3)],
        // Everything but the values of a run is made anew, and the header of a payload segment.
        &[("branch.ckp.", 99, 100), ("branch.dat.", 0, 1), ("branch.idx.", 5, 6)],
        // Both slots of the head, and nothing else.
        &[("branch.meta", 0, 1), ("branch.meta", 39, 40)],
        // Nothing of a run can be read, nor of the head: the run goes.
        &[("branch.ckp.", 0, 1), ("branch.ckp.", 999, 1000), ("branch.meta", 0, 1), ("branch.meta", 39, 40)],
    ] {
        let patient = patient(kinds);
        troubles.extend(patient.troubles.iter().copied());
        for fault in FAILURES {
            let mut fits: Vec<u64> =
                patient.calls.iter().filter(|(_, op)| fault.fits(*op)).map(|(n, _)| *n).collect();
            assert!(!fits.is_empty(), "{fault:?}");
            let mut failed = 0;
            for when in [When::At, When::From] {
                // Others for each way and each seed, spread over all of the repair. Each sync counts by itself: what comes before it
                // and after it is another state of the store.
                let each = fault == Fault::SyncForgets(Forgot::All) && when(0) == When::At(0);
                let chosen = if each { fits.len() } else { most.min(fits.len()) };
                for part in 0..chosen {
                    let (from, to) = (part * fits.len() / chosen, (part + 1) * fits.len() / chosen);
                    let at = from + usize::try_from(rng.below((to - from) as u64)).unwrap();
                    let when = when(fits[at]);
                    let case = format!("{kinds:?}, {fault:?} {when:?} of {} calls", patient.calls.len());
                    let (met, error) = patient.fails_at(when, fault, &case);
                    assert!(met, "{case}");
                    (runs, failed) = (runs + 1, failed + u64::from(error));
                }
            }
            fits.retain(|n| patient.calls.iter().any(|(at, op)| at == n && !fault.hidden(*op)));
            assert!(failed > 0 || fits.is_empty(), "{kinds:?}: no repair failed by {fault:?}");
            failures += failed;
        }
    }
    for trouble in REPAIRED {
        assert!(troubles.contains(&trouble), "no store with {trouble:?} was repaired");
    }
    println!("{runs} repairs, {failures} failed, in {:.1} s", begun.elapsed().as_secs_f64());
    assert!(runs >= 4 * 11 * 2 * 3, "{runs}");
}
