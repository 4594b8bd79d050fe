//! Branch directories of the original engine, read and imported.
//!
//! [`BranchSurvey::read`] reads a directory completely, checks all that can be checked and says what it found; it needs no
//! store and writes nothing. [`import_branch`] brings what is good into a store. `docs/cps.md` has the rules and the codes of
//! the findings.
//!
//! Everything in such a directory is told more than once: a frame's place by the timeline itself, by `branch.frames` and by
//! `branch.meta`; its records by their headers, by its table of contents and sometimes by a checkpoint. The timeline is what
//! counts, because a digest covers it; the rest is compared with it, and stands in where bytes of it are damaged.
//!
//! ```
//! use std::collections::BTreeMap;
//! use persist_api::{ErrorKind, Quiet};
//! use persist_cps::branch::{BranchLimits, BranchSurvey};
//!
//! // A branch in memory; `DirSource` reads one from a disk.
//! let nothing: BTreeMap<String, Vec<u8>> = BTreeMap::new();
//! let error = BranchSurvey::read(&nothing, BranchLimits::default(), &Quiet).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Invalid);
//! ```

mod around;
mod cas;
mod check;
mod finding;
mod fits;
mod gaps;
mod hints;
mod import;
mod layout;
mod locate;
mod marks;
mod note;
mod records;
mod source;
mod survey;
mod timeline;
mod watch;

pub use cas::Blob;
pub use finding::{BranchFinding, BranchSeverity, Findings};
pub use fits::check_fits;
pub use import::{BranchImported, import_branch};
pub(crate) use marks::is_marked;
pub use note::BranchNote;
pub use source::{BranchFile, BranchSource, DirSource, SourceEntry};
pub use survey::{BranchFrame, BranchLimits, BranchSurvey, Newest};
