//! A bounded walk over every page of a data file: the checker that LMDB does not have.
//!
//! It reads with ordinary reads, never through the map, and trusts nothing: every page has its own number and a kind
//! that fits, every node lies in its page, keys ascend, counts agree, and every page up to the last is either in one
//! tree, once, or in the list of free pages. Memory: one bit for each page of the file and one page for each level.

use persist_api::Result;
use persist_io::DiskFile;

use self::entry::EntryStop;
use crate::layout::{Meta, NO_PAGE, Page, Tree, read_page};

mod entry;

/// LMDB's cursors are as deep as this at most.
const DEPTH_MAX: usize = 32;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Pages that hold keys, and the first page of each long value.
    Structure,
    /// Every byte of every value as well.
    Values,
}

/// Receives what is wrong, and where.
pub(crate) type Note<'n> = dyn FnMut(String, String) + 'n;
/// Receives how many pages were seen, of how many; an error ends the walk.
pub(crate) type Step<'s> = dyn Fn(u64, u64) -> Result<()> + 's;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Free,
    Main,
    Records,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Free => "free pages",
            Self::Main => "main tree",
            Self::Records => "records",
        }
    }
}

/// What was counted in one tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) branch_pages: u64,
    pub(crate) leaf_pages: u64,
    pub(crate) overflow_pages: u64,
    pub(crate) entries: u64,
    /// Bytes of keys and values.
    pub(crate) bytes: u64,
}

/// What stops the walk of one tree. Damage is noted where it is found and ends the tree; other errors end the walk.
enum Stop {
    Noted,
    Error(persist_api::Error),
}

impl From<persist_api::Error> for Stop {
    fn from(error: persist_api::Error) -> Self {
        Self::Error(error)
    }
}

/// A walk over the state that one meta page describes.
pub(crate) struct Walk<'f> {
    pub(super) file: &'f dyn DiskFile,
    pub(super) meta: Meta,
    pub(super) depth: Depth,
    /// Whole pages in the file, at most up to the last that the meta page knows.
    pub(super) file_pages: u64,
    seen: Vec<u64>,
    pages_seen: u64,
    pub(super) free_beyond_file: u64,
}

/// One tree being walked.
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) count: Count,
    /// The last key, and whether the next may equal it (it follows a separator).
    last_key: Option<(Vec<u8>, bool)>,
    pub(super) records: Option<Tree>,
    depth: u16,
}

impl<'f> Walk<'f> {
    pub(crate) fn new(file: &'f dyn DiskFile, meta: &Meta, depth: Depth) -> Result<Self> {
        let file_pages = (file.len()? / meta.page_bytes).min(meta.last_page.saturating_add(1));
        let words = usize::try_from(file_pages.div_ceil(64)).unwrap_or(usize::MAX);
        let mut walk = Self {
            file,
            meta: *meta,
            depth,
            file_pages,
            seen: vec![0; words],
            pages_seen: 0,
            free_beyond_file: 0,
        };
        walk.mark(0);
        walk.mark(1);
        Ok(walk)
    }

    /// Walks all three trees; answers what the tree of records holds.
    pub(crate) fn run(mut self, note: &mut Note<'_>, step: &Step<'_>) -> Result<Count> {
        let meta = self.meta;
        let main = self.tree(Kind::Main, &meta.main, note, step)?;
        let mut count = Count::default();
        if let Some(main) = &main {
            match main.records {
                Some(tree) => {
                    count = self.tree(Kind::Records, &tree, note, step)?.map_or(count, |place| place.count);
                }
                None => note("the tree of records is missing".into(), "main tree".into()),
            }
        }
        let free = self.tree(Kind::Free, &meta.free, note, step)?;
        if main.is_some() && free.is_some() {
            let known = self.pages_seen.saturating_add(self.free_beyond_file);
            let all = meta.last_page.saturating_add(1);
            if known != all {
                note(format!("{} of {all} pages are in no tree", all.saturating_sub(known)), "file".into());
            }
        }
        Ok(count)
    }

    /// Marks a page; false if it was marked before or lies outside of the file.
    pub(super) fn mark(&mut self, page: u64) -> bool {
        let slot = usize::try_from(page / 64).ok().and_then(|at| self.seen.get_mut(at));
        match slot {
            Some(word) if page < self.file_pages && *word & (1 << (page % 64)) == 0 => {
                *word |= 1 << (page % 64);
                self.pages_seen += 1;
                true
            }
            _ => false,
        }
    }

    /// `None` if the tree is damaged.
    fn tree(
        &mut self,
        kind: Kind,
        tree: &Tree,
        note: &mut Note<'_>,
        step: &Step<'_>,
    ) -> Result<Option<Place>> {
        let mut place =
            Place { kind, count: Count::default(), last_key: None, records: None, depth: tree.depth };
        if tree.root != NO_PAGE {
            match self.page(&mut place, tree.root, 1, note, step) {
                Ok(()) => {}
                Err(Stop::Noted) => return Ok(None),
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        let count = place.count;
        let counted = [count.branch_pages, count.leaf_pages, count.overflow_pages, count.entries];
        let claimed = [tree.branch_pages, tree.leaf_pages, tree.overflow_pages, tree.entries];
        for ((counted, claimed), what) in
            counted.into_iter().zip(claimed).zip(["branch pages", "leaf pages", "overflow pages", "entries"])
        {
            if counted != claimed {
                note(format!("{counted} {what} found where {claimed} are claimed"), kind.name().into());
            }
        }
        Ok(Some(place))
    }

    fn page(
        &mut self,
        place: &mut Place,
        number: u64,
        level: usize,
        note: &mut Note<'_>,
        step: &Step<'_>,
    ) -> Result<(), Stop> {
        let kind = place.kind;
        let mut damage = |what: String| -> Stop {
            note(what, format!("{}, page {number}", kind.name()));
            Stop::Noted
        };
        if number < 2 || !self.mark(number) {
            return Err(damage("refers to a page outside of the file or used twice".into()));
        }
        if level > DEPTH_MAX.min(usize::from(place.depth)) {
            return Err(damage("lies deeper than the tree is".into()));
        }
        step(self.pages_seen, self.file_pages.max(self.pages_seen))?;
        let mut bytes = Vec::new();
        read_page(self.file, number, self.meta.page_bytes, &mut bytes)?;
        let page = Page::parse(&bytes, number).map_err(&mut damage)?;
        let is_last = level == usize::from(place.depth);
        if page.is_branch == is_last || (page.is_branch && kind != Kind::Free && page.nodes < 2) {
            return Err(damage("is of the wrong kind for its depth, or has too few nodes".into()));
        }
        if page.is_branch {
            place.count.branch_pages += 1;
            return self.children(place, &page, (number, level), note, step);
        }
        place.count.leaf_pages += 1;
        for index in 0..page.nodes {
            let node = page.node(index).map_err(&mut damage)?;
            self.entry(place, &node).map_err(|stop| match stop {
                EntryStop::Damage(what) => damage(format!("entry {index}: {what}")),
                EntryStop::Error(error) => Stop::Error(error),
            })?;
        }
        Ok(())
    }

    /// Walks what a branch page refers to, each child between the separators at its sides.
    fn children(
        &mut self,
        place: &mut Place,
        page: &Page<'_>,
        (number, level): (u64, usize),
        note: &mut Note<'_>,
        step: &Step<'_>,
    ) -> Result<(), Stop> {
        for index in 0..page.nodes {
            let node = page.node(index).and_then(|node| {
                let fits = index == 0 || follows(place, node.key, true);
                fits.then_some(node).ok_or_else(|| format!("separator {index} is out of order"))
            });
            match node {
                Ok(node) => self.page(place, node.child, level + 1, note, step)?,
                Err(what) => {
                    note(what, format!("{}, page {number}", place.kind.name()));
                    return Err(Stop::Noted);
                }
            }
        }
        Ok(())
    }
}

/// True if a key follows what was seen of its tree; remembers it. The first key below a separator may equal it.
pub(super) fn follows(place: &mut Place, key: &[u8], is_separator: bool) -> bool {
    // Keys of the free tree are numbers in the machine's order.
    let swap = place.kind == Kind::Free && cfg!(target_endian = "little");
    let key: Vec<u8> = if swap { key.iter().rev().copied().collect() } else { key.to_vec() };
    let fits = match &place.last_key {
        None => true,
        Some((last, true)) if !is_separator => *last <= key,
        Some((last, _)) => *last < key,
    };
    place.last_key = Some((key, is_separator));
    fits
}
