//! Reading a branch completely without changing anything: what is in it, what of it verifies, what does not.

use std::collections::{BTreeMap, BTreeSet};

use persist_api::{Error, ErrorKind, Observer, Result};
use persist_frame::{Checksum, Digest, Limits};

use super::around;
use super::cas::{self, Blob};
use super::check;
use super::finding::{BranchSeverity as S, Findings};
use super::hints::Beside;
use super::records::{Files, Hints, Shape, Verified};
use super::source::{BranchSource, File};
use super::timeline;
use super::watch::Watch;

/// What reading a branch may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchLimits {
    /// Per frame: bytes of keys and values, records, bytes of a key.
    pub frame: Limits,
    /// Bytes of a blob's file, and of what it inflates to.
    pub blob_bytes: u32,
}

impl Default for BranchLimits {
    /// 256 MiB a frame and a blob, 4 Mi records a frame; keys as the frame reader allows them.
    fn default() -> Self {
        let frame = Limits { frame_bytes: 256 << 20, records: 4 << 20, ..Limits::default() };
        Self { frame, blob_bytes: 256 << 20 }
    }
}

/// A frame that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchFrame {
    /// Its operation stamp.
    pub beat: u64,
    /// Its number in the branch.
    pub frame_id: u64,
    /// Where it begins in `branch.idx`.
    pub idx_at: u64,
    /// Its bytes there.
    pub idx_len: u64,
    /// Its records.
    pub records: u32,
    /// The digest that its records have.
    pub digest: Digest,
    /// Bytes of its keys and values.
    pub content_bytes: u64,
    /// The longest key and value together.
    pub record_bytes_max: u64,
    /// Bytes of the keys under which the newest of its records are kept.
    pub(super) cell_key_bytes: u64,
    pub(super) shape: Shape,
    /// Where its records in `branch.dat` begin, if it has any.
    pub(super) dat: Option<(u64, u64)>,
}

/// What is newest under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// BLAKE3 of the newest value.
    pub blake3: Digest,
    /// Which of the verified frames brought it, from 0.
    pub frame: usize,
    /// Some frame brought this key twice. The last one counts; the original engine served the first.
    pub repeated: bool,
}

/// What cells say of a payload in the content-addressed store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlobRef {
    /// The smallest and the largest size that they say.
    pub(super) sizes: (u64, u64),
    /// One bit for each encryption mode that they say.
    modes: u32,
}

impl BlobRef {
    pub(super) fn new(size: u64, mode: u8) -> Self {
        Self { sizes: (size, size), modes: 1_u32.checked_shl(mode.into()).unwrap_or(0) }
    }

    /// What both say.
    pub(super) fn and(self, other: Self) -> Self {
        let ((low, high), (other_low, other_high)) = (self.sizes, other.sizes);
        Self { sizes: (low.min(other_low), high.max(other_high)), modes: self.modes | other.modes }
    }

    /// The encryption modes, by number.
    pub(super) fn modes(self) -> impl Iterator<Item = u8> {
        (0..32_u8).filter(move |mode| self.modes >> mode & 1 == 1)
    }
}

/// A branch, read completely.
#[derive(Debug, Clone)]
pub struct BranchSurvey {
    /// The identity in `branch.meta`, where that verifies.
    pub branch_id: Option<[u8; 16]>,
    /// The checksum that the branch was written with, found out from its bytes; `None` when nothing in it has one.
    pub checksum: Option<Checksum>,
    /// The newest frame according to `branch.meta`, where that verifies: its beat and its number.
    pub head: Option<(u64, u64)>,
    /// The frames that verified, oldest first.
    pub frames: Vec<BranchFrame>,
    /// Records of these frames.
    pub records: u64,
    /// Keys of these frames. Takes as much memory as all keys together.
    pub keys: BTreeMap<Vec<u8>, Newest>,
    /// Keys for which a frame that is lost had a record, newer than what `keys` says, or the only one.
    pub stale_keys: BTreeSet<Vec<u8>>,
    /// Blobs that verified.
    pub blobs: Vec<Blob>,
    /// Checkpoints that could be read.
    pub checkpoints: u64,
    /// What was found.
    pub findings: Findings,
    pub(super) limits: BranchLimits,
}

/// What a survey gathers on its way.
pub(super) struct Gathered {
    pub(super) frames: Vec<BranchFrame>,
    pub(super) records: u64,
    pub(super) keys: BTreeMap<Vec<u8>, Newest>,
    /// Keys of records that no frame can hold, and the frames they were in.
    pub(super) left_out: Vec<(Vec<u8>, usize)>,
    pub(super) references: BTreeMap<Digest, BlobRef>,
    /// How many chunks have a checksum of either kind.
    pub(super) modes: [u64; 2],
    pub(super) findings: Findings,
}

impl BranchSurvey {
    /// Reads a branch completely, and writes nothing.
    ///
    /// Damage is a finding, not an error. Memory: the keys, about 150 bytes for each key, each frame and each entry of
    /// `branch.frames`, the table of one frame, one record, one blob.
    ///
    /// # Errors
    /// `Invalid` when there is no branch, `TooLarge` for a frame beyond the limits, `Cancelled`, `Io`.
    pub fn read(source: &dyn BranchSource, limits: BranchLimits, seen: &dyn Observer) -> Result<Self> {
        let watch = Watch::new(seen);
        let files = open(source, limits, &watch)?;
        let copies = File::open(source, "branch.ckp", &watch)?;
        let mut findings = Findings::default();
        let beside = Beside::read(source, &files, &copies, &mut findings, &watch)?;
        if files.idx.is_missing() && files.dat.is_missing() && beside.meta.is_none() {
            let what = "this is not the directory of a branch: no branch.meta, branch.idx or branch.dat";
            return Err(Error::new(ErrorKind::Invalid, "import_branch", what));
        }
        let mut gathered = Gathered {
            frames: Vec::new(),
            records: 0,
            keys: BTreeMap::new(),
            left_out: Vec::new(),
            references: BTreeMap::new(),
            modes: [0; 2],
            findings,
        };
        let timeline = timeline::walk(&files, &beside, &copies, &watch, &mut |verified| {
            check::frame(&files, &beside, &copies, &verified, &mut gathered)
        })?;
        let stale_keys = around::around(&files, &beside, &timeline, &mut gathered)?;
        let checksum = around::mode(&beside, &mut gathered);
        let Gathered { frames, records, keys, references, mut findings, .. } = gathered;
        let blobs = cas::survey(source, limits.blob_bytes, &references, &mut findings, &watch)?;
        leftovers(source, &mut findings)?;
        Ok(Self {
            branch_id: beside.meta.map(|meta| meta.branch_id),
            checksum,
            head: beside.meta.map(|meta| (meta.head.beat, meta.head.frame_id)),
            frames,
            records,
            keys,
            stale_keys,
            blobs,
            checkpoints: beside.checkpoints,
            findings,
            limits,
        })
    }

    /// True when everything that the branch held is here.
    pub fn is_complete(&self) -> bool {
        self.findings.count(S::Lost) == 0
    }
}

/// Opens the two files that hold frames.
pub(super) fn open<'s>(
    source: &'s dyn BranchSource,
    limits: BranchLimits,
    watch: &'s Watch<'s>,
) -> Result<Files<'s>> {
    let (idx, dat) = (File::open(source, "branch.idx", watch)?, File::open(source, "branch.dat", watch)?);
    // Whoever crafts a file must not make the search take longer than reading it some times over.
    let budget = idx.len.saturating_add(dat.len).saturating_mul(16).saturating_add(64 << 20);
    Ok(Files { idx, dat, limits: limits.frame, budget: std::cell::Cell::new(budget) })
}

/// Verifies one frame of a survey again, for its records.
pub(super) fn again(
    files: &Files<'_>,
    copies: &File<'_>,
    beside: &Beside,
    frame: &BranchFrame,
) -> Result<Verified> {
    let dat_at = frame.dat.map_or(0, |(from, _)| from);
    let hints = Hints { digests: vec![frame.digest], ..beside.hints(files, frame.shape, dat_at, copies)? };
    let cost = frame.idx_len.saturating_add(frame.content_bytes).saturating_add(4096).saturating_mul(16);
    files.budget.set(files.budget.get().max(cost));
    let verified = super::locate::verify(files, frame.shape, &hints)?;
    verified.filter(|verified| verified.digest == frame.digest).ok_or_else(|| {
        let what = format!("frame {} changed while it was being imported", frame.frame_id);
        Error::new(ErrorKind::Corrupt, "import_branch", what)
    })
}

/// What lies in the directory and is no part of the branch.
fn leftovers(source: &dyn BranchSource, findings: &mut Findings) -> Result<()> {
    for entry in source.list("tmp")? {
        let name = format!("tmp/{}", entry.name);
        let what = "left over from a commit that was cut short; it was never part of the branch";
        findings.add(S::Note, "leftover_stage", (&name, None, None), what);
    }
    let files = ["branch.meta", "branch.meta.new", "branch.idx", "branch.dat", "branch.frames", "branch.ckp"];
    let dirs = ["cas", "tmp", "exports", "imports"];
    for entry in source.list("")? {
        let known: &[&str] = if entry.is_dir { &dirs } else { &files };
        if !known.contains(&entry.name.as_str()) {
            findings.add(S::Note, "unknown_file", (&entry.name, None, None), "not a file of a branch");
        }
    }
    let what = "the original kept neither the Merkle roots nor the capability bits and record versions of the frames \
                that it stored: records are checked against the branch's own digests";
    findings.add(S::Unchecked, "merkle_root_absent", ("branch.idx", None, None), what);
    let what = "the id is the hash of the path where the original kept the branch, which is not recorded";
    findings.add(S::Unchecked, "branch_id_unchecked", ("branch.meta", Some(8), None), what);
    Ok(())
}

pub(super) fn hex(digest: &Digest) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
