//! What range deletes and damaged beats lie over which keys.
//!
//! The ranges are cut into fragments that do not overlap. Where few marks lie over each other, each fragment has a list of those
//! that lie over all of its keys, newest first. Where that would take too much memory, the fragments are the leaves of a tree, and a
//! mark stands in the lists of the few nodes whose leaves together are its range: over a key lies what is in the lists from its
//! leaf to the root. Looking up a key is one binary search, and with a tree that way.

use std::cmp::Ordering;
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

impl Mark {
    /// The greater, the newer. What is lost of a beat may be newer than what the beat deleted.
    fn age(&self) -> (u64, bool) {
        (self.order, self.lost.is_some())
    }
}

/// A mark and the keys that it covers.
#[derive(Debug, Clone)]
pub(crate) struct Covering {
    pub(crate) start: Cut,
    pub(crate) end: Cut,
    pub(crate) mark: Mark,
}

/// So many entries in lists are no reason for a tree, nor are eight for each mark.
const LISTED_MAX: usize = 4096;

/// Marks by key.
#[derive(Debug, Default)]
pub(crate) struct Cover {
    /// Ascending; the first fragment begins at the first cut, the last cut ends the last fragment.
    cuts: Vec<Cut>,
    /// A list for each fragment, newest first; in a tree those of the nodes come before: the children of node `n` are `2n` and
    /// `2n + 1`, and the root is node 1.
    lists: Vec<Vec<Mark>>,
    is_tree: bool,
}

impl Cover {
    /// Puts marks in order. Of several deletes of one step over the same keys the newest is enough; `step` says which orders
    /// no reader can tell apart. The memory is that of `n log n` marks at most, and no more than that of one mark for each fragment
    /// (or node) and step.
    pub(crate) fn of(ranges: &[Covering], step: impl Fn(u64) -> u64) -> Self {
        Self::listing(LISTED_MAX.max(8 * ranges.len()), ranges, step)
    }

    /// With a tree where lists alone would have more entries.
    fn listing(most: usize, ranges: &[Covering], step: impl Fn(u64) -> u64) -> Self {
        let mut ranges: Vec<&Covering> = ranges.iter().filter(|range| range.start < range.end).collect();
        let mut cuts: Vec<&Cut> = ranges.iter().flat_map(|range| [&range.start, &range.end]).collect();
        cuts.sort();
        cuts.dedup();
        ranges.sort_by_key(|range| std::cmp::Reverse(range.mark.age()));
        let place = |cut: &Cut| cuts.partition_point(|other| *other < cut);
        let span = |range: &Covering| (place(&range.start), place(&range.end));
        let entries = ranges.iter().map(|range| span(range)).map(|(from, upto)| upto - from).sum::<usize>();
        let is_tree = entries > most;
        let fragments = cuts.len().saturating_sub(1);
        // The newest first, and for each list the step of the last delete in it.
        let mut lists = vec![(Vec::new(), None); if is_tree { 2 * fragments } else { fragments }];
        let mut put = |at: usize, mark: &Mark, step: Option<u64>| {
            if let Some((list, last)) = lists.get_mut(at)
                && (step.is_none() || *last != step)
            {
                list.push(mark.clone());
                *last = step.or(*last);
            }
        };
        for range in ranges {
            let step = range.mark.lost.is_none().then(|| step(range.mark.order));
            let (mut from, mut upto) = span(range);
            if !is_tree {
                (from..upto).for_each(|at| put(at, &range.mark, step));
                continue;
            }
            (from, upto) = (from + fragments, upto + fragments);
            // From the leaves up: what a parent would have beyond the range is put into the list of the child.
            while from < upto {
                if from % 2 == 1 {
                    put(from, &range.mark, step);
                    from += 1;
                }
                if upto % 2 == 1 {
                    upto -= 1;
                    put(upto, &range.mark, step);
                }
                (from, upto) = (from / 2, upto / 2);
            }
        }
        let fitting = |(mut list, _): (Vec<Mark>, _)| {
            list.shrink_to_fit();
            list
        };
        let lists = lists.into_iter().map(fitting).collect();
        Self { cuts: cuts.into_iter().cloned().collect(), lists, is_tree }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The marks over `key`, newest first.
    #[inline]
    pub(crate) fn over(&self, key: &[u8]) -> Over<'_> {
        let after = self.cuts.partition_point(|cut| cut.is_before(key));
        self.behind(after)
    }

    /// The marks over the keys right behind a cut, newest first.
    pub(crate) fn at(&self, cut: &Cut) -> Over<'_> {
        self.behind(self.cuts.partition_point(|other| other <= cut))
    }

    /// Where the fragments begin and end.
    pub(crate) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The marks over the fragment behind so many cuts.
    #[inline]
    fn behind(&self, cuts: usize) -> Over<'_> {
        let Some(at) = cuts.checked_sub(1) else { return Over::default() };
        if self.is_tree {
            return Over { nodes: &self.lists, leaf: at + self.lists.len() / 2, ..Over::default() };
        }
        Over { list: self.lists.get(at).map_or(&[], Vec::as_slice), ..Over::default() }
    }

    /// The newest mark over each fragment, in order of keys.
    pub(crate) fn newest(&self) -> impl Iterator<Item = Covering> {
        (1..).zip(self.cuts.windows(2)).filter_map(|(at, cuts)| {
            let (start, end) = (cuts.first()?.clone(), cuts.get(1)?.clone());
            Some(Covering { start, end, mark: self.behind(at).next()?.clone() })
        })
    }
}

/// The marks over a key, newest first.
#[derive(Debug, Default)]
pub(crate) struct Over<'c> {
    /// Those that are left, where there is no tree.
    list: &'c [Mark],
    /// The tree, and the leaf that the key is in.
    nodes: &'c [Vec<Mark>],
    leaf: usize,
    /// Those that are left in the tree are older.
    last: Option<(u64, bool)>,
}

/// The lists from a leaf to the root; none from a leaf that is not there.
fn way(nodes: &[Vec<Mark>], leaf: usize) -> impl Iterator<Item = &[Mark]> {
    let way = std::iter::successors(Some(leaf).filter(|leaf| *leaf < nodes.len()), |at| Some(at / 2));
    way.take_while(|at| *at > 0).filter_map(|at| nodes.get(at)).map(Vec::as_slice)
}

#[inline(never)]
fn newest_on_way(nodes: &[Vec<Mark>], leaf: usize, last: Option<(u64, bool)>) -> Option<&Mark> {
    let older = |list: &[Mark]| last.map_or(0, |last| list.partition_point(|mark| mark.age() >= last));
    way(nodes, leaf).filter_map(|list| list.get(older(list))).max_by_key(|mark| mark.age())
}

impl<'c> Iterator for Over<'c> {
    type Item = &'c Mark;

    #[inline]
    fn next(&mut self) -> Option<&'c Mark> {
        if let Some((newest, rest)) = self.list.split_first() {
            self.list = rest;
            return Some(newest);
        }
        if self.nodes.is_empty() {
            return None;
        }
        let newest = newest_on_way(self.nodes, self.leaf, self.last)?;
        self.last = Some(newest.age());
        Some(newest)
    }

    /// Here the order is all the same.
    #[inline]
    fn any<F: FnMut(&'c Mark) -> bool>(&mut self, mut is_it: F) -> bool {
        self.list.iter().any(&mut is_it) || way(self.nodes, self.leaf).flatten().any(is_it)
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
    #[inline]
    pub(crate) fn over(&mut self, key: &[u8]) -> Over<'_> {
        let cuts = &self.cover.cuts;
        let here =
            self.after.checked_sub(1).is_none_or(|at| cuts.get(at).is_some_and(|cut| cut.is_before(key)))
                && cuts.get(self.after).is_none_or(|cut| !cut.is_before(key));
        if !here {
            self.after = cuts.partition_point(|cut| cut.is_before(key));
        }
        self.cover.behind(self.after)
    }
}

#[cfg(test)]
#[path = "cover_tests.rs"]
mod tests;
