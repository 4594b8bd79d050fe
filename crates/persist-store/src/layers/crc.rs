//! Layer `crc32c`: four bytes behind a value that tell whether it is still that key's.

use super::space::logical_key;

/// Bytes of the checksum after a value.
pub(super) const CRC_LEN: usize = 4;

/// Puts the checksum behind what begins at `start`.
#[inline]
pub(super) fn append(key: &[u8], start: usize, out: &mut Vec<u8>) {
    let sum = checksum(logical_key(key), out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
}

/// What lies before the checksum.
///
/// # Errors
/// What does not fit, in words.
#[inline]
pub(super) fn checked<'b>(key: &[u8], stored: &'b [u8]) -> Result<&'b [u8], &'static str> {
    match stored.split_last_chunk::<CRC_LEN>() {
        Some((value, sum)) if u32::from_le_bytes(*sum) == checksum(logical_key(key), value) => Ok(value),
        Some(_) => Err("its checksum does not fit its key and value"),
        None => Err("it is too short to carry its checksum"),
    }
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
