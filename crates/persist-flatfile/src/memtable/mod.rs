//! The beats that no run holds yet, in memory: the bodies of their frames, as they were written, and ways to find records
//! in them.
//!
//! A commit only appends a body. Indexes are made when somebody reads, by that thread or by the maintenance thread, and
//! cover only what was appended since the last time. Nobody who reads waits for one who writes, nor the other way round.

mod appended;
mod buffers;
mod index;
mod order;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{BeatHeader, BeatNo};

use crate::cover::{Cover, Covering, Cut, Mark};
use crate::lost::Lost;
use crate::run::{Stored, hash};
use crate::timeline::{FrameSpan, Op, Ops};

use appended::Appended;
pub(crate) use buffers::{Buffers, LEAST, suits};
use index::Index;
use order::Order;
pub(crate) use order::{Chunk, prefix_of};

/// Where a record lies: the slot (counted from 1) in the high half, the offset in its body in the low half. The greater
/// of two is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    #[inline]
    fn new(slot: u32, offset: u32) -> Self {
        Self((u64::from(slot) + 1) << 32 | u64::from(offset))
    }

    #[inline]
    fn slot(self) -> u32 {
        u32::try_from((self.0 >> 32).wrapping_sub(1)).unwrap_or(u32::MAX)
    }

    #[inline]
    fn offset(self) -> usize {
        usize::try_from(self.0 & 0xffff_ffff).unwrap_or(usize::MAX)
    }
}

/// One beat.
pub(crate) struct Slot {
    pub(crate) header: BeatHeader,
    /// Holds the operations, encoded.
    bytes: Vec<u8>,
    /// Where they lie there.
    body: Range<usize>,
}

impl Slot {
    #[inline]
    fn body(&self) -> &[u8] {
        self.bytes.get(self.body.clone()).unwrap_or_default()
    }
}

/// What a reader may see of a table: records with a smaller place, and marks of beats up to `at`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) below: u64,
    pub(crate) at: BeatNo,
}

impl Sight {
    /// The slots before `slots`, which belong to beats up to `at`.
    pub(crate) fn slots(slots: u32, at: BeatNo) -> Self {
        Self { below: (u64::from(slots) + 1) << 32, at }
    }

    fn slot_count(self) -> u32 {
        u32::try_from((self.below >> 32).saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Whether a mark is to be seen.
    #[inline]
    pub(crate) fn sees(&self, mark: &Mark) -> bool {
        // Damage lies between two slots: behind everything of the one before.
        mark.beat <= self.at && (mark.order < self.below || mark.order >> 32 < self.below >> 32)
    }
}

/// What a table says about a key.
#[derive(Debug)]
pub(crate) enum Found<'t> {
    /// Nothing: older tables decide.
    Nothing,
    /// This is the newest.
    Record(Stored<'t>),
    /// It was deleted by a range.
    Covered,
    /// A beat that cannot be read may have written it.
    Damaged(Arc<Lost>),
}

/// Estimated bytes of a slot and of a record in sorted order besides the bytes of their frames. The hash index is counted
/// when it is made.
const SLOT_BYTES: u64 = 160;
const RECORD_BYTES: u64 = 16;
/// Marks that are looked at one by one before they are put in order.
const LOOSE_MARKS: u32 = 32;

/// A memtable.
#[derive(Default)]
pub(crate) struct Memtable {
    slots: Appended<Slot>,
    marks: Appended<Covering>,
    bytes: AtomicU64,
    /// The frame before the first one here.
    after: u64,
    index: Index,
    /// Slots that the index covers; changed by the holder of `indexing` only.
    indexed: AtomicU32,
    indexing: Mutex<()>,
    order: Mutex<Order>,
    /// The first marks in order, and how many they are.
    cover: Mutex<(u32, Arc<Cover>)>,
    has_lost: AtomicBool,
    /// The newest frame here.
    upto: AtomicU64,
    /// Where the bytes go when they are not needed any more.
    buffers: Arc<Buffers>,
}

impl Drop for Memtable {
    fn drop(&mut self) {
        self.slots.drain().for_each(|slot| {
            self.buffers.give(slot.bytes);
        });
    }
}

impl Memtable {
    /// An empty table for the frames after `after`.
    pub(crate) fn new(after: u64, buffers: &Arc<Buffers>) -> Self {
        let mut table = Self::default();
        (table.after, table.upto, table.buffers) = (after, AtomicU64::new(after), Arc::clone(buffers));
        table
    }

    /// Where the bytes of beats come from.
    pub(crate) fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// The frames that it holds.
    pub(crate) fn span(&self) -> FrameSpan {
        FrameSpan { after: self.after, upto: self.upto.load(Ordering::Acquire) }
    }

    /// Appends a beat, whose encoded operations are the part `body` of `bytes`. One thread at a time. `false` when the table can
    /// take no more beats.
    pub(crate) fn push(
        &self,
        header: BeatHeader,
        frame: u64,
        (bytes, body): (Vec<u8>, Range<usize>),
        ops: u64,
        may_have_ranges: bool,
    ) -> bool {
        let slot = Slot { header, bytes, body };
        let at = self.slots.len();
        if may_have_ranges {
            for (offset, op) in Ops::new(slot.body()) {
                if let Op::DeleteRange { start, end } = op {
                    let order = Place::new(at, u32::try_from(offset).unwrap_or(u32::MAX)).0;
                    let mark = Mark { order, beat: slot.header.beat, lost: None };
                    self.marks.push(Covering { start: Cut::start(start), end: Cut::end(end), mark });
                }
            }
        }
        let bytes = slot.bytes.capacity() as u64;
        let bytes = bytes.saturating_add(SLOT_BYTES).saturating_add(ops.saturating_mul(RECORD_BYTES));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.upto.fetch_max(frame, Ordering::AcqRel);
        self.slots.push(slot).is_some()
    }

    /// Notes that the frames behind the newest slot, up to `upto`, cannot be read.
    pub(crate) fn push_lost(&self, lost: Arc<Lost>, upto: u64) {
        let order = (u64::from(self.slots.len()) + 1) << 32;
        let mark = Mark { order: order.saturating_sub(1), beat: lost.beat, lost: Some(lost) };
        self.marks.push(Covering { start: Cut::Begin, end: Cut::End, mark });
        self.bytes.fetch_add(SLOT_BYTES, Ordering::Relaxed);
        self.has_lost.store(true, Ordering::Release);
        self.upto.fetch_max(upto, Ordering::AcqRel);
    }

    /// Whether any beat here is lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Acquire)
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// True if a reader sees neither a record nor a mark here.
    pub(crate) fn shows_nothing(&self, sight: Sight) -> bool {
        sight.slot_count() == 0 && !self.has_lost() || self.is_empty()
    }

    pub(crate) fn marks_len(&self) -> u32 {
        self.marks.len()
    }

    pub(crate) fn slots_len(&self) -> u32 {
        self.slots.len()
    }

    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        self.slots.range(0, u32::MAX).map(|(_, slot)| slot)
    }

    /// True if there is neither a beat nor damage.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == 0 && self.marks.len() == 0
    }

    /// How many slots belong to beats up to `beat`. Beats never go back.
    pub(crate) fn slots_upto(&self, beat: BeatNo) -> u32 {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.slots.get(middle).is_some_and(|slot| slot.header.beat <= beat) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The header of the newest of the first `slots` beats.
    pub(crate) fn header(&self, slots: u32) -> Option<BeatHeader> {
        Some(self.slots.get(slots.checked_sub(1)?)?.header)
    }

    #[inline]
    fn op_at(&self, place: Place) -> Option<Op<'_>> {
        Op::read(self.slots.get(place.slot())?.body(), place.offset()).ok().map(|(op, _)| op)
    }

    #[inline]
    fn key_at(&self, place: Place) -> &[u8] {
        match self.op_at(place) {
            Some(Op::Put { key, .. } | Op::PutLarge { key, .. } | Op::Delete { key }) => key,
            Some(Op::DeleteRange { .. }) | None => &[],
        }
    }

    /// The record at a place: its key, its beat and its content.
    #[inline]
    pub(crate) fn record_at(&self, place: Place) -> Option<(&[u8], BeatNo, Stored<'_>)> {
        let slot = self.slots.get(place.slot())?;
        let (key, stored) = match Op::read(slot.body(), place.offset()).ok()?.0 {
            Op::Put { key, value } => (key, Stored::Inline(value)),
            Op::PutLarge { key, payload } => (key, Stored::Large(payload)),
            Op::Delete { key } => (key, Stored::Deleted),
            Op::DeleteRange { .. } => return None,
        };
        Some((key, slot.header.beat, stored))
    }

    /// The records at some places. They lie all over the table's memory, so the processor has to wait for each; asking for
    /// all of them before any is used makes that one wait.
    pub(crate) fn records_at<'t>(
        &'t self,
        places: impl DoubleEndedIterator<Item = Place> + Clone,
        mut take: impl FnMut(Place, (&'t [u8], BeatNo, Stored<'t>)),
    ) {
        let byte = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or_default();
        let mut asked = 0;
        for place in places.clone() {
            asked ^= self.slots.get(place.slot()).map_or(0, |slot| byte(slot.body(), place.offset()));
        }
        for place in places {
            let Some(record) = self.record_at(place) else { continue };
            if let Stored::Inline(value) = record.2 {
                asked ^= byte(value, value.len() / 2) ^ byte(value, value.len().saturating_sub(1));
            }
            take(place, record);
        }
        std::hint::black_box(asked);
    }

    /// The records of some slots, oldest first: their places and keys.
    fn records(&self, from: u32, upto: u32) -> impl Iterator<Item = (Place, &[u8])> {
        self.slots.range(from, upto).flat_map(|(at, slot)| {
            Ops::new(slot.body()).filter_map(move |(offset, op)| {
                let place = Place::new(at, u32::try_from(offset).ok()?);
                match op {
                    Op::Put { key, .. } | Op::PutLarge { key, .. } | Op::Delete { key } => Some((place, key)),
                    Op::DeleteRange { .. } => None,
                }
            })
        })
    }

    /// Puts the slots before `upto` into the hash index.
    pub(crate) fn index_upto(&self, upto: u32) {
        // Of a table that gets no more beats, readers want all there are.
        let upto = upto.min(self.slots.len());
        if self.indexed.load(Ordering::Acquire) >= upto {
            return;
        }
        let _alone = self.indexing.lock();
        let from = self.indexed.load(Ordering::Acquire);
        for (place, key) in self.records(from, upto) {
            let took = self.index.add(hash(key), place);
            if took > 0 {
                self.bytes.fetch_add(took, Ordering::Relaxed);
            }
        }
        self.indexed.fetch_max(upto, Ordering::AcqRel);
    }

    /// Keeps others from adding to the index.
    #[cfg(test)]
    pub(crate) fn hold_indexing(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.indexing.lock()
    }

    /// Looks a key up.
    pub(crate) fn get(&self, key: &[u8], hash: u64, sight: Sight) -> Found<'_> {
        let record = self.newest(key, hash, sight);
        if self.marks.len() > 0
            && let Some(mark) = self.newest_mark(key, sight)
            && record.as_ref().is_none_or(|(place, ..)| place.0 < mark.order)
        {
            return mark.lost.map_or(Found::Covered, Found::Damaged);
        }
        record.map_or(Found::Nothing, |(.., stored)| Found::Record(stored))
    }

    /// The newest record of a key, whatever lies over it.
    #[inline]
    fn newest(&self, key: &[u8], hash: u64, sight: Sight) -> Option<(Place, BeatNo, Stored<'_>)> {
        self.index_upto(sight.slot_count());
        self.index.find(hash, |place| {
            if place.0 >= sight.below {
                return None;
            }
            let (found, beat, stored) = self.record_at(place)?;
            (found == key).then_some((place, beat, stored))
        })
    }

    /// The beat that wrote the newest record of a key.
    pub(crate) fn beat_of(&self, key: &[u8], hash: u64, sight: Sight) -> Option<BeatNo> {
        self.newest(key, hash, sight).map(|(_, beat, _)| beat)
    }

    /// The newest mark over a key.
    fn newest_mark(&self, key: &[u8], sight: Sight) -> Option<Mark> {
        let (ordered, cover) = self.cover(false);
        let loose = self.marks.range(ordered, u32::MAX).rev().map(|(_, covering)| covering);
        let mut loose = loose.filter(|covering| sight.sees(&covering.mark));
        let found = loose.find(|covering| covering.start.is_before(key) && !covering.end.is_before(key));
        found
            .map(|covering| covering.mark.clone())
            .or_else(|| cover.over(key).find(|mark| sight.sees(mark)).cloned())
    }

    /// The marks in order, and how many they are; with `whole` all of them.
    fn cover(&self, whole: bool) -> (u32, Arc<Cover>) {
        let mut cover = self.cover.lock();
        let all = self.marks.len();
        let allowed = if whole { 0 } else { LOOSE_MARKS.max(cover.0 / 8) };
        if all - cover.0.min(all) > allowed {
            let marks: Vec<Covering> =
                self.marks.range(0, all).map(|(_, covering)| covering.clone()).collect();
            *cover = (all, Arc::new(Cover::of(&marks, |order| order >> 32)));
        }
        cover.clone()
    }

    /// All marks in order.
    pub(crate) fn whole_cover(&self) -> Arc<Cover> {
        if self.marks.len() == 0 {
            return Arc::default();
        }
        self.cover(true).1
    }

    /// The marks as they came.
    pub(crate) fn coverings(&self) -> impl Iterator<Item = &Covering> {
        self.marks.range(0, u32::MAX).map(|(_, covering)| covering)
    }

    /// Sorted chunks that hold every record of the slots that are seen (and maybe newer ones), newest chunk first.
    pub(crate) fn chunks(&self, sight: Sight) -> Vec<Arc<Chunk>> {
        let mut order = self.order.lock();
        order.extend(self, sight.slot_count().min(self.slots.len()));
        order.chunks()
    }

    /// All records in one sorted chunk.
    pub(crate) fn sorted(&self) -> Arc<Chunk> {
        let mut order = self.order.lock();
        order.extend(self, self.slots.len());
        order.unite(self)
    }
}
