//! What is done to a store, and what it must hold after.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use persist_api::{BeatHeader, Durability, Engine, KeyRange, Result};
use persist_io::sim::Rng;

/// One thing to do. What has a key takes it from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A durable beat that puts one record under a key of its own.
    Put(u8),
    /// A durable beat that puts a record that was there from the beginning.
    Overwrite(u8),
    /// A durable beat that deletes one of these.
    Delete(u8),
    /// A durable beat that deletes some keys and puts one of them again.
    DeleteRange(u8),
    /// A durable beat with a value that lies in a payload segment.
    Large(u8),
    /// A beat of several records that is not synced.
    Buffered(u8),
    /// A beat of several records that is.
    Durable(u8),
    /// A beat with a large value that is not synced.
    LargeBuffered(u8),
    /// A beat that is staged, large value and all, and given up.
    Abort(u8),
    /// A beat as large as a memtable.
    Roll(u8),
    Sync,
    Checkpoint,
    /// With no history kept.
    Compact,
    /// Close and open.
    Reopen,
    /// A copy, which is checked.
    Backup,
    Verify,
}

/// The letters of the exhaustive search.
pub(super) const ALPHABET: [Act; 12] = [
    Act::Put(0),
    Act::Overwrite(0),
    Act::Delete(0),
    Act::DeleteRange(0),
    Act::Large(0),
    Act::Buffered(0),
    Act::Durable(0),
    Act::Roll(0),
    Act::Sync,
    Act::Checkpoint,
    Act::Compact,
    Act::Reopen,
];

/// A change of one record, or of a range.
enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// From the first key up to the second, which stays.
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// All records of a store.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Rows(pub(super) BTreeMap<Vec<u8>, Vec<u8>>);

/// Values by their first bytes and length.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.0.iter().map(|(key, value)| {
            let start = value.split(|byte| *byte == b' ').next().unwrap_or_default();
            format!("{}={}+{}", key.escape_ascii(), start.escape_ascii(), value.len())
        });
        f.debug_set().entries(rows).finish()
    }
}

fn key(n: u8) -> Vec<u8> {
    format!("k{n:02}").into_bytes()
}

/// A value that says which beat wrote it, of at least `len` bytes.
fn value(beat: u64, len: usize) -> Vec<u8> {
    let mut value = format!("b{beat} ").into_bytes();
    let mut rng = Rng::new(beat);
    while value.len() < len {
        value.extend_from_slice(&rng.next().to_le_bytes());
    }
    value
}

/// Longer than `large_value_bytes` of the tests.
const LARGE: usize = 300;

impl Act {
    /// What it writes as beat number `beat`; `None` for what is no beat.
    fn changes(self, beat: u64) -> Option<Vec<Change>> {
        let put = |n: u8, len| Change::Put(key(n), value(beat, len));
        Some(match self {
            Self::Put(n) => vec![put(10 + n % 10, 20)],
            Self::Overwrite(n) => vec![put(n % 4, 20)],
            Self::Delete(n) => vec![Change::Delete(key(n % 4))],
            Self::DeleteRange(n) => {
                let n = n % 4;
                vec![put(n, 10), Change::DeleteRange(key(n), key(n + 8)), put(n + 1, 20)]
            }
            Self::Large(n) => vec![put(4 + n % 3, LARGE), put(n % 4, 0)],
            Self::LargeBuffered(n) => vec![put(4 + n % 3, LARGE + 8), Change::Delete(key(n % 4))],
            Self::Buffered(n) | Self::Durable(n) => vec![
                put(n % 4, 20),
                Change::Delete(key((n + 1) % 4)),
                put((n + 2) % 4, 1),
                put((n + 2) % 4, 30),
                put(10 + n % 10, 100),
            ],
            Self::Roll(n) => (0..18).map(|row| put(40 + (row + n) % 20, 250)).collect(),
            Self::Abort(_)
            | Self::Sync
            | Self::Checkpoint
            | Self::Compact
            | Self::Reopen
            | Self::Backup
            | Self::Verify => return None,
        })
    }

    /// Whether it is a beat.
    pub(super) fn is_beat(self) -> bool {
        self.changes(0).is_some()
    }

    /// How durable its beat is.
    pub(super) fn durability(self) -> Durability {
        match self {
            Self::Buffered(_) | Self::LargeBuffered(_) | Self::Roll(_) => Durability::Buffered,
            _ => Durability::Durable,
        }
    }

    /// Commits its beat behind the newest one.
    pub(super) fn commit(self, engine: &dyn Engine, last: &BeatHeader, durability: Durability) -> Result<()> {
        let header = last.next(1, durability, None)?;
        let mut beat = engine.begin_beat(header)?;
        for change in self.changes(header.beat.0).unwrap_or_default() {
            match change {
                Change::Put(key, value) => beat.put_record(&key, &value)?,
                Change::Delete(key) => beat.delete_record(&key)?,
                Change::DeleteRange(start, end) => {
                    beat.delete_range(KeyRange::of(start.as_slice()..end.as_slice()))?;
                }
            }
        }
        assert_eq!(beat.commit_beat()?.reached, durability);
        Ok(())
    }

    /// What its beat makes of the records.
    fn apply(self, beat: u64, rows: &mut Rows) {
        for change in self.changes(beat).unwrap_or_default() {
            match change {
                Change::Put(key, value) => {
                    rows.0.insert(key, value);
                }
                Change::Delete(key) => {
                    rows.0.remove(&key);
                }
                Change::DeleteRange(start, end) => rows.0.retain(|key, _| *key < start || *key >= end),
            }
        }
    }
}

/// Stages a beat with a large and a small value, reads them back, and gives it up.
pub(super) fn abort(engine: &dyn Engine, last: &BeatHeader) -> Result<()> {
    let mut beat = engine.begin_beat(last.next(1, Durability::Durable, None)?)?;
    let large = value(u64::MAX, LARGE);
    beat.put_record(&key(4), &large)?;
    beat.put_record(&key(0), b"given up")?;
    assert_eq!(beat.peek_record(&key(4))?.as_deref(), Some(large.as_slice()));
    beat.abort_beat();
    Ok(())
}

/// The records after 0, 1, 2, … beats.
pub(super) fn states(acts: &[Act]) -> Vec<Arc<Rows>> {
    let mut rows = Rows::default();
    let mut states = vec![Arc::new(rows.clone())];
    for (act, beat) in acts.iter().filter(|act| act.is_beat()).zip(1..) {
        act.apply(beat, &mut rows);
        states.push(Arc::new(rows.clone()));
    }
    states
}

/// Any sequence of `len` acts.
pub(super) fn any(rng: &mut Rng, len: usize) -> Vec<Act> {
    let one = |rng: &mut Rng| {
        let n = u8::try_from(rng.below(16)).unwrap_or(0);
        match rng.below(32) {
            0..3 => Act::Put(n),
            3..6 => Act::Overwrite(n),
            6..8 => Act::Delete(n),
            8..10 => Act::DeleteRange(n),
            10..13 => Act::Large(n),
            13..15 => Act::LargeBuffered(n),
            15..18 => Act::Buffered(n),
            18..20 => Act::Durable(n),
            20 => Act::Abort(n),
            21..24 => Act::Roll(n),
            24..26 => Act::Sync,
            26..28 => Act::Checkpoint,
            28 => Act::Compact,
            29 => Act::Reopen,
            30 => Act::Backup,
            _ => Act::Verify,
        }
    };
    (0..len).map(|_| one(rng)).collect()
}
