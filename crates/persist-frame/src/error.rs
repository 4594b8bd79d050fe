//! One error type for the whole crate: a stable class, a sentence, and where it went wrong.

use std::borrow::Cow;
use std::fmt;

/// Why a frame, a body, a key or a request was refused.
///
/// `class` is for programs (stable, see [`ErrorClass`]), `message` is for people, `offset` is the byte where the
/// reader stood. Offsets count from the start of the bare (inflated) frame; for the `container` classes they count
/// from the start of the input, and for a body decoded on its own, without its record, from the start of that body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FrameError {
    class: ErrorClass,
    message: Cow<'static, str>,
    offset: Option<u64>,
}

impl FrameError {
    pub(crate) fn new(class: ErrorClass, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, message: message.into(), offset: None }
    }

    pub(crate) fn at(class: ErrorClass, offset: u64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, message: message.into(), offset: Some(offset) }
    }

    /// The same, its offset counted from a place that lies so many bytes before.
    pub(crate) fn shifted(self, bytes: u64) -> Self {
        Self { offset: self.offset.map(|offset| offset.saturating_add(bytes)), ..self }
    }

    /// The stable class of the refusal.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// What was wrong, for people; no stable wording.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it was wrong, in bytes, when one place can be named.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

macro_rules! error_classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The class of a refusal. Names are stable; new classes may be added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorClass { $($(#[$doc])* $variant,)* }

        impl ErrorClass {
            /// Every class, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable `snake_case` name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

error_classes! {
    /// The input ends inside a record or inside the trailer's body.
    Truncated = "truncated",
    /// The records end and no trailer follows.
    MissingTrailer = "missing_trailer",
    /// Something stands behind the trailer record.
    BytesAfterTrailer = "bytes_after_trailer",
    /// A record's checksum does not match its bytes.
    Crc = "crc",
    /// The Merkle root does not match the records.
    Merkle = "merkle",
    /// The declared number of records is not the number of records.
    RecordCount = "record_count",
    /// The trailer's body does not begin with its magic.
    TrailerMagic = "trailer_magic",
    /// The trailer's body has a version other than 1.
    TrailerVersion = "trailer_version",
    /// The trailer record has a key, flags, or a record version other than 1.
    TrailerShape = "trailer_shape",
    /// Bytes are left in the trailer's body.
    TrailerTrailing = "trailer_trailing",
    /// The apply mode is not 0, 1 or 2.
    ApplyMode = "apply_mode",
    /// The hash algorithm is not BLAKE3-256.
    HashAlg = "hash_alg",
    /// The compression is unknown, or says the opposite of how the frame came.
    Compression = "compression",
    /// The checksum algorithm is unknown.
    ChecksumAlg = "checksum_alg",
    /// The root is not 32 bytes long.
    RootLen = "root_len",
    /// A history window does not fit 32 bits.
    History = "history",
    /// The table of contents does not fit into the trailer.
    Toc = "toc",
    /// The table of contents does not list the records that are there.
    TocMismatch = "toc_mismatch",
    /// The branch block is missing or malformed.
    BranchMetadata = "branch_metadata",
    /// A capability bit contradicts the frame.
    CapabilityInconsistent = "capability_inconsistent",
    /// A record has version 0, which no writer emits.
    RecordVersion = "record_version",
    /// A varint is longer than it needs to be.
    VarintNoncanonical = "varint_noncanonical",
    /// A varint does not fit 64 bits.
    VarintOverflow = "varint_overflow",
    /// The container's header or its zlib stream is wrong.
    Container = "container",
    /// Something stands behind the container or behind its zlib stream.
    ContainerTrailing = "container_trailing",
    /// The container's reserved byte is not 0.
    ContainerReserved = "container_reserved",
    /// The container's checksum algorithm is not the trailer's.
    ContainerMismatch = "container_mismatch",
    /// A configured limit was exceeded.
    Limit = "limit",
    /// A chunk is out of order, repeated, or follows a complete payload.
    ChunkOrder = "chunk_order",
    /// A payload is not complete at the end of the frame.
    ChunkUnsealed = "chunk_unsealed",
    /// A chunk declares another payload size than its predecessors.
    ChunkTotal = "chunk_total",
    /// A chunk is empty or reaches beyond its payload.
    ChunkExtent = "chunk_extent",
    /// A chunk's body does not have the lengths or the payload kind it must have.
    ChunkLength = "chunk_length",
    /// A chunk's encryption mode or nonce is not acceptable.
    ChunkAead = "chunk_aead",
    /// A chunk's `aad_hash` is not the hash of its key.
    ChunkAad = "chunk_aad",
    /// A chunk's fingerprint is neither absent nor 8 bytes.
    ChunkFingerprint = "chunk_fingerprint",
    /// A chunk's key cannot be a payload's key with an ordinal, or could be that of two payloads.
    ChunkKey = "chunk_key",
    /// Policy: a capability bit that this version does not define.
    CapabilityMismatch = "capability_mismatch",
    /// Policy: a record type or version that this version does not define.
    UnsupportedRecord = "unsupported_record",
    /// Ours: a record body other than a chunk's is malformed.
    Body = "body",
    /// Ours: a name or path is malformed.
    Name = "name",
    /// Ours: an encrypted payload could not be opened, or could not be sealed with this key.
    Aead = "aead",
    /// Ours: a CAS blob is not what its reference says.
    Cas = "cas",
    /// Ours: a writer was asked for a frame that a reader would not understand.
    Writer = "writer",
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
