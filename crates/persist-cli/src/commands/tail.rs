//! `persist tail`: commits as they come.

use std::ops::Bound;
use std::thread;
use std::time::{Duration, Instant};

use persist::{Advice, CommitNo, Error, ErrorKind, FeedCommit, Hold, HoldOptions, Op, Store};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::text::{hex, printable, show};
use crate::watch::Watch;

/// How long Ctrl-C may have to wait.
const SLICE: Duration = Duration::from_millis(50);

/// What to print. Commits are kept from the first `--hold` on; without one there is nothing to print.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Only commits after this number; without it, all that holds keep
    #[arg(long, value_name = "COMMIT", conflicts_with = "hold")]
    after: Option<u64>,
    /// Go on from where the hold of this name was left, and move it past what was printed; it is made if it is not there
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
    /// Give the hold up when all is printed
    #[arg(long, requires = "hold", conflicts_with = "follow")]
    release: bool,
    /// Give up all holds where their table cannot be read, and print nothing: every reader then has to start over
    #[arg(long, conflicts_with_all = ["after", "hold", "follow"])]
    forget_holds: bool,
    /// Go on until Ctrl-C: look again and again, and leave the store to others in between
    #[arg(long, short)]
    follow: bool,
    /// How long to leave it to them, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, requires = "follow")]
    every: u64,
    /// Print keys and values as hexadecimal
    #[arg(long)]
    hex: bool,
}

#[derive(Serialize)]
struct CommitJson<'c> {
    commit: String,
    beat: String,
    beat_commits: u64,
    durability: &'static str,
    beat_root: Option<String>,
    operations: Vec<OpJson<'c>>,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum OpJson<'c> {
    Put { key: Option<&'c str>, key_hex: String, value: Option<&'c str>, value_hex: String },
    Delete { key: Option<&'c str>, key_hex: String },
    DeleteRange { from: BoundJson, to: BoundJson },
}

#[derive(Serialize)]
struct BoundJson {
    bound: &'static str,
    key_hex: Option<String>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    out.needs_reader();
    let watch = Watch::new(true);
    let mut after = args.after.map(CommitNo);
    loop {
        let looked = home::with(global, &watch, |_, store| look(args, store, &mut after, out));
        // What was printed is shown before it is waited for more.
        let flushed = out.flush();
        match looked {
            // Somebody is at work: that is what is waited for.
            Err(Failure::Error(error)) if args.follow && error.kind() == ErrorKind::Locked => flushed?,
            // Ctrl-C is how following ends.
            Err(Failure::Error(error)) if args.follow && error.kind() == ErrorKind::Cancelled => {
                return Ok(());
            }
            looked => looked.and(flushed)?,
        }
        if !args.follow || !paused(Duration::from_millis(args.every)) {
            return Ok(());
        }
    }
}

/// Waits. False when the user asked to stop.
fn paused(time: Duration) -> bool {
    let start = Instant::now();
    loop {
        if Watch::check("tail").is_err() {
            return false;
        }
        let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
            return true;
        };
        thread::sleep(left.min(SLICE));
    }
}

/// Prints what is there, and notes how far it came.
fn look(args: &Args, store: &Store, after: &mut Option<CommitNo>, out: &mut Out) -> Result<()> {
    if args.forget_holds {
        return Ok(store.forget_holds()?);
    }
    let Some(name) = &args.hold else { return look_without_hold(args, store, after, out) };
    let found = store.find_hold(name)?;
    let stat = found.as_ref().map(Hold::stat).transpose()?;
    if let (Some(hold), true) = (found, stat.as_ref().is_some_and(|stat| stat.stale)) {
        if args.release {
            hold.release()?;
        }
        return Err(left_behind(name, args.release).into());
    }
    let hold = store.hold(name, stat.map_or_else(HoldOptions::default, |stat| stat.options))?;
    let done = pass(args, store, &hold, after, out);
    if args.release && done.is_ok() {
        return Ok(hold.release()?);
    }
    done
}

/// Prints what anybody's holds keep, and moves none of them.
fn look_without_hold(args: &Args, store: &Store, after: &mut Option<CommitNo>, out: &mut Out) -> Result<()> {
    let holds = store.holds()?;
    let oldest = || holds.iter().filter(|hold| !hold.stale).map(|hold| hold.position).min();
    let start = after.or_else(oldest).ok_or_else(nobody_holds)?;
    let newest = store.stats()?.commit;
    if start > newest && !args.follow {
        let context = format!("the newest commit is {newest}; --follow waits for those after {start}");
        return Err(Error::new(ErrorKind::Invalid, "tail", context).into());
    }
    *after = Some(start);
    let mut feed = store.feed(start).or_else(|error| Err(not_kept(error, start, store)?))?;
    while let Some(commit) = feed.pull()? {
        Watch::check("tail")?;
        print(args, &commit, out)?;
        *after = Some(commit.commit);
    }
    Ok(())
}

/// Prints what the hold keeps and no look before has printed, and moves it past that, also when it is stopped half way.
fn pass(
    args: &Args,
    store: &Store,
    hold: &Hold,
    printed: &mut Option<CommitNo>,
    out: &mut Out,
) -> Result<()> {
    // A number that the store does not have yet is that of another store, which was here before.
    let newest = store.stats()?.commit;
    let start = hold.position()?.max(printed.filter(|printed| *printed <= newest).unwrap_or_default());
    let mut feed = store.feed(start)?;
    let mut news = false;
    let done = loop {
        match feed.pull()? {
            None => break Ok(()),
            Some(commit) => {
                let done =
                    Watch::check("tail").map_err(Failure::from).and_then(|()| print(args, &commit, out));
                if let Err(failure) = done {
                    break Err(failure);
                }
                *printed = Some(commit.commit);
                news |= !commit.log.is_empty();
                hold.advance(commit.commit)?;
            }
        }
    };
    // Only what reached its reader is passed. An empty commit alone is no news: the next look would find this one's.
    out.flush()?;
    if news && !args.release {
        hold.flush()?;
    }
    done
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

fn print(args: &Args, commit: &FeedCommit, out: &mut Out) -> Result<()> {
    let header = &commit.header;
    if out.is_json() {
        return out.object(&CommitJson {
            commit: commit.commit.to_string(),
            beat: header.beat.to_string(),
            beat_commits: header.commits,
            durability: header.durability.name(),
            beat_root: header.root.map(|root| hex(&root)),
            operations: commit.log.ops().map(op_json).collect(),
        });
    }
    let operations = commit.log.len();
    let plural = if operations == 1 { "" } else { "s" };
    out.line(format_args!("commit {}, beat {}: {operations} operation{plural}", commit.commit, header.beat))?;
    for op in commit.log.ops() {
        match op {
            Op::Put { key, value } => {
                out.line(format_args!("  put\t{}\t{}", show(key, args.hex), show(value, args.hex)))?;
            }
            Op::Delete { key } => out.line(format_args!("  delete\t{}", show(key, args.hex)))?,
            Op::DeleteRange { range } => {
                let start = match range.start() {
                    Bound::Unbounded => "from the first".to_owned(),
                    Bound::Included(key) => format!("from {}", show(key, args.hex)),
                    Bound::Excluded(key) => format!("after {}", show(key, args.hex)),
                };
                let end = match range.end() {
                    Bound::Unbounded => "to the last".to_owned(),
                    Bound::Included(key) => format!("to {}", show(key, args.hex)),
                    Bound::Excluded(key) => format!("before {}", show(key, args.hex)),
                };
                out.line(format_args!("  delete range\t{start}\t{end}"))?;
            }
        }
    }
    Ok(())
}

fn op_json(op: Op<'_>) -> OpJson<'_> {
    match op {
        Op::Put { key, value } => {
            let (text, key_hex) = (printable(key), hex(key));
            OpJson::Put { key: text, key_hex, value: printable(value), value_hex: hex(value) }
        }
        Op::Delete { key } => OpJson::Delete { key: printable(key), key_hex: hex(key) },
        Op::DeleteRange { range } => {
            let bound = |bound: Bound<&[u8]>| match bound {
                Bound::Unbounded => BoundJson { bound: "none", key_hex: None },
                Bound::Included(key) => BoundJson { bound: "included", key_hex: Some(hex(key)) },
                Bound::Excluded(key) => BoundJson { bound: "excluded", key_hex: Some(hex(key)) },
            };
            OpJson::DeleteRange { from: bound(range.start()), to: bound(range.end()) }
        }
    }
}
