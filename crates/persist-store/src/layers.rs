//! The layers between caller and engine: key prefix, value checksum, Merkle root. Formats: `docs/format.md`.

use std::borrow::Cow;
use std::ops::Bound;

use persist_api::{
    Caps, Durability, Error, ErrorKind, FormatGrant, KeyRange, Layer, LayerGrant, Limits, Request, Result,
    Value,
};

/// First byte of the runtime's own keys.
pub(crate) const OWN: u8 = 0x00;
/// First byte of users' keys.
pub(crate) const USER: u8 = 0x01;
/// First byte that no key of a store has.
const BEYOND_USER: u8 = 0x02;
/// Engine key of the record that repeats the format grant inside the engine.
pub(crate) const FORMAT_KEY: &[u8] = b"\x00format";
/// Bytes of the checksum after a value.
const CRC_LEN: usize = 4;
/// Keys of this length and above need LONG_KEYS.
const LONG_KEY_BYTES: u64 = 65_535;

/// The layers that this runtime can apply, outermost last: `prefix/1` in every store, `crc32c/1` where CRC32C is wanted
/// and the engine has no checksums, `merkle/1` where MERKLE is wanted.
#[must_use]
pub fn standard_layers() -> Vec<Layer> {
    let layer = |name, always, provides, key_overhead, value_overhead| Layer {
        grant: LayerGrant { name: Cow::Borrowed(name), version: 1, provides, key_overhead, value_overhead },
        always,
    };
    vec![
        layer("prefix", true, Caps::empty(), 1, 0),
        layer("crc32c", false, Caps::CRC32C, 0, CRC_LEN as u64),
        layer("merkle", false, Caps::MERKLE, 0, 0),
    ]
}

/// A request that suits most callers: ordered scans and views are required, every maintenance verb and integrity layer
/// that is available is taken, and beats are durable. An engine that cannot keep a durable beat is refused; see
/// [`volatile_request`].
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

/// What the layers of a store do to keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Codec {
    pub(crate) crc: bool,
    pub(crate) merkle: bool,
}

impl Codec {
    /// The codec of a format grant.
    ///
    /// # Errors
    /// `Refused` when the grant names a layer that this runtime does not have, or lacks the prefix.
    pub(crate) fn of(format: &FormatGrant) -> Result<Self> {
        let ready = standard_layers();
        let refused = |what: String| Err(Error::new(ErrorKind::Refused, "negotiate", what));
        if let Some(layer) = format.layers.iter().find(|layer| !ready.iter().any(|has| has.grant == **layer))
        {
            return refused(format!("layer {} is not in this build", layer.id()));
        }
        if format.layer("prefix").is_none() {
            return refused("the format has no prefix layer".to_owned());
        }
        Ok(Self { crc: format.layer("crc32c").is_some(), merkle: format.layer("merkle").is_some() })
    }

    /// Bytes that are added to each value.
    pub(crate) const fn value_overhead(self) -> u64 {
        if self.crc { CRC_LEN as u64 } else { 0 }
    }

    /// The value as the engine stores it. `buffer` is used when bytes have to be added.
    pub(crate) fn seal<'b>(self, key: &[u8], value: &'b [u8], buffer: &'b mut Vec<u8>) -> &'b [u8] {
        if !self.crc {
            return value;
        }
        buffer.clear();
        buffer.extend_from_slice(value);
        buffer.extend_from_slice(&checksum(key, value).to_le_bytes());
        buffer
    }

    /// The value as the caller wrote it, checked.
    ///
    /// # Errors
    /// `Corrupt` naming the key.
    #[inline]
    pub(crate) fn open<'b>(self, key: &[u8], stored: &'b [u8]) -> Result<&'b [u8]> {
        if !self.crc {
            return Ok(stored);
        }
        match stored.split_last_chunk::<CRC_LEN>() {
            Some((value, sum)) if u32::from_le_bytes(*sum) == checksum(key, value) => Ok(value),
            _ => Err(damaged(key, stored.len())),
        }
    }

    /// As [`open`](Self::open), keeping the value where it is.
    #[inline]
    pub(crate) fn open_value<'v>(self, key: &[u8], stored: Value<'v>) -> Result<Value<'v>> {
        if !self.crc {
            return Ok(stored);
        }
        self.open(key, &stored)?;
        Ok(stored.shortened(CRC_LEN))
    }
}

/// An instance record's value as the engine stores it, with the same layers as users' values. `key` is the engine's.
pub(crate) fn seal_own<'b>(codec: Codec, key: &[u8], value: &'b [u8], buffer: &'b mut Vec<u8>) -> &'b [u8] {
    codec.seal(key, value, buffer)
}

/// An instance record's value, checked. `key` is the engine's.
///
/// # Errors
/// `Corrupt` naming the key.
pub(crate) fn open_own<'v>(codec: Codec, key: &[u8], stored: Value<'v>) -> Result<Value<'v>> {
    codec.open_value(key, stored)
}

#[cold]
fn damaged(key: &[u8], stored: usize) -> Error {
    let what = if stored < CRC_LEN {
        format!("the record {} is too short to carry its checksum", show_key(key))
    } else {
        format!("the checksum of the record {} does not fit its key and value", show_key(key))
    };
    Error::new(ErrorKind::Corrupt, "read_record", what)
}

/// Key length and a short key side by side, aligned, so that one call takes both: a call costs more than its bytes.
#[repr(align(8))]
struct Head([u8; 64]);

/// CRC-32C over the key's length (u32, little-endian), the key and the value, so that a value that lies under another
/// key is noticed too.
#[inline]
fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let len = u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut head = Head([0; 64]);
    let together = head.0.get_mut(..len.len() + key.len());
    let sum = match together.and_then(|head| head.split_first_chunk_mut()) {
        Some((start, rest)) => {
            *start = len;
            rest.copy_from_slice(key);
            crc32c::crc32c(head.0.get(..len.len() + key.len()).unwrap_or_default())
        }
        None => crc32c::crc32c_append(crc32c::crc32c(&len), key),
    };
    crc32c::crc32c_append(sum, value)
}

/// A key for an error message: text where it is text, at most 64 bytes of it.
pub(crate) fn show_key(key: &[u8]) -> String {
    let shown = key.get(..64).unwrap_or(key);
    let rest = if shown.len() < key.len() { format!("… ({} bytes)", key.len()) } else { String::new() };
    format!("\"{}\"{rest}", shown.escape_ascii())
}

/// Puts the engine's form of a user's key into `buffer`.
#[inline]
pub(crate) fn user_key<'b>(key: &[u8], buffer: &'b mut Vec<u8>) -> &'b [u8] {
    buffer.clear();
    buffer.push(USER);
    buffer.extend_from_slice(key);
    buffer
}

/// A user's key without its prefix.
#[inline]
pub(crate) fn logical_key(key: &[u8]) -> &[u8] {
    key.get(1..).unwrap_or_default()
}

/// The engine's form of a user's range: bounded on both sides, and inside the users' keys whatever its bounds are.
pub(crate) fn user_range(range: &KeyRange<'_>) -> KeyRange<'static> {
    let wrap = |key: &[u8]| [&[USER], key].concat();
    let start = match range.start() {
        Bound::Unbounded => Bound::Included(vec![USER]),
        bound => bound.map(wrap),
    };
    let end = match range.end() {
        Bound::Unbounded => Bound::Excluded(vec![BEYOND_USER]),
        bound => bound.map(wrap),
    };
    KeyRange::owned(start, end)
}

/// The granted limits with LONG_KEYS taken into account: without it, keys stay below its length even where the engine
/// could do more (contract N-5).
pub(crate) fn enforced_limits(caps: Caps, limits: Limits) -> Limits {
    if caps.contains(Caps::LONG_KEYS) {
        return limits;
    }
    Limits { key_bytes_max: limits.key_bytes_max.min(LONG_KEY_BYTES - 1), ..limits }
}

/// Content of the record at [`FORMAT_KEY`]: the canonical text and its BLAKE3.
pub(crate) fn format_record(format: &FormatGrant) -> Vec<u8> {
    let mut record = format.canonical_text().into_bytes();
    let digest = blake3::hash(&record);
    record.extend_from_slice(digest.as_bytes());
    record
}

/// Reads the record at [`FORMAT_KEY`].
///
/// # Errors
/// `Corrupt`.
pub(crate) fn read_format_record(record: &[u8]) -> Result<FormatGrant> {
    let corrupt =
        || Error::new(ErrorKind::Corrupt, "read_grant", "the engine's copy of the format grant is damaged");
    let (text, digest) = record.split_last_chunk::<32>().ok_or_else(corrupt)?;
    if blake3::hash(text).as_bytes() != digest {
        return Err(corrupt());
    }
    FormatGrant::parse(std::str::from_utf8(text).map_err(|_| corrupt())?)
}
