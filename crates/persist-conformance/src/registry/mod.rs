//! The list of cases: what each is called, which clauses it checks, and what an engine must offer for it.

mod list;

pub use list::CASES;

use persist_api::{Caps, OpenOptions};

use crate::cases::limits;
use crate::{CaseResult, Fixture};

/// The function that does a case's work.
pub type Body = fn(&dyn Fixture) -> CaseResult;

/// One case of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `topic::what_it_says`, unique.
    pub name: &'static str,
    /// The clauses of `docs/contract.md` that it checks, separated by spaces.
    pub clauses: &'static str,
    /// What must be on offer. Where one is not, its negative twin runs instead.
    pub needs: &'static [Need],
    /// What it does.
    pub body: Body,
}

/// How long a case may take and what it may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// One small scenario.
    Quick,
    /// Random sequences of operations, compared with the reference engine.
    Model,
}

impl Class {
    /// The stable name, as after `--class`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Model => "model",
        }
    }
}

/// Something that a case needs and not every engine offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A capability.
    Cap(Caps),
    /// Files: the engine offers BUFFERED or DURABLE.
    Disk,
    /// A ceiling: `store_bytes_max` of the options shows in the offer.
    Ceiling,
    /// A limit of values whose edge can be tried.
    ValueEdge,
    /// A limit of beats whose edge can be tried.
    BeatEdge,
}

macro_rules! cap_needs {
    ($($name:ident)+) => {
        impl Need {
            $(
                #[doc = concat!("The capability ", stringify!($name), ".")]
                pub const $name: Self = Self::Cap(Caps::$name);
            )+
        }
    };
}

cap_needs! { PREFIX_SCAN CHECKPOINT COMPACTION ORDERED DURABLE BUFFERED ZERO_COPY READ_OWN DELETE_RANGE LONG_KEYS HISTORY BACKUP FEED CRC32C }

/// The ceiling that cases ask for.
pub(crate) const CEILING: u64 = 3 << 20;

impl Need {
    /// See [`Need::Disk`].
    pub const DISK: Self = Self::Disk;
    /// See [`Need::Ceiling`].
    pub const CEILING: Self = Self::Ceiling;
    /// See [`Need::ValueEdge`].
    pub const VALUE_EDGE: Self = Self::ValueEdge;
    /// See [`Need::BeatEdge`].
    pub const BEAT_EDGE: Self = Self::BeatEdge;

    /// True if the engine of this fixture offers it.
    #[must_use]
    pub fn is_met(self, fixture: &dyn Fixture) -> bool {
        let offer = fixture.driver().offer(&fixture.options());
        match self {
            Self::Cap(cap) => offer.caps.contains(cap),
            Self::Disk => offer.caps.intersects(Caps::DURABLE | Caps::BUFFERED),
            Self::ValueEdge => limits::value_edge_is_in_reach(&offer.limits),
            Self::BeatEdge => limits::beat_edge_is_in_reach(&offer.limits),
            Self::Ceiling => {
                let options = OpenOptions { store_bytes_max: Some(CEILING), ..fixture.options() };
                fixture.driver().offer(&options).limits.store_bytes_max != u64::MAX
            }
        }
    }

    /// The name of the capability, or `DISK`, `CEILING`, `VALUE_EDGE` and `BEAT_EDGE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cap(cap) => cap.rows().next().map_or("", |row| row.name),
            Self::Disk => "DISK",
            Self::Ceiling => "CEILING",
            Self::ValueEdge => "VALUE_EDGE",
            Self::BeatEdge => "BEAT_EDGE",
        }
    }
}

impl Case {
    /// The case of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// The clauses one by one.
    pub fn each_clause(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.clauses.split_whitespace()
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        if self.name.starts_with("model::") { Class::Model } else { Class::Quick }
    }

    /// The first thing that it needs and this engine does not offer.
    #[must_use]
    pub fn unmet(&self, fixture: &dyn Fixture) -> Option<Need> {
        self.needs.iter().copied().find(|need| !need.is_met(fixture))
    }
}

/// Clauses that no case of this suite can check, and who does.
pub const CHECKED_ELSEWHERE: &[(&str, &str)] = &[
    ("D-1", "the kill and power-cut classes"),
    ("D-2", "the kill and power-cut classes"),
    ("D-6", "the power-cut class"),
    ("D-7", "the power-cut class"),
    ("D-5", "each engine's own tests: a failing disk cannot be had through the contract"),
    ("R-7", "each engine's own tests: a failing read cannot be had through the contract"),
    ("N-5", "the tests of the runtime, which does the enforcing"),
    ("N-6", "the tests of the runtime, which writes the stamp"),
];
