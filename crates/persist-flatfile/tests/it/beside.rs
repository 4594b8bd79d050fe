//! Two memtables become runs at the same time; the newer one is done first and has to wait.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet, Result};
use persist_flatfile::FlatfileDriver;
use persist_io::{Disk, DiskFile, Entry, FileMode, Mapping, RealDisk};

/// Syncs the first run only once the second is synced.
#[derive(Default)]
struct SecondFirst {
    second: Mutex<bool>,
    changed: Condvar,
}

struct File {
    disk: Option<(Arc<SecondFirst>, u32)>,
    file: Box<dyn DiskFile>,
}

/// The handle that an engine gets.
struct Shared(Arc<SecondFirst>);

impl Disk for Shared {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let number = name.strip_prefix("branch.ckp.").and_then(|rest| rest.strip_suffix(".new"));
        let disk = number.map(|number| (Arc::clone(&self.0), number.parse().unwrap()));
        Ok(Box::new(File { disk, file: RealDisk.open(path, mode)? }))
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        RealDisk.list(path)
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        RealDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        RealDisk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        RealDisk.try_lock(path)
    }
}

impl DiskFile for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.truncate(len)
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data()?;
        let Some((disk, number)) = &self.disk else { return Ok(()) };
        let mut second = disk.second.lock();
        if *number == 1 {
            let waited = disk.changed.wait_while_for(&mut second, |second| !*second, Duration::from_secs(60));
            assert!(!waited.timed_out(), "nobody makes the second run meanwhile");
        }
        *second |= *number == 2;
        disk.changed.notify_all();
        Ok(())
    }

    fn map(&self, offset: u64, len: u64) -> Result<Mapping> {
        self.file.map(offset, len)
    }

    fn drop_cache(&self) -> Result<()> {
        self.file.drop_cache()
    }
}

#[test]
fn runs_take_their_places_in_the_order_of_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        knobs: [("memtable_bytes".to_owned(), "65536".to_owned())].into(),
        ..OpenOptions::default()
    };
    let driver = FlatfileDriver::new(Arc::new(Shared(Arc::default())));
    let engine = driver.open(dir.path(), &options, &Quiet).unwrap();
    let mut last = BeatHeader::default();
    // Two of these fill a memtable; the third of them is begun.
    for n in 0..5_u8 {
        last = last.next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(last).unwrap();
        beat.put_record(b"newest", &[n]).unwrap();
        beat.put_record(&[n], &vec![n; 40_000]).unwrap();
        beat.commit_beat().unwrap();
    }
    let check = |engine: &dyn persist_api::Engine| {
        let view = engine.view().unwrap();
        assert_eq!(view.get_record(b"newest").unwrap().as_deref(), Some([4].as_slice()));
        for n in 0..5_u8 {
            assert_eq!(view.get_record(&[n]).unwrap().as_deref(), Some(vec![n; 40_000].as_slice()));
        }
        let stats = engine.stats().unwrap().engine;
        for (name, wanted) in [("runs", 3), ("memtables", 1), ("recovered_damaged_spans", 0)] {
            assert!(stats.contains(&(name, wanted)), "{name}: {stats:?}");
        }
    };
    assert_eq!(engine.checkpoint().unwrap().beat, last.beat);
    check(&*engine);
    engine.close().map_err(|(_, error)| error).unwrap();
    let engine = FlatfileDriver::default().open(dir.path(), &options, &Quiet).unwrap();
    check(&*engine);
}
