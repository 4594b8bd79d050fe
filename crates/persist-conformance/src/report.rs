//! What a run says: per case, as lines for people and as JSON for machines.

use std::fmt::Write as _;

use crate::Failure;
use crate::registry::{Case, Need};

/// How a case ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The body ran and passed.
    Passed,
    /// The engine does not offer what the case needs, and its negative twin passed.
    TwinPassed,
    /// Body or twin failed.
    Failed(Failure),
}

/// One case of a run.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The case.
    pub case: &'static Case,
    /// The need whose twin ran instead of the body.
    pub twin: Option<Need>,
    /// How it ended.
    pub outcome: Outcome,
}

impl CaseReport {
    /// True unless it failed.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        !matches!(self.outcome, Outcome::Failed(_))
    }

    /// What really ran: the name of the case, or `twin::NEED`.
    #[must_use]
    pub fn body_name(&self) -> String {
        self.twin.map_or_else(|| self.case.name.to_owned(), |need| format!("twin::{}", need.name()))
    }

    /// `passed`, `twin-passed` or `failed`.
    #[must_use]
    pub const fn outcome_name(&self) -> &'static str {
        match self.outcome {
            Outcome::Passed => "passed",
            Outcome::TwinPassed => "twin-passed",
            Outcome::Failed(_) => "failed",
        }
    }

    /// The message of a failure.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Failed(failure) => Some(failure.to_string()),
            _ => None,
        }
    }

    /// The case as one JSON object: `case, class, clauses, outcome, twin, message`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let clauses: Vec<String> = self.case.each_clause().map(quoted).collect();
        format!(
            "{{\"case\":{},\"class\":{},\"clauses\":[{}],\"outcome\":{},\"twin\":{},\"message\":{}}}",
            quoted(self.case.name),
            quoted(self.case.class().name()),
            clauses.join(","),
            quoted(self.outcome_name()),
            self.twin.map_or_else(|| "null".to_owned(), |need| quoted(need.name())),
            self.message().map_or_else(|| "null".to_owned(), |text| quoted(&text)),
        )
    }
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The scheme of the engine.
    pub engine: &'static str,
    /// The cases in the order of the registry.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// True if no case failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed() == 0
    }

    /// Cases that passed, by body or twin.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.cases.len() - self.failed()
    }

    /// Cases whose twin passed.
    #[must_use]
    pub fn twins(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::TwinPassed)).count()
    }

    /// Cases that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.is_ok()).count()
    }

    /// The failures, one line each.
    #[must_use]
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            if let Some(message) = case.message() {
                let _ = writeln!(text, "{}: {message}", case.case.name);
            }
        }
        text
    }

    /// The whole run as one JSON object: `engine, passed, twins, failed, cases`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let cases: Vec<String> = self.cases.iter().map(CaseReport::to_json).collect();
        format!(
            "{{\"engine\":{},\"passed\":{},\"twins\":{},\"failed\":{},\"cases\":[{}]}}",
            quoted(self.engine),
            self.passed(),
            self.twins(),
            self.failed(),
            cases.join(",")
        )
    }
}

/// A run of a crash class as one JSON object: `engine, class, outcome, message`, where the message is the whole report.
pub(crate) fn crash_json(engine: &str, class: &str, clean: bool, report: &str) -> String {
    let outcome = quoted(if clean { "passed" } else { "failed" });
    let (engine, class, report) = (quoted(engine), quoted(class), quoted(report));
    format!("{{\"engine\":{engine},\"class\":{class},\"outcome\":{outcome},\"message\":{report}}}")
}

/// Text as a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            low if u32::from(low) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(low));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
