//! Beats: their numbers, the header that travels with each, and the receipt.

use std::fmt;

use crate::{Durability, Error, ErrorKind, Result};

/// Number of a beat: 1, 2, 3, … without gaps, per store. 0 means "no beat yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BeatNo(pub u64);

/// Number of a commit: 1, 2, 3, … without gaps, per store. 0 means "no commit yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitNo(pub u64);

impl fmt::Display for BeatNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CommitNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the runtime passes to `begin_beat` and a view gives back. The engine stores it in the beat's own transaction,
/// outside the visible key space (contract B-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BeatHeader {
    /// Number of this beat.
    pub beat: BeatNo,
    /// Number of the first commit of this beat.
    pub first_commit: CommitNo,
    /// How many commits it carries. An explicit beat carries one.
    pub commits: u64,
    /// The durability asked for.
    pub durability: Durability,
    /// Merkle root over the commits, where granted.
    pub root: Option<[u8; 32]>,
}

/// The header of a store without beats.
impl Default for BeatHeader {
    fn default() -> Self {
        Self {
            beat: BeatNo(0),
            first_commit: CommitNo(1),
            commits: 0,
            durability: Durability::Volatile,
            root: None,
        }
    }
}

impl BeatHeader {
    /// Length of [`encode`](Self::encode)'s bytes.
    pub const ENCODED_LEN: usize = 72;
    const MAGIC: u32 = u32::from_le_bytes(*b"PBH1");

    /// A header for the beat that follows this one and carries `commits` commits.
    ///
    /// # Errors
    /// `Invalid` when a number would pass 2^64.
    pub fn next(&self, commits: u64, durability: Durability, root: Option<[u8; 32]>) -> Result<Self> {
        let beat = self.beat.0.checked_add(1);
        let first_commit = self.first_commit.0.checked_add(self.commits);
        match (beat, first_commit) {
            (Some(beat), Some(first)) if first.checked_add(commits).is_some() => {
                Ok(Self { beat: BeatNo(beat), first_commit: CommitNo(first), commits, durability, root })
            }
            _ => Err(Error::new(ErrorKind::Invalid, "begin_beat", "the numbers of this store are used up")),
        }
    }

    /// The newest commit that the store holds after this beat.
    #[must_use]
    pub fn last_commit(&self) -> CommitNo {
        CommitNo(self.first_commit.0.saturating_add(self.commits).saturating_sub(1))
    }

    /// Checks that `self` may follow `last`: beat + 1 and the commits adjoining; while `importing`, any beat not
    /// smaller than the last (contract B-2, B-3).
    ///
    /// # Errors
    /// `Conflict` naming both numbers.
    pub fn check_follows(&self, last: &Self, importing: bool) -> Result<()> {
        let fits = if importing {
            self.beat >= last.beat && self.beat.0 > 0
        } else {
            last.beat.0.checked_add(1) == Some(self.beat.0)
                && last.first_commit.0.checked_add(last.commits) == Some(self.first_commit.0)
        };
        if fits {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "begin_beat",
            format!(
                "beat {} with first commit {} does not follow beat {} with last commit {}",
                self.beat,
                self.first_commit,
                last.beat,
                last.last_commit()
            ),
        )
        .with_beat(self.beat))
    }

    /// The stored form: nine little-endian words. 0: magic `PBH1`, durability, root present, two zero bytes; 1: beat;
    /// 2: first commit; 3: commits; 4–7: root or zeros; 8: check word over the others.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let root = self.root.unwrap_or_default();
        let first = u64::from(Self::MAGIC)
            | u64::from(self.durability.to_byte()) << 32
            | u64::from(self.root.is_some()) << 40;
        let mut out = [0_u8; Self::ENCODED_LEN];
        let words = [first, self.beat.0, self.first_commit.0, self.commits];
        for (slot, word) in out.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        out[32..64].copy_from_slice(&root);
        let check = check_word(&out[..64]);
        out[64..].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// Reads the stored form back, checking every byte of it.
    ///
    /// # Errors
    /// `Corrupt` naming what does not fit.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt =
            |what: &str| Error::new(ErrorKind::Corrupt, "read_header", format!("beat header: {what}"));
        let bytes: &[u8; Self::ENCODED_LEN] =
            bytes.try_into().map_err(|_| corrupt(&format!("{} bytes instead of 72", bytes.len())))?;
        let mut words = [0_u64; 9];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.try_into().map_or(0, u64::from_le_bytes);
        }
        if words[8] != check_word(&bytes[..64]) {
            return Err(corrupt("check word differs"));
        }
        let [first, beat, first_commit, commits, ..] = words;
        let [m0, m1, m2, m3, durability, has_root, zero0, zero1] = first.to_le_bytes();
        if u32::from_le_bytes([m0, m1, m2, m3]) != Self::MAGIC || zero0 != 0 || zero1 != 0 || has_root > 1 {
            return Err(corrupt("not a header of this format"));
        }
        let durability = Durability::from_byte(durability).ok_or_else(|| corrupt("unknown durability"))?;
        let mut root = [0_u8; 32];
        root.copy_from_slice(&bytes[32..64]);
        Ok(Self {
            beat: BeatNo(beat),
            first_commit: CommitNo(first_commit),
            commits,
            durability,
            root: (has_root == 1).then_some(root),
        })
    }
}

/// Each step is a bijection of the running value and of the word, so a change confined to one word is always noticed.
fn check_word(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(0x7065_7273_6973_7421, |state: u64, chunk| {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

/// What a committed beat reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BeatReceipt {
    /// The header as stored.
    pub header: BeatHeader,
    /// The durability reached: at least what the header asked for, never a promise that was not kept.
    pub reached: Durability,
}
