//! The writing end of the payload segments.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crc32c::crc32c;
use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, FileMode};

use super::{ALIGN, PAYLOAD_HEADER, PayloadFile, Payloads, header};
use crate::error::SCHEME;
use crate::payload_ref::PayloadRef;
use crate::timeline::PayloadEnd;

/// The segment that gets the values, and where the last one ends.
type Current = (Arc<PayloadFile>, u64);

/// A segment that the open beat has begun, and what was current before it.
struct Begun {
    file: Arc<PayloadFile>,
    before: Option<Current>,
    was_closed: bool,
}

/// Appends values. A failed write or sync makes it refuse everything that follows.
pub(crate) struct PayloadWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    store: u64,
    /// Where a segment is full; a longer value has one of its own.
    segment_bytes: u64,
    current: Option<Current>,
    /// The current segment takes no more values. It stays current until the open beat has ended.
    closed: bool,
    /// Where payloads ended before this writer had a segment, or in the one that it has let go of: it must never go back.
    /// Whoever recovers takes the greatest end that it finds and writes behind it, and the feed keeps what lies behind the
    /// end that its oldest frame states.
    ended: PayloadEnd,
    /// Where payloads ended when the beat began.
    mark: PayloadEnd,
    /// Segments that the beat has begun.
    begun: Vec<Begun>,
    /// Files with bytes that are not synced.
    unsynced: Vec<Arc<PayloadFile>>,
    /// The greatest number of a segment; shared with writers made by [`beside`](Self::beside).
    greatest: Arc<AtomicU32>,
    failed: bool,
}

impl PayloadWriter {
    /// A writer that goes on at `end`: the payload end of the newest frame. Without one, or when its segment is not among
    /// `files`, the next value begins a new segment, and payloads end there or where the last file does, whichever is later.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        dir: &Path,
        store: u64,
        files: &Payloads,
        end: Option<PayloadEnd>,
        segment_bytes: u64,
    ) -> Result<Self> {
        let end = end.filter(|end| end.offset >= PAYLOAD_HEADER);
        let current = end.and_then(|end| Some((files.get(end.segment)?.clone(), end.offset)));
        let ended = match &current {
            Some(current) => at(current),
            None => end.unwrap_or_default().max(last(files)?),
        };
        Ok(Self {
            disk,
            dir: dir.to_path_buf(),
            store,
            segment_bytes,
            current,
            closed: false,
            ended,
            mark: ended,
            begun: Vec::new(),
            unsynced: Vec::new(),
            greatest: Arc::new(AtomicU32::new(files.greatest().max(end.map_or(0, |end| end.segment)))),
            failed: false,
        })
    }

    /// Another writer for the same directory, that begins with a new segment and shares no segment with this one. For
    /// compaction, which moves values while beats stage theirs.
    pub(crate) fn beside(&self) -> Self {
        Self {
            disk: self.disk.clone(),
            dir: self.dir.clone(),
            store: self.store,
            segment_bytes: self.segment_bytes,
            current: None,
            closed: false,
            ended: PayloadEnd::default(),
            mark: PayloadEnd::default(),
            begun: Vec::new(),
            unsynced: Vec::new(),
            greatest: self.greatest.clone(),
            failed: false,
        }
    }

    /// Sees that the next value begins a new segment. Answers a number: segments below it hold nothing that is written from
    /// now on, and nothing of a beat that is open now.
    pub(crate) fn roll(&mut self) -> u32 {
        let next = self.greatest.load(Ordering::Acquire).saturating_add(1);
        let open = self.current.as_ref().map(at).filter(|end| *end != self.mark).map(|end| end.segment);
        let begun = self.begun.iter().flat_map(|begun| {
            let before = begun.before.as_ref().map(|(file, _)| file.number);
            before.into_iter().chain([begun.file.number])
        });
        let below = begun.chain(open).fold(next, u32::min);
        self.closed = true;
        self.let_go();
        below
    }

    /// Lets go of a closed segment in which no open beat has values: nothing holds its room once it is removed.
    fn let_go(&mut self) {
        if self.closed && self.begun.is_empty() && self.end() == self.mark {
            self.ended = self.mark;
            (self.current, self.closed) = (None, false);
        }
    }

    fn check(&self) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        let context = "an earlier write or sync of a payload segment failed";
        Err(Error::new(ErrorKind::Poisoned, "write_payload", context)
            .with_engine(SCHEME)
            .with_path(&self.dir))
    }

    /// Where payloads end.
    pub(crate) fn end(&self) -> PayloadEnd {
        self.current.as_ref().map_or(self.ended, at)
    }

    /// Writes a value: one write, and where a segment begins one for its header and a sync of the directory. It is durable after
    /// [`sync`](Self::sync), and kept once [`keep`](Self::keep) was called.
    ///
    /// # Errors
    /// `Io`, `Full`: the writer is then poisoned. `Poisoned`.
    pub(crate) fn stage(&mut self, value: &[u8]) -> Result<PayloadRef> {
        self.check()?;
        let staged = self.write(value);
        self.failed = staged.is_err();
        staged
    }

    fn write(&mut self, value: &[u8]) -> Result<PayloadRef> {
        let len = value.len() as u64;
        let (file, offset) = self.room_for(len)?;
        file.file.write_at(offset, value)?;
        if self.unsynced.iter().all(|unsynced| unsynced.number != file.number) {
            self.unsynced.push(file.clone());
        }
        let place = PayloadRef { segment: file.number, crc: crc32c(value), offset, len };
        self.current = Some((file, offset.saturating_add(len)));
        Ok(place)
    }

    /// The segment for a value of `len` bytes, and where it goes there.
    fn room_for(&mut self, len: u64) -> Result<(Arc<PayloadFile>, u64)> {
        if let Some((file, end)) = self.current.as_ref().filter(|_| !self.closed) {
            let fits = |from: u64| from.checked_add(len).is_some_and(|upto| upto <= self.segment_bytes);
            if let Some(from) = end.checked_next_multiple_of(ALIGN).filter(|&from| fits(from)) {
                return Ok((file.clone(), from));
            }
        }
        let took = |number: u32| number.checked_add(1);
        let taken = self.greatest.fetch_update(Ordering::AcqRel, Ordering::Acquire, took).ok();
        let number = taken.and_then(took).ok_or_else(|| {
            Error::new(ErrorKind::Full, "write_payload", "the numbers of payload segments are used up")
                .with_engine(SCHEME)
        })?;
        let file = Arc::new(PayloadFile::open(&*self.disk, &self.dir, number, FileMode::CreateNew)?);
        file.file.write_at(0, &header(number, self.store))?;
        // Its name must be durable before a frame refers to it.
        self.disk.sync_dir(&self.dir)?;
        let was_closed = std::mem::take(&mut self.closed);
        self.begun.push(Begun { file: file.clone(), before: self.current.take(), was_closed });
        Ok((file, PAYLOAD_HEADER))
    }

    /// Segments that were begun since the last [`keep`](Self::keep) or [`abort`](Self::abort): readers of the beat need them.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &Arc<PayloadFile>> {
        self.begun.iter().map(|begun| &begun.file)
    }

    /// Makes every value durable: one sync of each file with values that are not. To be called before the frame that refers
    /// to them is written, whatever its durability: a frame that is found must find its values.
    ///
    /// # Errors
    /// `Io`: the writer is then poisoned. `Poisoned`.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.check()?;
        for file in &self.unsynced {
            if let Err(error) = file.file.sync_data() {
                self.failed = true;
                return Err(error);
            }
        }
        self.unsynced.clear();
        Ok(())
    }

    /// The beat is committed: its values stay.
    pub(crate) fn keep(&mut self) {
        self.begun.clear();
        self.mark = self.end();
        self.let_go();
    }

    /// The beat is aborted: the next value goes where its first one went, and the segments it has begun are removed.
    ///
    /// # Errors
    /// `Io` when a file cannot be removed; it is then dead weight, no more.
    pub(crate) fn abort(&mut self) -> Result<()> {
        let mut done = Ok(());
        // All of it is the beat's: what is kept was synced before.
        self.unsynced.clear();
        while let Some(Begun { file, before, was_closed }) = self.begun.pop() {
            done = done.and(self.disk.remove_file(&file.path));
            self.current = before;
            self.closed |= was_closed;
        }
        if let Some((_, end)) = &mut self.current {
            *end = self.mark.offset;
        }
        self.let_go();
        done
    }
}

fn at(current: &Current) -> PayloadEnd {
    PayloadEnd { segment: current.0.number, offset: current.1 }
}

/// Where the last file ends.
fn last(files: &Payloads) -> Result<PayloadEnd> {
    let Some(file) = files.iter().next_back() else { return Ok(PayloadEnd::default()) };
    Ok(PayloadEnd { segment: file.number, offset: file.len()?.max(PAYLOAD_HEADER) })
}
