//! The engine that a swap fills. Nobody but the swap knows it before the flip.

use std::path::PathBuf;
use std::sync::Arc;

use persist_api::{Beat, BeatHeader, Caps, Durability, Engine, Error, ErrorKind, Result, View};
use persist_io::DirLock;

use super::cursor::{Cursor, SWAP_KEY};
use super::mark::SwapId;
use super::pinned::Pinned;
use crate::feed::Carry;
use crate::layers::{FORMAT_KEY, Layered, format_record, user_key, user_range};
use crate::log::{BeatLog, Op, check_op};
use crate::shared::{Active, Running, Terms};
use crate::stamp::Stamp;

/// A target that is open, for beats that repeat and skip numbers.
pub(crate) struct Target {
    pub(super) engine: Box<Layered>,
    pub(super) terms: Arc<Terms>,
    pub(super) scheme: &'static str,
    pub(super) engine_format: u32,
    /// The epoch that it will have; 0 for an engine that keeps nothing on disk.
    pub(super) epoch: u64,
    /// `None` for an engine that keeps nothing on disk.
    pub(super) home: Option<PathBuf>,
    /// The stamp of a home of its own, as it was announced.
    pub(super) stamp: Option<Stamp>,
    pub(super) lock: Option<Arc<DirLock>>,
}

/// What is written to a target at once.
pub(super) struct Stroke<'t> {
    target: &'t Target,
    beat: Box<dyn Beat + 't>,
    /// Bytes that are staged so far.
    pub(super) bytes: u64,
    key: Vec<u8>,
}

impl Target {
    /// A view through its layers.
    pub(super) fn view(&self) -> Result<Pinned> {
        Ok(Pinned::new(self.engine.view()?))
    }

    /// How far it came in this swap; `None` when nothing was written yet.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Mismatch` when another swap has filled it.
    pub(super) fn cursor(&self, id: SwapId) -> Result<Option<Cursor>> {
        let view: Box<dyn View> = self.engine.view()?;
        let newest = view.header();
        let Some(record) = view.get_record(SWAP_KEY)? else {
            // The last beat of a target, which makes it complete, takes its cursor away.
            let position = newest.last_commit();
            let sealed = Cursor { reach: super::cursor::Reach::All, ..Cursor::new(id, position) };
            return Ok((newest.beat.0 > 0).then_some(sealed));
        };
        let cursor = Cursor::decode(&record)?;
        if cursor.id != id {
            let context = format!("the target was filled by another swap, {}", cursor.id);
            return Err(Error::new(ErrorKind::Mismatch, "swap", context));
        }
        Ok(Some(cursor))
    }

    /// Takes over what an engine has that was complete, with how far it came: from here on it is filled like any other.
    ///
    /// # Errors
    /// `Corrupt` when its feed cannot be read; those of the engine.
    pub(super) fn adopt(&self, cursor: &Cursor) -> Result<()> {
        let view: Box<dyn View> = self.engine.view()?;
        if view.get_record(SWAP_KEY)?.is_some() {
            return Ok(());
        }
        let mut stroke = self.begin(view.header(), self.on_the_way())?;
        Carry::adopt(view.as_ref())?.write(stroke.beat())?;
        stroke.commit(Some(cursor))
    }

    /// The target as the engine that a store runs on.
    pub(super) fn into_active(self, stamp: Option<Stamp>) -> Active {
        let Self { engine, terms, scheme, home, lock, .. } = self;
        Active::new(Running { engine, lock }, scheme, home, stamp, terms)
    }

    /// Begins to write, under the numbers of a beat of the source.
    pub(super) fn begin(&self, header: &BeatHeader, durability: Durability) -> Result<Stroke<'_>> {
        let newest = *self.engine.view()?.header();
        let header = BeatHeader { durability, ..*header };
        let mut beat = self.engine.begin_beat(header)?;
        if newest.beat.0 == 0 {
            beat.put_record(FORMAT_KEY, &format_record(&self.terms.grant.format))?;
        }
        if let Some((key, check)) = self.terms.codec.new_key_check() {
            beat.put_record(&key, check)?;
        }
        Ok(Stroke { target: self, beat, bytes: 0, key: Vec::new() })
    }

    /// The least that it can promise for a beat on the way.
    pub(super) fn on_the_way(&self) -> Durability {
        let offered = self.engine.offer().caps;
        if offered.contains(Caps::BUFFERED) {
            Durability::Buffered
        } else {
            self.engine.offer().durability_max()
        }
    }

    /// Makes what was written durable, where it can.
    pub(super) fn sync(&self) -> Result<()> {
        if self.engine.offer().caps.contains(Caps::DURABLE) {
            self.engine.sync()?;
        }
        Ok(())
    }

    /// How many bytes one of its beats takes: as many as asked for, and half of what the engine takes, so that there is room
    /// for what the swap itself notes. One at least, so that every beat brings it nearer to its end.
    pub(super) fn chunk_bytes(&self, asked: u64) -> u64 {
        asked.min(self.terms.limits().beat_bytes_max / 2).max(1)
    }

    /// The root that a beat has here, when the source's had this one.
    pub(super) fn header_of(&self, header: &BeatHeader) -> BeatHeader {
        BeatHeader { root: header.root.filter(|_| self.terms.codec.merkle), ..*header }
    }
}

impl Stroke<'_> {
    /// Writes a record as users know it.
    ///
    /// # Errors
    /// `TooLarge` naming the key; those of the engine.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let terms = &self.target.terms;
        check_op(&Op::Put { key, value }, terms.limits())?;
        let stored = (key.len() + value.len()) as u64 + 1 + terms.codec.value_overhead();
        self.bytes = self.bytes.saturating_add(stored);
        self.beat.put_record(user_key(key, &mut self.key), value)
    }

    /// The engine's beat.
    pub(super) fn beat(&mut self) -> &mut dyn Beat {
        self.beat.as_mut()
    }

    /// Applies a commit.
    ///
    /// # Errors
    /// `TooLarge` naming the key; those of the engine.
    pub(super) fn apply(&mut self, log: &BeatLog) -> Result<()> {
        for op in log.ops() {
            match op {
                Op::Put { key, value } => self.put(key, value)?,
                Op::Delete { key } => {
                    self.bytes = self.bytes.saturating_add(key.len() as u64 + 1);
                    // A key that it could never hold is not there.
                    if key.len() as u64 <= self.target.terms.limits().key_bytes_max {
                        self.beat.delete_record(user_key(key, &mut self.key))?;
                    }
                }
                Op::DeleteRange { range } => {
                    self.beat.delete_range(user_range(&range))?;
                    self.bytes = self.bytes.saturating_add(16);
                }
            }
        }
        Ok(())
    }

    /// Ends it, with how far the target came; `None` when it is complete.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn commit(mut self, cursor: Option<&Cursor>) -> Result<()> {
        match cursor {
            Some(cursor) => self.beat.put_record(SWAP_KEY, &cursor.encode())?,
            None => self.beat.delete_record(SWAP_KEY)?,
        }
        self.beat.commit_beat().map(drop)
    }
}
