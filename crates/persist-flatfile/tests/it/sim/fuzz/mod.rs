//! What a fuzzer calls. The targets are in `crates/persist-flatfile/fuzz`; `corpus` replays here what they found.
//!
//! Each takes any bytes, and panics when something is wrong.

mod corpus;
mod hostile;
mod input;
mod open;
mod operations;
mod run;
mod seal;

pub(crate) use open::open;
pub(crate) use operations::operations;
pub(crate) use run::run;
