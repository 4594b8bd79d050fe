//! A place among the data blocks of a run, and the steps to its neighbours.

use persist_api::{BeatNo, Result};

use super::block::Kind;
use super::data::DataBlock;
use super::reader::{Index, Run};

/// A data block and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Place<'r> {
    group: usize,
    child: usize,
    pub(super) index: Index<'r>,
    pub(super) data: DataBlock<'r>,
}

impl<'r> Place<'r> {
    fn in_group(run: &'r Run, group: usize, child: impl FnOnce(&Index<'r>) -> Option<usize>) -> Result<Self> {
        let index = run.index(&run.top()?, group)?;
        let child = child(&index).ok_or_else(|| run.malformed(index.offset, Kind::Index))?;
        Ok(Self { group, child, index, data: run.data(&index, child)? })
    }

    /// The first data block; `None` in an empty run.
    pub(super) fn first(run: &'r Run) -> Result<Option<Self>> {
        if run.top()?.count == 0 {
            return Ok(None);
        }
        Self::in_group(run, 0, |_| Some(0)).map(Some)
    }

    /// The last data block; `None` in an empty run.
    pub(super) fn last(run: &'r Run) -> Result<Option<Self>> {
        let Some(group) = run.top()?.count.checked_sub(1) else { return Ok(None) };
        Self::in_group(run, group, |index| index.fences.count.checked_sub(1)).map(Some)
    }

    /// The last data block whose fence is not behind `key` at `at`; `None` in an empty run.
    pub(super) fn find(run: &'r Run, key: &[u8], at: BeatNo) -> Result<Option<Self>> {
        let top = run.top()?;
        if top.count == 0 {
            return Ok(None);
        }
        let group = top.find(key, at).ok_or_else(|| run.malformed_top())?;
        Self::in_group(run, group, |index| index.fences.find(key, at)).map(Some)
    }

    /// The next data block; `None` behind the last.
    pub(super) fn next(&self, run: &'r Run) -> Result<Option<Self>> {
        let child = self.child.saturating_add(1);
        if child < self.index.fences.count {
            return Ok(Some(Self { child, data: run.data(&self.index, child)?, ..*self }));
        }
        let group = self.group.saturating_add(1);
        if group >= run.top()?.count {
            return Ok(None);
        }
        Self::in_group(run, group, |_| Some(0)).map(Some)
    }

    /// The data block before; `None` before the first.
    pub(super) fn back(&self, run: &'r Run) -> Result<Option<Self>> {
        if let Some(child) = self.child.checked_sub(1) {
            return Ok(Some(Self { child, data: run.data(&self.index, child)?, ..*self }));
        }
        let Some(group) = self.group.checked_sub(1) else { return Ok(None) };
        Self::in_group(run, group, |index| index.fences.count.checked_sub(1)).map(Some)
    }

    /// The error for a record that does not decode.
    #[cold]
    pub(super) fn malformed(&self, run: &Run) -> persist_api::Error {
        run.malformed_data(&self.index, self.child)
    }
}
