//! Verifying damaged runs and making them anew.

use std::ops::Bound;

use persist_api::{ErrorKind, Finding, Observer, Progress, Quiet};

use super::*;
use crate::run::block::{self, Block, HEADER, aligned};
use crate::run::head::SUMMARY_BLOCK;
use crate::run::{OnLoss, RangeKind, Rebuilt, hash, rebuild};

const FLOOR: u64 = 50;
const LAST: u64 = 60;

fn sample(dir: &Path) -> (Model, Vec<RangeDelete>, Vec<BeatHeader>) {
    let model = mixed(30, FLOOR, LAST);
    let ranges = (0..5_u64).map(|n| RangeDelete {
        start: Bound::Included(n.to_be_bytes().to_vec()),
        end: Bound::Unbounded,
        beat: BeatNo(LAST),
        kind: RangeKind::Deleted,
    });
    let (ranges, headers) = (ranges.collect::<Vec<_>>(), (FLOOR..=LAST).map(header).collect::<Vec<_>>());
    write(dir, head(LAST, FLOOR), SMALL, &model, &ranges, &headers);
    (model, ranges, headers)
}

fn put(dir: &Path, bytes: &[u8]) {
    persist_io::replace(&RealDisk, &dir.join(names::Kind::Run.name(NUMBER)), bytes).unwrap();
}

fn findings(run: &Run) -> Vec<Finding> {
    let mut found = Vec::new();
    let stat = run.verify(&mut |finding| found.push(finding), &Quiet).unwrap();
    assert_eq!(stat.damaged, found.len() as u64);
    found
}

#[test]
fn a_whole_run_verifies() {
    let dir = tempfile::tempdir().unwrap();
    for (model, shape) in
        [(mixed(30, FLOOR, LAST), SMALL), (mixed(400, FLOOR, LAST), Shape::default()), (Model::new(), SMALL)]
    {
        write(dir.path(), head(LAST, FLOOR), shape, &model, &[], &[]);
        let run = Run::open(&RealDisk, dir.path(), NUMBER).unwrap();
        let mut found = Vec::new();
        let stat = run.verify(&mut |finding| found.push(finding), &Quiet).unwrap();
        assert_eq!(found, []);
        assert_eq!(stat.records, model.len() as u64);
        assert_eq!(stat.bytes, run.stat().key_bytes + run.stat().value_bytes);
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let mut bytes = bytes_of(dir.path());
    // Every bit of a byte in turn, so that the test stays short.
    for at in 0..bytes.len() {
        let bit = 1_u8 << (at % 8);
        bytes[at] ^= bit;
        if let Ok(run) = open(&bytes) {
            let found = findings(&run);
            assert!(!found.is_empty(), "byte {at}");
            assert!(found.len() <= 3, "byte {at}: {found:#?}");
        }
        bytes[at] ^= bit;
    }
}

#[test]
fn verifying_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let run = Run::open(&RealDisk, dir.path(), NUMBER).unwrap();
    let stop = |_: Progress| std::ops::ControlFlow::Break(());
    let stopped = run.verify(&mut |_| (), &stop as &dyn Observer);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// Rebuilds a run of these bytes; also the bytes that come out of it, from the writer of normal shape.
fn again(bytes: &[u8], on_loss: OnLoss) -> (persist_api::Result<Rebuilt>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), bytes);
    let done = rebuild(&RealDisk, dir.path(), (NUMBER, NUMBER), on_loss, &Quiet);
    assert_eq!(RealDisk.list(dir.path()).unwrap().unwrap().len(), 1, "no file is left over");
    (done, bytes_of(dir.path()))
}

#[test]
fn whatever_is_not_a_record_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, headers) = sample(dir.path());
    let original = bytes_of(dir.path());
    let (rebuilt, whole) = again(&original, OnLoss::Refuse);
    assert_eq!(rebuilt.unwrap().records_lost, 0);
    let mut refused = 0;
    for at in (0..original.len()).step_by(31) {
        let mut bytes = original.clone();
        bytes[at] ^= 0x10;
        match again(&bytes, OnLoss::Refuse) {
            (Ok(Rebuilt { headers_lost: 0, .. }), anew) => assert_eq!(anew, whole, "byte {at}"),
            (Ok(rebuilt), anew) => {
                assert_eq!(
                    (rebuilt.headers_lost, rebuilt.records_lost),
                    (headers.len() as u64, 0),
                    "byte {at}"
                );
                assert_eq!(open(&anew).unwrap().headers().unwrap(), headers[headers.len() - 1..]);
            }
            (Err(error), left) => {
                assert_eq!((error.kind(), left), (ErrorKind::Corrupt, bytes), "byte {at}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "damaged records are refused");
    // Filter, index and everything behind the records at once.
    let mut bytes = original;
    let run = open(&bytes).unwrap();
    let from = usize::try_from(run.summary.sections.top).unwrap();
    drop(run);
    bytes[from..].fill(0xee);
    assert_eq!(again(&bytes, OnLoss::Refuse).1, whole);
}

#[test]
fn lost_records_are_marked_and_the_others_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (model, _, _) = sample(dir.path());
    let original = bytes_of(dir.path());
    for at in (0..original.len()).step_by(191) {
        let mut bytes = original.clone();
        let end = bytes.len().min(at + 200);
        bytes[at..end].fill(0);
        let (rebuilt, anew) = again(&bytes, OnLoss::Mark);
        let rebuilt = rebuilt.unwrap();
        let run = open(&anew).unwrap();
        assert_eq!(findings(&run), []);
        assert_eq!(run.stat().records + rebuilt.records_lost, model.len() as u64, "from {at}");
        let marks: Vec<_> = run.ranges().iter().filter(|range| range.kind != RangeKind::Deleted).collect();
        for ((key, Reverse(beat)), kept) in &model {
            let found = run.get(key, hash(key), BeatNo(*beat)).unwrap();
            let found = found.map(|version| (version.beat.0, Kept::of(&version.stored)));
            let covered = marks.iter().any(|range| {
                persist_api::KeyRange::owned(range.start.clone(), range.end.clone()).contains(key)
            });
            assert!(covered || found == Some((*beat, kept.clone())), "from {at}: {key:?} at {beat}");
        }
        assert_eq!(rebuilt.records_lost == 0 && marks.is_empty(), again(&bytes, OnLoss::Refuse).0.is_ok());
    }
}

/// Of bytes that somebody forged.
#[test]
fn records_that_verify_and_are_out_of_order_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let mut bytes = bytes_of(dir.path());
    let at = aligned(SUMMARY_BLOCK);
    let Block { header, end, .. } = block::read(&bytes, NUMBER, at).unwrap();
    assert_eq!(header.kind, block::Kind::Data);
    let [at, from, end] = [at, at + HEADER as u64, end].map(|at| usize::try_from(at).unwrap());
    let key = from + bytes[from..].windows(4).position(|window| window == b"key/").unwrap();
    bytes[key] = b'z';
    let header = header.encode(NUMBER, at as u64, &bytes[from..end]);
    bytes[at..from].copy_from_slice(&header);
    let (rebuilt, left) = again(&bytes, OnLoss::Mark);
    let error = rebuilt.unwrap_err();
    assert_eq!((error.kind(), left), (ErrorKind::Corrupt, bytes), "{error}");
}

#[test]
fn a_rebuilt_run_may_have_another_number() {
    let dir = tempfile::tempdir().unwrap();
    let (model, ranges, headers) = sample(dir.path());
    rebuild(&RealDisk, dir.path(), (NUMBER, NUMBER + 1), OnLoss::Refuse, &Quiet).unwrap();
    let run = Run::open(&RealDisk, dir.path(), NUMBER + 1).unwrap();
    assert_eq!(run.head(), &RunHead { number: NUMBER + 1, ..head(LAST, FLOOR) });
    assert_eq!((run.ranges(), run.headers().unwrap()), (ranges.as_slice(), headers));
    assert_eq!(run.stat().records, model.len() as u64);
    assert_eq!(findings(&run), []);
    assert!(Run::open(&RealDisk, dir.path(), NUMBER).is_ok(), "the old one is still there");
}

#[test]
fn a_run_under_another_name_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let bytes = bytes_of(dir.path());
    persist_io::replace(&RealDisk, &dir.path().join(names::Kind::Run.name(3)), &bytes).unwrap();
    let opened = Run::open(&RealDisk, dir.path(), 3);
    assert_eq!(opened.err().map(|error| error.kind()), Some(ErrorKind::Corrupt));
}
