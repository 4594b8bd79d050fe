//! The disk seam: everything that persist writes by itself goes through [`Disk`].
//!
//! A function that writes files takes `&dyn Disk`, so that a simulated disk can be put under it. [`RealDisk`] is the
//! operating system's. On top, once for everybody: atomic [`replace`], durable directory creation, the advisory
//! directory lock with the holder's name. This is the only crate that calls the file system for writing.
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
mod lock;
mod real;
mod whole;

pub use disk::{Disk, DiskFile, Entry, EntryKind, FileMode};
pub use lock::{DirLock, LOCK_FILE, lock_dir};
pub use real::RealDisk;
pub use whole::{create_dir_durably, read_file, remove_tree, replace, size_of_tree, sync_tree};
