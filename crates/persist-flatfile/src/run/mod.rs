//! Immutable sorted runs.

mod block;
mod check;
mod cursor;
mod data;
mod fences;
mod filter;
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

pub(crate) use cursor::RunCursor;
pub(crate) use filter::hash;
pub(crate) use head::{RunHead, RunStat};
pub(crate) use reader::Run;
#[allow(unused_imports, reason = "the engine repairs on request only")]
pub(crate) use rebuild::{OnLoss, Rebuilt, rebuild};
pub(crate) use version::{RangeDelete, RangeKind, Row, Stored, Version};
pub(crate) use writer::RunWriter;
