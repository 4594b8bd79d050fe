//! Runs of memtables for which the disk has no room. Nothing is lost by that, and nothing ends: the memtables stay, and somebody
//! tries again with the next one that is full or the next beat that has to wait for them.

use std::path::PathBuf;

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind};

#[derive(Debug, Default)]
struct Last {
    count: u64,
    what: String,
    path: Option<PathBuf>,
}

/// How often there was no room, and what was said the last time.
#[derive(Debug, Default)]
pub(crate) struct Shortage(Mutex<Last>);

impl Shortage {
    /// Counts one.
    pub(crate) fn note(&self, error: &Error) {
        let mut last = self.0.lock();
        last.count = last.count.wrapping_add(1);
        error.context().clone_into(&mut last.what);
        last.path = error.path().map(PathBuf::from);
    }

    /// How many there were, to be told from another one.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// Refuses, in the words of the last one, what cannot be done before there is room.
    pub(crate) fn refusal(&self, op: &'static str) -> Error {
        let last = self.0.lock();
        let error = Error::new(ErrorKind::Full, op, last.what.as_str());
        last.path.iter().fold(error, Error::with_path)
    }
}
