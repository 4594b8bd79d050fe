//! `persist config`: what a configuration says, and what is wrong with one.

use std::path::{Path, PathBuf};

use persist::ErrorKind;
use persist::lifecycle::config::{self, Config, ConfigError, Loaded, Place, Problem};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::out::Out;
use crate::target;

/// Which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; without it, that of --config
    file: Option<PathBuf>,
}

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(crate) struct DefaultArgs {}

#[derive(Serialize)]
struct ProblemJson<'p> {
    line: Option<usize>,
    variable: Option<&'p str>,
    key: &'p str,
    what: &'p str,
    near: Option<&'p str>,
}

#[derive(Serialize)]
struct CheckJson<'c> {
    ok: bool,
    file: String,
    stores: Vec<&'c str>,
    overridden: Vec<OverrideJson<'c>>,
}

#[derive(Serialize)]
struct OverrideJson<'c> {
    variable: &'c str,
    key: &'c str,
}

/// Reads, checks, and says all that is wrong.
pub(crate) fn check(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let file = args.file(global)?;
    let loaded = match target::load(file) {
        Ok(loaded) => loaded,
        Err(failure) => return tell(failure, file, out),
    };
    let order = loaded.config.opening_order();
    if out.is_json() {
        return out.object(&CheckJson {
            ok: true,
            file: loaded.file.display().to_string(),
            stores: order,
            overridden: overrides(&loaded),
        });
    }
    for (variable, key) in &loaded.overridden {
        out.line(format_args!("{variable} sets {key}"))?;
    }
    let stores = if order.is_empty() { "no store".to_owned() } else { order.join(", ") };
    out.line(format_args!("{} is fine; opened in this order: {stores}", loaded.file.display()))
}

/// Prints what is in effect.
pub(crate) fn show(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let loaded = target::load(args.file(global)?)?;
    if out.is_json() {
        return out.object(&loaded.config);
    }
    for (variable, key) in &loaded.overridden {
        out.line(format_args!("# {variable} sets {key}"))?;
    }
    out.bytes(loaded.config.to_toml().as_bytes())
}

/// Prints a file to begin with.
pub(crate) fn default(out: &mut Out) -> Result<()> {
    if out.is_json() { out.object(&Config::default()) } else { out.bytes(config::template().as_bytes()) }
}

impl Args {
    fn file<'a>(&'a self, global: &'a Global) -> Result<&'a Path> {
        let none = || Failure::Usage("which file? name it, or use --config or PERSIST_CONFIG".to_owned());
        self.file.as_deref().or(global.config.as_deref()).ok_or_else(none)
    }
}

fn overrides(loaded: &Loaded) -> Vec<OverrideJson<'_>> {
    loaded.overridden.iter().map(|(variable, key)| OverrideJson { variable, key }).collect()
}

/// Says every problem by itself; other failures stay what they are.
fn tell(failure: Failure, file: &Path, out: &mut Out) -> Result<()> {
    let Failure::Error(error) = &failure else { return Err(failure) };
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ConfigError>());
    let Some(wrong) = source else { return Err(failure) };
    for problem in &wrong.problems {
        if out.is_json() {
            out.object(&as_json(problem))?;
        } else {
            out.line(problem)?;
        }
    }
    if out.is_json() {
        // As it is where all is right.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
        out.object(&CheckJson { ok: false, file, stores: Vec::new(), overridden: Vec::new() })?;
    }
    Err(Failure::Told(ErrorKind::Invalid))
}

fn as_json(problem: &Problem) -> ProblemJson<'_> {
    let (line, variable) = match &problem.place {
        Place::Line(line) => (Some(*line), None),
        Place::Variable(name) => (None, Some(name.as_str())),
        Place::Unknown => (None, None),
    };
    ProblemJson { line, variable, key: &problem.key, what: &problem.what, near: problem.near.as_deref() }
}
