//! The disk after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use super::crash::{Crash, Fate, Unit, UnitKind, file_of};
use super::node::{FileNode, What, sectors};
use super::survive::survive;
use super::tree::{Ino, Tree};
use super::{Op, SimDisk};

/// A disk at a moment, from which any number of after-crash disks can be made.
#[derive(Debug, Clone)]
pub struct Cut {
    tree: Tree,
    units: Vec<Unit>,
    /// The units of each file.
    of_file: BTreeMap<Ino, Vec<usize>>,
    seed: u64,
}

/// The state of a disk between two operations.
#[derive(Debug, Clone)]
pub struct CutPoint {
    /// Operations that were done.
    pub after: u64,
    /// What came next; `None` at the end.
    pub next: Option<Op>,
    pub(super) tree: Tree,
}

impl CutPoint {
    /// Prepares the images of this moment.
    #[must_use]
    pub fn cut(&self, seed: u64) -> Cut {
        Cut::new(self.tree.clone(), seed)
    }

    /// The disk that a process leaves which is killed at this moment, the machine going on.
    #[must_use]
    pub fn killed(&self, seed: u64) -> SimDisk {
        let mut tree = self.tree.clone();
        tree.tidy_now(std::iter::empty());
        SimDisk::of_tree(tree, seed)
    }
}

/// The units of one file, the growth of a write before its sectors.
fn units_of(ino: Ino, file: &FileNode, into: &mut Vec<Unit>) {
    let mut len = file.durable.len;
    for change in &file.pending {
        let mut push = |what| into.push(Unit { op: change.op, what });
        match &change.what {
            What::Write { offset, lands, bytes, .. } => {
                let end = offset.saturating_add(bytes.len() as u64);
                if end > len {
                    len = end;
                    push(UnitKind::Growth { file: ino, len });
                }
                for sector in lands.map_or(0..0, |lands| sectors(lands, bytes.len())) {
                    push(UnitKind::Sector { file: ino, sector });
                }
            }
            What::Len(new) => {
                len = *new;
                push(UnitKind::Length { file: ino, len });
            }
            What::Grow(new) => {
                len = len.max(*new);
                push(UnitKind::Growth { file: ino, len: *new });
            }
        }
    }
}

impl Cut {
    pub(super) fn new(mut tree: Tree, seed: u64) -> Self {
        tree.tidy_now(std::iter::empty());
        let mut units: Vec<Unit> =
            tree.names.iter().map(|op| Unit { op: op.op, what: UnitKind::Names }).collect();
        for (ino, file) in &tree.files {
            units_of(*ino, file, &mut units);
        }
        units.sort_by_key(|unit| unit.op);
        let mut of_file: BTreeMap<Ino, Vec<usize>> = BTreeMap::new();
        for (index, unit) in units.iter().enumerate() {
            if let Some(file) = file_of(unit) {
                of_file.entry(file).or_default().push(index);
            }
        }
        Self { tree, units, of_file, seed }
    }

    /// What was not synced, in the order of the operations.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// A unit in words.
    #[must_use]
    pub fn describe(&self, index: usize) -> String {
        let Some(unit) = self.units.get(index) else { return String::from("nothing") };
        let name = file_of(unit).map_or_else(PathBuf::new, |file| self.path_of(file));
        let name = name.display();
        let op = unit.op;
        match unit.what {
            UnitKind::Growth { len, .. } => format!("growth of {name} to {len} by #{op}"),
            UnitKind::Sector { sector, .. } => format!("sector {sector} of {name} by #{op}"),
            UnitKind::Length { len, .. } => format!("length {len} of {name} by #{op}"),
            UnitKind::Names => format!("names by #{op}"),
        }
    }

    fn path_of(&self, ino: Ino) -> PathBuf {
        let found = self.tree.paths().into_iter().find(|(_, to)| *to == ino);
        found.map_or_else(|| format!("removed file {ino}").into(), |(path, _)| path)
    }

    /// A disk that a crash at this moment may have left. All of it is durable; nobody holds a lock.
    #[must_use]
    pub fn image(&self, crash: &Crash) -> SimDisk {
        let fates = crash.fates(&self.units);
        let mut tree = self.tree.clone();
        self.names(&mut tree, &fates);
        for (ino, file) in &mut tree.files {
            if !file.pending.is_empty() || file.diverged {
                let units = self.of_file.get(ino).map_or(&[][..], Vec::as_slice);
                let units: Vec<(Unit, Fate)> = units
                    .iter()
                    .filter_map(|index| Some((*self.units.get(*index)?, *fates.get(*index)?)))
                    .collect();
                let before = file.before.clone();
                *file = Arc::new(FileNode { before, ..FileNode::at_rest(survive(file, &units)) });
            }
        }
        if !self.tree.names.is_empty() {
            tree.tidy_now(std::iter::empty());
        }
        SimDisk::of_tree(tree, self.seed)
    }

    /// Applies the changes of names that survive.
    fn names(&self, tree: &mut Tree, fates: &[Fate]) {
        let of_names = self.units.iter().zip(fates).filter(|(unit, _)| unit.what == UnitKind::Names);
        let mut lost: BTreeSet<(Ino, &OsStr)> = BTreeSet::new();
        tree.names.clear();
        for (op, (_, fate)) in self.tree.names.iter().zip(of_names) {
            let keys = || op.changes.iter().map(|change| (change.dir, change.name.as_os_str()));
            let kept = matches!(fate, Fate::Kept | Fate::Follow);
            if kept && !keys().any(|key| lost.contains(&key)) {
                tree.make_durable(&op.changes);
            } else {
                lost.extend(keys());
            }
        }
        for dir in tree.dirs.values_mut() {
            if dir.live != dir.durable {
                let dir = Arc::make_mut(dir);
                dir.live = dir.durable.clone();
            }
        }
    }
}
