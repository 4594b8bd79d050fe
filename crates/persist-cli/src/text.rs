//! Bytes as people type and read them.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::fail::{Failure, Result};

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a hexadecimal text, with or without `0x`.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let wrong = || Failure::Usage(format!("{text:?} is not hexadecimal: an even number of digits 0-9 a-f"));
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let byte = |[high, low]: &[u8; 2]| Some(nibble(high)? << 4 | nibble(low)?);
    pairs.iter().map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

/// What the user typed as bytes.
pub(crate) fn typed(text: &str, as_hex: bool) -> Result<Cow<'_, [u8]>> {
    if as_hex { unhex(text).map(Cow::Owned) } else { Ok(Cow::Borrowed(text.as_bytes())) }
}

/// The bytes as text, if every character of it can be printed and none is a line of its own.
pub(crate) fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(|character| !character.is_control()).then_some(text)
}

/// For people: the text where it is printable, else `0x` and hexadecimal. Text that looks like the latter is shown as
/// hexadecimal too, so that the output has one meaning.
pub(crate) fn show(bytes: &[u8], as_hex: bool) -> Cow<'_, str> {
    match printable(bytes) {
        _ if as_hex => Cow::Owned(hex(bytes)),
        Some(text) if !text.starts_with("0x") => Cow::Borrowed(text),
        _ => Cow::Owned(format!("0x{}", hex(bytes))),
    }
}

/// A number of bytes, short, and never more than they are.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, UNITS[0]);
    for bigger in UNITS.into_iter().skip(1).take_while(|_| bytes >= 1024 * 1024) {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = bigger;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&all)).unwrap(), all);
        assert_eq!(unhex("0xAbcd").unwrap(), [0xAB, 0xCD]);
        assert_eq!(unhex("").unwrap(), [0; 0]);
        for wrong in ["a", "0g", "äö", "+1", "0x0"] {
            assert!(unhex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shown_bytes_have_one_meaning() {
        assert_eq!(show(b"plain", false), "plain");
        assert_eq!(show("naïve".as_bytes(), false), "naïve");
        assert_eq!(show(b"two\nlines", false), "0x74776f0a6c696e6573");
        assert_eq!(show(b"0x00", false), "0x30783030");
        assert_eq!(show(&[0xFF], false), "0xff");
        assert_eq!(show(b"a", true), "61");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 20), "3.0 MiB");
        assert_eq!(size((1 << 30) - 1), "1023.9 MiB");
        assert_eq!(size(u64::MAX), "16383.9 PiB");
    }
}
