//! The bodies of the cases, one file per topic. Each is a short function that checks one thing.

pub(crate) mod beats;
pub(crate) mod concurrency;
pub(crate) mod cursors;
pub(crate) mod durability;
pub(crate) mod errors;
pub(crate) mod limits;
pub(crate) mod maintenance;
pub(crate) mod model;
pub(crate) mod negotiation;
pub(crate) mod open;
pub(crate) mod ranges;
pub(crate) mod reads;
pub(crate) mod reopen;
pub(crate) mod routes;
pub(crate) mod scans;
pub(crate) mod staging;
pub(crate) mod views;
