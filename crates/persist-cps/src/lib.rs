//! CEP persistent storage on persist: each flat frame becomes one beat.
//!
//! [`Plan`] checks a frame completely and turns it into a commit without touching a store; [`ingest`] does that and
//! commits. What is kept: the frame record ([`FrameNote`]), every record as it was received, and for each record key a
//! *cell* with its newest record. From these the frame comes out again byte for byte ([`reassemble`]), and [`verify`]
//! computes its Merkle root anew. `docs/cps.md` describes the keys and values.
//!
//! The beat inside a frame is data. The only number that orders frames here is the store's beat.
//!
//! Branch directories of the original engine are read by [`branch`].
//!
//! It must never know an engine, how frames reach it, or how to write a file; only [`branch::DirSource`] reads any.
//!
//! ```
//! use std::sync::Arc;
//! use persist_api::{Driver, Durability, OpenOptions, Quiet};
//! use persist_cps::{Cell, IngestOptions, cell_value, ingest, reassemble, verify};
//! use persist_frame::{FrameCaps, FrameWriter, NewRecord, RecordKind, TrailerFields};
//! use persist_store::{open_with, volatile_request};
//!
//! let fields = TrailerFields { beat: 7, caps: FrameCaps::FRAME_TOC, ..TrailerFields::default() };
//! let mut frame = FrameWriter::new(fields);
//! frame.push(NewRecord::new(RecordKind::CELL_DESC, b"key", b"body"))?;
//! let frame = frame.finish()?;
//!
//! # let drivers: Vec<Arc<dyn Driver>> = vec![Arc::new(persist_memory::MemoryDriver::new())];
//! # let disk = Arc::new(persist_io::RealDisk);
//! # let opened = open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default())?;
//! let (mut writer, store) = opened.negotiate(&volatile_request())?;
//! let done = ingest(&mut writer, &store, &frame, Durability::Durable, &IngestOptions::default())?;
//! assert_eq!((done.receipt.beat.0, done.note.fields.beat), (1, 7));
//!
//! let view = store.view()?;
//! let cell = cell_value(&view, b"key")?.ok_or("a cell")?;
//! assert_eq!(Cell::decode(&cell)?.record.body, b"body");
//! assert_eq!(reassemble(&view, done.receipt.beat)?, frame);
//! let limits = &store.grant().session.limits;
//! assert_eq!(verify(&view, limits, &mut |finding| panic!("{finding:?}"), &Quiet)?.frames, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod branch;
mod caps;
mod error;
mod ingest;
mod kept;
mod keys;
mod note;
mod ours;
mod plan;
mod span;
mod verify;

pub use caps::{NEEDS, PROVIDED, REQUIRED, needed_by};
pub use error::kind_of;
pub use ingest::{Ingested, ingest};
pub use kept::{KeptBranchFrame, KeptFrame, branch_frame, cell_value, frame, note, reassemble};
pub use keys::{
    BLOBS, BRANCHES, CELL_KEY_MAX, CELLS, FRAMES, FrameKey, LONG_CELLS, blob_key, branch_key, cell_key,
    frame_key, record_key, records_prefix,
};
pub use note::FrameNote;
pub use plan::{BodyRule, IngestOptions, Plan};
pub use span::{Cell, parse_span};
pub use verify::{FrameVerifyStat, verify};
