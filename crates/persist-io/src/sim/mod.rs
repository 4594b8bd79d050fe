//! A disk in memory that can fail in every way that disks do, at any operation, and repeatably.
//!
//! [`SimDisk`] is a [`Disk`](crate::Disk): put it under the code to be tested. It keeps, per file and per directory, what
//! readers see and what a crash would leave, with everything that was not synced in between. So it can
//!
//! - say how many [operations](SimDisk::operations) there were and [print](SimDisk::trace) them,
//! - make operation n [fail](SimDisk::plan) in one of many ways ([`Fault`]),
//! - give any disk that a power cut at this moment could leave ([`SimDisk::crash_image`]): each unsynced sector, growth,
//!   length and name by itself kept or lost, sectors torn,
//! - give the disk that a killed process leaves ([`SimDisk::killed`]),
//! - and have its files damaged at rest ([`SimDisk::flip`], [`SimDisk::cut_file`], [`SimDisk::put`], [`SimDisk::take_away`]).
//!
//! [`explore`] does all of it for a given workload, one after the other, and judges what recovery makes of it.
//!
//! ```
//! use persist_io::sim::{Crash, SimDisk};
//! use persist_io::{Disk, FileMode};
//!
//! let disk = SimDisk::new(7);
//! let file = disk.open("/log".as_ref(), FileMode::CreateNew)?;
//! file.write_at(0, b"hello")?;
//! file.sync_data()?;
//! // The bytes are safe, but nobody synced the name.
//! assert!(disk.crash_image(&Crash::Nothing).bytes("/log").is_none());
//! disk.sync_dir("/".as_ref())?;
//! assert_eq!(disk.crash_image(&Crash::Nothing).bytes("/log").as_deref(), Some(b"hello".as_slice()));
//! # Ok::<(), persist_api::Error>(())
//! ```
//!
//! # What the disk promises, and what it does not
//!
//! A sector (512 bytes) is written in one go unless a [`Tear`] says otherwise; a torn write harms no byte outside of
//! itself. What survives of a sector is the sector as it was in memory after one of the writes to it, in any order among
//! sectors. A growth or cut of a file is one step, in order with the other changes of the same file that survive, and
//! independent of the bytes: where it survives without them they read as zeros. A rename is one step. A change of a
//! name is lost together with the earlier changes of that name. A sync of a file makes its bytes and length durable and
//! no name; a sync of a directory makes its names durable and no bytes. Readers never see stale bytes, except after
//! [`DiskFile::drop_cache`](crate::DiskFile::drop_cache) and a [sync that failed](Fault::SyncForgets).
//!
//! Who writes over bytes that are [mapped](crate::DiskFile::map), or cuts them off, is stopped by a panic that names the file and
//! both ranges.

mod above;
mod content;
mod crash;
mod disk;
pub mod explore;
mod fault;
mod file;
mod image;
mod mapped;
mod node;
mod rng;
mod survive;
mod trace;
mod tree;
mod world;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use above::Mirror;
pub use crash::{Crash, Fate, Lengths, Rest, Tear, Unit, UnitKind, every_choice};
pub use fault::{Code, Fault, Forgot, When};
pub use image::{Cut, CutPoint};
pub use node::SECTOR;
pub use rng::Rng;
pub use trace::{Event, Mark, Op, Trace};

use content::Content;
use tree::Tree;
use world::World;

/// A disk in memory; see the [module](self). A clone is the same disk; [`SimDisk::killed`] and [`SimDisk::crash_image`]
/// are other disks.
#[derive(Debug, Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// The state, also when a thread died while it held it: every operation leaves it whole.
fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty disk. Whatever it does by chance follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of_tree(Tree::new(), seed)
    }

    fn of_tree(tree: Tree, seed: u64) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(tree, seed))) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    /// Operations that were begun so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world().ops
    }

    /// What happened so far: the newest 32,768 lines at least.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.world().trace.clone()
    }

    /// Puts a remark of the workload into the trace.
    pub fn mark(&self, mark: Mark) {
        self.world().mark(mark);
    }

    /// Makes operations meet a fault. Of several plans for one operation the first that fits it counts.
    pub fn plan(&self, when: When, fault: Fault) {
        self.world().plans.push((when, fault));
    }

    /// Forgets all plans; what they did stays.
    pub fn unplan(&self) {
        self.world().plans.clear();
    }

    /// The faults that operations have met: number and kind of the operation, and the fault.
    #[must_use]
    pub fn met(&self) -> Vec<(u64, Op, Fault)> {
        self.world().met.clone()
    }

    /// True after a planned crash: nothing works any more.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.world().stopped
    }

    /// Limits the bytes that all files together may have; `None` lifts the limit. A removed file counts until its directory is
    /// synced and nobody has it open or mapped.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.world().space = bytes;
    }

    /// Keeps, from now on, the state before every operation that changes something, for [`SimDisk::cut_points`].
    pub fn keep_cut_points(&self) {
        let mut world = self.world();
        world.cuts.get_or_insert_default();
    }

    /// Takes the states that were kept, and the present one as the last.
    #[must_use]
    pub fn cut_points(&self) -> Vec<CutPoint> {
        let mut world = self.world();
        let mut cuts = world.cuts.take().unwrap_or_default();
        cuts.push(CutPoint { after: world.ops, next: None, tree: world.tree.clone() });
        cuts
    }

    /// The present moment, for making many images of it.
    #[must_use]
    pub fn cut(&self) -> Cut {
        let world = self.world();
        Cut::new(world.tree.clone(), world.seed)
    }

    /// A disk that a power cut now may leave: everything on it is durable, no lock is held. It counts operations from 0.
    #[must_use]
    pub fn crash_image(&self, crash: &Crash) -> Self {
        self.cut().image(crash)
    }

    /// The disk that a killed process leaves, the machine going on: the same bytes for readers, the same things not
    /// synced, no locks, no plans, no trace. A cheap copy too.
    #[must_use]
    pub fn killed(&self) -> Self {
        let world = self.world();
        let mut copy = World::new(world.tree.clone(), world.seed);
        copy.space = world.space;
        copy.tree.tidy_now(std::iter::empty());
        Self { world: Arc::new(Mutex::new(copy)) }
    }

    /// True when readers see bytes in memory that neither are on the disk nor will come to be there.
    fn remembers_more(&self) -> bool {
        self.world().tree.files.values().any(|file| file.diverged)
    }

    /// The files that readers can reach, with their lengths, by path.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let world = self.world();
        let paths = world.tree.paths().into_iter();
        paths.filter_map(|(path, ino)| Some((path, world.tree.files.get(&ino)?.live.len))).collect()
    }

    /// What readers see of a file; `None` when there is no such file.
    #[must_use]
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let world = self.world();
        let ino = world.tree.find_file(path.as_ref()).ok()?;
        Some(world.tree.files.get(&ino)?.live.to_vec())
    }

    /// Puts a file at rest, name and bytes durable, with the directories above it. No operation, no fault. False when
    /// something else stands in the way.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) -> bool {
        self.world().tree.put_at_rest(path.as_ref(), Content::of_bytes(bytes)).is_ok()
    }

    /// Takes away a file at rest, for readers and on the disk. False when it is not there.
    pub fn take_away(&self, path: impl AsRef<Path>) -> bool {
        self.world().tree.remove_at_rest(path.as_ref()).is_ok()
    }

    /// Turns over one bit of a file at rest, for readers and on the disk. False when it is not there.
    pub fn flip(&self, path: impl AsRef<Path>, bit: u64) -> bool {
        self.at_rest(path.as_ref(), |content| {
            content.flip(bit);
            bit / 8 < content.len
        })
    }

    /// Cuts a file at rest, or extends it with zeros, for readers and on the disk. False when it is not there.
    pub fn cut_file(&self, path: impl AsRef<Path>, len: u64) -> bool {
        let fits = len <= content::FILE_BYTES_MAX;
        fits && self.at_rest(path.as_ref(), |content| {
            content.resize(len);
            true
        })
    }

    fn at_rest(&self, path: &Path, mut change: impl FnMut(&mut Content) -> bool) -> bool {
        let mut world = self.world();
        let Ok(ino) = world.tree.find_file(path) else { return false };
        let Some(file) = world.tree.file_mut(ino) else { return false };
        let done = change(&mut file.live);
        change(&mut file.durable) && done
    }

    /// The first path at which two disks differ for a reader: one has it and the other not, or other bytes.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<PathBuf> {
        if Arc::ptr_eq(&self.world, &other.world) {
            return None;
        }
        let (mine, theirs) = (self.world().tree.clone(), other.world().tree.clone());
        let (a, b) = (mine.paths(), theirs.paths());
        for ((path, ino), (other_path, other_ino)) in a.iter().zip(&b) {
            let same = match (mine.files.get(ino), theirs.files.get(other_ino)) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.live.same(&b.live),
                (None, None) => true,
                _ => false,
            };
            if path != other_path || !same {
                return Some(path.min(other_path).clone());
            }
        }
        let longer = if a.len() > b.len() { &a } else { &b };
        longer.get(a.len().min(b.len())).map(|(path, _)| path.clone())
    }
}
