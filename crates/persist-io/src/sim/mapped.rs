//! Which bytes of which files are mapped, so that nobody writes over them unseen.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Weak;

use super::tree::Ino;

/// The mappings of a disk, of each file by itself.
#[derive(Debug, Default)]
pub(super) struct Mapped(BTreeMap<Ino, Vec<Extent>>);

/// Bytes that are mapped as long as somebody holds the copy that was given out.
#[derive(Debug)]
struct Extent {
    bytes: Range<u64>,
    held: Weak<Vec<u8>>,
}

impl Mapped {
    /// Notes a mapping.
    pub(super) fn add(&mut self, ino: Ino, bytes: Range<u64>, held: Weak<Vec<u8>>) {
        if bytes.is_empty() {
            return;
        }
        let extents = self.0.entry(ino).or_default();
        if extents.len() == extents.capacity() {
            extents.retain(|extent| extent.held.strong_count() > 0);
            extents.reserve(extents.len() + 16);
        }
        extents.push(Extent { bytes, held });
    }

    /// The files of which something is mapped.
    pub(super) fn files(&self) -> impl Iterator<Item = Ino> {
        let is_held = |extents: &[Extent]| extents.iter().any(|extent| extent.held.strong_count() > 0);
        self.0.iter().filter(move |(_, extents)| is_held(extents)).map(|(ino, _)| *ino)
    }

    /// Ends the program that changes or cuts off what is mapped: a real disk gives readers torn bytes or kills them, and no error.
    #[allow(
        clippy::panic,
        reason = "the caller breaks the contract of `DiskFile::map`; no answer would be honest"
    )]
    pub(super) fn check(&self, ino: Ino, path: &Path, changed: Range<u64>) {
        let Some(extents) = self.0.get(&ino) else { return };
        let hit = |extent: &&Extent| {
            extent.bytes.start < changed.end
                && changed.start < extent.bytes.end
                && extent.held.strong_count() > 0
        };
        if let Some(Extent { bytes, .. }) = extents.iter().find(hit) {
            panic!(
                "bytes {} to {} of {} are changed or cut off while {} to {} are mapped",
                changed.start,
                changed.end,
                path.display(),
                bytes.start,
                bytes.end
            );
        }
    }
}
