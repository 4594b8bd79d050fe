//! The order of a memtable's records, made when somebody first asks for it.
//!
//! What was committed since the last time is sorted into a chunk of its own; neighbouring chunks are merged so that each
//! is at least twice as long as the next newer one, which keeps both their number and the work logarithmic.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::{Memtable, Place};

/// So many entries are gone over again at once.
const EARLY: usize = 1024;
/// Records that came in stretches of so many, each in order, are as good as sorted.
const STRETCH: usize = 256;

/// One version of a key: where it lies, and the first bytes of its key behind what all keys of the chunk share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordered {
    prefix: u64,
    pub(crate) place: Place,
}

impl Ordered {
    /// What puts it in order, until two keys differ behind their prefixes. One number, compared without branches.
    #[inline]
    fn rank(&self) -> u128 {
        u128::from(self.prefix) << 64 | u128::from(!self.place.0)
    }
}

/// Sorted by key; versions of one key newest first.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// How many bytes all keys of the chunk have in common at their beginning.
    shared: usize,
    pub(crate) entries: Vec<Ordered>,
}

#[derive(Default)]
pub(crate) struct Order {
    /// Oldest first.
    chunks: Vec<Arc<Chunk>>,
    /// Slots that the chunks cover.
    pub(crate) covered: u32,
}

/// The first eight bytes behind `skip`, as a number that orders like them. Shorter keys are filled up with zeros.
#[inline]
pub(crate) fn prefix_of(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(first) = rest.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut word = [0; 8];
    word.iter_mut().zip(rest).for_each(|(into, byte)| *into = *byte);
    u64::from_be_bytes(word)
}

fn shared_len(one: &[u8], two: &[u8]) -> usize {
    one.iter().zip(two).take_while(|(one, two)| one == two).count()
}

impl Chunk {
    /// The records of some slots.
    fn of(table: &Memtable, slots: Range<u32>) -> Self {
        let mut records = table.records(slots.start, slots.end);
        let (first, last) = (records.next(), table.records(slots.end.saturating_sub(1), slots.end).last());
        let first = first.map(|(_, key)| key).unwrap_or_default();
        // A guess, so that one walk over the records is enough, nearly always.
        let shared = last.map_or(first.len(), |(_, key)| shared_len(first, key));
        let mut chunk = Self { shared, entries: Vec::new() };
        let (mut late, mut steps_back) = (false, 0);
        for (place, key) in table.records(slots.start, slots.end) {
            if !key.starts_with(first.get(..chunk.shared).unwrap_or(first)) {
                chunk.shared = shared_len(first, key);
                late = chunk.entries.len() > EARLY;
                if !late {
                    chunk.set_prefixes(table);
                }
            }
            let entry = Ordered { prefix: prefix_of(key, chunk.shared), place };
            steps_back += usize::from(chunk.entries.last().is_some_and(|last| entry.rank() < last.rank()));
            chunk.entries.push(entry);
        }
        if late {
            chunk.set_prefixes(table);
        }
        if steps_back <= chunk.entries.len() / STRETCH {
            // Stable, because that one merges what is in order already: a load in key order, with a record of its own at the
            // end of each beat.
            chunk.entries.sort_by_key(Ordered::rank);
        } else {
            chunk.entries.sort_unstable_by_key(Ordered::rank);
        }
        chunk.settle_ties(table);
        chunk
    }

    fn set_prefixes(&mut self, table: &Memtable) {
        for entry in &mut self.entries {
            entry.prefix = prefix_of(table.key_at(entry.place), self.shared);
        }
    }

    /// Puts those in order whose keys differ behind equal prefixes; the rest is.
    fn settle_ties(&mut self, table: &Memtable) {
        for tied in self.entries.chunk_by_mut(|one, two| one.prefix == two.prefix) {
            // Of nearly all there is one; its key lies far away.
            let [first, others @ ..] = &*tied else { continue };
            if others.is_empty() {
                continue;
            }
            let first = table.key_at(first.place);
            if others.iter().all(|other| table.key_at(other.place) == first) {
                continue;
            }
            let shared = others.iter().map(|other| shared_len(first, table.key_at(other.place))).min();
            // Stable, so that versions of one key stay as they are.
            tied.sort_by_cached_key(|entry| {
                let key = table.key_at(entry.place);
                (prefix_of(key, shared.unwrap_or_default()), key)
            });
        }
    }

    fn merge(table: &Memtable, older: &Self, newer: &Self) -> Self {
        let keys = older.entries.first().zip(newer.entries.first());
        let both = keys
            .map_or(usize::MAX, |(one, two)| shared_len(table.key_at(one.place), table.key_at(two.place)));
        let shared = both.min(older.shared).min(newer.shared);
        let mut merged =
            Self { shared, entries: Vec::with_capacity(older.entries.len() + newer.entries.len()) };
        merged.entries.extend_from_slice(&older.entries);
        merged.entries.extend_from_slice(&newer.entries);
        if (older.shared, newer.shared) != (shared, shared) {
            merged.set_prefixes(table);
        }
        // Stable, because that one merges what is in order already.
        merged.entries.sort_by_key(Ordered::rank);
        merged.settle_ties(table);
        merged
    }

    /// Whether two neighbouring entries are versions of one key.
    #[inline]
    pub(crate) fn same_key(&self, table: &Memtable, one: usize, two: usize) -> bool {
        let (Some(one), Some(two)) = (self.entries.get(one), self.entries.get(two)) else { return false };
        one.prefix == two.prefix && table.key_at(one.place) == table.key_at(two.place)
    }

    /// The first entry whose key is not smaller than `key` (or, with `beyond`, is greater).
    pub(crate) fn seek(&self, table: &Memtable, key: &[u8], beyond: bool) -> usize {
        let Some(first) = self.entries.first() else { return 0 };
        let common = table.key_at(first.place).get(..self.shared).unwrap_or_default();
        match key.get(..self.shared).unwrap_or(key).cmp(common) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.entries.len(),
            Ordering::Equal => {}
        }
        let prefix = prefix_of(key, self.shared);
        self.entries.partition_point(|entry| {
            match entry.prefix.cmp(&prefix).then_with(|| table.key_at(entry.place).cmp(key)) {
                Ordering::Less => true,
                Ordering::Equal => beyond,
                Ordering::Greater => false,
            }
        })
    }
}

impl Order {
    /// Takes in the slots up to `upto`.
    pub(crate) fn extend(&mut self, table: &Memtable, upto: u32) {
        if upto <= self.covered {
            return;
        }
        let fresh = Chunk::of(table, self.covered..upto);
        self.covered = upto;
        if fresh.entries.is_empty() {
            return;
        }
        let mut fresh = fresh;
        while let Some(last) = self.chunks.pop_if(|last| last.entries.len() / 2 < fresh.entries.len()) {
            fresh = Chunk::merge(table, &last, &fresh);
        }
        self.chunks.push(Arc::new(fresh));
    }

    /// Makes one chunk of all.
    pub(crate) fn unite(&mut self, table: &Memtable) -> Arc<Chunk> {
        let mut all = self.chunks.pop().unwrap_or_default();
        while let Some(older) = self.chunks.pop() {
            all = Arc::new(Chunk::merge(table, &older, &all));
        }
        self.chunks.push(Arc::clone(&all));
        all
    }

    /// The chunks, newest first.
    pub(crate) fn chunks(&self) -> Vec<Arc<Chunk>> {
        self.chunks.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use persist_api::{BeatHeader, BeatNo};

    use super::*;
    use crate::timeline::FrameBuilder;

    fn table(beats: &[Vec<Vec<u8>>]) -> Memtable {
        let table = Memtable::new(0, &Arc::default());
        for (beat, keys) in (1..).zip(beats) {
            let mut built = FrameBuilder::default();
            for key in keys {
                built.put(key, b"value");
            }
            let body = built.body().to_vec();
            let header = BeatHeader { beat: BeatNo(beat), ..BeatHeader::default() };
            let len = body.len();
            assert!(table.push(header, beat, (body, 0..len), built.ops(), false));
        }
        table
    }

    fn check(table: &Memtable, chunk: &Chunk, expected: usize) {
        assert_eq!(chunk.entries.len(), expected);
        for pair in chunk.entries.windows(2) {
            let (one, two) = (pair[0], pair[1]);
            let keys = table.key_at(one.place).cmp(table.key_at(two.place));
            assert!(keys.then(two.place.cmp(&one.place)).is_lt(), "{one:?} {two:?}");
        }
        for entry in &chunk.entries {
            let key = table.key_at(entry.place);
            assert_eq!(entry.prefix, prefix_of(key, chunk.shared));
            let at = chunk.seek(table, key, false);
            assert_eq!(table.key_at(chunk.entries[at].place), key);
        }
    }

    #[test]
    fn keys_are_in_order_whatever_they_begin_with() {
        let spread = |n: usize| (n * 7919) % 5000;
        // All begin alike; one late key does not, so that every prefix changes; families differ behind their prefixes.
        let alike: Vec<_> = (0..3000).map(|n| format!("table/{:05}", spread(n)).into_bytes()).collect();
        let family = |n: usize| format!("{}/rows-of-one/{:05}", ["a", "b"][n % 2], spread(n)).into_bytes();
        let families: Vec<_> = (0..3000).map(family).collect();
        let short: Vec<_> =
            [&b"k"[..], b"k\0", b"k\0\0", b"", b"kk", b"k\0\0\0\0\0\0\0\0", b"k"].map(<[u8]>::to_vec).into();
        let odd = vec![b"other".to_vec(), b"t".to_vec()];
        // A load in key order, with a record of its own at the end of each beat; versions of a few keys among it.
        let loaded = |beat: usize| {
            let rows = (0..600).map(|n| format!("users/{:08}", (beat * 600 + n).max(3)).into_bytes());
            rows.chain([b"cursor".to_vec()]).collect::<Vec<_>>()
        };
        for beats in [
            vec![loaded(0), loaded(1), loaded(2)],
            vec![alike.clone(), odd.clone(), vec![]],
            vec![families.clone()],
            vec![short.clone(), short],
            vec![odd, families, alike.clone(), alike],
        ] {
            let table = table(&beats);
            let sizes: usize = beats.iter().map(Vec::len).sum();
            let slots = table.slots_len();
            check(&table, &Chunk::of(&table, 0..slots), sizes);
            let mut order = Order::default();
            for slots in 1..=slots {
                order.extend(&table, slots);
            }
            check(&table, &order.unite(&table), sizes);
        }
    }
}
