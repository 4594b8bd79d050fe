//! A commit as data.

use std::cell::Cell;
use std::mem;
use std::ops::Bound;

use persist_api::{Beat, Error, ErrorKind, KeyRange, Limits, Result};

use crate::layers::show_key;
use crate::log_code::{self, Reader};

/// Memory of a log that a thread keeps for its next one, at most.
const SPARE_BYTES_MAX: usize = 256 << 10;

thread_local! {
    /// Memory of the longest log that this thread let go, for its next one: to touch fresh memory takes a commit of a thousand
    /// records longer than its sync.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The operations of one commit, in order, kept as their canonical bytes (`docs/format.md`): logical keys and values,
/// without prefixes and layers, so that equal commits give equal bytes on every engine.
///
/// ```
/// use persist_store::{BeatLog, Op};
///
/// let mut log = BeatLog::new();
/// log.put(b"key", b"value")?;
/// log.delete(b"gone")?;
/// let copy = BeatLog::decode(log.canonical_bytes(), 1 << 20)?;
/// assert_eq!(copy, log);
/// assert!(matches!(copy.ops().next(), Some(Op::Put { key: b"key", value: b"value" })));
/// # Ok::<(), persist_api::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatLog {
    bytes: Vec<u8>,
    tally: Tally,
}

/// What a log adds up to, so that limits are checked without reading it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) puts: u64,
    pub(crate) deletes: u64,
    pub(crate) ranges: u64,
    /// Bytes of the keys and values of puts, the keys of deletes and the bounds of ranges. A bound counts one more: an
    /// engine may have to lengthen it by a byte.
    pub(crate) bytes: u64,
    pub(crate) key_bytes_max: u64,
    pub(crate) value_bytes_max: u64,
}

/// One operation of a [`BeatLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op<'l> {
    /// Sets a record.
    Put {
        /// Its key; may be empty.
        key: &'l [u8],
        /// Its value; may be empty.
        value: &'l [u8],
    },
    /// Removes a record.
    Delete {
        /// Its key.
        key: &'l [u8],
    },
    /// Removes the records of a range.
    DeleteRange {
        /// The range; never an empty one.
        range: KeyRange<'l>,
    },
}

impl Tally {
    pub(crate) fn add(&mut self, op: &Op<'_>) {
        let (key, value) = match op {
            Op::Put { key, value } => {
                self.puts += 1;
                (key.len() as u64, value.len() as u64)
            }
            Op::Delete { key } => {
                self.deletes += 1;
                (key.len() as u64, 0)
            }
            Op::DeleteRange { range } => {
                self.ranges += 1;
                let bounds = [range.start(), range.end()].map(|bound| bound_bytes(bound).len() as u64 + 1);
                // Bounds may be of any length, so they are no keys to be compared with a limit.
                self.bytes = bounds.into_iter().fold(self.bytes, u64::saturating_add);
                (0, 0)
            }
        };
        self.bytes = self.bytes.saturating_add(key).saturating_add(value);
        self.key_bytes_max = self.key_bytes_max.max(key);
        self.value_bytes_max = self.value_bytes_max.max(value);
    }

    pub(crate) const fn ops(&self) -> u64 {
        self.puts + self.deletes + self.ranges
    }

    /// Bytes that an engine counts for it, when each key and each value is longer by so much.
    pub(crate) const fn staged_bytes(&self, key_overhead: u64, value_overhead: u64) -> u64 {
        let keys = (self.puts + self.deletes).saturating_add(self.ranges.saturating_mul(2));
        let keys = keys.saturating_mul(key_overhead);
        self.bytes.saturating_add(keys).saturating_add(self.puts.saturating_mul(value_overhead))
    }
}

impl Drop for BeatLog {
    fn drop(&mut self) {
        let memory = mem::take(&mut self.bytes);
        if memory.capacity() <= SPARE_BYTES_MAX {
            // A thread that is ending needs none.
            let _ = SPARE.try_with(|spare| {
                let kept = spare.take();
                spare.set(if kept.capacity() > memory.capacity() { kept } else { memory });
            });
        }
    }
}

impl Default for BeatLog {
    fn default() -> Self {
        Self::new()
    }
}

impl BeatLog {
    /// A log without operations.
    #[must_use]
    pub fn new() -> Self {
        // A thread that is ending has none.
        let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        log_code::begin(&mut bytes);
        Self { bytes, tally: Tally::default() }
    }

    /// Adds a put.
    ///
    /// # Errors
    /// `TooLarge` when key or value has more than 2^32 − 1 bytes, which no engine takes.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.push(&Op::Put { key, value })
    }

    /// Adds a delete.
    ///
    /// # Errors
    /// `TooLarge` as [`put`](Self::put).
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.push(&Op::Delete { key })
    }

    /// Adds a range delete. An empty range removes nothing and is not recorded.
    ///
    /// # Errors
    /// `TooLarge` when a bound has more than 2^32 − 1 bytes.
    pub fn delete_range(&mut self, range: &KeyRange<'_>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.push(&Op::DeleteRange { range: range.borrowed() })
    }

    fn push(&mut self, op: &Op<'_>) -> Result<()> {
        log_code::append(&mut self.bytes, op)?;
        self.tally.add(op);
        log_code::set_count(&mut self.bytes, self.tally.ops());
        Ok(())
    }

    /// How many operations it has.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.tally.ops()
    }

    /// True without operations.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operations, in order.
    #[must_use]
    pub fn ops(&self) -> Ops<'_> {
        Ops(Reader::after_head(&self.bytes))
    }

    /// The stored form, to the byte as `docs/format.md` says.
    #[must_use]
    pub fn canonical_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a stored form of at most `bytes_max` bytes. Anything but the exact bytes that
    /// [`canonical_bytes`](Self::canonical_bytes) gives for the same operations is refused. Allocates one copy of the
    /// bytes, and only when all of them verified.
    ///
    /// # Errors
    /// `TooLarge` beyond `bytes_max`; `Corrupt` naming the offset.
    pub fn decode(bytes: &[u8], bytes_max: u64) -> Result<Self> {
        if bytes.len() as u64 > bytes_max {
            let context = format!("a log of {} bytes; at most {bytes_max} are read", bytes.len());
            return Err(Error::new(ErrorKind::TooLarge, "read_log", context));
        }
        let tally = log_code::check(bytes)?;
        Ok(Self { bytes: bytes.to_vec(), tally })
    }

    /// Applies the operations, in order, to an open beat, with keys and values as they are here.
    ///
    /// # Errors
    /// What the beat says; the beat is then poisoned.
    pub fn replay(&self, into: &mut dyn Beat) -> Result<()> {
        for op in self.ops() {
            match op {
                Op::Put { key, value } => into.put_record(key, value)?,
                Op::Delete { key } => into.delete_record(key)?,
                Op::DeleteRange { range } => into.delete_range(range)?,
            }
        }
        Ok(())
    }

    /// The leaf of this commit in the Merkle tree of its beat: BLAKE3 of the canonical bytes.
    #[must_use]
    pub fn leaf(&self) -> [u8; 32] {
        *blake3::hash(&self.bytes).as_bytes()
    }

    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What it keeps in memory: it may be that of a longer log.
    pub(crate) fn memory(&self) -> u64 {
        self.bytes.capacity() as u64
    }

    /// True when most of its memory is that of a longer log.
    pub(crate) fn is_loose(&self) -> bool {
        self.bytes.capacity() / 2 > self.bytes.len()
    }

    /// Gives memory back that it does not need: for logs that stay.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Checks every operation against limits that are net of prefixes and layers.
    ///
    /// # Errors
    /// `TooLarge` naming the operation and the limit.
    pub(crate) fn check_limits(&self, limits: &Limits) -> Result<()> {
        let fits = self.tally.key_bytes_max <= limits.key_bytes_max
            && self.tally.value_bytes_max <= limits.value_bytes_max;
        if fits {
            return Ok(());
        }
        self.ops().try_for_each(|op| check_op(&op, limits))
    }
}

/// Checks one operation against limits that are net of prefixes and layers. Bounds of ranges may be of any length.
pub(crate) fn check_op(op: &Op<'_>, limits: &Limits) -> Result<()> {
    let (verb, key, value): (_, &[u8], &[u8]) = match op {
        Op::Put { key, value } => ("put", key, value),
        Op::Delete { key } => ("delete", key, &[]),
        Op::DeleteRange { .. } => return Ok(()),
    };
    let too_large = |what: &str, bytes: usize, max: u64| {
        let context = format!("{what} of {bytes} bytes at key {}; the limit here is {max}", show_key(key));
        Err(Error::new(ErrorKind::TooLarge, verb, context))
    };
    if key.len() as u64 > limits.key_bytes_max {
        return too_large("key", key.len(), limits.key_bytes_max);
    }
    if value.len() as u64 > limits.value_bytes_max {
        return too_large("value", value.len(), limits.value_bytes_max);
    }
    Ok(())
}

/// The operations of a log, in order.
#[derive(Debug, Clone)]
pub struct Ops<'l>(Reader<'l>);

impl<'l> Iterator for Ops<'l> {
    type Item = Op<'l>;

    fn next(&mut self) -> Option<Op<'l>> {
        // The bytes were checked when they came in, so an error cannot be here and would mean the end.
        self.0.next_op().ok().flatten()
    }
}

/// The bytes of a bound, for the codec.
pub(crate) fn bound_bytes(bound: Bound<&[u8]>) -> &[u8] {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    }
}
