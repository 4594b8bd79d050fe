//! The content-addressed blobs of a home: each file is named by the BLAKE3 of its bytes. Layout: `docs/format.md`, *Blobs*.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, Entry, EntryKind, FileMode, create_dir_durably};

/// Name of the directory of content-addressed blobs in a home.
pub const CAS_DIR: &str = "cas";
/// What the name of a blob's file ends in.
const BLOB_SUFFIX: &str = ".blob";
/// What the name of a file ends in that is being written: no blob yet.
const NEW_SUFFIX: &str = ".new";
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The name of a blob: the BLAKE3 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlobName(pub(crate) [u8; 32]);

impl fmt::Display for BlobName {
    /// The path below a home: `cas/<first two digits>/<64 digits>.blob`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = blake3::Hash::from(self.0).to_hex();
        write!(f, "{CAS_DIR}/{}/{hex}{BLOB_SUFFIX}", hex.get(..2).unwrap_or_default())
    }
}

impl BlobName {
    /// Reads exactly what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (_, file) = text.rsplit_once('/')?;
        let name = Self::of_file(OsStr::new(file))?;
        (name.to_string() == text).then_some(name)
    }

    /// The blob whose file has this name.
    fn of_file(file: &OsStr) -> Option<Self> {
        let hex = file.to_str()?.strip_suffix(BLOB_SUFFIX)?;
        let hash = blake3::Hash::from_hex(hex).ok()?;
        (hash.to_hex().as_str() == hex).then_some(Self(*hash.as_bytes()))
    }

    /// Where the blob lies in a home.
    pub(crate) fn path(&self, home: &Path) -> PathBuf {
        home.join(self.to_string())
    }
}

/// Visits the blobs of a home in the order of their names, with their lengths. Files that are being written are left out.
///
/// # Errors
/// `Mismatch` naming what is neither a blob nor a directory of blobs; `Io`; those of `visit`.
pub(crate) fn each_blob(
    disk: &dyn Disk,
    home: &Path,
    visit: &mut dyn FnMut(BlobName, u64) -> Result<()>,
) -> Result<()> {
    let cas = home.join(CAS_DIR);
    for bucket in disk.list(&cas)?.unwrap_or_default() {
        let path = cas.join(&bucket.name);
        if bucket.kind != EntryKind::Dir {
            return Err(stranger(&path));
        }
        let Some(entries) = disk.list(&path)? else {
            // Nobody takes blobs away but the end of a swap, and then all of them.
            let context = "the blobs went away while they were read; the store lives elsewhere now";
            return Err(Error::new(ErrorKind::Stale, "read_blobs", context).with_path(path));
        };
        for entry in entries {
            if let Some(name) = blob_of(home, &path, &entry)? {
                visit(name, entry.len)?;
            }
        }
    }
    Ok(())
}

/// The blob of an entry; `None` for a file that is being written.
fn blob_of(home: &Path, bucket: &Path, entry: &Entry) -> Result<Option<BlobName>> {
    let path = bucket.join(&entry.name);
    let written = entry.name.to_str().and_then(|name| name.strip_suffix(NEW_SUFFIX));
    let name = BlobName::of_file(written.map_or(entry.name.as_os_str(), OsStr::new));
    match name.filter(|name| entry.kind == EntryKind::File && name.path(home).parent() == Some(bucket)) {
        Some(name) => Ok(written.is_none().then_some(name)),
        None => Err(stranger(&path)),
    }
}

fn stranger(path: &Path) -> Error {
    let context = "this is no blob; the directory of blobs holds nothing else";
    Error::new(ErrorKind::Mismatch, "read_blobs", context).with_path(path)
}

/// Reads a blob of a home from its beginning to its end, and checks that its bytes are those of its name. Gives its length.
///
/// # Errors
/// `Corrupt` naming the blob, after its bytes were given to `each`; `Io`; those of `each`.
pub(crate) fn read_blob(
    disk: &dyn Disk,
    home: &Path,
    name: BlobName,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let path = name.path(home);
    let file = disk.open(&path, FileMode::Read)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0_u64;
    loop {
        let got = file.read_at(offset, &mut buffer)?;
        let Some(bytes) = buffer.get(..got).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        each(bytes)?;
        offset = offset.saturating_add(got as u64);
    }
    if *hasher.finalize().as_bytes() != name.0 {
        let context = "the bytes of this blob are not those that its name stands for";
        return Err(Error::new(ErrorKind::Corrupt, "read_blob", context).with_path(path));
    }
    Ok(offset)
}

/// A blob that is being written into a home that is no store yet. Its bytes are checked by who reads them from their source.
pub(crate) struct NewBlob {
    file: Box<dyn DiskFile>,
    offset: u64,
}

impl NewBlob {
    /// Creates the file, and its directory.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn create(disk: &dyn Disk, home: &Path, name: BlobName) -> Result<Self> {
        let path = name.path(home);
        if let Some(bucket) = path.parent() {
            disk.create_dir(bucket)?;
        }
        Ok(Self { file: disk.open(&path, FileMode::CreateNew)?, offset: 0 })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.offset, bytes)?;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

/// A blob that is being written into a store: under another name until it is whole and durable.
pub(crate) struct BlobDraft {
    blob: NewBlob,
    path: PathBuf,
    temporary: PathBuf,
}

impl BlobDraft {
    /// Begins to write it; `None` when the store has it already, durably.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn create(disk: &dyn Disk, home: &Path, name: BlobName) -> Result<Option<Self>> {
        let path = name.path(home);
        let bucket = path.parent().unwrap_or(home);
        create_dir_durably(disk, bucket)?;
        let taken = disk.list(bucket)?.unwrap_or_default();
        if taken.iter().any(|entry| Some(entry.name.as_os_str()) == path.file_name()) {
            // Who put it in place may have died before that was durable, and from now on beats rely on it.
            disk.sync_dir(bucket)?;
            return Ok(None);
        }
        let mut temporary = path.clone().into_os_string();
        temporary.push(NEW_SUFFIX);
        let temporary = PathBuf::from(temporary);
        // What died while it wrote this left no blob.
        disk.remove_file(&temporary)?;
        let file = disk.open(&temporary, FileMode::CreateNew)?;
        Ok(Some(Self { blob: NewBlob { file, offset: 0 }, path, temporary }))
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.blob.write(bytes)
    }

    /// Makes it a blob, durably. Its bytes were checked by who read them.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn put_in_place(self, disk: &dyn Disk) -> Result<()> {
        self.blob.file.sync_data()?;
        disk.rename(&self.temporary, &self.path)?;
        self.path.parent().map_or(Ok(()), |bucket| disk.sync_dir(bucket))
    }
}
