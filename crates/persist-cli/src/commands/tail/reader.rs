//! Commit after commit, a batch at a time, and the hold that follows.

use persist::{Advice, CommitNo, Error, ErrorKind, FeedCommit, Hold, HoldOptions, Store};

use super::Args;
use super::print::print;
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::watch::Watch;

/// Commits and, about, bytes of a batch. One commit may be larger.
const BATCH_COMMITS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;

/// Who reads the commits of a store. It outlives the opening of the store.
pub(super) struct Reader<'a> {
    args: &'a Args,
    /// What was printed last, or where `--after` begins.
    after: Option<CommitNo>,
    /// The hold is to be moved past that.
    owes: bool,
}

/// Commits that were read and not printed yet.
pub(super) struct Batch {
    commits: Vec<FeedCommit>,
    /// There may be more at once.
    pub(super) more: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        Self { args, after: args.after.map(CommitNo), owes: false }
    }

    /// True while the hold is to be moved past what was printed.
    pub(super) const fn owes(&self) -> bool {
        self.owes
    }

    /// What was printed last.
    pub(super) fn printed(&self) -> CommitNo {
        self.after.unwrap_or_default()
    }

    /// The commits that come next, as many as go into memory.
    pub(super) fn read(&mut self, store: &Store) -> Result<Batch> {
        let start = match &self.args.hold {
            Some(name) => self.start_of_hold(name, store)?,
            None => self.start(store)?,
        };
        let mut feed = store.feed(start).or_else(|error| Err(not_kept(error, start, store)?))?;
        let (mut commits, mut bytes) = (Vec::new(), 0_usize);
        let more = loop {
            match feed.pull() {
                Ok(None) => break false,
                Ok(Some(commit)) => {
                    bytes = bytes.saturating_add(commit.log.canonical_bytes().len());
                    commits.push(commit);
                }
                // What comes before it is right, and printed first. The next batch meets it again.
                Err(_) if !commits.is_empty() => break true,
                Err(error) => return Err(error.into()),
            }
            if bytes >= BATCH_BYTES || commits.len() >= BATCH_COMMITS {
                break true;
            }
        };
        Ok(Batch { commits, more })
    }

    /// Prints a batch, and notes how far it came, also when it is stopped half way.
    pub(super) fn print(&mut self, batch: &Batch, out: &mut Out) -> Result<()> {
        let (mut reached, mut news) = (None, false);
        let done = batch.commits.iter().try_for_each(|commit| {
            Watch::check("tail")?;
            print(commit, self.args.hex, out)?;
            reached = Some(commit.commit);
            news |= !commit.log.is_empty();
            Ok(())
        });
        // Only what reached its reader is passed. An empty commit alone is no news: the next look would find this one's.
        out.flush()?;
        self.after = reached.or(self.after);
        self.owes |= news && self.args.hold.is_some();
        done
    }

    /// Moves the hold past what was printed, durably, if it lies before that.
    pub(super) fn settle(&mut self, store: &Store) -> Result<()> {
        if !std::mem::take(&mut self.owes) {
            return Ok(());
        }
        let hold = self.args.hold.as_deref().map(|name| store.find_hold(name)).transpose()?.flatten();
        let (Some(hold), Some(to)) = (hold, self.known(store)?) else { return Ok(()) };
        let stat = hold.stat()?;
        if !stat.stale && stat.position < to {
            hold.advance(to)?;
            hold.flush()?;
        }
        Ok(())
    }

    /// Gives the hold up.
    pub(super) fn release(&self, store: &Store) -> Result<()> {
        let hold = self.args.hold.as_deref().map(|name| store.find_hold(name)).transpose()?.flatten();
        Ok(hold.map_or(Ok(()), Hold::release)?)
    }

    /// What was printed last. A number that the store does not have yet is that of another one, which was here before.
    fn known(&self, store: &Store) -> Result<Option<CommitNo>> {
        let newest = store.stats()?.commit;
        Ok(self.after.filter(|after| *after <= newest))
    }

    /// Where the hold was left, or what was printed since.
    fn start_of_hold(&self, name: &str, store: &Store) -> Result<CommitNo> {
        let found = store.find_hold(name)?;
        let stat = found.as_ref().map(Hold::stat).transpose()?;
        if let (Some(hold), true) = (found, stat.as_ref().is_some_and(|stat| stat.stale)) {
            if self.args.release {
                hold.release()?;
            }
            return Err(left_behind(name, self.args.release).into());
        }
        if self.args.release && stat.is_none() {
            return Err(no_such_hold(name, store)?.into());
        }
        let hold = store.hold(name, stat.map_or_else(HoldOptions::default, |stat| stat.options))?;
        Ok(hold.position()?.max(self.known(store)?.unwrap_or_default()))
    }

    /// Without a hold: all that anybody's holds keep, and none of them is moved.
    fn start(&mut self, store: &Store) -> Result<CommitNo> {
        let holds = store.holds()?;
        let oldest = || holds.iter().filter(|hold| !hold.stale).map(|hold| hold.position).min();
        let start = self.after.or_else(oldest).ok_or_else(nobody_holds)?;
        let newest = store.stats()?.commit;
        if start > newest && !self.args.follow {
            let context = format!("the newest commit is {newest}; --follow waits for those after {start}");
            return Err(Error::new(ErrorKind::Invalid, "tail", context).into());
        }
        self.after = Some(start);
        Ok(start)
    }
}

/// To give up what is not there is a slip of the pen: what was meant goes on keeping every commit.
fn no_such_hold(name: &str, store: &Store) -> Result<Error, Error> {
    let names: Vec<_> = store.holds()?.into_iter().map(|hold| hold.name).collect();
    let near = persist_api::nearest(name, names.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let there = if names.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    let context = format!("there is no hold {name} to give up{near} ({there})");
    Ok(Error::new(ErrorKind::Invalid, "tail", context))
}

fn nobody_holds() -> Error {
    let context =
        "nobody holds the feed of this store, so no commit is kept: `persist tail --hold NAME` begins";
    Error::new(ErrorKind::Stale, "tail", context).with_advice(Advice::FixCode)
}

fn left_behind(name: &str, released: bool) -> Error {
    let then = "`persist tail --hold NAME` takes one anew; begin with what `persist scan` shows";
    let what = if released { "it is given up now" } else { "`--release` gives it up" };
    let context = format!(
        "the hold {name} fell too far behind, and what it needs is not kept any more: {what}, {then}"
    );
    Error::new(ErrorKind::Stale, "tail", context).with_advice(Advice::FixCode)
}

/// What a commit that is not kept means to somebody who follows.
fn not_kept(error: Error, after: CommitNo, store: &Store) -> Result<Error, Error> {
    if error.kind() != ErrorKind::Stale {
        return Ok(error);
    }
    let context = format!(
        "commit {} is not kept, {}: go on from there with --after, or `persist tail --hold NAME` keeps what comes",
        after.0.saturating_add(1),
        home::kept_from(store)?
    );
    Ok(Error::new(ErrorKind::Stale, "tail", context).with_advice(Advice::FixCode))
}
