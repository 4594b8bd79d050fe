//! The structures of a branch directory, to the byte. Everything is little-endian and packed.
//!
//! The layouts are those of the original engine (CEP, `cps_flatfile`); `docs/cps.md` says what each field is good for.

use persist_frame::{Checksum, Digest};

pub(super) const META_LEN: u64 = 256;
pub(super) const HEADER_LEN: u64 = 16;
pub(super) const PAYLOAD_HEADER_LEN: u64 = 40;
pub(super) const TOC_HEADER_LEN: u64 = 8;
pub(super) const ENTRY_LEN: u64 = 40;
pub(super) const TRAILER_LEN: u64 = 64;
pub(super) const FRAMES_ENTRY_LEN: u64 = 48;
pub(super) const COPY_HEADER_LEN: u64 = 40;
pub(super) const CAS_HEADER_LEN: u64 = 16;
pub(super) const CAS_ENTRY_LEN: u64 = 48;

const META_MAGIC: u32 = 0x4350_5331;
pub(super) const TOC_MAGIC: u32 = 0x544F_4331;
pub(super) const TRAILER_MAGIC: u32 = 0x5452_4C31;
pub(super) const COPY_MAGIC: u32 = 0x434B_5031;
const CAS_MAGIC: u32 = 0x4341_534D;

/// The record type whose records go to `branch.dat`.
pub(super) const PAYLOAD: u32 = 2;
/// Set in the table of contents for a cell whose payload is not inline.
pub(super) const CAS_REF: u32 = 1;

/// Takes fields from the front. The arrays below are as long as their fields, so nothing is ever missing.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// `branch.meta`: which frame is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) branch_id: [u8; 16],
    pub(super) head: FramesEntry,
    pub(super) digest: Digest,
    pub(super) checkpoint_gen: u32,
    pub(super) checksum: Checksum,
    /// Reserved fields that are not zero: written by something else than the engine that we know.
    pub(super) odd: bool,
}

impl Meta {
    /// Reads the file; `Err` says in words why it does not verify.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Some((covered, stored)) = bytes.split_last_chunk().filter(|_| bytes.len() as u64 == META_LEN)
        else {
            return Err(format!("{} bytes instead of {META_LEN}", bytes.len()));
        };
        let stored = u32::from_le_bytes(*stored);
        let modes = [Checksum::Crc32, Checksum::RawCastagnoli];
        let Some(checksum) = modes.into_iter().find(|mode| mode.of(covered) == stored) else {
            return Err("the checksum fits in neither of its two forms".to_owned());
        };
        let mut fields = Fields(covered);
        let (magic, format, engine) = (fields.u32(), fields.u16(), fields.u16());
        if magic != META_MAGIC || format != 1 || engine != 1 {
            return Err(format!("magic {magic:#010x}, format {format}, engine {engine} are not known"));
        }
        let branch_id = fields.array();
        let [idx_at, idx_len, dat_at, dat_len, beat, frame_id] = [(); 6].map(|()| fields.u64());
        let head = FramesEntry { beat, frame_id, idx_at, idx_len, dat_at, dat_len };
        let digest = fields.array();
        let checkpoint_gen = fields.u32();
        let odd = fields.0.iter().any(|byte| *byte != 0);
        Ok(Self { branch_id, head, digest, checkpoint_gen, checksum, odd })
    }

    /// A branch that never had a frame.
    pub(super) fn is_empty(&self) -> bool {
        self.head.idx_len == 0
    }
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) rtype: u32,
    pub(super) key_len: u32,
    pub(super) value_len: u32,
    pub(super) flags: u32,
}

impl RecordHeader {
    pub(super) fn parse(bytes: &[u8; 16]) -> Self {
        let mut fields = Fields(bytes);
        let [rtype, key_len, value_len, flags] = [(); 4].map(|()| fields.u32());
        Self { rtype, key_len, value_len, flags }
    }

    pub(super) fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let fields = [self.rtype, self.key_len, self.value_len, self.flags];
        for (place, field) in bytes.as_chunks_mut().0.iter_mut().zip(fields) {
            *place = field.to_le_bytes();
        }
        bytes
    }

    /// Bytes of key and value.
    pub(super) fn content_len(&self) -> u64 {
        u64::from(self.key_len).saturating_add(u64::from(self.value_len))
    }
}

/// What follows the header of a payload record; all of it can be made again from key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PayloadHeader {
    pub(super) key_hash: u64,
    pub(super) offset: u64,
    pub(super) total: u64,
    pub(super) ordinal: u32,
    pub(super) size: u32,
    pub(super) checksum: u32,
}

impl PayloadHeader {
    pub(super) fn parse(bytes: &[u8; 40]) -> Self {
        let mut fields = Fields(bytes);
        let [key_hash, offset, total] = [(); 3].map(|()| fields.u64());
        let [ordinal, size, checksum] = [(); 3].map(|()| fields.u32());
        Self { key_hash, offset, total, ordinal, size, checksum }
    }

    pub(super) fn encode(&self) -> [u8; 40] {
        let mut bytes = Vec::with_capacity(40);
        for field in [self.key_hash, self.offset, self.total] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.ordinal, self.size, self.checksum, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.first_chunk().copied().unwrap_or([0; 40])
    }
}

/// The first eight bytes of the BLAKE3 of a key.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    Fields(blake3::hash(key).as_bytes()).u64()
}

/// The ordinal as the original reads it from the end of a chunk's key: right below 128, otherwise another number.
pub(super) fn ordinal(key: &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for (byte, shift) in key.iter().rev().zip((0..64).step_by(7)) {
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

/// One line of a frame's table of contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key_hash: u64,
    pub(super) record_at: u64,
    pub(super) value_at: u64,
    pub(super) key_len: u32,
    pub(super) value_len: u32,
    pub(super) rtype: u32,
    pub(super) flags: u32,
}

impl Entry {
    pub(super) fn parse(bytes: &[u8; 40]) -> Self {
        let mut fields = Fields(bytes);
        let [key_hash, record_at, value_at] = [(); 3].map(|()| fields.u64());
        let [key_len, value_len, rtype, flags] = [(); 4].map(|()| fields.u32());
        Self { key_hash, record_at, value_at, key_len, value_len, rtype, flags }
    }

    pub(super) fn is_payload(&self) -> bool {
        self.rtype == PAYLOAD
    }

    /// Where the key begins.
    pub(super) fn key_at(&self) -> Option<u64> {
        self.value_at.checked_sub(u64::from(self.key_len))
    }
}

/// What closes a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) magic: u32,
    pub(super) reserved: u32,
    pub(super) beat: u64,
    pub(super) frame_id: u64,
    pub(super) count: u32,
    pub(super) flags: u32,
    pub(super) digest: Digest,
}

impl Trailer {
    pub(super) fn parse(bytes: &[u8; 64]) -> Self {
        let mut fields = Fields(bytes);
        let (magic, reserved) = (fields.u32(), fields.u32());
        let (beat, frame_id) = (fields.u64(), fields.u64());
        let (count, flags) = (fields.u32(), fields.u32());
        Self { magic, reserved, beat, frame_id, count, flags, digest: fields.array() }
    }
}

/// The two words before a table of contents: magic and number of entries.
pub(super) fn toc_header(bytes: [u8; 8]) -> (u32, u32) {
    let mut fields = Fields(&bytes);
    (fields.u32(), fields.u32())
}

/// One entry of `branch.frames`; `branch.meta` says the same of the newest frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramesEntry {
    pub(super) beat: u64,
    pub(super) frame_id: u64,
    pub(super) idx_at: u64,
    pub(super) idx_len: u64,
    pub(super) dat_at: u64,
    pub(super) dat_len: u64,
}

impl FramesEntry {
    pub(super) fn parse(bytes: &[u8; 48]) -> Self {
        let mut fields = Fields(bytes);
        let [beat, frame_id, idx_at, idx_len, dat_at, dat_len] = [(); 6].map(|()| fields.u64());
        Self { beat, frame_id, idx_at, idx_len, dat_at, dat_len }
    }

    pub(super) fn idx_end(&self) -> u64 {
        self.idx_at.saturating_add(self.idx_len)
    }

    pub(super) fn dat_end(&self) -> u64 {
        self.dat_at.saturating_add(self.dat_len)
    }
}

/// What stands before a copy of a table of contents in `branch.ckp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CopyHeader {
    pub(super) count: u32,
    pub(super) beat: u64,
    pub(super) frame_id: u64,
    pub(super) dat_at: u64,
    pub(super) idx_at: u64,
}

impl CopyHeader {
    /// `None` without the magic.
    pub(super) fn parse(bytes: &[u8; 40]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (magic, count) = (fields.u32(), fields.u32());
        let [beat, frame_id, dat_at, idx_at] = [(); 4].map(|()| fields.u64());
        (magic == COPY_MAGIC).then_some(Self { count, beat, frame_id, dat_at, idx_at })
    }
}

/// The head of `cas/manifest.bin`: the number of entries, or in words why it cannot be read.
pub(super) fn cas_header(bytes: &[u8; 16]) -> Result<u64, String> {
    let mut fields = Fields(bytes);
    let (magic, version, reserved) = (fields.u32(), fields.u16(), fields.u16());
    if magic != CAS_MAGIC || version != 1 || reserved != 0 {
        return Err(format!("magic {magic:#010x}, version {version}, reserved {reserved} are not known"));
    }
    Ok(fields.u64())
}

/// One entry of `cas/manifest.bin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CasEntry {
    pub(super) hash: Digest,
    pub(super) size: u64,
    pub(super) codec: u8,
    pub(super) aead: u8,
    /// Reserved bytes that are not zero.
    pub(super) odd: bool,
}

impl CasEntry {
    pub(super) fn parse(bytes: &[u8; 48]) -> Self {
        let mut fields = Fields(bytes);
        let (hash, size) = (fields.array(), fields.u64());
        let ([codec], [aead]) = (fields.array(), fields.array());
        Self { hash, size, codec, aead, odd: fields.array::<6>() != [0; 6] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_from_the_end_as_the_original_does() {
        assert_eq!(ordinal(b"k\x00"), Some(0));
        assert_eq!(ordinal(b"k\x7f"), Some(127));
        // The varint of 128 is 80 01: the last byte alone ends the reading.
        assert_eq!(ordinal(b"k\x80\x01"), Some(1));
        assert_eq!(ordinal(b"\xff"), None);
        assert_eq!(ordinal(b""), None);
    }

    #[test]
    fn headers_read_back_what_they_wrote() {
        let header = RecordHeader { rtype: 2, key_len: 3, value_len: 4, flags: 0x301 };
        assert_eq!(RecordHeader::parse(&header.encode()), header);
        let payload = PayloadHeader { key_hash: 1, offset: 2, total: 3, ordinal: 4, size: 5, checksum: 6 };
        assert_eq!(PayloadHeader::parse(&payload.encode()), payload);
        assert_eq!(payload.encode()[36..], [0; 4]);
    }
}
