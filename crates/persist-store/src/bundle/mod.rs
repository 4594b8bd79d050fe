//! Bundles: a store as one file that no engine owns. `docs/format-bundle.md` describes it to the byte.
//!
//! A bundle holds what a store *is* at a beat: users' records in key order, the numbers and the root of that beat, and the
//! blobs. It holds nothing of how a store is kept: no engine, no layers, no name of a store, no durability, no time. So equal
//! content gives equal bytes, wherever it comes from.

mod apply;
mod base;
mod chunk;
mod commits;
mod export;
mod import;
mod items;
mod load;
mod manifest;
mod part;
mod parts;
mod read;
mod record;

use persist_api::{Error, ErrorKind};

pub use apply::ApplyReport;
pub(crate) use base::base_at;
pub use export::check_bundle_name;
pub(crate) use export::export;
pub use import::ImportReport;
pub use manifest::{BundleBase, BundleManifest};
pub use read::{BundleLimits, read_bundle};

/// What a bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReport {
    /// BLAKE3 of its manifest, which names the BLAKE3 of everything else: two bundles with one id are equal.
    pub id: [u8; 32],
    /// What it says about its content.
    pub manifest: BundleManifest,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Blobs in it.
    pub blobs: u64,
    /// Bytes of those blobs.
    pub blob_bytes: u64,
}

fn too_large(context: String) -> Error {
    Error::new(ErrorKind::TooLarge, "read_bundle", context)
}
