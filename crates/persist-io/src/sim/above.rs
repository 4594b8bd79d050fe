//! A simulated medium below one file of the real disk.

use std::path::Path;

use persist_api::Result;

use super::SimDisk;
use crate::{Call, Disk, FileMode, Intercept, Intercepted, PassOn, RealDisk};

/// Does what is done to files of one name to the file of that name at the root of a simulated disk, too.
#[derive(Debug)]
pub struct Mirror {
    medium: SimDisk,
    name: &'static str,
}

impl SimDisk {
    /// The real disk, for libraries that do I/O of their own: whatever is written, cut or synced through here in files of one
    /// name is also done to the file of that name at the root of this disk. So the real file is what readers see, and the
    /// simulated one says what a power cut leaves of it.
    #[must_use]
    pub fn below_files(&self, name: &'static str) -> Intercepted<RealDisk, Mirror> {
        Intercepted::new(RealDisk, Mirror { medium: self.clone(), name })
    }
}

impl Intercept for Mirror {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        pass_on()?;
        if !path.ends_with(self.name) {
            return Ok(());
        }
        let below = |mode| self.medium.open(&Path::new("/").join(self.name), mode);
        match call {
            Call::Open(mode @ (FileMode::CreateNew | FileMode::OpenOrCreate)) => below(mode).map(drop),
            Call::WriteAt { offset, bytes, .. } => below(FileMode::Write)?.write_at(offset, bytes),
            Call::Truncate(len) => below(FileMode::Write)?.truncate(len),
            Call::SyncData => below(FileMode::Write)?.sync_data(),
            _ => Ok(()),
        }
    }
}
