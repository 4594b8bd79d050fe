//! The root over the commits of a beat, by the tree rule of CEP frames.

/// The root of a beat without commits.
pub const EMPTY_ROOT: [u8; 32] = [0; 32];

/// The root over leaves in order: parent = BLAKE3(left, right), an odd last node is paired with itself, one leaf is the
/// root, no leaf gives [`EMPTY_ROOT`]. The number of leaves is pinned by the header's number of commits.
#[must_use]
pub fn beat_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| {
                let mut hasher = blake3::Hasher::new();
                for node in pair.iter().chain(pair.last()).take(2) {
                    hasher.update(node);
                }
                *hasher.finalize().as_bytes()
            })
            .collect();
    }
    level.first().copied().unwrap_or(EMPTY_ROOT)
}
