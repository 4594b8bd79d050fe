//! From samples to tables and plots.

pub(crate) mod goals;
pub(crate) mod markdown;
pub(crate) mod plots;
mod speed;
pub(crate) mod summary;
mod svg;

use std::path::Path;

use persist_io::{RealDisk, replace};

use crate::contender::{Result, text};
use crate::record::Samples;
use crate::workloads::{SLOW_DISK, WORKLOADS, Workload};

/// The samples of every workload that has some below `dir`.
///
/// # Errors
/// A sentence naming the file that cannot be read.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<(&'static Workload, Samples)>> {
    let mut all = Vec::new();
    for workload in WORKLOADS.iter().chain([&SLOW_DISK]) {
        if let Some(samples) = Samples::read(dir, workload.name)? {
            all.push((workload, samples));
        }
    }
    Ok(all)
}

/// Writes `results.md`, the README's table and the plots from the samples that lie in `dir`.
///
/// # Errors
/// A sentence of the system.
pub(crate) fn render(dir: &Path) -> Result<()> {
    let all = read_all(dir)?;
    let plots = plots::all(&all);
    for (name, svg) in &plots {
        replace(&RealDisk, &dir.join(name), svg.as_bytes()).map_err(text)?;
    }
    replace(&RealDisk, &dir.join(speed::FILE), speed::table(&all).as_bytes()).map_err(text)?;
    let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
    let page = markdown::page(&all, &names);
    replace(&RealDisk, &dir.join("results.md"), page.as_bytes()).map_err(text)
}
