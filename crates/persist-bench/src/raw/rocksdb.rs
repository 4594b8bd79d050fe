//! RocksDB by hand.

use std::hint::black_box;
use std::path::Path;

use persist_api::BeatHeader;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ChecksumType, CompactOptions, DB, DBCompressionType,
    Options, ReadOptions, WriteBatch, WriteOptions,
};

use crate::rows::Row;
use crate::side::{Result, Side, text};

/// A database with one column family; the header lies under the empty key.
pub(crate) struct Rocks {
    db: DB,
}

impl Rocks {
    /// Creates the database.
    pub(crate) fn create(home: &Path) -> Result<Self> {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(64 << 20));
        table.set_bloom_filter(10.0, false);
        table.set_checksum_type(ChecksumType::CRC32c);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::None);
        Ok(Self { db: DB::open(&options, home).map_err(text)? })
    }
}

impl Side for Rocks {
    fn beat(&mut self, rows: &[Row]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in rows {
            batch.put(key, value);
        }
        batch.put([], BeatHeader::default().encode());
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(text)
    }

    fn settle(&mut self) -> Result<()> {
        self.db.flush().map_err(text)?;
        let mut whole = CompactOptions::default();
        whole.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &whole);
        Ok(())
    }

    fn gets(&mut self, keys: &[Vec<u8>]) -> Result<u64> {
        let snapshot = self.db.snapshot();
        let mut bytes = 0;
        for key in keys {
            if let Some(value) = snapshot.get_pinned(key).map_err(text)? {
                bytes += black_box(&*value).len() as u64;
            }
        }
        Ok(bytes)
    }

    fn scans(&mut self, times: u32) -> Result<(u64, u64)> {
        let snapshot = self.db.snapshot();
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..times {
            let mut options = ReadOptions::default();
            options.set_iterate_lower_bound([0]);
            let mut iterator = snapshot.raw_iterator_opt(options);
            iterator.seek_to_first();
            while let Some((key, value)) = iterator.item() {
                rows += 1;
                bytes += (black_box(key).len() + black_box(value).len()) as u64;
                iterator.next();
            }
            iterator.status().map_err(text)?;
        }
        Ok((rows, bytes))
    }
}
