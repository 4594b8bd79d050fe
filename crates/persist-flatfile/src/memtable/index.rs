//! The hash index of a memtable: from a key to its versions, newest first. One thread adds, any number look up.
//!
//! Chains of a bucket hold one entry for each key (more exactly: each hash); older versions of that key hang behind the
//! newest, so that a key that is written again and again does not slow down its neighbours.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Place;

/// Entries of the first table; few where Miri makes each of them.
const FIRST: usize = if cfg!(miri) { 1 << 5 } else { 1 << 12 };
/// So many tables hold eight times as many as the one before. The next one holds as many, and then it is twice as many: of a
/// large index at least half is in use.
const LEAPS: usize = 2;
const TABLES: usize = 18;

/// Entries of a table.
fn entries_of(table: usize) -> usize {
    FIRST << (3 * table.min(LEAPS) + table.saturating_sub(LEAPS + 1))
}

/// No entry.
const NONE: u32 = u32::MAX;

/// One version of a key.
#[derive(Default)]
struct Entry {
    /// High half: part of the key's hash. Low half: the next entry of the bucket, of another key.
    link: AtomicU64,
    place: AtomicU64,
    /// An older version of the same key.
    older: AtomicU32,
}

struct Table {
    buckets: Box<[AtomicU32]>,
    entries: Box<[Entry]>,
    /// Used entries. Only the one who adds looks at it.
    used: AtomicU32,
}

#[derive(Default)]
pub(crate) struct Index {
    tables: [OnceLock<Table>; TABLES],
}

fn tag(hash: u64) -> u64 {
    hash & 0xffff_ffff_0000_0000
}

fn low(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(NONE)
}

impl Table {
    fn new(entries: usize) -> Self {
        Self {
            buckets: (0..entries).map(|_| AtomicU32::new(NONE)).collect(),
            entries: (0..entries).map(|_| Entry::default()).collect(),
            used: AtomicU32::new(0),
        }
    }

    /// Bytes of memory.
    fn bytes(&self) -> u64 {
        let bucket = size_of::<AtomicU32>().saturating_mul(self.buckets.len());
        bucket.saturating_add(size_of::<Entry>().saturating_mul(self.entries.len())) as u64
    }

    #[inline]
    fn bucket(&self, hash: u64) -> Option<&AtomicU32> {
        // The number of buckets is a power of two.
        self.buckets.get(usize::try_from(hash).unwrap_or_default() & (self.buckets.len() - 1))
    }

    #[inline]
    fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize)
    }

    /// Adds a version that is newer than all before; false when the table is full.
    fn add(&self, hash: u64, place: Place) -> bool {
        let at = self.used.load(Ordering::Relaxed);
        let (Some(entry), Some(bucket)) = (self.entry(at), self.bucket(hash)) else { return false };
        let head = bucket.load(Ordering::Relaxed);
        entry.place.store(place.0, Ordering::Relaxed);
        // The place in the chain where the same hash stands, and who points there.
        let (mut before, mut here) = (None, head);
        while let Some(other) = self.entry(here) {
            let link = other.link.load(Ordering::Relaxed);
            if tag(link) == tag(hash) {
                entry.link.store(link, Ordering::Relaxed);
                break;
            }
            before = Some((other, link));
            here = low(link);
        }
        entry.older.store(here, Ordering::Relaxed);
        match (self.entry(here), before) {
            (Some(_), Some((before, link))) => {
                before.link.store(tag(link) | u64::from(at), Ordering::Release);
            }
            (Some(_), None) => bucket.store(at, Ordering::Release),
            (None, _) => {
                entry.link.store(tag(hash) | u64::from(head), Ordering::Relaxed);
                bucket.store(at, Ordering::Release);
            }
        }
        self.used.store(at.saturating_add(1), Ordering::Relaxed);
        true
    }

    #[inline]
    fn find<T>(&self, hash: u64, check: &mut impl FnMut(Place) -> Option<T>) -> Option<T> {
        let mut at = self.bucket(hash)?.load(Ordering::Acquire);
        while let Some(entry) = self.entry(at) {
            let link = entry.link.load(Ordering::Acquire);
            if tag(link) == tag(hash) {
                let mut version = Some(entry);
                while let Some(entry) = version {
                    if let Some(found) = check(Place(entry.place.load(Ordering::Relaxed))) {
                        return Some(found);
                    }
                    version = self.entry(entry.older.load(Ordering::Relaxed));
                }
                return None;
            }
            at = low(link);
        }
        None
    }
}

impl Index {
    /// Adds a version that is newer than all before. Only one thread may add. Answers how many bytes of memory that took
    /// (mostly none), the first table aside: every memtable that is read has it.
    pub(crate) fn add(&self, hash: u64, place: Place) -> u64 {
        let mut took = 0;
        for (at, table) in self.tables.iter().enumerate() {
            if self.tables.get(at + 1).is_some_and(|next| next.get().is_some()) {
                continue;
            }
            let table = table.get_or_init(|| {
                let table = Table::new(entries_of(at));
                took = if at == 0 { 0 } else { table.bytes() };
                table
            });
            if table.add(hash, place) {
                break;
            }
        }
        took
    }

    /// Calls `check` with the places of versions whose keys have this hash, newest first, until it answers.
    #[inline]
    pub(crate) fn find<T>(&self, hash: u64, mut check: impl FnMut(Place) -> Option<T>) -> Option<T> {
        self.tables.iter().rev().find_map(|table| table.get()?.find(hash, &mut check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(index: &Index, hash: u64) -> Vec<u64> {
        let mut found = Vec::new();
        index.find(hash, |place| {
            found.push(place.0);
            None::<()>
        });
        found
    }

    #[test]
    fn versions_come_newest_first_and_over_the_edges_of_tables() {
        let index = Index::default();
        let hash = |n: u64| ((n % 7) << 32) | (n % 3);
        for n in 0..(FIRST as u64) * 3 {
            index.add(hash(n), Place(n));
        }
        for n in 0..21 {
            let wanted: Vec<u64> =
                (0..(FIRST as u64) * 3).rev().filter(|other| hash(*other) == hash(n)).collect();
            assert_eq!(places(&index, hash(n)), wanted, "{n}");
        }
        assert_eq!(places(&index, 9 << 32), [0; 0]);
    }

    #[test]
    fn a_large_index_is_at_least_half_in_use_and_says_what_it_takes() {
        let all: Vec<u64> = (0..TABLES).map(|table| entries_of(table) as u64).collect();
        let first = FIRST as u64;
        assert_eq!(all[..6], [1, 8, 64, 64, 128, 256].map(|times| times * first));
        for upto in LEAPS + 1..TABLES {
            assert!(all[upto] <= all[..upto].iter().sum::<u64>(), "{upto}");
        }
        let most = all.iter().sum::<u64>() / first * (1 << 12);
        assert!(most >= u64::from(u32::MAX), "more than offsets in a table of beats");
        let index = Index::default();
        let took: Vec<u64> = (0..FIRST as u64 + 2).map(|n| index.add(n << 32, Place(n))).collect();
        let entry = (size_of::<Entry>() + size_of::<AtomicU32>()) as u64;
        let (first, later) = took.split_at(FIRST);
        assert!(first.iter().all(|took| *took == 0), "the first table is not counted");
        assert_eq!(later, [all[1] * entry, 0]);
    }

    #[test]
    fn a_reader_beside_the_adder_misses_nothing_that_was_added_before() {
        // Miri takes a thousand times as long.
        const ADDED: u64 = if cfg!(miri) { 60 } else { 3000 };
        let index = Index::default();
        index.add(1 << 40, Place(1));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for _ in 0..ADDED * 7 {
                    let found = places(&index, 1 << 40);
                    assert_eq!(found.last(), Some(&1));
                    assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "{found:?}");
                }
            });
            for n in 2..ADDED {
                index.add((n % 5) << 40, Place(n));
            }
            reader.join().unwrap();
        });
    }
}
