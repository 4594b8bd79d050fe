//! The order of a memtable's records, made when somebody first asks for it.
//!
//! What was committed since the last time is sorted into a chunk of its own; neighbouring chunks are merged so that each
//! is at least twice as long as the next newer one, which keeps both their number and the work logarithmic.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Memtable, Place};

/// One version of a key: where it lies, and the first bytes of its key behind what all keys of the chunk share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordered {
    prefix: u64,
    pub(crate) place: Place,
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
    fn of(table: &Memtable, places: impl Iterator<Item = Place>) -> Self {
        let mut chunk =
            Self { shared: usize::MAX, entries: places.map(|place| Ordered { prefix: 0, place }).collect() };
        let first = chunk.entries.first().map(|first| table.key_at(first.place)).unwrap_or_default();
        for entry in &chunk.entries {
            chunk.shared = chunk.shared.min(shared_len(first, table.key_at(entry.place)));
        }
        chunk.sort(table);
        chunk
    }

    /// Fills in the prefixes and sorts. What is sorted already in long stretches is merged.
    fn sort(&mut self, table: &Memtable) {
        for entry in &mut self.entries {
            entry.prefix = prefix_of(table.key_at(entry.place), self.shared);
        }
        self.entries.sort_by(|one, two| {
            one.prefix
                .cmp(&two.prefix)
                .then_with(|| table.key_at(one.place).cmp(table.key_at(two.place)))
                .then_with(|| two.place.cmp(&one.place))
        });
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
        merged.sort(table);
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
        let fresh = Chunk::of(table, table.places(self.covered, upto));
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
