//! Our interface, over any driver.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use persist_api::{BeatHeader, CompactScope, Driver, Durability, Engine, OpenOptions, Quiet, Scan};

use crate::rows::Row;
use crate::side::{Result, Side, text};

/// An open engine of ours.
pub(crate) struct Ours {
    engine: Box<dyn Engine>,
    last: BeatHeader,
}

impl Ours {
    /// Creates a store with the driver's defaults.
    pub(crate) fn create(driver: &dyn Driver, home: &Path) -> Result<Self> {
        let engine = driver.open(home, &OpenOptions::default(), &Quiet).map_err(text)?;
        Ok(Self { engine, last: BeatHeader::default() })
    }
}

impl Side for Ours {
    fn beat(&mut self, rows: &[Row]) -> Result<()> {
        let header = self.last.next(1, Durability::Durable, None).map_err(text)?;
        let mut beat = self.engine.begin_beat(header).map_err(text)?;
        for (key, value) in rows {
            beat.put_record(key, value).map_err(text)?;
        }
        self.last = beat.commit_beat().map_err(text)?.header;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.engine.checkpoint().map_err(text)?;
        if self.engine.offer().engine == "rocksdb" {
            self.engine.compact(CompactScope::default(), &Quiet).map_err(text)?;
        }
        Ok(())
    }

    fn gets(&mut self, keys: &[Vec<u8>]) -> Result<u64> {
        let view = self.engine.view().map_err(text)?;
        let mut bytes = 0;
        for key in keys {
            if let Some(value) = view.get_record(key).map_err(text)? {
                bytes += black_box(&*value).len() as u64;
            }
        }
        Ok(bytes)
    }

    fn scans(&mut self, times: u32) -> Result<(u64, u64)> {
        let view = self.engine.view().map_err(text)?;
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..times {
            view.scan(Scan::all(), &mut |key, value| {
                rows += 1;
                bytes += (black_box(key).len() + black_box(value).len()) as u64;
                ControlFlow::Continue(())
            })
            .map_err(text)?;
        }
        Ok((rows, bytes))
    }
}
