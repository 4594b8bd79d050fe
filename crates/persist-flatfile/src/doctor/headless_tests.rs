//! No head, or half of one, and a newest run of which nothing can be read: the doctor says what is lost, before an opening and after it, and a repair
//! that accepts no loss keeps it lost.

use persist_api::{BeatHeader, ErrorKind, OpenMode, Quiet, Scan};
use persist_io::sim::SimDisk;
use persist_io::{Disk, FileMode};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::crash_tests::{HOME, open};
use super::tests::{Records, beat, close, scan};
use super::*;
use crate::coding::u64_at;

const NEWEST: &str = "branch.ckp.00000002";

/// A killed store of two runs, the records of the first one, and the head from when there was only that.
fn two_runs() -> (SimDisk, Records, Vec<u8>) {
    let sim = SimDisk::new(1);
    let engine = open(&sim, OpenMode::default());
    let mut header = BeatHeader::default();
    (0..4).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    let older = scan(&*engine);
    let before = sim.bytes(Path::new(HOME).join("branch.meta")).unwrap();
    (4..8).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    (sim.killed(), older, before)
}

/// Half a head that does not name the newest run, of which nothing can be read. And the records of the older runs.
fn half() -> (SimDisk, Records) {
    let (sim, older, before) = two_runs();
    let head = Path::new(HOME).join("branch.meta");
    sim.open(&head, FileMode::Write).unwrap().write_at(0, &before).unwrap();
    assert!(sim.flip(&head, 8 * 4141) && sim.cut_file(Path::new(HOME).join(NEWEST), 0));
    (sim, older)
}

/// A store without head, of whose second run nothing is left; and the records of its first run.
fn store() -> (SimDisk, Records) {
    let (sim, older, _) = two_runs();
    close(open(&sim, OpenMode::default()));
    let path = Path::new(HOME);
    assert!(sim.cut_file(path.join(NEWEST), 0));
    sim.remove_file(&path.join("branch.meta")).unwrap();
    (sim, older)
}

fn examined(sim: &SimDisk) -> Diagnosis {
    examine(sim, Path::new(HOME), &Quiet).unwrap()
}

fn repaired(sim: &SimDisk, losses: Losses) -> Repaired {
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    repair(&disk, Path::new(HOME), losses, &[], &Quiet).unwrap()
}

fn reads_fail(sim: &SimDisk) {
    let engine = open(sim, OpenMode::MustExist);
    let view = engine.view().unwrap();
    let error = view.scan(Scan::all(), &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(NEWEST), "{error}");
    assert_eq!(view.header().beat.0, 5, "the number of a lost beat is used");
    drop(view);
    close(engine);
}

#[test]
fn a_lost_run_is_lost_before_and_after_an_opening_and_a_repair() {
    lost_whatever_is_done(store);
}

#[test]
fn a_run_that_half_a_head_does_not_name_is_lost_before_and_after_an_opening_and_a_repair() {
    lost_whatever_is_done(half);
}

fn lost_whatever_is_done(store: impl Fn() -> (SimDisk, Records)) {
    for opened in [false, true] {
        let (sim, older) = store();
        if opened {
            reads_fail(&sim);
        }
        let told = examined(&sim);
        assert_eq!(told.verdict, Verdict::Lossy, "opened: {opened}: {told:#?}");
        let run = told.damage().find(|complaint| complaint.file == NEWEST).unwrap();
        assert_eq!((run.trouble, run.remedy), (Trouble::Run, Remedy::AcceptLoss), "opened: {opened}");
        let kept = repaired(&sim, Losses::Keep);
        assert_eq!(kept.after.verdict, Verdict::Lossy, "opened: {opened}: {:#?}", kept.after);
        assert!(
            kept.kept.iter().any(|name| name == NEWEST) && sim.bytes(Path::new(HOME).join(NEWEST)).is_none()
        );
        reads_fail(&sim);
        let given_up = repaired(&sim, Losses::GiveUp);
        assert_eq!(given_up.after.verdict, Verdict::Whole, "opened: {opened}: {:#?}", given_up.after);
        let engine = open(&sim, OpenMode::MustExist);
        assert_eq!(scan(&*engine), older);
        assert_eq!(engine.view().unwrap().header().beat.0, 5);
    }
}

/// Runs are written by several threads, and one that is made anew gets a new number: numbers do not say which is the newest.
#[test]
fn a_lost_run_is_lost_whatever_its_number_is() {
    for opened in [false, true] {
        let (sim, _) = store();
        let run = Path::new(HOME).join("branch.ckp.00000001");
        // The foot says where the top index block is. Without that one the run is made anew, as number 3.
        let bytes = sim.bytes(&run).unwrap();
        let top = u64_at(&bytes, bytes.len() - 120).unwrap();
        assert!(sim.flip(&run, 8 * top));
        if opened {
            reads_fail(&sim);
            assert!(sim.bytes(Path::new(HOME).join("branch.ckp.00000003")).is_some(), "it is not made anew");
            sim.remove_file(&Path::new(HOME).join("branch.meta")).unwrap();
        }
        let told = examined(&sim);
        assert_eq!(told.verdict, Verdict::Lossy, "opened: {opened}: {told:#?}");
        let newest = told.damage().find(|complaint| complaint.file == NEWEST).unwrap();
        assert_eq!(newest.remedy, Remedy::AcceptLoss, "opened: {opened}");
        reads_fail(&sim);
        let kept = repaired(&sim, Losses::Keep);
        assert_eq!(kept.after.verdict, Verdict::Lossy, "opened: {opened}: {:#?}", kept.after);
        reads_fail(&sim);
    }
}
