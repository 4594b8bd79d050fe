//! Holds: who wants the feed, and how far they came.

use std::fmt;
use std::sync::Arc;

use persist_api::{Caps, CommitNo, Engine, Error, ErrorKind, Result};

use super::lane::Change;
use super::record::{HEAD_LEN, read_head};
use super::state::Advance;
use super::table::{HOLDS_MAX, NAME_BYTES_MAX, RUNS_MAX, Row, Table};
use super::{Feed, HoldOptions};
use crate::Store;
use crate::group::{Failure, Pending, WhenFull, Work};
use crate::log::BeatLog;
use crate::observe::told;
use crate::shared::{Core, Running, Shared, Terms};
use crate::swap::HOLD_NAME;

/// A named, durable claim on the feed: every commit after its [position](Self::position) can be read. It is kept in the
/// store, so that dropping this handle changes nothing, and it is found again by its name after a reopening
/// ([`Store::hold`]).
pub struct Hold {
    shared: Arc<Shared>,
    name: Arc<str>,
    born: u64,
}

/// A hold and how far behind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldStat {
    /// Its name.
    pub name: String,
    /// Its reader needs every commit after this one.
    pub position: CommitNo,
    /// Commits after its position: its age.
    pub commits: u64,
    /// Bytes that are stored after its position, keys and values.
    pub bytes: u64,
    /// Its bounds.
    pub options: HoldOptions,
    /// True when it was left too far behind: nothing is stored for it any more.
    pub stale: bool,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Hold {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far its reader came: every commit after this one is kept for it.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub fn position(&self) -> Result<CommitNo> {
        self.stat().map(|stat| stat.position)
    }

    /// Where it stands and what it costs.
    ///
    /// # Errors
    /// `Stale` when it was released.
    pub fn stat(&self) -> Result<HoldStat> {
        let stats = self.shared.hold_stats(|row| row.born == self.born && row.name == self.name);
        told(stats.into_iter().next().ok_or_else(|| released(&self.name)))
    }

    /// The commits after its position.
    ///
    /// # Errors
    /// `Stale` when it is stale or was released; as [`Store::feed`].
    pub fn feed(&self) -> Result<Feed> {
        let stat = self.stat()?;
        if stat.stale {
            return told(Err(left_behind(&stat)));
        }
        told(Feed::open(&self.shared, stat.position))
    }

    /// Says that its reader is done with every commit up to this one. What nobody needs any more is freed by the beats that
    /// follow; until the next beat is durable, a crash brings the former position back, and the reader sees commits again.
    /// A number at or below the position changes nothing.
    ///
    /// # Errors
    /// `Invalid` for a commit that was not made yet; `Stale` when the hold is stale or was released; `Busy` beyond
    /// `limits.views_max`; `Closed`, `Corrupt`, `Io`.
    pub fn advance(&self, to: CommitNo) -> Result<()> {
        told(self.pass(to))
    }

    fn pass(&self, to: CommitNo) -> Result<()> {
        let stat = self.stat()?;
        if stat.stale {
            return Err(left_behind(&stat));
        }
        if to <= stat.position {
            return Ok(());
        }
        loop {
            let engines = self.shared.feed.lock().engines;
            // What a view shows counts, also while the feed does not tell of it yet.
            let read = |_: &_, running: &Running| {
                let view = running.engine.view()?;
                Ok((view.header().last_commit(), read_head(view.as_ref(), to.0)?))
            };
            let (last, head) = self.shared.with_running("advance", read)?;
            let Some(head) = head else {
                if to > last {
                    let context =
                        format!("hold {:?} cannot pass commit {to}: the newest is {last}", self.name);
                    return Err(Error::new(ErrorKind::Invalid, "advance", context));
                }
                // A commit that is kept for it is missing only when it has just gone stale, or another handle has passed it.
                return self.stat().and_then(|stat| check_passed(&stat, to));
            };
            let advance = Advance { born: self.born, position: to.0, bytes_at: head.totals.bytes };
            let mut state = self.shared.feed.lock();
            if state.engines != engines {
                // The sums of another engine are others.
                continue;
            }
            let furthest = state.advances.entry(Arc::clone(&self.name)).or_insert(advance);
            if furthest.born != advance.born || furthest.position < advance.position {
                *furthest = advance;
            }
            return Ok(());
        }
    }

    /// Makes what was [advanced](Self::advance) durable with a beat of its own: an empty commit.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn flush(&self) -> Result<()> {
        told(self.shared.commit_change(None))
    }

    /// Gives the hold up, with a beat of its own. What was kept for it alone is freed by that beat and those that follow.
    /// Releasing it a second time changes nothing.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn release(self) -> Result<()> {
        told(
            self.shared
                .commit_change(Some(Change::Release { name: Arc::clone(&self.name), born: self.born })),
        )
    }
}

fn check_passed(stat: &HoldStat, to: CommitNo) -> Result<()> {
    if stat.stale || stat.position < to { Err(left_behind(stat)) } else { Ok(()) }
}

fn released(name: &str) -> Error {
    let context = format!("hold {name:?} was released");
    Error::new(ErrorKind::Stale, "hold", context)
}

fn left_behind(stat: &HoldStat) -> Error {
    let HoldStat { name, position, options, .. } = stat;
    let context = format!(
        "hold {name:?} at commit {position} fell behind by more than {} bytes or {} commits, and what it needs was \
         given up. To start over: release it, take it anew, copy what a view shows, and follow from the new position",
        options.bytes_max, options.commits_max
    );
    Error::new(ErrorKind::Stale, "hold", context)
}

impl Shared {
    fn hold_stats(&self, wanted: impl Fn(&Row) -> bool) -> Vec<HoldStat> {
        let state = self.feed.lock();
        let last = state.last;
        let stat = |row: &Row| {
            let newer =
                state.advances.get(&row.name).filter(|advance| advance.born == row.born && !row.stale);
            let (position, bytes_at) =
                newer.map_or((row.position, row.bytes_at), |advance| (advance.position, advance.bytes_at));
            HoldStat {
                name: row.name.to_string(),
                position: CommitNo(position),
                commits: last.0.saturating_sub(position),
                bytes: if row.stale { 0 } else { state.table.totals.bytes.saturating_sub(bytes_at) },
                options: row.options,
                stale: row.stale,
            }
        };
        state.table.rows.iter().filter(|row| wanted(row)).map(stat).collect()
    }

    /// Makes a beat that changes the holds, at the best durability that there is.
    pub(super) fn commit_change(self: &Arc<Self>, change: Option<Change>) -> Result<()> {
        let active = self.active();
        let durability = active.terms.grant.session.durability;
        let work = Work { change, ..Work::new(BeatLog::new(), durability, active.epoch) };
        let entry = self.0.enqueue(work, WhenFull::Wait).map_err(|refused| refused.1)?;
        match Pending::new(Arc::clone(self), entry).outcome() {
            Ok(_) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Conflict(conflict)) => Err(conflict.into()),
        }
    }
}

impl Store {
    /// Takes a hold on the feed, by its name. A new one begins at a beat of its own, with an empty commit: every commit
    /// after that one is kept, until the hold has passed it. One that is there already is found again, where it was left;
    /// it gets these bounds. Durable, as far as the store is, when this returns.
    ///
    /// ```
    /// # use persist_api::{Durability, OpenOptions};
    /// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
    /// # let disk = std::sync::Arc::new(persist_io::RealDisk);
    /// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default())?;
    /// # let (mut writer, store) = opened.negotiate(&persist_store::volatile_request())?;
    /// let hold = store.hold("mirror", persist_store::HoldOptions::default())?;
    /// let mut log = persist_store::BeatLog::new();
    /// log.put(b"key", b"value")?;
    /// store.commit(log.clone(), Durability::Durable)?.wait()?;
    ///
    /// let mut feed = hold.feed()?;
    /// while let Some(commit) = feed.pull()? {
    ///     assert_eq!(commit.log, log);
    ///     hold.advance(commit.commit)?;
    /// }
    /// # Ok::<(), persist_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Corrupt` or `Refused` when it is not known who holds ([`forget_holds`](Self::forget_holds)).
    /// `Stale` when it is there and was left too far behind: release it ([`find_hold`](Self::find_hold)) and start over.
    /// `Invalid` for a name that is empty, longer than 64 bytes or has control characters, and for `persist.swap`, which
    /// belongs to swaps; `Unsupported` without SNAPSHOT,
    /// and where the engine's values are too small for the feed; `Full` beyond 16 holds; as [`commit`](Self::commit).
    pub fn hold(&self, name: &str, options: HoldOptions) -> Result<Hold> {
        if name == HOLD_NAME {
            let context = format!("{name:?} is the hold of swaps");
            return told(Err(Error::new(ErrorKind::Invalid, "hold", context)));
        }
        told(self.keep(name, options))
    }

    /// As [`hold`](Self::hold), for any name.
    pub(crate) fn keep(&self, name: &str, options: HoldOptions) -> Result<Hold> {
        check_terms(&self.0.active().terms)?;
        check_name(name)?;
        let found = self.holds()?.into_iter().find(|stat| stat.name == name);
        match found {
            Some(stat) if stat.stale => return Err(left_behind(&stat)),
            Some(stat) if stat.options == options => {}
            _ => self.0.commit_change(Some(Change::Keep { name: name.into(), options }))?,
        }
        match self.find_hold(name)? {
            Some(hold) => {
                hold.stat().and_then(|stat| if stat.stale { Err(left_behind(&stat)) } else { Ok(hold) })
            }
            None => Err(no_room(&self.0.feed.lock().table, name)),
        }
    }

    /// A hold that is there, also a stale one.
    ///
    /// # Errors
    /// `Corrupt`, or `Refused` without a key of encryption, when the table of holds cannot be read: see
    /// [`forget_holds`](Self::forget_holds).
    pub fn find_hold(&self, name: &str) -> Result<Option<Hold>> {
        self.0.feed.check_known("find_hold")?;
        let born = self.0.feed.lock().table.row(name).map(|row| row.born);
        Ok(born.map(|born| Hold { shared: Arc::clone(&self.0), name: name.into(), born }))
    }

    /// All holds, by the order in which they were made.
    ///
    /// # Errors
    /// As [`find_hold`](Self::find_hold).
    pub fn holds(&self) -> Result<Vec<HoldStat>> {
        self.0.feed.check_known("holds")?;
        Ok(self.0.hold_stats(|_| true))
    }
}

impl Core {
    /// Checks that there is a hold of this name or room for it, before anything is made to depend on that. A stale one counts as
    /// released, so that its place is free.
    ///
    /// # Errors
    /// As [`Store::hold`], but never `Stale`.
    pub(crate) fn check_hold(&self, name: &str) -> Result<()> {
        let active = self.active();
        check_terms(&active.terms)?;
        self.feed.check_known("hold")?;
        let mut table = self.feed.lock().table.clone();
        table.rows.retain(|row| *row.name != *name || !row.stale);
        let is_there = table.row(name).is_some();
        if is_there || table.has_room(name, active.terms.limits().value_bytes_max) {
            return Ok(());
        }
        Err(no_room(&table, name))
    }
}

/// Checks that a session can have holds at all.
fn check_terms(terms: &Terms) -> Result<()> {
    terms.need("hold", Caps::SNAPSHOT)?;
    if terms.limits().value_bytes_max < HEAD_LEN as u64 {
        let context = format!("the feed needs values of at least {HEAD_LEN} bytes");
        return Err(Error::new(ErrorKind::Unsupported, "hold", context));
    }
    Ok(())
}

/// Why a hold is not made.
fn no_room(table: &Table, name: &str) -> Error {
    let context = if table.rows.len() >= HOLDS_MAX {
        format!(
            "there is no room for hold {name:?}: {HOLDS_MAX} holds are as many as there may be; release one"
        )
    } else if table.runs.len() >= RUNS_MAX {
        format!(
            "hold {name:?}: too much of what earlier holds left is still to be freed; each beat frees some"
        )
    } else {
        format!("hold {name:?} was released at once, or the engine's values are too small for one more")
    };
    Error::new(ErrorKind::Full, "hold", context)
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let context =
            format!("{name:?} cannot name a hold: 1 to {NAME_BYTES_MAX} bytes, no control characters");
        return Err(Error::new(ErrorKind::Invalid, "hold", context));
    }
    Ok(())
}
