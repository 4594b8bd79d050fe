//! Records into an engine that is importing: in key order, in engine transactions of a bounded size, all of one beat.

use persist_api::{Beat, BeatHeader, Caps, Durability, Engine as _, Grant, Result};

use crate::layers::{Codec, FORMAT_KEY, Layered, format_record, user_key};

/// Bytes that one engine transaction stages, if its limits allow.
const BATCH_BYTES: u64 = 4 << 20;

/// Writes the records of one beat.
pub(super) struct Loader<'e> {
    engine: &'e Layered,
    codec: &'e Codec,
    grant: &'e Grant,
    /// Header of the beat, at the durability of all transactions but the last.
    header: BeatHeader,
    beat: Option<Box<dyn Beat + 'e>>,
    staged: u64,
    batch_bytes: u64,
    key: Vec<u8>,
}

impl<'e> Loader<'e> {
    /// A loader of the beat `header` into an engine without beats, under its layers. An engine that keeps nothing gets all records in one
    /// transaction: it has no stamp that would say that they are not all there yet.
    pub(super) fn new(engine: &'e Layered, codec: &'e Codec, grant: &'e Grant, header: BeatHeader) -> Self {
        let offer = engine.offer();
        let caps = offer.caps;
        let batch = BATCH_BYTES.min(offer.limits.beat_bytes_max);
        let (durability, batch_bytes) = match offer.durability_max() {
            Durability::Volatile => (Durability::Volatile, u64::MAX),
            _ if caps.contains(Caps::BUFFERED) => (Durability::Buffered, batch),
            level => (level, batch),
        };
        Self {
            engine,
            codec,
            grant,
            header: BeatHeader { durability, ..header },
            beat: None,
            staged: 0,
            batch_bytes,
            key: Vec::new(),
        }
    }

    /// Writes the next record.
    ///
    /// # Errors
    /// What the engine says; nothing more can be written then.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let key = user_key(key, &mut self.key);
        let bytes = (key.len() as u64).saturating_add(value.len() as u64);
        let bytes = bytes.saturating_add(self.codec.value_overhead());
        if self.staged.saturating_add(bytes) > self.batch_bytes
            && let Some(beat) = self.beat.take()
        {
            beat.commit_beat()?;
            self.staged = 0;
        }
        let beat = match &mut self.beat {
            Some(beat) => beat,
            none => none.insert(self.engine.begin_beat(self.header)?),
        };
        beat.put_record(key, value)?;
        self.staged = self.staged.saturating_add(bytes);
        Ok(())
    }

    /// Writes the runtime's own records and ends the beat, as durable as the session is.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.header.beat.0 == 0 {
            return Ok(());
        }
        let durability = self.grant.session.durability;
        let mut beat = match self.beat.take() {
            Some(beat) if durability == self.header.durability => beat,
            open => {
                if let Some(beat) = open {
                    beat.commit_beat()?;
                }
                self.engine.begin_beat(BeatHeader { durability, ..self.header })?
            }
        };
        beat.put_record(FORMAT_KEY, &format_record(&self.grant.format))?;
        if let Some((key, check)) = self.codec.new_key_check() {
            beat.put_record(&key, check)?;
        }
        beat.commit_beat().map(drop)
    }
}
