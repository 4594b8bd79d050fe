//! Ingestion into an open store: one frame, one beat, all or nothing.

use persist_api::{Durability, Result};
use persist_store::{Receipt, Store, Writer};

use crate::note::FrameNote;
use crate::ours;
use crate::plan::{IngestOptions, Plan};

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    /// The store's beat that carries it, and how durable it is.
    pub receipt: Receipt,
    /// The frame record as it is kept.
    pub note: FrameNote,
    /// Records whose bodies nobody looked into ([`BodyRule::Cells`](crate::BodyRule)).
    pub opaque_records: u32,
}

/// Checks a frame and stores it as the next beat. A refused frame changes nothing: every check comes before the first
/// write, and the beat is atomic.
///
/// The apply modes 0 (insert only) and 1 (overwrite all) mean the same here: every record is kept under its own key for
/// good, and the cell of a key shows the newest. Every known writer says 0, also when it describes a cell again, so
/// insisting on absence would freeze each cell at its first description.
///
/// Memory: some times the frame, and for each record about 350 bytes whatever its size: a frame of 4 MiB with 300 000
/// records takes 107 MiB.
///
/// # Errors
/// Those of [`Plan::new`]; `Conflict` when something else lies where the frame would be kept; those of [`Store::view`] and of [`Writer::commit`].
pub fn ingest(
    writer: &mut Writer,
    store: &Store,
    input: &[u8],
    durability: Durability,
    options: &IngestOptions,
) -> Result<Ingested> {
    let session = &store.grant().session;
    let plan = Plan::new(input, session.caps, options)?;
    let receipt = writer.commit_with(durability, |beat| {
        ours::check_free(&store.view()?, "ingest", beat, 0)?;
        plan.log(beat, &session.limits)
    })?;
    let (note, opaque_records) = (*plan.note(), plan.opaque_records());
    Ok(Ingested { receipt, note, opaque_records })
}
