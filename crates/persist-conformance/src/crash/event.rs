//! What a trace means for a file system: writes, lengths, names, syncs, and what the child said in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sparse::Sparse;
use super::words::Word;

/// A file or directory, whatever its names.
pub(crate) type Ino = usize;
/// The entries of a directory.
pub(crate) type Entries = BTreeMap<Vec<u8>, Ino>;

/// The directory that everything lies in.
pub(crate) const ROOT: Ino = 0;

/// One name that points somewhere else from now on, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameChange {
    pub(crate) dir: Ino,
    pub(crate) name: Vec<u8>,
    pub(crate) to: Option<Ino>,
}

/// One change of the content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileChange {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
    Zero { from: u64, to: u64 },
}

impl FileChange {
    pub(crate) fn apply(&self, to: &mut Sparse) {
        match self {
            Self::Write { offset, bytes } => to.write(*offset, bytes),
            Self::SetLen(len) => to.set_len(*len),
            Self::Zero { from, to: end } => to.zero(*from, *end),
        }
    }
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    NewFile(Ino),
    NewDir(Ino),
    Change(Ino, FileChange),
    /// All of it at once: a rename is one act.
    Names(Vec<NameChange>),
    /// The file is written through shared memory, where nothing can be seen.
    Scratch(Ino),
    /// Everything that had happened to the file, or to the names of the directory, when the call began.
    Sync(Ino),
    /// These bytes only: a write through a descriptor that syncs.
    SyncRange(Ino, u64, u64),
    /// Everything.
    SyncAll,
    /// The child said something.
    Say(Word),
}

impl Act {
    /// True for acts that make something durable.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Self::Sync(_) | Self::SyncRange(..) | Self::SyncAll)
    }
}

/// An act and when it happened, by lines of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) act: Act,
}

/// Files and directories as they are at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) dirs: BTreeMap<Ino, Entries>,
    pub(crate) files: BTreeMap<Ino, Sparse>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { dirs: BTreeMap::from([(ROOT, Entries::new())]), files: BTreeMap::new() }
    }
}

impl Tree {
    /// A number that nothing in the tree has.
    fn next(&self) -> Ino {
        let dir = self.dirs.last_key_value().map_or(ROOT, |(ino, _)| *ino);
        let file = self.files.last_key_value().map_or(ROOT, |(ino, _)| *ino);
        dir.max(file).saturating_add(1)
    }

    pub(crate) fn add_dir(&mut self) -> Ino {
        let ino = self.next();
        self.dirs.insert(ino, Entries::new());
        ino
    }

    pub(crate) fn add_file(&mut self, content: Sparse) -> Ino {
        let ino = self.next();
        self.files.insert(ino, content);
        ino
    }

    pub(crate) fn rename(&mut self, changes: &[NameChange]) {
        for change in changes {
            let entries = self.dirs.entry(change.dir).or_default();
            match change.to {
                Some(to) => entries.insert(change.name.clone(), to),
                None => entries.remove(&change.name),
            };
        }
    }

    /// The path of a file below the root, by any of its names; for messages.
    pub(crate) fn path_of(&self, ino: Ino) -> String {
        let mut path = Vec::new();
        let mut at = ino;
        while at != ROOT && path.len() < 64 {
            let parent = self.dirs.iter().find_map(|(dir, entries)| {
                let name = entries.iter().find(|(_, to)| **to == at)?.0;
                Some((*dir, String::from_utf8_lossy(name).into_owned()))
            });
            let Some((dir, name)) = parent else { break };
            path.push(name);
            at = dir;
        }
        path.reverse();
        path.join("/")
    }
}
