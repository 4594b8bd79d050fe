//! Engines that lie, each in one subtle way, and the cases that must catch them: who tests the tests.
//!
//! Every liar is an honest engine with one verb replaced (`hooks`). A liar that no case catches shows a hole in the
//! suite; one that more than five catch is too crude to show anything; a case that catches no liar checks nothing that
//! another does not. [`check`] fails on each of the three.

mod check;
mod cursor;
mod filed;
mod hooks;
mod nothing;
mod table;
mod wrap;

pub(crate) use check::base;
pub use check::{Findings, LiarReport, MOST, check, report_text};
pub use table::LIARS;

use crate::Fixture;
use hooks::Hooks;

/// What an engine is made of before it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// An engine with a log, that offers everything.
    Full,
    /// An engine in memory, that offers as little as can be, so that negative twins run.
    Bare,
}

/// An engine that is broken in one way.
pub struct Liar {
    /// What it is called.
    pub name: &'static str,
    /// What is broken, in one sentence.
    pub broken: &'static str,
    /// The bodies that must catch it and the only ones that may: cases, or `twin::NEED`.
    pub caught_by: &'static [&'static str],
    /// What it is before it lies.
    pub base: Base,
    pub(crate) hooks: Hooks,
}

impl Liar {
    /// The liar of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        LIARS.iter().copied().find(|liar| liar.name == name)
    }

    /// An engine that tells this lie, ready for the suite.
    #[must_use]
    pub fn fixture(&'static self) -> Box<dyn Fixture> {
        Box::new(check::fixture_of(self.base, &self.hooks))
    }
}

/// The honest engine under the lies.
#[must_use]
pub fn honest(base: Base) -> Box<dyn Fixture> {
    Box::new(check::honest(base))
}

impl std::fmt::Debug for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Liar")
            .field("name", &self.name)
            .field("caught_by", &self.caught_by)
            .finish_non_exhaustive()
    }
}
