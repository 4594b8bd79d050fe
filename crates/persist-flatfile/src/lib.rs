//! persist's own engine: one sequential write and one sync for a durable beat, sorted runs for reading, and every byte
//! that is read back checked.

#![allow(dead_code, reason = "parts that the engine does not call yet")]

mod coding;
mod error;
mod memtable;
mod names;
mod payload;
mod payload_ref;
mod run;
mod timeline;
