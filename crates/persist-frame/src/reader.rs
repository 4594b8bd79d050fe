//! The strict reader: every check of the frame layer, in order, before a single record is handed out.

use std::borrow::Cow;

use crate::checksum::Checksum;
use crate::chunks;
use crate::container;
use crate::error::{ErrorClass, FrameError};
use crate::limits::Limits;
use crate::merkle::{self, Digest, KeysSeen};
use crate::record::{NewRecord, Place, Record, RecordKind};
use crate::trailer::{Compression, Trailer, UncheckedTrailer};
use crate::writer::FrameWriter;

/// A frame that passed every check: checksums, count, chunk rules, Merkle root, consistency.
///
/// Records are views into the input, or into the inflated buffer if it came in a container. What the frame layer
/// does not judge is left to whoever ingests it: bodies ([`Body`](crate::body::Body)) and policy
/// ([`policy`](Self::policy)).
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    bytes: Cow<'a, [u8]>,
    places: Vec<Place>,
    end: Place,
    trailer: Trailer,
}

impl<'a> Frame<'a> {
    /// Reads and verifies a frame, bare or in a container.
    ///
    /// Arbitrary input is fine. Memory stays within what [`Limits`] says, whatever the input declares.
    pub fn parse(input: &'a [u8], limits: &Limits) -> Result<Self, FrameError> {
        if input.len() as u64 > limits.input_bytes {
            let message = format!("input of {} bytes, {} are allowed", input.len(), limits.input_bytes);
            return Err(FrameError::new(ErrorClass::Limit, message));
        }
        if !container::is_container(input) {
            let swapped = |error| container::explain_swapped_magic(input).unwrap_or(error);
            return Self::verify(Cow::Borrowed(input), Compression::None, limits).map_err(swapped);
        }
        let opened = container::open(input, limits.frame_bytes)?;
        let nested = container::explain_nested(&opened.frame);
        let frame = Self::verify(Cow::Owned(opened.frame), Compression::Deflate, limits)
            .map_err(|error| nested.unwrap_or(error))?;
        if frame.trailer.fields.checksum != opened.checksum {
            let message = format!(
                "the container says {}, the trailer {}",
                opened.checksum.name(),
                frame.trailer.fields.checksum.name()
            );
            return Err(FrameError::at(ErrorClass::ContainerMismatch, 6, message));
        }
        Ok(frame)
    }

    fn verify(bytes: Cow<'a, [u8]>, came_as: Compression, limits: &Limits) -> Result<Self, FrameError> {
        let walked = Walked::over(&bytes, limits)?;
        let (places, end) = (&walked.places, walked.end);
        let trailer = UncheckedTrailer::parse(&bytes, places, end)?;
        if trailer.fields.compression != came_as {
            let message = format!(
                "compression {} in a frame that came as {}",
                trailer.fields.compression.name(),
                came_as.name()
            );
            return Err(FrameError::at(ErrorClass::Compression, end.offset(), message));
        }
        let leaves = check_checksums(&bytes, places, end, trailer.fields.checksum)?;
        if trailer.record_count as usize != places.len() {
            let message =
                format!("{} records are declared, {} are there", trailer.record_count, places.len());
            return Err(FrameError::new(ErrorClass::RecordCount, message));
        }
        if walked.has_chunks {
            chunks::check(&bytes, places)?;
        }
        let key_of = |index: usize| places.get(index).map_or(&[][..], |place| place.key(&bytes));
        if merkle::frame_root_of(leaves, &walked.keys, key_of) != trailer.merkle_root {
            return Err(FrameError::new(ErrorClass::Merkle, "the root is not that of the records"));
        }
        trailer.check_consistency(places.len())?;
        if let Some(offset) = walked.version_0 {
            // Writers turn version 0 into 1, so a frame with a 0 in it is none that a writer made.
            return Err(FrameError::at(ErrorClass::RecordVersion, offset, "record version 0"));
        }
        let (trailer, places) = (trailer.checked(), walked.places);
        Ok(Self { bytes, places, end, trailer })
    }

    /// The same frame, independent of the input.
    pub fn into_owned(self) -> Frame<'static> {
        let Self { bytes, places, end, trailer } = self;
        Frame { bytes: Cow::Owned(bytes.into_owned()), places, end, trailer }
    }

    /// What the frame says about itself.
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// The records before the trailer, in emission order.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = Record<'_>> + ExactSizeIterator {
        self.places.iter().map(|place| place.view(&self.bytes))
    }

    /// The record with this number, counted from 0.
    pub fn record(&self, index: usize) -> Option<Record<'_>> {
        self.places.get(index).map(|place| place.view(&self.bytes))
    }

    /// The trailer as a record.
    pub fn trailer_record(&self) -> Record<'_> {
        self.end.view(&self.bytes)
    }

    /// The bare frame: the input itself, or what the container held.
    pub fn bare_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the frame came in a container.
    pub fn came_in_container(&self) -> bool {
        self.trailer.fields.compression == Compression::Deflate
    }

    /// Writes the frame anew from its parts. A bare frame gives exactly the input; a container gives it if its
    /// writer used zlib at level 1, as upstream does.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let limits =
            Limits { input_bytes: u64::MAX, frame_bytes: u32::MAX, records: u32::MAX, key_bytes: u32::MAX };
        let mut writer = FrameWriter::with_limits(self.trailer.fields, limits);
        for record in self.records() {
            writer.push(NewRecord::from(record))?;
        }
        writer.finish()
    }
}

/// Where the records and the trailer lie, and what was noticed on the way. Nothing is trusted yet but the lengths.
struct Walked<'b> {
    places: Vec<Place>,
    end: Place,
    keys: KeysSeen<'b>,
    has_chunks: bool,
    /// Offset of the first record with version 0.
    version_0: Option<u64>,
}

impl<'b> Walked<'b> {
    fn over(bytes: &'b [u8], limits: &Limits) -> Result<Self, FrameError> {
        if bytes.len() > limits.frame_bytes as usize {
            let message = format!("frame of {} bytes, {} are allowed", bytes.len(), limits.frame_bytes);
            return Err(FrameError::new(ErrorClass::Limit, message));
        }
        let mut places = Vec::new();
        let (mut keys, mut has_chunks, mut version_0) = (KeysSeen::default(), false, None);
        let mut start = 0;
        while start < bytes.len() {
            let place = Place::read(bytes, start, limits)?;
            start = place.end();
            match place.kind(bytes) {
                RecordKind::TRAILER if start == bytes.len() => {
                    return Ok(Self { places, end: place, keys, has_chunks, version_0 });
                }
                RecordKind::TRAILER => {
                    let message = format!("{} bytes follow the trailer", bytes.len() - start);
                    return Err(FrameError::at(ErrorClass::BytesAfterTrailer, start as u64, message));
                }
                kind => has_chunks |= kind == RecordKind::PAYLOAD_CHUNK,
            }
            if places.len() >= limits.records as usize {
                let message = format!("more than the allowed {} records", limits.records);
                return Err(FrameError::at(ErrorClass::Limit, place.offset(), message));
            }
            if place.version(bytes) == 0 && version_0.is_none() {
                version_0 = Some(place.offset());
            }
            keys.note(place.key(bytes));
            places.push(place);
        }
        Err(FrameError::at(ErrorClass::MissingTrailer, start as u64, "the input ends without a trailer"))
    }
}

/// Compares every checksum and hashes every leaf, in one pass while the span is in the cache.
fn check_checksums(
    bytes: &[u8],
    places: &[Place],
    end: Place,
    algorithm: Checksum,
) -> Result<Vec<Digest>, FrameError> {
    let compare = |record: &Record<'_>| {
        let computed = algorithm.of(record.span());
        if computed == record.stored_checksum() {
            return Ok(());
        }
        let message =
            format!("{} is {computed:08x}, stored is {:08x}", algorithm.name(), record.stored_checksum());
        Err(FrameError::at(ErrorClass::Crc, record.offset(), message))
    };
    let mut leaves = Vec::with_capacity(places.len());
    for place in places {
        let record = place.view(bytes);
        compare(&record)?;
        leaves.push(record.leaf());
    }
    compare(&end.view(bytes))?;
    Ok(leaves)
}
