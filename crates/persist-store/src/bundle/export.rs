//! Exporting: a whole store, or what came after a base.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use persist_api::{Advice, Caps, Error, ErrorKind, Observer, Result, Scan};
use persist_io::{Disk, DiskFile, FileMode, absolute};

use super::BundleReport;
use super::commits::CommitTally;
use super::manifest::BundleBase;
use super::part::PartName;
use super::parts::{Content, Parts};
use super::record::RecordTally;
use crate::home::lies_inside;
use crate::{FeedCommit, Store, StoreDigest, StoreView};

/// Writes a bundle to `file`: see [`Store::export`] and [`Store::export_since`].
pub(crate) fn export(
    store: &Store,
    file: &Path,
    base: Option<&BundleBase>,
    seen: &dyn Observer,
) -> Result<BundleReport> {
    // The home whose blobs are read is that of the view: while it is open, no swap that comes in between is finished.
    let (active, view) = store.view_for("export")?;
    active.terms.need("export", Caps::ORDERED)?;
    let disk = store.0.setup.disk.as_ref();
    let target = Target::take(disk, file, active.home.as_deref())?;
    if let Some(base) = base {
        check_base(&view, base).map_err(|error| error.with_path(file))?;
    }
    let opened = disk.open(&target.temporary, FileMode::CreateNew)?;
    let write = |opened: Box<dyn DiskFile>| {
        let mut parts = Parts::begin(opened, seen)?;
        // The blobs come after the view is pinned: all that its beat names are there by then.
        if let Some(home) = &active.home {
            parts.blobs(disk, home)?;
        }
        let report = match base {
            None => whole(parts, &view),
            Some(base) => increment(parts, store, &view, *base, seen),
        }?;
        target.put_in_place(disk)?;
        Ok(report)
    };
    let written = write(opened);
    if written.is_err() {
        // Best effort: it has another name and is no bundle.
        let _ = disk.remove_file(&target.temporary);
    }
    written
}

/// Writes all records that a view shows.
fn whole(mut parts: Parts<'_>, view: &StoreView) -> Result<BundleReport> {
    let mut tally = RecordTally::default();
    let mut stopped: Option<Error> = None;
    parts.begin_part(PartName::Records)?;
    view.scan(Scan::all().without_fill_cache(), |key, value| {
        tally.add(key, value);
        let added = [key, value].into_iter().try_for_each(|part| {
            parts.add(&(part.len() as u64).to_le_bytes())?;
            parts.add(part)
        });
        match added {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                stopped = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = stopped {
        return Err(error);
    }
    let part = parts.end_part(PartName::Records)?;
    let RecordTally { records, bytes, key_bytes_max, value_bytes_max } = tally;
    // The part's bytes are those that the digest runs over.
    let digest = StoreDigest { blake3: part.blake3, records, bytes };
    let content = Content { base: None, header: *view.header(), digest, key_bytes_max, value_bytes_max };
    parts.finish(part, &content)
}

/// Writes all commits from a base to a view.
fn increment(
    mut parts: Parts<'_>,
    store: &Store,
    view: &StoreView,
    base: BundleBase,
    seen: &dyn Observer,
) -> Result<BundleReport> {
    let (header, mut tally) = (*view.header(), CommitTally::default());
    parts.begin_part(PartName::Commits)?;
    let mut feed = store.feed(base.commit)?;
    let mut last = base.commit;
    while last < header.last_commit() {
        let Some(FeedCommit { header: of, commit, log }) = feed.pull()? else {
            return Err(not_of_this_store("the feed ends before the view"));
        };
        if last == base.commit && (of.first_commit != commit || of.beat.0 != base.beat.0.saturating_add(1)) {
            return Err(not_of_this_store("its numbers fit no beat of this store"));
        }
        if of.first_commit == commit {
            parts.add(&of.commits.to_le_bytes())?;
        }
        let bytes = log.canonical_bytes();
        parts.add(&(bytes.len() as u64).to_le_bytes())?;
        parts.add(bytes)?;
        tally.add(&log);
        last = commit;
    }
    let part = parts.end_part(PartName::Commits)?;
    let digest = view.digest(seen)?;
    if last == base.commit && base.digest.is_some_and(|base| base != digest.blake3) {
        return Err(not_of_this_store("it has other records"));
    }
    let CommitTally { key_bytes_max, value_bytes_max, .. } = tally;
    let content = Content { base: Some(base), header, digest, key_bytes_max, value_bytes_max };
    parts.finish(part, &content)
}

/// Checks that a base is not newer than a view.
fn check_base(view: &StoreView, base: &BundleBase) -> Result<()> {
    let header = view.header();
    let older = base.beat < header.beat && base.commit < header.last_commit();
    let same = base.beat == header.beat && base.commit == header.last_commit();
    if older || same { Ok(()) } else { Err(not_of_this_store("it is newer, or its numbers fit no beat")) }
}

fn not_of_this_store(why: &str) -> Error {
    Error::new(ErrorKind::Conflict, "export", format!("the base is no state of this store: {why}"))
}

/// Checks that a path can be that of a bundle: it names a file and not a directory. Whether the name is free, and lies outside
/// the store, [`Store::export`] looks at itself.
///
/// # Errors
/// `Invalid` naming the path.
pub fn check_bundle_name(disk: &dyn Disk, file: &Path) -> Result<()> {
    let text = file.as_os_str().as_encoded_bytes();
    if file.file_name().is_none() {
        return refused(ErrorKind::Invalid, "this names no file", file);
    }
    // Only a rename would say so, when everything is written.
    let is_dir = text.ends_with(b"/") || text.ends_with(b"/.") || matches!(disk.list(file), Ok(Some(_)));
    if is_dir {
        return refused(
            ErrorKind::Invalid,
            "this names a directory; name the file that the bundle shall be",
            file,
        );
    }
    Ok(())
}

fn refused<T>(kind: ErrorKind, what: &str, path: &Path) -> Result<T> {
    Err(Error::new(kind, "export", what).with_path(path).with_advice(Advice::FixPath))
}

/// Where a bundle goes, and where it lies until it is whole.
struct Target {
    file: PathBuf,
    parent: PathBuf,
    temporary: PathBuf,
}

impl Target {
    /// Checks that both names are free.
    ///
    /// # Errors
    /// `Invalid` inside the home, or where the path names no file; `Mismatch` when something has one of the names; `Io`.
    fn take(disk: &dyn Disk, file: &Path, home: Option<&Path>) -> Result<Self> {
        check_bundle_name(disk, file)?;
        let name = file.file_name().unwrap_or_default();
        // The process may change its directory before the bundle is written.
        let file = absolute("export", file)?;
        if let Some(home) = home
            && lies_inside("export", &file, home)?
        {
            return refused(ErrorKind::Invalid, "a bundle cannot lie inside the store itself", &file);
        }
        let parent = file.parent().unwrap_or(&file).to_path_buf();
        let mut beside = OsString::from(name);
        beside.push(".new");
        let temporary = parent.join(&beside);
        let Some(entries) = disk.list(&parent)? else {
            return refused(ErrorKind::Invalid, "there is no such directory", &parent);
        };
        for (taken, path) in [(name, &file), (&beside, &temporary)] {
            if entries.iter().any(|entry| entry.name == *taken) {
                let what =
                    "something has this name, and a bundle is never written over it; nothing was touched";
                return refused(ErrorKind::Mismatch, what, path);
            }
        }
        Ok(Self { file, parent, temporary })
    }

    fn put_in_place(&self, disk: &dyn Disk) -> Result<()> {
        disk.rename(&self.temporary, &self.file)?;
        disk.sync_dir(&self.parent)
    }
}
