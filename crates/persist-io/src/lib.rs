//! The disk seam: everything that persist writes by itself goes through [`Disk`].
//!
//! A function that writes files takes `&dyn Disk`, so that a simulated disk can be put under it. [`RealDisk`] is the
//! operating system's, [`sim::SimDisk`] one in memory that can fail in every way, and [`sim::explore`] the search that makes
//! it do so; [`Intercepted`] puts something of one's own around the calls of another disk. On top, once for everybody: atomic
//! [`replace`], durable directory creation, [`renew`] for what a failed sync left, the advisory directory lock with the
//! holder's name. This is the only crate that calls the file system for writing.
//!
//! # Mappings
//!
//! [`DiskFile::map`] holds the only `unsafe` block of this crate. A mapped slice is sound as long as its bytes do not
//! change and the file is not cut below them. Callers can promise that because they map only what is finished: sorted
//! runs and segments are written, synced, and then never written again at the same place, and a file is only ever
//! removed (which leaves its mappings alone), not cut, once it can be mapped. Other programs are kept away by the
//! directory lock. What remains is somebody who writes over the files of an open store, from outside and against the
//! lock; every engine on every operating system trusts that this does not happen, and every byte read from a mapping
//! is checked against its checksum before it is believed.
//!
//! It must never know an engine, a format, or the runtime.
//!
//! ```
//! use persist_io::{read_file, replace, RealDisk};
//!
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("settings");
//! replace(&RealDisk, &path, b"old or new, never a mixture")?;
//! assert_eq!(read_file(&RealDisk, &path, 1024)?.as_deref(), Some(b"old or new, never a mixture".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod disk;
mod fully;
mod intercept;
mod lock;
mod mapping;
mod real;
pub mod sim;
mod whole;

pub use disk::{Disk, DiskFile, Entry, EntryKind, FileMode};
pub use intercept::{Call, Intercept, Intercepted, PassOn};
pub use lock::{DirLock, LOCK_FILE, lock_dir};
pub use mapping::Mapping;
pub use real::RealDisk;
pub use whole::{
    absolute, create_dir_durably, read_file, remove_tree, renew, replace, size_of_tree, sync_tree,
};
