//! Keeping the originals: whatever a repair changes is first copied to `damaged/<n>/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, FileMode, create_dir_durably};

use super::examine::OP;
use crate::names::DAMAGED;

/// Bytes copied at a time.
const COPY: usize = 1 << 20;
/// Repairs of one store.
const REPAIRS_MAX: u32 = 10_000;

/// The originals of one repair.
pub(super) struct Kept<'d> {
    disk: &'d dyn Disk,
    home: &'d Path,
    /// Where they are.
    pub(super) dir: PathBuf,
    names: BTreeSet<String>,
}

impl<'d> Kept<'d> {
    /// Begins with the first free `damaged/<n>`.
    pub(super) fn begin(disk: &'d dyn Disk, home: &'d Path) -> Result<Self> {
        let damaged = home.join(DAMAGED);
        create_dir_durably(disk, &damaged)?;
        let there = disk.list(&damaged)?.unwrap_or_default();
        let taken = |n: &u32| there.iter().any(|entry| entry.name.to_str() == Some(&n.to_string()));
        let Some(free) = (1..=REPAIRS_MAX).find(|n| !taken(n)) else {
            let what = "no free number below damaged/; clear it";
            return Err(Error::new(ErrorKind::Io, OP, what).with_path(damaged));
        };
        let dir = damaged.join(free.to_string());
        create_dir_durably(disk, &dir)?;
        Ok(Self { disk, home, dir, names: BTreeSet::new() })
    }

    /// Copies a file, durably, unless it was copied before or is not there.
    pub(super) fn copy(&mut self, name: &str) -> Result<()> {
        let there = self.disk.list(self.home)?.unwrap_or_default();
        if self.names.contains(name) || there.iter().all(|entry| entry.name.to_str() != Some(name)) {
            return Ok(());
        }
        let source = self.disk.open(&self.home.join(name), FileMode::Read)?;
        let target = self.disk.open(&self.dir.join(name), FileMode::CreateNew)?;
        let mut buffer = vec![0; COPY];
        let mut at = 0_u64;
        loop {
            let got = source.read_at(at, &mut buffer)?;
            if got == 0 {
                break;
            }
            target.write_at(at, buffer.get(..got).unwrap_or_default())?;
            at = at.saturating_add(got as u64);
        }
        target.sync_data()?;
        self.disk.sync_dir(&self.dir)?;
        self.names.insert(name.to_owned());
        Ok(())
    }

    /// The names of what was copied.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }
}
