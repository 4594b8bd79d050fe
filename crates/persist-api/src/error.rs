//! One error type for the whole substrate: what went wrong, where, and what the caller can do about it.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::BeatNo;

/// Shorthand for results of this crate's verbs.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A kind exists only if a caller acts differently on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The capability was not offered or not granted.
    Unsupported,
    /// Negotiation failed: the engine cannot give what is required.
    Refused,
    /// The call itself is wrong: empty key, beat out of place, a name that cannot be.
    Invalid,
    /// Key, value or beat beyond a limit.
    TooLarge,
    /// Somebody else holds what is needed just now: a beat is open, too many views.
    Busy,
    /// The world moved: an expectation failed, a beat number does not follow.
    Conflict,
    /// The ceiling of the store or of the disk is reached; reads and deletes go on.
    Full,
    /// The view or the feed position is too old.
    Stale,
    /// Another holder owns the directory.
    Locked,
    /// The directory belongs to another engine, format or grant. Nothing was written.
    Mismatch,
    /// Stored bytes do not verify.
    Corrupt,
    /// An earlier failure made this handle unusable until reopened.
    Poisoned,
    /// The handle was closed or retired.
    Closed,
    /// The caller's observer stopped the work.
    Cancelled,
    /// The operating system reported a failure.
    Io,
}

/// What the caller should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Change the calling code or the request.
    FixCode,
    /// Change the data: it is beyond a limit.
    FixData,
    /// Name another file or directory.
    FixPath,
    /// Change the configuration.
    FixConfig,
    /// The same call may succeed later.
    Retry,
    /// Read again and redo the beat.
    Redo,
    /// Raise the ceiling or free space, then repeat.
    Grow,
    /// Let the process, or the machine, have more files open, then repeat.
    RaiseFileLimit,
    /// Copy the store to where it may be written.
    CopyToWrite,
    /// Close the handle or view and open it again.
    Reopen,
    /// Migrate, or use the engine that owns the directory.
    Migrate,
    /// Restore from a backup.
    Restore,
}

impl Advice {
    /// One short sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::FixCode => "change the call",
            Self::FixData => "make the data smaller",
            Self::FixPath => "choose another path",
            Self::FixConfig => "correct the configuration",
            Self::Retry => "try again later",
            Self::Redo => "read again and redo the beat",
            Self::Grow => "raise the ceiling or free space, then repeat",
            Self::RaiseFileLimit => "raise the limit of open files (`ulimit -n`), then repeat",
            Self::CopyToWrite => "copy the store to where you may write",
            Self::Reopen => "close and open again",
            Self::Migrate => "use the engine that owns the directory, or migrate",
            Self::Restore => "restore from a backup",
        }
    }
}

impl ErrorKind {
    /// All kinds, in the order of their documentation.
    pub const ALL: [Self; 15] = [
        Self::Unsupported,
        Self::Refused,
        Self::Invalid,
        Self::TooLarge,
        Self::Busy,
        Self::Conflict,
        Self::Full,
        Self::Stale,
        Self::Locked,
        Self::Mismatch,
        Self::Corrupt,
        Self::Poisoned,
        Self::Closed,
        Self::Cancelled,
        Self::Io,
    ];

    /// The stable lower-case name, as in JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::Full => "full",
            Self::Stale => "stale",
            Self::Locked => "locked",
            Self::Mismatch => "mismatch",
            Self::Corrupt => "corrupt",
            Self::Poisoned => "poisoned",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Io => "io",
        }
    }

    /// The stable status code. The CPS codes are kept: -1 invalid argument, -3 I/O, -4 capability mismatch, -5 verify,
    /// -6 conflict, -7 not implemented; -2 (no memory) and -8 (not found) are never errors here and stay reserved.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Invalid => -1,
            Self::Io => -3,
            Self::Refused => -4,
            Self::Corrupt => -5,
            Self::Conflict => -6,
            Self::Unsupported => -7,
            Self::TooLarge => -9,
            Self::Busy => -10,
            Self::Full => -11,
            Self::Stale => -12,
            Self::Locked => -13,
            Self::Mismatch => -14,
            Self::Poisoned => -15,
            Self::Closed => -16,
            Self::Cancelled => -17,
        }
    }

    /// What to do about an error of this kind, unless the error itself knows better.
    #[must_use]
    pub const fn advice(self) -> Advice {
        match self {
            Self::Unsupported | Self::Refused | Self::Invalid => Advice::FixCode,
            Self::TooLarge => Advice::FixData,
            Self::Busy | Self::Locked | Self::Cancelled => Advice::Retry,
            Self::Conflict | Self::Stale => Advice::Redo,
            Self::Full => Advice::Grow,
            Self::Mismatch => Advice::Migrate,
            Self::Corrupt => Advice::Restore,
            Self::Poisoned | Self::Closed | Self::Io => Advice::Reopen,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Any failure of the substrate. One word wide; `Display` is one line that ends in advice.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    op: &'static str,
    context: String,
    advice: Option<Advice>,
    engine: Option<&'static str>,
    engine_code: Option<i64>,
    path: Option<PathBuf>,
    beat: Option<BeatNo>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    told: AtomicBool,
}

impl Error {
    /// An error of `kind` met while doing `op` (a verb, as `put_record`), with a sentence that names what and where.
    pub fn new(kind: ErrorKind, op: &'static str, context: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            op,
            context: context.into(),
            advice: None,
            engine: None,
            engine_code: None,
            path: None,
            beat: None,
            source: None,
            told: AtomicBool::new(false),
        }))
    }

    /// The same error in other words: all that it names stays, but its cause, which has one owner.
    #[must_use]
    pub fn reworded(&self, context: impl Into<String>) -> Self {
        let Inner { kind, op, context: _, advice, engine, engine_code, path, beat, source: _, told: _ } =
            &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            op,
            context: context.into(),
            advice: *advice,
            engine: *engine,
            engine_code: *engine_code,
            path: path.clone(),
            beat: *beat,
            source: None,
            told: AtomicBool::new(false),
        }))
    }

    /// `Unsupported`, naming the capability that is missing.
    #[must_use]
    pub fn unsupported(op: &'static str, cap: &str) -> Self {
        Self::new(ErrorKind::Unsupported, op, format!("capability {cap} is not available here"))
    }

    /// `Io` from the operating system, or `Full` when it says that the disk or the quota is full. Where too many files are open, the
    /// advice is to raise their limit.
    #[must_use]
    pub fn io(op: &'static str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Os;
        let kind = match source.kind() {
            Os::StorageFull | Os::QuotaExceeded | Os::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        let advice = is_too_many_files(&source).then_some(Advice::RaiseFileLimit);
        let error = Self::new(kind, op, source.to_string()).with_path(path).with_source(source);
        advice.into_iter().fold(error, Self::with_advice)
    }

    /// `Mismatch`: the directory that a copy should go into holds something.
    #[must_use]
    pub fn occupied(op: &'static str, path: &Path) -> Self {
        Self::new(ErrorKind::Mismatch, op, "the target is not empty; nothing was touched")
            .with_path(path)
            .with_advice(Advice::FixPath)
    }

    /// `Cancelled`: the observer of a long verb asked to stop.
    #[must_use]
    pub fn cancelled(op: &'static str) -> Self {
        Self::new(ErrorKind::Cancelled, op, "stopped on request")
    }

    /// Names the engine.
    #[must_use]
    pub fn with_engine(mut self, engine: &'static str) -> Self {
        self.0.engine = Some(engine);
        self
    }

    /// Adds the engine's own (extended) code.
    #[must_use]
    pub fn with_engine_code(mut self, code: i64) -> Self {
        self.0.engine_code = Some(code);
        self
    }

    /// Gives better advice than the kind does.
    #[must_use]
    pub fn with_advice(mut self, advice: Advice) -> Self {
        self.0.advice = Some(advice);
        self
    }

    /// Names the file or directory.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// Names the beat.
    #[must_use]
    pub fn with_beat(mut self, beat: BeatNo) -> Self {
        self.0.beat = Some(beat);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Notes that a caller was told of this error; true the first time. So that whoever counts errors counts each once,
    /// however many doors it passes.
    pub fn tell(&self) -> bool {
        !self.0.told.swap(true, Ordering::Relaxed)
    }

    /// The kind, for branching.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> Advice {
        self.0.advice.unwrap_or(self.0.kind.advice())
    }

    /// The stable status code, always negative ([`ErrorKind::code`]).
    #[must_use]
    pub fn code(&self) -> i32 {
        self.0.kind.code()
    }

    /// The verb that failed.
    #[must_use]
    pub fn op(&self) -> &'static str {
        self.0.op
    }

    /// The sentence that names what and where.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.0.context
    }

    /// The engine, where one was involved.
    #[must_use]
    pub fn engine(&self) -> Option<&'static str> {
        self.0.engine
    }

    /// The engine's own code, where it gave one.
    #[must_use]
    pub fn engine_code(&self) -> Option<i64> {
        self.0.engine_code
    }

    /// The file or directory, where one was involved.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The beat, where one was involved.
    #[must_use]
    pub fn beat(&self) -> Option<BeatNo> {
        self.0.beat
    }
}

/// Whether the system says that the process (EMFILE), or all of them together (ENFILE), have as many files open as they may: 24
/// and 23 on every Unix.
fn is_too_many_files(error: &std::io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{}: {}", inner.op, inner.context)?;
        if let Some(path) = &inner.path {
            write!(f, " [{}]", path.display())?;
        }
        if let Some(beat) = inner.beat {
            write!(f, " at beat {beat}")?;
        }
        write!(f, " ({}", inner.kind)?;
        if let Some(engine) = inner.engine {
            write!(f, ", {engine}")?;
            if let Some(code) = inner.engine_code {
                write!(f, " code {code}")?;
            }
        }
        write!(f, "); {}", self.advice().sentence())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("op", &inner.op)
            .field("context", &inner.context)
            .field("advice", &inner.advice)
            .field("engine", &inner.engine)
            .field("engine_code", &inner.engine_code)
            .field("path", &inner.path)
            .field("beat", &inner.beat)
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
