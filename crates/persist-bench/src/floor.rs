//! What reading costs without any store: maps in memory that hold the same rows.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::time::Instant;

use crate::limit::nanoseconds;
use crate::rows::{Data, Key, Prefix};

/// Keys end in random bytes, so that these are a hash already.
#[derive(Default)]
struct Tail(u64);

impl Hasher for Tail {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(tail) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*tail);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

/// A hash map for gets and a tree for scans, values boxed in both, as a store has them behind an index.
pub(crate) struct Floor {
    hashed: HashMap<Key, Box<[u8]>, BuildHasherDefault<Tail>>,
    ordered: BTreeMap<Key, Box<[u8]>>,
}

impl Floor {
    /// Holds all rows twice.
    #[must_use]
    pub(crate) fn new(data: Data) -> Self {
        let rows = || (0..data.rows).map(|at| data.row(data.shuffled(at))).map(|row| (row.key, row.value));
        Self { hashed: rows().collect(), ordered: rows().collect() }
    }

    /// Nanoseconds of one get. The keys are to be others than a contender is timed with: whose rows were just read are in the
    /// processor's caches.
    #[must_use]
    pub(crate) fn gets(&self, keys: &[Key]) -> f64 {
        let clock = Instant::now();
        let mut bytes = 0;
        for key in keys {
            bytes += self.hashed.get(key).map_or(0, |value| black_box(value).len());
        }
        black_box(bytes);
        per(clock, keys.len())
    }

    /// Nanoseconds of one row of a scan of everything.
    #[must_use]
    pub(crate) fn scan(&self) -> f64 {
        let clock = Instant::now();
        let mut bytes = 0;
        for (key, value) in &self.ordered {
            bytes += black_box(key).len() + black_box(value).len();
        }
        black_box(bytes);
        per(clock, self.ordered.len())
    }

    /// Nanoseconds to visit the rows of one prefix.
    #[must_use]
    pub(crate) fn prefixes(&self, prefixes: &[Prefix]) -> f64 {
        let clock = Instant::now();
        let mut bytes = 0;
        for prefix in prefixes {
            let mut start = [0; 16];
            start[..4].copy_from_slice(prefix);
            for (key, value) in self.ordered.range(start..).take_while(|(key, _)| key.starts_with(prefix)) {
                bytes += black_box(key).len() + black_box(value).len();
            }
        }
        black_box(bytes);
        per(clock, prefixes.len())
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn per(clock: Instant, count: usize) -> f64 {
    nanoseconds(clock.elapsed()) / count.max(1) as f64
}
