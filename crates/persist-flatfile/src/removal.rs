//! Removing files that are needed no more.

use std::path::Path;

use persist_api::Result;
use persist_io::Disk;

use crate::error::is_no_room;

/// Removes files one at a time, and lets go of each: its room is given back before the next one goes. A file system that tells its
/// disk of free room (`discard`) has all other syncs wait meanwhile, 40 ms for 30 MB: so they wait for one file, not for
/// all. `is_urgent` ends that: the rest goes at once.
///
/// One that cannot be removed for want of room stays. An opening does not need it either, and tries again.
///
/// # Errors
/// `Io`.
pub(crate) fn remove_each<F>(
    disk: &dyn Disk,
    dir: &Path,
    files: impl IntoIterator<Item = F>,
    path: impl Fn(&F) -> &Path,
    is_urgent: impl Fn() -> bool,
) -> Result<()> {
    for file in files {
        match disk.remove_file(path(&file)) {
            // Some file systems need room for that.
            Err(error) if is_no_room(&error) => continue,
            removed => removed?,
        }
        drop(file);
        if !is_urgent() {
            disk.sync_dir(dir)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use persist_api::{CompactScope, Driver, Durability, Engine, Error, OpenOptions, Quiet};
    use persist_io::sim::SimDisk;
    use persist_io::{Call, FileMode, Intercept, Intercepted, PassOn};

    use super::*;
    use crate::FlatfileDriver;
    use crate::names::{Kind, parse};

    /// The room on the disk whenever files were removed since the directory was synced, and how many they were.
    struct Room(SimDisk, Mutex<(u64, Vec<(u64, u64)>)>);

    impl Intercept for Room {
        fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
            let parsed = path.file_name().and_then(parse);
            let is_data = parsed.is_some_and(|(kind, _)| kind != Kind::Timeline);
            match call {
                Call::RemoveFile if is_data => self.1.lock().0 += 1,
                Call::SyncDir => {
                    pass_on()?;
                    let mut seen = self.1.lock();
                    let removed = std::mem::take(&mut seen.0);
                    if removed > 0 {
                        seen.1.push((removed, self.0.space(path)?.unwrap()));
                    }
                    return Ok(());
                }
                _ => {}
            }
            pass_on()
        }
    }

    fn put(engine: &dyn Engine, key: u8, value: &[u8]) {
        let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        beat.put_record(&[key], value).unwrap();
        beat.commit_beat().unwrap();
    }

    #[test]
    fn what_a_merge_and_a_compaction_remove_is_given_back_file_by_file() {
        let sim = SimDisk::new(1);
        sim.limit_space(Some(1 << 30));
        let room = Arc::new(Room(sim.clone(), Mutex::default()));
        let disk: Arc<Intercepted<_, Room>> = Arc::new(Intercepted::new(sim, Arc::clone(&room)));
        let knobs = [("maintenance", "inline"), ("large_value_bytes", "4096")];
        let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = OpenOptions { knobs: knobs.into(), ..OpenOptions::default() };
        let engine = FlatfileDriver::new(disk).open(Path::new("/home"), &options, &Quiet).unwrap();
        for n in 0..8 {
            put(&*engine, n, &[n; 3000]);
            engine.checkpoint().unwrap();
        }
        let check = |least: usize| {
            let seen = std::mem::take(&mut room.1.lock().1);
            assert!(seen.len() >= least, "{seen:?}");
            assert!(seen.iter().all(|(removed, _)| *removed == 1), "one before the next: {seen:?}");
            assert!(seen.is_sorted_by_key(|(_, room)| *room), "{seen:?}");
            let steps = seen.windows(2).filter(|pair| pair[0].1 < pair[1].1).count();
            assert_eq!(steps + 1, seen.len(), "each gives its room back: {seen:?}");
        };
        // The next commit does what is due.
        put(&*engine, 8, b"");
        check(8);
        for n in 0..3 {
            put(&*engine, n, &[n; 9000]);
            engine.compact(CompactScope::default(), &Quiet).unwrap();
            check(2);
            put(&*engine, n, &[n; 10]);
            engine.compact(CompactScope::default(), &Quiet).unwrap();
            check(3);
        }
        engine.close().map_err(|(_, error)| error).unwrap();
    }

    #[test]
    fn who_is_in_a_hurry_does_not_sync_and_what_finds_no_room_stays() {
        struct Full;
        impl Intercept for Full {
            fn around(
                &self,
                path: &Path,
                call: Call<'_>,
                pass_on: &mut PassOn<'_>,
            ) -> persist_api::Result<()> {
                if matches!(call, Call::SyncDir) {
                    return Err(Error::io("sync_dir", path, std::io::ErrorKind::Other.into()));
                }
                if matches!(call, Call::RemoveFile) && path.ends_with("b") {
                    return Err(Error::io("remove_file", path, std::io::ErrorKind::StorageFull.into()));
                }
                pass_on()
            }
        }
        let sim = SimDisk::new(1);
        let disk = Intercepted::new(sim.clone(), Full);
        let dir = Path::new("/home");
        sim.create_dir(dir).unwrap();
        let paths = ["a", "b", "c"].map(|name| dir.join(name));
        for path in &paths {
            drop(sim.open(path, FileMode::CreateNew).unwrap());
        }
        remove_each(&disk, dir, &paths, |path| path.as_path(), || true).unwrap();
        let left: Vec<_> = sim.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [dir.join("b")]);
        assert!(remove_each(&disk, dir, &paths, |path| path.as_path(), || false).is_err(), "of the sync");
    }
}
