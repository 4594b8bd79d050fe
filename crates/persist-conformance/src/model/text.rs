//! Traces as text: one step a line, bytes in hexadecimal, `-` for none.

use std::fmt::{self, Write as _};
use std::ops::Bound;
use std::str::FromStr;

use persist_api::Direction;

use super::step::{End, Move, ScanSpec, Step};
use crate::Failure;

const HEAD: &str = "persist-trace 1";

/// A sequence of steps that can be written down, read back and replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(Vec<Step>);

impl Trace {
    /// A trace of these steps.
    #[must_use]
    pub const fn new(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bound(bound: &Bound<Vec<u8>>) -> String {
    match bound {
        Bound::Unbounded => "u".to_owned(),
        Bound::Included(key) => format!("i:{}", hex(key)),
        Bound::Excluded(key) => format!("e:{}", hex(key)),
    }
}

impl fmt::Display for ScanSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.direction == Direction::Forward { "forward" } else { "reverse" };
        let what = if self.keys_only { "keys" } else { "rows" };
        write!(f, "{} {} {way} {} {what}", bound(&self.start), bound(&self.end), self.limit)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, length, seed } => write!(f, "put {} {length} {seed}", hex(key)),
            Self::Delete(key) => write!(f, "delete {}", hex(key)),
            Self::Range(start, end) => write!(f, "range {} {}", bound(start), bound(end)),
            Self::Peek(key) => write!(f, "peek {}", hex(key)),
            Self::Poison => f.write_str("poison"),
            Self::End(End::Commit) => f.write_str("commit"),
            Self::End(End::Durable) => f.write_str("commit-durable"),
            Self::End(End::Abort) => f.write_str("abort"),
            Self::End(End::Drop) => f.write_str("drop-beat"),
            Self::View => f.write_str("view"),
            Self::Drop(view) => write!(f, "drop-view {view}"),
            Self::Get(view, key) => write!(f, "get {view} {}", hex(key)),
            Self::Scan(view, scan) => write!(f, "scan {view} {scan}"),
            Self::Cursor(view, scan, moves) => {
                write!(f, "cursor {view} {scan}")?;
                for step in moves {
                    match step {
                        Move::Advance => f.write_str(" a")?,
                        Move::Seek(key) => write!(f, " s:{}", hex(key))?,
                    }
                }
                Ok(())
            }
            Self::Compare(view) => write!(f, "compare {view}"),
            Self::Reopen => f.write_str("reopen"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Compact => f.write_str("compact"),
            Self::Backup => f.write_str("backup"),
            Self::Verify => f.write_str("verify"),
            Self::Past(back) => write!(f, "past {back}"),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        self.0.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for Trace {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(Failure::new(format!("a trace begins with the line {HEAD:?}")));
        }
        let plain = lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let steps = plain.map(|line| {
            let mut words = line.split_whitespace();
            let step = parse(&mut words).filter(|_| words.next().is_none());
            step.ok_or_else(|| Failure::new(format!("cannot read the step {line:?}")))
        });
        steps.collect::<Result<_, _>>().map(Self)
    }
}

type Words<'t> = std::str::SplitWhitespace<'t>;

fn parse(words: &mut Words<'_>) -> Option<Step> {
    Some(match words.next()? {
        "put" => Step::Put {
            key: unhex(words.next()?)?,
            length: words.next()?.parse().ok().filter(|length| *length <= 1 << 24)?,
            seed: words.next()?.parse().ok()?,
        },
        "delete" => Step::Delete(unhex(words.next()?)?),
        "range" => Step::Range(unbound(words.next()?)?, unbound(words.next()?)?),
        "peek" => Step::Peek(unhex(words.next()?)?),
        "poison" => Step::Poison,
        "commit" => Step::End(End::Commit),
        "commit-durable" => Step::End(End::Durable),
        "abort" => Step::End(End::Abort),
        "drop-beat" => Step::End(End::Drop),
        "view" => Step::View,
        "drop-view" => Step::Drop(words.next()?.parse().ok()?),
        "get" => Step::Get(words.next()?.parse().ok()?, unhex(words.next()?)?),
        "scan" => Step::Scan(words.next()?.parse().ok()?, spec(words)?),
        "cursor" => {
            let (view, scan) = (words.next()?.parse().ok()?, spec(words)?);
            let moves = words.by_ref().map(|word| match word.strip_prefix("s:") {
                Some(key) => unhex(key).map(Move::Seek),
                None => (word == "a").then_some(Move::Advance),
            });
            Step::Cursor(view, scan, moves.collect::<Option<_>>()?)
        }
        "compare" => Step::Compare(words.next()?.parse().ok()?),
        "reopen" => Step::Reopen,
        "checkpoint" => Step::Checkpoint,
        "compact" => Step::Compact,
        "backup" => Step::Backup,
        "verify" => Step::Verify,
        "past" => Step::Past(words.next()?.parse().ok()?),
        _ => return None,
    })
}

fn spec(words: &mut Words<'_>) -> Option<ScanSpec> {
    Some(ScanSpec {
        start: unbound(words.next()?)?,
        end: unbound(words.next()?)?,
        direction: match words.next()? {
            "forward" => Direction::Forward,
            "reverse" => Direction::Reverse,
            _ => return None,
        },
        limit: words.next()?.parse().ok()?,
        keys_only: match words.next()? {
            "keys" => true,
            "rows" => false,
            _ => return None,
        },
    })
}

fn unbound(word: &str) -> Option<Bound<Vec<u8>>> {
    match word.split_once(':') {
        Some(("i", key)) => Some(Bound::Included(unhex(key)?)),
        Some(("e", key)) => Some(Bound::Excluded(unhex(key)?)),
        _ => (word == "u").then_some(Bound::Unbounded),
    }
}

fn unhex(word: &str) -> Option<Vec<u8>> {
    if word == "-" {
        return Some(Vec::new());
    }
    if !word.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = word.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_cannot_be_read_is_refused() {
        let lines = [
            "put",
            "put 6g 1 1",
            "put 61 x 1",
            "put 61 1 256",
            "get 0",
            "scan 0 u u up 1 rows",
            "view 1",
            "fly",
        ];
        for line in lines {
            assert!(format!("{HEAD}\n{line}\n").parse::<Trace>().is_err(), "{line}");
        }
        assert!("put 61 1 1\n".parse::<Trace>().is_err());
    }

    #[test]
    fn comments_and_blank_lines_are_ignored() {
        let trace: Trace = format!("{HEAD}\n# why\n\nview\n").parse().unwrap();
        assert_eq!(trace.steps(), [Step::View]);
    }
}
