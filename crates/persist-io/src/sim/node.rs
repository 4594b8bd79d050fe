//! One file: what its readers see, what the disk holds, and what is on its way from the one to the other.

use std::ops::Range;
use std::sync::Arc;

use super::content::Content;

/// What a disk writes in one go, in bytes.
pub const SECTOR: u64 = 512;

/// A change of a file that was not synced.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The operation that made it.
    pub(super) op: u64,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// Bytes written at `offset`. On the disk they go to `lands`; to nowhere when the write is to be lost. Only the `asked` ones on
    /// the disk, which a program wrote, are harmed where a sector of it is torn; the others are what memory held beside them.
    Write { offset: u64, lands: Option<u64>, bytes: Arc<[u8]>, asked: Range<u64> },
    /// The file was cut or extended to this length.
    Len(u64),
    /// The file became at least this long, through a write whose bytes are not pending any more.
    Grow(u64),
}

/// The sectors that `len` bytes at `offset` touch.
pub(super) fn sectors(offset: u64, len: usize) -> std::ops::Range<u64> {
    if len == 0 {
        return 0..0;
    }
    offset / SECTOR..offset.saturating_add(len as u64).div_ceil(SECTOR)
}

/// The part of `bytes`, which lie at `offset`, that falls into a sector: where it lies, and the part.
pub(super) fn piece(offset: u64, bytes: &[u8], sector: u64) -> (u64, &[u8]) {
    let from = offset.max(sector.saturating_mul(SECTOR));
    let to = offset.saturating_add(bytes.len() as u64).min(sector.saturating_add(1).saturating_mul(SECTOR));
    let inside = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
    (from, bytes.get(inside(from)..inside(to)).unwrap_or_default())
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    /// What readers see: the memory of the operating system.
    pub(super) live: Content,
    /// What the disk holds.
    pub(super) durable: Content,
    /// What each sector held before the last write to it: what a stale read gives.
    pub(super) before: Content,
    /// What a sync would carry over, oldest first.
    pub(super) pending: Vec<Change>,
    /// True when `live` is not `durable` plus `pending`: a sync failed, or bytes went astray.
    pub(super) diverged: bool,
}

impl FileNode {
    /// A file at rest.
    pub(super) fn at_rest(content: Content) -> Self {
        let (live, before) = (content.clone(), content.clone());
        Self { live, durable: content, before, pending: Vec::new(), diverged: false }
    }

    /// What readers see whom the last writes have not reached: in all sectors, or in one of them (modulo their number).
    pub(super) fn read_stale(&self, offset: u64, into: &mut [u8], only: Option<u64>) {
        let all = sectors(offset, into.len());
        let count = all.end.saturating_sub(all.start);
        let Some(only) = only.map(|only| only.checked_rem(count).unwrap_or(0).saturating_add(all.start))
        else {
            return self.before.read(offset, into);
        };
        let end = offset.saturating_add(into.len() as u64);
        let from = offset.max(only.saturating_mul(SECTOR));
        let to = end.min(only.saturating_add(1).saturating_mul(SECTOR));
        let inside = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(part) = into.get_mut(inside(from)..inside(to)) {
            self.before.read(from, part);
        }
    }

    /// Keeps what the sectors hold that are about to be written.
    fn keep(&mut self, offset: u64, len: usize) {
        let all = sectors(offset, len);
        let from = all.start.saturating_mul(SECTOR);
        let len = all.end.saturating_mul(SECTOR).saturating_sub(from);
        let mut old = vec![0; usize::try_from(len).unwrap_or(0)];
        self.live.read(from, &mut old);
        self.before.write(from, &old);
    }

    /// Writes; on the disk the bytes will go to `lands`.
    pub(super) fn write(&mut self, op: u64, offset: u64, bytes: &[u8], lands: Option<u64>) {
        if bytes.is_empty() {
            return;
        }
        self.keep(offset, bytes.len());
        self.live.write(offset, bytes);
        self.live.len = self.live.len.max(offset.saturating_add(bytes.len() as u64));
        let straight = lands == Some(offset);
        let on_disk = lands.unwrap_or(offset);
        let asked = on_disk..on_disk.saturating_add(bytes.len() as u64);
        let what = if self.diverged && straight {
            // What memory holds of a sector goes to the disk with it, also what an earlier sync failed to write.
            let whole = sectors(offset, bytes.len());
            let from = whole.start.saturating_mul(SECTOR);
            let to = whole.end.saturating_mul(SECTOR).min(self.live.len);
            let mut merged = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
            self.live.read(from, &mut merged);
            What::Write { offset: from, lands: Some(from), bytes: merged.into(), asked }
        } else {
            What::Write { offset, lands, bytes: bytes.into(), asked }
        };
        self.diverged |= !straight;
        self.pending.push(Change { op, what });
    }

    pub(super) fn set_len(&mut self, op: u64, len: u64) {
        self.live.resize(len);
        self.pending.push(Change { op, what: What::Len(len) });
    }

    /// A sync that does what it says.
    pub(super) fn sync(&mut self) {
        if self.diverged {
            for change in std::mem::take(&mut self.pending) {
                change.what.carry(&mut self.durable);
            }
        } else {
            self.pending.clear();
            self.durable = self.live.clone();
        }
    }

    /// A sync that fails and forgets what it had to write: of the bytes only the sectors that `reaches` says arrive.
    /// Changes of length stay on their way.
    pub(super) fn sync_fails(&mut self, mut reaches: impl FnMut(u64) -> bool) {
        let mut len = self.durable.len;
        for change in std::mem::take(&mut self.pending) {
            match &change.what {
                What::Write { offset, lands, bytes, .. } => {
                    for sector in lands.map_or(0..0, |lands| sectors(lands, bytes.len())) {
                        if reaches(sector) {
                            let (at, part) = piece(lands.unwrap_or(0), bytes, sector);
                            self.durable.write(at, part);
                        }
                    }
                    let end = offset.saturating_add(bytes.len() as u64);
                    if end > len {
                        len = end;
                        self.pending.push(Change { op: change.op, what: What::Grow(end) });
                    }
                }
                What::Len(new) => {
                    len = *new;
                    self.pending.push(change);
                }
                What::Grow(new) => {
                    len = len.max(*new);
                    self.pending.push(change);
                }
            }
        }
        self.diverged = true;
    }

    /// Forgets clean memory: readers see what the disk holds and what is still on its way. The length is not part of
    /// that memory.
    pub(super) fn drop_cache(&mut self) {
        if !self.diverged {
            return;
        }
        let mut live = self.durable.clone();
        self.diverged = false;
        for change in &self.pending {
            match &change.what {
                What::Write { offset, lands, bytes, .. } => {
                    live.write(*offset, bytes);
                    self.diverged |= *lands != Some(*offset);
                }
                What::Len(len) => live.resize(*len),
                What::Grow(_) => {}
            }
        }
        live.resize(self.live.len);
        self.live = live;
    }
}

impl What {
    /// Makes the change on the disk.
    fn carry(&self, disk: &mut Content) {
        match self {
            Self::Write { offset, lands, bytes, .. } => {
                if let Some(lands) = lands {
                    disk.write(*lands, bytes);
                }
                let len = disk.len.max(offset.saturating_add(bytes.len() as u64));
                disk.resize(len);
            }
            Self::Len(len) => disk.resize(*len),
            Self::Grow(len) => disk.resize(disk.len.max(*len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable(node: &FileNode) -> Vec<u8> {
        node.durable.to_vec()
    }

    #[test]
    fn a_failed_sync_shows_new_bytes_until_the_memory_is_dropped() {
        let mut node = FileNode::at_rest(Content::of_bytes(&[1; 1024]));
        node.write(1, 0, &[2; 1024], Some(0));
        node.sync_fails(|sector| sector == 1);
        assert_eq!(node.live.to_vec(), [2; 1024]);
        assert_eq!(durable(&node), [[1; 512], [2; 512]].concat());
        // The next sync has nothing to write, and succeeds.
        node.sync();
        assert_eq!(durable(&node), [[1; 512], [2; 512]].concat());
        node.drop_cache();
        assert_eq!(node.live.to_vec(), durable(&node));
    }

    #[test]
    fn a_later_write_takes_its_whole_sector_along() {
        let mut node = FileNode::at_rest(Content::of_bytes(&[1; 1024]));
        node.write(1, 0, &[2; 1024], Some(0));
        node.sync_fails(|_| false);
        node.write(2, 10, &[3], Some(10));
        node.sync();
        let mut expected = [[2; 512], [1; 512]].concat();
        expected[10] = 3;
        assert_eq!(durable(&node), expected);
    }

    #[test]
    fn the_length_of_a_failed_sync_stays_and_its_bytes_read_as_zeros() {
        let mut node = FileNode::default();
        node.write(1, 0, b"lost", Some(0));
        node.sync_fails(|_| false);
        node.drop_cache();
        assert_eq!(node.live.to_vec(), [0; 4]);
        assert_eq!(durable(&node), b"");
        node.sync();
        assert_eq!(durable(&node), [0; 4]);
    }

    #[test]
    fn a_misdirected_write_reads_right_until_the_memory_is_dropped() {
        let mut node = FileNode::at_rest(Content::of_bytes(&[1; 2048]));
        node.write(1, 0, &[2; 512], Some(1024));
        node.sync();
        let astray = [[1; 1024].as_slice(), &[2; 512], &[1; 512]].concat();
        assert_eq!(node.live.to_vec(), [[2; 512].as_slice(), &[1; 1536]].concat());
        assert_eq!(durable(&node), astray);
        node.drop_cache();
        assert_eq!(node.live.to_vec(), astray);
        node.write(2, 0, &[3; 512], None);
        node.sync();
        assert_eq!(durable(&node), astray);
    }

    #[test]
    fn a_stale_read_gives_what_sectors_held_before_their_last_write() {
        let mut node = FileNode::at_rest(Content::of_bytes(&[1; 1536]));
        let stale = |node: &FileNode, only| {
            let mut bytes = node.live.to_vec();
            node.read_stale(0, &mut bytes, only);
            bytes
        };
        assert_eq!(stale(&node, None), [1; 1536]);
        node.write(1, 600, &[2; 8], Some(600));
        node.sync();
        node.write(2, 0, &[3; 512], Some(0));
        node.write(3, 610, &[4; 8], Some(610));
        let first = [[1; 512].as_slice(), &node.live.to_vec()[512..]].concat();
        let mut second = node.live.to_vec();
        second[610..618].fill(1);
        assert_eq!((stale(&node, Some(0)), stale(&node, Some(4))), (first.clone(), second.clone()));
        assert_eq!(stale(&node, None), [&first[..512], &second[512..]].concat());
        // A part of a sector; what was appended was zeros.
        node.write(4, 1536, &[5; 4], Some(1536));
        let mut bytes = [9; 8];
        node.read_stale(1532, &mut bytes, Some(1));
        assert_eq!(bytes, [9, 9, 9, 9, 0, 0, 0, 0]);
    }

    #[test]
    fn pieces_are_cut_at_sectors() {
        assert_eq!(sectors(511, 2), 0..2);
        assert_eq!(sectors(512, 0), 0..0);
        assert_eq!(piece(511, b"ab", 0), (511, b"a".as_slice()));
        assert_eq!(piece(511, b"ab", 1), (512, b"b".as_slice()));
    }
}
