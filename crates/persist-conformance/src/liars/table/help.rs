//! What the lies have in common.

use std::ops::Bound;

use persist_api::{
    Beat, BeatHeader, BeatNo, CommitNo, Direction, Engine, Error, ErrorKind, KeyRange, Result, Scan, Value,
    View, Visit,
};

use crate::kit::Row;
use crate::liars::hooks::Ctx;
use crate::liars::wrap::LyingView;

/// Writes one table of liars.
macro_rules! liars {
    ($table:ident: $(
        $name:ident $broken:literal [$($by:literal)*] $base:ident { $($hook:ident: $lie:expr),+ $(,)? }
    )+) => {
        /// The liars of this topic.
        pub(super) static $table: &[crate::liars::Liar] = &[$(crate::liars::Liar {
            name: stringify!($name),
            broken: $broken,
            caught_by: &[$($by),*],
            base: crate::liars::Base::$base,
            hooks: crate::liars::hooks::Hooks {
                $($hook: $lie,)+
                ..crate::liars::table::help::$base
            },
        }),+];
    };
}

pub(super) use liars;

#[allow(non_upper_case_globals, reason = "the tables name the base as the enum does")]
pub(super) const Full: crate::liars::hooks::Hooks = crate::liars::hooks::HONEST;
#[allow(non_upper_case_globals, reason = "the tables name the base as the enum does")]
pub(super) const Bare: crate::liars::hooks::Hooks = crate::liars::hooks::BARE;

/// An error that a liar makes up.
pub(super) fn fault(kind: ErrorKind, op: &'static str) -> Error {
    Error::new(kind, op, "this engine says no for no good reason")
}

/// Changes the kind of an error.
pub(super) fn rekind<T>(result: Result<T>, from: ErrorKind, to: ErrorKind) -> Result<T> {
    result.map_err(
        |error| if error.kind() == from { Error::new(to, error.op(), error.context()) } else { error },
    )
}

/// Changes the verb of an error of one kind.
pub(super) fn reverb<T>(result: Result<T>, of: ErrorKind, op: &'static str) -> Result<T> {
    result.map_err(|error| {
        if error.kind() != of {
            return error;
        }
        let renamed = Error::new(error.kind(), op, error.context());
        match error.path() {
            Some(path) => renamed.with_path(path),
            None => renamed,
        }
    })
}

/// Takes the sentence out of an error of one kind.
pub(super) fn mute<T>(result: Result<T>, of: ErrorKind) -> Result<T> {
    result.map_err(|error| if error.kind() == of { Error::new(of, error.op(), "error") } else { error })
}

/// Takes the path out of an error of one kind.
pub(super) fn unplaced<T>(result: Result<T>, of: ErrorKind) -> Result<T> {
    result.map_err(
        |error| {
            if error.kind() == of { Error::new(of, error.op(), error.context()) } else { error }
        },
    )
}

/// Begins a beat, putting a header right that the rule lets pass.
pub(super) fn lenient<'e>(
    ctx: &Ctx,
    inner: &'e dyn Engine,
    header: BeatHeader,
    lets_pass: fn(&BeatHeader, &BeatHeader) -> bool,
) -> Result<Box<dyn Beat + 'e>> {
    let last = ctx.notes().newest;
    if !lets_pass(&last, &header) {
        return inner.begin_beat(header);
    }
    let first = last.first_commit.0.saturating_add(last.commits);
    inner.begin_beat(BeatHeader { beat: BeatNo(last.beat.0 + 1), first_commit: CommitNo(first), ..header })
}

/// The honest rows of a scan, without its limit.
pub(super) fn honest_rows(view: &dyn View, scan: &Scan<'_>) -> Result<Vec<Row>> {
    crate::kit::rows(view, Scan { limit: u64::MAX, keys_only: false, ..scan.clone() })
}

/// Scans with rows that a lie has changed.
pub(super) fn altered(
    view: &LyingView,
    scan: &Scan<'_>,
    visit: &mut Visit<'_>,
    lie: impl FnOnce(&mut Vec<Row>),
) -> Result<()> {
    let mut rows = honest_rows(view.inner(), scan)?;
    lie(&mut rows);
    emit(&rows, scan, visit);
    Ok(())
}

/// Visits rows as a scan would, under its limit.
pub(super) fn emit(rows: &[Row], scan: &Scan<'_>, visit: &mut Visit<'_>) {
    let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
    for (key, value) in rows.iter().take(limit) {
        if visit(key, if scan.keys_only { &[] } else { value }).is_break() {
            break;
        }
    }
}

/// An owned value, found.
#[allow(clippy::unnecessary_wraps, reason = "it stands where a read's result stands")]
pub(super) fn found<'v>(value: impl Into<Vec<u8>>) -> Result<Option<Value<'v>>> {
    Ok(Some(Value::owned(value.into())))
}

/// The kinds of both bounds: `i`ncluded, `e`xcluded, `u`nbounded.
pub(super) fn kinds(range: &KeyRange<'_>) -> (char, char) {
    (kind(range.start()), kind(range.end()))
}

fn kind(bound: Bound<&[u8]>) -> char {
    match bound {
        Bound::Included(_) => 'i',
        Bound::Excluded(_) => 'e',
        Bound::Unbounded => 'u',
    }
}

/// The key of a bound; empty where there is none.
pub(super) fn key_of(bound: Bound<&[u8]>) -> &[u8] {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    }
}

/// The same range with other kinds of bounds.
pub(super) fn with_kinds(range: &KeyRange<'_>, start: char, end: char) -> KeyRange<'static> {
    let make = |bound: Bound<&[u8]>, kind| match kind {
        'i' => Bound::Included(key_of(bound).to_vec()),
        'e' => Bound::Excluded(key_of(bound).to_vec()),
        _ => Bound::Unbounded,
    };
    KeyRange::owned(make(range.start(), start), make(range.end(), end))
}

/// True for the range that a prefix makes.
pub(super) fn is_prefix(range: &KeyRange<'_>) -> bool {
    matches!(range.start(), Bound::Included(start) if !start.is_empty() && *range == KeyRange::prefix(start))
}

/// True if a scan runs forwards.
pub(super) fn forward(scan: &Scan<'_>) -> bool {
    scan.direction == Direction::Forward
}

/// Scans another range than was asked for, where the lie says which.
pub(super) fn elsewhere(
    view: &LyingView,
    scan: Scan<'_>,
    visit: &mut Visit<'_>,
    lie: impl FnOnce(&Scan<'_>) -> Option<KeyRange<'static>>,
) -> Result<()> {
    match lie(&scan) {
        None => view.inner().scan(scan, visit),
        Some(range) => view.inner().scan(Scan { range, ..scan }, visit),
    }
}

/// The empty range.
pub(super) fn nothing() -> KeyRange<'static> {
    KeyRange::owned(Bound::Unbounded, Bound::Excluded(Vec::new()))
}

/// A digest of nothing in particular, for headers that gain a root.
pub(super) const ROOT: [u8; 32] = [0xBD; 32];
