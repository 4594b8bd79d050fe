//! The stored form of a commit in the feed. Format: `docs/format.md`.

use std::ops::ControlFlow;

use persist_api::{BeatHeader, CommitNo, Error, ErrorKind, Result, Scan, View};

use super::FeedCommit;
use crate::log::BeatLog;

/// Start of the keys of the feed; the number of the commit follows, so that they stand in its order.
pub(super) const FEED_KEY: &[u8] = b"\x00feed";
/// Bytes of the key of a commit's first piece.
pub(super) const KEY_LEN: usize = FEED_KEY.len() + 8;
/// Bytes of the key of any further piece.
pub(super) const MORE_KEY_LEN: usize = KEY_LEN + 4;
/// Bytes before the log in a commit's record.
pub(super) const HEAD_LEN: usize = BeatHeader::ENCODED_LEN + 36;

/// The key of a piece of a commit; the first is piece 0.
pub(super) fn put_key(commit: u64, piece: u32, key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(FEED_KEY);
    key.extend_from_slice(&commit.to_be_bytes());
    if piece > 0 {
        key.extend_from_slice(&piece.to_be_bytes());
    }
}

/// What a key of the feed belongs to: the commit and the piece. `None` for any other key.
pub(crate) fn read_key(key: &[u8]) -> Option<(CommitNo, u32)> {
    let (commit, piece) = key.strip_prefix(FEED_KEY)?.split_first_chunk()?;
    let piece = match piece {
        [] => 0,
        piece => u32::from_be_bytes(piece.try_into().ok()?),
    };
    Some((CommitNo(u64::from_be_bytes(*commit)), piece))
}

/// What the feed has taken since it was last empty: running sums, so that any part of it is a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Bytes of keys and values, as the engine counts them.
    pub(crate) bytes: u64,
    /// Records of the engine.
    pub(crate) records: u64,
}

impl Totals {
    pub(super) fn plus(self, cost: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(cost.bytes),
            records: self.records.saturating_add(cost.records),
        }
    }
}

/// What a log of so many bytes takes in the feed, when values have at most `value_bytes_max` bytes before their layers
/// add `overhead` to each.
pub(crate) fn cost(log_bytes: u64, value_bytes_max: u64, overhead: u64) -> Totals {
    let bytes = log_bytes.saturating_add(HEAD_LEN as u64);
    let records = bytes.div_ceil(value_bytes_max.max(1));
    let more = records.saturating_sub(1).saturating_mul(MORE_KEY_LEN as u64);
    let layers = records.saturating_mul(overhead);
    Totals { bytes: [KEY_LEN as u64, more, layers].into_iter().fold(bytes, u64::saturating_add), records }
}

/// What stands before the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) header: BeatHeader,
    pub(crate) commit: u64,
    /// After this commit.
    pub(crate) totals: Totals,
    /// Records that carry this commit.
    pub(crate) pieces: u32,
    pub(crate) log_bytes: u64,
}

impl Head {
    /// Puts the whole record into `bytes`: the head, then the log.
    pub(super) fn encode(&self, log: &BeatLog, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.reserve(HEAD_LEN + log.canonical_bytes().len());
        bytes.extend_from_slice(&self.header.encode());
        for word in [self.commit, self.totals.bytes, self.totals.records, self.log_bytes] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.pieces.to_le_bytes());
        bytes.extend_from_slice(log.canonical_bytes());
    }

    fn decode(commit: u64, bytes: &[u8]) -> Result<Self> {
        let Some((head, _)) = bytes.split_first_chunk::<HEAD_LEN>() else {
            return Err(corrupt(commit, "shorter than its head"));
        };
        let (header, rest) = head.split_at(BeatHeader::ENCODED_LEN);
        let header = BeatHeader::decode(header).map_err(|error| corrupt(commit, error.context()))?;
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(rest.chunks_exact(8)) {
            *word = chunk.try_into().map_or(0, u64::from_le_bytes);
        }
        let pieces = rest.last_chunk().map_or(0, |pieces| u32::from_le_bytes(*pieces));
        let [stored, bytes, records, log_bytes] = words;
        if stored != commit || commit < header.first_commit.0 || commit > header.last_commit().0 {
            return Err(corrupt(commit, "it is not of this commit"));
        }
        if pieces == 0 {
            return Err(corrupt(commit, "no pieces"));
        }
        Ok(Self { header, commit, totals: Totals { bytes, records }, pieces, log_bytes })
    }
}

pub(super) fn corrupt(commit: u64, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read_feed", format!("feed, commit {commit}: {what}"))
}

/// Reads the head of a commit; `None` when the feed does not have it.
///
/// # Errors
/// `Corrupt` naming the commit; `Io`, `Stale`.
pub(crate) fn read_head(view: &dyn View, commit: u64) -> Result<Option<Head>> {
    let mut key = Vec::new();
    put_key(commit, 0, &mut key);
    let Some(value) = view.get_record(&key)? else { return Ok(None) };
    Head::decode(commit, &value).map(Some)
}

/// The keys under which a commit is stored, without reading what: also where that is damaged.
///
/// # Errors
/// Those of the view.
pub(super) fn keys_of(view: &dyn View, commit: u64) -> Result<Vec<Vec<u8>>> {
    let (mut first, mut keys) = (Vec::new(), Vec::new());
    put_key(commit, 0, &mut first);
    view.scan(Scan::prefix(&first).keys_only(), &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(keys)
}

/// Reads a commit; `None` when the feed does not have it.
///
/// # Errors
/// `Corrupt` naming the commit; `Io`, `Stale`.
pub(crate) fn read_commit(view: &dyn View, commit: u64) -> Result<Option<FeedCommit>> {
    let mut key = Vec::new();
    put_key(commit, 0, &mut key);
    let Some(value) = view.get_record(&key)? else { return Ok(None) };
    let head = Head::decode(commit, &value)?;
    let first = value.get(HEAD_LEN..).unwrap_or_default();
    let log = if head.pieces == 1 {
        decode_log(&head, first)?
    } else {
        let mut bytes = first.to_vec();
        for piece in 1..head.pieces {
            put_key(commit, piece, &mut key);
            let Some(value) = view.get_record(&key)? else {
                return Err(corrupt(commit, &format!("piece {piece} is missing")));
            };
            bytes.extend_from_slice(&value);
            if bytes.len() as u64 > head.log_bytes {
                break;
            }
        }
        decode_log(&head, &bytes)?
    };
    Ok(Some(FeedCommit { header: head.header, commit: CommitNo(commit), log }))
}

fn decode_log(head: &Head, bytes: &[u8]) -> Result<BeatLog> {
    if bytes.len() as u64 != head.log_bytes {
        return Err(corrupt(head.commit, "the length of its log differs"));
    }
    let log =
        BeatLog::decode(bytes, head.log_bytes).map_err(|error| corrupt(head.commit, error.context()))?;
    if head.header.commits == 1 && head.header.root.is_some_and(|root| root != log.leaf()) {
        return Err(corrupt(head.commit, "the root of its beat is another"));
    }
    Ok(log)
}
