//! Opening the store that the command line names.

use persist::{Durability, Error, ErrorKind, OpenMode, Opened, Store, Writer};
use persist_api::Observer;
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::target::Target;
use crate::text::hex;

/// Opens the store that is there, does the work, and closes the store whatever came of that.
pub(crate) fn with<T>(
    global: &Global,
    seen: &dyn Observer,
    work: impl FnOnce(&mut Writer, &Store) -> Result<T>,
) -> Result<T> {
    with_target(&Target::of(global)?, seen, work)
}

/// As [`with`], for a store that was looked up.
pub(crate) fn with_target<T>(
    target: &Target,
    seen: &dyn Observer,
    work: impl FnOnce(&mut Writer, &Store) -> Result<T>,
) -> Result<T> {
    let (mut writer, store) = open_target(target, seen)?;
    let done = work(&mut writer, &store);
    close(&store, done)
}

/// Closes a store after the last work on it. A failure of the work says more than one of the closing.
pub(crate) fn close<T>(store: &Store, done: Result<T>) -> Result<T> {
    match (done, store.close()) {
        (Ok(_) | Err(Failure::Pipe), Err(error)) => Err(error.into()),
        (done, _) => done,
    }
}

/// Opens the store that is there. Whoever does must [`close`] it.
pub(crate) fn open(global: &Global, seen: &dyn Observer) -> Result<(Writer, Store)> {
    open_target(&Target::of(global)?, seen)
}

fn open_target(target: &Target, seen: &dyn Observer) -> Result<(Writer, Store)> {
    let opened =
        persist::open_with(&target.url, &target.options(OpenMode::MustExist)).map_err(|error| match error
            .path()
        {
            Some(path) if error.kind() == ErrorKind::Invalid => {
                let context = "there is no store here; `persist init` creates one";
                Error::new(ErrorKind::Invalid, "open", context).with_path(path)
            }
            _ => target.explain(error),
        })?;
    negotiate(target, opened, seen)
}

/// Opens what was looked at.
pub(crate) fn negotiate(target: &Target, opened: Opened, seen: &dyn Observer) -> Result<(Writer, Store)> {
    if opened.offer().durability_max() == Durability::Volatile {
        let engine = opened.offer().engine;
        let context = format!(
            "the engine {engine} keeps nothing when its process ends, and every command is one: name another engine"
        );
        return Err(Error::new(ErrorKind::Refused, "open", context).with_engine(engine).into());
    }
    check_keys(target, &opened)?;
    let (writer, store) = opened.negotiate_watched(&target.request, seen).map_err(Error::from)?;
    target.tell(&store);
    Ok((writer, store))
}

/// Says how to give keys to a store that needs some.
///
/// # Errors
/// `Refused`.
fn check_keys(target: &Target, opened: &Opened) -> Result<()> {
    let description = opened.describe();
    let encrypted = description.stamp.is_some_and(|stamp| {
        stamp.format.layers.iter().any(|layer| layer.provides.contains(persist::Caps::AEAD))
    });
    if !encrypted || target.has_keys() {
        return Ok(());
    }
    let context = "this store is encrypted: name the file with its keys by --key-file or PERSIST_KEY_FILE";
    Err(Error::new(ErrorKind::Refused, "open", context)
        .with_path(description.home.unwrap_or_default())
        .into())
}

/// From which commit on the holds of a store keep them all, for people.
pub(crate) fn kept_from(store: &Store) -> std::result::Result<String, Error> {
    let holds = store.holds()?;
    let oldest = holds.iter().filter(|hold| !hold.stale).map(|hold| hold.position.0).min();
    Ok(oldest.map_or_else(
        || "no hold keeps any".to_owned(),
        |oldest| format!("holds keep them from commit {} on", oldest.saturating_add(1)),
    ))
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
