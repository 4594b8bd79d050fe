//! Chunks: what a bundle's file is made of, so that a reader can check as it goes and never needs more than one in memory.

use persist_api::{Advice, Error, ErrorKind, Result};
use persist_io::DiskFile;

/// The first line of every bundle.
pub(super) const MAGIC: &[u8] = b"persist-bundle 1\n";
/// Most payload of a chunk. Every chunk of a part or of the manifest has so much, but the last.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// Kind and length.
const HEAD_BYTES: usize = 5;
const CRC_BYTES: usize = 4;
/// A chunk and the beginning of the next, so that most reads of the file are large.
const READ_BYTES: usize = 2 * (HEAD_BYTES + CHUNK_BYTES + CRC_BYTES);

/// What a chunk carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkKind {
    /// The name of the part that begins here.
    Part,
    /// Bytes of that part.
    Bytes,
    /// Bytes of the manifest.
    Manifest,
    /// The manifest's BLAKE3. Nothing follows.
    End,
}

impl ChunkKind {
    const ALL: [(Self, u8); 4] = [(Self::Part, 1), (Self::Bytes, 2), (Self::Manifest, 3), (Self::End, 4)];

    fn byte(self) -> u8 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, byte)| *byte)
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == byte).map(|(kind, _)| *kind)
    }
}

/// Writes chunks at the end of a file.
pub(super) struct ChunkWriter {
    file: Box<dyn DiskFile>,
    offset: u64,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    /// Begins a bundle in an empty file.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(super) fn begin(file: Box<dyn DiskFile>) -> Result<Self> {
        file.write_at(0, MAGIC)?;
        Ok(Self { file, offset: MAGIC.len() as u64, buffer: Vec::new() })
    }

    /// Writes one chunk. The payload has at most [`CHUNK_BYTES`].
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(super) fn chunk(&mut self, kind: ChunkKind, payload: &[u8]) -> Result<()> {
        self.buffer.clear();
        self.buffer.push(kind.byte());
        self.buffer.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.buffer.extend_from_slice(payload);
        let crc = crc32c::crc32c(&self.buffer);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset = self.offset.saturating_add(self.buffer.len() as u64);
        Ok(())
    }

    /// Bytes written so far.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Makes the file's bytes durable and says how many there are.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn finish(self) -> Result<u64> {
        self.file.sync_data()?;
        Ok(self.offset)
    }
}

/// Reads chunks, checking each.
pub(super) struct ChunkReader<'f> {
    file: &'f dyn DiskFile,
    /// Bytes of the file.
    len: u64,
    /// Where in the file the buffer ends.
    read: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that is not used up yet.
    from: usize,
    to: usize,
}

impl<'f> ChunkReader<'f> {
    /// Begins to read a file of `len` bytes.
    ///
    /// # Errors
    /// `Mismatch` when it is no bundle, or one of another version; `Io`.
    pub(super) fn begin(file: &'f dyn DiskFile, len: u64) -> Result<Self> {
        let mut reader = Self { file, len, read: 0, buffer: vec![0; READ_BYTES], from: 0, to: 0 };
        if reader.fill(MAGIC.len())? != Some(MAGIC) {
            let context = "this is no bundle, or not one of a version that this build reads";
            return Err(Error::new(ErrorKind::Mismatch, "read_bundle", context).with_advice(Advice::FixPath));
        }
        reader.from = MAGIC.len();
        Ok(reader)
    }

    /// Where in the file the next chunk begins.
    pub(super) fn offset(&self) -> u64 {
        self.read.saturating_sub(self.to.saturating_sub(self.from) as u64)
    }

    /// The next chunk, which verified; `None` exactly at the end of the file.
    ///
    /// # Errors
    /// `Corrupt` naming the offset; `Io`.
    pub(super) fn next(&mut self) -> Result<Option<(ChunkKind, &[u8])>> {
        let offset = self.offset();
        if offset == self.len {
            return Ok(None);
        }
        let cut = || corrupt(offset, "the file ends inside of this chunk");
        let head = self.fill(HEAD_BYTES)?.and_then(<[u8]>::first_chunk).copied().ok_or_else(cut)?;
        let [kind, length @ ..]: [u8; HEAD_BYTES] = head;
        let kind = ChunkKind::of_byte(kind).ok_or_else(|| corrupt(offset, "there is no such chunk"))?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok();
        let length = length.filter(|length| (1..=CHUNK_BYTES).contains(length));
        let length = length.ok_or_else(|| corrupt(offset, "a chunk cannot have this length"))?;
        let chunk = HEAD_BYTES.saturating_add(length);
        let whole = chunk.saturating_add(CRC_BYTES);
        self.fill(whole)?.ok_or_else(cut)?;
        let start = self.from;
        self.from = start.saturating_add(whole);
        let bytes = self.buffer.get(start..self.from).ok_or_else(cut)?;
        let (checked, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(cut)?;
        if crc32c::crc32c(checked) != u32::from_le_bytes(*crc) {
            return Err(corrupt(offset, "the checksum does not fit"));
        }
        Ok(Some((kind, checked.get(HEAD_BYTES..).ok_or_else(cut)?)))
    }

    /// The next `count` bytes, which stay to be read; `None` when the file ends before.
    fn fill(&mut self, count: usize) -> Result<Option<&[u8]>> {
        if self.to.saturating_sub(self.from) < count {
            self.buffer.copy_within(self.from..self.to, 0);
            self.to = self.to.saturating_sub(self.from);
            self.from = 0;
            if let Some(free) = self.buffer.get_mut(self.to..) {
                let got = self.file.read_at(self.read, free)?;
                self.read = self.read.saturating_add(got as u64);
                self.to = self.to.saturating_add(got);
            }
        }
        let end = self.from.saturating_add(count);
        Ok(if end <= self.to { self.buffer.get(self.from..end) } else { None })
    }
}

/// What is wrong, and where.
pub(super) fn corrupt(offset: u64, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read_bundle", format!("bundle, offset {offset}: {what}"))
}
