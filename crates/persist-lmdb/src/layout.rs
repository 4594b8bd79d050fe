//! LMDB's file format, as far as it must be known to tell a store from a stranger and a whole file from a cut one.
//!
//! Facts are from the library's source (`MDB_meta`, `MDB_page`, `MDB_node`, `MDB_db`; data version 1): the first two
//! pages are meta pages, written in turn, the one with the higher transaction number counts. Numbers are in the byte
//! order of the machine, and page numbers and sizes as wide as its pointers.

use persist_api::Result;
use persist_io::DiskFile;

use crate::error::corrupt;

/// Bytes of a page number.
pub(crate) const WORD: usize = size_of::<usize>();
/// Bytes before the node offsets of a page.
pub(crate) const PAGE_HEAD: usize = WORD + 8;
/// Bytes of a stored tree description.
pub(crate) const TREE_LEN: usize = 8 + 5 * WORD;
/// Bytes before the key of a node.
pub(crate) const NODE_HEAD: usize = 8;
const META_LEN: usize = 8 + 2 * WORD + 2 * TREE_LEN + 2 * WORD;
const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;
/// "No page": the root of an empty tree.
pub(crate) const NO_PAGE: u64 = usize::MAX as u64;

pub(crate) const P_BRANCH: u16 = 0x01;
pub(crate) const P_LEAF: u16 = 0x02;
pub(crate) const P_OVERFLOW: u16 = 0x04;
const P_META: u16 = 0x08;
/// The kind bits of a page's flags; the others are of no meaning on disk.
pub(crate) const P_KINDS: u16 = 0x6f;

pub(crate) const F_BIG: u16 = 0x01;
pub(crate) const F_TREE: u16 = 0x02;

/// Reads numbers out of bytes, `None` beyond the end.
pub(crate) struct Raw<'b>(pub(crate) &'b [u8]);

impl<'b> Raw<'b> {
    pub(crate) fn bytes(&self, at: usize, len: usize) -> Option<&'b [u8]> {
        self.0.get(at..at.checked_add(len)?)
    }

    pub(crate) fn half(&self, at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(self.bytes(at, 2)?.try_into().ok()?))
    }

    pub(crate) fn int(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(at, 4)?.try_into().ok()?))
    }

    pub(crate) fn word(&self, at: usize) -> Option<u64> {
        Some(usize::from_ne_bytes(self.bytes(at, WORD)?.try_into().ok()?) as u64)
    }
}

/// Description of a tree (`MDB_db`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) pad: u32,
    pub(crate) depth: u16,
    pub(crate) branch_pages: u64,
    pub(crate) leaf_pages: u64,
    pub(crate) overflow_pages: u64,
    pub(crate) entries: u64,
    pub(crate) root: u64,
}

impl Tree {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let raw = Raw(bytes);
        Some(Self {
            pad: raw.int(0)?,
            depth: raw.half(6)?,
            branch_pages: raw.word(8)?,
            leaf_pages: raw.word(8 + WORD)?,
            overflow_pages: raw.word(8 + 2 * WORD)?,
            entries: raw.word(8 + 3 * WORD)?,
            root: raw.word(8 + 4 * WORD)?,
        })
    }
}

/// What one meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_bytes: u64,
    pub(crate) free: Tree,
    pub(crate) main: Tree,
    pub(crate) last_page: u64,
    pub(crate) txn: u64,
}

impl Meta {
    fn parse(page: &[u8]) -> Result<Self, String> {
        let raw = Raw(page);
        let flags = raw.half(WORD + 2).ok_or("cut off")?;
        let magic = raw.int(PAGE_HEAD).ok_or("cut off")?;
        if flags & P_META == 0 || magic != MAGIC {
            return Err("not a meta page of LMDB".into());
        }
        let version = raw.int(PAGE_HEAD + 4).ok_or("cut off")?;
        if version != DATA_VERSION {
            return Err(format!("data version {version} instead of {DATA_VERSION}"));
        }
        let tree = |at: usize| raw.bytes(PAGE_HEAD + at, TREE_LEN).and_then(Tree::parse).ok_or("cut off");
        let trees = 8 + 2 * WORD;
        let tail = PAGE_HEAD + trees + 2 * TREE_LEN;
        let free = tree(trees)?;
        let meta = Self {
            page_bytes: u64::from(free.pad),
            free,
            main: tree(trees + TREE_LEN)?,
            last_page: raw.word(tail).ok_or("cut off")?,
            txn: raw.word(tail + WORD).ok_or("cut off")?,
        };
        if !free.pad.is_power_of_two() || !(512..=65536).contains(&free.pad) {
            return Err(format!("pages of {} bytes", free.pad));
        }
        if meta.last_page < 1 || meta.last_page.checked_mul(meta.page_bytes).is_none() {
            return Err(format!("last page {}", meta.last_page));
        }
        Ok(meta)
    }

    /// Bytes of a file that holds every page.
    pub(crate) fn bytes_needed(&self) -> u64 {
        self.last_page.saturating_add(1).saturating_mul(self.page_bytes)
    }
}

/// Both meta pages, the one that counts first.
pub(crate) fn read_metas(file: &dyn DiskFile) -> Result<[Meta; 2]> {
    let first = read_meta(file, 0)?;
    let second = read_meta(file, first.page_bytes)?;
    if first.page_bytes != second.page_bytes {
        return Err(corrupt("open", "the meta pages differ in their page size"));
    }
    Ok(if second.txn > first.txn { [second, first] } else { [first, second] })
}

fn read_meta(file: &dyn DiskFile, offset: u64) -> Result<Meta> {
    let mut page = [0_u8; PAGE_HEAD + META_LEN];
    let got = file.read_at(offset, &mut page)?;
    Meta::parse(page.get(..got).unwrap_or_default())
        .map_err(|what| corrupt("open", format!("meta page at offset {offset}: {what}")))
}

/// True if the file begins as LMDB's do: the magic number is in one of the places where the meta pages can be.
pub(crate) fn looks_like_lmdb(file: &dyn DiskFile) -> Result<bool> {
    let sizes = (9..=16).map(|bits| 1_u64 << bits);
    for offset in std::iter::once(0).chain(sizes) {
        let mut magic = [0_u8; 4];
        let got = file.read_at(offset.saturating_add(PAGE_HEAD as u64), &mut magic)?;
        if got == magic.len() && u32::from_ne_bytes(magic) == MAGIC {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A node of a page: flags, key, and on leaves the size of its data and the data in the page, on branches the child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'p> {
    pub(crate) flags: u16,
    pub(crate) key: &'p [u8],
    pub(crate) data_len: u64,
    pub(crate) data: &'p [u8],
    pub(crate) child: u64,
}

/// A branch or leaf page, its header checked.
pub(crate) struct Page<'p> {
    raw: Raw<'p>,
    pub(crate) is_branch: bool,
    pub(crate) nodes: usize,
    upper: usize,
}

impl<'p> Page<'p> {
    /// Checks that `bytes` is the branch or leaf page with number `number`.
    pub(crate) fn parse(bytes: &'p [u8], number: u64) -> Result<Self, String> {
        let raw = Raw(bytes);
        let cut = "cut off";
        let own = raw.word(0).ok_or(cut)?;
        let kind = raw.half(WORD + 2).ok_or(cut)? & P_KINDS;
        let lower = usize::from(raw.half(WORD + 4).ok_or(cut)?);
        let upper = usize::from(raw.half(WORD + 6).ok_or(cut)?);
        if own != number {
            return Err(format!("it says that it is page {own}"));
        }
        if kind != P_BRANCH && kind != P_LEAF {
            return Err(format!("it is of kind {kind:#x}, neither branch nor leaf"));
        }
        let fits = PAGE_HEAD <= lower && lower <= upper && upper <= bytes.len() && lower.is_multiple_of(2);
        let nodes = lower.saturating_sub(PAGE_HEAD) / 2;
        if !fits || nodes == 0 {
            return Err(format!("its free space lies from {lower} to {upper}"));
        }
        Ok(Self { raw, is_branch: kind == P_BRANCH, nodes, upper })
    }

    /// The node in place `index`, checked to lie within the page.
    pub(crate) fn node(&self, index: usize) -> Result<Node<'p>, String> {
        self.try_node(index).ok_or_else(|| format!("node {index} lies outside of it"))
    }

    fn try_node(&self, index: usize) -> Option<Node<'p>> {
        let at = usize::from(self.raw.half(PAGE_HEAD.checked_add(index.checked_mul(2)?)?)?);
        if index >= self.nodes || at < self.upper || !at.is_multiple_of(2) {
            return None;
        }
        // The two halves lie in the machine's order, so that together they are one number.
        let low_word = u64::from(self.raw.int(at)?);
        let flags = self.raw.half(at.checked_add(4)?)?;
        let key_len = usize::from(self.raw.half(at.checked_add(6)?)?);
        let key = self.raw.bytes(at.checked_add(NODE_HEAD)?, key_len)?;
        let data_at = at.checked_add(NODE_HEAD)?.checked_add(key_len)?;
        if self.is_branch {
            let high = if WORD == 8 { u64::from(flags) << 32 } else { 0 };
            return Some(Node { flags: 0, key, data_len: 0, data: &[], child: low_word | high });
        }
        let in_page = if flags & F_BIG == 0 { usize::try_from(low_word).ok()? } else { WORD };
        let data = self.raw.bytes(data_at, in_page)?;
        Some(Node { flags, key, data_len: low_word, data, child: NO_PAGE })
    }
}

/// Reads one whole page.
pub(crate) fn read_page(file: &dyn DiskFile, number: u64, page_bytes: u64, into: &mut Vec<u8>) -> Result<()> {
    into.resize(usize::try_from(page_bytes).unwrap_or(usize::MAX), 0);
    let got = file.read_at(number.saturating_mul(page_bytes), into)?;
    if got < into.len() {
        return Err(corrupt("read_page", format!("page {number} lies beyond the end of the file")));
    }
    Ok(())
}

/// A record of the main tree: its value, and where in the file that lies.
pub(crate) struct Stored {
    pub(crate) value: Vec<u8>,
    pub(crate) offset: u64,
}

/// What the main tree stores under `key`. Ours has three entries, so its root is a leaf; another's may have no such leaf,
/// which is `None`.
pub(crate) fn find_in_main(file: &dyn DiskFile, meta: &Meta, key: &[u8]) -> Result<Option<Stored>> {
    if meta.main.root == NO_PAGE {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    read_page(file, meta.main.root, meta.page_bytes, &mut bytes)?;
    let broken = |what: String| corrupt("open", format!("page {}: {what}", meta.main.root));
    let page = Page::parse(&bytes, meta.main.root).map_err(broken)?;
    if page.is_branch {
        return Ok(None);
    }
    for index in 0..page.nodes {
        let node = page.node(index).map_err(broken)?;
        if node.key == key && node.flags == 0 {
            let in_page = node.data.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr()) as u64;
            let offset = meta.main.root.saturating_mul(meta.page_bytes).saturating_add(in_page);
            return Ok(Some(Stored { value: node.data.to_vec(), offset }));
        }
    }
    Ok(None)
}
