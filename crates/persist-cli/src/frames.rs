//! Reading frame files within limits.

use std::io::{self, Read};
use std::path::Path;

use clap::Args;
use persist_api::{Error, ErrorKind};
use persist_frame::{ErrorClass, FrameError, Limits};

use crate::fail::unreadable;
use crate::watch::{opened, waiting};

/// What a frame may cost. Beyond a limit it is refused before memory is reserved for it.
#[derive(Debug, Clone, Copy, Args)]
#[allow(clippy::struct_field_names, reason = "the fields are the names of the options")]
pub(crate) struct LimitArgs {
    /// Largest input file, container included [default: 65M]
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    max_input: Option<u64>,
    /// Largest bare frame [default: 64M, at most 4G]
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    max_frame: Option<u64>,
    /// Most records [default: 1M]
    #[arg(long, value_name = "COUNT", value_parser = amount)]
    max_records: Option<u64>,
    /// Longest key [default: 64K]
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    max_key: Option<u64>,
}

impl LimitArgs {
    pub(crate) fn limits(self) -> Limits {
        let default = Limits::default();
        let narrow = |asked: Option<u64>, default| match asked {
            Some(asked) => u32::try_from(asked).unwrap_or(u32::MAX),
            None => default,
        };
        Limits {
            input_bytes: self.max_input.unwrap_or(default.input_bytes),
            frame_bytes: narrow(self.max_frame, default.frame_bytes),
            records: narrow(self.max_records, default.records),
            key_bytes: narrow(self.max_key, default.key_bytes),
        }
    }
}

/// A number with an optional K, M or G (powers of 1024).
fn amount(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (text.get(..at), 10),
        Some((at, 'M' | 'm')) => (text.get(..at), 20),
        Some((at, 'G' | 'g')) => (text.get(..at), 30),
        _ => (Some(text), 0),
    };
    let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a number, or one with K, M or G".to_owned())
}

/// What came of reading a file.
pub(crate) enum Input {
    /// All of it.
    Bytes(Vec<u8>),
    /// It is longer than the limit; the rest was not read. The length where the system knows it.
    TooLong(Option<u64>),
}

impl Input {
    /// The bytes, or the refusal in the words of the frame reader.
    pub(crate) fn within(self, limits: &Limits) -> Result<Vec<u8>, InputTooLong> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::TooLong(bytes) => Err(InputTooLong { bytes, limit: limits.input_bytes }),
        }
    }
}

/// A file that is longer than the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputTooLong {
    bytes: Option<u64>,
    limit: u64,
}

impl InputTooLong {
    /// The class that the frame reader gives such an input.
    pub(crate) const CLASS: ErrorClass = ErrorClass::Limit;

    pub(crate) fn message(&self) -> String {
        match self.bytes {
            Some(bytes) => format!("input of {bytes} bytes, {} are allowed", self.limit),
            None => format!("input of more than the allowed {} bytes", self.limit),
        }
    }

    pub(crate) fn into_error(self, path: &Path) -> Error {
        let context = format!("{}: {}", Self::CLASS, self.message());
        Error::new(ErrorKind::TooLarge, "ingest", context).with_path(path)
    }
}

/// Reads a file, or standard input for `-`, but never more than the limit and one byte.
pub(crate) fn read(path: &Path, limits: &Limits) -> Result<Input, Error> {
    let failed = |error: io::Error| unreadable("read", path, error);
    if path.as_os_str() == "-" {
        return waiting("read", || take(io::stdin().lock(), limits, None))?.map_err(failed);
    }
    opened("read", path, |file| {
        let meta = file.metadata()?;
        if meta.is_file() && meta.len() > limits.input_bytes {
            return Ok(Input::TooLong(Some(meta.len())));
        }
        take(file, limits, meta.is_file().then_some(meta.len()))
    })?
    .map_err(failed)
}

fn take(from: impl Read, limits: &Limits, expected: Option<u64>) -> io::Result<Input> {
    let mut bytes = Vec::new();
    let expected = expected.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0).saturating_add(1));
    bytes.try_reserve_exact(expected).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    from.take(limits.input_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits.input_bytes { Ok(Input::TooLong(None)) } else { Ok(Input::Bytes(bytes)) }
}

/// A refusal as JSON, the same for every command that reads frames.
#[derive(Debug, serde::Serialize)]
pub(crate) struct RefusalJson {
    pub(crate) class: String,
    pub(crate) message: String,
    pub(crate) offset: Option<u64>,
}

impl From<&FrameError> for RefusalJson {
    fn from(error: &FrameError) -> Self {
        Self {
            class: error.class().as_str().to_owned(),
            message: error.message().to_owned(),
            offset: error.offset(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_take_a_unit() {
        assert_eq!(amount("64K"), Ok(65536));
        assert_eq!(amount("3"), Ok(3));
        assert_eq!(amount("1g"), Ok(1 << 30));
        for wrong in ["", "K", "-1", "1T", "99999999999999999999", "18446744073709551615K"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let limits = Limits { input_bytes: 10, ..Limits::default() };
        assert!(
            matches!(take(&[7_u8; 10][..], &limits, None).unwrap(), Input::Bytes(bytes) if bytes.len() == 10)
        );
        assert!(matches!(take(io::repeat(0), &limits, None).unwrap(), Input::TooLong(None)));
    }
}
