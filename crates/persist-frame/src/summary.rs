//! The facts about a verified frame that tools print.

use std::collections::BTreeMap;

use crate::caps::FrameCaps;
use crate::merkle::Digest;
use crate::reader::Frame;
use crate::record::RecordKind;

/// Facts about one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The frame's own beat.
    pub beat: u64,
    /// Its capability bits.
    pub caps: FrameCaps,
    /// Records before the trailer.
    pub record_count: u32,
    /// How many of each kind.
    pub record_type_counts: BTreeMap<RecordKind, u32>,
    /// The root over the records.
    pub merkle_root: Digest,
    /// One hash over all records in emission order, see [`Frame::records_blake3`].
    pub records_blake3: Digest,
}

impl Frame<'_> {
    /// Counts and hashes the records. Costs one more hash of their keys and bodies.
    pub fn summary(&self) -> Summary {
        let mut record_type_counts = BTreeMap::new();
        for record in self.records() {
            let count: &mut u32 = record_type_counts.entry(record.kind()).or_default();
            *count = count.saturating_add(1);
        }
        Summary {
            beat: self.trailer().fields.beat,
            caps: self.trailer().fields.caps,
            record_count: self.trailer().record_count,
            record_type_counts,
            merkle_root: self.trailer().merkle_root,
            records_blake3: self.records_blake3(),
        }
    }

    /// BLAKE3 over, for each record: kind, version, flags, key length as `u32`, key, body length as `u32`, body. The
    /// same records give the same digest whatever checksum, container or trailer they came with.
    pub fn records_blake3(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        for record in self.records() {
            hasher.update(&[record.kind().0, record.version()]).update(&record.flags().to_le_bytes());
            hasher.update(&length(record.key())).update(record.key());
            hasher.update(&length(record.body())).update(record.body());
        }
        *hasher.finalize().as_bytes()
    }
}
