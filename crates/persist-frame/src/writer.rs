//! The writer: records in, a frame out, byte for byte what the upstream writer gives for the same records.

use crate::body::CellDesc;
use crate::caps::FrameCaps;
use crate::chunks;
use crate::container;
use crate::error::{ErrorClass, FrameError};
use crate::limits::Limits;
use crate::merkle::{self, Digest};
use crate::record::{NewRecord, Place, RecordKind};
use crate::trailer::{Compression, Trailer, TrailerFields};

/// Collects records and closes them with a trailer.
///
/// It refuses to write what our reader would refuse: capability bits that contradict the frame, incomplete
/// payloads, record version 0, sizes beyond the limits.
#[derive(Debug)]
pub struct FrameWriter {
    fields: TrailerFields,
    derived: FrameCaps,
    limits: Limits,
    bytes: Vec<u8>,
    places: Vec<Place>,
    leaves: Vec<Digest>,
}

impl FrameWriter {
    /// A frame whose trailer says exactly `fields`. Capability bit 9 decides whether the records are listed in it.
    pub fn new(fields: TrailerFields) -> Self {
        Self::with_limits(fields, Limits::default())
    }

    /// The same with limits other than the default ones.
    pub fn with_limits(fields: TrailerFields, limits: Limits) -> Self {
        Self {
            fields,
            derived: FrameCaps::NONE,
            limits,
            bytes: Vec::new(),
            places: Vec::new(),
            leaves: Vec::new(),
        }
    }

    /// Appends a record. After an error the writer is as before.
    pub fn push(&mut self, record: NewRecord<'_>) -> Result<(), FrameError> {
        if record.kind == RecordKind::TRAILER {
            return Err(FrameError::new(ErrorClass::Writer, "the writer adds the trailer itself"));
        }
        if record.version == 0 {
            return Err(FrameError::new(ErrorClass::RecordVersion, "record version 0"));
        }
        if self.places.len() >= self.limits.records as usize {
            return Err(FrameError::new(ErrorClass::Limit, "too many records"));
        }
        let size = record.key.len().saturating_add(record.body.len()).saturating_add(self.bytes.len());
        if size > self.limits.frame_bytes as usize {
            return Err(FrameError::new(ErrorClass::Limit, format!("the frame would exceed {size} bytes")));
        }
        let start = self.bytes.len();
        record.append_span(&mut self.bytes);
        let span = self.bytes.get(start..).unwrap_or_default();
        let (checksum, leaf) = (self.fields.checksum.of(span), *blake3::hash(span).as_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        match Place::read(&self.bytes, start, &self.limits) {
            Ok(place) => {
                self.places.push(place);
                self.leaves.push(leaf);
                self.derived = self.derived.with(caps_of(&record));
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// Sets the capability bits that follow from the records and from the other fields, as the upstream writer
    /// would, in place of those given. Unknown bits stay.
    pub fn derive_caps(&mut self) {
        let mut caps = self.fields.caps.unknown().with(self.derived);
        if self.fields.compression == Compression::Deflate {
            caps = caps.with(FrameCaps::FRAME_COMPRESSION);
        }
        if self.fields.branch.is_some() {
            caps = caps.with(FrameCaps::BRANCH_METADATA);
        }
        self.fields.caps = caps;
    }

    /// Closes the frame: the bare bytes, or the container if the fields ask for compression.
    pub fn finish(mut self) -> Result<Vec<u8>, FrameError> {
        self.check_caps()?;
        chunks::check(&self.bytes, &self.places)?;
        let listed = self.fields.caps.contains(FrameCaps::FRAME_TOC);
        let record_count = u32::try_from(self.places.len())
            .map_err(|_| FrameError::new(ErrorClass::Limit, "too many records"))?;
        let root = {
            let (bytes, places) = (&self.bytes, &self.places);
            let key_of = |index: usize| places.get(index).map_or(&[][..], |place: &Place| place.key(bytes));
            merkle::frame_root(std::mem::take(&mut self.leaves), key_of)
        };
        let trailer = Trailer {
            fields: self.fields,
            record_count,
            toc_count: if listed { record_count } else { 0 },
            merkle_root: root,
        };
        let mut body = Vec::new();
        trailer.append_body(&self.bytes, &self.places, &mut body);
        let start = self.bytes.len();
        NewRecord::new(RecordKind::TRAILER, &[], &body).append_span(&mut self.bytes);
        let checksum = self.fields.checksum.of(self.bytes.get(start..).unwrap_or_default());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        if self.bytes.len() > self.limits.frame_bytes as usize {
            let message =
                format!("frame of {} bytes, {} are allowed", self.bytes.len(), self.limits.frame_bytes);
            return Err(FrameError::new(ErrorClass::Limit, message));
        }
        match self.fields.compression {
            Compression::Deflate => container::wrap(&self.bytes, self.fields.checksum),
            Compression::None if container::is_container(&self.bytes) => {
                Err(FrameError::new(ErrorClass::Writer, "a reader would take this frame for a container"))
            }
            Compression::None => Ok(self.bytes),
        }
    }

    /// Bits that a reader would find contradictory.
    fn check_caps(&self) -> Result<(), FrameError> {
        let TrailerFields { caps, compression, branch, .. } = self.fields;
        if caps.contains(FrameCaps::BRANCH_METADATA) != branch.is_some() {
            let message = format!(
                "capabilities {caps} {} branch data",
                if branch.is_some() { "with" } else { "without" }
            );
            return Err(FrameError::new(ErrorClass::BranchMetadata, message));
        }
        if caps.contains(FrameCaps::FRAME_COMPRESSION) != (compression == Compression::Deflate) {
            let message = format!("capabilities {caps} with compression {}", compression.name());
            return Err(FrameError::new(ErrorClass::CapabilityInconsistent, message));
        }
        Ok(())
    }

    /// Bytes so far, checksums included, without the trailer.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no record was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// The capability bits that one record brings with it.
fn caps_of(record: &NewRecord<'_>) -> FrameCaps {
    let own = match record.kind {
        RecordKind::MANIFEST_DELTA => FrameCaps::PAGED_CHILDSET,
        RecordKind::ORDER_DELTA => FrameCaps::PAGED_ORDER,
        RecordKind::NAMEPOOL_DELTA => FrameCaps::NAMEPOOL_MAP,
        RecordKind::PAYLOAD_HISTORY => FrameCaps::PAYLOAD_HISTORY,
        RecordKind::MANIFEST_HISTORY => FrameCaps::MANIFEST_HISTORY,
        RecordKind::CELL_DESC => match CellDesc::decode(record.body) {
            Ok(cell) => {
                let fingerprint = cell.fingerprint.is_some_and(|value| value != 0);
                let of = |present, cap| if present { cap } else { FrameCaps::NONE };
                of(fingerprint, FrameCaps::PAYLOAD_FP)
                    .with(of(cell.payload_ref.is_some(), FrameCaps::PAYLOAD_REF))
            }
            Err(_) => FrameCaps::NONE,
        },
        _ => FrameCaps::NONE,
    };
    own.with(FrameCaps::FRAME_TOC)
}
