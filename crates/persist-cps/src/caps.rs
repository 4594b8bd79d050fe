//! What a frame's capability bits need from the store and from this service.

use persist_api::{Caps, Error, ErrorKind, Result};
use persist_frame::FrameCaps;

/// Each bit of a frame and what keeping such a frame needs. Frame bits and capabilities are different things with
/// different numbers: this table is the only way from one to the other.
pub const NEEDS: &[(FrameCaps, Caps)] = &[
    (FrameCaps::SPLIT_DESC, Caps::empty()),
    (FrameCaps::NAMEPOOL_MAP, Caps::NAMEPOOL_MAP),
    (FrameCaps::PAYLOAD_FP, Caps::empty()),
    (FrameCaps::PAGED_CHILDSET, Caps::empty()),
    (FrameCaps::PAGED_ORDER, Caps::empty()),
    // The container is undone before anything is stored, so the store need not be able to compress.
    (FrameCaps::FRAME_COMPRESSION, Caps::empty()),
    (FrameCaps::PAYLOAD_HISTORY, Caps::HISTORY_PAYLOAD),
    (FrameCaps::MANIFEST_HISTORY, Caps::HISTORY_MANIFEST),
    // Kept as it came; the blob it points to is not looked for.
    (FrameCaps::PAYLOAD_REF, Caps::empty()),
    (FrameCaps::FRAME_TOC, Caps::empty()),
    (FrameCaps::BRANCH_METADATA, Caps::empty()),
];

/// What this service provides itself: every record is kept, histories and names among them.
pub const PROVIDED: Caps = Caps::HISTORY_PAYLOAD.union(Caps::HISTORY_MANIFEST).union(Caps::NAMEPOOL_MAP);

/// What ingestion needs of every store.
pub const REQUIRED: Caps = Caps::BEAT_ATOMIC.union(Caps::ORDERED).union(Caps::PREFIX_SCAN);

/// What a frame with these bits needs of the store it goes to.
pub fn needed_by(frame: FrameCaps) -> Caps {
    let own = NEEDS.iter().filter(|(bit, _)| frame.contains(*bit));
    own.fold(REQUIRED, |sum, (_, caps)| sum | *caps) - PROVIDED
}

/// Checks that a store with these capabilities can take a frame with those bits.
///
/// # Errors
/// `Refused` (CAPABILITY_MISMATCH) naming all that is missing.
pub(crate) fn check(frame: FrameCaps, granted: Caps) -> Result<()> {
    let missing = needed_by(frame) - granted;
    if missing.is_empty() {
        return Ok(());
    }
    let context = format!("CAPABILITY_MISMATCH: a frame with {frame} needs {} of the store", missing.names());
    Err(Error::new(ErrorKind::Refused, "ingest", context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_bit_has_one_row() {
        let rows: Vec<_> = NEEDS.iter().map(|(bit, _)| *bit).collect();
        let known: Vec<_> = FrameCaps::NAMED.iter().map(|(bit, _)| *bit).collect();
        assert_eq!(rows, known);
    }

    #[test]
    fn a_store_without_what_is_needed_refuses() {
        let error = check(FrameCaps::NONE, Caps::ORDERED).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, -4));
        assert!(error.context().contains("BEAT_ATOMIC PREFIX_SCAN"), "{error}");
        check(FrameCaps::from_bits(0x7FF), REQUIRED).unwrap();
    }
}
