//! Explains a store that does not open, or not without losses, and repairs it when asked.
//!
//! [`examine`] reads every file of a store that is closed and changes nothing, not even a lock file. [`repair`] makes anew what
//! can be made anew (indexes, filters, heads, whole runs from their data blocks), and on request gives up what is lost, so
//! that the rest can be read without errors. Before that it copies every file that is not as it should be to
//! `damaged/<n>/`.
//!
//! What both say follows from the bytes alone (`docs/format-flatfile.md`).

#[cfg(test)]
mod crash_tests;
mod dry;
mod examine;
#[cfg(test)]
mod fault_tests;
mod give_up;
#[cfg(test)]
mod headless_tests;
mod keep;
#[cfg(test)]
mod merged_tests;
#[cfg(test)]
mod read_only_tests;
mod repair;
mod runs;
#[cfg(test)]
mod tests;
mod told;
mod values;

pub use examine::examine;
pub use repair::{Losses, Repaired, repair};
pub use told::{Complaint, Diagnosis, KeySpan, Remedy, Trouble, Verdict};
