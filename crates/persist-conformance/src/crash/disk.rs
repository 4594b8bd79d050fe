//! A disk that remembers what was synced and what was not, and can lose the latter in many ways.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Act, Event, FileChange, Ino, NameChange, ROOT, Tree};
use super::sparse::Sparse;

/// What a disk writes whole or not at all.
pub(crate) const SECTOR: u64 = 512;

/// What a file system adds to the bare promise of `fsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameRules {
    /// Nothing: a name is durable only after its directory was synced, and names of one directory may be lost in any
    /// order that respects what happened to the same name.
    #[default]
    Strict,
    /// As a file system with an ordered journal does: any sync makes every earlier name durable, and names are lost
    /// from the newest backwards.
    Journal,
}

/// Something that happened and may be lost.
#[derive(Debug, Clone)]
struct Pending<T> {
    /// Position of its event.
    at: usize,
    /// When its call returned.
    end: usize,
    what: T,
}

/// Which of the things not synced reach an image.
pub(crate) trait Survives {
    /// Of the writes (positions, ascending) that touched a sector: how many survive, from the first on.
    fn writes(&self, ino: Ino, sector: u64, writes: &[usize]) -> usize;
    /// Whether a change of length or a hole survives.
    fn change(&self, ino: Ino, at: usize) -> bool;
    /// Whether a change of names survives.
    fn names(&self, at: usize) -> bool;
    /// Whether the file is as long as it ever was, with zeros where no write survived.
    fn grows(&self, ino: Ino) -> bool;
    /// What a file that is written through shared memory holds.
    fn scratch(&self, ino: Ino, len: u64) -> Vec<u8>;
}

/// Durable content and pending changes.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    rules: NameRules,
    durable: Tree,
    changes: BTreeMap<Ino, Vec<Pending<FileChange>>>,
    names: Vec<Pending<Vec<NameChange>>>,
    scratch: BTreeSet<Ino>,
    place: usize,
}

impl Disk {
    pub(crate) fn new(base: Tree, rules: NameRules) -> Self {
        Self {
            rules,
            durable: base,
            changes: BTreeMap::new(),
            names: Vec::new(),
            scratch: BTreeSet::new(),
            place: 0,
        }
    }

    /// Lets the next event happen.
    pub(crate) fn step(&mut self, event: &Event) {
        let (at, end) = (self.place, event.end);
        self.place += 1;
        match &event.act {
            Act::NewFile(ino) => {
                self.durable.files.insert(*ino, Sparse::default());
            }
            Act::NewDir(ino) => {
                self.durable.dirs.entry(*ino).or_default();
            }
            Act::Change(ino, change) => {
                let pending = Pending { at, end, what: change.clone() };
                self.changes.entry(*ino).or_default().push(pending);
            }
            Act::Names(changes) => self.names.push(Pending { at, end, what: changes.clone() }),
            Act::Scratch(ino) => {
                self.scratch.insert(*ino);
            }
            Act::Sync(ino) => self.sync(*ino, event.begin),
            Act::SyncRange(ino, from, to) => self.sync_range(*ino, *from, *to),
            Act::SyncAll => {
                let everything: Vec<Ino> = self.changes.keys().copied().collect();
                for ino in everything {
                    self.sync_file(ino, event.begin);
                }
                self.sync_names(event.begin, |_| true);
            }
            Act::Say(_) => {}
        }
    }

    /// How many changes are not durable.
    pub(crate) fn pending(&self) -> usize {
        self.changes.values().map(Vec::len).sum::<usize>() + self.names.len()
    }

    /// Positions of everything that is not durable.
    pub(crate) fn pending_places(&self) -> Vec<usize> {
        let changes = self.changes.values().flatten().map(|pending| pending.at);
        changes.chain(self.names.iter().map(|pending| pending.at)).collect()
    }

    fn sync(&mut self, ino: Ino, before: usize) {
        if self.durable.dirs.contains_key(&ino) {
            self.sync_names(before, |change| change.dir == ino);
        } else {
            self.sync_file(ino, before);
        }
        if self.rules == NameRules::Journal {
            self.sync_names(before, |_| true);
        }
    }

    fn sync_file(&mut self, ino: Ino, before: usize) {
        let Some(pending) = self.changes.remove(&ino) else { return };
        let (done, left): (Vec<_>, Vec<_>) = pending.into_iter().partition(|change| change.end < before);
        let file = self.durable.files.entry(ino).or_default();
        for change in &done {
            change.what.apply(file);
        }
        if !left.is_empty() {
            self.changes.insert(ino, left);
        }
    }

    /// Makes name changes durable, and with each those that happened before to the same names.
    fn sync_names(&mut self, before: usize, wanted: impl Fn(&NameChange) -> bool) {
        let mut needed: BTreeSet<(Ino, Vec<u8>)> = BTreeSet::new();
        let mut done = Vec::new();
        let mut left = Vec::new();
        for pending in std::mem::take(&mut self.names).into_iter().rev() {
            let touches = |change: &NameChange| needed.contains(&(change.dir, change.name.clone()));
            let direct = pending.end < before && pending.what.iter().any(&wanted);
            if direct || pending.what.iter().any(touches) {
                needed.extend(pending.what.iter().map(|change| (change.dir, change.name.clone())));
                done.push(pending);
            } else {
                left.push(pending);
            }
        }
        for pending in done.iter().rev() {
            self.durable.rename(&pending.what);
        }
        left.reverse();
        self.names = left;
    }

    /// Makes the sectors of a range durable, as they are now. A change of length that is pending takes the whole file
    /// along, for the order of both matters.
    fn sync_range(&mut self, ino: Ino, from: u64, to: u64) {
        let Some(pending) = self.changes.get_mut(&ino) else { return };
        if pending.iter().any(|change| !matches!(change.what, FileChange::Write { .. })) {
            return self.sync_file(ino, usize::MAX);
        }
        let (from, to) = (from / SECTOR * SECTOR, to.div_ceil(SECTOR).saturating_mul(SECTOR));
        let file = self.durable.files.entry(ino).or_default();
        let mut left = Vec::new();
        for change in std::mem::take(pending) {
            let FileChange::Write { offset, bytes } = &change.what else { continue };
            let end = offset.saturating_add(bytes.len() as u64);
            for (start, stop, durable) in [
                (*offset, end.min(from), false),
                (from.max(*offset), to.min(end), true),
                (to.max(*offset), end, false),
            ] {
                let Some(bytes) = slice(*offset, bytes, start, stop) else { continue };
                if durable {
                    file.write(start, bytes);
                } else {
                    let what = FileChange::Write { offset: start, bytes: bytes.into() };
                    left.push(Pending { what, ..change });
                }
            }
        }
        if left.is_empty() {
            self.changes.remove(&ino);
        } else {
            *pending = left;
        }
    }

    /// The disk after the power failed now: what was durable, and of the rest what `survives` says.
    pub(crate) fn image(&self, survives: &dyn Survives) -> Tree {
        let mut image = self.seen(survives);
        prune(&mut image);
        image
    }

    /// The same, with files that no name leads to any more, so that no other file gets their numbers.
    pub(crate) fn seen(&self, survives: &dyn Survives) -> Tree {
        let mut image = self.durable.clone();
        let mut lost: BTreeSet<(Ino, &[u8])> = BTreeSet::new();
        let mut cut_off = false;
        for pending in &self.names {
            let keys = || pending.what.iter().map(|change| (change.dir, change.name.as_slice()));
            let blocked = match self.rules {
                NameRules::Strict => keys().any(|key| lost.contains(&key)),
                NameRules::Journal => cut_off,
            };
            if !blocked && survives.names(pending.at) {
                image.rename(&pending.what);
            } else {
                lost.extend(keys());
                cut_off = true;
            }
        }
        for (ino, pending) in &self.changes {
            let file = image.files.entry(*ino).or_default();
            lose(*ino, file, pending, survives);
        }
        for ino in &self.scratch {
            let file = image.files.entry(*ino).or_default();
            let bytes = survives.scratch(*ino, file.len());
            *file = Sparse::from_bytes(&bytes);
        }
        image
    }

    /// This disk when the process that wrote is dead: all that it did lies before whatever the next one does.
    pub(crate) fn of_the_dead(&self) -> Self {
        let mut disk = self.clone();
        disk.changes.values_mut().flatten().for_each(|pending| pending.end = 0);
        disk.names.iter_mut().for_each(|pending| pending.end = 0);
        disk
    }
}

/// The part of a write that lies in `start..stop`.
fn slice(offset: u64, bytes: &[u8], start: u64, stop: u64) -> Option<&[u8]> {
    let inside = |at: u64| usize::try_from(at.checked_sub(offset)?).ok();
    if start >= stop {
        return None;
    }
    bytes.get(inside(start)?..inside(stop)?)
}

/// Applies the pending changes of a file as far as they survive. A sector holds some moment of its history, so of the
/// writes to it the first few survive. What came after a lost cut of the file is lost with it.
fn lose(ino: Ino, file: &mut Sparse, pending: &[Pending<FileChange>], survives: &dyn Survives) {
    let mut longest = file.len();
    let mut kept = 0;
    for change in pending {
        if !matches!(change.what, FileChange::Write { .. }) && !survives.change(ino, change.at) {
            let shrinks = matches!(change.what, FileChange::SetLen(len) if len < longest);
            if shrinks || matches!(change.what, FileChange::Zero { .. }) {
                break;
            }
        }
        longest = match &change.what {
            FileChange::Write { offset, bytes } => longest.max(offset.saturating_add(bytes.len() as u64)),
            FileChange::SetLen(len) => *len,
            FileChange::Zero { .. } => longest,
        };
        kept += 1;
    }
    let pending = pending.get(..kept).unwrap_or(pending);
    let mut history: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for change in pending {
        for sector in sectors(&change.what) {
            history.entry(sector).or_default().push(change.at);
        }
    }
    let last: BTreeMap<u64, usize> = history
        .iter()
        .filter_map(|(sector, writes)| {
            let survive = survives.writes(ino, *sector, writes).min(writes.len());
            Some((*sector, *writes.get(survive.checked_sub(1)?)?))
        })
        .collect();
    for change in pending {
        match &change.what {
            FileChange::Write { offset, bytes } => {
                for sector in sectors(&change.what) {
                    if last.get(&sector).is_some_and(|last| change.at <= *last) {
                        let start = (*offset).max(sector.saturating_mul(SECTOR));
                        let end = offset.saturating_add(bytes.len() as u64);
                        let stop = end.min(sector.saturating_add(1).saturating_mul(SECTOR));
                        file.write(start, slice(*offset, bytes, start, stop).unwrap_or_default());
                    }
                }
            }
            FileChange::SetLen(len) if *len > file.len() && !survives.change(ino, change.at) => {}
            other => other.apply(file),
        }
    }
    if longest > file.len() && survives.grows(ino) {
        file.set_len(longest);
    }
}

fn sectors(change: &FileChange) -> std::ops::Range<u64> {
    match change {
        FileChange::Write { offset, bytes } if !bytes.is_empty() => {
            offset / SECTOR..offset.saturating_add(bytes.len() as u64).div_ceil(SECTOR)
        }
        _ => 0..0,
    }
}

/// Drops what no name leads to.
fn prune(tree: &mut Tree) {
    let (mut reached, mut todo) = (BTreeSet::from([ROOT]), vec![ROOT]);
    while let Some(dir) = todo.pop() {
        for to in tree.dirs.get(&dir).into_iter().flat_map(|entries| entries.values()) {
            if reached.insert(*to) {
                todo.push(*to);
            }
        }
    }
    tree.dirs.retain(|ino, _| reached.contains(ino));
    tree.files.retain(|ino, _| reached.contains(ino));
}

#[cfg(test)]
mod tests;
