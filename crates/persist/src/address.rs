//! Addresses: `engine:path`, or a path alone.

use std::path::Path;

use persist_api::{Error, ErrorKind, Result};
use persist_store::is_scheme;

use crate::engines::KNOWN_ENGINES;

/// Where a store lies: `engine:path`, or a path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'u> {
    /// The engine, where one is named.
    pub scheme: Option<&'u str>,
    /// The directory; for an engine that keeps nothing, any name or none.
    pub path: &'u Path,
}

impl<'u> Address<'u> {
    /// Reads an address. What stands before the first `:` is an engine's name if it could be one; a path that has such
    /// a `:` is written `./like:this`.
    ///
    /// # Errors
    /// `Invalid` for `engine://…`; `Unsupported` for a known engine that is not in this build, naming the feature, and
    /// for an unknown one, naming those in `present`.
    pub fn parse(url: &'u str, present: &[&str]) -> Result<Self> {
        let Some((scheme, path)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Self { scheme: None, path: Path::new(url) });
        };
        if !present.contains(&scheme) {
            return Err(absent(scheme, present, Some(url)));
        }
        if path.starts_with("//") {
            let context =
                format!("write {scheme}:path, without slashes after the colon that are not the path's");
            return Err(Error::new(ErrorKind::Invalid, "open", context).with_path(url));
        }
        Ok(Self { scheme: Some(scheme), path: Path::new(path) })
    }
}

/// Says that an engine is not here: which feature it needs, or which engines there are.
pub(crate) fn absent(scheme: &str, present: &[&str], url: Option<&str>) -> Error {
    let known = KNOWN_ENGINES.iter().find(|engine| engine.scheme == scheme);
    let context = match (known.and_then(|engine| engine.feature), url) {
        (Some(feature), _) => {
            format!("the engine {scheme} is not in this build; enable feature `{feature}`")
        }
        (None, Some(url)) if url.ends_with(':') => {
            format!("there is no engine {scheme}; this build has: {}", present.join(", "))
        }
        (None, Some(url)) => format!(
            "there is no engine {scheme}; this build has: {}; for a path with a colon write ./{url}",
            present.join(", ")
        ),
        (None, None) => {
            format!("the store belongs to engine {scheme}; this build has: {}", present.join(", "))
        }
    };
    Error::new(ErrorKind::Unsupported, "open", context)
}
