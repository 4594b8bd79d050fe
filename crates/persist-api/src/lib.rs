//! The contract of persist: what an engine is, what it can offer, and what a caller may rely on.
//!
//! An *engine* stores one ordered key space and commits *beats*: numbered, atomic changes. A *driver* opens one kind
//! of engine. A *view* is an owned, consistent picture at one beat. What an engine can do is an [`Offer`]; what a
//! caller needs is a [`Request`]; [`negotiate`] turns both into a [`Grant`] or a [`Refusal`], deterministically.
//! The rules that types cannot say are the numbered clauses of `docs/contract.md`.
//!
//! This crate must never know an engine, a file format or the runtime. It does no I/O.
//!
//! ```
//! use persist_api::{negotiate, Caps, Durability, Limits, Offer, Request};
//!
//! let offer = Offer {
//!     engine: "example",
//!     library: "example 1.0".into(),
//!     format: 1,
//!     caps: Caps::BEAT_ATOMIC | Caps::ORDERED | Caps::SNAPSHOT | Caps::DURABLE,
//!     limits: Limits { key_bytes_max: 511, ..Limits::UNLIMITED },
//! };
//! let request = Request { required: Caps::ORDERED, durability: Durability::Durable, ..Request::default() };
//! let grant = negotiate(&offer, &request)?;
//! assert!(grant.session.caps.contains(Caps::ORDERED));
//! assert!(!grant.session.caps.contains(Caps::SNAPSHOT)); // not asked for, so not granted
//! # Ok::<(), persist_api::Refusal>(())
//! ```

mod beat;
mod cap;
mod durability;
mod engine;
mod error;
mod feed;
mod guard;
mod limits;
mod nearest;
mod negotiate;
mod observe;
mod offer;
mod range;
mod report;
mod select;
mod value;

pub use beat::{BeatHeader, BeatNo, BeatReceipt, CommitNo};
pub use cap::{Cap, CapOwner, Caps, CostWhenEmulated, REGISTRY};
pub use durability::Durability;
pub use engine::{Beat, Cursor, Driver, Engine, View, Visit};
pub use error::{Advice, Error, ErrorKind, Result};
pub use feed::{FeedItem, FeedVisit};
pub use guard::{BeatGate, BeatTicket, Health, ViewLease, ViewLedger};
pub use limits::Limits;
pub use nearest::nearest;
pub use negotiate::{
    FormatGrant, Grant, Layer, LayerGrant, LimitShortfall, Refusal, Request, SessionGrant, negotiate,
    renegotiate,
};
pub use observe::{Observer, Progress, Quiet};
pub use offer::{Offer, OpenMode, OpenOptions, Probe};
pub use range::{Direction, KeyRange, Scan, prefix_successor};
pub use report::{
    BackupStat, CheckpointStat, CompactScope, CompactStat, FeedStat, Finding, FindingCode, Severity, Stats,
    VerifyStat,
};
pub use select::{Selection, select};
pub use value::{GiveBack, Lender, Value};
