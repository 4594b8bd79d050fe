//! What a child tells its parent: one line and one write call each, so that an acknowledgement has a place in a trace.

use std::io::Write as _;

use persist_api::Durability;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// The store is open and shows this beat, whose header says that it was to be so durable.
    Open(u64, Durability),
    /// This beat begins.
    Try(u64),
    /// This beat was acknowledged, and as how durable.
    Ack(u64, Durability),
    /// `sync` returned and covers this beat.
    Sync(u64),
    /// The store is closed and the child ends.
    Done,
    /// The workload cannot go on.
    Fail(String),
    /// A home was examined and is right; it shows this beat.
    Fine(u64),
    /// A home did not open, for this reason.
    Refused(String),
    /// A home breaks this clause.
    Bad(String, String),
}

/// Starts every line, also after whatever a test harness printed without ending its own line.
const MARK: &str = "@persist ";

impl Word {
    pub(crate) fn line(&self) -> String {
        let flat = |text: &str| text.replace(['\n', '\r'], " ");
        let text = match self {
            Self::Open(beat, level) => format!("open {beat} {level}"),
            Self::Try(beat) => format!("try {beat}"),
            Self::Ack(beat, level) => format!("ack {beat} {level}"),
            Self::Sync(beat) => format!("sync {beat}"),
            Self::Done => "done".to_owned(),
            Self::Fail(why) => format!("fail {}", flat(why)),
            Self::Fine(beat) => format!("fine {beat}"),
            Self::Refused(why) => format!("refused {}", flat(why)),
            Self::Bad(clause, what) => format!("bad {clause} {}", flat(what)),
        };
        format!("\n{MARK}{text}\n")
    }

    /// Reads one line; `None` for anything else that a child prints.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let text = line.trim_end().strip_prefix(MARK)?;
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match verb {
            "open" => {
                let (beat, level) = rest.split_once(' ')?;
                Self::Open(beat.parse().ok()?, Durability::from_name(level)?)
            }
            "try" => Self::Try(rest.parse().ok()?),
            "ack" => {
                let (beat, level) = rest.split_once(' ')?;
                Self::Ack(beat.parse().ok()?, Durability::from_name(level)?)
            }
            "sync" => Self::Sync(rest.parse().ok()?),
            "done" => Self::Done,
            "fail" => Self::Fail(rest.to_owned()),
            "fine" => Self::Fine(rest.parse().ok()?),
            "refused" => Self::Refused(rest.to_owned()),
            "bad" => {
                let (clause, what) = rest.split_once(' ')?;
                Self::Bad(clause.to_owned(), what.to_owned())
            }
            _ => return None,
        })
    }

    /// Says it with a single write to standard output.
    ///
    /// # Errors
    /// When the parent is gone.
    pub(crate) fn say(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.line().as_bytes())?;
        out.flush()
    }
}
