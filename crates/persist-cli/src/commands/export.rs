//! `persist export`: a store as one file that no engine owns, or what came after such a file.

use std::path::PathBuf;

use persist::{BundleLimits, Error, RealDisk, Store};
use persist_store::HoldOptions;

use crate::args::Global;
use crate::commands::bundle::{BundleJson, unreadable};
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::watch::Watch;

/// Where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle; it must not exist, nor FILE.new beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only the commits after this bundle, which a hold must have kept
    #[arg(long, value_name = "BUNDLE")]
    since: Option<PathBuf>,
    /// Keep all commits after this bundle in the store, so that the next export can be one --since this
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let report = home::with(global, &watch, |_, store| Ok(args.export(store, &watch)?))?;
    drop(watch);
    let json = BundleJson::of(&args.file, &report);
    if out.is_json() { out.object(&json) } else { json.print(out) }
}

impl Args {
    fn export(&self, store: &Store, watch: &Watch) -> Result<persist::BundleReport, Error> {
        let base = self.since.as_ref().map(|base| {
            let found = persist::read_bundle(&RealDisk, base, &BundleLimits::default(), watch);
            found.map(|found| found.manifest.as_base()).map_err(|error| unreadable(base, error))
        });
        let base = base.transpose()?;
        // It is there before the view is, so that no commit falls between the two.
        let hold = self.hold.as_ref().map(|name| store.hold(name, HoldOptions::default())).transpose()?;
        let report = match &base {
            Some(base) => store.export_since(&self.file, base, watch),
            None => store.export(&self.file, watch),
        }?;
        if let Some(hold) = hold {
            hold.advance(report.manifest.as_base().commit)?;
            hold.flush()?;
        }
        Ok(report)
    }
}
