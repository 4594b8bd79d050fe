//! Removing files that are needed no more.

use std::path::Path;

use persist_api::Result;
use persist_io::Disk;

use crate::error::is_no_room;

/// Removes files one at a time, and lets go of each: unless somebody reads it, its room is given back before the next one goes. A
/// file system that tells its disk of free room (`discard`) has all other syncs wait for that: so they wait for one file
/// at a time. Once `is_urgent`, the rest goes at once.
///
/// Answers those that stay, because some file systems need room to remove a file.
///
/// # Errors
/// `Io`.
pub(crate) fn remove_each<F>(
    disk: &dyn Disk,
    dir: &Path,
    files: impl IntoIterator<Item = F>,
    path: impl Fn(&F) -> &Path,
    is_urgent: impl Fn() -> bool,
) -> Result<Vec<F>> {
    let mut stayed = Vec::new();
    for file in files {
        match disk.remove_file(path(&file)) {
            Err(error) if is_no_room(&error) => {
                stayed.push(file);
                continue;
            }
            removed => removed?,
        }
        drop(file);
        if !is_urgent() {
            disk.sync_dir(dir)?;
        }
    }
    Ok(stayed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use parking_lot::Mutex;
    use persist_api::{CompactScope, Driver, Durability, Engine, Error, OpenOptions, Quiet};
    use persist_io::sim::SimDisk;
    use persist_io::{Call, FileMode, Intercept, Intercepted, PassOn};

    use super::*;
    use crate::FlatfileDriver;
    use crate::names::{self, Kind, parse};

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

    fn open(disk: Arc<dyn Disk>) -> Box<dyn Engine> {
        let knobs = [("maintenance", "inline"), ("large_value_bytes", "4096")];
        let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = OpenOptions { knobs: knobs.into(), ..OpenOptions::default() };
        FlatfileDriver::new(disk).open(Path::new("/home"), &options, &Quiet).unwrap()
    }

    fn figure(engine: &dyn Engine, name: &str) -> u64 {
        let stats = engine.stats().unwrap();
        stats.engine.iter().find(|(other, _)| *other == name).unwrap().1
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
        let engine = open(disk);
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

    /// There is no room to remove files of these names, and every sync of a directory is counted.
    struct Stuck(Mutex<&'static str>, AtomicU64);

    impl Intercept for Stuck {
        fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
            let (name, stuck) = (path.to_string_lossy(), *self.0.lock());
            let is_stuck = !stuck.is_empty() && name.contains(stuck) && !name.ends_with(names::UNFINISHED);
            if matches!(call, Call::RemoveFile) && is_stuck {
                return Err(Error::io("remove_file", path, std::io::ErrorKind::StorageFull.into()));
            }
            self.1.fetch_add(u64::from(matches!(call, Call::SyncDir)), Ordering::Relaxed);
            pass_on()
        }
    }

    #[test]
    fn each_removal_is_synced_until_it_is_urgent_and_what_finds_no_room_stays() {
        let sim = SimDisk::new(1);
        let stuck = Arc::new(Stuck(Mutex::new("/b"), AtomicU64::new(0)));
        let disk: Intercepted<_, Stuck> = Intercepted::new(sim.clone(), Arc::clone(&stuck));
        let dir = Path::new("/");
        let paths = ["a", "b", "c", "d"].map(|name| dir.join(name));
        for path in &paths {
            drop(sim.open(path, FileMode::CreateNew).unwrap());
        }
        let syncs = || stuck.1.load(Ordering::Relaxed);
        let stayed = remove_each(&disk, dir, &paths, |path| path.as_path(), || syncs() > 1).unwrap();
        assert_eq!((stayed, syncs()), (vec![&paths[1]], 2), "that of d is not waited for");
        let left: Vec<_> = sim.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [dir.join("b")]);
    }

    #[test]
    fn a_payload_segment_that_cannot_be_removed_counts_until_it_can() {
        let sim = SimDisk::new(1);
        let stuck = Arc::new(Stuck(Mutex::new("branch.dat."), AtomicU64::new(0)));
        let disk: Arc<Intercepted<_, Stuck>> = Arc::new(Intercepted::new(sim, Arc::clone(&stuck)));
        let engine = open(disk);
        let segments = || figure(&*engine, "payload_segments");
        put(&*engine, 1, &[1; 9000]);
        put(&*engine, 1, b"small");
        let stat = engine.compact(CompactScope::default(), &Quiet).unwrap();
        assert_eq!(segments(), 1);
        assert!(stat.bytes_after > 9000);
        // Where runs had to stay, what they refer to stays too.
        *stuck.0.lock() = "branch.ckp.";
        put(&*engine, 1, b"smaller");
        engine.compact(CompactScope::default(), &Quiet).unwrap();
        assert_eq!(segments(), 1);
        *stuck.0.lock() = "";
        engine.compact(CompactScope::default(), &Quiet).unwrap();
        assert_eq!(segments(), 0);
        engine.close().map_err(|(_, error)| error).unwrap();
    }
}
