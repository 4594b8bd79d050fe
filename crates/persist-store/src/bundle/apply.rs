//! An increment brings a store that stands at its base to its newest beat.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{
    Advice, BeatHeader, Caps, Durability, Error, ErrorKind, Observer, Progress, Quiet, Result, Scan,
};
use persist_io::Disk;

use super::commits::CommitPlace;
use super::manifest::{BundleBase, BundleManifest};
use super::read::{BundleFile, Receiver};
use super::{BundleLimits, BundleReport};
use crate::cas::{BlobDraft, BlobName};
use crate::digest::DigestBuilder;
use crate::log::BeatLog;
use crate::merkle::beat_root;
use crate::observe::told;
use crate::shared::{Core, Terms, too_large};
use crate::transact::{Overlay, scan_over};
use crate::writer::{Lane, Writer};
use crate::{Store, StoreView};

/// Bytes of commits that are rehearsed in memory, at most.
const REHEARSED_BYTES_MAX: usize = 32 << 20;

/// What an operation takes in memory beside its key and value, about.
const OP_BYTES: usize = 96;

/// What an application of an increment did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyReport {
    /// The increment.
    pub bundle: BundleReport,
    /// Beats that were made: all that come after the base, or the rest of them.
    pub beats: u64,
    /// Commits in those beats.
    pub commits: u64,
    /// True when the digest that the store would have was computed and compared before the first of them became visible;
    /// else it was afterwards, because the commits are too large to be kept in memory.
    pub rehearsed: bool,
}

impl Writer {
    /// Brings this store from the base of an increment to its newest beat: each beat of the original becomes one beat here,
    /// with the same number, the same commits and the same root, by the ordinary way, so that feeds and queued commits see
    /// nothing special. No other commit comes between. The last beat gets the durability asked for, and with it all.
    ///
    /// What is checked before anything changes: every byte of the increment; that the store stands at the base, by both
    /// numbers and by the digest of all its records, where the increment knows it; every commit against the grant and the limits; and the digest that the
    /// store would then have, if the commits fit into memory (32 MiB), else that is checked after the last beat. An increment
    /// that does not know the digest of its base is refused (`TooLarge`) if they do not.
    ///
    /// What fails or is cancelled in between leaves the store at one of the beats of the original. The same call then goes
    /// on from there, if MERKLE is granted: the root in the store's newest header must be that of the increment's beat.
    ///
    /// # Errors
    /// `Mismatch` for a bundle that is no increment; `Conflict` when the store does not stand at its base; `Corrupt` when it
    /// does not verify; `TooLarge`, `Unsupported`, `Refused`; `Cancelled`, `Full`, `Io`, `Closed`.
    pub fn apply(
        &mut self,
        bundle: &Path,
        durability: Durability,
        limits: &BundleLimits,
        seen: &dyn Observer,
    ) -> Result<ApplyReport> {
        told(self.apply_all(bundle, durability, limits, seen))
    }

    fn apply_all(
        &mut self,
        bundle: &Path,
        durability: Durability,
        limits: &BundleLimits,
        seen: &dyn Observer,
    ) -> Result<ApplyReport> {
        let shared = Arc::clone(&self.shared);
        let store = Store::new(Arc::clone(&shared));
        let lane = self.lane();
        let terms = lane.terms();
        terms.need("apply", Caps::ORDERED)?;
        let levels = [terms.durability(durability.min(Durability::Buffered))?, terms.durability(durability)?];
        let disk = shared.setup.disk.as_ref();
        let file = BundleFile::open(disk, bundle)?;
        let found = file.check(limits, seen)?;
        let at = |error: Error| if error.path().is_some() { error } else { error.with_path(bundle) };
        let home = shared.active().home.clone();
        let plan = Plan::make(&store.view_for("apply")?.1, &found, home.is_some(), seen).map_err(at)?;
        let rehearsed = plan.rehearse(&shared, &terms, &store, &file, limits, seen).map_err(at)?;
        let mut applying = Applying {
            plan: &plan,
            levels,
            disk,
            home,
            seen,
            lane,
            blob: None,
            logs: Vec::new(),
            beats: 0,
            commits: 0,
        };
        // It is stopped between beats, and not after the last.
        let again = file.read(limits, &mut applying, "apply", &Quiet)?;
        let Applying { lane, beats, commits, .. } = applying;
        drop(lane);
        let after = if rehearsed { plan.manifest.digest } else { store.view_for("apply")?.1.digest(seen)? };
        if again != found || after != plan.manifest.digest {
            let context = "after the last beat the store has another digest than the increment says";
            return Err(Error::new(ErrorKind::Corrupt, "apply", context).with_path(bundle));
        }
        Ok(ApplyReport { bundle: found, beats, commits, rehearsed })
    }
}

/// What is to be done.
struct Plan {
    manifest: BundleManifest,
    /// Beats of the increment that the store has already.
    skip: u64,
    /// Beats of the increment.
    beats: u64,
    /// Header of the store's newest beat.
    header: BeatHeader,
}

impl Plan {
    fn make(view: &StoreView, found: &BundleReport, has_home: bool, seen: &dyn Observer) -> Result<Self> {
        let manifest = found.manifest;
        let Some(base) = manifest.base else {
            let context = "this is a whole store: import it where there is none; only increments are applied";
            return Err(Error::new(ErrorKind::Mismatch, "apply", context).with_advice(Advice::FixPath));
        };
        if found.blobs > 0 && !has_home {
            let context =
                "the increment has blobs, and an engine that keeps nothing on disk has no place for them";
            return Err(Error::new(ErrorKind::Refused, "apply", context));
        }
        let header = *view.header();
        let skip = header.beat.0.saturating_sub(base.beat.0);
        let beats = manifest.beat.0.saturating_sub(base.beat.0);
        if header.beat == base.beat {
            let is_base = match base.digest {
                _ if header.last_commit() != base.commit => false,
                Some(digest) => view.digest(seen)?.blake3 == digest,
                None => true,
            };
            if !is_base {
                return Err(elsewhere(&header, &base, "and has other commits or records"));
            }
        } else if skip == 0 {
            let what =
                "before that: apply the increments between them first, unless it belongs to another store";
            return Err(elsewhere(&header, &base, what));
        } else if skip >= beats {
            let what = "so that it was applied already, or belongs to another store";
            return Err(elsewhere(&header, &base, what));
        } else if header.root.is_none() {
            return Err(elsewhere(&header, &base, "and without MERKLE nothing tells how it came there"));
        }
        Ok(Self { manifest, skip, beats, header })
    }

    /// Reads the commits and does everything with them but commit them. True when the digest was computed.
    fn rehearse(
        &self,
        core: &Core,
        terms: &Terms,
        store: &Store,
        bundle: &BundleFile,
        limits: &BundleLimits,
        seen: &dyn Observer,
    ) -> Result<bool> {
        let (leaves, overlay) = (Vec::new(), Some(Overlay::default()));
        let mut rehearsal = Rehearsal { plan: self, core, terms, leaves, overlay, held: 0, staged: 0 };
        bundle.read(limits, &mut rehearsal, "rehearse", seen)?;
        let Some(overlay) = rehearsal.overlay else { return Ok(false) };
        let mut digest = DigestBuilder::new();
        scan_over(&store.view_for("apply")?.1, &overlay, &Scan::all(), &mut |key, value| {
            digest.add(key, value);
            std::ops::ControlFlow::Continue(())
        })?;
        if digest.finish() != self.manifest.digest {
            let context = "its commits would give another digest than it says; nothing was changed";
            return Err(Error::new(ErrorKind::Corrupt, "apply", context));
        }
        Ok(true)
    }
}

fn elsewhere(header: &BeatHeader, base: &BundleBase, what: &str) -> Error {
    let context = format!(
        "the increment goes on from beat {} and commit {}; the store stands at beat {} and commit {}, {what}",
        base.beat,
        base.commit,
        header.beat,
        header.last_commit()
    );
    // No other beat would help, but another bundle.
    Error::new(ErrorKind::Conflict, "apply", context).with_advice(Advice::FixPath)
}

/// Only the digest of the result can tell that this store is the base, and it cannot be computed beforehand.
fn unknown_base() -> Error {
    let context = format!(
        "the increment does not say what records its base has, and its commits have more than {REHEARSED_BYTES_MAX} bytes; \
         make it anew with a bundle as its base"
    );
    Error::new(ErrorKind::TooLarge, "apply", context)
}

/// Checks the commits one by one, and gathers what they would change.
struct Rehearsal<'p> {
    plan: &'p Plan,
    core: &'p Core,
    terms: &'p Terms,
    /// Of the beat at which the store stands, if that is one of the increment.
    leaves: Vec<[u8; 32]>,
    overlay: Option<Overlay>,
    /// Memory of the overlay, about.
    held: usize,
    /// Bytes that the beat stages so far.
    staged: u64,
}

impl Receiver for Rehearsal<'_> {
    fn commit(&mut self, log: BeatLog, place: CommitPlace) -> Result<()> {
        if place.beat <= self.plan.skip {
            return self.check_known(&log, place);
        }
        self.core.check(self.terms, &log)?;
        let room = self.core.beat_room(self.terms);
        self.staged = self.staged.saturating_add(self.terms.beat_bytes(&log, room.feeding));
        if self.staged > room.bytes {
            return Err(too_large(self.staged, room.bytes));
        }
        if place.left == 0 {
            self.staged = 0;
        }
        let tally = log.tally();
        let ops = tally.puts.saturating_add(tally.deletes).saturating_add(tally.ranges);
        let ops = usize::try_from(ops).unwrap_or(usize::MAX);
        self.held = self
            .held
            .saturating_add(log.canonical_bytes().len())
            .saturating_add(ops.saturating_mul(OP_BYTES));
        if self.held > REHEARSED_BYTES_MAX {
            if self.plan.manifest.base.is_some_and(|base| base.digest.is_none()) {
                return Err(unknown_base());
            }
            self.overlay = None;
        }
        if let Some(overlay) = &mut self.overlay {
            overlay.apply(&log);
        }
        Ok(())
    }
}

impl Rehearsal<'_> {
    /// Compares the beat at which the store stands with that beat of the increment.
    fn check_known(&mut self, log: &BeatLog, place: CommitPlace) -> Result<()> {
        if place.beat < self.plan.skip {
            return Ok(());
        }
        self.leaves.push(log.leaf());
        let header = &self.plan.header;
        let root = (place.left == 0).then(|| beat_root(&self.leaves));
        match (root, self.plan.manifest.base) {
            (Some(root), Some(base)) if header.root != Some(root) => {
                Err(elsewhere(header, &base, "and that beat is another one in the increment"))
            }
            _ => Ok(()),
        }
    }
}

/// Writes blobs and beats.
struct Applying<'w> {
    plan: &'w Plan,
    /// Durability of all beats but the last, and of the last.
    levels: [Durability; 2],
    disk: &'w dyn Disk,
    home: Option<PathBuf>,
    seen: &'w dyn Observer,
    lane: Lane<'w>,
    blob: Option<BlobDraft>,
    /// Of the beat that is being read.
    logs: Vec<BeatLog>,
    beats: u64,
    commits: u64,
}

impl Receiver for Applying<'_> {
    fn blob(&mut self, name: BlobName) -> Result<()> {
        self.step()?;
        self.blob = match &self.home {
            Some(home) => BlobDraft::create(self.disk, home, name)?,
            None => None,
        };
        Ok(())
    }

    fn blob_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.blob.as_mut().map_or(Ok(()), |blob| blob.write(bytes))
    }

    fn blob_done(&mut self) -> Result<()> {
        self.blob.take().map_or(Ok(()), |blob| blob.put_in_place(self.disk))
    }

    fn commit(&mut self, log: BeatLog, place: CommitPlace) -> Result<()> {
        if place.beat <= self.plan.skip {
            return Ok(());
        }
        self.logs.push(log);
        if place.left > 0 {
            return Ok(());
        }
        self.step()?;
        let [others, last] = self.levels;
        let durability = if place.beat == self.plan.beats { last } else { others };
        self.lane.write(self.logs.iter(), durability)?;
        self.beats = self.beats.saturating_add(1);
        self.commits = self.commits.saturating_add(self.logs.len() as u64);
        self.logs.clear();
        Ok(())
    }
}

impl Applying<'_> {
    fn step(&self) -> Result<()> {
        let total = Some(self.plan.beats.saturating_sub(self.plan.skip));
        self.seen.step("apply", Progress { phase: "apply", done: self.beats, total, unit: "beats" })
    }
}
