//! What a home says that a store has left: where the store is now.

use std::path::{Path, PathBuf};

use persist_api::{Advice, Error, ErrorKind, Result};
use persist_io::{Disk, EntryKind};

use super::mark::{SwapId, SwapMark, SwapPlace, SwapState};
use crate::cas::CAS_DIR;
use crate::home::{check_above, has_engine, not_ours, strangers};
use crate::shared::Active;
use crate::stamp::{STAMP_FILE, Stamp, StampState, StoreId};

/// How often a store is looked for one home further: stamps that were put back by hand may lead in a circle.
const HOMES_MAX: u32 = 32;

/// Where a store is that a swap has moved out of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTo {
    /// Name of the store.
    pub store: StoreId,
    /// Its home.
    pub home: PathBuf,
    /// Scheme of its engine.
    pub engine: String,
    /// True when it was found there. Otherwise this is what was last said of it, and something else may lie there.
    pub found: bool,
    /// True while the engine before is kept in the home that was left: the swap is not finished.
    pub kept: bool,
}

impl MovedTo {
    /// Where the store is that was in `home` once; `None` when none has left it, or not to a place that is known. Where it
    /// went on from there, it is followed as far as stamps can be read. Writes nothing.
    ///
    /// # Errors
    /// Those of reading the stamp of `home`: `Corrupt`, `Mismatch`, `Io`.
    pub fn read(disk: &dyn Disk, home: &Path) -> Result<Option<Self>> {
        let Some(stamp) = Stamp::read(disk, home)? else { return Ok(None) };
        let kept = has_engine(&disk.list(home)?.unwrap_or_default());
        Ok(Self::of(disk, &stamp, kept))
    }

    /// The same from the stamp of the home that was left.
    pub(crate) fn of(disk: &dyn Disk, stamp: &Stamp, kept: bool) -> Option<Self> {
        let mark = stamp.swap.as_ref().filter(|_| stamp.state == StampState::Moved)?;
        let mut swap = mark.id;
        let mut to = Self {
            store: stamp.store,
            home: mark.place.as_home()?.to_path_buf(),
            engine: mark.engine.clone(),
            found: false,
            kept,
        };
        for _ in 0..HOMES_MAX {
            let there = Stamp::read(disk, &to.home).ok().flatten().filter(|there| there.store == to.store);
            let Some(there) = there else { break };
            let on = match (there.state, there.swap) {
                (StampState::Moved, mark) => mark,
                // What another swap began to fill is no store: that is still on the other side.
                (StampState::Importing, Some(mark)) if mark.id != swap => Some(mark),
                (StampState::Creating | StampState::Ready | StampState::Importing, _) => None,
            };
            match on {
                Some(SwapMark { id, engine, place: SwapPlace::Home(home), .. }) => {
                    swap = id;
                    (to.home, to.engine) = (home, engine);
                }
                Some(_) => break,
                None => {
                    (to.engine, to.found) = (there.engine, true);
                    break;
                }
            }
        }
        Some(to)
    }
}

/// True for the home of a store that a swap has moved, when nothing of its engines is left there.
fn is_signpost(disk: &dyn Disk, home: &Path, stamp: &Stamp, store: Option<StoreId>) -> Result<bool> {
    let left = stamp.state == StampState::Moved && Some(stamp.store) == store;
    Ok(left && !has_engine(&disk.list(home)?.unwrap_or_default()))
}

/// True for a home that this store has left, and where nothing lies but the stamp that says so, and what is ours beside it.
/// It is a place for the same store like an empty one.
///
/// # Errors
/// `Mismatch` naming what is not ours, `Invalid` inside the home of another store; `Corrupt`, `Io`.
pub(super) fn is_own_signpost(disk: &dyn Disk, home: &Path, store: Option<StoreId>) -> Result<bool> {
    let Some(stamp) = Stamp::read(disk, home)? else { return Ok(false) };
    if !is_signpost(disk, home, &stamp, store)? {
        return Ok(false);
    }
    let entries = disk.list(home)?.unwrap_or_default();
    if let Some(stranger) = strangers(&entries, &[]).first() {
        return Err(not_ours("swap", home, stranger));
    }
    // What is no file, and blobs, are judged by whoever looks at stores.
    let files = entries.iter().all(|entry| entry.kind == EntryKind::File && *entry.name != *CAS_DIR);
    if files {
        check_above(disk, home)?;
    }
    Ok(files)
}

/// The stamp of a home that a swap is filling or has left; `None` where there is none, or where an earlier swap of the same
/// store has left nothing else.
///
/// # Errors
/// `Mismatch` for a home that is a store, or of something else; `Corrupt`, `Io`.
pub(super) fn left_of(
    disk: &dyn Disk,
    home: &Path,
    id: SwapId,
    store: Option<StoreId>,
) -> Result<Option<Stamp>> {
    let Some(stamp) = disk.list(home)?.map(|_| Stamp::read(disk, home)).transpose()?.flatten() else {
        return Ok(None);
    };
    let refuse = |what| Err(Error::new(ErrorKind::Mismatch, "swap", what).with_path(home));
    if !matches!(stamp.state, StampState::Importing | StampState::Moved) {
        return refuse("this home is a store now; nothing was removed");
    }
    if stamp.swap.as_ref().is_none_or(|mark| mark.id != id) {
        if is_signpost(disk, home, &stamp, store)? {
            return Ok(None);
        }
        return refuse("this home belongs to something else than this swap now; nothing was removed");
    }
    Ok(Some(stamp))
}

/// Makes what a swap has left in a home one that says where the store is. The stamp there need not say it yet: a rollback may
/// have begun, or the store's home may have been renamed.
///
/// # Errors
/// `Io`, `Full`.
pub(super) fn put_up(disk: &dyn Disk, home: &Path, left: &Stamp, active: &Active) -> Result<()> {
    let (Some(own), Some(stamp), Some(mark)) = (&active.home, active.stamp(), left.swap.clone()) else {
        return Err(super::gone());
    };
    let mark = SwapMark {
        id: mark.id,
        state: SwapState::Flipped,
        engine: stamp.engine,
        engine_format: stamp.engine_format,
        epoch: stamp.epoch,
        // Where the store is now may have no name that a stamp can have.
        place: SwapPlace::home(own).unwrap_or(mark.place),
        follow_back: false,
    };
    let signpost = Stamp { state: StampState::Moved, swap: Some(mark), ..left.clone() };
    if signpost == *left { Ok(()) } else { signpost.write(disk, home) }
}

/// Says where a store is that was here.
pub(crate) fn moved(disk: &dyn Disk, home: &Path, stamp: &Stamp, kept: bool) -> Error {
    let to = match MovedTo::of(disk, stamp, kept) {
        Some(to) => to.home.display().to_string(),
        None => "a place that is not known".to_owned(),
    };
    let or = if kept {
        "the engine before is kept here until the swap is finished, and can be taken back if that place is lost".to_owned()
    } else {
        format!("for a new store here, remove the file {STAMP_FILE}")
    };
    let context = format!("the store that was here lives in {to} now; open that; {or}");
    Error::new(ErrorKind::Mismatch, "open", context).with_path(home).with_advice(Advice::FixPath)
}
