//! Reading a bundle from its beginning to its end, every byte checked.

use std::path::{Path, PathBuf};

use persist_api::{Observer, Progress, Result};
use persist_io::{Disk, DiskFile, FileMode};

use super::chunk::{CHUNK_BYTES, ChunkKind, ChunkReader, corrupt as corrupt_at};
use super::commits::{CommitPlace, CommitReader};
use super::manifest::{BundleBase, BundleManifest, HEAD_BYTES_MAX, corrupt};
use super::part::{NAME_BYTES_MAX, Part, PartLines, PartName};
use super::record::RecordReader;
use super::{BundleReport, too_large};
use crate::cas::BlobName;
use crate::log::BeatLog;
use crate::observe::told;

/// How much a reader of bundles accepts. Memory never grows by what a bundle announces, only by what it holds: at most one key
/// and one value, or the commits of one beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of a key.
    pub key_bytes: u64,
    /// Bytes of a value.
    pub value_bytes: u64,
    /// Bytes of the log of a commit in an increment.
    pub commit_bytes: u64,
    /// Commits of one beat of an increment. While a beat is read, each of them takes memory, also an empty one.
    pub beat_commits: u64,
}

impl Default for BundleLimits {
    /// A file of any length, keys to 16 MiB, values and commits to 2 GiB: what any engine of this project could have written.
    /// Beats of 262,144 commits: more than one comes to by itself.
    fn default() -> Self {
        Self {
            file_bytes: u64::MAX,
            key_bytes: 16 << 20,
            value_bytes: 2 << 30,
            commit_bytes: 2 << 30,
            beat_commits: 1 << 18,
        }
    }
}

/// What takes the content of a bundle, piece by piece. A piece was in a chunk that verified; that the part it belongs to is
/// right is known at the end only.
pub(super) trait Receiver {
    /// A blob begins.
    fn blob(&mut self, name: BlobName) -> Result<()> {
        let _ = name;
        Ok(())
    }

    /// Takes the next bytes of that blob.
    fn blob_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// That blob is whole, and what its name says.
    fn blob_done(&mut self) -> Result<()> {
        Ok(())
    }

    /// Takes the next record, in key order.
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let _ = (key, value);
        Ok(())
    }

    /// Takes the next commit of an increment.
    fn commit(&mut self, log: BeatLog, place: CommitPlace) -> Result<()> {
        let _ = (log, place);
        Ok(())
    }
}

/// Checks and takes nothing.
struct Nobody;

impl Receiver for Nobody {}

/// Checks a bundle completely: every chunk, the BLAKE3 of every part, the manifest against what was read. Writes nothing.
///
/// # Errors
/// `Mismatch` for what is no bundle or of another version, `Corrupt` naming the place for a byte that is not as it was
/// written, too few or too many, `TooLarge` beyond `limits`, `Cancelled`, `Io`.
pub fn read_bundle(
    disk: &dyn Disk,
    file: &Path,
    limits: &BundleLimits,
    seen: &dyn Observer,
) -> Result<BundleReport> {
    let check = || BundleFile::open(disk, file)?.check(limits, seen);
    told(check())
}

/// A bundle that is open. Every reading is of this file, whatever its name stands for meanwhile: an export may put another
/// one in its place, and the process may change its directory.
pub(super) struct BundleFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl BundleFile {
    /// Opens it.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), file: disk.open(path, FileMode::Read)? })
    }

    /// As [`read_bundle`].
    pub(super) fn check(&self, limits: &BundleLimits, seen: &dyn Observer) -> Result<BundleReport> {
        self.read(limits, &mut Nobody, "check", seen)
    }

    /// As [`check`](Self::check), and gives the content to a receiver.
    pub(super) fn read(
        &self,
        limits: &BundleLimits,
        receiver: &mut dyn Receiver,
        phase: &'static str,
        seen: &dyn Observer,
    ) -> Result<BundleReport> {
        let len = self.file.len()?;
        let mut read = || -> Result<BundleReport> {
            if len > limits.file_bytes {
                return Err(too_large(format!("{len} bytes; at most {} are read here", limits.file_bytes)));
            }
            let mut chunks = ChunkReader::begin(self.file.as_ref(), len)?;
            let mut reading = Reading::new(receiver, *limits);
            loop {
                let offset = chunks.offset();
                let progress = Progress { phase, done: offset, total: Some(len), unit: "bytes" };
                seen.step("read_bundle", progress)?;
                if reading.done.is_some() && offset < len {
                    return Err(corrupt_at(offset, "something follows the end"));
                }
                let Some((kind, payload)) = chunks.next()? else { break };
                reading.chunk(kind, payload, offset)?;
            }
            reading.finish(len)
        };
        read().map_err(|error| if error.path().is_some() { error } else { error.with_path(&self.path) })
    }
}

/// The part that is being read.
struct Open {
    name: PartName,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// How far a bundle was read.
struct Reading<'r> {
    receiver: &'r mut dyn Receiver,
    records: RecordReader,
    commits: CommitReader,
    open: Option<Open>,
    /// The newest chunk of what is open was not full, so that it was the last.
    short: bool,
    parts: u64,
    lines: PartLines,
    blobs: u64,
    blob_bytes: u64,
    /// The part that comes last.
    main: Option<Part>,
    manifest: Option<Manifest>,
    /// BLAKE3 of the manifest, and what it says, once all of it is known to be so.
    done: Option<([u8; 32], BundleManifest)>,
}

/// The manifest as far as it was read.
#[derive(Default)]
struct Manifest {
    hasher: blake3::Hasher,
    head: Vec<u8>,
    /// What was read of the lines of parts.
    lines: PartLines,
    head_is_whole: bool,
}

impl<'r> Reading<'r> {
    fn new(receiver: &'r mut dyn Receiver, limits: BundleLimits) -> Self {
        Self {
            receiver,
            records: RecordReader::new(limits),
            commits: CommitReader::new(limits),
            open: None,
            short: false,
            parts: 0,
            lines: PartLines::default(),
            blobs: 0,
            blob_bytes: 0,
            main: None,
            manifest: None,
            done: None,
        }
    }

    fn chunk(&mut self, kind: ChunkKind, payload: &[u8], offset: u64) -> Result<()> {
        let refuse = |what: &str| Err(corrupt_at(offset, what));
        let continues = match kind {
            ChunkKind::Bytes => self.open.is_some(),
            ChunkKind::Manifest => self.manifest.is_some(),
            ChunkKind::Part | ChunkKind::End => false,
        };
        if continues && self.short {
            return refuse("something follows a chunk that was not full");
        }
        match kind {
            ChunkKind::Part if self.manifest.is_none() => {
                let before = self.close_part()?;
                let name = PartName::parse(payload).filter(|_| payload.len() <= NAME_BYTES_MAX);
                match name.filter(|name| self.main.is_none() && before.is_none_or(|before| before < *name)) {
                    Some(name) => self.open_part(name)?,
                    None => return refuse("no part can have this name here"),
                }
            }
            ChunkKind::Bytes if self.open.is_some() => self.bytes(payload)?,
            ChunkKind::Manifest if self.manifest.is_some() || self.open.is_some() => {
                self.close_part()?;
                self.manifest.get_or_insert_default().add(payload)?;
            }
            ChunkKind::End => self.end(payload)?,
            _ => return refuse("a chunk of this kind cannot stand here"),
        }
        self.short = payload.len() < CHUNK_BYTES && kind != ChunkKind::Part;
        Ok(())
    }

    fn open_part(&mut self, name: PartName) -> Result<()> {
        self.open = Some(Open { name, hasher: blake3::Hasher::new(), bytes: 0 });
        if let PartName::Blob(name) = name { self.receiver.blob(name) } else { Ok(()) }
    }

    fn bytes(&mut self, payload: &[u8]) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.hasher.update(payload);
        open.bytes = open.bytes.saturating_add(payload.len() as u64);
        match open.name {
            PartName::Blob(_) => self.receiver.blob_bytes(payload),
            PartName::Commits => self.commits.push(payload, self.receiver),
            PartName::Records => self.records.push(payload, self.receiver),
        }
    }

    /// Ends the part that is open, and gives its name.
    fn close_part(&mut self) -> Result<Option<PartName>> {
        let Some(Open { name, hasher, bytes }) = self.open.take() else { return Ok(None) };
        let part = Part { name, bytes, blake3: *hasher.finalize().as_bytes() };
        match name {
            PartName::Blob(blob) if blob.0 == part.blake3 => {
                self.blobs = self.blobs.saturating_add(1);
                self.blob_bytes = self.blob_bytes.saturating_add(bytes);
                self.receiver.blob_done()?;
            }
            PartName::Blob(_) => return Err(corrupt(&format!("the bytes of {name} have another BLAKE3"))),
            PartName::Commits => self.commits.finish()?,
            PartName::Records => self.records.finish()?,
        }
        if !matches!(name, PartName::Blob(_)) {
            self.main = Some(part);
        }
        self.parts = self.parts.saturating_add(1);
        self.lines.add(part.to_string().as_bytes());
        Ok(Some(name))
    }

    /// Compares the manifest with all that was read.
    fn end(&mut self, payload: &[u8]) -> Result<()> {
        let read = self.manifest.take().ok_or_else(|| corrupt("missing"))?;
        let id = *read.hasher.finalize().as_bytes();
        if payload != id {
            return Err(corrupt("its BLAKE3 is not the one at the end of the file"));
        }
        let manifest = BundleManifest::parse_head(&read.head)?;
        if manifest.parts != self.parts || !read.lines.is_same(&self.lines) {
            return Err(corrupt("the parts: not what was read"));
        }
        let main = self.main.ok_or_else(|| corrupt("there is no part but blobs"))?;
        let wrong = match manifest.base {
            None => self.unlike_store(&manifest, &main),
            Some(base) => self.unlike_increment(&manifest, &base, &main),
        };
        if let Some(what) = wrong {
            return Err(corrupt(&format!("{what}: not what was read")));
        }
        self.done = Some((id, manifest));
        Ok(())
    }

    /// What of the manifest of a whole store is not as it was read.
    fn unlike_store(&self, manifest: &BundleManifest, main: &Part) -> Option<&'static str> {
        let tally = self.records.tally();
        first_wrong(&[
            ("the content", main.name == PartName::Records),
            ("the digest", manifest.digest.blake3 == main.blake3),
            ("the number of records", manifest.digest.records == tally.records),
            ("the bytes of records", manifest.digest.bytes == tally.bytes),
            ("the longest key", manifest.key_bytes_max == tally.key_bytes_max),
            ("the longest value", manifest.value_bytes_max == tally.value_bytes_max),
            ("records without a beat", manifest.beat.0 > 0 || tally.records == 0),
        ])
    }

    /// What of the manifest of an increment is not as it was read.
    fn unlike_increment(
        &self,
        manifest: &BundleManifest,
        base: &BundleBase,
        main: &Part,
    ) -> Option<&'static str> {
        let tally = self.commits.tally();
        let newest = manifest.as_base();
        let (commits, root) = match tally.newest {
            Some((commits, root)) => (commits, manifest.root.map(|_| root)),
            None => (manifest.commits, manifest.root),
        };
        first_wrong(&[
            ("the content", main.name == PartName::Commits),
            ("the number of beats", base.beat.0.checked_add(tally.beats) == Some(newest.beat.0)),
            ("the number of commits", base.commit.0.checked_add(tally.commits) == Some(newest.commit.0)),
            ("the commits of the newest beat", manifest.commits == commits),
            ("the root of the newest beat", manifest.root == root),
            ("the digest", tally.commits > 0 || base.digest.is_none() || base.digest == newest.digest),
            ("the longest key", manifest.key_bytes_max == tally.key_bytes_max),
            ("the longest value", manifest.value_bytes_max == tally.value_bytes_max),
        ])
    }

    fn finish(self, file_bytes: u64) -> Result<BundleReport> {
        let done = self.done.ok_or_else(|| corrupt_at(file_bytes, "the file ends before the bundle does"))?;
        let (id, manifest) = done;
        let (blobs, blob_bytes) = (self.blobs, self.blob_bytes);
        Ok(BundleReport { id, manifest, file_bytes, blobs, blob_bytes })
    }
}

fn first_wrong(checks: &[(&'static str, bool)]) -> Option<&'static str> {
    checks.iter().find(|(_, fits)| !fits).map(|(what, _)| *what)
}

impl Manifest {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `Corrupt` when the head does not end where a head must.
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        if self.head_is_whole {
            self.lines.add(bytes);
            return Ok(());
        }
        let had = self.head.len();
        let room = HEAD_BYTES_MAX.saturating_sub(had);
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let end = BundleManifest::head_end(&self.head);
        let end = end.ok_or_else(|| corrupt("its head does not end where it must"))?;
        self.head.truncate(end);
        self.head_is_whole = true;
        self.lines.add(bytes.get(end.saturating_sub(had)..).unwrap_or_default());
        Ok(())
    }
}
