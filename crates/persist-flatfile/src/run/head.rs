//! What a run is about: its head, which is written twice.
//!
//! The payload of the head block (at offset 0) and of the foot block (the last of the file) is the same:
//!
//! ```text
//! 0    format          4   1
//! 4    number          4   of the run; its file is branch.ckp.<number>
//! 8    after           8   frames: the run holds those above `after` …
//! 16   upto            8   … up to this one
//! 24   first beat      8   beats of these frames
//! 32   last beat       8
//! 40   floor           8   versions at or below are the only ones of their key that old
//! 48   file length     8   bytes
//! 56   records         8   versions in data blocks
//! 64   keys            8   distinct keys
//! 72   key bytes       8   of all records
//! 80   value bytes     8   of all records with an inline value
//! 88   deletions       8   records that say "deleted"
//! 96   large values    8   records that point to a payload segment
//! 104  large bytes     8   the length of what they point to
//! 112  data blocks     8
//! 120  groups          8   as many index blocks and filter blocks
//! 128  top             8   offset of the top index block
//! 136  top length      8   bytes of its payload
//! 144  ranges          8   offset of the first block of range deletions
//! 152  range count     8   range deletions in all
//! 160  headers         8   offset of the first block of beat headers
//! 168  header count    8   beat headers in all
//! 176  newest          72  the newest beat header, as `BeatHeader::encode` stores it
//! ```

use persist_api::{BeatHeader, BeatNo};

use super::block::HEADER;
use crate::coding::{u32_at, u64_at};
use crate::timeline::FrameSpan;

/// The version of the format of runs.
pub(super) const FORMAT: u32 = 1;
/// Bytes of the payload.
pub(super) const SUMMARY: usize = 176 + BeatHeader::ENCODED_LEN;
/// Bytes of the head block and of the foot block.
pub(super) const SUMMARY_BLOCK: u64 = (HEADER + SUMMARY) as u64;

/// Which part of a store's past a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunHead {
    /// Number of the run, as in its file name.
    pub(crate) number: u32,
    /// The frames that it holds.
    pub(crate) span: FrameSpan,
    /// The beat of its oldest frame.
    pub(crate) first_beat: BeatNo,
    /// The beat of its newest frame.
    pub(crate) last_beat: BeatNo,
    /// Of the versions of a key at or below this beat only the newest is here, and it reads as if written at this beat.
    /// Never above `last_beat`. Reads at beats below the floor have no meaning.
    pub(crate) floor: BeatNo,
}

/// What a run holds, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunStat {
    /// Bytes of the file.
    pub(crate) file_len: u64,
    /// Versions.
    pub(crate) records: u64,
    /// Distinct keys.
    pub(crate) keys: u64,
    /// Bytes of the keys of all records.
    pub(crate) key_bytes: u64,
    /// Bytes of the inline values of all records.
    pub(crate) value_bytes: u64,
    /// Records that say "deleted".
    pub(crate) deletions: u64,
    /// Records that point to a payload segment.
    pub(crate) large_values: u64,
    /// The length of what they point to.
    pub(crate) large_bytes: u64,
    /// Range deletions.
    pub(crate) ranges: u64,
    /// Beat headers.
    pub(crate) headers: u64,
}

/// Where the sections of a run lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sections {
    pub(super) data_blocks: u64,
    pub(super) groups: u64,
    pub(super) top: u64,
    pub(super) top_len: u64,
    pub(super) ranges: u64,
    pub(super) headers: u64,
}

/// All that the head block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) head: RunHead,
    pub(super) stat: RunStat,
    pub(super) sections: Sections,
    pub(super) newest: BeatHeader,
}

/// Why a head block is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotHead {
    /// It was written by a later version.
    Format(u32),
    /// It contradicts itself.
    Malformed,
}

impl Summary {
    /// Of a run that holds nothing yet.
    pub(super) fn new(head: RunHead) -> Self {
        let (stat, sections) = (RunStat::default(), Sections::default());
        Self { head, stat, sections, newest: BeatHeader::default() }
    }

    pub(super) fn encode(&self) -> [u8; SUMMARY] {
        let Self { head, stat, sections, newest } = self;
        let mut out = [0; SUMMARY];
        out[..4].copy_from_slice(&FORMAT.to_le_bytes());
        out[4..8].copy_from_slice(&head.number.to_le_bytes());
        let words = [
            head.span.after,
            head.span.upto,
            head.first_beat.0,
            head.last_beat.0,
            head.floor.0,
            stat.file_len,
            stat.records,
            stat.keys,
            stat.key_bytes,
            stat.value_bytes,
            stat.deletions,
            stat.large_values,
            stat.large_bytes,
            sections.data_blocks,
            sections.groups,
            sections.top,
            sections.top_len,
            sections.ranges,
            stat.ranges,
            sections.headers,
            stat.headers,
        ];
        for (slot, word) in out[8..176].chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        out[176..].copy_from_slice(&newest.encode());
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, NotHead> {
        let format = u32_at(payload, 0).ok_or(NotHead::Malformed)?;
        if format != FORMAT {
            return Err(NotHead::Format(format));
        }
        let number = u32_at(payload, 4).ok_or(NotHead::Malformed)?;
        let newest = payload.get(176..).and_then(|bytes| BeatHeader::decode(bytes).ok());
        let newest = newest.ok_or(NotHead::Malformed)?;
        // The slice of the newest header has the right length, so all words are there.
        let word = |at| u64_at(payload, at).unwrap_or(0);
        Ok(Self {
            head: RunHead {
                number,
                span: FrameSpan::new(word(8), word(16)),
                first_beat: BeatNo(word(24)),
                last_beat: BeatNo(word(32)),
                floor: BeatNo(word(40)),
            },
            stat: RunStat {
                file_len: word(48),
                records: word(56),
                keys: word(64),
                key_bytes: word(72),
                value_bytes: word(80),
                deletions: word(88),
                large_values: word(96),
                large_bytes: word(104),
                ranges: word(152),
                headers: word(168),
            },
            sections: Sections {
                data_blocks: word(112),
                groups: word(120),
                top: word(128),
                top_len: word(136),
                ranges: word(144),
                headers: word(160),
            },
            newest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_comes_back() {
        let head = RunHead {
            number: 7,
            span: FrameSpan::new(0, 0),
            first_beat: BeatNo(0),
            last_beat: BeatNo(0),
            floor: BeatNo(0),
        };
        let mut payload = Summary::new(head).encode();
        for (n, slot) in (1_u64..).zip(payload[8..176].chunks_exact_mut(8)) {
            slot.copy_from_slice(&n.to_le_bytes());
        }
        payload[4] = 77;
        let summary = Summary::decode(&payload).unwrap();
        assert_eq!(summary.encode(), payload);
        assert_eq!(summary.head.number, 77);
        assert_eq!(Summary::decode(&payload[..100]), Err(NotHead::Malformed));
        payload[0] = 9;
        assert_eq!(Summary::decode(&payload), Err(NotHead::Format(9)));
    }
}
