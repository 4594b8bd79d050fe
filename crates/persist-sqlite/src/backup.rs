//! Copies at one beat.

use std::path::Path;
use std::sync::Arc;

use persist_api::{BackupStat, Error, ErrorKind, Observer, Progress, Result};
use persist_io::{Disk, LOCK_FILE, RealDisk, absolute, create_dir_durably, lock_dir};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::core::Core;
use crate::error::during;
use crate::home;
use crate::view::SqliteView;

const OP: &str = "backup";
const PAGES_A_STEP: i32 = 256;

/// Writes a copy of the newest beat into `into`. Writers go on: the copy reads a view of its own.
pub(crate) fn backup(core: &Arc<Core>, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
    let into = absolute(OP, into)?;
    let occupied = |entry: &persist_io::Entry| entry.name != LOCK_FILE;
    let refuse_occupied = |lock_too: bool| {
        let entries = RealDisk.list(&into)?.unwrap_or_default();
        let any = entries.iter().any(|entry| lock_too || occupied(entry));
        if any { Err(Error::occupied(OP, &into)) } else { Ok(()) }
    };
    refuse_occupied(true)?;
    create_dir_durably(&RealDisk, &into)?;
    let lock = lock_dir(&RealDisk, &into)?;
    refuse_occupied(false)?;
    let view = SqliteView::open(core, None)?;
    let copied = copy(&view, &into.join(home::NEW), seen).and_then(|()| home::publish(&into));
    if let Err(error) = copied {
        // The error is what matters; leftovers are recognised by name.
        let _ = home::clear_unfinished(&into).and_then(|()| RealDisk.remove_file(&into.join(LOCK_FILE)));
        return Err(error);
    }
    drop(lock);
    Ok(BackupStat { beat: persist_api::View::header(&view).beat, bytes: home::size_of(&into)? })
}

fn copy(view: &SqliteView, path: &Path, seen: &dyn Observer) -> Result<()> {
    let fail = during(OP);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(path, flags).map_err(&fail)?;
    // Nothing of an unfinished copy is ever used, and `publish` syncs the finished one.
    target.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;").map_err(&fail)?;
    let run = Backup::new(view.conn()?, &mut target).map_err(&fail)?;
    let mut done = 0;
    loop {
        let step = run.step(PAGES_A_STEP).map_err(&fail)?;
        let pages = run.progress();
        let count = |pages: i32| u64::try_from(pages).unwrap_or(0);
        let total = count(pages.pagecount);
        done = total.saturating_sub(count(pages.remaining)).max(done);
        seen.step(OP, Progress { phase: "copy", done, total: Some(total), unit: "pages" })?;
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            other => {
                let what = format!("the copy stopped: {other:?}");
                return Err(Error::new(ErrorKind::Busy, OP, what));
            }
        }
    }
    drop(run);
    target.close().map_err(|(_, error)| fail(error))
}
