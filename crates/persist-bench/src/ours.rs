//! Our interface, over any driver.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use persist_api::{BeatHeader, CompactScope, Driver, Durability, Engine, OpenOptions, Quiet, Scan, View};

use crate::contender::{Ack, Contender, Reader, Result, Seen, Settings, SharedPut, text};
use crate::group::Group;
use crate::rows::{Key, Prefix, Row};

/// An open engine of ours.
pub(crate) struct Ours {
    engine: Box<dyn Engine>,
    last: Mutex<BeatHeader>,
    /// The last commit as one piece of memory, where its root is wanted.
    log: Mutex<Vec<u8>>,
    durable: Durability,
    unsynced: Durability,
}

impl Ours {
    /// Opens a store; the driver's defaults hold where the settings say nothing.
    pub(crate) fn open(driver: &dyn Driver, home: &Path, settings: &Settings) -> Result<Self> {
        let options = OpenOptions { cache_bytes: Some(settings.cache_bytes), ..OpenOptions::default() };
        let engine = driver.open(home, &options, &Quiet).map_err(text)?;
        let last = *engine.view().map_err(text)?.header();
        let durable = engine.offer().durability_max();
        let unsynced = durable.min(Durability::Buffered);
        Ok(Self { engine, last: Mutex::new(last), log: Mutex::default(), durable, unsynced })
    }
}

/// Puts rows into one beat that carries `commits` commits; answers the new header.
pub(crate) fn beat<'r>(
    engine: &dyn Engine,
    last: &BeatHeader,
    durability: Durability,
    root: Option<[u8; 32]>,
    commits: u64,
    rows: impl Iterator<Item = &'r Row>,
) -> Result<BeatHeader> {
    let header = last.next(commits, durability, root).map_err(text)?;
    let mut beat = engine.begin_beat(header).map_err(text)?;
    for row in rows {
        beat.put_record(&row.key, &row.value).map_err(text)?;
    }
    Ok(beat.commit_beat().map_err(text)?.header)
}

/// The root of one commit's records, as the runtime makes it: the commit as one piece of memory, hashed at once. Hashing
/// it row by row would take three times as long.
fn root(rows: &[Row], log: &mut Vec<u8>) -> [u8; 32] {
    log.clear();
    for row in rows {
        log.extend_from_slice(&row.key);
        log.extend_from_slice(&(row.value.len() as u64).to_le_bytes());
        log.extend_from_slice(&row.value);
    }
    *blake3::hash(log).as_bytes()
}

impl Contender for Ours {
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()> {
        let durability = if ack == Ack::Unsynced { self.unsynced } else { self.durable };
        let root = (ack == Ack::DurableWithRoot)
            .then(|| root(rows, &mut self.log.lock().unwrap_or_else(PoisonError::into_inner)));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = beat(&*self.engine, &last, durability, root, 1, rows.iter())?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if self.durable < Durability::Durable {
            return Ok(());
        }
        self.engine.sync().map(drop).map_err(text)
    }

    fn with_shared(&self, work: &mut dyn FnMut(&SharedPut<'_>) -> Result<()>) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let group = Group::new(&*self.engine, *last, self.durable);
        work(&|row| group.put(row))?;
        *last = group.last();
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(OurReader(self.engine.view().map_err(text)?)))
    }

    fn checkpoint(&self) -> Result<()> {
        if self.engine.offer().caps.contains(persist_api::Caps::CHECKPOINT) {
            self.engine.checkpoint().map_err(text)?;
        }
        Ok(())
    }

    fn put_in_order(&self) -> Result<()> {
        self.checkpoint()
    }

    fn settle(&self) -> Result<()> {
        self.checkpoint()?;
        // Engines of sorted runs read best from one; the others' compaction would copy the whole store.
        if ["rocksdb", "flatfile"].contains(&self.engine.offer().engine) {
            self.engine.compact(CompactScope::default(), &Quiet).map_err(text)?;
        }
        Ok(())
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        if self.engine.offer().caps.contains(persist_api::Caps::COMPACTION) {
            self.engine.compact(CompactScope::default(), &Quiet).map_err(text)?;
        }
        Ok(self)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.engine.close().map_err(|(_, error)| text(error))
    }

    fn engine(&self) -> Option<&dyn Engine> {
        Some(&*self.engine)
    }
}

/// A view as a reader.
pub(crate) struct OurReader(pub(crate) Box<dyn View>);

impl Reader for OurReader {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut seen = Seen::default();
        for key in keys {
            if let Some(value) = self.0.get_record(key).map_err(text)? {
                seen.value(&value);
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut visit = |key: &[u8], value: &[u8]| {
            seen.row(key, value);
            ControlFlow::Continue(())
        };
        self.0.scan(Scan::all(), &mut visit).map_err(text)?;
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            let mut visit = |key: &[u8], value: &[u8]| {
                seen.row(key, value);
                ControlFlow::Continue(())
            };
            self.0.scan_prefix(prefix, &mut visit).map_err(text)?;
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get_record(key).map_err(text)?.map(persist_api::Value::into_vec))
    }
}
