//! Writing the parts of a bundle, its manifest and its end.

use std::path::Path;

use persist_api::{BeatHeader, Observer, Progress, Result};
use persist_io::{Disk, DiskFile};

use super::BundleReport;
use super::chunk::{CHUNK_BYTES, ChunkKind, ChunkWriter};
use super::manifest::{BundleBase, BundleManifest};
use super::part::{Part, PartName};
use crate::StoreDigest;
use crate::cas::{BlobName, each_blob, read_blob};

/// What the last part holds.
pub(super) struct Content {
    pub(super) base: Option<BundleBase>,
    /// Header of the newest beat.
    pub(super) header: BeatHeader,
    pub(super) digest: StoreDigest,
    pub(super) key_bytes_max: u64,
    pub(super) value_bytes_max: u64,
}

/// A bundle as far as it was written.
pub(super) struct Parts<'s> {
    chunks: ChunkWriter,
    seen: &'s dyn Observer,
    /// Payload that is not a whole chunk yet.
    pending: Vec<u8>,
    hasher: blake3::Hasher,
    bytes: u64,
    /// Names and lengths of the blobs. The only thing that grows with the store: 40 bytes a blob.
    blobs: Vec<(BlobName, u64)>,
}

impl<'s> Parts<'s> {
    /// Begins a bundle in an empty file.
    pub(super) fn begin(file: Box<dyn DiskFile>, seen: &'s dyn Observer) -> Result<Self> {
        Ok(Self {
            chunks: ChunkWriter::begin(file)?,
            seen,
            pending: Vec::with_capacity(CHUNK_BYTES),
            hasher: blake3::Hasher::new(),
            bytes: 0,
            blobs: Vec::new(),
        })
    }

    /// Writes every blob of a home.
    pub(super) fn blobs(&mut self, disk: &dyn Disk, home: &Path) -> Result<()> {
        each_blob(disk, home, &mut |name, _| {
            let part = PartName::Blob(name);
            self.begin_part(part)?;
            read_blob(disk, home, name, &mut |bytes| self.add(bytes))?;
            let part = self.end_part(part)?;
            self.blobs.push((name, part.bytes));
            Ok(())
        })
    }

    /// Begins a part.
    pub(super) fn begin_part(&mut self, name: PartName) -> Result<()> {
        self.hasher.reset();
        self.bytes = 0;
        self.chunks.chunk(ChunkKind::Part, name.to_string().as_bytes())
    }

    /// Adds bytes to the part.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.add_as(ChunkKind::Bytes, bytes)
    }

    /// Ends the part.
    pub(super) fn end_part(&mut self, name: PartName) -> Result<Part> {
        self.flush(ChunkKind::Bytes)?;
        Ok(Part { name, bytes: self.bytes, blake3: *self.hasher.finalize().as_bytes() })
    }

    /// Only full chunks are written.
    fn add_as(&mut self, kind: ChunkKind, mut bytes: &[u8]) -> Result<()> {
        loop {
            let room = CHUNK_BYTES.saturating_sub(self.pending.len());
            let Some((now, rest)) = bytes.split_at_checked(room).filter(|(_, rest)| !rest.is_empty()) else {
                self.pending.extend_from_slice(bytes);
                return Ok(());
            };
            self.pending.extend_from_slice(now);
            bytes = rest;
            self.flush(kind)?;
        }
    }

    fn flush(&mut self, kind: ChunkKind) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let progress = Progress { phase: "write", done: self.chunks.offset(), total: None, unit: "bytes" };
        self.seen.step("export", progress)?;
        self.hasher.update(&self.pending);
        self.bytes = self.bytes.saturating_add(self.pending.len() as u64);
        self.chunks.chunk(kind, &self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Writes the manifest and the end after the last part, and syncs.
    pub(super) fn finish(mut self, main: Part, content: &Content) -> Result<BundleReport> {
        let Content { base, header, digest, key_bytes_max, value_bytes_max } = *content;
        let BeatHeader { beat, first_commit, commits, root, .. } = header;
        let blobs = self.blobs.len() as u64;
        let parts = blobs.saturating_add(1);
        let manifest = BundleManifest {
            base,
            beat,
            first_commit,
            commits,
            root,
            digest,
            key_bytes_max,
            value_bytes_max,
            parts,
        };
        self.hasher.reset();
        self.add_as(ChunkKind::Manifest, manifest.head_text().as_bytes())?;
        let mut blob_bytes = 0_u64;
        for (name, bytes) in std::mem::take(&mut self.blobs) {
            let part = Part { name: PartName::Blob(name), bytes, blake3: name.0 };
            self.add_as(ChunkKind::Manifest, part.to_string().as_bytes())?;
            blob_bytes = blob_bytes.saturating_add(bytes);
        }
        self.add_as(ChunkKind::Manifest, main.to_string().as_bytes())?;
        self.flush(ChunkKind::Manifest)?;
        let id = *self.hasher.finalize().as_bytes();
        self.chunks.chunk(ChunkKind::End, &id)?;
        let file_bytes = self.chunks.finish()?;
        Ok(BundleReport { id, manifest, file_bytes, blobs, blob_bytes })
    }
}
