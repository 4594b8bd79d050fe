//! Laws of the contract that need no engine.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod codes;
mod header;
mod kit;
mod negotiation;
mod options;
mod ranges;
mod registry;
