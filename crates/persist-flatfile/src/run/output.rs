//! Sequential, buffered output of blocks.

use persist_api::{Error, ErrorKind, Result};
use persist_io::DiskFile;

use super::block::{ALIGN, HEADER, Header, Kind, aligned};
use super::filter::LINE;

/// Writes are about this long.
const BUFFER: usize = 1 << 20;
/// Whenever so much was written, the disk is to begin with it, while the next records are put together. More often, commits beside
/// have the longer to wait.
const WRITEBACK: u64 = 4 << 20;
/// What the system writes at least.
const PAGE: u64 = 4096;

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// A file that grows by blocks. The bytes that were not written yet are in `bytes`; a block is built at their end.
pub(super) struct Output {
    file: Box<dyn DiskFile>,
    number: u32,
    pub(super) bytes: Vec<u8>,
    /// Where `bytes` begin in the file.
    at: u64,
    /// The disk was told to write what lies before this, but the first page, which is written once more at the end.
    told_upto: u64,
    /// Where the open block begins in `bytes`.
    block: usize,
}

impl Output {
    /// Leaves `reserved` zero bytes at the beginning of the file.
    pub(super) fn new(file: Box<dyn DiskFile>, number: u32, reserved: u64) -> Self {
        let reserved = usize::try_from(reserved).unwrap_or(0);
        Self { file, number, bytes: vec![0; reserved], at: 0, told_upto: PAGE, block: 0 }
    }

    fn offset(&self) -> u64 {
        self.at.saturating_add(self.bytes.len() as u64)
    }

    /// Where the next block would begin, unless it is a filter.
    pub(super) fn next_block(&self) -> u64 {
        aligned(self.offset())
    }

    /// Begins a block: its payload is what is appended to `bytes` until [`end`](Self::end). Answers where it begins.
    pub(super) fn begin(&mut self, kind: Kind) -> u64 {
        let (step, beyond) = match kind {
            Kind::Filter => (LINE as u64, HEADER as u64),
            _ => (ALIGN, 0),
        };
        let at = self.offset().saturating_add(beyond);
        let padding = at.next_multiple_of(step).saturating_sub(at);
        self.block = self.bytes.len().saturating_add(usize::try_from(padding).unwrap_or(0));
        self.bytes.resize(self.block.saturating_add(HEADER), 0);
        self.at.saturating_add(self.block as u64)
    }

    /// Ends the block and writes what has gathered.
    pub(super) fn end(&mut self, kind: Kind, before: u64, count: usize) -> Result<Written> {
        let offset = self.at.saturating_add(self.block as u64);
        let (_, block) = self.bytes.split_at_mut_checked(self.block).unwrap_or_default();
        let (header, payload) = block.split_at_mut_checked(HEADER).unwrap_or_default();
        let (Ok(len), Ok(count)) = (u32::try_from(payload.len()), u32::try_from(count)) else {
            return Err(Error::new(ErrorKind::TooLarge, "write_run", "a block of 4 GiB"));
        };
        header.copy_from_slice(&Header { kind, len, before, count }.encode(self.number, offset, payload));
        if self.bytes.len() >= BUFFER {
            self.flush()?;
        }
        Ok(Written { offset, len })
    }

    /// Writes a whole block.
    pub(super) fn put(&mut self, kind: Kind, before: u64, count: usize, payload: &[u8]) -> Result<Written> {
        self.begin(kind);
        self.bytes.extend_from_slice(payload);
        self.end(kind, before, count)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_at(self.at, &self.bytes)?;
        self.at = self.offset();
        self.bytes.clear();
        let whole = self.at - self.at % PAGE;
        if whole.saturating_sub(self.told_upto) >= WRITEBACK {
            self.file.start_writeback(self.told_upto, whole.saturating_sub(self.told_upto));
            self.told_upto = whole;
        }
        Ok(())
    }

    /// Writes the rest and, at the beginning of the file, the head block; then makes all of it durable. Answers the length
    /// of the file.
    pub(super) fn finish(&mut self, head: &[u8]) -> Result<()> {
        self.flush()?;
        let len = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let header = Header { kind: Kind::Head, len, before: 0, count: 1 };
        let mut block = header.encode(self.number, 0, head).to_vec();
        block.extend_from_slice(head);
        self.file.write_at(0, &block)?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// Bytes written, and ranges that the disk was told to begin with.
    #[derive(Default)]
    struct Seen {
        written: u64,
        told: Vec<(u64, u64)>,
    }

    struct Watched(Arc<Mutex<Seen>>);

    impl DiskFile for Watched {
        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize> {
            Ok(0)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
            let mut seen = self.0.lock();
            seen.written = seen.written.max(offset + bytes.len() as u64);
            Ok(())
        }

        fn len(&self) -> Result<u64> {
            Ok(self.0.lock().written)
        }

        fn truncate(&self, _: u64) -> Result<()> {
            Ok(())
        }

        fn sync_data(&self) -> Result<()> {
            Ok(())
        }

        fn start_writeback(&self, offset: u64, len: u64) {
            let mut seen = self.0.lock();
            assert!(offset + len <= seen.written, "nothing that was not written");
            seen.told.push((offset, len));
        }
    }

    #[test]
    fn the_disk_begins_with_a_run_while_it_is_made() {
        let seen = Arc::default();
        let mut out = Output::new(Box::new(Watched(Arc::clone(&seen))), 1, 56);
        for _ in 0..5000 {
            out.put(Kind::Data, 0, 1, &[7; 4000]).unwrap();
        }
        out.finish(&[0; 32]).unwrap();
        let seen = seen.lock();
        let mut at = PAGE;
        for (offset, len) in &seen.told {
            assert_eq!(*offset, at, "piece behind piece");
            assert!(*len >= WRITEBACK && *len % PAGE == 0);
            at += len;
        }
        assert!(seen.written - at < WRITEBACK + BUFFER as u64, "{at} of {}", seen.written);
    }
}
