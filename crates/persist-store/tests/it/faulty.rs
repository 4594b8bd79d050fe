//! A disk that stops at its n-th writing operation, as a crash would: that operation and every later one fails. It also
//! keeps a list of what was done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind, Result};
use persist_io::{Call, FileMode, Intercept, Intercepted, PassOn, RealDisk};

pub struct Faults {
    left: AtomicU64,
    done: Mutex<Vec<(&'static str, PathBuf)>>,
}

/// A disk that fails after `operations` writing operations.
pub fn fails_after(operations: u64) -> Arc<Intercepted<RealDisk, Faults>> {
    let faults = Faults { left: AtomicU64::new(operations), done: Mutex::default() };
    Arc::new(Intercepted::new(RealDisk, faults))
}

impl Intercept for Faults {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let was_stopped = self.stopped();
        let (op, path) = match call {
            Call::Open(FileMode::Read | FileMode::Write)
            | Call::List
            | Call::ReadAt
            | Call::Map
            | Call::DropCache => return pass_on(),
            Call::RenameTo(to) => (Some("rename"), to),
            Call::RemoveFile => (Some("remove_file"), path),
            Call::SyncDir => (Some("sync_dir"), path),
            Call::SyncData => (Some("sync_file"), path),
            _ => (None, path),
        };
        self.spend().inspect_err(|_| match call {
            // A write that fails has written its first half.
            Call::WriteAt { file, offset, bytes } if !was_stopped => {
                file.write_at(offset, &bytes[..bytes.len() / 2]).unwrap();
            }
            _ => {}
        })?;
        self.done.lock().extend(op.map(|op| (op, path.to_path_buf())));
        pass_on()
    }
}

impl Faults {
    /// True when it has failed an operation.
    pub fn stopped(&self) -> bool {
        self.left.load(Ordering::SeqCst) == u64::MAX
    }

    fn spend(&self) -> Result<()> {
        // MAX means stopped for good.
        let next = |left| Some(if left == 0 || left == u64::MAX { u64::MAX } else { left - 1 });
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
            Ok(left) if left != 0 && left != u64::MAX => Ok(()),
            _ => Err(Error::new(ErrorKind::Io, "write", "the disk stopped")),
        }
    }

    /// From now on, fails after `operations` writing operations.
    pub fn stop_after(&self, operations: u64) {
        self.left.store(operations, Ordering::SeqCst);
    }

    /// Where in the list of syncs, renames and removals the last one of this kind and path stands.
    #[track_caller]
    pub fn last_place_of(&self, op: &str, path: &Path) -> usize {
        let done = self.done.lock();
        let place = done.iter().rposition(|(did, at)| *did == op && at == path);
        place.unwrap_or_else(|| panic!("no {op} of {} in {done:#?}", path.display()))
    }

    /// What stands at a place of the list.
    pub fn op_at(&self, place: usize) -> (&'static str, PathBuf) {
        self.done.lock()[place].clone()
    }

    /// How many syncs, renames and removals there were.
    pub fn done(&self) -> usize {
        self.done.lock().len()
    }
}
