//! Opening the store that the command line names.

use persist::{Durability, Error, ErrorKind, OpenMode, OpenOptions, Options, Store, Writer};
use serde::Serialize;

use crate::args::Global;
use crate::fail::Result;
use crate::text::hex;
use crate::watch::Watch;

/// How the command line wants the store opened.
pub(crate) fn options(global: &Global, mode: OpenMode) -> Options {
    let knobs = global.knob.iter().cloned().collect();
    Options::default().engine(OpenOptions { mode, knobs, ..OpenOptions::default() })
}

/// Opens the store that is there.
pub(crate) fn open(global: &Global, watch: &Watch) -> Result<(Writer, Store)> {
    let opened = persist::open_with(&global.store, &options(global, OpenMode::MustExist)).map_err(
        |error| match error.path() {
            Some(path) if error.kind() == ErrorKind::Invalid => {
                let context = "there is no store here; `persist init` creates one";
                Error::new(ErrorKind::Invalid, "open", context).with_path(path)
            }
            _ => error,
        },
    )?;
    let handles = opened.negotiate_watched(&persist::default_request(), watch);
    Ok(handles.map_err(Error::from)?)
}

/// A receipt as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ReceiptJson {
    beat: String,
    commit: String,
    reached: &'static str,
    beat_root: Option<String>,
}

impl From<&persist::Receipt> for ReceiptJson {
    fn from(receipt: &persist::Receipt) -> Self {
        Self {
            beat: receipt.beat.to_string(),
            commit: receipt.commit.to_string(),
            reached: receipt.reached.name(),
            beat_root: receipt.root.map(|root| hex(&root)),
        }
    }
}

/// What a beat survives, for people.
pub(crate) fn survives(level: Durability) -> &'static str {
    match level {
        Durability::Volatile => "volatile: gone with the process",
        Durability::Buffered => "buffered: survives a killed process",
        Durability::Durable => "durable: survives power loss",
    }
}
