//! Comparing both sides: all of it by digest before the fence, and what came after that record by record.

use std::collections::BTreeSet;
use std::ops::Bound;

use persist_api::{Error, ErrorKind, KeyRange, Observer, Result, Scan};

use super::pinned::Pinned;
use crate::digest::StoreDigest;
use crate::layers::show_key;
use crate::log::{BeatLog, Op};

/// Memory for what is to be compared. Beyond it a digest of everything is cheaper.
const BYTES_MAX: u64 = 64 << 20;
/// Memory of one key, beside its bytes.
const KEY_BYTES: u64 = 64;
/// Rows between two looks at the time.
const ROWS_PER_CHECK: u64 = 256;

/// What was changed since both sides were last found equal.
#[derive(Debug, Default)]
pub(super) struct Touched {
    keys: BTreeSet<Vec<u8>>,
    ranges: Vec<KeyRange<'static>>,
    bytes: u64,
}

impl Touched {
    /// Adds what a commit changed.
    pub(super) fn add(&mut self, log: &BeatLog) {
        for op in log.ops() {
            match op {
                Op::Put { key, .. } | Op::Delete { key } => {
                    if !self.keys.contains(key) {
                        self.bytes = self.bytes.saturating_add(key.len() as u64 + KEY_BYTES);
                        self.keys.insert(key.to_vec());
                    }
                }
                Op::DeleteRange { range } => {
                    let bound = |bound: Bound<&[u8]>| match bound {
                        Bound::Included(key) | Bound::Excluded(key) => key.len() as u64 + KEY_BYTES,
                        Bound::Unbounded => KEY_BYTES,
                    };
                    let bytes = bound(range.start()).saturating_add(bound(range.end()));
                    self.bytes = self.bytes.saturating_add(bytes);
                    self.ranges.push(range.into_owned());
                }
            }
        }
    }

    /// True when it takes more memory than it may.
    pub(super) const fn is_too_much(&self) -> bool {
        self.bytes > BYTES_MAX
    }

    /// How many keys and ranges.
    pub(super) fn len(&self) -> u64 {
        (self.keys.len() + self.ranges.len()) as u64
    }

    /// Compares it on both sides, which show the same commit, and forgets it. `check` is asked now and then.
    ///
    /// # Errors
    /// `Corrupt` naming the first key that differs; that of `check`.
    pub(super) fn compare(
        &mut self,
        source: &Pinned,
        target: &Pinned,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        for (done, key) in (0_u64..).zip(&self.keys) {
            if done.is_multiple_of(ROWS_PER_CHECK) {
                check()?;
            }
            if source.get(key)?.as_deref() != target.get(key)?.as_deref() {
                return Err(differs(key));
            }
        }
        for range in &self.ranges {
            compare_range(source, target, range, check)?;
        }
        *self = Self::default();
        Ok(())
    }
}

/// Compares a range on both sides. `check` is asked now and then.
///
/// # Errors
/// `Corrupt` naming the first key that differs; that of `check`.
fn compare_range(
    source: &Pinned,
    target: &Pinned,
    range: &KeyRange<'_>,
    check: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let scan = || Scan { range: range.borrowed(), ..Scan::all().without_fill_cache() };
    let (mut ours, mut theirs) = (source.cursor(&scan())?, target.cursor(&scan())?);
    for done in 0_u64.. {
        if done.is_multiple_of(ROWS_PER_CHECK) {
            check()?;
        }
        match (ours.advance()?, theirs.advance()?) {
            (false, false) => return Ok(()),
            (true, true) if ours.key() == theirs.key() && ours.value() == theirs.value() => {}
            (true, false) => return Err(differs(ours.key())),
            (false, true) => return Err(differs(theirs.key())),
            (true, true) => return Err(differs(ours.key().min(theirs.key()))),
        }
    }
    Ok(())
}

/// The digest that both sides have, which show the same commit.
///
/// # Errors
/// `Corrupt` naming the first key that differs; `Cancelled`, `Io`.
pub(super) fn same_digest(source: &Pinned, target: &Pinned, seen: &dyn Observer) -> Result<StoreDigest> {
    let ours = digest(source, "digest of the source", seen)?;
    let theirs = digest(target, "digest of the target", seen)?;
    if ours == theirs {
        return Ok(ours);
    }
    compare_range(source, target, &KeyRange::all(), &|| Ok(()))?;
    let context = format!("the digests differ: {ours} at the source, {theirs} at the target");
    Err(Error::new(ErrorKind::Corrupt, "swap", context))
}

fn digest(view: &Pinned, phase: &'static str, seen: &dyn Observer) -> Result<StoreDigest> {
    crate::digest::of_rows(seen, ("swap", phase), |visit| view.scan(&Scan::all().without_fill_cache(), visit))
}

/// Checks that both show the same commit.
pub(super) fn at_the_same_commit(source: &Pinned, target: &Pinned) -> Result<()> {
    let (ours, theirs) = (source.header().last_commit(), target.header().last_commit());
    if ours == theirs {
        return Ok(());
    }
    let context = format!("the target is at commit {theirs}, the source at {ours}");
    Err(Error::new(ErrorKind::Corrupt, "swap", context))
}

fn differs(key: &[u8]) -> Error {
    let context =
        format!("source and target differ at {}; the source stays the store, abort the swap", show_key(key));
    Error::new(ErrorKind::Corrupt, "swap", context)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
    use persist_memory::MemoryDriver;

    use super::*;
    use crate::layers::user_key;

    #[test]
    fn a_range_of_many_rows_is_not_compared_in_one_breath() {
        let engine = MemoryDriver::new().open(Path::new("one"), &OpenOptions::default(), &Quiet).unwrap();
        let header = BeatHeader::default().next(1, Durability::Volatile, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        for n in 0..3000_u32 {
            beat.put_record(user_key(&n.to_be_bytes(), &mut Vec::new()), b"value").unwrap();
        }
        beat.commit_beat().unwrap();
        let view = || Pinned::new(engine.view().unwrap());
        let mut log = BeatLog::new();
        log.delete_range(&KeyRange::all()).unwrap();
        let mut touched = Touched::default();
        touched.add(&log);
        let looks = Cell::new(0);
        let check = || {
            looks.set(looks.get() + 1);
            Ok(())
        };
        touched.compare(&view(), &view(), &check).unwrap();
        assert!(looks.get() > 3000 / ROWS_PER_CHECK, "{}", looks.get());
        // The bounds of ranges take memory too.
        let long = vec![7; 1 << 20];
        let mut log = BeatLog::new();
        log.delete_range(&KeyRange::prefix(&long)).unwrap();
        (0..40).for_each(|_| touched.add(&log));
        assert!(touched.is_too_much());
    }
}
