//! The layers between caller and engine. Formats: `docs/format.md`; how to ask for them: `docs/layers.md`.
//!
//! `prefix` is put on and taken off by the handles, `merkle` belongs to the writer of beats. The value layers are a
//! [`Codec`], and [`Layered`] is the engine that seals with it: nothing that goes through it can be stored unsealed by
//! mistake, the runtime's own records included.

mod codec;
mod crc;
mod keys;
mod layered;
mod lz4;
mod seal;
mod space;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use persist_api::{Caps, Durability, Layer, LayerGrant, Limits, Request};

pub(crate) use codec::{Codec, Scratch};
pub use keys::{KeyId, KeyProvider, KeyRing, SecretKey};
pub use layered::LayeredDriver;
pub(crate) use layered::{Layered, LayeredView};
pub(crate) use seal::new_parameter;
pub(crate) use space::{
    FORMAT_KEY, KEY_CHECKS, OWN, USER, enforced_limits, format_record, logical_key, read_format_record,
    show_key, user_key, user_range, user_scan,
};

const PREFIX_LAYER: &str = "prefix";
const LZ4_LAYER: &str = "lz4";
pub(crate) const AEAD_LAYER: &str = "xchacha20-poly1305";
const CRC_LAYER: &str = "crc32c";
const MERKLE_LAYER: &str = "merkle";

/// The layers that this runtime can apply, in the order in which they do when a value is written: `prefix/1` in every
/// store, `lz4/1` where COMPRESSION is wanted, `xchacha20-poly1305/1` where AEAD is, `crc32c/1` where CRC32C is and the
/// engine has no checksums, `merkle/1` where MERKLE is.
#[must_use]
pub fn standard_layers() -> Vec<Layer> {
    let layer = |name, always, provides, key_overhead, value_overhead: usize, removes| Layer {
        grant: LayerGrant {
            name: Cow::Borrowed(name),
            version: 1,
            provides,
            key_overhead,
            value_overhead: value_overhead as u64,
            parameter: Cow::Borrowed(""),
        },
        always,
        removes,
    };
    // What hands out the engine's own bytes hands out none that a layer has changed.
    let bytes = Caps::ZERO_COPY | Caps::FEED;
    vec![
        layer(PREFIX_LAYER, true, Caps::empty(), 1, 0, Caps::empty()),
        layer(LZ4_LAYER, false, Caps::COMPRESSION, 0, lz4::LZ4_OVERHEAD, bytes),
        layer(AEAD_LAYER, false, Caps::AEAD, 0, seal::SEAL_OVERHEAD, bytes),
        layer(CRC_LAYER, false, Caps::CRC32C, 0, crc::CRC_LEN, Caps::FEED),
        layer(MERKLE_LAYER, false, Caps::MERKLE, 0, 0, Caps::empty()),
    ]
}

/// A request that suits most callers: ordered scans and views are required, every maintenance verb and integrity layer
/// that is available is taken, and beats are durable. An engine that cannot keep a durable beat is refused; see
/// [`volatile_request`]. Values are neither compressed nor encrypted; see [`compressed`] and [`encrypted`].
#[must_use]
pub fn default_request() -> Request {
    Request {
        required: Caps::BEAT_ATOMIC | Caps::PREFIX_SCAN | Caps::ORDERED | Caps::SNAPSHOT,
        preferred: Caps::CHECKPOINT
            | Caps::COMPACTION
            | Caps::CRC32C
            | Caps::MERKLE
            | Caps::ZERO_COPY
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS
            | Caps::BACKUP,
        durability: Durability::Durable,
        durability_may_pend: false,
        limits: Limits::NO_NEED,
        layers: standard_layers(),
    }
}

/// As [`default_request`], but content with an engine that cannot promise durability, as memory: the durability is then
/// granted as pending, and each receipt says what was really reached.
#[must_use]
pub fn volatile_request() -> Request {
    Request { durability_may_pend: true, ..default_request() }
}

/// The request with compression of values required.
#[must_use]
pub fn compressed(mut request: Request) -> Request {
    request.required |= Caps::COMPRESSION;
    request
}

/// The request with encryption of values required; the keys are given with [`Opened::keys`](crate::Opened::keys). A
/// checksum is no longer asked for where it was only preferred: each value has a tag that covers as much and more.
#[must_use]
pub fn encrypted(mut request: Request) -> Request {
    request.required |= Caps::AEAD;
    request.preferred -= Caps::CRC32C;
    request
}
