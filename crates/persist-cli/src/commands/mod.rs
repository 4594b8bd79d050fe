//! One file a command.

pub(crate) mod backup;
pub(crate) mod bundle;
pub(crate) mod checkpoint;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod config;
#[cfg(feature = "conformance")]
pub(crate) mod conformance;
pub(crate) mod del;
pub(crate) mod demo;
pub(crate) mod doctor;
#[cfg(feature = "flatfile")]
mod doctor_flatfile;
pub(crate) mod emit;
pub(crate) mod engines;
pub(crate) mod export;
mod frame_body;
pub(crate) mod frame_show;
pub(crate) mod frame_verify;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod import_branch;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod maintain;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod put;
pub(crate) mod scan;
pub(crate) mod stats;
mod stats_held;
pub(crate) mod stats_watch;
pub(crate) mod swap;
pub(crate) mod tail;
pub(crate) mod verify;
