//! What below our prefixes is ours. The key space belongs to the application, which may use the same names for things of its
//! own: those are never written over where a frame goes, and never called damaged.

use std::ops::{Bound, ControlFlow};

use persist_api::{Advice, BeatNo, Error, ErrorKind, KeyRange, Result, Scan};
use persist_store::StoreView;

use crate::branch::BranchNote;
use crate::keys::{self, FrameKey};
use crate::note::FrameNote;
use crate::span::parse_span;

/// Whether the value under the key of a frame record was meant as one.
pub(crate) fn is_frame_record(value: &[u8]) -> bool {
    FrameNote::is_one(value) || BranchNote::is_one(value)
}

/// Whether a record of a frame is kept under this beat.
///
/// # Errors
/// What reading gives.
pub(crate) fn has_records(view: &StoreView, beat: BeatNo) -> Result<bool> {
    let mut found = false;
    view.scan(Scan::prefix(&keys::records_prefix(beat)), |key, value| {
        found = FrameKey::parse(key).is_some() && parse_span(value).is_ok();
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

/// Whether this can be the key of a blob.
pub(crate) fn is_blob_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    key.strip_prefix(keys::BLOBS).is_some_and(|hash| hash.len() == 64 && hash.iter().all(digit))
}

/// Refuses if something lies where the frames of these beats go: `first` and so many after it.
///
/// # Errors
/// `Conflict` naming the key, and what reading gives.
pub(crate) fn check_free(view: &StoreView, op: &'static str, first: BeatNo, more: u64) -> Result<()> {
    let (from, to) = (keys::frame_key(first), keys::frame_key(BeatNo(first.0.saturating_add(more))));
    // A slash and all that follows it sorts before this.
    let end = [&to[..], b"0"].concat();
    let range = KeyRange::new(Bound::Included(&from), Bound::Excluded(&end));
    let mut cursor = view.cursor(Scan::range(range).keys_only())?;
    while cursor.advance()? {
        let key = cursor.key();
        // Of equal length, or below: nothing else is touched.
        if matches!(key.get(from.len()), None | Some(b'/')) {
            let what = format!(
                "the key \"{}\" is taken, where this frame would be kept: move what is there to a key that does not begin \
                 with \"frame/\", or use another store",
                key.escape_ascii()
            );
            return Err(Error::new(ErrorKind::Conflict, op, what).with_advice(Advice::FixPath));
        }
    }
    Ok(())
}
