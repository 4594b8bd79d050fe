//! The directory of a store: what lies there, what may be cleared, and what is not ours.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf, absolute};
use std::sync::Arc;

use persist_api::{Advice, Driver, Error, ErrorKind, Probe, Result};
use persist_io::{Disk, Entry, EntryKind, LOCK_FILE, read_file, remove_tree};

use crate::cas::{CAS_DIR, each_blob};
use crate::stamp::{STAMP_BYTES_MAX, STAMP_FILE, Stamp, StampState};
use crate::swap::{SwapMark, SwapPlace, SwapState, moved};

/// The temporary name of a stamp that is being replaced.
pub(crate) const STAMP_NEW: &str = "persist.stamp.new";
/// First word of every stamp.
const STAMP_WORD: &[u8] = b"persist-stamp";
/// First word of what a lock file of ours holds.
const LOCK_WORD: &[u8] = b"process ";
const LOCK_BYTES_MAX: u64 = 4096;

/// What a home holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or nothing but our lock.
    Nothing,
    /// A creation that was not finished and may be cleared, or an import, which only another import may clear.
    Unfinished(Stamp),
    /// A store.
    Store(Stamp),
}

/// What a home holds, and what lies beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) found: Found,
    /// Names that the stamp does not account for. Never opened, never touched.
    pub(crate) strangers: Vec<OsString>,
}

/// The directory of an epoch's engine.
pub(crate) fn engine_dir(home: &Path, epoch: u64) -> PathBuf {
    home.join(engine_name(epoch))
}

fn engine_name(epoch: u64) -> String {
    format!("engine-{epoch}")
}

/// The epoch in a directory name of ours, in canonical decimal.
fn epoch_of(name: &OsString) -> Option<u64> {
    let epoch = name.to_str()?.strip_prefix("engine-")?.parse().ok()?;
    (epoch > 0 && *name == *engine_name(epoch)).then_some(epoch)
}

/// Whether `path`, which need not exist, would lie inside `home`. Links are followed as far as there are any.
///
/// # Errors
/// `Invalid` naming a path that goes up (`..`) from a part that is not there: it leads nowhere until that part is made, and
/// may then lead into the home.
pub(crate) fn lies_inside(op: &'static str, path: &Path, home: &Path) -> Result<bool> {
    let (real, rest) = real_part(path);
    if rest.components().any(|part| part == Component::ParentDir) {
        let context =
            "the path goes up (`..`) from a directory that is not there; write it without that part";
        return Err(Error::new(ErrorKind::Invalid, op, context).with_path(path).with_advice(Advice::FixPath));
    }
    let (home, beyond) = real_part(home);
    Ok(real.join(rest).starts_with(home.join(beyond)))
}

/// The part of a path that is there, as it really is, and the rest.
fn real_part(path: &Path) -> (PathBuf, PathBuf) {
    let path = absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there {
        Some((above, real)) => (real, path.strip_prefix(above).map(Path::to_path_buf).unwrap_or_default()),
        None => (PathBuf::new(), path),
    }
}

/// Looks at a home without writing.
///
/// # Errors
/// `Mismatch` when it holds what is not ours and no stamp, `Corrupt` for a damaged stamp or an engine without one, `Io`.
pub(crate) fn survey(disk: &dyn Disk, home: &Path) -> Result<Survey> {
    let entries = disk.list(home)?.unwrap_or_default();
    let Some(stamp) = Stamp::read(disk, home)? else {
        check_above(disk, home)?;
        return survey_unstamped(disk, home, &entries);
    };
    check_lock(&entries, home)?;
    let other = stamp.swap.as_ref().filter(|swap| swap.place == SwapPlace::Here);
    let strangers = strangers(&entries, &[stamp.epoch, other.map_or(stamp.epoch, |swap| swap.epoch)]);
    let found = match stamp.state {
        StampState::Creating => Found::Unfinished(stamp),
        StampState::Ready => Found::Store(stamp),
        StampState::Importing => arriving(disk, home, stamp)?,
        StampState::Moved => return Err(moved(disk, home, &stamp, has_engine(&entries))),
    };
    Ok(Survey { found, strangers })
}

/// Checks what lies where a home has its lock. Locking writes into it: what it leads to may be a file of somebody else.
///
/// # Errors
/// `Mismatch`.
pub(crate) fn check_lock(entries: &[Entry], home: &Path) -> Result<()> {
    if entries.iter().any(|entry| *entry.name == *LOCK_FILE && entry.kind != EntryKind::File) {
        let context = format!("{LOCK_FILE} is not a file; nothing was touched");
        return Err(Error::new(ErrorKind::Mismatch, "open", context).with_path(home));
    }
    Ok(())
}

/// True when an engine of any epoch lies among them.
pub(crate) fn has_engine(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| epoch_of(&entry.name).is_some())
}

/// Names in the home of a store, with engines of these epochs, that are not its own.
pub(crate) fn strangers(entries: &[Entry], epochs: &[u64]) -> Vec<OsString> {
    let is_ours = |name: &OsString| {
        [STAMP_FILE, STAMP_NEW, LOCK_FILE, CAS_DIR].iter().any(|ours| *name == **ours)
            || epoch_of(name).is_some_and(|epoch| epochs.contains(&epoch))
    };
    entries.iter().map(|entry| &entry.name).filter(|name| !is_ours(name)).cloned().collect()
}

/// What the home is into which something is copied: a bundle, or by a swap, which the other side judges.
///
/// # Errors
/// `Mismatch` while it is no store.
fn arriving(disk: &dyn Disk, home: &Path, stamp: Stamp) -> Result<Found> {
    let unfinished = |what: &str| {
        let context = format!("a copy into this home was not finished; it is no store yet{what}");
        Err(Error::new(ErrorKind::Mismatch, "open", context).with_path(home))
    };
    // What a bundle was imported into: only the next import clears it.
    let Some(swap) = &stamp.swap else { return Ok(Found::Unfinished(stamp)) };
    match &swap.place {
        // The process that had the source holds the lock as long as it lives, and its store went with it.
        SwapPlace::Nowhere => Ok(Found::Unfinished(stamp)),
        SwapPlace::Here => unfinished(""),
        SwapPlace::Home(source) => {
            let there = Stamp::read(disk, source)?;
            let decided = there.filter(|there| there.state == StampState::Moved).and_then(|there| there.swap);
            if decided.is_some_and(|decided| decided.id == swap.id) {
                let swap = SwapMark { state: SwapState::Flipped, ..swap.clone() };
                return Ok(Found::Store(Stamp { state: StampState::Ready, swap: Some(swap), ..stamp }));
            }
            let source = source.display();
            unfinished(&format!(": the store is still {source}; open that, then resume or abort its swap"))
        }
    }
}

fn survey_unstamped(disk: &dyn Disk, home: &Path, entries: &[Entry]) -> Result<Survey> {
    if let Some(engine) = entries.iter().find(|entry| epoch_of(&entry.name).is_some()) {
        let context = format!(
            "{} is here but {STAMP_FILE} is missing: put the stamp back, or restore the whole home; nothing was touched",
            engine.name.display()
        );
        return Err(Error::new(ErrorKind::Corrupt, "open", context).with_path(home));
    }
    for entry in entries {
        let ours = entry.kind == EntryKind::File
            && (*entry.name == *STAMP_NEW || *entry.name == *LOCK_FILE && is_our_lock(disk, home)?);
        if !ours {
            return Err(not_ours("open", home, &entry.name));
        }
    }
    Ok(Survey { found: Found::Nothing, strangers: Vec::new() })
}

/// `Mismatch` for a name in a home that none of ours has.
pub(crate) fn not_ours(op: &'static str, home: &Path, name: &OsStr) -> Error {
    let context = format!("{} is not ours; nothing was touched", name.display());
    Error::new(ErrorKind::Mismatch, op, context).with_path(home).with_advice(Advice::FixPath)
}

/// Refuses a place for a store that lies inside another one's home, whose engine would no longer open. What has the name of a
/// stamp and does not begin like one is in nobody's way: directories above may be open to everybody.
pub(crate) fn check_above(disk: &dyn Disk, home: &Path) -> Result<()> {
    let is_home = |above: &&Path| {
        let stamp = read_file(disk, &above.join(STAMP_FILE), STAMP_BYTES_MAX).ok().flatten();
        stamp.is_some_and(|stamp| stamp.starts_with(STAMP_WORD))
    };
    let (real, rest) = real_part(home);
    real.join(rest).ancestors().skip(1).find(is_home).map_or(Ok(()), |above| {
        let context =
            format!("this lies inside the store at {}; choose a directory elsewhere", above.display());
        Err(Error::new(ErrorKind::Invalid, "open", context).with_path(home).with_advice(Advice::FixPath))
    })
}

/// True for a lock file that this crate's lock could have left.
fn is_our_lock(disk: &dyn Disk, home: &Path) -> Result<bool> {
    match read_file(disk, &home.join(LOCK_FILE), LOCK_BYTES_MAX) {
        Ok(content) => {
            let content = content.unwrap_or_default();
            // Nobody syncs a lock: a power cut may leave zeros in the place of what was written.
            Ok(content.iter().zip(LOCK_WORD).all(|(byte, ours)| *byte == 0 || byte == ours))
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}

/// Checks that an unfinished creation or import may be cleared: nothing but files that are ours by name, an engine directory
/// that its driver recognises, no blobs but those of an import.
///
/// # Errors
/// `Mismatch` naming what stands in the way; `Io`.
pub(crate) fn check_clearable(
    disk: &dyn Disk,
    home: &Path,
    survey: &Survey,
    stamp: &Stamp,
    drivers: &[Arc<dyn Driver>],
) -> Result<()> {
    let refuse = |what: String| {
        let begun = if stamp.is_import() { "an import" } else { "a creation" };
        let context = format!("{begun} was not finished here, and it cannot be cleared: {what}");
        Err(Error::new(ErrorKind::Mismatch, "open", context).with_path(home))
    };
    if let Some(stranger) = survey.strangers.first() {
        return refuse(format!("{} is not ours", stranger.display()));
    }
    let engine = engine_name(stamp.epoch);
    for entry in disk.list(home)?.unwrap_or_default() {
        let is_dir = *entry.name == *engine || *entry.name == *CAS_DIR;
        if entry.kind != if is_dir { EntryKind::Dir } else { EntryKind::File } {
            return refuse(format!("{} is not what we make", entry.name.display()));
        }
    }
    if stamp.is_import() {
        each_blob(disk, home, &mut |_, _| Ok(()))?;
    } else if disk.list(&home.join(CAS_DIR))?.is_some_and(|blobs| !blobs.is_empty()) {
        return refuse(format!("{CAS_DIR} holds files"));
    }
    if let Probe::Foreign { what } = find_driver(drivers, &stamp.engine)?.probe(&home.join(&engine))? {
        return refuse(format!("{engine} is not of engine {}: {what}", stamp.engine));
    }
    Ok(())
}

/// Clears what an unfinished creation or import left, all but the stamp and the lock. Call under the lock, after
/// [`check_clearable`].
///
/// # Errors
/// `Io`; the stamp still says `creating` then.
pub(crate) fn clear(disk: &dyn Disk, home: &Path, stamp: &Stamp) -> Result<()> {
    remove_tree(disk, &engine_dir(home, stamp.epoch))?;
    let cas = home.join(CAS_DIR);
    if stamp.is_import() { remove_tree(disk, &cas) } else { disk.remove_dir(&cas) }?;
    disk.sync_dir(home)
}

/// The driver of a scheme.
///
/// # Errors
/// `Unsupported` naming the schemes that there are.
pub(crate) fn find_driver<'d>(drivers: &'d [Arc<dyn Driver>], scheme: &str) -> Result<&'d Arc<dyn Driver>> {
    drivers.iter().find(|driver| driver.scheme() == scheme).ok_or_else(|| {
        let known: Vec<_> = drivers.iter().map(|driver| driver.scheme()).collect();
        let context = format!("there is no engine {scheme:?} here; there are: {}", known.join(", "));
        Error::new(ErrorKind::Unsupported, "open", context)
    })
}

/// Checks that where a store goes there is room for something of so many bytes, when so many that are there will be gone.
///
/// # Errors
/// `Full` naming both; `Io`.
pub(crate) fn check_room(
    disk: &dyn Disk,
    op: &'static str,
    home: &Path,
    (what, needed): (&str, u64),
    freed: u64,
) -> Result<()> {
    let Some(there) = disk.space(home)? else { return Ok(()) };
    let there = there.saturating_add(freed);
    if there >= needed {
        return Ok(());
    }
    let context = format!(
        "{what} has {needed} bytes, and where it goes there is room for {there}; nothing was changed"
    );
    Err(Error::new(ErrorKind::Full, op, context).with_path(home))
}
