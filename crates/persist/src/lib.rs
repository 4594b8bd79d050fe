//! One durable substrate, many engines: an ordered key space with numbered, atomic, verified commits over an engine that
//! is picked by a Cargo feature.
//!
//! ```
//! use persist::{Durability, Scan};
//! use std::ops::ControlFlow;
//!
//! // `flatfile:./dir`, `sqlite:./dir`, `lmdb:./dir`, `rocksdb:./dir` keep their records on disk; `memory:` keeps them until the end.
//! let opened = persist::open("memory:")?;
//! println!("{} offers {}", opened.offer().library, opened.offer().caps.names());
//! let (mut writer, store) = opened.negotiate(&persist::volatile_request())?;
//!
//! let mut beat = writer.begin(Durability::Durable)?;
//! beat.put(b"fruit/apple", b"green")?;
//! beat.put(b"fruit/pear", b"yellow")?;
//! let receipt = beat.commit()?; // all of it or nothing
//! println!("beat {} is {}", receipt.beat, receipt.reached);
//!
//! let view = store.view()?; // this beat, whatever is committed meanwhile
//! assert_eq!(view.get(b"fruit/pear")?.as_deref(), Some(b"yellow".as_slice()));
//! view.scan(Scan::prefix(b"fruit/"), |key, value| {
//!     println!("{} = {}", key.escape_ascii(), value.escape_ascii());
//!     ControlFlow::Continue(())
//! })?;
//! # Ok::<(), persist::Error>(())
//! ```
//!
//! [`open()`] takes `engine:path`, or a path alone for a store that exists: its stamp says which engine owns it. An engine
//! that this build lacks is a typed error that names the feature. Engines of your own go in by
//! [`Options::driver`]; there is no global registry.
//!
//! This crate must never hold logic of its own: it turns engines on, reads addresses, and exports what users need.

mod address;
mod engines;
mod open;

pub use address::Address;
pub use engines::{KNOWN_ENGINES, KnownEngine, drivers};
pub use open::{Options, open, open_with};

pub use persist_api::{
    Advice, BackupStat, BeatHeader, BeatNo, Cap, CapOwner, Caps, CheckpointStat, CommitNo, CompactScope,
    CompactStat, Cursor, Direction, Driver, Durability, Engine, Error, ErrorKind, Finding, FindingCode,
    FormatGrant, Grant, KeyRange, Layer, LayerGrant, LimitShortfall, Limits, Observer, Offer, OpenMode,
    OpenOptions, Probe, Progress, Quiet, REGISTRY, Refusal, Request, Result, Scan, Selection, SessionGrant,
    Severity, Stats, Value, VerifyStat, View, Visit, negotiate, prefix_successor, renegotiate, select,
};
pub use persist_io::{Disk, RealDisk};
/// Configuration, a registry of stores, background maintenance (feature `lifecycle`).
#[cfg(feature = "lifecycle")]
pub use persist_lifecycle as lifecycle;
pub use persist_store::{
    ApplyReport, BackupReport, BeatLog, BundleBase, BundleLimits, BundleManifest, BundleReport, Cause, Clock,
    CommitOptions, Conflict, Description, DigestBuilder, Feed, FeedCommit, Hold, HoldOptions, HoldStat,
    ImportReport, KeyId, KeyProvider, KeyRing, MovedTo, NotOpened, NotQueued, Op, Opened, Pending, Ready,
    Receipt, STAMP_FILE, SecretKey, StagedBeat, Stamp, StampState, Store, StoreCursor, StoreDigest, StoreId,
    StoreStats, StoreView, Swap, SwapFigures, SwapId, SwapMark, SwapOptions, SwapPlace, SwapProgress,
    SwapReport, SwapSide, SwapState, SwapStatus, SwapTarget, SystemClock, Transacted, Transaction,
    VerifyReport, ViewOptions, ViewStats, Writer, beat_root, compressed, default_request, encrypted,
    read_bundle, standard_layers, take_back, volatile_request,
};

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
