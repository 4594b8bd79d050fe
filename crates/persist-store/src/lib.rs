//! The runtime: stores that are negotiated, numbered and checked, over any engine.
//!
//! [`open_with`] looks at a place and gives an [`Opened`]. [`Opened::negotiate`] turns it into a [`Writer`], the
//! exclusive lane for beats, and a [`Store`], the shared handle for everything else. What was not granted is refused.
//! Keys get a one-byte prefix and values the layers of the grant, so a caller sees records of its own only, the same on
//! every engine. The files of a home are described in `docs/format.md`.
//!
//! It must never know an engine by name, a frame, or a facet.
//!
//! ```
//! use std::sync::Arc;
//! use persist_api::{Driver, Durability, OpenOptions};
//! use persist_store::{open_with, volatile_request};
//!
//! let drivers: Vec<Arc<dyn Driver>> = vec![Arc::new(persist_memory::MemoryDriver::new())];
//! let options = OpenOptions::default();
//! let opened = open_with(Arc::new(persist_io::RealDisk), &drivers, "".as_ref(), Some("memory"), &options)?;
//! let (mut writer, store) = opened.negotiate(&volatile_request())?;
//!
//! let mut beat = writer.begin(Durability::Durable)?;
//! beat.put(b"key", b"value")?;
//! let receipt = beat.commit()?;
//! assert_eq!(receipt.beat.0, 1);
//! assert_eq!(receipt.reached, Durability::Volatile); // this engine has nothing better, and says so
//! assert_eq!(store.view()?.get(b"key")?.as_deref(), Some(b"value".as_slice()));
//! # Ok::<(), persist_api::Error>(())
//! ```

mod active;
mod activity;
mod backup;
mod bundle;
mod cas;
mod clock;
mod create;
mod cursor;
mod digest;
mod feed;
mod group;
mod home;
mod layers;
mod log;
mod log_code;
mod merkle;
mod observe;
mod opened;
mod seat;
mod shared;
mod staged;
mod stamp;
mod store;
mod swap;
mod sync;
mod transact;
mod verify;
mod view;
mod views;
mod writer;

pub use backup::BackupReport;
pub use bundle::{
    ApplyReport, BundleBase, BundleLimits, BundleManifest, BundleReport, ImportReport, check_bundle_name,
    read_bundle,
};
pub use cas::CAS_DIR;
pub use clock::{Clock, SystemClock};
pub use cursor::StoreCursor;
pub use digest::{DigestBuilder, StoreDigest};
pub use feed::{Feed, FeedCommit, Hold, HoldOptions, HoldStat, Ready};
pub use group::{CommitOptions, NotQueued, Pending};
pub use layers::{
    KeyId, KeyProvider, KeyRing, LayeredDriver, SecretKey, compressed, default_request, encrypted,
    standard_layers, volatile_request,
};
pub use log::{BeatLog, Op, Ops};
pub use merkle::{EMPTY_ROOT, beat_root};
pub use observe::{METRICS, Metric, MetricKind, SPANS};
pub use opened::{Description, NotOpened, Opened, open_with};
pub use staged::StagedBeat;
pub use stamp::{STAMP_BYTES_MAX, STAMP_FILE, Stamp, StampState, StoreId, is_scheme};
pub use store::{Store, StoreStats};
pub use swap::{
    MovedTo, Swap, SwapFigures, SwapId, SwapMark, SwapOptions, SwapPlace, SwapProgress, SwapReport, SwapSide,
    SwapState, SwapStatus, SwapTarget, take_back,
};
pub use transact::{Cause, Conflict, Transacted, Transaction};
pub use verify::VerifyReport;
pub use view::StoreView;
pub use views::{ViewOptions, ViewStats};
pub use writer::{Receipt, Writer};
