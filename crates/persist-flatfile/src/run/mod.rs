//! Immutable sorted runs: the records of a span of frames, by key, newest version first.
//!
//! A run is one file, `branch.ckp.<number>`, of blocks (`block`) in this order:
//!
//! ```text
//! head                              once, at offset 0 (`head`); written last, before the sync
//! groups     data blocks            one or more, of about 4 KiB (`data`)
//!            filter block           over the distinct keys of the group (`filter`)
//!            index block            where the data blocks of the group lie, and the fences between them (`fences`)
//! range blocks                      none or more (`ranges`)
//! header blocks                     none or more: `count` beat headers of 72 bytes each, 56 a block, oldest first
//! top index block                   where the groups lie, and the fences between them (`fences`)
//! foot                              once, at the very end: the same payload as the head
//! ```
//!
//! A get reads a line of one filter, two lists of fences and one data block; it allocates nothing. Each block is checked the
//! first time that a handle reads it. Every block counts the records before it, so that a run can be made anew from its data
//! blocks alone (`rebuild`), and it is known whether any are missing.

mod block;
mod check;
mod cursor;
mod data;
mod fences;
mod filter;
mod get;
mod head;
mod output;
mod place;
mod ranges;
mod reader;
mod rebuild;
#[cfg(test)]
mod tests;
mod version;
mod visit;
mod writer;

pub(crate) use check::Flaw;
pub(crate) use cursor::RunCursor;
pub(crate) use filter::hash;
pub(crate) use head::RunHead;
pub(crate) use reader::Run;
pub(crate) use rebuild::{OnLoss, Rebuilt, rebuild};
pub(crate) use version::{RangeDelete, RangeKind, Row, Stored, Version};
pub(crate) use writer::{Nameless, RunWriter};
