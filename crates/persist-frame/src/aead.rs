//! Encryption of payload chunks: the frame's own, and the pre-sealed form of secured payloads.
//!
//! Opening what upstream wrote is the purpose. As protection it is weak, and not ours to mend in this format: the
//! chunk nonce depends only on key, sizes and a 64-bit fingerprint, so different contents can share it; and a
//! pre-sealed payload's key follows from a public number.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};

use crate::body::PayloadChunk;
use crate::error::{ErrorClass, FrameError};
use crate::merkle::Digest;

/// Bytes that authentication adds to a chunk.
pub const TAG_LEN: usize = 16;
/// What derives the key of a pre-sealed payload from its key number.
const SECDATA_LABEL: &[u8] = b"cep-secdata-key";

/// How a chunk is encrypted. Number 1 (AES-GCM) is declared upstream, never implemented, and refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AeadMode {
    /// 0: in clear.
    #[default]
    None,
    /// 2: ChaCha20-Poly1305 of RFC 8439, nonce of 12 bytes.
    ChaCha20Poly1305,
    /// 3: XChaCha20-Poly1305, nonce of 24 bytes.
    XChaCha20Poly1305,
}

impl AeadMode {
    /// The number in a chunk and in a payload reference.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::ChaCha20Poly1305 => 2,
            Self::XChaCha20Poly1305 => 3,
        }
    }

    /// The mode of a number; `None` for 1 and for numbers that are not defined.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            2 => Self::ChaCha20Poly1305,
            3 => Self::XChaCha20Poly1305,
            _ => return None,
        })
    }

    /// Bytes of a nonce.
    pub fn nonce_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::ChaCha20Poly1305 => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }

    /// Bytes by which a sealed chunk is longer than its plaintext.
    pub fn overhead(self) -> usize {
        if self == Self::None { 0 } else { TAG_LEN }
    }
}

/// A 32-byte key. Its bytes never show in debug output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AeadKey([u8; 32]);

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

impl AeadKey {
    /// The key that a writer of chunks was configured with.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of pre-sealed payloads with this key number. Anyone can compute it.
    pub fn of_secdata(key_id: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(SECDATA_LABEL).update(&key_id.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The first `N` bytes of the keyed hash of `parts`.
    fn nonce<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        let mut nonce = [0; N];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }
}

/// What a chunk's nonce depends on besides the key.
#[derive(Debug, Clone, Copy)]
pub struct ChunkPlace<'a> {
    /// The whole record key; it is the associated data too.
    pub record_key: &'a [u8],
    /// The payload's fingerprint, if the chunk has one.
    pub fingerprint: Option<u64>,
    /// Where in the payload the chunk begins.
    pub offset: u64,
    /// Plaintext bytes of the chunk.
    pub size: u64,
    /// Plaintext bytes of the payload.
    pub total: u64,
}

/// Encrypts one chunk: its nonce, and ciphertext with tag. With [`AeadMode::None`] the plaintext comes back.
pub fn seal_chunk(
    mode: AeadMode,
    key: &AeadKey,
    place: &ChunkPlace<'_>,
    plaintext: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), FrameError> {
    let numbers =
        [place.fingerprint.unwrap_or(0), place.offset, place.size, place.total].map(u64::to_le_bytes);
    seal(mode, key, &[place.record_key, numbers.as_flattened()], place.record_key, plaintext)
}

/// Decrypts one chunk that the frame's writer encrypted, or copies one that is in clear.
///
/// Fails with [`ErrorClass::Aead`] if key, record key or bytes are not those it was sealed with, and for the
/// pre-sealed form, which [`open_presealed`] opens.
pub fn open_chunk(chunk: &PayloadChunk<'_>, record_key: &[u8], key: &AeadKey) -> Result<Vec<u8>, FrameError> {
    if chunk.is_presealed() {
        return Err(FrameError::new(
            ErrorClass::Aead,
            "the payload was sealed before it came into the frame",
        ));
    }
    open(chunk.aead_mode, key, chunk.nonce, record_key, chunk.data)
}

/// Opens a pre-sealed payload: the stored bytes, which may still be deflated, as the security metadata said.
pub fn open_presealed(chunk: &PayloadChunk<'_>, key: &AeadKey) -> Result<Vec<u8>, FrameError> {
    if !chunk.is_presealed() {
        return Err(FrameError::new(ErrorClass::Aead, "the chunk does not have the pre-sealed form"));
    }
    open(chunk.aead_mode, key, chunk.nonce, chunk.aad_hash, chunk.data)
}

/// What a pre-sealed payload carries in its one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presealed {
    /// The nonce.
    pub nonce: Vec<u8>,
    /// Hash of path and fingerprint; the associated data.
    pub aad_hash: Digest,
    /// Ciphertext with tag.
    pub data: Vec<u8>,
}

/// Seals a payload the way secured payloads are: `path` are the segments of the cell, `fingerprint` is
/// [`fingerprint_of`] the raw plaintext, `stored` the bytes to hide (the plaintext, or its zlib stream).
pub fn seal_presealed(
    mode: AeadMode,
    key: &AeadKey,
    path: &[u8],
    fingerprint: u64,
    stored: &[u8],
) -> Result<Presealed, FrameError> {
    let fingerprint = fingerprint.to_le_bytes();
    let aad_hash = presealed_aad(path, fingerprint);
    let (nonce, data) = seal(mode, key, &[path, &fingerprint], &aad_hash, stored)?;
    Ok(Presealed { nonce, aad_hash, data })
}

fn presealed_aad(path: &[u8], fingerprint: [u8; 8]) -> Digest {
    *blake3::Hasher::new().update(path).update(&fingerprint).finalize().as_bytes()
}

/// The first eight bytes of a payload's BLAKE3 as a little-endian number; 0 for an empty one.
pub fn fingerprint_of(payload: &[u8]) -> u64 {
    match blake3::hash(payload).as_bytes().first_chunk() {
        Some(first) if !payload.is_empty() => u64::from_le_bytes(*first),
        _ => 0,
    }
}

fn seal(
    mode: AeadMode,
    key: &AeadKey,
    nonce_parts: &[&[u8]],
    aad: &[u8],
    msg: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), FrameError> {
    let (nonce, sealed) = match mode {
        AeadMode::None => return Ok((Vec::new(), msg.to_vec())),
        AeadMode::ChaCha20Poly1305 => {
            let nonce: [u8; 12] = key.nonce(nonce_parts);
            let cipher = ChaCha20Poly1305::new(&key.0.into());
            (nonce.to_vec(), cipher.encrypt(&nonce.into(), Payload { msg, aad }))
        }
        AeadMode::XChaCha20Poly1305 => {
            let nonce: [u8; 24] = key.nonce(nonce_parts);
            let cipher = XChaCha20Poly1305::new(&key.0.into());
            (nonce.to_vec(), cipher.encrypt(&nonce.into(), Payload { msg, aad }))
        }
    };
    let sealed = sealed.map_err(|_| FrameError::new(ErrorClass::Aead, "the payload is too long to seal"))?;
    Ok((nonce, sealed))
}

fn open(mode: AeadMode, key: &AeadKey, nonce: &[u8], aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, FrameError> {
    let bad_nonce = |_| FrameError::new(ErrorClass::Aead, format!("nonce of {} bytes", nonce.len()));
    let opened = match mode {
        AeadMode::None => return Ok(msg.to_vec()),
        AeadMode::ChaCha20Poly1305 => {
            let nonce = <[u8; 12]>::try_from(nonce).map_err(bad_nonce)?;
            ChaCha20Poly1305::new(&key.0.into()).decrypt(&nonce.into(), Payload { msg, aad })
        }
        AeadMode::XChaCha20Poly1305 => {
            let nonce = <[u8; 24]>::try_from(nonce).map_err(bad_nonce)?;
            XChaCha20Poly1305::new(&key.0.into()).decrypt(&nonce.into(), Payload { msg, aad })
        }
    };
    opened.map_err(|_| FrameError::new(ErrorClass::Aead, "not sealed with this key for this record"))
}
