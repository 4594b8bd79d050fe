//! Examining the runs.

use std::sync::Arc;

use persist_api::{BeatNo, Error, ErrorKind, FindingCode, Observer, Result, Severity};

use super::dry::Dry;
use super::examine::Exam;
use super::told::{Complaint, KeySpan, Remedy, Trouble};
use crate::error::offset_of;
use crate::missed::missed;
use crate::names::Kind;
use crate::run::{OnLoss, RangeDelete, RangeKind, Rebuilt, Run, RunHead, rebuild};
use crate::runs::{Aside, Candidate as _, Settled, contradiction, settle};
use crate::timeline::FrameSpan;

/// A run that is there, or would be after a repair.
struct Candidate {
    head: RunHead,
    state: State,
}

enum State {
    Opens(Arc<Run>),
    /// It does not open, and this is what a repair makes of it.
    Broken(Error, Rebuilt),
}

impl crate::runs::Candidate for Candidate {
    fn head(&self) -> &RunHead {
        &self.head
    }

    fn number(&self) -> u32 {
        match self.state {
            State::Opens(_) => self.head.number,
            State::Broken(..) => u32::MAX,
        }
    }

    fn losses(&self) -> usize {
        match &self.state {
            State::Opens(run) => run.losses(),
            State::Broken(_, rebuilt) => rebuilt.losses,
        }
    }

    fn marks(&self) -> &[RangeDelete] {
        match &self.state {
            State::Opens(run) => run.ranges(),
            State::Broken(_, rebuilt) => &rebuilt.ranges,
        }
    }

    fn verifies(&self, seen: &dyn Observer) -> Result<bool> {
        match &self.state {
            State::Opens(run) => run.verifies(seen),
            State::Broken(..) => Ok(true),
        }
    }
}

/// The runs that count.
#[derive(Default)]
pub(super) struct Live {
    /// Those that open.
    pub(super) open: Vec<Arc<Run>>,
    /// The newest frame in any.
    pub(super) upto: u64,
    /// A run of which nothing can be read and that held frames behind all others.
    pub(super) missed: Option<u32>,
}

impl Exam<'_> {
    /// Looks at all runs; what is there when it ends is what an opening would find.
    pub(super) fn runs(&mut self) -> Result<Live> {
        let mut candidates = Vec::new();
        let mut unreadable = Vec::new();
        for number in self.files.numbers(Kind::Run) {
            match Run::open(self.disk, self.home, number) {
                Ok(run) => candidates.push(Candidate { head: *run.head(), state: State::Opens(run) }),
                Err(error) if error.kind() == ErrorKind::Corrupt => match self.try_rebuild(number)? {
                    Some(rebuilt) => {
                        let state = State::Broken(error, rebuilt);
                        candidates.push(Candidate { head: state.head(), state });
                    }
                    None => unreadable.push((number, error)),
                },
                Err(error) => return Err(error),
            }
        }
        let candidates = self.settle(candidates)?;
        let numbers: Vec<u32> = unreadable.iter().map(|(number, _)| *number).collect();
        let missed = missed(&numbers, &candidates, self.found.head.as_ref());
        let mut live = Live { missed, ..Live::default() };
        let mut last_beat = BeatNo(0);
        for candidate in candidates {
            let head = candidate.head;
            self.gap(live.upto, last_beat, &head);
            (live.upto, last_beat) = (head.span.upto, head.last_beat);
            self.diagnosis.runs += 1;
            match candidate.state {
                State::Opens(run) => {
                    self.diagnosis.beat = self.diagnosis.beat.max(run.newest().beat);
                    self.run(&run)?;
                    live.open.push(run);
                }
                State::Broken(error, rebuilt) => {
                    self.diagnosis.beat = self.diagnosis.beat.max(head.last_beat);
                    self.diagnosis.records = self.diagnosis.records.saturating_add(rebuilt.stat.records);
                    let at = offset_of(&error);
                    self.flaw(&head, at, FindingCode::Structure, error.context(), Some(&rebuilt));
                    self.rebuilt(&head, &rebuilt);
                }
            }
        }
        for (number, error) in unreadable {
            self.unreadable(number, &error, live.upto);
        }
        self.missing(live.upto);
        Ok(live)
    }

    /// What making a run anew would give; `None` when that cannot be done.
    fn try_rebuild(&self, number: u32) -> Result<Option<Rebuilt>> {
        match rebuild(&Dry(self.disk), self.home, (number, number), OnLoss::Mark, self.seen) {
            Ok(rebuilt) => Ok(Some(rebuilt)),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decides as an opening would which runs are live; those in order, oldest first.
    fn settle(&mut self, all: Vec<Candidate>) -> Result<Vec<Candidate>> {
        let Settled { live, superseded, aside } = settle(all, self.found.head.as_ref(), self.seen)?;
        for run in superseded {
            let what = "all that it holds is in another run too; it is not read";
            self.left_out(&run, Severity::Note, Trouble::Leftover, what);
        }
        for (run, why) in aside {
            match why {
                Aside::GaveWay => {
                    let what =
                        "this run does not verify; those that it was merged from are all there and are used";
                    self.left_out(&run, Severity::Damage, Trouble::RunStructure, what);
                }
                Aside::Incomplete => {
                    let what = "a merged run that does not verify has its frames, and of what that was merged from others \
                                are missing";
                    self.left_out(&run, Severity::Note, Trouble::Leftover, what);
                }
            }
        }
        if let Some(newer) = contradiction(&live) {
            let name = Kind::Run.name(newer.head.number);
            let what = "this run and the one before hold some of the same frames, and each holds others";
            let (damage, backup) = (Severity::Damage, Remedy::Backup);
            self.say(Complaint::new(damage, Trouble::Contradiction, backup, (name, 0), what));
        }
        Ok(live)
    }

    fn left_out(&mut self, run: &Candidate, severity: Severity, trouble: Trouble, what: &str) {
        let place = (Kind::Run.name(run.head.number), 0);
        let complaint = Complaint::new(severity, trouble, Remedy::Opening, place, what);
        self.say(complaint.beats(run.head.first_beat, run.head.last_beat));
    }

    /// Complains when frames are missing before a run.
    fn gap(&mut self, upto: u64, last_beat: BeatNo, next: &RunHead) {
        let gap = FrameSpan::new(upto, next.span.after);
        if gap.is_empty() {
            return;
        }
        let named = self.found.head.iter().flat_map(|head| &head.runs).find(|run| gap.covers(&run.span));
        let name = named.map_or_else(|| "branch.ckp".to_owned(), |run| Kind::Run.name(run.number));
        let what = "frames that later runs follow are in no run that can be read; what they wrote is lost";
        let mut complaint =
            Complaint::new(Severity::Damage, Trouble::Gap, Remedy::AcceptLoss, (name, 0), what);
        complaint.frames = Some(gap.after + 1..=gap.upto);
        complaint.keys = Some(KeySpan::ALL);
        self.say(complaint.beats(BeatNo(last_beat.0.saturating_add(1)), next.first_beat));
    }

    /// Complains about newest runs that the head names and that are not there; missing ones before others leave a gap.
    fn missing(&mut self, upto: u64) {
        let there = self.files.numbers(Kind::Run);
        let named = self.found.head.iter().flat_map(|head| head.runs.clone());
        let missing: Vec<_> =
            named.filter(|run| run.span.upto > upto && !there.contains(&run.number)).collect();
        for run in missing {
            let place = (Kind::Run.name(run.number), 0);
            let what = "the run is missing; the head names it, and what its frames wrote is lost";
            let (damage, loss) = (Severity::Damage, Remedy::AcceptLoss);
            let mut complaint = Complaint::new(damage, Trouble::Run, loss, place, what);
            complaint.frames = Some(run.span.after.saturating_add(1)..=run.span.upto);
            complaint.keys = Some(KeySpan::ALL);
            self.say(complaint);
        }
    }

    /// A run that opens.
    fn run(&mut self, run: &Arc<Run>) -> Result<()> {
        let mut flaws = Vec::new();
        let mut note =
            |flaw: crate::run::Flaw<'_>| flaws.push((flaw.offset, flaw.code, flaw.what.to_owned()));
        let stat = run.check_all(&mut note, self.seen)?;
        self.diagnosis.records = self.diagnosis.records.saturating_add(stat.records);
        for range in run.ranges() {
            self.marked(range, Trouble::Lost);
        }
        if flaws.is_empty() {
            return Ok(());
        }
        let rebuilt = self.try_rebuild(run.head().number)?;
        for (offset, code, what) in flaws {
            self.flaw(run.head(), offset, code, &what, rebuilt.as_ref());
        }
        if let Some(rebuilt) = rebuilt {
            self.rebuilt(run.head(), &rebuilt);
        }
        Ok(())
    }

    fn flaw(
        &mut self,
        head: &RunHead,
        offset: u64,
        code: FindingCode,
        what: &str,
        rebuilt: Option<&Rebuilt>,
    ) {
        let (trouble, remedy) = match (code, rebuilt) {
            (_, None) => (Trouble::RunRecords, Remedy::Backup),
            (FindingCode::Record, Some(rebuilt)) if !rebuilt.marks.is_empty() => {
                (Trouble::RunRecords, Remedy::AcceptLoss)
            }
            (_, Some(_)) => (Trouble::RunStructure, Remedy::Repair),
        };
        let what = what.strip_prefix(&format!("at offset {offset}: ")).unwrap_or(what);
        let place = (Kind::Run.name(head.number), offset);
        let complaint = Complaint::new(Severity::Damage, trouble, remedy, place, what);
        self.say(complaint.beats(head.first_beat, head.last_beat));
    }

    /// What making a run anew would come to.
    fn rebuilt(&mut self, head: &RunHead, rebuilt: &Rebuilt) {
        let on_loss = if rebuilt.marks.is_empty() { OnLoss::Refuse } else { OnLoss::Mark };
        self.plan.rebuild.push((head.number, on_loss));
        for range in &rebuilt.marks {
            self.marked(range, Trouble::RunRecords);
        }
        if rebuilt.headers_lost > 0 {
            let what =
                format!("{} headers of earlier beats are lost; no view of these beats", rebuilt.headers_lost);
            let place = (Kind::Run.name(head.number), 0);
            let (damage, repair) = (Severity::Damage, Remedy::Repair);
            self.say(
                Complaint::new(damage, Trouble::RunStructure, repair, place, what)
                    .beats(head.first_beat, head.last_beat),
            );
        }
        if let Some(complaint) = self
            .diagnosis
            .complaints
            .iter_mut()
            .rev()
            .find(|complaint| complaint.trouble == Trouble::RunRecords && complaint.keys.is_some())
        {
            complaint.records = Some(rebuilt.records_lost);
        }
    }

    /// Keys over which something is lost.
    fn marked(&mut self, range: &RangeDelete, trouble: Trouble) {
        let RangeKind::Damaged { file, offset, what } = &range.kind else { return };
        let what = format!("{what}; reads of keys that nothing newer was written to fail");
        let mut complaint =
            Complaint::new(Severity::Damage, trouble, Remedy::AcceptLoss, (file.as_str(), *offset), what);
        complaint.keys = Some(KeySpan { start: range.start.clone(), end: range.end.clone() });
        self.say(complaint.beats(BeatNo(0), range.beat));
    }

    /// A run that can neither be read nor be made anew.
    fn unreadable(&mut self, number: u32, error: &Error, upto: u64) {
        self.plan.remove.push(number);
        let named = self.found.head.iter().flat_map(|head| &head.runs).find(|run| run.number == number);
        let span = named.map(|run| run.span);
        // Of one that the head does not name, replay says whether its frames are missed.
        let needless = span.is_none_or(|span| span.upto <= upto)
            && self.diagnosis.complaints.iter().all(|complaint| complaint.trouble != Trouble::Gap);
        let remedy = if needless { Remedy::Repair } else { Remedy::AcceptLoss };
        let what = format!("it can neither be read nor made anew: {}", error.context());
        let place = (Kind::Run.name(number), offset_of(error));
        let mut complaint = Complaint::new(Severity::Damage, Trouble::Run, remedy, place, what);
        complaint.frames = span.map(|span| span.after.saturating_add(1)..=span.upto);
        complaint.keys = (!needless).then_some(KeySpan::ALL);
        self.say(complaint);
    }
}

impl State {
    fn head(&self) -> RunHead {
        match self {
            Self::Opens(run) => *run.head(),
            Self::Broken(_, rebuilt) => rebuilt.head,
        }
    }
}
