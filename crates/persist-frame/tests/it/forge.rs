//! Builds frames that our writer would refuse: every field of every part can be set to anything.

use persist_frame::{Checksum, FrameCaps, merkle, varint};

/// One record; the lengths can lie.
#[derive(Clone)]
pub(crate) struct Rec {
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) flags: u16,
    pub(crate) key: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) lengths: Option<Vec<u8>>,
}

pub(crate) fn rec(kind: u8, key: &[u8], body: &[u8]) -> Rec {
    Rec { kind, version: 1, flags: 0, key: key.to_vec(), body: body.to_vec(), lengths: None }
}

impl Rec {
    pub(crate) fn span(&self) -> Vec<u8> {
        let mut span = vec![self.kind, self.version];
        span.extend(self.flags.to_le_bytes());
        let right = || [number(self.key.len() as u64), number(self.body.len() as u64)].concat();
        span.extend(self.lengths.clone().unwrap_or_else(right));
        span.extend(&self.key);
        span.extend(&self.body);
        span
    }

    pub(crate) fn sealed(&self, checksum: Checksum) -> Vec<u8> {
        let mut bytes = self.span();
        let sum = checksum.of(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }
}

/// A frame under construction. `None` means: the right value.
#[derive(Clone, Default)]
pub(crate) struct Forge {
    pub(crate) records: Vec<Rec>,
    pub(crate) checksum: Checksum,
    pub(crate) trailer_checksum: Option<u8>,
    pub(crate) trailer_version: Option<u8>,
    pub(crate) beat: Option<Vec<u8>>,
    pub(crate) count: Option<Vec<u8>>,
    pub(crate) apply_mode: u8,
    pub(crate) hash: Option<u8>,
    pub(crate) compression: u8,
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) toc: Option<Vec<u8>>,
    pub(crate) history: Option<Vec<u8>>,
    pub(crate) caps: Option<u32>,
    pub(crate) branch: Vec<u8>,
    pub(crate) tail: Vec<u8>,
    pub(crate) trailer_record: Option<Rec>,
}

pub(crate) fn number(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::encode(value, &mut out);
    out
}

impl Forge {
    pub(crate) fn of(records: &[Rec]) -> Self {
        Self { records: records.to_vec(), ..Self::default() }
    }

    pub(crate) fn root_of_records(&self) -> [u8; 32] {
        let leaves = self.records.iter().map(|record| *blake3::hash(&record.span()).as_bytes()).collect();
        merkle::frame_root(leaves, |index| &self.records[index].key)
    }

    pub(crate) fn right_toc(&self) -> Vec<u8> {
        let mut toc = number(self.records.len() as u64);
        let mut offset = 0;
        for record in &self.records {
            toc.push(record.kind);
            varint::encode(record.key.len() as u64, &mut toc);
            toc.extend(&record.key);
            varint::encode(offset, &mut toc);
            offset += record.sealed(self.checksum).len() as u64;
        }
        toc
    }

    pub(crate) fn trailer_body(&self) -> Vec<u8> {
        let mut body = b"FPEC".to_vec();
        body.push(self.trailer_version.unwrap_or(1));
        body.extend(self.beat.clone().unwrap_or_else(|| number(1)));
        body.extend(self.count.clone().unwrap_or_else(|| number(self.records.len() as u64)));
        body.push(self.apply_mode);
        body.push(self.hash.unwrap_or(1));
        body.push(self.compression);
        body.push(self.trailer_checksum.unwrap_or(self.checksum.number()));
        body.extend(self.root.clone().unwrap_or_else(|| [&[32][..], &self.root_of_records()].concat()));
        body.extend(self.toc.clone().unwrap_or_else(|| self.right_toc()));
        body.extend(self.history.clone().unwrap_or_else(|| vec![0, 0]));
        let deflate = if self.compression == 1 { FrameCaps::FRAME_COMPRESSION.bits() } else { 0 };
        let caps = self.caps.unwrap_or(FrameCaps::FRAME_TOC.bits() | deflate);
        body.extend(caps.to_le_bytes());
        body.extend(&self.branch);
        body.extend(&self.tail);
        body
    }

    /// The bare frame with correct checksums.
    pub(crate) fn bare(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.records.iter().flat_map(|record| record.sealed(self.checksum)).collect();
        let trailer = self.trailer_record.clone().unwrap_or_else(|| rec(0xFF, &[], &self.trailer_body()));
        bytes.extend(trailer.sealed(self.checksum));
        bytes
    }

    /// The frame in a container whose header is right.
    pub(crate) fn container(&self) -> Vec<u8> {
        let bare = Self { compression: 1, ..self.clone() }.bare();
        container(&zlib(&bare), bare.len() as u64, self.checksum.number())
    }
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    persist_frame::cas::deflate_blob(bytes).unwrap()
}

pub(crate) fn container(stream: &[u8], raw_size: u64, checksum: u8) -> Vec<u8> {
    let mut bytes = b"TLFC".to_vec();
    bytes.extend([1, 1, checksum, 0]);
    bytes.extend(raw_size.to_le_bytes());
    bytes.extend((stream.len() as u64).to_le_bytes());
    bytes.extend(stream);
    bytes
}

/// A chunk record's parts; the body is made from them as they are.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) key: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) total: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) mode: u8,
    pub(crate) nonce: Vec<u8>,
    pub(crate) aad: Option<Vec<u8>>,
    pub(crate) data: Vec<u8>,
}

/// Chunk `ordinal` of the payload with key `base`, in clear.
pub(crate) fn chunk(base: &[u8], ordinal: u64, total: u64, offset: u64, data: &[u8]) -> Chunk {
    let key = [base, &number(ordinal)].concat();
    Chunk {
        key,
        kind: 1,
        total,
        offset,
        size: data.len() as u64,
        fingerprint: vec![0],
        mode: 0,
        nonce: vec![0],
        aad: None,
        data: data.to_vec(),
    }
}

impl Chunk {
    pub(crate) fn rec(&self) -> Rec {
        let mut body = vec![self.kind];
        for value in [self.total, self.offset, self.size] {
            varint::encode(value, &mut body);
        }
        body.extend(&self.fingerprint);
        body.push(self.mode);
        body.extend(&self.nonce);
        body.extend(self.aad.clone().unwrap_or_else(|| blake3::hash(&self.key).as_bytes().to_vec()));
        body.extend(&self.data);
        rec(2, &self.key, &body)
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}
