//! What range deletes and damaged beats lie over which keys.
//!
//! The ranges are cut into fragments that do not overlap; each fragment knows the marks that lie over all of its keys,
//! newest first. Looking up a key is one binary search.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use persist_api::BeatNo;

use crate::lost::Lost;

/// Where a fragment begins: before or after a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut {
    /// Before every key.
    Begin,
    /// Before (false) or right after (true) this key.
    At(Vec<u8>, bool),
    /// After every key.
    End,
}

impl Cut {
    /// The cut at the lower bound of a range.
    pub(crate) fn start(bound: Bound<&[u8]>) -> Self {
        match bound {
            Bound::Unbounded => Self::Begin,
            Bound::Included(key) => Self::At(key.to_vec(), false),
            Bound::Excluded(key) => Self::At(key.to_vec(), true),
        }
    }

    /// The cut at the upper bound of a range.
    pub(crate) fn end(bound: Bound<&[u8]>) -> Self {
        match bound {
            Bound::Unbounded => Self::End,
            Bound::Included(key) => Self::At(key.to_vec(), true),
            Bound::Excluded(key) => Self::At(key.to_vec(), false),
        }
    }

    /// Whether the cut lies before `key`, so that the key belongs to what begins here.
    pub(crate) fn is_before(&self, key: &[u8]) -> bool {
        match self {
            Self::Begin => true,
            Self::At(at, after) => match at.as_slice().cmp(key) {
                Ordering::Less => true,
                Ordering::Equal => !after,
                Ordering::Greater => false,
            },
            Self::End => false,
        }
    }

    /// The cut as the lower bound of a range; `None` after every key.
    pub(crate) fn as_start(&self) -> Option<Bound<&[u8]>> {
        match self {
            Self::Begin => Some(Bound::Unbounded),
            Self::At(key, false) => Some(Bound::Included(key)),
            Self::At(key, true) => Some(Bound::Excluded(key)),
            Self::End => None,
        }
    }

    /// The cut as the upper bound of a range; `None` before every key.
    pub(crate) fn as_end(&self) -> Option<Bound<&[u8]>> {
        match self {
            Self::Begin => None,
            Self::At(key, false) => Some(Bound::Excluded(key)),
            Self::At(key, true) => Some(Bound::Included(key)),
            Self::End => Some(Bound::Unbounded),
        }
    }
}

/// A range delete, or a beat that cannot be read: what is older than it is not shown.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Its place among the versions of its table: those with a smaller number are older.
    pub(crate) order: u64,
    /// Its beat.
    pub(crate) beat: BeatNo,
    /// What could not be read; `None` for a range delete.
    pub(crate) lost: Option<Arc<Lost>>,
}

/// A mark and the keys that it covers.
#[derive(Debug, Clone)]
pub(crate) struct Covering {
    pub(crate) start: Cut,
    pub(crate) end: Cut,
    pub(crate) mark: Mark,
}

/// Marks by key.
#[derive(Debug, Default)]
pub(crate) struct Cover {
    /// Ascending; the first fragment begins at the first cut, the last cut ends the last fragment.
    cuts: Vec<Cut>,
    /// One list for each fragment, newest first.
    marks: Vec<Vec<Mark>>,
}

impl Cover {
    /// Puts marks in order. Of several deletes of one step over the same keys only the newest is kept; `step` says which orders
    /// no reader can tell apart. So the memory depends on the steps, however many deletes each of them has.
    pub(crate) fn of(ranges: &[Covering], step: impl Fn(u64) -> u64) -> Self {
        let ranges = || ranges.iter().filter(|range| range.start < range.end);
        let mut begins: Vec<&Covering> = ranges().collect();
        let mut ends = begins.clone();
        begins.sort_by(|one, two| one.start.cmp(&two.start));
        ends.sort_by(|one, two| one.end.cmp(&two.end));
        let mut cuts: Vec<Cut> =
            ranges().flat_map(|range| [range.start.clone(), range.end.clone()]).collect();
        cuts.sort();
        cuts.dedup();
        cuts.shrink_to_fit();
        let (mut begins, mut ends) = (begins.into_iter().peekable(), ends.into_iter().peekable());
        let mut open = Open::default();
        let fragments = cuts.len().saturating_sub(1);
        let mut marks = Vec::with_capacity(fragments);
        for cut in cuts.iter().take(fragments) {
            while let Some(range) = ends.next_if(|range| range.end <= *cut) {
                open.end(&range.mark, step(range.mark.order));
            }
            while let Some(range) = begins.next_if(|range| range.start <= *cut) {
                open.begin(&range.mark, step(range.mark.order));
            }
            marks.push(open.marks());
        }
        Self { cuts, marks }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The marks over `key`, newest first.
    #[inline]
    pub(crate) fn over(&self, key: &[u8]) -> &[Mark] {
        let after = self.cuts.partition_point(|cut| cut.is_before(key));
        self.list(after)
    }

    /// The marks over the keys right behind a cut, newest first.
    pub(crate) fn at(&self, cut: &Cut) -> &[Mark] {
        self.list(self.cuts.partition_point(|other| other <= cut))
    }

    /// Where the fragments begin and end.
    pub(crate) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    fn list(&self, after: usize) -> &[Mark] {
        after.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(&[], Vec::as_slice)
    }

    /// The fragments with their marks, in order of keys.
    pub(crate) fn fragments(&self) -> impl Iterator<Item = (&Cut, &Cut, &[Mark])> {
        self.cuts
            .windows(2)
            .zip(&self.marks)
            .filter_map(|(cuts, marks)| Some((cuts.first()?, cuts.get(1)?, marks.as_slice())))
    }
}

/// The marks over the keys that a sweep has come to.
#[derive(Default)]
struct Open<'m> {
    /// Deletes by step and order, with how many there are of each.
    deletes: BTreeMap<u64, BTreeMap<u64, (&'m Mark, usize)>>,
    /// What is lost. These are few.
    lost: Vec<&'m Mark>,
}

impl<'m> Open<'m> {
    fn begin(&mut self, mark: &'m Mark, step: u64) {
        if mark.lost.is_some() {
            self.lost.push(mark);
        } else {
            self.deletes.entry(step).or_default().entry(mark.order).or_insert((mark, 0)).1 += 1;
        }
    }

    fn end(&mut self, mark: &'m Mark, step: u64) {
        if mark.lost.is_some() {
            self.lost.retain(|other| !std::ptr::eq(*other, mark));
            return;
        }
        let Some(of_step) = self.deletes.get_mut(&step) else { return };
        if let Some((_, count)) = of_step.get_mut(&mark.order) {
            *count -= 1;
            if *count == 0 {
                of_step.remove(&mark.order);
            }
        }
        if of_step.is_empty() {
            self.deletes.remove(&step);
        }
    }

    /// The newest delete of each step and all that is lost, newest first.
    fn marks(&self) -> Vec<Mark> {
        let newest = self.deletes.values().filter_map(|of_step| Some(of_step.last_key_value()?.1.0));
        let mut marks = Vec::with_capacity(self.deletes.len().saturating_add(self.lost.len()));
        marks.extend(newest.chain(self.lost.iter().copied()).cloned());
        // What is lost of a beat may be newer than what the beat deleted.
        marks.sort_by_key(|mark: &Mark| std::cmp::Reverse((mark.order, mark.lost.is_some())));
        marks
    }
}

/// A cover looked at by somebody who goes from key to neighbouring key.
#[derive(Debug, Clone)]
pub(crate) struct CoverCursor {
    cover: Arc<Cover>,
    /// Cuts before the last key.
    after: usize,
}

impl CoverCursor {
    pub(crate) fn new(cover: Arc<Cover>) -> Self {
        Self { cover, after: 0 }
    }

    /// The marks over `key`, newest first.
    pub(crate) fn over(&mut self, key: &[u8]) -> &[Mark] {
        let cuts = &self.cover.cuts;
        let here =
            self.after.checked_sub(1).is_none_or(|at| cuts.get(at).is_some_and(|cut| cut.is_before(key)))
                && cuts.get(self.after).is_none_or(|cut| !cut.is_before(key));
        if !here {
            self.after = cuts.partition_point(|cut| cut.is_before(key));
        }
        self.cover.list(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covering(start: Bound<&[u8]>, end: Bound<&[u8]>, order: u64) -> Covering {
        Covering {
            start: Cut::start(start),
            end: Cut::end(end),
            mark: Mark { order, beat: BeatNo(order), lost: None },
        }
    }

    #[test]
    fn every_key_finds_the_ranges_that_hold_it() {
        use Bound::{Excluded, Included, Unbounded};
        let bounds = |key: &'static [u8]| [Included(key), Excluded(key)];
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"b", b"c", b"cc"];
        let mut starts = vec![Unbounded];
        starts.extend(keys.iter().flat_map(|key| bounds(key)));
        let ranges: Vec<_> =
            starts.iter().flat_map(|start| starts.iter().map(move |end| (*start, *end))).collect();
        let coverings: Vec<Covering> =
            ranges.iter().zip(1..).map(|((start, end), order)| covering(*start, *end, order)).collect();
        let cover = Cover::of(&coverings, |order| order);
        let cover = Arc::new(cover);
        let mut cursor = CoverCursor::new(Arc::clone(&cover));
        for key in keys.iter().chain(keys.iter().rev()) {
            let mut wanted: Vec<u64> = (1..)
                .zip(&ranges)
                .filter(|(_, (start, end))| persist_api::KeyRange::new(*start, *end).contains(key))
                .map(|(order, _)| order)
                .collect();
            wanted.reverse();
            let found: Vec<u64> = cover.over(key).iter().map(|mark| mark.order).collect();
            assert_eq!(found, wanted, "{key:?}");
            assert_eq!(cursor.over(key).len(), wanted.len(), "{key:?}");
        }
    }

    #[test]
    fn of_one_step_the_newest_delete_is_enough_and_damage_stays() {
        let all = |order, beat, lost: bool| Covering {
            start: Cut::Begin,
            end: Cut::End,
            mark: Mark {
                order,
                beat: BeatNo(beat),
                lost: lost.then(|| {
                    Arc::new(Lost { beat: BeatNo(beat), file: "x".into(), offset: 0, what: "?".into() })
                }),
            },
        };
        let cover =
            Cover::of(&[all(1, 1, false), all(3, 2, false), all(2, 2, false), all(4, 2, true)], |order| {
                order / 2
            });
        let found: Vec<u64> = cover.over(b"k").iter().map(|mark| mark.order).collect();
        assert_eq!(found, [4, 3, 1]);
    }

    #[test]
    fn deletes_of_one_step_over_each_other_take_one_mark_a_fragment() {
        let keys: Vec<[u8; 2]> = (1..=2000_u16).map(u16::to_be_bytes).collect();
        let ranges: Vec<Covering> = keys
            .iter()
            .zip(1..)
            .map(|(key, n)| covering(Bound::Unbounded, Bound::Excluded(key), n))
            .collect();
        let cover = Cover::of(&ranges, |order| order / 1000);
        let held: usize = cover.marks.iter().map(Vec::capacity).sum();
        assert!(held <= 3 * keys.len(), "{held} marks for {} ranges in 3 steps", keys.len());
        let over = |n: u16| {
            let marks = cover.over(&n.to_be_bytes());
            marks.iter().map(|mark| mark.order).collect::<Vec<_>>()
        };
        assert_eq!(over(0), [2000, 1999, 999]);
        assert_eq!(over(998), [2000, 1999, 999]);
        assert_eq!(over(999), [2000, 1999]);
        assert_eq!((over(1999), over(2000)), (vec![2000], vec![]));
    }

    #[test]
    fn what_is_lost_of_a_beat_comes_before_what_the_beat_deleted() {
        let delete = covering(Bound::Unbounded, Bound::Unbounded, 5);
        let lost = Lost { beat: BeatNo(5), file: "x".into(), offset: 0, what: "?".into() };
        let mut damage = delete.clone();
        damage.mark.lost = Some(Arc::new(lost));
        for ranges in [[delete.clone(), damage.clone()], [damage, delete]] {
            let cover = Cover::of(&ranges, |order| order);
            assert!(cover.over(b"k").first().is_some_and(|mark| mark.lost.is_some()));
        }
    }
}
