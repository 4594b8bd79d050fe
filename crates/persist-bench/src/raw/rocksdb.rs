//! RocksDB by hand.

use std::path::Path;

use persist_api::BeatHeader;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ChecksumType, CompactOptions, DB, DBCompressionType,
    Options, ReadOptions, Snapshot, WriteBatch, WriteOptions,
};

use crate::contender::{Ack, Contender, Reader, Result, Seen, Settings, after, text};
use crate::rows::{Key, Prefix, Row};

/// Beside smaller caches indexes and filters lie in memory, as the library does by itself: those of a table do not fit into a part of
/// the cache, and would be read anew for every get.
const INDEX_CACHED_MIN: u64 = 64 << 20;

/// A database with one column family; the header lies under the empty key.
pub(crate) struct Rocks {
    db: DB,
    with_header: bool,
}

impl Rocks {
    /// Opens or creates the database.
    pub(crate) fn open(home: &Path, settings: &Settings) -> Result<Self> {
        let mut table = BlockBasedOptions::default();
        let cache_bytes = usize::try_from(settings.cache_bytes).unwrap_or(usize::MAX);
        table.set_block_cache(&Cache::new_lru_cache(cache_bytes));
        table.set_bloom_filter(10.0, false);
        table.set_checksum_type(ChecksumType::CRC32c);
        if settings.cache_bytes >= INDEX_CACHED_MIN {
            table.set_cache_index_and_filter_blocks(true);
            table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        }
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::None);
        Ok(Self { db: DB::open(&options, home).map_err(text)?, with_header: settings.with_header })
    }
}

impl Contender for Rocks {
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()> {
        let mut batch = WriteBatch::default();
        for row in rows {
            batch.put(row.key, &row.value);
        }
        if self.with_header {
            batch.put([], BeatHeader::default().encode());
        }
        let mut options = WriteOptions::default();
        options.set_sync(ack != Ack::Unsynced);
        self.db.write_opt(batch, &options).map_err(text)
    }

    fn sync(&self) -> Result<()> {
        self.db.flush_wal(true).map_err(text)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(RocksReader(self.db.snapshot())))
    }

    fn checkpoint(&self) -> Result<()> {
        self.db.flush().map_err(text)
    }

    fn settle(&self) -> Result<()> {
        self.db.flush().map_err(text)?;
        let mut whole = CompactOptions::default();
        whole.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &whole);
        Ok(())
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        self.settle()?;
        Ok(self)
    }
}

struct RocksReader<'d>(Snapshot<'d>);

impl RocksReader<'_> {
    fn rows(&self, options: ReadOptions, seen: &mut Seen) -> Result<()> {
        let mut iterator = self.0.raw_iterator_opt(options);
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            seen.row(key, value);
            iterator.next();
        }
        iterator.status().map_err(text)
    }
}

impl Reader for RocksReader<'_> {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut seen = Seen::default();
        for key in keys {
            if let Some(value) = self.0.get_pinned(key).map_err(text)? {
                seen.value(&value);
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([0]);
        self.rows(options, &mut seen)?;
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            let mut options = ReadOptions::default();
            options.set_iterate_lower_bound(*prefix);
            if let Some(end) = after(*prefix) {
                options.set_iterate_upper_bound(end);
            }
            self.rows(options, &mut seen)?;
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        self.0.get(key).map_err(text)
    }
}
