//! The parent's side: starts children of the running executable and hears what they say.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::check::Question;
use super::child::{BEATS_ENV, CHILD_ENV, HOME_ENV, PROFILE_ENV, SEED_ENV};
use super::plan::Profile;
use super::report::CrashError;
use super::words::Word;

/// How long a child may be silent. Generous: it only ends a run that hangs.
pub(crate) const SILENCE: Duration = Duration::from_secs(100);

/// How the running executable is started again so that it reaches
/// [`child_main_if_asked`](super::child_main_if_asked).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reentry {
    args: Vec<OsString>,
}

impl Reentry {
    /// An executable whose `main` calls the hook first.
    #[must_use]
    pub fn main() -> Self {
        Self { args: Vec::new() }
    }

    /// An executable that reaches the hook when given these arguments.
    pub fn args(args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { args: args.into_iter().map(Into::into).collect() }
    }

    /// A test binary of libtest, whose `#[test]` at this path (as `module_path!()` and the name, crate included) calls
    /// the hook and does nothing else.
    #[must_use]
    pub fn test(path: &str) -> Self {
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        Self::args(["--exact", name, "--nocapture", "--test-threads=1"])
    }

    /// The command line of the child, after an optional wrapper such as a tracer.
    pub(crate) fn command(&self, wrapper: &[OsString]) -> Result<Command, CrashError> {
        let own =
            std::env::current_exe().map_err(|source| CrashError::io("the running executable", source))?;
        let mut words =
            wrapper.iter().cloned().chain([own.into_os_string()]).chain(self.args.iter().cloned());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        Ok(command)
    }
}

/// What a child is asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) mode: &'static str,
    pub(crate) home: &'a Path,
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    pub(crate) beats: u64,
}

/// A running child. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    words: Receiver<Word>,
    errors: File,
}

impl Running {
    pub(crate) fn start(mut command: Command, order: Order<'_>) -> Result<Self, CrashError> {
        let errors = tempfile::tempfile().map_err(|source| CrashError::io("a temporary file", source))?;
        let stderr = errors.try_clone().map_err(|source| CrashError::io("a temporary file", source))?;
        command
            .env(CHILD_ENV, order.mode)
            .env(HOME_ENV, order.home)
            .env(SEED_ENV, order.seed.to_string())
            .env(PROFILE_ENV, order.profile.name())
            .env(BEATS_ENV, order.beats.to_string())
            .stdin(if order.mode == "work" { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::from(stderr));
        let what = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|source| CrashError::Start { what, source })?;
        let (sender, words) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    if Word::parse(&line).is_some_and(|word| sender.send(word).is_err()) {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, words, errors })
    }

    /// The next word, or `None` when the child has ended.
    pub(crate) fn hear(&mut self) -> Result<Option<Word>, CrashError> {
        match self.words.recv_timeout(SILENCE) {
            Ok(word) => Ok(Some(word)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                Err(CrashError::Silent { seconds: SILENCE.as_secs(), said: self.complaints() })
            }
        }
    }

    /// Listens until `deadline` and hands on what is heard; true when the child ended by itself.
    pub(crate) fn hear_until(&mut self, deadline: Instant, heard: &mut dyn FnMut(Word)) -> bool {
        loop {
            match self.words.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(word) => heard(word),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Kills the child with SIGKILL and hands on what it had still said.
    pub(crate) fn kill(mut self, heard: &mut dyn FnMut(Word)) -> Result<(), CrashError> {
        // It may have ended in between; that is no failure.
        let _ = self.child.kill();
        while let Some(word) = self.hear()? {
            heard(word);
        }
        self.child.wait().map(drop).map_err(|source| CrashError::io("the child", source))
    }

    /// Waits for the end of a child that has nothing more to say.
    pub(crate) fn finish(mut self) -> Result<(ExitStatus, String), CrashError> {
        drop(self.child.stdin.take());
        while self.hear()?.is_some() {}
        let status = self.child.wait().map_err(|source| CrashError::io("the child", source))?;
        let complaints = self.complaints();
        Ok((status, complaints))
    }

    /// Lets a child of mode `paced` go on after a word.
    pub(crate) fn go_on(&mut self) {
        // One that is gone says no more, and that is noticed.
        let _ = self.child.stdin.as_mut().map(|stdin| stdin.write_all(b"\n"));
    }

    /// The end of what the child wrote to standard error.
    pub(crate) fn complaints(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.errors.rewind().and_then(|()| self.errors.read_to_end(&mut bytes).map(drop));
        let from = bytes.len().saturating_sub(1000);
        match read {
            Ok(()) => String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).trim().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn stdin(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was found out about a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Right in every respect; it shows this beat.
    Fine(u64),
    /// It did not open, with a typed error.
    Refused(String),
    /// It breaks a clause.
    Bad { clause: String, what: String },
}

/// The clause that is broken, and how.
pub(crate) type Broken = Option<(String, String)>;

/// The store was never open: what is there is what a creation left, and the next one must come through.
pub(crate) fn unfinished(why: &str) -> (String, String) {
    ("O-2".to_owned(), format!("what an unfinished creation left does not open: {why}"))
}

impl Verdict {
    /// What is broken, where the store had been open before the crash, or had not.
    pub(crate) fn broken(self, created: bool) -> Broken {
        match self {
            Self::Fine(_) => None,
            Self::Refused(why) if !created => Some(unfinished(&why)),
            Self::Refused(why) => Some(("D-1".to_owned(), format!("does not open: {why}"))),
            Self::Bad { clause, what } => Some((clause, what)),
        }
    }
}

/// Examines homes in a child, and starts another when one dies over it.
pub(crate) struct Examiner<'r> {
    reentry: &'r Reentry,
    seed: u64,
    profile: Profile,
    running: Option<Running>,
}

impl<'r> Examiner<'r> {
    pub(crate) fn new(reentry: &'r Reentry, seed: u64, profile: Profile) -> Self {
        Self { reentry, seed, profile, running: None }
    }

    pub(crate) fn ask(&mut self, question: &Question) -> Result<Verdict, CrashError> {
        let mut running = self.running.take().map_or_else(|| self.start(question), Ok)?;
        let asked = running.stdin().map(|stdin| stdin.write_all(question.line().as_bytes()));
        if !matches!(asked, Some(Ok(()))) {
            let (status, said) = running.finish()?;
            return Err(CrashError::Lost { status: status.to_string(), said });
        }
        if let Some(word) = running.hear()? {
            self.running = Some(running);
            return verdict(word);
        }
        let (status, said) = running.finish()?;
        if status.success() {
            return Err(CrashError::Lost { status: status.to_string(), said });
        }
        let what = format!("opening it ended the process ({status}): {said}");
        Ok(Verdict::Bad { clause: "L-3".to_owned(), what })
    }

    fn start(&self, question: &Question) -> Result<Running, CrashError> {
        let order =
            Order { mode: "check", home: &question.home, seed: self.seed, profile: self.profile, beats: 0 };
        Running::start(self.reentry.command(&[])?, order)
    }
}

fn verdict(word: Word) -> Result<Verdict, CrashError> {
    match word {
        Word::Fine(beat) => Ok(Verdict::Fine(beat)),
        Word::Refused(why) => Ok(Verdict::Refused(why)),
        Word::Bad(clause, what) => Ok(Verdict::Bad { clause, what }),
        other => Err(CrashError::Lost { status: format!("{other:?}"), said: String::new() }),
    }
}
