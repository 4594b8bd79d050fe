//! Key ranges and scans.

use std::borrow::Cow;
use std::ops::{Bound, RangeBounds};

/// An interval of keys in unsigned byte order. Empty and inverted intervals are ordinary and hold nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange<'k> {
    start: Bound<Cow<'k, [u8]>>,
    end: Bound<Cow<'k, [u8]>>,
}

impl<'k> KeyRange<'k> {
    /// Every key.
    #[must_use]
    pub const fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// The keys between two bounds.
    #[must_use]
    pub fn new(start: Bound<&'k [u8]>, end: Bound<&'k [u8]>) -> Self {
        Self { start: start.map(Cow::Borrowed), end: end.map(Cow::Borrowed) }
    }

    /// The keys of a Rust range, as `KeyRange::of::<[u8]>(b"a".as_slice()..b"b".as_slice())`.
    pub fn of<B: AsRef<[u8]> + ?Sized + 'k>(range: impl RangeBounds<&'k B>) -> Self {
        let cow = |bound: Bound<&&'k B>| bound.map(|key| Cow::Borrowed(AsRef::<[u8]>::as_ref(*key)));
        Self { start: cow(range.start_bound()), end: cow(range.end_bound()) }
    }

    /// The keys that begin with `prefix`. The empty prefix means every key.
    #[must_use]
    pub fn prefix(prefix: &'k [u8]) -> Self {
        if prefix.is_empty() {
            return Self::all();
        }
        let end = prefix_successor(prefix).map_or(Bound::Unbounded, |end| Bound::Excluded(Cow::Owned(end)));
        Self { start: Bound::Included(Cow::Borrowed(prefix)), end }
    }

    /// A range that owns its bounds.
    #[must_use]
    pub fn owned(start: Bound<Vec<u8>>, end: Bound<Vec<u8>>) -> KeyRange<'static> {
        KeyRange { start: start.map(Cow::Owned), end: end.map(Cow::Owned) }
    }

    /// The same range, borrowing its bounds.
    #[must_use]
    pub fn borrowed(&self) -> KeyRange<'_> {
        KeyRange::new(self.start(), self.end())
    }

    /// The same range, owning its bounds.
    #[must_use]
    pub fn into_owned(self) -> KeyRange<'static> {
        KeyRange::owned(self.start.map(Cow::into_owned), self.end.map(Cow::into_owned))
    }

    /// The lower bound.
    #[must_use]
    pub fn start(&self) -> Bound<&[u8]> {
        self.start.as_ref().map(AsRef::as_ref)
    }

    /// The upper bound.
    #[must_use]
    pub fn end(&self) -> Bound<&[u8]> {
        self.end.as_ref().map(AsRef::as_ref)
    }

    /// Both bounds, in the form that `BTreeMap::range` takes. Check [`is_empty`](Self::is_empty) first.
    #[must_use]
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.start(), self.end())
    }

    /// True if the key lies inside.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.is_before_start(key) && !self.is_after_end(key)
    }

    /// True if the key lies below the lower bound.
    #[must_use]
    pub fn is_before_start(&self, key: &[u8]) -> bool {
        match self.start() {
            Bound::Included(start) => key < start,
            Bound::Excluded(start) => key <= start,
            Bound::Unbounded => false,
        }
    }

    /// True if the key lies above the upper bound.
    #[must_use]
    pub fn is_after_end(&self, key: &[u8]) -> bool {
        match self.end() {
            Bound::Included(end) => key > end,
            Bound::Excluded(end) => key >= end,
            Bound::Unbounded => false,
        }
    }

    /// True if no key at all can lie inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (self.start(), self.end()) {
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Included(start), Bound::Excluded(end))
            | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
            // Between k and k followed by a zero byte there is nothing.
            (Bound::Excluded(start), Bound::Excluded(end)) => {
                start >= end || end.strip_prefix(start).is_some_and(|rest| rest == [0])
            }
            (_, Bound::Excluded(end)) => end.is_empty(),
            _ => false,
        }
    }
}

/// The smallest key greater than every key that begins with `prefix`; `None` if there is none, that is when the prefix
/// is empty or all `FF`.
#[must_use]
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let (at, byte) =
        prefix.iter().enumerate().rev().find_map(|(at, byte)| Some((at, byte.checked_add(1)?)))?;
    let mut end = prefix.get(..at)?.to_vec();
    end.push(byte);
    Some(end)
}

/// Which way a scan walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Ascending keys.
    #[default]
    Forward,
    /// Descending keys.
    Reverse,
}

/// What to scan: a range, a direction, how many rows at most, whether values are needed, and whether they will be again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan<'k> {
    /// The keys to visit.
    pub range: KeyRange<'k>,
    /// Ascending or descending.
    pub direction: Direction,
    /// At most so many rows; `u64::MAX` means all.
    pub limit: u64,
    /// Values may be left out: the visitor then gets an empty slice from engines that can save the work.
    pub keys_only: bool,
    /// Whether what is read may take the place of other things in the engine's cache. Without it a long scan that nobody repeats
    /// leaves the cache to those who come again. A hint: the rows are the same.
    pub fill_cache: bool,
}

impl<'k> Scan<'k> {
    /// Every record, ascending.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            range: KeyRange::all(),
            direction: Direction::Forward,
            limit: u64::MAX,
            keys_only: false,
            fill_cache: true,
        }
    }

    /// The records of a range, ascending.
    #[must_use]
    pub fn range(range: KeyRange<'k>) -> Self {
        Self { range, ..Scan::all() }
    }

    /// The records whose keys begin with `prefix`, ascending.
    #[must_use]
    pub fn prefix(prefix: &'k [u8]) -> Self {
        Self::range(KeyRange::prefix(prefix))
    }

    /// The same scan, descending.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.direction = Direction::Reverse;
        self
    }

    /// The same scan, ending after `limit` rows.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// The same scan, without values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// The same scan, which leaves the engine's cache as it is.
    #[must_use]
    pub fn without_fill_cache(mut self) -> Self {
        self.fill_cache = false;
        self
    }

    /// What is left of the scan at and beyond `key`, in its direction: where a cursor's `seek` starts. The limit counts
    /// anew.
    #[must_use]
    pub fn from<'s>(&'s self, key: &'s [u8]) -> Scan<'s> {
        let at = Bound::Included(key);
        let range = match self.direction {
            Direction::Forward if self.range.is_before_start(key) => self.range.borrowed(),
            Direction::Forward => KeyRange::new(at, self.range.end()),
            Direction::Reverse if self.range.is_after_end(key) => self.range.borrowed(),
            Direction::Reverse => KeyRange::new(self.range.start(), at),
        };
        Scan { range, ..*self }
    }
}
