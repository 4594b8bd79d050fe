//! The trailer record's body: everything a frame says about itself.

use crate::caps::FrameCaps;
use crate::checksum::Checksum;
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::merkle::Digest;
use crate::record::Place;
use crate::toc::{self, Toc};
use crate::varint;

const MAGIC: [u8; 4] = *b"FPEC";
const VERSION: u8 = 1;
const HASH_BLAKE3_256: u8 = 1;
const ROOT_LEN: u64 = 32;
const BRANCH_LEN: u64 = 25;

/// What ingestion shall do where a key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ApplyMode {
    /// 0: only insert.
    #[default]
    InsertOnly,
    /// 1: overwrite everything.
    OverwriteAll,
    /// 2: upsert with compare-and-swap.
    Upsert,
}

impl ApplyMode {
    /// The number in the trailer.
    pub fn number(self) -> u8 {
        match self {
            Self::InsertOnly => 0,
            Self::OverwriteAll => 1,
            Self::Upsert => 2,
        }
    }

    /// The mode of a number; `None` for numbers that are not defined.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::InsertOnly,
            1 => Self::OverwriteAll,
            2 => Self::Upsert,
            _ => return None,
        })
    }
}

/// Whether the frame travels in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// 0: bare.
    #[default]
    None,
    /// 1: a zlib stream inside a container.
    Deflate,
}

impl Compression {
    /// The number in the trailer and in the container header.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Deflate => 1,
        }
    }

    /// `none` or `deflate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Deflate => "deflate",
        }
    }
}

/// The branch a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Branch {
    /// Whether the name is a glob.
    pub glob: bool,
    /// Domain of the branch's name.
    pub domain: u64,
    /// Tag of the branch's name.
    pub tag: u64,
    /// The frame's number within its branch.
    pub frame_id: u64,
}

/// The part of a trailer that its author chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrailerFields {
    /// Latest operation stamp of the frame's cell. Data only: not monotone, not a store's beat.
    pub beat: u64,
    /// How to apply the records.
    pub apply_mode: ApplyMode,
    /// Whether the frame travels in a container.
    pub compression: Compression,
    /// Which checksum closes every record.
    pub checksum: Checksum,
    /// How many payload revisions back the writer was asked to go.
    pub payload_history_beats: u32,
    /// How many manifest revisions back the writer was asked to go.
    pub manifest_history_beats: u32,
    /// Capability bits. Bit 5 goes with `compression`, bit 9 with the table of contents, bit 10 with `branch`.
    pub caps: FrameCaps,
    /// Present exactly when capability bit 10 is set.
    pub branch: Option<Branch>,
}

/// A trailer whose every claim has been checked against the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// What the author chose.
    pub fields: TrailerFields,
    /// Records before the trailer.
    pub record_count: u32,
    /// Entries of the table of contents: `record_count` or 0.
    pub toc_count: u32,
    /// Root over the records.
    pub merkle_root: Digest,
}

/// A trailer as read: in shape, not yet compared with the records.
#[derive(Debug)]
pub(crate) struct UncheckedTrailer {
    pub(crate) fields: TrailerFields,
    pub(crate) record_count: u32,
    pub(crate) merkle_root: Digest,
    toc: Toc,
    branch_glob: u8,
}

impl UncheckedTrailer {
    /// Reads the trailer record: empty key, no flags, version 1, a body that is exactly as long as it says.
    pub(crate) fn parse(bytes: &[u8], places: &[Place], end: Place) -> Result<Self, FrameError> {
        let record = end.view(bytes);
        if record.version() != VERSION || record.flags() != 0 || !record.key().is_empty() {
            let message = format!(
                "trailer record of version {}, flags {:#x}, key of {} bytes; it must be 1, 0 and none",
                record.version(),
                record.flags(),
                record.key().len()
            );
            return Err(FrameError::at(ErrorClass::TrailerShape, record.offset(), message));
        }
        let body_offset = record.offset() + (record.span().len() - record.body().len()) as u64;
        let mut cursor = Cursor::new(record.body(), body_offset, ErrorClass::TrailerMagic);
        if cursor.array::<4>("trailer magic")? != MAGIC {
            return Err(FrameError::at(ErrorClass::TrailerMagic, body_offset, "no trailer magic"));
        }
        cursor.set_lack(ErrorClass::Truncated);
        Self::parse_fields(cursor, bytes, places)
    }

    fn parse_fields(mut cursor: Cursor<'_>, bytes: &[u8], places: &[Place]) -> Result<Self, FrameError> {
        number(&mut cursor, "trailer version", ErrorClass::TrailerVersion, |n| (n == VERSION).then_some(()))?;
        let beat = cursor.varint("beat")?;
        let record_count = narrow(&mut cursor, "record count", ErrorClass::RecordCount)?;
        let apply_mode = number(&mut cursor, "apply mode", ErrorClass::ApplyMode, ApplyMode::from_number)?;
        let is_blake3 = |n| (n == HASH_BLAKE3_256).then_some(());
        number(&mut cursor, "hash algorithm", ErrorClass::HashAlg, is_blake3)?;
        let compression = number(&mut cursor, "compression", ErrorClass::Compression, |n| match n {
            0 => Some(Compression::None),
            1 => Some(Compression::Deflate),
            _ => None,
        })?;
        let checksum = number(&mut cursor, "checksum", ErrorClass::ChecksumAlg, Checksum::from_number)?;
        let root_len = cursor.varint("root length")?;
        if root_len != ROOT_LEN {
            return Err(cursor.error(ErrorClass::RootLen, format!("root of {root_len} bytes instead of 32")));
        }
        let merkle_root = cursor.array("Merkle root")?;
        let toc = Toc::read(&mut cursor, bytes, places)?;
        let payload_history_beats = narrow(&mut cursor, "payload history", ErrorClass::History)?;
        let manifest_history_beats = narrow(&mut cursor, "manifest history", ErrorClass::History)?;
        let caps = FrameCaps::from_bits(cursor.u32("capabilities")?);
        let (branch, branch_glob) = if caps.contains(FrameCaps::BRANCH_METADATA) {
            parse_branch(&mut cursor).map(|(branch, glob)| (Some(branch), glob))?
        } else {
            (None, 0)
        };
        cursor.finish(ErrorClass::TrailerTrailing, "trailer")?;
        let fields = TrailerFields {
            beat,
            apply_mode,
            compression,
            checksum,
            payload_history_beats,
            manifest_history_beats,
            caps,
            branch,
        };
        Ok(Self { fields, record_count, merkle_root, toc, branch_glob })
    }

    /// The checks of what the trailer says about itself and about the records' places.
    pub(crate) fn check_consistency(&self, records: usize) -> Result<(), FrameError> {
        let fields = &self.fields;
        let deflated = fields.compression == Compression::Deflate;
        if fields.caps.contains(FrameCaps::FRAME_COMPRESSION) != deflated {
            let message =
                format!("capabilities {} with compression {}", fields.caps, fields.compression.name());
            return Err(FrameError::new(ErrorClass::CapabilityInconsistent, message));
        }
        self.toc.check(if fields.caps.contains(FrameCaps::FRAME_TOC) { records } else { 0 })?;
        if self.branch_glob > 1 {
            let message = format!("branch glob is {}, not 0 or 1", self.branch_glob);
            return Err(FrameError::new(ErrorClass::BranchMetadata, message));
        }
        Ok(())
    }

    /// The trailer once every check has passed.
    pub(crate) fn checked(&self) -> Trailer {
        Trailer {
            fields: self.fields,
            record_count: self.record_count,
            toc_count: u32::try_from(self.toc.count).unwrap_or(u32::MAX),
            merkle_root: self.merkle_root,
        }
    }
}

/// A byte that must have a meaning.
fn number<T>(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    class: ErrorClass,
    meaning: impl FnOnce(u8) -> Option<T>,
) -> Result<T, FrameError> {
    let at = cursor.offset();
    let number = cursor.u8(what)?;
    meaning(number).ok_or_else(|| FrameError::at(class, at, format!("{what} {number} is not defined")))
}

/// A varint that must fit 32 bits.
fn narrow(cursor: &mut Cursor<'_>, what: &'static str, class: ErrorClass) -> Result<u32, FrameError> {
    let at = cursor.offset();
    let value = cursor.varint(what)?;
    u32::try_from(value)
        .map_err(|_| FrameError::at(class, at, format!("{what} {value} does not fit 32 bits")))
}

fn parse_branch(cursor: &mut Cursor<'_>) -> Result<(Branch, u8), FrameError> {
    cursor.set_lack(ErrorClass::BranchMetadata);
    let len = cursor.varint("branch length")?;
    if len != BRANCH_LEN {
        return Err(
            cursor.error(ErrorClass::BranchMetadata, format!("branch block of {len} bytes instead of 25"))
        );
    }
    let glob = cursor.u8("branch glob")?;
    let domain = cursor.u64("branch domain")?;
    let tag = cursor.u64("branch tag")?;
    let frame_id = cursor.u64("branch frame id")?;
    Ok((Branch { glob: glob == 1, domain, tag, frame_id }, glob))
}

impl Trailer {
    /// Appends the trailer's body. The table of contents is listed when capability bit 9 is set.
    pub(crate) fn append_body(&self, bytes: &[u8], places: &[Place], out: &mut Vec<u8>) {
        let fields = &self.fields;
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        varint::encode(fields.beat, out);
        varint::encode(u64::from(self.record_count), out);
        out.extend_from_slice(&[
            fields.apply_mode.number(),
            HASH_BLAKE3_256,
            fields.compression.number(),
            fields.checksum.number(),
        ]);
        varint::encode(ROOT_LEN, out);
        out.extend_from_slice(&self.merkle_root);
        toc::append(bytes, places.get(..self.toc_count as usize).unwrap_or_default(), out);
        varint::encode(u64::from(fields.payload_history_beats), out);
        varint::encode(u64::from(fields.manifest_history_beats), out);
        out.extend_from_slice(&fields.caps.bits().to_le_bytes());
        if let Some(branch) = &fields.branch {
            varint::encode(BRANCH_LEN, out);
            out.push(u8::from(branch.glob));
            for word in [branch.domain, branch.tag, branch.frame_id] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
    }
}
