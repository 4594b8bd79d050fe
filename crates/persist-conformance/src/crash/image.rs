//! The images of one moment: which of the things not synced survive, and writing the outcome to a real directory.

use std::fmt;
use std::path::Path;

use persist_api::Result;
use persist_io::{Disk as _, FileMode, RealDisk};

use super::disk::Survives;
use super::event::{Entries, Ino, ROOT, Tree};
use super::rng::Rng;

/// In what way the power cut treats what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of it is lost.
    Nothing,
    /// All of it survives.
    Everything,
    /// Bytes survive, names do not.
    BytesOnly,
    /// Names survive, bytes do not.
    NamesOnly,
    /// One write or name is lost.
    LoseOne,
    /// One write or name survives.
    KeepOne,
    /// Each sector, length and name survives with this chance in a hundred; writes are torn between sectors.
    Percent(u64),
}

impl Kind {
    /// Every kind but `Nothing`.
    pub(crate) const OTHERS: [Self; 8] = [
        Self::Percent(50),
        Self::Everything,
        Self::LoseOne,
        Self::Percent(90),
        Self::BytesOnly,
        Self::KeepOne,
        Self::Percent(12),
        Self::NamesOnly,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing that was not synced"),
            Self::Everything => f.write_str("everything"),
            Self::BytesOnly => f.write_str("bytes without names"),
            Self::NamesOnly => f.write_str("names without bytes"),
            Self::LoseOne => f.write_str("all but one write or name"),
            Self::KeepOne => f.write_str("one write or name"),
            Self::Percent(chance) => write!(f, "{chance} % of sectors and names"),
        }
    }
}

/// The decisions for one image: a function of kind, seed and place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    /// The one of `LoseOne` and `KeepOne`.
    pub(crate) chosen: usize,
}

impl Fate {
    fn rng(&self, what: u64, ino: usize, place: u64) -> Rng {
        Rng::new(&[self.seed, what, ino as u64, place])
    }

    fn one(&self, at: usize, bytes: bool, mut rng: Rng) -> bool {
        match self.kind {
            Kind::Nothing => false,
            Kind::Everything => true,
            Kind::BytesOnly => bytes,
            Kind::NamesOnly => !bytes,
            Kind::LoseOne => at != self.chosen,
            Kind::KeepOne => at == self.chosen,
            Kind::Percent(chance) => rng.below(100) < chance,
        }
    }
}

impl Survives for Fate {
    fn writes(&self, ino: Ino, sector: u64, writes: &[usize]) -> usize {
        let chosen = writes.iter().position(|at| *at == self.chosen);
        match self.kind {
            Kind::Nothing | Kind::NamesOnly => 0,
            Kind::Everything | Kind::BytesOnly => writes.len(),
            Kind::LoseOne => chosen.unwrap_or(writes.len()),
            Kind::KeepOne => chosen.map_or(0, |at| at.saturating_add(1)),
            Kind::Percent(chance) => {
                let mut rng = self.rng(1, ino, sector);
                if rng.below(100) < chance { writes.len() } else { rng.index(writes.len()) }
            }
        }
    }

    fn change(&self, ino: Ino, at: usize) -> bool {
        self.one(at, true, self.rng(2, ino, at as u64))
    }

    fn names(&self, at: usize) -> bool {
        self.one(at, false, self.rng(3, 0, at as u64))
    }

    fn grows(&self, ino: Ino) -> bool {
        matches!(self.kind, Kind::NamesOnly | Kind::Percent(_)) && self.rng(4, ino, 0).one_in(2)
    }

    /// Zeros or noise: the engine must not rely on either.
    fn scratch(&self, ino: Ino, len: u64) -> Vec<u8> {
        let len = usize::try_from(len.min(1 << 22)).unwrap_or(0);
        let mut rng = self.rng(5, ino, 0);
        if self.kind == Kind::Nothing || rng.one_in(2) { vec![0; len] } else { rng.bytes(len) }
    }
}

/// Writes a tree below an existing directory.
///
/// # Errors
/// `Io`, `Full`.
pub(crate) fn write(tree: &Tree, below: &Path) -> Result<()> {
    tree.dirs.get(&ROOT).map_or(Ok(()), |entries| write_entries(tree, entries, below))
}

fn write_entries(tree: &Tree, entries: &Entries, below: &Path) -> Result<()> {
    for (name, ino) in entries {
        let path = below.join(String::from_utf8_lossy(name).as_ref());
        if let Some(entries) = tree.dirs.get(ino) {
            RealDisk.create_dir(&path)?;
            write_entries(tree, entries, &path)?;
        } else if let Some(content) = tree.files.get(ino) {
            let file = RealDisk.open(&path, FileMode::CreateNew)?;
            for (offset, bytes) in content.runs() {
                file.write_at(offset, bytes)?;
            }
            file.truncate(content.len())?;
        }
    }
    Ok(())
}
