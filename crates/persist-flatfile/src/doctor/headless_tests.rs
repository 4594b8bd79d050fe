//! No head and a newest run of which nothing can be read: the doctor says what is lost, before an opening and after it, and a repair
//! that accepts no loss keeps it lost.

use persist_api::{BeatHeader, ErrorKind, OpenMode, Quiet, Scan};
use persist_io::Disk;
use persist_io::sim::SimDisk;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::crash_tests::{HOME, open};
use super::tests::{Records, beat, close, scan};
use super::*;

const NEWEST: &str = "branch.ckp.00000002";

/// A store without head, of whose second run nothing is left; and the records of its first run.
fn store() -> (SimDisk, Records) {
    let sim = SimDisk::new(1);
    let engine = open(&sim, OpenMode::default());
    let mut header = BeatHeader::default();
    (0..4).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    let older = scan(&*engine);
    (4..8).for_each(|n| beat(&*engine, &mut header, n));
    engine.checkpoint().unwrap();
    close(engine);
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
