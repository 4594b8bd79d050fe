//! R12: a disk that does not do what the engine asks of it must be noticed, or these tests would not notice an engine that
//! does not ask.

#![allow(
    clippy::cast_precision_loss,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "rates for people; names of ours"
)]

use std::path::Path;
use std::sync::Arc;

use persist_api::Result;
use persist_io::sim::SimDisk;
use persist_io::sim::explore::{Explorer, Failure};
use persist_io::{Call, Disk, Intercept, Intercepted, PassOn};

use super::acts::Act;
use super::store::Store;

/// What is left out or done wrong. Names of files by a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Files of this name are never synced.
    NoSync(&'static str),
    /// Directories are never synced.
    NoDirSync,
    /// A failed sync is tried again and believed.
    RetrySync,
    /// What a failed sync left in memory is believed.
    KeepCache,
    /// Only the first half of a write of more than a page is done.
    ShortWrite,
    /// Bytes go a little further than they should.
    Misplaced,
    /// Errors of writing are swallowed.
    SwallowErrors,
    /// Files are renamed before they are synced.
    RenameUnsynced,
}

impl Intercept for Lie {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match (*self, call) {
            (Self::NoSync(part), Call::SyncData) if name.contains(part) => Ok(()),
            (Self::RenameUnsynced, Call::SyncData) if name.contains(".new") => Ok(()),
            (Self::RetrySync, Call::SyncData) => pass_on().or_else(|_| pass_on()),
            (Self::NoDirSync, Call::SyncDir) | (Self::KeepCache, Call::DropCache) => Ok(()),
            (Self::ShortWrite, Call::WriteAt { file, offset, bytes }) if bytes.len() > 600 => {
                file.write_at(offset, &bytes[..bytes.len() / 2])
            }
            (Self::Misplaced, Call::WriteAt { file, offset, bytes })
                if offset >= 64 && name.contains("idx") =>
            {
                file.write_at(offset + 8, bytes)
            }
            (Self::SwallowErrors, Call::WriteAt { .. }) => {
                let _ = pass_on();
                Ok(())
            }
            _ => pass_on(),
        }
    }
}

const ACTS: [Act; 12] = [
    Act::Put(0),
    Act::Large(0),
    Act::Roll(0),
    Act::Durable(1),
    Act::Checkpoint,
    Act::LargeBuffered(1),
    Act::Put(1),
    Act::DeleteRange(1),
    Act::Roll(2),
    Act::Large(2),
    Act::Compact,
    Act::Put(3),
];

/// The search with a lie between engine and disk.
fn search(wrap: fn(SimDisk) -> Arc<dyn Disk>) -> Result<(), Box<Failure>> {
    let explorer = Explorer {
        randoms: 2,
        deep_one_in: 1_000,
        images_max: 8_000,
        lies_stay: false,
        ..Explorer::default()
    };
    // A few beats alone too: what is made into runs is written a second time, which heals much.
    for acts in [&ACTS[..2], &ACTS[..]] {
        let mut store = Store::new(&[], acts);
        store.wrap = wrap;
        explorer.crashes(&store)?;
        store.buffered_stay = false;
        explorer.faults(&store)?;
    }
    Ok(())
}

#[test]
fn on_an_honest_disk_there_is_nothing_to_notice() {
    search(|disk| Arc::new(disk)).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A test for each lie: the search must find it.
macro_rules! caught {
    ($($name:ident: $lie:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let found = search(|disk| Arc::new(Intercepted::new(disk, $lie)));
                let failure = found.expect_err("nobody noticed");
                println!("{:?}: {:?}", $lie, failure.oracle);
            }
        )*
    };
}

caught! {
    no_sync_of_the_timeline_is_noticed: Lie::NoSync("branch.idx.");
    no_sync_of_payloads_is_noticed: Lie::NoSync("branch.dat.");
    no_sync_of_runs_is_noticed: Lie::NoSync("branch.ckp.");
    no_sync_of_anything_is_noticed: Lie::NoSync("");
    no_sync_of_directories_is_noticed: Lie::NoDirSync;
    a_sync_that_is_tried_again_is_noticed: Lie::RetrySync;
    belief_in_what_a_failed_sync_left_is_noticed: Lie::KeepCache;
    a_write_that_ends_early_is_noticed: Lie::ShortWrite;
    a_write_that_goes_elsewhere_is_noticed: Lie::Misplaced;
    errors_that_are_swallowed_are_noticed: Lie::SwallowErrors;
    a_run_that_is_renamed_before_it_is_synced_is_noticed: Lie::RenameUnsynced;
}
