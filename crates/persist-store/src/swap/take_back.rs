//! Taking back the engine that a swap between homes has kept, where the home is lost to which the store went.

use std::path::Path;

use persist_api::{Advice, Error, ErrorKind, Result};
use persist_io::{Disk, absolute, lock_dir};

use crate::home::{check_lock, engine_dir, has_engine};
use crate::stamp::{Stamp, StampState};

const OP: &str = "take_back";

/// Makes the engine that a swap to another home has kept in `home` the store again, for when that other home is lost. What was
/// committed since the flip is lost, and `accept_loss` says that this is known. The store is then as it was at the flip, and
/// of no swap; what it keeps for one is given up by the next opening. One replacement of the stamp decides. Gives the new
/// stamp.
///
/// Should the other home be found after that, it is the same store with another history: it must not be used beside this
/// one.
///
/// # Errors
/// Before anything is changed: `Invalid` where no store has left or nothing of it is kept, and without `accept_loss`;
/// `Conflict` when the other home can be read, or may be another time: go back from there by
/// [`Store::rollback_swap`](crate::Store::rollback_swap). `Locked` when somebody else has `home`; `Corrupt`, `Mismatch`, `Io`, `Full`.
pub fn take_back(disk: &dyn Disk, home: &Path, accept_loss: bool) -> Result<Stamp> {
    let home = absolute(OP, home)?;
    kept(disk, &home, accept_loss)?;
    let _lock = lock_dir(disk, &home)?;
    // Whoever held the lock until now may have changed everything, and the other home may be there again.
    let kept = kept(disk, &home, accept_loss)?;
    let stamp = Stamp { state: StampState::Ready, swap: None, ..kept };
    stamp.write(disk, &home)?;
    Ok(stamp)
}

/// The stamp of a home whose store may be taken back.
fn kept(disk: &dyn Disk, home: &Path, accept_loss: bool) -> Result<Stamp> {
    let refuse = |kind, what: String| {
        let error = Error::new(kind, OP, what).with_path(home);
        Err(if kind == ErrorKind::Conflict { error.with_advice(Advice::FixCode) } else { error })
    };
    let stamp = Stamp::read(disk, home)?;
    if stamp.as_ref().is_some_and(Stamp::is_arriving) {
        let what = "what lies here is no whole store: a swap or rollback into this home was not finished";
        return refuse(ErrorKind::Invalid, what.to_owned());
    }
    let left = stamp.filter(|stamp| stamp.state == StampState::Moved);
    let to = left.as_ref().and_then(|stamp| stamp.swap.as_ref()?.place.as_home());
    let (Some(stamp), Some(to)) = (&left, to) else {
        return refuse(ErrorKind::Invalid, "no swap has moved a store out of this home".to_owned());
    };
    check_lock(&disk.list(home)?.unwrap_or_default(), home)?;
    if disk.list(&engine_dir(home, stamp.epoch))?.is_none() {
        let to = to.display();
        let what = format!("nothing is kept here: the swap of the store that lives in {to} was finished");
        return refuse(ErrorKind::Invalid, what);
    }
    if let Some(why) = not_lost(disk, stamp, to) {
        let to = to.display();
        let what = format!(
            "{to} is not lost: {why}; open that and roll the swap back, or move that directory away if it is lost all the same"
        );
        return refuse(ErrorKind::Conflict, what);
    }
    if !accept_loss {
        let to = to.display();
        let what =
            format!("what was committed after the swap to {to} is lost by this, which must be accepted");
        return refuse(ErrorKind::Invalid, what);
    }
    Ok(stamp.clone())
}

/// Why a home to which a store went cannot be called lost; `None` where nothing of the store is there, or nothing can be read.
fn not_lost(disk: &dyn Disk, stamp: &Stamp, to: &Path) -> Option<String> {
    match Stamp::read(disk, to) {
        Ok(Some(there)) if there.store == stamp.store => Some("it can be read".to_owned()),
        // Another store has its place.
        Ok(Some(_)) => None,
        Ok(None) => {
            let there = disk.list(to).ok().flatten().unwrap_or_default();
            has_engine(&there).then(|| "an engine lies there, without its stamp".to_owned())
        }
        Err(error) if error.kind() == ErrorKind::Io && !is_denied(&error) => None,
        // A damaged stamp can be put right, and another user may read what this one may not.
        Err(error) => Some(error.to_string()),
    }
}

fn is_denied(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
}
