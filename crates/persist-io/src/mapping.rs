//! Bytes of a file that stay readable after the file handle is gone.

use std::ops::{Deref, Range};
use std::sync::{Arc, Weak};

use memmap2::Mmap;

/// A part of a file: mapped by the operating system, or held in memory by a disk that cannot map. Clones share it. It
/// stays valid after the file was closed, renamed or removed.
///
/// It shows the bytes as they were only as long as nobody writes to that part of the file or cuts it off
/// ([`DiskFile::map`](crate::DiskFile::map)).
#[derive(Clone)]
pub struct Mapping(Held);

#[derive(Clone)]
enum Held {
    Mapped(Arc<Mmap>),
    Owned(Arc<Vec<u8>>),
}

impl Mapping {
    /// A mapping of bytes in memory, for disks that cannot map.
    pub fn of_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::watched(bytes.into()).0
    }

    /// The same, and what tells whether it or a clone of it still lives.
    pub(crate) fn watched(bytes: Vec<u8>) -> (Self, Weak<Vec<u8>>) {
        let bytes = Arc::new(bytes);
        let lives = Arc::downgrade(&bytes);
        (Self(Held::Owned(bytes)), lives)
    }

    pub(crate) fn of_map(map: Mmap) -> Self {
        Self(Held::Mapped(Arc::new(map)))
    }

    /// Asks the system for these bytes, all at once and no others: whoever reads a mapping without that waits for one page
    /// after the other, and for many around each. A hint; it costs a system call, and nothing is read of what is in memory.
    pub fn fetch(&self, range: Range<usize>) {
        if let Held::Mapped(map) = &self.0
            && range.start < range.end
            && range.end <= map.len()
        {
            #[cfg(unix)]
            let _ = map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
    }
}

impl Default for Mapping {
    /// The mapping of no bytes.
    fn default() -> Self {
        Self::of_bytes([])
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Mapped(map) => map,
            Held::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping({} bytes)", self.len())
    }
}
