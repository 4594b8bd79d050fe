//! Byte-exact codec of CEP flat frames: strict reader, writer, record bodies, container, chunk encryption.
//!
//! A *frame* is a run of records and a trailer that closes them: count, checksums, Merkle root, capabilities. It
//! may travel in a *container*, which is a header and a zlib stream. [`Frame::parse`] checks everything before it
//! hands out a single record; [`FrameWriter`] writes what the upstream program would have written, so that reading
//! and writing again gives the same bytes. `docs/frame.md` has the layout.
//!
//! What this crate must never know: engines, stores, files, and what to do with a frame. It sees bytes and gives
//! bytes; [`Frame::policy`] only lists what an ingesting caller has to refuse.
//!
//! ```
//! use persist_frame::{Frame, FrameCaps, FrameWriter, Limits, NewRecord, RecordKind, TrailerFields};
//!
//! # fn main() -> Result<(), persist_frame::FrameError> {
//! let fields = TrailerFields { beat: 7, caps: FrameCaps::FRAME_TOC, ..TrailerFields::default() };
//! let mut writer = FrameWriter::new(fields);
//! writer.push(NewRecord::new(RecordKind(0x20), b"key", b"body"))?;
//! let bytes = writer.finish()?;
//!
//! let frame = Frame::parse(&bytes, &Limits::default())?;
//! assert_eq!(frame.trailer().fields.beat, 7);
//! for record in frame.records() {
//!     assert_eq!((record.key(), record.body()), (&b"key"[..], &b"body"[..]));
//! }
//! assert_eq!(frame.encode()?, bytes);
//!
//! // A single changed bit is noticed.
//! let mut damaged = bytes.clone();
//! damaged[9] ^= 1;
//! assert_eq!(Frame::parse(&damaged, &Limits::default()).unwrap_err().class().as_str(), "crc");
//! # Ok(())
//! # }
//! ```

pub mod aead;
pub mod body;
mod caps;
pub mod cas;
mod checksum;
mod chunks;
pub mod container;
mod cursor;
mod error;
mod limits;
pub mod merkle;
pub mod name;
pub mod path;
mod payload;
mod policy;
mod reader;
mod record;
mod summary;
mod toc;
mod trailer;
pub mod varint;
mod writer;

pub use caps::FrameCaps;
pub use checksum::Checksum;
pub use error::{ErrorClass, FrameError};
pub use limits::Limits;
pub use merkle::Digest;
pub use payload::Payload;
pub use policy::PolicyReport;
pub use reader::Frame;
pub use record::{NewRecord, RECORD_VERSION, Record, RecordKind};
pub use summary::Summary;
pub use trailer::{ApplyMode, Branch, Compression, Trailer, TrailerFields};
pub use writer::FrameWriter;

// Linked for its `static` feature: the zlib that flate2 calls must be the same everywhere.
use libz_sys as _;
