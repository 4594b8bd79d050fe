//! Names and files: which name leads where for readers, and on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::content::Content;
use super::node::FileNode;

/// Number of a file or directory.
pub(super) type Ino = u64;

/// The directory that is always there.
pub(super) const ROOT: Ino = 0;

type Names = BTreeMap<OsString, Ino>;

/// A directory.
#[derive(Debug, Clone, Default)]
pub(super) struct DirNode {
    pub(super) live: Names,
    pub(super) durable: Names,
}

/// A name that leads to something else from now on, or to nothing.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) dir: Ino,
    pub(super) name: OsString,
    pub(super) to: Option<Ino>,
}

/// Changes of names that happen together or not at all.
#[derive(Debug)]
pub(super) struct NameOp {
    /// The operation that made them.
    pub(super) op: u64,
    pub(super) changes: Vec<NameChange>,
}

/// The whole disk. Copies share everything.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<Ino, Arc<FileNode>>,
    pub(super) dirs: BTreeMap<Ino, Arc<DirNode>>,
    /// Changes of names that were not synced, oldest first.
    pub(super) names: Vec<Arc<NameOp>>,
    next: Ino,
    /// Nodes after the last look for those that nothing leads to.
    kept: usize,
}

/// A name in a directory that exists, and what it leads to.
pub(super) struct Place {
    pub(super) dir: Ino,
    pub(super) name: OsString,
    pub(super) to: Option<Ino>,
}

/// The plain names of a path, from the root on; `..` is taken literally, as there are no links.
fn plain(path: &Path) -> Vec<&OsStr> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => {
                names.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    names
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            dirs: BTreeMap::from([(ROOT, Arc::default())]),
            names: Vec::new(),
            next: ROOT + 1,
            kept: 0,
        }
    }

    fn walk(&self, names: &[&OsStr]) -> Result<Ino, Errno> {
        let mut at = ROOT;
        for name in names {
            let dir = self.dirs.get(&at).ok_or(Errno::NOTDIR)?;
            at = *dir.live.get(*name).ok_or(Errno::NOENT)?;
        }
        Ok(at)
    }

    /// What a path leads to.
    pub(super) fn find(&self, path: &Path) -> Result<Ino, Errno> {
        self.walk(&plain(path))
    }

    pub(super) fn find_file(&self, path: &Path) -> Result<Ino, Errno> {
        let ino = self.find(path)?;
        if self.files.contains_key(&ino) { Ok(ino) } else { Err(Errno::ISDIR) }
    }

    pub(super) fn find_dir(&self, path: &Path) -> Result<Ino, Errno> {
        let ino = self.find(path)?;
        if self.dirs.contains_key(&ino) { Ok(ino) } else { Err(Errno::NOTDIR) }
    }

    /// Where the name of a path stands, or would.
    pub(super) fn place(&self, path: &Path) -> Result<Place, Errno> {
        let names = plain(path);
        let (name, parents) = names.split_last().ok_or(Errno::BUSY)?;
        let dir = self.walk(parents)?;
        let to = self.dirs.get(&dir).ok_or(Errno::NOTDIR)?.live.get(*name).copied();
        Ok(Place { dir, name: (*name).to_owned(), to })
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> Option<&mut FileNode> {
        self.files.get_mut(&ino).map(Arc::make_mut)
    }

    /// Changes names, not yet durably.
    pub(super) fn change_names(&mut self, op: u64, changes: Vec<NameChange>) {
        for change in &changes {
            if let Some(dir) = self.dirs.get_mut(&change.dir) {
                put(&mut Arc::make_mut(dir).live, change);
            }
        }
        self.names.push(Arc::new(NameOp { op, changes }));
    }

    /// Creates an empty file.
    pub(super) fn new_file(&mut self, op: u64, place: Place) -> Ino {
        let ino = self.number();
        self.files.insert(ino, Arc::default());
        self.change_names(op, vec![NameChange { dir: place.dir, name: place.name, to: Some(ino) }]);
        ino
    }

    /// Creates an empty directory.
    pub(super) fn new_dir(&mut self, op: u64, place: Place) {
        let ino = self.number();
        self.dirs.insert(ino, Arc::default());
        self.change_names(op, vec![NameChange { dir: place.dir, name: place.name, to: Some(ino) }]);
    }

    fn number(&mut self) -> Ino {
        let ino = self.next;
        self.next = self.next.saturating_add(1);
        ino
    }

    /// Puts a file at rest, creating directories; for preparing a disk.
    pub(super) fn put_at_rest(&mut self, path: &Path, content: Content) -> Result<(), Errno> {
        let names = plain(path);
        let (name, parents) = names.split_last().ok_or(Errno::ISDIR)?;
        let mut at = ROOT;
        for parent in parents {
            at = match self.known(at, parent)? {
                Some(ino) => ino,
                None => self.dir_at_rest(at, parent)?,
            };
        }
        if let Some(ino) = self.known(at, name)? {
            *self.file_mut(ino).ok_or(Errno::ISDIR)? = FileNode::at_rest(content);
        } else {
            let ino = self.number();
            self.files.insert(ino, Arc::new(FileNode::at_rest(content)));
            self.name_at_rest(at, name, ino)?;
        }
        Ok(())
    }

    /// Takes away the name of a file at rest.
    pub(super) fn remove_at_rest(&mut self, path: &Path) -> Result<(), Errno> {
        self.find_file(path)?;
        let Place { dir, name, .. } = self.place(path)?;
        let node = self.dirs.get_mut(&dir).map(Arc::make_mut).ok_or(Errno::NOTDIR)?;
        node.live.remove(&name);
        node.durable.remove(&name);
        Ok(())
    }

    fn known(&self, dir: Ino, name: &OsStr) -> Result<Option<Ino>, Errno> {
        Ok(self.dirs.get(&dir).ok_or(Errno::NOTDIR)?.live.get(name).copied())
    }

    fn dir_at_rest(&mut self, dir: Ino, name: &OsStr) -> Result<Ino, Errno> {
        let ino = self.number();
        self.dirs.insert(ino, Arc::default());
        self.name_at_rest(dir, name, ino)?;
        Ok(ino)
    }

    fn name_at_rest(&mut self, dir: Ino, name: &OsStr, to: Ino) -> Result<(), Errno> {
        let dir = self.dirs.get_mut(&dir).map(Arc::make_mut).ok_or(Errno::NOTDIR)?;
        dir.live.insert(name.to_owned(), to);
        dir.durable.insert(name.to_owned(), to);
        Ok(())
    }

    /// Makes the names of a directory durable, and with them what happened before to the same names elsewhere.
    pub(super) fn sync_dir(&mut self, dir: Ino) {
        let mut needed: BTreeSet<(Ino, OsString)> = BTreeSet::new();
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for op in std::mem::take(&mut self.names).into_iter().rev() {
            let wanted = |change: &NameChange| {
                change.dir == dir || needed.contains(&(change.dir, change.name.clone()))
            };
            if op.changes.iter().any(wanted) {
                needed.extend(op.changes.iter().map(|change| (change.dir, change.name.clone())));
                done.push(op);
            } else {
                left.push(op);
            }
        }
        for op in done.iter().rev() {
            self.make_durable(&op.changes);
        }
        left.reverse();
        self.names = left;
    }

    pub(super) fn make_durable(&mut self, changes: &[NameChange]) {
        for change in changes {
            if let Some(dir) = self.dirs.get_mut(&change.dir) {
                put(&mut Arc::make_mut(dir).durable, change);
            }
        }
    }

    /// Bytes of all files that a name leads to, for readers, on the disk or on its way there, and of those that are only held.
    /// It looks at every name.
    pub(super) fn bytes(&self, held: impl Iterator<Item = Ino>) -> u64 {
        let reached = self.reached(held);
        let there = self.files.iter().filter(|(ino, _)| reached.contains(ino));
        there.map(|(_, file)| file.live.len).fold(0, u64::saturating_add)
    }

    /// Drops files that no name leads to, on the disk or for readers, and that nobody holds; once in a while.
    pub(super) fn tidy(&mut self, held: impl Iterator<Item = Ino>) {
        if self.files.len() + self.dirs.len() > 2 * self.kept + 64 {
            self.tidy_now(held);
        }
    }

    pub(super) fn tidy_now(&mut self, held: impl Iterator<Item = Ino>) {
        let reached = self.reached(held);
        self.files.retain(|ino, _| reached.contains(ino));
        self.dirs.retain(|ino, _| reached.contains(ino));
        self.kept = self.files.len() + self.dirs.len();
    }

    /// Files and directories that a name leads to, on the disk or for readers, or that somebody holds.
    fn reached(&self, held: impl Iterator<Item = Ino>) -> BTreeSet<Ino> {
        let mut reached: BTreeSet<Ino> = held.chain([ROOT]).collect();
        reached.extend(self.names.iter().flat_map(|op| &op.changes).filter_map(|change| change.to));
        let mut todo: Vec<Ino> = reached.iter().copied().collect();
        while let Some(ino) = todo.pop() {
            let Some(dir) = self.dirs.get(&ino) else { continue };
            todo.extend(dir.live.values().chain(dir.durable.values()).filter(|to| reached.insert(**to)));
        }
        reached
    }

    /// All paths that readers can reach, with what they lead to, in order.
    pub(super) fn paths(&self) -> Vec<(PathBuf, Ino)> {
        let mut found = Vec::new();
        let mut todo = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, ino)) = todo.pop() {
            let Some(dir) = self.dirs.get(&ino) else { continue };
            for (name, to) in &dir.live {
                found.push((path.join(name), *to));
                todo.push((path.join(name), *to));
            }
        }
        found.sort();
        found
    }
}

fn put(names: &mut Names, change: &NameChange) {
    match change.to {
        Some(to) => names.insert(change.name.clone(), to),
        None => names.remove(&change.name),
    };
}
