//! The root over a frame's records: leaves sorted by key, an odd last node paired with itself.

use std::cmp::Ordering;

/// A BLAKE3-256 digest.
pub type Digest = [u8; 32];

/// The root of a frame without records.
pub const EMPTY_ROOT: Digest = [0; 32];

/// The tree rule alone, over leaves already in tree order: pair left to right, parent = BLAKE3(left, right), an odd
/// last node pairs with itself, one leaf is the root, no leaf gives [`EMPTY_ROOT`].
///
/// The rule does not separate leaves from nodes, so a caller must also pin the number of leaves.
pub fn tree_root(mut level: Vec<Digest>) -> Digest {
    while level.len() > 1 {
        let pairs = level.len() / 2;
        for pair in 0..pairs {
            let parent = match level.get(2 * pair..2 * pair + 2) {
                Some(children) => blake3::hash(children.as_flattened()),
                None => break,
            };
            if let Some(slot) = level.get_mut(pair) {
                *slot = *parent.as_bytes();
            }
        }
        let odd = if level.len() % 2 == 1 { level.last().copied() } else { None };
        level.truncate(pairs);
        if let Some(last) = odd {
            level.push(*blake3::hash([last, last].as_flattened()).as_bytes());
        }
    }
    level.first().copied().unwrap_or(EMPTY_ROOT)
}

/// The root of a frame: `leaves[i]` belongs to the record with key `key_of(i)`, in emission order.
///
/// Sorting is by unsigned bytes, a prefix before its extensions, equal keys in emission order.
pub fn frame_root<'a>(leaves: Vec<Digest>, key_of: impl Fn(usize) -> &'a [u8]) -> Digest {
    match sorted_order(leaves.len(), key_of) {
        None => tree_root(leaves),
        Some(order) => {
            tree_root(order.iter().filter_map(|&index| leaves.get(index as usize)).copied().collect())
        }
    }
}

/// The stable order of the keys, or `None` when they come in order already.
fn sorted_order<'a>(count: usize, key_of: impl Fn(usize) -> &'a [u8]) -> Option<Vec<u32>> {
    if count < 2 || (1..count).all(|index| key_of(index - 1) <= key_of(index)) {
        return None;
    }
    // Keys of one frame share most of their path. What follows the shared part decides nearly every comparison,
    // so its first eight bytes are kept beside the index.
    let shared = shared_prefix(count, &key_of);
    let tail = |index: u32| key_of(index as usize).get(shared..).unwrap_or_default();
    let mut order: Vec<(u64, u32)> =
        (0_u32..).take(count).map(|index| (leading_eight(tail(index)), index)).collect();
    order.sort_unstable_by(|a, b| match a.0.cmp(&b.0) {
        Ordering::Equal => tail(a.1).cmp(tail(b.1)).then(a.1.cmp(&b.1)),
        decided => decided,
    });
    Some(order.into_iter().map(|(_, index)| index).collect())
}

fn shared_prefix<'a>(count: usize, key_of: &impl Fn(usize) -> &'a [u8]) -> usize {
    let first = key_of(0);
    (1..count).fold(first.len(), |shared, index| {
        let key = key_of(index);
        match (first.get(..shared), key.get(..shared)) {
            (Some(left), Some(right)) if left == right => shared,
            _ => first.iter().zip(key).take(shared).take_while(|(left, right)| left == right).count(),
        }
    })
}

/// The first eight bytes as a number whose order is the bytes' order; short keys are filled up with zeros, and what
/// that makes equal is compared in full.
fn leading_eight(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            bytes.iter().enumerate().fold(0, |sum, (place, &byte)| sum | u64::from(byte) << (56 - 8 * place))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(number: usize) -> Digest {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    fn parent(left: Digest, right: Digest) -> Digest {
        *blake3::hash(&[left, right].concat()).as_bytes()
    }

    #[test]
    fn small_trees_by_hand() {
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(leaf);
        assert_eq!(tree_root(vec![]), EMPTY_ROOT);
        assert_eq!(tree_root(vec![a]), a);
        assert_eq!(tree_root(vec![a, b]), parent(a, b));
        assert_eq!(tree_root(vec![a, b, c]), parent(parent(a, b), parent(c, c)));
        let left = parent(parent(a, b), parent(c, d));
        let right = parent(e, e);
        assert_eq!(tree_root(vec![a, b, c, d, e]), parent(left, parent(right, right)));
    }

    #[test]
    fn order_is_by_bytes_then_length_then_emission() {
        let keys: [&[u8]; 9] = [
            b"pathb",
            b"path",
            b"path\0",
            b"patha",
            b"path\0\0\0\0\0\0\0\0\0",
            b"path",
            b"path\xFF",
            b"pat",
            b"",
        ];
        let order = sorted_order(keys.len(), |index| keys[index]);
        let mut expected: Vec<u32> = (0..9).collect();
        expected.sort_by_key(|&index| keys[index as usize]);
        assert_eq!(order, Some(expected));
        assert_eq!(sorted_order(2, |_| b"same"), None);
    }
}
