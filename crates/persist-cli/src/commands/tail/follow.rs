//! `persist tail --follow`: what is there is read, the store is left, and only then is it printed. Whoever reads slowly keeps
//! nobody waiting.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use persist::{Error, ErrorKind};
use persist_api::Quiet;
use serde::Serialize;

use super::Args;
use super::lookout::Lookout;
use super::reader::Reader;
use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::watch::Watch;

/// Whoever keeps the store so long is named.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Follows until Ctrl-C, which is the usual end.
pub(super) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(true);
    let mut reader = Reader::new(args);
    let mut lookout = Lookout::new(Duration::from_millis(args.every));
    let mut waiting = Waiting::default();
    loop {
        let began = Instant::now();
        let read = home::with(global, &watch, |_, store| {
            lookout.opened(store.home());
            reader.settle(store)?;
            reader.read(store)
        });
        let printed = read.and_then(|batch| {
            lookout.left(began.elapsed());
            waiting.ended();
            reader.print(&batch, out)?;
            Ok(batch.more)
        });
        match printed {
            Ok(true) => continue,
            Ok(false) => {}
            // Somebody is at work: that is what is waited for.
            Err(Failure::Error(error)) if error.kind() == ErrorKind::Locked => waiting.met(&error, global),
            Err(Failure::Error(error)) if error.kind() == ErrorKind::Cancelled => break,
            Err(failure) => return Err(failure),
        }
        if !lookout.wait(reader.owes()) {
            break;
        }
    }
    leave(&mut reader, global)
}

/// Moves the hold past what was printed last.
fn leave(reader: &mut Reader<'_>, global: &Global) -> Result<()> {
    if !reader.owes() {
        return Ok(());
    }
    let printed = reader.printed();
    match home::with(global, &Quiet, |_, store| reader.settle(store)) {
        Err(Failure::Error(error)) if error.kind() == ErrorKind::Locked => {
            let what = format!(
                "{}: the hold stays where it was, and commits up to {printed} come again",
                error.context()
            );
            tell(&what, &error, global);
            Ok(())
        }
        done => done,
    }
}

/// Who has the store all the time.
#[derive(Default)]
struct Waiting {
    met: Option<(String, Instant)>,
    told: Option<String>,
}

impl Waiting {
    /// Says who it is, once; whoever is gone soon is not worth a line.
    fn met(&mut self, error: &Error, global: &Global) {
        let who = error.context();
        let (_, since) = match self.met.take().filter(|(met, _)| met == who) {
            Some(met) => self.met.insert(met),
            None => self.met.insert((who.to_owned(), Instant::now())),
        };
        if since.elapsed() >= TOLD_AFTER && self.told.as_deref() != Some(who) {
            tell(&format!("waiting, the store is {who}"), error, global);
            self.told = Some(who.to_owned());
        }
    }

    fn ended(&mut self) {
        *self = Self::default();
    }
}

#[derive(Serialize)]
struct NoteJson<'n> {
    note: NoteDetail<'n>,
}

#[derive(Serialize)]
struct NoteDetail<'n> {
    kind: &'static str,
    message: &'n str,
    path: Option<String>,
}

/// Says on standard error what is no failure.
fn tell(message: &str, error: &Error, global: &Global) {
    if global.quiet {
        return;
    }
    let path = error.path().map(|path| path.display().to_string());
    let note = NoteDetail { kind: error.kind().name(), message, path };
    let json = if global.json { serde_json::to_string(&NoteJson { note }).ok() } else { None };
    // Who closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{}", json.unwrap_or_else(|| format!("persist: {message}")));
}
