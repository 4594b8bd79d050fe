//! Examines the home that a crash left: in a process of its own, so that an engine that dies on it is only a finding.

use std::io::BufRead as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use persist_api::{Caps, Durability, Engine, Error, ErrorKind, Probe, Quiet, Severity};

use super::child::{Subject, gone};
use super::plan::{Model, Rules};
use super::words::Word;

/// What a home is examined for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) home: PathBuf,
    /// The beat shown must be at least this, which was promised.
    pub(crate) floor: u64,
    /// And at least this, which an opening has shown as a durable one.
    pub(crate) found: u64,
    /// And at most this.
    pub(crate) ceiling: u64,
    /// Commit one more beat afterwards and find it again.
    pub(crate) extend: bool,
}

impl Question {
    pub(crate) fn line(&self) -> String {
        let Self { home, floor, found, ceiling, extend } = self;
        format!("{floor} {found} {ceiling} {} {}\n", u8::from(*extend), home.display())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.trim_end_matches('\n').splitn(5, ' ');
        Some(Self {
            floor: parts.next()?.parse().ok()?,
            found: parts.next()?.parse().ok()?,
            ceiling: parts.next()?.parse().ok()?,
            extend: parts.next()? == "1",
            home: parts.next()?.into(),
        })
    }
}

/// Answers questions from standard input until it ends.
pub(crate) fn serve(subject: &Subject<'_>, rules: Rules) -> Result<(), Error> {
    let mut model = Model::new(rules);
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(gone)?;
        let question = Question::parse(&line)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "child", format!("no question: {line}")))?;
        let answer = catch_unwind(AssertUnwindSafe(|| examine(subject, &mut model, &question)))
            .unwrap_or_else(|_| Err(bad("L-3", "the engine panicked".to_owned())));
        answer.unwrap_or_else(|word| word).say().map_err(gone)?;
    }
    Ok(())
}

fn bad(clause: &str, what: String) -> Word {
    Word::Bad(clause.to_owned(), what)
}

/// The whole examination. `Err` is an answer too, only an early one.
fn examine(subject: &Subject<'_>, model: &mut Model, question: &Question) -> Result<Word, Word> {
    match subject.driver.probe(&question.home) {
        Ok(Probe::Empty) if question.floor > 0 => {
            return Err(bad("D-2", format!("nothing is there; beat {} was promised", question.floor)));
        }
        Ok(Probe::Foreign { what }) => return Err(Word::Refused(format!("probed as foreign: {what}"))),
        Err(error) => return Err(Word::Refused(error.to_string())),
        Ok(_) => {}
    }
    let engine = subject.open(&question.home).map_err(|error| Word::Refused(error.to_string()))?;
    let shown = beat_of(engine.as_ref())?;
    if shown < question.floor {
        return Err(bad("D-2", format!("beat {shown} is the newest; {} was promised", question.floor)));
    }
    if shown < question.found {
        let what = format!("beat {shown} is the newest; an opening showed beat {}, durable", question.found);
        return Err(bad("D-7", what));
    }
    if shown > question.ceiling {
        return Err(bad("D-1", format!("beat {shown} was never begun; the last was {}", question.ceiling)));
    }
    whole(engine, model, shown, "after opening")?;
    whole(reopen(subject, &question.home)?, model, shown, "after opening again")?;
    if question.extend {
        extend(subject, model, &question.home)?;
    }
    Ok(Word::Fine(shown))
}

fn beat_of(engine: &dyn Engine) -> Result<u64, Word> {
    let view = engine.view().map_err(|error| bad("D-1", format!("no view: {error}")))?;
    Ok(view.header().beat.0)
}

fn reopen(subject: &Subject<'_>, home: &Path) -> Result<Box<dyn Engine>, Word> {
    subject.open(home).map_err(|error| bad("D-1", format!("does not open again: {error}")))
}

/// Header and records are those of beat `beat`, the engine's own checker agrees, and the store closes.
fn whole(engine: Box<dyn Engine>, model: &mut Model, beat: u64, when: &str) -> Result<(), Word> {
    let failed = |error: Error| bad("D-1", format!("{when}, beat {beat}: {error}"));
    model.go_to(beat).map_err(failed)?;
    let view = engine.view().map_err(failed)?;
    if let Some(difference) = model.difference(view.as_ref()).map_err(failed)? {
        return Err(bad("D-1", format!("{when}, beat {beat}: {difference}")));
    }
    drop(view);
    let mut damage = None;
    let mut note = |finding: persist_api::Finding| {
        if finding.severity == Severity::Damage {
            damage.get_or_insert(format!("{} [{}]", finding.what, finding.place));
        }
    };
    engine.verify(&mut note, &Quiet).map_err(failed)?;
    if let Some(damage) = damage {
        return Err(bad("D-1", format!("{when}, beat {beat}: verify reports damage: {damage}")));
    }
    engine.close().map_err(|(_, error)| failed(error))
}

/// What was recovered can be built upon: one more beat, found again by another open.
fn extend(subject: &Subject<'_>, model: &mut Model, home: &Path) -> Result<(), Word> {
    let engine = reopen(subject, home)?;
    let beat = model.header.beat.0.saturating_add(1);
    let failed = |error: Error| bad("D-1", format!("going on with beat {beat} after recovery: {error}"));
    let plan = model.rules.plan(beat);
    let durable = engine.offer().caps.contains(Caps::DURABLE);
    let level = if durable { Durability::Durable } else { Durability::Buffered };
    let mut header = model.header.next(plan.commits, plan.durability, plan.root).map_err(failed)?;
    header.durability = level;
    let mut open = engine.begin_beat(header).map_err(failed)?;
    for op in &plan.ops {
        op.apply(open.as_mut()).map_err(failed)?;
    }
    open.commit_beat().map_err(failed)?;
    engine.close().map_err(|(_, error)| failed(error))?;
    model.go_to(beat).map_err(failed)?;
    model.header.durability = level;
    let done = reopen(subject, home).and_then(|engine| whole(engine, model, beat, "after one more beat"));
    // The header was not that of the plan; the next question starts over.
    *model = Model::new(model.rules.clone());
    done
}
