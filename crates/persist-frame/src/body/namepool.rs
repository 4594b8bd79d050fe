//! `namepool_delta`: the text of a name that a frame uses by number.

use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::varint;

/// Most bytes of a text.
const TEXT_MAX: usize = 256;

/// The text of one name. Its number is in the record's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamepoolDelta<'a> {
    /// Whether the text is a pattern.
    pub glob: bool,
    /// At most 256 bytes, any bytes, no terminator.
    pub text: &'a [u8],
}

impl<'a> NamepoolDelta<'a> {
    /// Decodes a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(body, 0, ErrorClass::Body);
        let len = cursor.varint("text length")?;
        let at = cursor.offset();
        let flags = cursor.u8("text flags")?;
        if flags > 1 {
            return Err(FrameError::at(
                ErrorClass::Body,
                at,
                format!("text flags {flags:#04x} have unknown bits"),
            ));
        }
        if len > TEXT_MAX as u64 {
            return Err(FrameError::at(ErrorClass::Body, 0, format!("text of {len} bytes, 256 are allowed")));
        }
        let text = cursor.take(len, "text")?;
        cursor.finish(ErrorClass::Body, "text")?;
        Ok(Self { glob: flags == 1, text })
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len().saturating_add(3));
        varint::encode(self.text.len() as u64, &mut out);
        out.push(u8::from(self.glob));
        out.extend_from_slice(self.text);
        out
    }
}
