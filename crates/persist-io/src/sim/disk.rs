//! The directory side of a simulated disk.

use std::path::Path;
use std::sync::{Arc, MutexGuard};

use persist_api::Result;
use rustix::io::Errno;

use super::fault::Fault;
use super::file::SimFile;
use super::trace::Op;
use super::tree::{Ino, NameChange, Place};
use super::world::{Begun, World};
use super::{SimDisk, locked};
use crate::{Disk, DiskFile, Entry, EntryKind, FileMode};

impl SimDisk {
    fn handle(&self, mut world: MutexGuard<'_, World>, ino: Ino, path: Arc<Path>) -> SimFile {
        world.opened(ino);
        SimFile { world: Arc::clone(&self.world), ino, path, writable: true, locked: false }
    }
}

/// The file at a path, created when it may be: not when `create` is missing.
fn find_or_create(world: &mut World, begun: &Begun, create: bool) -> Result<Ino> {
    let place = world.tree.place(&begun.path).map_err(|error| begun.fail(error))?;
    match place.to {
        Some(ino) if world.tree.files.contains_key(&ino) => Ok(ino),
        Some(_) => Err(begun.fail(Errno::ISDIR)),
        None if create => Ok(world.tree.new_file(begun.n, place)),
        None => Err(begun.fail(Errno::NOENT)),
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        let mut world = locked(&self.world);
        let exists = world.tree.find(path).is_ok();
        let create = matches!(mode, FileMode::CreateNew | FileMode::OpenOrCreate);
        let op = if create && !exists { Op::Create } else { Op::Open };
        let begun = world.begin(op, &path.into(), 0, 0)?;
        if exists && mode == FileMode::CreateNew {
            return Err(begun.fail(Errno::EXIST));
        }
        let ino = find_or_create(&mut world, &begun, create)?;
        world.end(&begun)?;
        let mut file = self.handle(world, ino, begun.path);
        file.writable = mode != FileMode::Read;
        Ok(Box::new(file))
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::List, &path.into(), 0, 0)?;
        world.end(&begun)?;
        let dir = match world.tree.find_dir(path) {
            Err(Errno::NOENT) => return Ok(None),
            dir => dir.map_err(|error| begun.fail(error))?,
        };
        let names = world.tree.dirs.get(&dir).map(|dir| &dir.live);
        let entry = |(name, ino): (&std::ffi::OsString, &Ino)| match world.tree.files.get(ino) {
            Some(file) => Entry { name: name.clone(), kind: EntryKind::File, len: file.live.len },
            None => Entry { name: name.clone(), kind: EntryKind::Dir, len: 0 },
        };
        Ok(Some(names.into_iter().flatten().map(entry).collect()))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::CreateDir, &path.into(), 0, 0)?;
        if world.tree.find_dir(path).is_err() {
            let place = world.tree.place(path).map_err(|error| begun.fail(error))?;
            if place.to.is_some() {
                return Err(begun.fail(Errno::EXIST));
            }
            world.tree.new_dir(begun.n, place);
        }
        world.end(&begun)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::Rename, &from.into(), 0, 0)?;
        world.trace.push(super::Event::Mark(super::Mark::Note(format!("to {}", to.display()))));
        rename(&mut world, &begun, from, to).map_err(|error| begun.fail(error))?;
        world.end(&begun)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.remove(Op::RemoveFile, path, |world, ino| {
            if world.tree.files.contains_key(&ino) { Ok(()) } else { Err(Errno::ISDIR) }
        })
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.remove(Op::RemoveDir, path, |world, ino| match world.tree.dirs.get(&ino) {
            Some(dir) if dir.live.is_empty() => Ok(()),
            Some(_) => Err(Errno::NOTEMPTY),
            None => Err(Errno::NOTDIR),
        })
    }

    fn space(&self, _: &Path) -> Result<Option<u64>> {
        let world = locked(&self.world);
        Ok(world.has_limit().then(|| world.room()))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::SyncDir, &path.into(), 0, 0)?;
        let dir = world.tree.find_dir(path).map_err(|error| begun.fail(error))?;
        match begun.fault {
            Some(Fault::SyncLies) => {}
            Some(Fault::SyncForgets(_)) => return Err(begun.fail(Errno::IO)),
            _ => {
                world.tree.sync_dir(dir);
                world.tidy();
            }
        }
        world.end(&begun)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        let mut world = locked(&self.world);
        let op = if world.tree.find(path).is_ok() { Op::Lock } else { Op::Create };
        let begun = world.begin(op, &path.into(), 0, 0)?;
        let ino = find_or_create(&mut world, &begun, true)?;
        world.end(&begun)?;
        if !world.locks.insert(ino) {
            return Ok(None);
        }
        let mut file = self.handle(world, ino, begun.path);
        file.locked = true;
        Ok(Some(Box::new(file)))
    }
}

impl SimDisk {
    fn remove(
        &self,
        op: Op,
        path: &Path,
        check: impl FnOnce(&World, Ino) -> Result<(), Errno>,
    ) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(op, &path.into(), 0, 0)?;
        let place = match world.tree.place(path) {
            Err(Errno::NOENT) => None,
            place => Some(place.map_err(|error| begun.fail(error))?),
        };
        if let Some(Place { dir, name, to: Some(ino) }) = place {
            check(&world, ino).map_err(|error| begun.fail(error))?;
            world.tree.change_names(begun.n, vec![NameChange { dir, name, to: None }]);
        }
        world.end(&begun)
    }
}

/// As rename(2): a file replaces a file, a directory an empty one, both in one step.
fn rename(world: &mut World, begun: &Begun, from: &Path, to: &Path) -> Result<(), Errno> {
    let old = world.tree.place(from)?;
    let new = world.tree.place(to)?;
    let ino = old.to.ok_or(Errno::NOENT)?;
    if new.to == Some(ino) {
        return Ok(());
    }
    let is_dir = world.tree.dirs.contains_key(&ino);
    if is_dir && below(world, ino, new.dir) {
        return Err(Errno::INVAL);
    }
    if let Some(replaced) = new.to {
        match world.tree.dirs.get(&replaced) {
            Some(_) if !is_dir => return Err(Errno::ISDIR),
            Some(dir) if !dir.live.is_empty() => return Err(Errno::NOTEMPTY),
            None if is_dir => return Err(Errno::NOTDIR),
            _ => {}
        }
    }
    let gone = NameChange { dir: old.dir, name: old.name, to: None };
    let there = NameChange { dir: new.dir, name: new.name, to: Some(ino) };
    world.tree.change_names(begun.n, vec![gone, there]);
    Ok(())
}

/// Whether directory `inner` is `outer` or lies in it.
fn below(world: &World, outer: Ino, inner: Ino) -> bool {
    let mut todo = vec![outer];
    while let Some(ino) = todo.pop() {
        if ino == inner {
            return true;
        }
        todo.extend(world.tree.dirs.get(&ino).into_iter().flat_map(|dir| dir.live.values()));
    }
    false
}
