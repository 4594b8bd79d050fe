//! What a reader is willing to spend on a frame that it does not trust yet.

/// Limits of the reader and the writer. Anything beyond is refused with
/// [`ErrorClass::Limit`](crate::ErrorClass::Limit) before memory is reserved for it.
///
/// Memory needed for one frame stays below twice `frame_bytes` (while a container's buffer grows; nothing for a bare
/// frame) plus 120 bytes for each record really present and 200 more for each payload chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the input as it came, container included.
    pub input_bytes: u64,
    /// Bytes of the bare frame. Offsets are kept in 32 bits, hence the type.
    pub frame_bytes: u32,
    /// Records before the trailer.
    pub records: u32,
    /// Bytes of one record's key.
    pub key_bytes: u32,
}

impl Default for Limits {
    /// 64 MiB a bare frame, 65 MiB a container (incompressible data grows a little), 1 Mi records, keys of 64 KiB.
    fn default() -> Self {
        Self { input_bytes: 65 << 20, frame_bytes: 64 << 20, records: 1 << 20, key_bytes: 64 << 10 }
    }
}
