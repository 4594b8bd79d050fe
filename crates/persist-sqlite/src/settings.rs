//! What the options mean here, and what is offered.

use persist_api::{Caps, Error, ErrorKind, Limits, Offer, OpenOptions, Result};

use crate::driver::SCHEME;
use crate::sql;

/// Number of the on-disk layout: `user_version` of the database.
pub(crate) const FORMAT: u32 = 1;

const KNOBS: [&str; 3] = ["mmap_bytes", "page_bytes", "wal_bytes"];
const PAGE_BYTES: u64 = 4096;
const PAGE_BYTES_MAX: u64 = 65_536;
/// SQLite's own bound on the number of pages.
const PAGES_MAX: u64 = 4_294_967_294;
const CACHE_BYTES: u64 = 128 << 20;
/// Cache of a reader beyond those that are kept.
const EXTRA_CACHE_BYTES: u64 = 256 << 10;
const WAL_BYTES: u64 = 4 << 20;
const VIEWS_MAX: u64 = 128;
/// An empty store takes five pages; less than this is a mistake.
const STORE_BYTES_MIN: u64 = 16 * PAGE_BYTES_MAX;

/// Readers that are kept for the next view.
pub(crate) const READERS_KEPT: usize = 8;

/// The options, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Page size of a store that is created.
    pub(crate) page_bytes: u64,
    /// Page caches of all kept connections together.
    cache_bytes: u64,
    /// How much of the database file readers map into memory.
    pub(crate) mmap_bytes: u64,
    /// Size of the WAL from which a commit checkpoints.
    pub(crate) wal_bytes: u64,
    /// Ceiling of the database file.
    pub(crate) store_bytes_max: u64,
}

impl Settings {
    /// Checks the options.
    ///
    /// # Errors
    /// `Invalid` naming the knob or option.
    pub(crate) fn of(options: &OpenOptions) -> Result<Self> {
        options.check_knobs(&KNOBS).map_err(|error| error.with_engine(SCHEME))?;
        let page_bytes = bytes(options, "page_bytes", PAGE_BYTES)?;
        if !page_bytes.is_power_of_two() || !(PAGE_BYTES..=PAGE_BYTES_MAX).contains(&page_bytes) {
            return Err(invalid(format!(
                "page_bytes is {page_bytes}; it is a power of two from {PAGE_BYTES} to {PAGE_BYTES_MAX}"
            )));
        }
        let store_bytes_max = offer(options).limits.store_bytes_max;
        if store_bytes_max < STORE_BYTES_MIN {
            return Err(invalid(format!(
                "store_bytes_max is {store_bytes_max}; the least that makes sense is {STORE_BYTES_MIN}"
            )));
        }
        Ok(Self {
            page_bytes,
            cache_bytes: cache_bytes(options),
            mmap_bytes: bytes(options, "mmap_bytes", 0)?,
            wal_bytes: bytes(options, "wal_bytes", WAL_BYTES)?,
            store_bytes_max,
        })
    }

    /// Page cache of the writer: a quarter.
    pub(crate) fn writer_cache_bytes(&self) -> u64 {
        self.cache_bytes / 4
    }

    /// Page cache of a reader. The first slot has half of what the writer left, the next half of what is left then, and
    /// so on: views take the first slot that is free, so the largest caches are the warmest.
    pub(crate) fn reader_cache_bytes(&self, slot: Option<usize>) -> u64 {
        let left = self.cache_bytes - self.writer_cache_bytes();
        match slot.and_then(|slot| u32::try_from(slot).ok()) {
            Some(slot) => left.checked_shr(slot.saturating_add(1)).unwrap_or(0),
            None => EXTRA_CACHE_BYTES.min(left),
        }
    }
}

/// Page caches: nearly all memory that SQLite takes. The rest is for what comes beside it.
fn cache_bytes(options: &OpenOptions) -> u64 {
    let spare = options.memory_bytes.map_or(CACHE_BYTES, |memory| (memory / 2).min(CACHE_BYTES));
    options.cache_bytes.unwrap_or(spare)
}

/// A number of bytes that SQLite takes: it counts with signs.
fn bytes(options: &OpenOptions, name: &str, default: u64) -> Result<u64> {
    options.knob_number(name, default, 0..=i64::MAX as u64).map_err(|error| error.with_engine(SCHEME))
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, "open", what).with_engine(SCHEME)
}

/// The offer; it depends on the options only.
pub(crate) fn offer(options: &OpenOptions) -> Offer {
    let store_bytes_max = options.store_bytes_max.unwrap_or(u64::MAX);
    Offer {
        engine: SCHEME,
        library: format!("SQLite {}", rusqlite::version()),
        format: FORMAT,
        caps: Caps::BEAT_ATOMIC
            | Caps::PREFIX_SCAN
            | Caps::CHECKPOINT
            | Caps::COMPACTION
            | Caps::ORDERED
            | Caps::SNAPSHOT
            | Caps::DURABLE
            | Caps::BUFFERED
            | Caps::READ_OWN
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS
            | Caps::BACKUP,
        limits: Limits {
            key_bytes_max: sql::KEY_BYTES_MAX as u64,
            value_bytes_max: sql::VALUE_BYTES_MAX,
            beat_bytes_max: u64::MAX,
            views_max: options.views_max.unwrap_or(VIEWS_MAX),
            store_bytes_max: store_bytes_max.min(PAGES_MAX * PAGE_BYTES),
        },
    }
}
