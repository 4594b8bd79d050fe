//! Scans of a transaction: the base and what is staged over it, in one order.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use persist_api::{Direction, KeyRange, Result, Scan};

use super::overlay::{Overlay, Rows, Staged};
use crate::StoreView;

pub(crate) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Scans and gives the part of the range that was looked at: all of it, or as far as the last row that was visited.
///
/// # Errors
/// Those of the view; rows visited before were right.
pub(crate) fn scan(
    base: &StoreView,
    own: &Overlay,
    scan: &Scan<'_>,
    visit: &mut Visit<'_>,
) -> Result<Option<KeyRange<'static>>> {
    if scan.range.is_empty() || scan.limit == 0 {
        return Ok(None);
    }
    let rows = own.rows(&scan.range, scan.direction).peekable();
    let mut merge = Merge { scan, left: scan.limit, rows, end: None, visit };
    let whole = Scan { range: scan.range.borrowed(), limit: u64::MAX, ..*scan };
    let read = base.scan(whole, |key, value| {
        merge.staged_before(key)?;
        match own.get(key) {
            // Visited with the staged rows, or deleted.
            Staged::Value(_) | Staged::Deleted => ControlFlow::Continue(()),
            Staged::AsBefore => merge.visit(key, value),
        }
    });
    read?;
    if merge.end.is_none() {
        let _ = merge.rest();
    }
    Ok(Some(looked_at(scan, merge.end)))
}

struct Merge<'m, 'o, 'v> {
    scan: &'m Scan<'m>,
    left: u64,
    rows: Peekable<Rows<'o>>,
    /// The key at which it ended early.
    end: Option<Vec<u8>>,
    visit: &'m mut Visit<'v>,
}

impl Merge<'_, '_, '_> {
    fn visit(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        let value = if self.scan.keys_only { &[] } else { value };
        self.left = self.left.saturating_sub(1);
        let flow = (self.visit)(key, value);
        if flow.is_break() || self.left == 0 {
            self.end = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Visits what is staged up to a key of the base, and at it.
    fn staged_before(&mut self, key: &[u8]) -> ControlFlow<()> {
        let not_beyond = |order: Ordering| match self.scan.direction {
            Direction::Forward => order.is_le(),
            Direction::Reverse => order.is_ge(),
        };
        while let Some((staged, value)) = self.rows.next_if(|(staged, _)| not_beyond((*staged).cmp(key))) {
            if let Some(value) = value {
                self.visit(staged, value)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn rest(&mut self) -> ControlFlow<()> {
        while let Some((staged, value)) = self.rows.next() {
            if let Some(value) = value {
                self.visit(staged, value)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// The part of a range up to the key where the scan ended.
fn looked_at(scan: &Scan<'_>, end: Option<Vec<u8>>) -> KeyRange<'static> {
    match (end, scan.direction) {
        (None, _) => scan.range.clone().into_owned(),
        (Some(end), Direction::Forward) => {
            KeyRange::new(scan.range.start(), Bound::Included(&end)).into_owned()
        }
        (Some(end), Direction::Reverse) => {
            KeyRange::new(Bound::Included(&end), scan.range.end()).into_owned()
        }
    }
}
