//! Reading a segment through a buffer of bounded size.

use std::cell::Cell;

use crc32c::crc32c_append;
use persist_api::{Observer, Progress, Result};
use persist_io::DiskFile;

use crate::timeline::frame::{FRAME_FOOTER, FRAME_HEADER, Footer, FrameHead};

/// Bytes read at a time.
pub(super) const WINDOW: usize = 512 << 10;

/// Counts what is read, and asks whether to go on.
pub(super) struct Meter<'a> {
    seen: &'a dyn Observer,
    done: Cell<u64>,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(seen: &'a dyn Observer, total: u64) -> Self {
        Self { seen, done: Cell::new(0), total }
    }

    pub(super) fn add(&self, bytes: u64) -> Result<()> {
        // Looking ahead reads some bytes twice.
        let done = self.done.get().saturating_add(bytes).min(self.total);
        self.done.set(done);
        self.seen.step("open", Progress { phase: "replay", done, total: Some(self.total), unit: "bytes" })
    }
}

/// A file, seen through a buffer.
pub(super) struct Window<'a> {
    file: Box<dyn DiskFile>,
    meter: &'a Meter<'a>,
    len: u64,
    buffer: Vec<u8>,
    start: u64,
    have: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: Box<dyn DiskFile>, len: u64, meter: &'a Meter<'a>) -> Self {
        let room = usize::try_from(len).unwrap_or(WINDOW).min(WINDOW);
        Self { file, meter, len, buffer: vec![0; room], start: 0, have: 0 }
    }

    /// Up to `n` bytes at `offset`, `n` at most [`WINDOW`]; fewer only where the file ends.
    #[inline]
    pub(super) fn get(&mut self, offset: u64, n: usize) -> Result<&[u8]> {
        let wanted = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(n).min(n);
        let held = |from: usize, have: usize| from.checked_add(wanted).is_some_and(|end| end <= have);
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let from = if let Some(from) = from.filter(|&from| held(from, self.have)) {
            from
        } else {
            self.refill(offset)?;
            0
        };
        let end = from.saturating_add(wanted).min(self.have);
        Ok(self.buffer.get(from..end).unwrap_or_default())
    }

    #[cold]
    fn refill(&mut self, offset: u64) -> Result<()> {
        self.have = 0;
        self.start = offset;
        let room = self.len.saturating_sub(offset).min(self.buffer.len() as u64);
        let room = usize::try_from(room).unwrap_or_default();
        self.have = self.file.read_at(offset, self.buffer.get_mut(..room).unwrap_or_default())?;
        self.meter.add(self.have as u64)
    }

    /// Reads `n` bytes at `offset` past the buffer; fewer where the file ends.
    pub(super) fn read_whole(&mut self, offset: u64, n: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        let got = self.file.read_at(offset, &mut bytes)?;
        bytes.truncate(got);
        self.meter.add(got as u64)?;
        Ok(bytes)
    }

    /// Checks the frame at `offset`, whose header was read, in bounded memory: its footer if all of it verifies.
    pub(super) fn check_frame(&mut self, offset: u64, head: &FrameHead, seed: u32) -> Result<Option<Footer>> {
        let mut crc = seed;
        let mut at = offset;
        let footer_at = offset.saturating_add(FRAME_HEADER as u64).saturating_add(head.body_len);
        while at < footer_at {
            let want = usize::try_from(footer_at - at).unwrap_or(WINDOW).min(WINDOW);
            let bytes = self.get(at, want)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            crc = crc32c_append(crc, bytes);
            at = at.saturating_add(bytes.len() as u64);
        }
        let Some(footer) = self.get(footer_at, FRAME_FOOTER)?.first_chunk::<FRAME_FOOTER>() else {
            return Ok(None);
        };
        let crc = crc32c_append(crc, footer.get(..Footer::CHECKED).unwrap_or_default());
        Ok(Footer::read(footer, head, crc).ok())
    }
}
