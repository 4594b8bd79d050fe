//! The root over a frame's records: leaves sorted by key, an odd last node paired with itself.

/// A BLAKE3-256 digest.
pub type Digest = [u8; 32];

/// The root of a frame without records.
pub const EMPTY_ROOT: Digest = [0; 32];

/// Leaves gathered before they are hashed in pairs; an even number, so that only the last block can be odd.
const GATHERED: usize = 64;

/// The tree rule alone, over leaves already in tree order: pair left to right, parent = BLAKE3(left, right), an odd
/// last node pairs with itself, one leaf is the root, no leaf gives [`EMPTY_ROOT`].
///
/// The rule does not separate leaves from nodes, so a caller must also pin the number of leaves.
pub fn tree_root(mut level: Vec<Digest>) -> Digest {
    while level.len() > 1 {
        let (pairs, odd) = (level.len() / 2, level.len() % 2 == 1);
        for pair in 0..pairs {
            let Some(children) = level.get(2 * pair..).and_then(|rest| rest.first_chunk()) else { break };
            let parent = parent(children);
            if let Some(slot) = level.get_mut(pair) {
                *slot = parent;
            }
        }
        let last = level.last().copied().filter(|_| odd);
        level.truncate(pairs);
        level.extend(last.map(|last| parent(&[last; 2])));
    }
    level.first().copied().unwrap_or(EMPTY_ROOT)
}

/// The root of a frame: `leaves[i]` belongs to the record with key `key_of(i)`, in emission order.
///
/// Sorting is by unsigned bytes, a prefix before its extensions, equal keys in emission order.
pub fn frame_root<'a>(leaves: Vec<Digest>, key_of: impl Fn(usize) -> &'a [u8]) -> Digest {
    let mut seen = KeysSeen::default();
    (0..leaves.len()).for_each(|index| seen.note(key_of(index)));
    frame_root_of(leaves, &seen, key_of)
}

/// The same when the keys have been noted on the way already.
pub(crate) fn frame_root_of<'a>(
    leaves: Vec<Digest>,
    seen: &KeysSeen<'_>,
    key_of: impl Fn(usize) -> &'a [u8],
) -> Digest {
    if !seen.disordered {
        return tree_root(leaves);
    }
    let order = sorted_order(leaves.len(), seen.shared, key_of);
    let leaf = |index: u32| leaves.get(index as usize).copied().unwrap_or(EMPTY_ROOT);
    let mut parents = Vec::with_capacity(order.len().div_ceil(2));
    // The leaves lie scattered. Gathering some before hashing any lets the processor wait for many of them at once.
    let mut block = [EMPTY_ROOT; GATHERED];
    for indices in order.chunks(GATHERED) {
        for (slot, &(_, index)) in block.iter_mut().zip(indices) {
            *slot = leaf(index);
        }
        let (pairs, odd) = block.get(..indices.len()).unwrap_or_default().as_chunks();
        parents.extend(pairs.iter().map(parent));
        parents.extend(odd.iter().map(|odd| parent(&[*odd; 2])));
    }
    tree_root(parents)
}

#[inline]
fn parent(children: &[Digest; 2]) -> Digest {
    *blake3::hash(children.as_flattened()).as_bytes()
}

/// What sorting needs to know of the keys, gathered while they pass by.
#[derive(Debug, Default)]
pub(crate) struct KeysSeen<'a> {
    previous: Option<&'a [u8]>,
    /// How many leading bytes all keys have in common.
    shared: usize,
    disordered: bool,
}

impl<'a> KeysSeen<'a> {
    #[inline]
    pub(crate) fn note(&mut self, key: &'a [u8]) {
        match self.previous.replace(key) {
            None => self.shared = key.len(),
            Some(previous) => {
                self.disordered = self.disordered || previous > key;
                let same =
                    |len| matches!((previous.get(..len), key.get(..len)), (Some(a), Some(b)) if a == b);
                if !same(self.shared) {
                    self.shared =
                        previous.iter().zip(key).take(self.shared).take_while(|(a, b)| a == b).count();
                }
            }
        }
    }
}

/// The stable order of the keys. They share `shared` leading bytes, as keys of one frame share most of their path;
/// what follows decides nearly every comparison, so its first eight bytes are kept beside the index.
fn sorted_order<'a>(count: usize, shared: usize, key_of: impl Fn(usize) -> &'a [u8]) -> Vec<(u64, u32)> {
    let tail = |index: u32| key_of(index as usize).get(shared..).unwrap_or_default();
    let mut order: Vec<(u64, u32)> =
        (0_u32..).take(count).map(|index| (leading_eight(tail(index)), index)).collect();
    // Stable, so equal keys stay in emission order; and it takes the ascending runs of real emitters as they come.
    order.sort_by_key(|&(leading, _)| leading);
    for equal in order.chunk_by_mut(|one, other| one.0 == other.0).filter(|run| run.len() > 1) {
        equal.sort_by(|one, other| tail(one.1).cmp(tail(other.1)));
    }
    order
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

    fn joined(left: Digest, right: Digest) -> Digest {
        *blake3::hash(&[left, right].concat()).as_bytes()
    }

    #[test]
    fn small_trees_by_hand() {
        let leaves = [0, 1, 2, 3, 4].map(leaf);
        let [one, two, three, four, five] = leaves;
        assert_eq!(tree_root(vec![]), EMPTY_ROOT);
        assert_eq!(tree_root(vec![one]), one);
        assert_eq!(tree_root(vec![one, two]), joined(one, two));
        assert_eq!(tree_root(vec![one, two, three]), joined(joined(one, two), joined(three, three)));
        let left = joined(joined(one, two), joined(three, four));
        let right = joined(five, five);
        assert_eq!(tree_root(leaves.to_vec()), joined(left, joined(right, right)));
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
            b"path",
        ];
        let mut seen = KeysSeen::default();
        for key in keys {
            seen.note(key);
        }
        assert!(seen.disordered);
        assert_eq!(seen.shared, 3);
        let mut expected: Vec<u32> = (0..9).collect();
        expected.sort_by_key(|&index| keys[index as usize]);
        for shared in 0..=seen.shared {
            let order = sorted_order(keys.len(), shared, |index| keys[index]);
            assert_eq!(order.into_iter().map(|(_, index)| index).collect::<Vec<_>>(), expected);
        }
        let mut ordered = KeysSeen::default();
        for key in [&b""[..], b"a", b"a", b"ab"] {
            ordered.note(key);
        }
        assert!(!ordered.disordered);
    }
}
