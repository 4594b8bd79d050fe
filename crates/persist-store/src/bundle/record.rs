//! The part `records`: length of the key (u64), key, length of the value (u64), value, in key order. These are the bytes over
//! which the store digest runs, so that the part's BLAKE3 is the digest.

use persist_api::{Error, ErrorKind, Result};

use super::items::{Carry, Items, length};
use super::read::{BundleLimits, Receiver};
use super::too_large;
use crate::layers::show_key;

const LENGTH_BYTES: usize = 8;

/// What records add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RecordTally {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) key_bytes_max: u64,
    pub(super) value_bytes_max: u64,
}

impl RecordTally {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let (key, value) = (key.len() as u64, value.len() as u64);
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(key).saturating_add(value);
        self.key_bytes_max = self.key_bytes_max.max(key);
        self.value_bytes_max = self.value_bytes_max.max(value);
    }
}

/// Finds the records in bytes that come in pieces.
pub(super) struct RecordReader {
    carry: Carry,
    state: State,
}

struct State {
    limits: BundleLimits,
    /// The newest key.
    last: Option<Vec<u8>>,
    tally: RecordTally,
}

impl RecordReader {
    pub(super) fn new(limits: BundleLimits) -> Self {
        Self { carry: Carry::default(), state: State { limits, last: None, tally: RecordTally::default() } }
    }

    /// Takes the next bytes, and gives the records that are whole.
    ///
    /// # Errors
    /// `Corrupt` when keys do not rise, `TooLarge` beyond the limits; those of the receiver.
    pub(super) fn push(&mut self, bytes: &[u8], receiver: &mut dyn Receiver) -> Result<()> {
        self.carry.push(bytes, &mut Records { state: &mut self.state, receiver })
    }

    /// Checks that the last record was whole.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn finish(&self) -> Result<()> {
        if self.carry.is_empty() { Ok(()) } else { Err(self.state.corrupt("the last record is cut short")) }
    }

    pub(super) const fn tally(&self) -> &RecordTally {
        &self.state.tally
    }
}

struct Records<'r> {
    state: &'r mut State,
    receiver: &'r mut dyn Receiver,
}

impl Items for Records<'_> {
    fn extent(&self, bytes: &[u8]) -> Result<usize> {
        let Some((key_len, rest)) = length(bytes) else { return Ok(LENGTH_BYTES) };
        let key_len = self.state.checked("key", key_len, self.state.limits.key_bytes)?;
        let value_at = key_len.saturating_add(2 * LENGTH_BYTES);
        let value_len = rest.get(key_len..).and_then(length);
        let Some((value_len, _)) = value_len else { return Ok(value_at) };
        let value_len = self.state.checked("value", value_len, self.state.limits.value_bytes)?;
        Ok(value_at.saturating_add(value_len))
    }

    fn take(&mut self, item: &[u8]) -> Result<()> {
        let cut = || self.state.corrupt("a record without its lengths");
        let (key_len, rest) = length(item).ok_or_else(cut)?;
        let key_len = self.state.checked("key", key_len, self.state.limits.key_bytes)?;
        let (key, rest) = rest.split_at_checked(key_len).ok_or_else(cut)?;
        let (_, value) = length(rest).ok_or_else(cut)?;
        self.state.note(key, value)?;
        self.receiver.record(key, value)
    }
}

impl State {
    fn note(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match &mut self.last {
            Some(last) if last.as_slice() >= key => {
                return Err(self.corrupt(&format!("the key {} is not above the one before", show_key(key))));
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.last = Some(key.to_vec()),
        }
        self.tally.add(key, value);
        Ok(())
    }

    fn checked(&self, what: &str, length: u64, max: u64) -> Result<usize> {
        usize::try_from(length).ok().filter(|_| length <= max).ok_or_else(|| {
            let record = self.tally.records.saturating_add(1);
            too_large(format!("the {what} of record {record} has {length} bytes; the limit here is {max}"))
        })
    }

    fn corrupt(&self, what: &str) -> Error {
        let context = format!("records, after {}: {what}", self.tally.records);
        Error::new(ErrorKind::Corrupt, "read_bundle", context)
    }
}
