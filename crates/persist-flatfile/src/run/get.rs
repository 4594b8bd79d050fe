//! Looks one key up in a run.

use persist_api::{BeatNo, Result};

use super::block::Kind;
use super::data::Found;
use super::filter::{may_hold, tag};
use super::reader::{GroupAt, Run};
use super::version::Version;

impl Run {
    /// The newest version of `key` at or below beat `at`; `hash` is [`hash`](super::hash) of the key. Range deletions are not considered.
    ///
    /// # Errors
    /// `Corrupt` when a block on the way does not verify.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], hash: u64, at: BeatNo) -> Result<Option<Version<'_>>> {
        let top = self.top()?;
        if top.count == 0 {
            return Ok(None);
        }
        let mut group = top.find(key, at).ok_or_else(|| self.malformed_top())?;
        let place = GroupAt::of(&top, group).ok_or_else(|| self.malformed_top())?;
        let filter_bit = self.group_bit(group);
        if !self.is_checked(filter_bit) {
            self.fetch(place.filter, place.index, place.index_len);
        }
        if !self.may_hold(&place, filter_bit, hash) {
            return Ok(None);
        }
        let mut index = self.index_at(&place, filter_bit)?;
        let mut child =
            index.fences.find(key, at).ok_or_else(|| self.malformed(index.offset, Kind::Index))?;
        if let Some((offset, len)) = index.child(child)
            && !self.is_checked(index.fences.first.wrapping_add(child as u64))
        {
            self.fetch(offset, offset, len);
        }
        loop {
            let data = self.data(&index, child)?;
            match data.find(key, tag(hash), at) {
                Some(Found::Hit(version)) => return Ok(Some(version)),
                Some(Found::Absent) => return Ok(None),
                Some(Found::TooNew) => {}
                None => return Err(self.malformed_data(&index, child)),
            }
            // Older versions may go on in the next block.
            child += 1;
            let goes_on = if child < index.fences.count {
                index.fences.continues(child, key).ok_or_else(|| self.malformed(index.offset, Kind::Index))?
            } else {
                (group, child) = (group + 1, 0);
                let goes_on =
                    group < top.count && top.continues(group, key).ok_or_else(|| self.malformed_top())?;
                if goes_on {
                    index = self.index(&top, group)?;
                }
                goes_on
            };
            if !goes_on {
                return Ok(None);
            }
        }
    }

    /// False if the filter of the group is sure. A filter that does not verify is not asked: it could only save work.
    #[inline]
    fn may_hold(&self, at: &GroupAt, bit: u64, hash: u64) -> bool {
        self.checked_payload(bit, at.filter, at.filter_len, Kind::Filter)
            .is_none_or(|lines| may_hold(lines, hash))
    }
}
