//! Whether a store can hold what a branch has: asked before anything is written, and before a store is made.

use persist_api::{BeatNo, Error, ErrorKind, Limits as StoreLimits, Result};
use persist_store::Store;

use super::import::OP;
use super::survey::{BranchFrame, BranchSurvey};
use crate::keys;
use crate::span::ORIGIN_LEN;

/// More than frame record and mark take, and what the store itself adds to a beat.
pub(super) const BEAT_OWN: u64 = 2048;
/// Kind, version, flags and two lengths before key and value of a span, at most.
const SPAN_OWN: u64 = 14;
/// Bytes of [`keys::record_key`].
const RECORD_KEY_LEN: u64 = 37;

/// What a beat costs a store beside the keys and values themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra {
    /// Bytes that its layers add to a key, and to a value.
    key: u64,
    value: u64,
    /// A copy of each commit is kept for those who hold the feed.
    feeding: bool,
}

impl Extra {
    pub(super) fn of(store: &Store) -> Self {
        let grant = store.grant();
        let sum = |bytes: fn(&persist_api::LayerGrant) -> u64| {
            grant.format.layers.iter().map(bytes).fold(0, u64::saturating_add)
        };
        let (key, value) = (sum(|layer| layer.key_overhead), sum(|layer| layer.value_overhead));
        // Where it is not known who holds, nothing is kept for anybody.
        let feeding = store.holds().is_ok_and(|holds| holds.iter().any(|hold| !hold.stale));
        Self { key, value, feeding }
    }
}

/// Whether a new store on an engine with these limits can hold what the survey found good. [`import_branch`](super::import_branch)
/// asks the store itself; this is for those who would have to make one first.
///
/// # Errors
/// `TooLarge` naming what is too large and the limit.
pub fn check_fits(survey: &BranchSurvey, limits: &StoreLimits) -> Result<()> {
    let blobs = survey.blobs.iter().map(|blob| blob.bytes);
    check_all(&survey.frames, blobs, limits, Extra::default())
}

pub(super) fn check_all(
    frames: &[BranchFrame],
    blobs: impl Iterator<Item = u64>,
    limits: &StoreLimits,
    extra: Extra,
) -> Result<()> {
    for frame in frames {
        let own = SPAN_OWN.saturating_add(ORIGIN_LEN as u64);
        let checked = check("a record", frame.record_bytes_max.saturating_add(own), limits.value_bytes_max)
            .and_then(|()| check("the beat of a frame", staged(frame, extra), limits.beat_bytes_max));
        checked.map_err(|error| error.with_beat(BeatNo(frame.beat)))?;
    }
    for bytes in blobs {
        check("a blob", bytes, limits.value_bytes_max)?;
        check("the beat of a blob", bytes.saturating_add(BEAT_OWN), limits.beat_bytes_max)?;
    }
    Ok(())
}

/// What the commit of a frame stages: each record as a record of the frame and as a cell.
fn staged(frame: &BranchFrame, extra: Extra) -> u64 {
    let spans = SPAN_OWN.saturating_mul(2).saturating_add(ORIGIN_LEN as u64);
    let layers = extra.key.saturating_add(extra.value).saturating_mul(2);
    let each = RECORD_KEY_LEN.saturating_add(spans).saturating_add(layers);
    let own = u64::from(frame.records).saturating_mul(each).saturating_add(frame.cell_key_bytes);
    let staged = frame.content_bytes.saturating_mul(2).saturating_add(own).saturating_add(BEAT_OWN);
    if !extra.feeding {
        return staged;
    }
    // The copy has a kind and two lengths for each operation.
    let operations = u64::from(frame.records).saturating_mul(2 * 16);
    staged.saturating_mul(2).saturating_add(operations)
}

/// Length of the key of a cell whose own key has so many bytes.
pub(super) fn cell_key_len(key_len: u32) -> u64 {
    let whole = u64::from(key_len).saturating_add(keys::CELLS.len() as u64);
    if whole <= keys::CELL_KEY_MAX as u64 { whole } else { keys::LONG_CELLS.len() as u64 + 64 }
}

fn check(what: &str, bytes: u64, max: u64) -> Result<()> {
    if bytes <= max {
        return Ok(());
    }
    let context = format!("{what} takes up to {bytes} bytes; the limit of this store is {max}");
    Err(Error::new(ErrorKind::TooLarge, OP, context))
}
