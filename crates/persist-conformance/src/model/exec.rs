//! Runs a sequence on two engines and compares every answer.

use std::collections::BTreeMap;

use persist_api::{
    Beat, BeatHeader, BeatNo, Caps, CompactScope, Cursor, Driver as _, Durability, Engine, Error, ErrorKind,
    KeyRange, OpenOptions, Quiet, Value, View,
};
use persist_memory::MemoryDriver;

use super::step::{End, Move, ScanSpec, Step, borrowed, value};
use crate::cases::history::WINDOW;
use crate::kit::{Stand, cursor_rows, level, rows};
use crate::{CaseResult, Failure, Fixture, check, check_eq};

/// Most views that are kept.
const VIEWS: usize = 4;

/// A view of the engine and the same of the reference.
type Pair = (Box<dyn View>, Box<dyn View>);

struct Run<'r> {
    at: Stand<'r>,
    /// The reference at every beat.
    past: BTreeMap<u64, Box<dyn View>>,
    /// The earliest beat that must be there: `compact` gives up those before its newest.
    compacted: u64,
    steps: &'r [Step],
    next: usize,
    views: Vec<Pair>,
    backups: usize,
}

/// Runs the steps.
pub(super) fn run(fixture: &dyn Fixture, steps: &[Step]) -> CaseResult {
    let at = Stand::new(fixture);
    let options = OpenOptions { views_max: Some(u64::MAX), ..OpenOptions::default() };
    let reference = MemoryDriver::new().open("reference".as_ref(), &options, &Quiet)?;
    let past = BTreeMap::from([(0, reference.view()?)]);
    let (views, backups) = (Vec::new(), 0);
    let mut run = Run { at, past, compacted: 0, steps, next: 0, views, backups };
    while run.next < run.steps.len() {
        run.session(&*reference)?;
    }
    Ok(())
}

/// The same outcome: both well, or both refused for the same reason.
#[track_caller]
fn same<T>(what: &str, own: Result<T, Error>, other: Result<T, Error>) -> Result<Option<(T, T)>, Failure> {
    match (own, other) {
        (Ok(own), Ok(other)) => Ok(Some((own, other))),
        (Err(own), Err(other)) if own.kind() == other.kind() => Ok(None),
        (own, other) => Err(Failure::new(format!(
            "{what}: the engine says {}, the reference {}",
            said(own.err()),
            said(other.err())
        ))),
    }
}

fn said(error: Option<Error>) -> String {
    error.map_or_else(|| "yes".to_owned(), |error| error.to_string())
}

/// Headers, but for the durability, which the reference has none of.
fn plain(header: &BeatHeader) -> BeatHeader {
    BeatHeader { durability: Durability::Volatile, ..*header }
}

impl<'r> Run<'r> {
    fn peek_step(&self) -> Option<&'r Step> {
        self.steps.get(self.next)
    }

    /// From one opening to the next.
    fn session(&mut self, reference: &dyn Engine) -> CaseResult {
        let own = self.at.open()?;
        while let Some(step) = self.peek_step() {
            match step {
                Step::Reopen => {
                    self.next += 1;
                    break;
                }
                Step::Put { .. }
                | Step::Delete(_)
                | Step::Range(..)
                | Step::Peek(_)
                | Step::Poison
                | Step::End(_) => {
                    self.beat(&*own, reference)?;
                }
                step => {
                    self.next += 1;
                    self.outside(step, &*own, reference, false)?;
                }
            }
        }
        self.views.clear();
        own.close().map_err(|(_, error)| error)?;
        Ok(())
    }

    /// From the first operation of a beat to its end.
    fn beat(&mut self, own: &dyn Engine, reference: &dyn Engine) -> CaseResult {
        let last = *own.view()?.header();
        check_eq!(plain(&last), plain(reference.view()?.header()), "the newest header");
        let header = last.next(1, level(own), None)?;
        let (mut one, mut two) = (own.begin_beat(header)?, reference.begin_beat(plain(&header))?);
        while let Some(step) = self.peek_step() {
            match step {
                Step::Reopen => return Ok(()),
                Step::End(end) => {
                    self.next += 1;
                    finish(*end, own, one, two)?;
                    let view = reference.view()?;
                    self.past.insert(view.header().beat.0, view);
                    return Ok(());
                }
                step => {
                    self.next += 1;
                    if !operation(step, &mut *one, &mut *two)? {
                        self.outside(step, own, reference, true)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A step that belongs to no beat, though one may be open.
    fn outside(
        &mut self,
        step: &Step,
        own: &dyn Engine,
        reference: &dyn Engine,
        in_beat: bool,
    ) -> CaseResult {
        let caps = own.offer().caps;
        match step {
            Step::View => {
                if self.views.len() == VIEWS {
                    self.views.remove(0);
                }
                let pair = (own.view()?, reference.view()?);
                check_eq!(plain(pair.0.header()), plain(pair.1.header()), "the header of a new view");
                self.views.push(pair);
            }
            Step::Drop(slot) if *slot < self.views.len() => drop(self.views.remove(*slot)),
            Step::Get(slot, key) => self.with(*slot, |own, reference| get(own, reference, key))?,
            Step::Scan(slot, spec) => self.with(*slot, |own, reference| scan(own, reference, spec))?,
            Step::Cursor(slot, spec, moves) => {
                self.with(*slot, |own, reference| cursor(own, reference, spec, moves))?;
            }
            Step::Compare(slot) => self.with(*slot, compare)?,
            Step::Checkpoint if caps.contains(Caps::CHECKPOINT) && !in_beat => drop(own.checkpoint()?),
            Step::Compact if caps.contains(Caps::COMPACTION) && !in_beat => {
                match own.compact(CompactScope::default(), &Quiet) {
                    Ok(_) => self.compacted = own.view()?.header().beat.0,
                    Err(error) => {
                        let fair = error.kind() == ErrorKind::Busy && !self.views.is_empty();
                        check!(fair, "compact: {error}");
                    }
                }
            }
            Step::Backup if caps.contains(Caps::BACKUP) => {
                self.backups += 1;
                let into = self.at.home.beside(&format!("backup-{}", self.backups));
                own.backup(&into, &Quiet)?;
                compare(&*self.at.open_at(&into)?.view()?, &*reference.view()?)?;
            }
            Step::Verify => {
                let (one, two) = (own.verify(&mut |_| (), &Quiet)?, reference.verify(&mut |_| (), &Quiet)?);
                check_eq!(
                    (one.records, one.bytes, one.damaged),
                    (two.records, two.bytes, 0),
                    "what verify counts"
                );
            }
            Step::Past(back) if caps.contains(Caps::HISTORY) => self.compare_past(own, *back)?,
            _ => {}
        }
        Ok(())
    }

    fn compare_past(&self, own: &dyn Engine, back: u64) -> CaseResult {
        let newest = own.view()?.header().beat.0;
        let beat = newest.saturating_sub(back);
        match own.view_at(BeatNo(beat)) {
            Ok(view) => self.past.get(&beat).map_or(Ok(()), |reference| compare(&*view, &**reference)),
            Err(error) => {
                let may_be_gone = beat < self.compacted || back > WINDOW || beat == 0;
                check!(error.kind() == ErrorKind::Stale && may_be_gone, "beat {beat} of {newest}: {error}");
                Ok(())
            }
        }
    }

    fn with(&self, slot: usize, work: impl FnOnce(&dyn View, &dyn View) -> CaseResult) -> CaseResult {
        self.views.get(slot).map_or(Ok(()), |(own, reference)| work(&**own, &**reference))
    }
}

/// An operation of a beat; false if the step is none.
fn operation(step: &Step, one: &mut dyn Beat, two: &mut dyn Beat) -> Result<bool, Failure> {
    match step {
        Step::Put { key, length, seed } => {
            let value = value(*length, *seed);
            same("put", one.put_record(key, &value), two.put_record(key, &value))?;
        }
        Step::Delete(key) => {
            same("delete", one.delete_record(key), two.delete_record(key))?;
        }
        Step::Range(start, end) => {
            let range = || KeyRange::new(borrowed(start), borrowed(end));
            same("delete of a range", one.delete_range(range()), two.delete_range(range()))?;
        }
        Step::Poison => {
            same("a put without key", one.put_record(&[], &[]), two.put_record(&[], &[]))?;
        }
        Step::Peek(key) => {
            if let Some((own, reference)) = same("peek", one.peek_record(key), two.peek_record(key))? {
                check_eq!(bytes(own), bytes(reference), "what peek sees of {}", key.escape_ascii());
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn bytes(value: Option<Value<'_>>) -> Option<Vec<u8>> {
    value.map(Value::into_vec)
}

fn finish(end: End, own: &dyn Engine, one: Box<dyn Beat + '_>, two: Box<dyn Beat + '_>) -> CaseResult {
    match end {
        End::Abort => {
            one.abort_beat();
            two.abort_beat();
        }
        End::Drop => drop((one, two)),
        End::Commit | End::Durable => {
            let both = same("commit", one.commit_beat(), two.commit_beat())?;
            if let Some((own, reference)) = both {
                check_eq!(plain(&own.header), plain(&reference.header), "the header of the receipt");
            }
            if end == End::Durable && own.offer().caps.contains(Caps::DURABLE) {
                own.sync()?;
            }
        }
    }
    Ok(())
}

fn get(own: &dyn View, reference: &dyn View, key: &[u8]) -> CaseResult {
    let found = (bytes(own.get_record(key)?), bytes(reference.get_record(key)?));
    check_eq!(found.0, found.1, "record {}", key.escape_ascii());
    Ok(())
}

fn scan(own: &dyn View, reference: &dyn View, spec: &ScanSpec) -> CaseResult {
    let (mut one, two) = (rows(own, spec.scan())?, rows(reference, spec.scan())?);
    if spec.keys_only {
        // Values may be left out or right; the reference leaves them out.
        for (key, value) in &mut one {
            let right = value.is_empty() || reference.get_record(key)?.as_deref() == Some(&**value);
            check!(right, "a wrong value in a scan without, at {}", key.escape_ascii());
            value.clear();
        }
    }
    check_eq!(one, two, "rows of scan {spec}");
    Ok(())
}

fn cursor(own: &dyn View, reference: &dyn View, spec: &ScanSpec, moves: &[Move]) -> CaseResult {
    let (mut one, mut two) = (own.cursor(spec.scan())?, reference.cursor(spec.scan())?);
    let at = |cursor: &dyn Cursor| (cursor.key().to_vec(), cursor.value().to_vec());
    for (turn, step) in moves.iter().enumerate() {
        let found = match step {
            Move::Advance => (one.advance()?, two.advance()?),
            Move::Seek(key) => (one.seek(key)?, two.seek(key)?),
        };
        check_eq!(found.0, found.1, "whether move {turn} of cursor {spec} finds a row");
        let (mut own, reference) = (at(&*one), at(&*two));
        if spec.keys_only {
            own.1.clear();
        }
        check_eq!(own, reference, "the row after move {turn} of cursor {spec}");
    }
    Ok(())
}

/// Everything that a view shows.
fn compare(own: &dyn View, reference: &dyn View) -> CaseResult {
    use persist_api::Scan;
    check_eq!(plain(own.header()), plain(reference.header()), "the header");
    let expected = rows(reference, Scan::all())?;
    check_eq!(rows(own, Scan::all())?, expected, "all rows");
    check_eq!(cursor_rows(own, Scan::all())?, expected, "all rows of a cursor");
    for (key, value) in &expected {
        check_eq!(bytes(own.get_record(key)?).as_ref(), Some(value), "record {}", key.escape_ascii());
    }
    let mut back = rows(own, Scan::all().reverse())?;
    back.reverse();
    check_eq!(back, expected, "all rows backwards");
    Ok(())
}
