//! The data: incompressible values, keys in random order, the same for both sides.

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;

/// A small generator with a fixed seed: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            std::iter::repeat_with(|| self.next().to_le_bytes()).take(len.div_ceil(8)).flatten().collect();
        bytes.truncate(len);
        bytes
    }
}

/// Fresh rows with random keys.
pub(crate) fn rows(random: &mut Random, count: usize) -> Vec<Row> {
    (0..count).map(|_| (random.bytes(KEY_BYTES), random.bytes(VALUE_BYTES))).collect()
}

/// The keys of `rows` in another order.
pub(crate) fn shuffled_keys(random: &mut Random, rows: &[Row], count: usize) -> Vec<Vec<u8>> {
    let len = rows.len() as u64;
    (0..count).map(|_| rows[usize::try_from(random.next() % len).unwrap_or(0)].0.clone()).collect()
}
