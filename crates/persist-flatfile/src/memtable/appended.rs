//! A list that grows at its end while others read it, without locks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Items of the first piece; each further piece is twice as long.
const FIRST: u32 = 64;
const PIECES: usize = 26;

/// An append-only list. One thread at a time may push (others then lose nothing, but their push is refused); any number
/// of threads read.
pub(crate) struct Appended<T> {
    pieces: [OnceLock<Box<[OnceLock<T>]>>; PIECES],
    len: AtomicU32,
}

impl<T> Default for Appended<T> {
    fn default() -> Self {
        Self { pieces: [const { OnceLock::new() }; PIECES], len: AtomicU32::new(0) }
    }
}

/// The piece in which item `at` lies, the length of that piece, and the place in it.
#[inline]
fn place(at: u32) -> (usize, u64, usize) {
    let shifted = u64::from(at) + u64::from(FIRST);
    let piece = shifted.ilog2() - FIRST.ilog2();
    let len = u64::from(FIRST) << piece;
    (piece as usize, len, usize::try_from(shifted - len).unwrap_or(usize::MAX))
}

impl<T> Appended<T> {
    /// How many items there are.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    /// Item `at`; `None` at or beyond the end.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        let (piece, _, place) = place(at);
        self.pieces.get(piece)?.get()?.get(place)?.get()
    }

    /// Adds an item and says where; `None` when the list is full or another thread pushed at the same moment.
    pub(crate) fn push(&self, item: T) -> Option<u32> {
        let at = self.len.load(Ordering::Acquire);
        let next = at.checked_add(1)?;
        let (piece, len, place) = place(at);
        let piece = self.pieces.get(piece)?.get_or_init(|| (0..len).map(|_| OnceLock::new()).collect());
        piece.get(place)?.set(item).ok()?;
        self.len.store(next, Ordering::Release);
        Some(at)
    }

    /// Takes all items out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        *self.len.get_mut() = 0;
        let pieces = self.pieces.iter_mut().filter_map(OnceLock::take);
        pieces.flat_map(<[OnceLock<T>]>::into_vec).filter_map(OnceLock::into_inner)
    }

    /// The items from `from` up to, not including, `upto`.
    pub(crate) fn range(&self, from: u32, upto: u32) -> impl DoubleEndedIterator<Item = (u32, &T)> {
        (from..upto.min(self.len())).filter_map(|at| Some((at, self.get(at)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_over_the_edges_of_pieces() {
        let list = Appended::default();
        assert_eq!((list.len(), list.get(0)), (0, None));
        for n in 0..1000_u32 {
            assert_eq!(list.push(n * 3), Some(n));
            assert_eq!(list.get(n), Some(&(n * 3)));
            assert_eq!(list.get(n + 1), None);
        }
        assert_eq!(list.len(), 1000);
        assert_eq!(list.range(62, 67).next_back(), Some((66, &198)));
        assert_eq!(list.get(u32::MAX), None);
        let mut list = list;
        assert!(list.drain().eq((0..1000).map(|n| n * 3)));
        assert_eq!((list.len(), list.get(0), list.push(9), list.get(0)), (0, None, Some(0), Some(&9)));
    }

    #[test]
    fn readers_see_whole_items_while_one_pushes() {
        // Miri takes a thousand times as long.
        const ITEMS: u32 = if cfg!(miri) { 150 } else { 5000 };
        let list = Appended::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while seen < ITEMS {
                    let len = list.len();
                    for at in seen..len {
                        assert_eq!(list.get(at), Some(&vec![at; 3]));
                    }
                    seen = len;
                }
            });
            for n in 0..ITEMS {
                list.push(vec![n; 3]);
            }
            reader.join().unwrap();
        });
    }
}
