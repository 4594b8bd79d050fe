//! The data: incompressible values and keys that are made from a number, so that no row has to be kept.

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value, where a workload does not say otherwise.
pub const VALUE_BYTES: usize = 100;
/// Rows that share one prefix.
pub const ROWS_A_PREFIX: u64 = 100;

/// A key.
pub type Key = [u8; KEY_BYTES];

/// The first four bytes of a key.
pub type Prefix = [u8; 4];

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Box<[u8]>,
}

/// A small generator with a fixed seed: splitmix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// A number of at least 0 and less than 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Fills `into`.
    pub fn fill(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The finisher of splitmix64: a bijection.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A store's worth of rows. Row `i` is the `i`-th in key order; a hundred neighbours share their first four bytes, and
/// eight bytes of each key are random.
#[derive(Debug, Clone, Copy)]
pub struct Data {
    /// How many rows.
    pub rows: u64,
}

impl Data {
    /// Bytes of all keys and values.
    #[must_use]
    pub fn payload(self) -> u64 {
        self.rows * (KEY_BYTES + VALUE_BYTES) as u64
    }

    fn groups(self) -> u64 {
        self.rows.div_ceil(ROWS_A_PREFIX).max(1)
    }

    fn keyed(self, row: u64, salt: u64) -> Key {
        let (group, place) = (row / ROWS_A_PREFIX, row % ROWS_A_PREFIX);
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(&self.prefix(group));
        let place = (place << 32) / ROWS_A_PREFIX;
        key[4..8].copy_from_slice(&place.to_be_bytes()[4..]);
        key[8..].copy_from_slice(&mix(row ^ salt).to_be_bytes());
        key
    }

    /// The prefix of a group of rows, the groups spread evenly.
    #[must_use]
    pub fn prefix(self, group: u64) -> Prefix {
        let start = (group << 32) / self.groups();
        let [_, _, _, _, a, b, c, d] = start.to_be_bytes();
        [a, b, c, d]
    }

    /// The key of row `row`.
    #[must_use]
    pub fn key(self, row: u64) -> Key {
        self.keyed(row, 0)
    }

    /// A key that no row has, next to that of row `row`.
    #[must_use]
    pub fn absent(self, row: u64) -> Key {
        self.keyed(row, 0x5bd1_e995)
    }

    /// Row `row`.
    #[must_use]
    pub fn row(self, row: u64) -> Row {
        Row { key: self.key(row), value: value(row, VALUE_BYTES) }
    }

    /// The row that is loaded at place `at`, if rows are loaded in random order: a permutation of the rows by four rounds
    /// of a Feistel network, walked until it lands inside.
    #[must_use]
    pub fn shuffled(self, at: u64) -> u64 {
        let half = (u64::BITS - self.rows.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
        let mask = (1_u64 << half) - 1;
        let mut place = at;
        loop {
            let (mut left, mut right) = (place >> half, place & mask);
            for round in 1..=4 {
                (left, right) = (right, left ^ (mix(right.wrapping_add(round << 56)) & mask));
            }
            place = left << half | right;
            if place < self.rows {
                return place;
            }
        }
    }

    /// Keys of `count` rows, each row equally likely.
    #[must_use]
    pub fn uniform_keys(self, random: &mut Random, count: usize) -> Vec<Key> {
        (0..count).map(|_| self.key(random.below(self.rows))).collect()
    }

    /// As many keys that no row has.
    #[must_use]
    pub fn absent_keys(self, random: &mut Random, count: usize) -> Vec<Key> {
        (0..count).map(|_| self.absent(random.below(self.rows))).collect()
    }

    /// As many keys by popularity: the k-th most popular row is read with a frequency of 1 / k^0.99, and the popular
    /// rows lie anywhere.
    #[must_use]
    pub fn skewed_keys(self, random: &mut Random, count: usize) -> Vec<Key> {
        let zipf = Zipf::new(self.rows);
        (0..count).map(|_| self.key(self.shuffled(zipf.rank(random)))).collect()
    }

    /// Prefixes of whole groups.
    #[must_use]
    pub fn prefixes(self, random: &mut Random, count: usize) -> Vec<Prefix> {
        let whole = (self.rows / ROWS_A_PREFIX).max(1);
        (0..count).map(|_| self.prefix(random.below(whole))).collect()
    }
}

/// Rows whose keys are random from the first byte to the last.
#[must_use]
pub fn fresh(random: &mut Random, count: usize, value_bytes: usize) -> Vec<Row> {
    let one = |_| {
        let mut key = [0; KEY_BYTES];
        random.fill(&mut key);
        Row { key, value: value(random.number(), value_bytes) }
    };
    (0..count).map(one).collect()
}

fn value(seed: u64, bytes: usize) -> Box<[u8]> {
    let mut value = vec![0; bytes].into_boxed_slice();
    Random(mix(seed)).fill(&mut value);
    value
}

/// The distribution of Gray and others, "Quickly generating billion-record synthetic databases" (1994), as YCSB uses it.
struct Zipf {
    count: f64,
    alpha: f64,
    eta: f64,
    zeta: f64,
}

impl Zipf {
    const THETA: f64 = 0.99;

    #[allow(clippy::cast_precision_loss, reason = "counts of millions")]
    fn new(count: u64) -> Self {
        // The sum to a thousand, then the integral: off by less than one in ten thousand.
        let exact = count.min(1_000);
        let mut zeta: f64 = (1..=exact).map(|k| (k as f64).powf(-Self::THETA)).sum();
        let tail = 1.0 - Self::THETA;
        zeta += ((count as f64).powf(tail) - (exact as f64).powf(tail)) / tail;
        let two = 1.0 + 0.5_f64.powf(Self::THETA);
        let count = count as f64;
        let eta = (1.0 - (2.0 / count).powf(tail)) / (1.0 - two / zeta);
        Self { count, alpha: 1.0 / tail, eta, zeta }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the count")]
    fn rank(&self, random: &mut Random) -> u64 {
        let unit = random.unit();
        let mass = unit * self.zeta;
        if mass < 1.0 {
            return 0;
        }
        if mass < 1.0 + 0.5_f64.powf(Self::THETA) {
            return 1;
        }
        let rank = self.count * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_are_in_key_order_and_a_hundred_share_a_prefix() {
        let data = Data { rows: 1_234 };
        let keys: Vec<Key> = (0..data.rows).map(|row| data.key(row)).collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
        for group in 0..12 {
            let sharing = keys.iter().filter(|key| key.starts_with(&data.prefix(group))).count();
            assert_eq!(sharing, 100, "group {group}");
        }
        assert!((0..data.rows).all(|row| keys.binary_search(&data.absent(row)).is_err()));
    }

    #[test]
    fn shuffling_loads_each_row_once() {
        for rows in [1, 2, 3, 100, 1_023, 1_024, 1_025] {
            let data = Data { rows };
            let all: BTreeSet<u64> = (0..rows).map(|at| data.shuffled(at)).collect();
            assert_eq!(all.len() as u64, rows);
            assert!(all.iter().all(|row| *row < rows));
        }
        let data = Data { rows: 10_000 };
        let steps = (1..10_000).filter(|at| data.shuffled(*at) > data.shuffled(at - 1)).count();
        assert!((4_700..5_300).contains(&steps), "not random: {steps}");
    }

    #[test]
    fn few_rows_are_popular() {
        let data = Data { rows: 100_000 };
        let keys = data.skewed_keys(&mut Random(1), 20_000);
        let mut counts = std::collections::BTreeMap::new();
        for key in &keys {
            *counts.entry(key).or_insert(0_u32) += 1;
        }
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // 1 / zeta(100 000, 0.99) of the reads go to the first row: about 8 %.
        assert!((1_300..1_900).contains(&counts[0]), "{}", counts[0]);
        let top: u32 = counts.iter().take(100).sum();
        assert!((8_000..10_500).contains(&top), "{top}");
    }
}
