//! What a survey of a branch has to say about it.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BranchSeverity {
    /// Worth knowing; nothing is wrong with what the branch holds.
    Note,
    /// Something could not be checked.
    Unchecked,
    /// Bytes that do not verify, but what they said is known from elsewhere: nothing is missing.
    Repaired,
    /// Something that the branch held is not imported, or may be missing.
    Lost,
}

impl BranchSeverity {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Unchecked => "unchecked",
            Self::Repaired => "repaired",
            Self::Lost => "lost",
        }
    }
}

/// One finding. Codes are stable; `docs/cps.md` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchFinding {
    /// Stable code, as `frame_damaged`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: BranchSeverity,
    /// The file, by its name below the branch.
    pub file: String,
    /// Offset in that file.
    pub offset: Option<u64>,
    /// The frame that it concerns.
    pub frame_id: Option<u64>,
    /// What was found, in one sentence.
    pub what: String,
}

/// One line for people. A name of a file that is no plain text of one line, or that looks like hexadecimal, is shown as
/// hexadecimal: it comes from whoever wrote the directory.
impl fmt::Display for BranchFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity.name())?;
        if self.file.chars().any(char::is_control) || self.file.starts_with("0x") {
            write!(f, "0x")?;
            self.file.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        } else {
            write!(f, "{}", self.file)?;
        }
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        if let Some(frame_id) = self.frame_id {
            write!(f, ", frame {frame_id}")?;
        }
        write!(f, ": {} [{}]", self.what, self.code)
    }
}

/// Findings that are kept word by word; beyond, they are only counted.
const KEPT_MAX: usize = 1000;

/// The findings of a survey, the first thousand word by word.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    kept: Vec<BranchFinding>,
    counts: [u64; 4],
}

impl Findings {
    pub(super) fn add(
        &mut self,
        severity: BranchSeverity,
        code: &'static str,
        place: (&str, Option<u64>, Option<u64>),
        what: impl Into<String>,
    ) {
        let (file, offset, frame_id) = place;
        if let Some(count) = self.counts.get_mut(severity as usize) {
            *count = count.saturating_add(1);
        }
        // What is lost is always told, for as long as the rest leaves room.
        if self.kept.len() < KEPT_MAX || (severity == BranchSeverity::Lost && self.kept.len() < 2 * KEPT_MAX)
        {
            let (file, what) = (file.to_owned(), what.into());
            self.kept.push(BranchFinding { code, severity, file, offset, frame_id, what });
        }
    }

    /// Those that were kept, in the order of discovery.
    pub fn kept(&self) -> &[BranchFinding] {
        &self.kept
    }

    /// How many there are of a severity, those that were not kept included.
    pub fn count(&self, severity: BranchSeverity) -> u64 {
        self.counts.get(severity as usize).copied().unwrap_or_default()
    }

    /// How many were counted but not kept.
    pub fn left_out(&self) -> u64 {
        self.counts.iter().sum::<u64>().saturating_sub(self.kept.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_in_its_line() {
        let shown = |file: &str| {
            let mut findings = Findings::default();
            findings.add(BranchSeverity::Note, "unknown_file", (file, None, None), "not a file of a branch");
            findings.kept()[0].to_string()
        };
        assert_eq!(shown("cas/é b"), "note: cas/é b: not a file of a branch [unknown_file]");
        assert_eq!(shown("\u{1b}[31m\nx"), "note: 0x1b5b33316d0a78: not a file of a branch [unknown_file]");
        assert_eq!(shown("0xab"), "note: 0x30786162: not a file of a branch [unknown_file]");
    }
}
