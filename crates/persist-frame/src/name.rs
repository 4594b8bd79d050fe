//! Names: 17-byte segments of domain, tag and glob flag, and the 58-bit identifiers inside them.

use std::fmt;

use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};

/// Bytes of a segment.
pub const SEGMENT_LEN: usize = 17;

const NAMING_SHIFT: u32 = 56;
const LOW_MASK: u64 = (1 << NAMING_SHIFT) - 1;
const WORD_CHARS: u32 = 11;
const WORD_BITS: u32 = 5;
const ACRONYM_CHARS: u32 = 9;
const ACRONYM_BITS: u32 = 6;
/// What the five-bit values from 27 on stand for.
const WORD_MARKS: &[u8; 5] = b":_-.*";

/// How an identifier is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Naming {
    /// Up to 11 characters: lower-case letters, space and `: _ - . *`, with a letter among them.
    Word,
    /// Up to 9 characters from space to underscore in ASCII; digits alone are not one.
    Acronym,
    /// A number of the writing process's name pool; the frame's namepool records give the text.
    Reference,
    /// A number given by the parent.
    Numeric,
}

/// A domain or a tag: 58 bits, naming in the top two. Zero means no name.
///
/// Wider values can occur in hostile or odd frames and are kept as they are; they have no naming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NameId(pub u64);

impl NameId {
    /// No name.
    pub const NONE: Self = Self(0);

    /// The naming, or `None` if more than 58 bits are used.
    pub fn naming(self) -> Option<Naming> {
        Some(match self.0 >> NAMING_SHIFT {
            0 => Naming::Word,
            1 => Naming::Acronym,
            2 => Naming::Reference,
            3 => Naming::Numeric,
            _ => return None,
        })
    }

    /// The number of a reference or numeric name; the packed characters of the others.
    pub fn low_bits(self) -> u64 {
        self.0 & LOW_MASK
    }

    /// A name-pool reference. `None` if the number needs more than 56 bits.
    pub fn reference(number: u64) -> Option<Self> {
        (number <= LOW_MASK).then_some(Self(2 << NAMING_SHIFT | number))
    }

    /// A number given by the parent. `None` if it needs more than 56 bits.
    pub fn numeric(number: u64) -> Option<Self> {
        (number <= LOW_MASK).then_some(Self(3 << NAMING_SHIFT | number))
    }

    /// Packs text as a word, else as an acronym. `None`: it fits neither and needs a name-pool reference.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::word(text).or_else(|| Self::acronym(text))
    }

    /// Packs text as a word.
    pub fn word(text: &str) -> Option<Self> {
        let has_letter = text.bytes().any(|byte| byte.is_ascii_lowercase());
        let packed = pack(text, WORD_CHARS, WORD_BITS, word_code)?;
        has_letter.then_some(Self(packed))
    }

    /// Packs text as an acronym.
    pub fn acronym(text: &str) -> Option<Self> {
        let only_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let packed = pack(text, ACRONYM_CHARS, ACRONYM_BITS, acronym_code)?;
        (!only_digits).then_some(Self(1 << NAMING_SHIFT | packed))
    }

    /// The text of a word or acronym; `None` for the other namings and for bits that no text gives.
    pub fn text(self) -> Option<String> {
        let text = match self.naming()? {
            Naming::Word => unpack(self.low_bits(), WORD_CHARS, WORD_BITS, word_char),
            Naming::Acronym => {
                unpack(self.low_bits(), ACRONYM_CHARS, ACRONYM_BITS, |code| Some(code.saturating_add(0x20)))
            }
            Naming::Reference | Naming::Numeric => return None,
        }?;
        let repacked = match self.naming()? {
            Naming::Word => Self::word(&text),
            _ => Self::acronym(&text),
        };
        (repacked == Some(self)).then_some(text)
    }
}

impl fmt::Display for NameId {
    /// The text; `ref:4097`, `num:3` or, where nothing else fits, `0x…`. No name is an empty string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return Ok(());
        }
        match (self.text(), self.naming()) {
            (Some(text), _) => f.write_str(&text),
            (None, Some(Naming::Reference)) => write!(f, "ref:{}", self.low_bits()),
            (None, Some(Naming::Numeric)) => write!(f, "num:{}", self.low_bits()),
            _ => write!(f, "{:#x}", self.0),
        }
    }
}

fn word_code(byte: u8) -> Option<u8> {
    match byte {
        b' ' => Some(0),
        b'a'..=b'z' => Some(byte - b'a' + 1),
        _ => WORD_MARKS.iter().zip(27..).find(|(mark, _)| **mark == byte).map(|(_, code)| code),
    }
}

fn word_char(code: u8) -> Option<u8> {
    match code {
        0 => Some(b' '),
        1..=26 => Some(code.saturating_sub(1).saturating_add(b'a')),
        _ => WORD_MARKS.get(usize::from(code).checked_sub(27)?).copied(),
    }
}

fn acronym_code(byte: u8) -> Option<u8> {
    matches!(byte, 0x20..=0x5F).then(|| byte.saturating_sub(0x20))
}

/// First character in the highest place; what is not there stays 0, which is why text may not end in a space.
fn pack(text: &str, chars: u32, bits: u32, code: impl Fn(u8) -> Option<u8>) -> Option<u64> {
    if text.is_empty() || text.ends_with(' ') || text.len() > chars as usize {
        return None;
    }
    (0..chars).rev().zip(text.bytes()).try_fold(0_u64, |packed, (place, byte)| {
        code(byte).map(|code| packed | u64::from(code) << (place * bits))
    })
}

fn unpack(packed: u64, chars: u32, bits: u32, character: impl Fn(u8) -> Option<u8>) -> Option<String> {
    let text: Option<String> = (0..chars)
        .rev()
        .map(|place| {
            let [low, ..] = (packed >> (place * bits)).to_le_bytes();
            character(low & ((1 << bits) - 1)).map(char::from)
        })
        .collect();
    text.map(|text| text.trim_end_matches(' ').to_owned())
}

/// One step of a path, or the name of a child: domain, tag and glob flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Segment {
    /// Who defines the tag's meaning.
    pub domain: NameId,
    /// The name itself.
    pub tag: NameId,
    /// Whether the name is a pattern.
    pub glob: bool,
}

impl Segment {
    /// A segment of two texts; `None` if one of them needs the name pool.
    pub fn from_text(domain: &str, tag: &str) -> Option<Self> {
        Some(Self { domain: NameId::from_text(domain)?, tag: NameId::from_text(tag)?, glob: false })
    }

    /// The 17 bytes.
    pub fn to_bytes(self) -> [u8; SEGMENT_LEN] {
        let mut bytes = [0; SEGMENT_LEN];
        let fields = self.domain.0.to_le_bytes().into_iter().chain(self.tag.0.to_le_bytes());
        bytes.iter_mut().zip(fields.chain([u8::from(self.glob)])).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads 17 bytes; the glob flag must be 0 or 1.
    pub fn from_bytes(bytes: &[u8; SEGMENT_LEN]) -> Result<Self, FrameError> {
        Self::read(&mut Cursor::new(bytes, 0, ErrorClass::Name))
    }

    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, FrameError> {
        let domain = NameId(cursor.u64("segment domain")?);
        let tag = NameId(cursor.u64("segment tag")?);
        let at = cursor.offset();
        let glob = match cursor.u8("segment glob")? {
            0 => false,
            1 => true,
            other => {
                return Err(FrameError::at(ErrorClass::Name, at, format!("glob is {other}, not 0 or 1")));
            }
        };
        Ok(Self { domain, tag, glob })
    }
}

impl fmt::Display for Segment {
    /// `domain/tag`, with a trailing `~` for a glob.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.tag, if self.glob { "~" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_have_their_known_bits() {
        assert_eq!(NameId::from_text("CEP"), Some(NameId(0x0123_9700_0000_0000)));
        assert_eq!(NameId::from_text("sev:warn"), Some(NameId(0x004C_B6DD_C327_0000)));
        assert_eq!(NameId::from_text("/"), Some(NameId(0x010F_0000_0000_0000)));
        assert_eq!(NameId(0x010F_0000_0000_0000).to_string(), "/");
    }

    #[test]
    fn what_is_neither_word_nor_acronym_needs_the_pool() {
        for text in ["val_64", "op/checkpt", "", "   ", "1234", "abcdefghijkl", "ABCDEFGHIJ", "a ", "é", "Ab"]
        {
            assert_eq!(NameId::from_text(text), None, "{text:?}");
        }
        assert_eq!(NameId::from_text("abcdefghijk").and_then(NameId::text).as_deref(), Some("abcdefghijk"));
        assert_eq!(NameId::from_text("a b*c").and_then(NameId::text).as_deref(), Some("a b*c"));
        assert_eq!(NameId::from_text("A1-_ 9!").and_then(NameId::text).as_deref(), Some("A1-_ 9!"));
    }

    #[test]
    fn all_four_namings_are_told_apart() {
        assert_eq!(NameId::from_text("data").and_then(NameId::naming), Some(Naming::Word));
        assert_eq!(NameId::from_text("CEP").and_then(NameId::naming), Some(Naming::Acronym));
        assert_eq!(
            NameId::reference(4097).map(|id| (id.naming(), id.low_bits())),
            Some((Some(Naming::Reference), 4097))
        );
        assert_eq!(NameId::numeric(3).map(|id| (id.to_string(), id.text())), Some(("num:3".into(), None)));
        assert_eq!(NameId::reference(1 << 56), None);
        assert_eq!(NameId(4 << 56).naming(), None);
        assert_eq!(NameId(1 << 55).text(), None, "a word has 55 bits");
        assert_eq!(NameId(27 << 50).text(), None, "a word holds a letter");
    }

    #[test]
    fn segments_round_trip_and_refuse_a_third_glob() {
        let segment = Segment { domain: NameId(7), tag: NameId(u64::MAX), glob: true };
        let mut bytes = segment.to_bytes();
        assert_eq!(Segment::from_bytes(&bytes), Ok(segment));
        bytes[16] = 2;
        assert_eq!(Segment::from_bytes(&bytes).unwrap_err().class(), ErrorClass::Name);
    }
}
