//! Runs of which nothing can be read: did one of them hold the newest frames of all?
//!
//! A run gets its name when all of it is durable, so one that is there held frames. Either they lie between those of other runs,
//! where a gap is left, or right behind them. Numbers do not tell: several runs are written at a time, and one that is made anew
//! gets a new number.

use std::collections::BTreeSet;

use persist_api::BeatNo;

use crate::names::{Kind, parse};
use crate::run::{RangeDelete, RangeKind};
use crate::runs::Candidate;
use crate::timeline::head::Head;

/// Of runs of which nothing can be read, one for which no gap between the live runs (oldest first) accounts, nor a mark that an
/// earlier opening has left for one. Where there are gaps, one that has a greater number than all live runs counts too: too much
/// is told then rather than too little.
pub(crate) fn missed<R: Candidate>(unreadable: &[u32], live: &[R], head: Option<&Head>) -> Option<u32> {
    let marked: BTreeSet<(u32, BeatNo)> = live.iter().flat_map(R::marks).filter_map(whole_run).collect();
    let mut gaps = marked.iter().filter(|(run, _)| *run == 0).count();
    let mut upto = 0;
    for span in live.iter().map(|run| run.head().span) {
        gaps += usize::from(span.after > upto);
        upto = span.upto;
    }
    let named = |number: u32| head.and_then(|head| head.runs.iter().find(|run| run.number == number));
    let needless = |number: u32| named(number).is_some_and(|run| run.span.upto <= upto);
    let is_marked = |number: u32| marked.iter().any(|(run, _)| *run == number);
    let left = || unreadable.iter().copied().filter(|number| !needless(*number) && !is_marked(*number));
    let newest = left().max()?;
    let is_newest = live.iter().all(|run| run.number() < newest);
    (left().count() > gaps || is_newest).then_some(newest)
}

/// The run and the beat, if this says that a whole run is lost; 0 for a run whose name nobody knew.
fn whole_run(mark: &RangeDelete) -> Option<(u32, BeatNo)> {
    match &mark.kind {
        RangeKind::Damaged { file, offset: 0, .. } => match parse(file.as_ref()) {
            Some((Kind::Run, number)) => Some((number, mark.beat)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use persist_api::{Observer, Result};

    use super::*;
    use crate::run::RunHead;
    use crate::timeline::FrameSpan;
    use crate::timeline::head::LiveRun;

    struct Fake(RunHead, Vec<RangeDelete>);

    impl Candidate for Fake {
        fn head(&self) -> &RunHead {
            &self.0
        }

        fn losses(&self) -> usize {
            self.1.len()
        }

        fn marks(&self) -> &[RangeDelete] {
            &self.1
        }

        fn verifies(&self, _: &dyn Observer) -> Result<bool> {
            Ok(true)
        }
    }

    fn run(number: u32, after: u64, upto: u64) -> Fake {
        let (first_beat, last_beat, floor) = (BeatNo(after + 1), BeatNo(upto), BeatNo(0));
        let span = FrameSpan::new(after, upto);
        Fake(RunHead { number, span, first_beat, last_beat, floor }, Vec::new())
    }

    fn lost(number: u32, after: u64, upto: u64, file: &str) -> Fake {
        let kind = RangeKind::Damaged { file: file.into(), offset: 0, what: "missing".into() };
        let (start, end) = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let mark = RangeDelete { start, end, beat: BeatNo(upto), kind };
        Fake(run(number, after, upto).0, vec![mark])
    }

    #[test]
    fn a_run_counts_by_its_place_and_not_by_its_number() {
        // Numbers and frames cross.
        assert_eq!(missed(&[134], &[run(135, 0, 8), run(133, 8, 9)], None), Some(134));
        assert_eq!(missed(&[133], &[run(135, 0, 8), run(134, 9, 10)], None), None, "the gap is what it held");
        assert_eq!(missed(&[132, 133], &[run(135, 0, 8), run(134, 9, 10)], None), Some(133));
        // One that was made anew has a new number.
        assert_eq!(missed(&[2], &[run(3, 0, 4)], None), Some(2));
        assert_eq!(missed(&[], &[run(3, 2, 4)], None), None);
        // The gap may have been another's.
        assert_eq!(missed(&[4], &[run(1, 0, 2), run(3, 4, 6)], None), Some(4));
        assert_eq!(missed(&[7], &[] as &[Fake], None), Some(7));
    }

    #[test]
    fn what_is_marked_or_what_the_head_finds_in_other_runs_does_not_count() {
        let gap = |file| [run(1, 0, 2), lost(9, 2, 4, file), run(3, 4, 6)];
        assert_eq!(missed(&[2], &gap("branch.ckp.00000002"), None), None);
        assert_eq!(
            missed(&[2], &gap("branch.ckp.00000000"), None),
            None,
            "a gap for which nobody knew a name"
        );
        assert_eq!(missed(&[2], &gap("branch.ckp.00000005"), None), Some(2));
        assert_eq!(missed(&[2], &gap("branch.idx.00000002"), None), Some(2));
        let named = |after, upto| Head {
            runs: vec![LiveRun { number: 2, span: FrameSpan::new(after, upto) }],
            ..Head::default()
        };
        assert_eq!(missed(&[2], &[run(3, 0, 4)], Some(&named(2, 4))), None, "it was merged into the other");
        assert_eq!(missed(&[2], &[run(3, 0, 4)], Some(&named(4, 6))), Some(2));
    }
}
