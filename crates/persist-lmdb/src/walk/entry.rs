//! What one entry of a leaf says: a key, and a value in place, a long value, a tree or a list of free pages.

use persist_api::Result;

use super::{Depth, Kind, Place, Walk, follows};
use crate::bounds::KEY_BYTES_MAX;
use crate::error::corrupt;
use crate::home::RECORDS;
use crate::layout::{
    F_BIG, F_TREE, NO_PAGE, Node, P_KINDS, P_OVERFLOW, PAGE_HEAD, Raw, TREE_LEN, Tree, WORD,
};

/// What stops the walk at an entry.
pub(super) enum EntryStop {
    Damage(String),
    Error(persist_api::Error),
}

impl From<persist_api::Error> for EntryStop {
    fn from(error: persist_api::Error) -> Self {
        Self::Error(error)
    }
}

impl Walk<'_> {
    /// Checks one entry and counts it.
    pub(super) fn entry(&mut self, place: &mut Place, node: &Node<'_>) -> Result<(), EntryStop> {
        let key_max = if place.kind == Kind::Free { WORD } else { KEY_BYTES_MAX };
        let key_min = if place.kind == Kind::Free { WORD } else { 1 };
        if !(key_min..=key_max).contains(&node.key.len()) {
            return Err(EntryStop::Damage(format!("a key of {} bytes", node.key.len())));
        }
        if !follows(place, node.key, false) {
            return Err(EntryStop::Damage("its key is out of order".into()));
        }
        place.count.entries += 1;
        place.count.bytes =
            place.count.bytes.saturating_add((node.key.len() as u64).saturating_add(node.data_len));
        match node.flags {
            0 if place.kind == Kind::Free => self.free_list(node.data),
            0 => Ok(()),
            F_BIG => self.long_value(place, node),
            F_TREE if place.kind == Kind::Main && node.key == RECORDS.as_bytes() => {
                place.records = Tree::parse(node.data).filter(|_| node.data.len() == TREE_LEN);
                Ok(())
            }
            flags => Err(EntryStop::Damage(format!("flags {flags:#x}"))),
        }
    }

    /// A value on pages of its own: only the first has a header, which says how many they are. They may be more than the
    /// value needs, for LMDB writes a shorter value over a longer one and keeps the pages.
    fn long_value(&mut self, place: &mut Place, node: &Node<'_>) -> Result<(), EntryStop> {
        let first = Raw(node.data).word(0).unwrap_or(NO_PAGE);
        let needed = node.data_len.saturating_add(PAGE_HEAD as u64).div_ceil(self.meta.page_bytes);
        if first < 2 || first >= self.file_pages {
            let what = format!("its value lies on page {first}, outside of the file");
            return Err(EntryStop::Damage(what));
        }
        let mut head = [0_u8; PAGE_HEAD];
        self.file.read_at(first.saturating_mul(self.meta.page_bytes), &mut head)?;
        let raw = Raw(&head);
        let is_first = raw.word(0) == Some(first)
            && raw.half(WORD + 2).is_some_and(|flags| flags & P_KINDS == P_OVERFLOW);
        let pages = raw.int(WORD + 4).map_or(0, u64::from);
        if !is_first || pages < needed {
            return Err(EntryStop::Damage(format!("page {first} is not the beginning of its value")));
        }
        for page in (0..pages).map(|at| first.saturating_add(at)) {
            if page < 2 || !self.mark(page) {
                let what = format!("its value lies on page {page}, outside of the file or used twice");
                return Err(EntryStop::Damage(what));
            }
        }
        place.count.overflow_pages = place.count.overflow_pages.saturating_add(pages);
        if place.kind == Kind::Free {
            let list = self.read_value(first, node.data_len, true)?;
            return self.free_list(&list);
        }
        if self.depth == Depth::Values {
            self.read_value(first, node.data_len, false)?;
        }
        Ok(())
    }

    /// Reads a long value in pieces, for the read errors alone unless `keep`.
    fn read_value(&self, first: u64, len: u64, keep: bool) -> Result<Vec<u8>> {
        let begin = first.saturating_mul(self.meta.page_bytes).saturating_add(PAGE_HEAD as u64);
        let mut kept = Vec::new();
        let mut piece = vec![0_u8; usize::try_from(len.min(1 << 20)).unwrap_or(0)];
        let mut done = 0_u64;
        while done < len {
            let want = usize::try_from((len - done).min(piece.len() as u64)).unwrap_or(0);
            let into = piece.get_mut(..want).unwrap_or_default();
            if self.file.read_at(begin.saturating_add(done), into)? < want {
                return Err(corrupt("verify", format!("the value on page {first} is cut off")));
            }
            if keep {
                kept.extend_from_slice(into);
            }
            done += want as u64;
        }
        Ok(kept)
    }

    /// A list of free pages: how many, then their numbers. The last pages of a file may be free and not exist.
    fn free_list(&mut self, list: &[u8]) -> Result<(), EntryStop> {
        let raw = Raw(list);
        let count = raw.word(0).unwrap_or(u64::MAX);
        if (list.len() / WORD) as u64 <= count {
            return Err(EntryStop::Damage(format!("{count} free pages in {} bytes", list.len())));
        }
        let numbers = list.chunks_exact(WORD).skip(1).take(usize::try_from(count).unwrap_or(0));
        for page in numbers.map(|bytes| Raw(bytes).word(0).unwrap_or(NO_PAGE)) {
            if page >= self.file_pages && page <= self.meta.last_page {
                self.free_beyond_file += 1;
            } else if page < 2 || !self.mark(page) {
                let what = format!("page {page} is called free, but is in use, free twice or outside");
                return Err(EntryStop::Damage(what));
            }
        }
        Ok(())
    }
}
