//! What `open` was asked for, checked, and RocksDB's options made from it.

use std::ffi::c_int;

use persist_api::{OpenOptions, Result};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ChecksumType, DBCompressionType, DBRecoveryMode,
    InfoLogger, LogLevel, Options,
};

use crate::driver::SCHEME;
use crate::error::map_error;

const CACHE_BYTES: u64 = 64 << 20;
/// Caches below this have indexes and filters of tables in pieces, each found through one more index.
const PIECES_BELOW: usize = 64 << 20;
const WRITE_BUFFER_BYTES: u64 = 64 << 20;
const OPEN_FILES_MAX: u64 = 512;
const BACKGROUND_JOBS: u64 = 2;
/// A filter of so many bits a key lets one absent key in a hundred through.
const FILTER_BITS_PER_KEY: f64 = 10.0;
/// When to start a new manifest; the old one is then dropped.
const MANIFEST_BYTES: usize = 16 << 20;

/// Each knob with its default and the values it takes.
const KNOBS: [(&str, u64, u64, u64); 3] = [
    ("write_buffer_bytes", WRITE_BUFFER_BYTES, 64 << 10, 4 << 30),
    ("open_files_max", OPEN_FILES_MAX, 16, 1 << 20),
    ("background_jobs", BACKGROUND_JOBS, 1, 64),
];

/// The settings of an open database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    cache_bytes: usize,
    write_buffer_bytes: usize,
    open_files_max: c_int,
    background_jobs: c_int,
}

impl Settings {
    /// Checks what was asked for. Nothing is created or opened.
    pub(crate) fn of(options: &OpenOptions) -> Result<Self> {
        let names = KNOBS.map(|(name, ..)| name);
        options.check_knobs(&names).map_err(|error| error.with_engine(SCHEME))?;
        let share = |default: u64, part: u64| {
            options.memory_bytes.map_or(default, |memory| (memory / part).min(default))
        };
        let [write_buffer_bytes, open_files_max, background_jobs] = KNOBS.map(|(name, default, min, max)| {
            // Two write buffers at least, and what flushes and merges read and write.
            let default = if name == "write_buffer_bytes" { share(default, 8).max(min) } else { default };
            let number = options.knob_number(name, default, min..=max);
            number.map_err(|error| error.with_engine(SCHEME))
        });
        let cache_bytes = options.cache_bytes.unwrap_or_else(|| share(CACHE_BYTES, 4));
        Ok(Self {
            cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
            write_buffer_bytes: usize::try_from(write_buffer_bytes?).unwrap_or(usize::MAX),
            open_files_max: c_int::try_from(open_files_max?).unwrap_or(c_int::MAX),
            background_jobs: c_int::try_from(background_jobs?).unwrap_or(c_int::MAX),
        })
    }

    /// RocksDB's options for the database itself.
    pub(crate) fn for_writing(&self) -> Result<Options> {
        let mut blocks = checked_blocks();
        blocks.set_block_cache(&Cache::new_lru_cache(self.cache_bytes));
        // Filters and indexes grow with the data; inside the cache they cannot outgrow it.
        blocks.set_cache_index_and_filter_blocks(true);
        if self.cache_bytes < PIECES_BELOW {
            // The filter of a whole table may be larger than the cache, and be read anew for every get.
            blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
            blocks.set_partition_filters(true);
            blocks.set_pin_top_level_index_and_filter(true);
        }
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = careful()?;
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_size(self.write_buffer_bytes);
        options.set_max_open_files(self.open_files_max);
        options.set_max_background_jobs(self.background_jobs);
        options.set_max_manifest_file_size(MANIFEST_BYTES);
        Ok(options)
    }

    /// RocksDB's options for a second, read-only handle without a cache: what it reads comes from the files.
    pub(crate) fn for_checking(&self) -> Result<Options> {
        let mut blocks = checked_blocks();
        blocks.disable_cache();
        let mut options = careful()?;
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_size(self.write_buffer_bytes);
        options.set_max_open_files(self.open_files_max);
        Ok(options)
    }
}

/// Every block is written with CRC-32C, which RocksDB checks whenever it reads one from a file.
fn checked_blocks() -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_checksum_type(ChecksumType::CRC32c);
    blocks.set_bloom_filter(FILTER_BITS_PER_KEY, false);
    blocks
}

/// What holds for every handle: nothing here trades integrity for speed.
fn careful() -> Result<Options> {
    // Without this, a log that lost its unsynced end in a power loss could be followed by the next log, and a beat would
    // be missing in the middle (contract D-6). The binding has no setter for it, only RocksDB's own text form.
    let mut options = Options::default()
        .get_options_from_string("track_and_verify_wals=true")
        .map_err(|error| map_error("open", error))?;
    options.create_if_missing(false);
    options.set_paranoid_checks(true);
    // After a crash: every beat up to the first that the log does not hold whole.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A buffered beat is in the operating system's hands when its commit returns.
    options.set_manual_wal_flush(false);
    options.set_use_fsync(false);
    options.set_compression_type(DBCompressionType::None);
    options.set_bottommost_compression_type(DBCompressionType::None);
    // No log for people: it would grow beside the data and be written at each open.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    Ok(options)
}

#[cfg(test)]
mod tests {
    use persist_api::ErrorKind;

    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings> {
        let knobs = [(name.to_owned(), value.to_owned())].into();
        Settings::of(&OpenOptions { knobs, ..OpenOptions::default() })
    }

    #[test]
    fn little_memory_is_divided() {
        let of = |memory_bytes, cache_bytes| {
            let options = OpenOptions { memory_bytes, cache_bytes, ..OpenOptions::default() };
            let settings = Settings::of(&options).unwrap();
            (settings.cache_bytes, settings.write_buffer_bytes)
        };
        assert_eq!(of(None, None), (64 << 20, 64 << 20));
        assert_eq!(of(Some(32 << 20), None), (8 << 20, 4 << 20));
        assert_eq!(of(Some(0), None), (0, 64 << 10));
        assert_eq!(of(Some(u64::MAX), Some(5)), (5, 64 << 20));
    }

    #[test]
    fn knobs_are_checked_and_bounded() {
        assert_eq!(with("background_jobs", "3").unwrap().background_jobs, 3);
        for (name, value) in [
            ("background_jobs", "0"),
            ("background_jobs", "many"),
            ("write_buffer_bytes", "-1"),
            ("open_files_max", "99999999999999999999999"),
            ("cache_bits", "1"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name} {value}");
            assert!(error.context().contains(name), "{error}");
        }
        assert!(with("cache_bits", "1").unwrap_err().context().contains("write_buffer_bytes"));
    }
}
