//! Chunks of payloads that live in the content-addressed store: built on demand from blob and description.

use crate::aead::{self, AeadKey, AeadMode, ChunkPlace};
use crate::body::{CellDesc, PayloadChunk, PayloadCodec, PayloadRef, RefKind};
use crate::chunks::splits;
use crate::container;
use crate::error::{ErrorClass, FrameError};
use crate::merkle::Digest;
use crate::record::RecordKind;

/// Bytes of a synthesised chunk, the last one excepted.
pub const CHUNK_SIZE: usize = 4096;
/// zlib's best level, at which upstream deflates blobs.
const BLOB_LEVEL: u32 = 9;

/// The plaintext of a blob, checked against its reference: size and BLAKE3 must agree.
///
/// `limit` bounds the bytes that are inflated, whatever the reference declares. A blob that does not fit its
/// reference is an error of class [`ErrorClass::Cas`]; whoever keeps blobs should set it aside.
pub fn open_blob(reference: &PayloadRef<'_>, blob: &[u8], limit: u32) -> Result<Vec<u8>, FrameError> {
    if reference.payload_size > u64::from(limit) {
        let message = format!("a blob of {} bytes is announced, {limit} are allowed", reference.payload_size);
        return Err(FrameError::new(ErrorClass::Limit, message));
    }
    let size = usize::try_from(reference.payload_size)
        .map_err(|_| FrameError::new(ErrorClass::Limit, "the blob does not fit into memory"))?;
    let plaintext = match reference.codec {
        PayloadCodec::None => blob.to_vec(),
        PayloadCodec::Deflate => {
            let (plaintext, used) = container::inflate(blob, size)
                .map_err(|message| FrameError::new(ErrorClass::Cas, message))?;
            if used != blob.len() {
                return Err(FrameError::new(ErrorClass::Cas, "bytes follow the blob's zlib stream"));
            }
            plaintext
        }
    };
    if plaintext.len() != size || blake3::hash(&plaintext).as_bytes() != reference.hash {
        return Err(FrameError::new(ErrorClass::Cas, "the blob is not what its reference says"));
    }
    Ok(plaintext)
}

/// The plaintext of a blob of which only the hash is known, and how it was stored: as it is, or as one zlib stream. The
/// hash alone tells which. At most `limit` bytes are inflated.
///
/// Class [`ErrorClass::Cas`] when it is neither, [`ErrorClass::Limit`] when it is longer than the limit as it is.
pub fn open_by_hash(hash: &Digest, blob: Vec<u8>, limit: u32) -> Result<(Vec<u8>, PayloadCodec), FrameError> {
    if blob.len() as u64 > u64::from(limit) {
        let message = format!("a blob of {} bytes, {limit} are allowed", blob.len());
        return Err(FrameError::new(ErrorClass::Limit, message));
    }
    if blake3::hash(&blob).as_bytes() == hash {
        return Ok((blob, PayloadCodec::None));
    }
    let (plaintext, used) = container::inflate_at_most(&blob, limit as usize)
        .map_err(|message| FrameError::new(ErrorClass::Cas, message))?;
    if used != blob.len() {
        return Err(FrameError::new(ErrorClass::Cas, "bytes follow the blob's zlib stream"));
    }
    if blake3::hash(&plaintext).as_bytes() != hash {
        return Err(FrameError::new(
            ErrorClass::Cas,
            "neither the bytes nor what they inflate to have this hash",
        ));
    }
    Ok((plaintext, PayloadCodec::Deflate))
}

/// Deflates a plaintext as the upstream cache stores it: one zlib stream, best level.
pub fn deflate_blob(plaintext: &[u8]) -> Result<Vec<u8>, FrameError> {
    container::deflate(plaintext, BLOB_LEVEL)
}

/// Under which keys the description of a chunk's cell may stand, and which ordinal the chunk then has: the base with
/// kind 1 in place of kind 2 (real frames), and the base itself (the upstream fixtures).
pub fn descriptor_keys(chunk_key: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let mut keys = Vec::new();
    for (base, ordinal) in splits(chunk_key).filter(|(base, _)| !base.is_empty()) {
        if let Some((&kind, path)) = base.split_first()
            && kind == RecordKind::PAYLOAD_CHUNK.0
        {
            keys.push(([&[RecordKind::CELL_DESC.0], path].concat(), ordinal));
        }
        keys.push((base.to_vec(), ordinal));
    }
    keys
}

/// Builds the body of one chunk record: window `ordinal` of the plaintext, sealed if the reference says so.
///
/// `plaintext` comes from [`open_blob`]. Class [`ErrorClass::Cas`] if the description has no CAS reference or the
/// window lies beyond the end, [`ErrorClass::Aead`] if a key is needed and missing.
pub fn synthesize_chunk(
    chunk_key: &[u8],
    ordinal: u64,
    description: &CellDesc<'_>,
    plaintext: &[u8],
    key: Option<&AeadKey>,
) -> Result<Vec<u8>, FrameError> {
    let reference = match &description.payload_ref {
        Some(reference) if reference.kind == RefKind::Cas => reference,
        _ => return Err(FrameError::new(ErrorClass::Cas, "the cell's payload is not in the CAS")),
    };
    let window = ordinal
        .checked_mul(CHUNK_SIZE as u64)
        .and_then(|start| plaintext.get(usize::try_from(start).ok()?..).map(|rest| (start, rest)))
        .filter(|(_, rest)| !rest.is_empty());
    let Some((chunk_offset, rest)) = window else {
        return Err(FrameError::new(ErrorClass::Cas, format!("chunk {ordinal} lies beyond the payload")));
    };
    let piece = rest.get(..CHUNK_SIZE).unwrap_or(rest);
    let total_size = plaintext.len() as u64;
    let place = ChunkPlace {
        record_key: chunk_key,
        fingerprint: description.fingerprint,
        offset: chunk_offset,
        size: piece.len() as u64,
        total: total_size,
    };
    let (nonce, data) = match (reference.aead_mode, key) {
        (AeadMode::None, _) => (Vec::new(), piece.to_vec()),
        (mode, Some(key)) => aead::seal_chunk(mode, key, &place, piece)?,
        (_, None) => {
            return Err(FrameError::new(
                ErrorClass::Aead,
                "the reference asks for encryption, no key is given",
            ));
        }
    };
    let aad_hash = blake3::hash(chunk_key);
    let chunk = PayloadChunk {
        payload_kind: description.payload_kind,
        total_size,
        chunk_offset,
        chunk_size: piece.len() as u64,
        fingerprint: description.fingerprint,
        aead_mode: reference.aead_mode,
        nonce: &nonce,
        aad_hash: aad_hash.as_bytes(),
        data: &data,
    };
    Ok(chunk.encode())
}
