//! The system's disk, on which every sync takes longer.

use std::path::Path;

use persist_api::Result;
use persist_io::{Call, Intercept, Intercepted, PassOn, RealDisk};

use crate::limit::SLOW;

/// Makes each sync take a millisecond longer.
pub(crate) struct SlowSyncs;

/// A disk whose syncs take a millisecond longer than the system's.
pub(crate) fn slow_disk() -> Intercepted<RealDisk, SlowSyncs> {
    Intercepted::new(RealDisk, SlowSyncs)
}

impl Intercept for SlowSyncs {
    fn around(&self, _: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        if matches!(call, Call::SyncData | Call::SyncDir) {
            std::thread::sleep(SLOW);
        }
        pass_on()
    }
}
