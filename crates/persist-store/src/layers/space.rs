//! Layer `prefix`: whose a key is, and what of the runtime's own records is never sealed.

use std::ops::Bound;

use persist_api::{Caps, Error, ErrorKind, FormatGrant, KeyRange, Limits, Result, Scan};

/// First byte of the runtime's own keys.
pub(crate) const OWN: u8 = 0x00;
/// First byte of users' keys.
pub(crate) const USER: u8 = 0x01;
/// First byte that no key of a store has.
const BEYOND_USER: u8 = 0x02;
/// Engine key of the record that repeats the format grant inside the engine.
pub(crate) const FORMAT_KEY: &[u8] = b"\x00format";
/// What the engine keys begin with under which the keys of encryption prove themselves; four bytes of key id follow,
/// big-endian.
pub(crate) const KEY_CHECKS: &[u8] = b"\x00key/";
/// Keys of this length and above need LONG_KEYS.
const LONG_KEY_BYTES: u64 = 65_535;

/// True for the records of the runtime that no value layer touches, because they are read before the layers can work.
#[inline]
pub(crate) fn is_plain(key: &[u8]) -> bool {
    key.first() == Some(&OWN) && (key == FORMAT_KEY || key.starts_with(KEY_CHECKS))
}

/// A key for an error message: text where it is text, at most 64 bytes of it.
pub(crate) fn show_key(key: &[u8]) -> String {
    let shown = key.get(..64).unwrap_or(key);
    let rest = if shown.len() < key.len() { format!("… ({} bytes)", key.len()) } else { String::new() };
    format!("\"{}\"{rest}", shown.escape_ascii())
}

/// An engine key for an error message: a user's key as the user knows it, any other as it is.
pub(crate) fn show_stored_key(key: &[u8]) -> String {
    show_key(key.strip_prefix(&[USER]).unwrap_or(key))
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

/// The engine's form of a user's scan.
pub(crate) fn user_scan(scan: Scan<'_>) -> Scan<'static> {
    let Scan { range, direction, limit, keys_only, fill_cache } = scan;
    Scan { range: user_range(&range), direction, limit, keys_only, fill_cache }
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
