//! A sync that fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use persist_api::{BeatHeader, Durability, Engine as _, Error, ErrorKind, OpenOptions, Quiet, Result};
use persist_io::{DiskFile, RealDisk};

use super::SqliteEngine;
use crate::driver::open_core;
use crate::settings::Settings;

/// A file whose syncs fail, and are counted.
struct Failing(Arc<AtomicU32>);

impl DiskFile for Failing {
    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(0)
    }

    fn truncate(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(Error::io("sync_file", Path::new("data.db-wal"), std::io::Error::other("no")))
    }
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::default();
    let settings = Settings::of(&options).unwrap();
    let mut core = open_core(&RealDisk, &dir.path().join("home"), &options, settings, &Quiet).unwrap();
    let syncs = Arc::new(AtomicU32::new(0));
    core.wal = Box::new(Failing(Arc::clone(&syncs)));
    let engine = SqliteEngine::new(Arc::new(core), &options);
    let first = BeatHeader::default().next(1, Durability::Buffered, None).unwrap();
    engine.begin_beat(first).unwrap().commit_beat().unwrap();
    assert_eq!(engine.sync().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(engine.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(syncs.load(Ordering::Relaxed), 1);
    let second = first.next(1, Durability::Buffered, None).unwrap();
    assert_eq!(engine.begin_beat(second).err().unwrap().kind(), ErrorKind::Poisoned);
    assert_eq!(engine.view().unwrap().header(), &first);
    // The last connection closes without a checkpoint, which would sync.
    drop(engine);
    assert!(dir.path().join("home/data.db-wal").metadata().unwrap().len() > 0);
}
