//! What takes part: an engine of ours, or a library called by hand.

use std::path::Path;

use persist_api::Engine;

use crate::rows::{Key, Prefix, Row};

/// Errors of a benchmark are sentences.
pub type Result<T> = std::result::Result<T, String>;

/// Turns any error into a sentence.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// The device has it.
    Durable,
    /// The device has it; engines of ours also carry the BLAKE3 root of the records, computed while the clock runs.
    DurableWithRoot,
    /// Nothing; the workload calls [`Contender::sync`] once at its end.
    Unsynced,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Memory for the library's own cache, where it has one.
    pub cache_bytes: u64,
    /// The store is filled in bulk: commits need not be durable, and the library may be opened in its mode for that.
    pub bulk: bool,
    /// Each commit also stores a header of 72 bytes, as our engines do. For comparing our interface with the library that
    /// lies under it; rivals need not.
    pub with_header: bool,
    /// Engines of ours that write their own files: every sync takes a millisecond longer.
    pub slow_disk: bool,
}

impl Settings {
    /// A cache that holds a million rows, durable commits, nothing special.
    pub const USUAL: Self =
        Self { cache_bytes: 512 << 20, bulk: false, with_header: false, slow_disk: false };
}

/// An open store. Each method does its whole batch, so that calling it through a vtable costs nothing per row.
pub trait Contender: Send + Sync {
    /// Commits rows in one transaction.
    ///
    /// # Errors
    /// A sentence of the library.
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()>;

    /// Makes all earlier commits durable.
    ///
    /// # Errors
    /// A sentence of the library.
    fn sync(&self) -> Result<()>;

    /// Calls `work` with a function that puts one row durably and may be called by many threads at once: through the
    /// library's own group commit, where it has one.
    ///
    /// # Errors
    /// What `work` gave.
    fn with_shared(&self, work: &mut dyn FnMut(&SharedPut<'_>) -> Result<()>) -> Result<()> {
        work(&|row| self.commit(std::slice::from_ref(row), Ack::Durable))
    }

    /// Opens one snapshot.
    ///
    /// # Errors
    /// A sentence of the library.
    fn reader(&self) -> Result<Box<dyn Reader + '_>>;

    /// Bounds the work of the next open, where the library can.
    ///
    /// # Errors
    /// A sentence of the library.
    fn checkpoint(&self) -> Result<()> {
        Ok(())
    }

    /// Puts the rows of a load in order, where that was put off. Who keeps order while loading has nothing to do.
    ///
    /// # Errors
    /// A sentence of the library.
    fn put_in_order(&self) -> Result<()> {
        Ok(())
    }

    /// Puts the files into the best state for reading that the library knows, as after a quiet night.
    ///
    /// # Errors
    /// A sentence of the library.
    fn settle(&self) -> Result<()> {
        self.checkpoint()
    }

    /// Gives unused space back, as far as the library can; some can only by copying the store and opening the copy.
    ///
    /// # Errors
    /// A sentence of the library.
    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>>;

    /// Closes in good order.
    ///
    /// # Errors
    /// A sentence of the library.
    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    /// The engine, if it is one of ours.
    fn engine(&self) -> Option<&dyn Engine> {
        None
    }
}

/// Puts one row durably.
pub type SharedPut<'p> = dyn Fn(&Row) -> Result<()> + Sync + 'p;

/// What a reader has seen: both numbers keep the compiler from leaving out the reading, and are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Records.
    pub rows: u64,
    /// Bytes of values; for scans, of keys too.
    pub bytes: u64,
}

impl Seen {
    /// Counts a record of a scan.
    pub fn row(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes += (std::hint::black_box(key).len() + std::hint::black_box(value).len()) as u64;
    }

    /// Counts a value that was got.
    pub fn value(&mut self, value: &[u8]) {
        self.rows += 1;
        self.bytes += std::hint::black_box(value).len() as u64;
    }
}

/// One snapshot.
pub trait Reader {
    /// Reads every key.
    ///
    /// # Errors
    /// A sentence of the library.
    fn gets(&mut self, keys: &[Key]) -> Result<Seen>;

    /// Visits all records in key order.
    ///
    /// # Errors
    /// A sentence of the library.
    fn scan(&mut self) -> Result<Seen>;

    /// Visits the records under each prefix in key order.
    ///
    /// # Errors
    /// A sentence of the library.
    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen>;

    /// The value of one key, copied: to check that what is timed is also right.
    ///
    /// # Errors
    /// A sentence of the library.
    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>>;
}

/// Opens a store in a directory, creating it when the directory is empty.
pub type Open = fn(&Path, &Settings) -> Result<Box<dyn Contender>>;

/// One that takes part.
#[derive(Clone, Copy)]
pub struct Entrant {
    /// Its name in tables.
    pub name: &'static str,
    /// What it is and how it is set, for the table of settings.
    pub settings: &'static str,
    /// It is an engine of ours.
    pub ours: bool,
    /// It claims that a durable commit survives power loss. Whether it syncs is counted, not believed.
    pub durable: bool,
    /// How to open it.
    pub open: Open,
}

/// The first key after all that begin with `prefix`; `None` when there is none.
#[must_use]
pub fn after(prefix: Prefix) -> Option<Prefix> {
    u32::from_be_bytes(prefix).checked_add(1).map(u32::to_be_bytes)
}
