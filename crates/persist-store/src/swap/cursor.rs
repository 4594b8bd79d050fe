//! How far a swap has come: a record of the target, written with every beat that it gets. Format: `docs/format.md`.

use persist_api::{CommitNo, Error, ErrorKind, Result};

use super::mark::SwapId;

/// Engine key of the record. It goes with the beat that makes the target complete.
pub(crate) const SWAP_KEY: &[u8] = b"\x00swap";
const MAGIC: &[u8; 4] = b"PSC1";
const HEAD_BYTES: usize = 4 + 16 + 4 * 8;
const SUM_BYTES: usize = 32;

/// How far a target has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The swap that it belongs to.
    pub(crate) id: SwapId,
    /// What was copied shows every commit up to this one at least; of later ones, some. Following begins after it.
    pub(crate) base: CommitNo,
    /// Every commit up to this one was applied.
    pub(crate) position: CommitNo,
    /// Records that were copied.
    pub(crate) records: u64,
    /// Bytes of their keys and values.
    pub(crate) bytes: u64,
    /// What was copied.
    pub(crate) reach: Reach,
}

/// How far copying came, in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing was copied.
    Nothing,
    /// Everything up to this key.
    Key(Vec<u8>),
    /// Everything.
    All,
}

impl Cursor {
    /// The cursor of a copy that begins.
    pub(crate) const fn new(id: SwapId, base: CommitNo) -> Self {
        Self { id, base, position: base, records: 0, bytes: 0, reach: Reach::Nothing }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.id.0);
        for word in [self.base.0, self.position.0, self.records, self.bytes] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        match &self.reach {
            Reach::Nothing => bytes.push(0),
            Reach::Key(key) => {
                bytes.push(1);
                bytes.extend_from_slice(key);
            }
            Reach::All => bytes.push(2),
        }
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        bytes
    }

    /// Reads the record.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn decode(record: &[u8]) -> Result<Self> {
        let corrupt = || Error::new(ErrorKind::Corrupt, "read_swap", "the record of a swap is damaged");
        let (body, sum) = record.split_last_chunk::<SUM_BYTES>().ok_or_else(corrupt)?;
        if blake3::hash(body).as_bytes() != sum {
            return Err(corrupt());
        }
        let (head, rest) = body.split_first_chunk::<HEAD_BYTES>().ok_or_else(corrupt)?;
        let (magic, head) = head.split_first_chunk::<4>().ok_or_else(corrupt)?;
        let (id, words) = head.split_first_chunk::<16>().ok_or_else(corrupt)?;
        if magic != MAGIC {
            return Err(corrupt());
        }
        let mut numbers = [0; 4];
        for (number, chunk) in numbers.iter_mut().zip(words.chunks_exact(8)) {
            *number = chunk.try_into().map_or(0, u64::from_le_bytes);
        }
        let reach = match rest.split_first() {
            Some((0, [])) => Reach::Nothing,
            Some((1, key)) => Reach::Key(key.to_vec()),
            Some((2, [])) => Reach::All,
            _ => return Err(corrupt()),
        };
        let [base, position, records, bytes] = numbers;
        let (base, position) = (CommitNo(base), CommitNo(position));
        Ok(Self { id: SwapId(*id), base, position, records, bytes, reach })
    }
}
