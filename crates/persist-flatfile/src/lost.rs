//! Beats that could not be read back.

use persist_api::{BeatNo, Error, ErrorKind};

use crate::error::SCHEME;
use crate::run::RangeKind;

/// Where a beat was stored that does not verify. Whatever it wrote is unknown, so a read that finds nothing newer fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lost {
    /// The newest beat that may have been there.
    pub(crate) beat: BeatNo,
    /// The plain name of the file.
    pub(crate) file: String,
    /// Where in it.
    pub(crate) offset: u64,
    /// What was found there.
    pub(crate) what: String,
}

impl Lost {
    /// The error of a read that would need what was lost.
    #[cold]
    pub(crate) fn error(&self, op: &'static str) -> Error {
        let context = format!("what beat {} wrote is lost: offset {}: {}", self.beat, self.offset, self.what);
        Error::new(ErrorKind::Corrupt, op, context)
            .with_engine(SCHEME)
            .with_path(&self.file)
            .with_beat(self.beat)
    }

    /// The form in which a run keeps it.
    pub(crate) fn kind(&self) -> RangeKind {
        RangeKind::Damaged { file: self.file.clone(), offset: self.offset, what: self.what.clone() }
    }
}
