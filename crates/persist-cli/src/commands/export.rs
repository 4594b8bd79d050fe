//! `persist export`: a store as one file that no engine owns, or what came after such a file.

use std::path::PathBuf;
use std::str::FromStr;

use persist::{Advice, BeatNo, BundleLimits, Error, ErrorKind, RealDisk, Store};
use persist_store::{HoldOptions, check_bundle_name};

use crate::args::Global;
use crate::commands::bundle::{BundleJson, check_file, unreadable};
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::watch::Watch;

/// Memory for the engine, which is only read from its beginning to its end.
const MEMORY_BYTES: u64 = 32 << 20;

/// Where to.
#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct Args {
    /// The store, as with --store
    #[arg(value_name = "STORE")]
    which: Option<String>,
    /// The bundle; it must not exist, nor FILE.new beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only the commits after this bundle, or after the beat with this number; a hold must have kept them
    #[arg(long, value_name = "BUNDLE|BEAT")]
    since: Option<Since>,
    /// Keep all commits after this bundle in the store, so that the next export can be one --since this
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
}

/// What an increment goes on from.
#[derive(Debug, Clone)]
enum Since {
    Beat(BeatNo),
    Bundle(PathBuf),
}

impl FromStr for Since {
    type Err = std::convert::Infallible;

    /// A number is a beat; a file with such a name is written `./7`.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Bundle(text.into()), |beat| Self::Beat(BeatNo(beat))))
    }
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let global = &global.about(args.which.as_deref())?;
    // Before anything is opened or held for it.
    check_bundle_name(&RealDisk, &args.file)?;
    let watch = Watch::new(global.quiet);
    let target = Target::of(global)?.with_memory(MEMORY_BYTES);
    let report = home::with_target(&target, &watch, |_, store| Ok(args.export(store, &watch)?))?;
    drop(watch);
    let json = BundleJson::of(&args.file, &report);
    if out.is_json() { out.object(&json) } else { json.print(out) }
}

impl Args {
    fn export(&self, store: &Store, watch: &Watch) -> Result<persist::BundleReport, Error> {
        let base = match &self.since {
            None => None,
            Some(Since::Beat(beat)) => Some(store.base_at(*beat, watch)?),
            Some(Since::Bundle(base)) => {
                check_file("export", base)?;
                let found = persist::read_bundle(&RealDisk, base, &BundleLimits::default(), watch);
                Some(found.map_err(|error| unreadable(base, error))?.manifest.as_base())
            }
        };
        // It is there before the view is, so that no commit falls between the two.
        let hold = self.hold.as_ref().map(|name| store.hold(name, HoldOptions::default())).transpose()?;
        let report = match &base {
            Some(base) => {
                let done = store.export_since(&self.file, base, watch);
                done.or_else(|error| Err(not_kept(error, base.beat, store)?))?
            }
            None => store.export(&self.file, watch)?,
        };
        if let Some(hold) = hold {
            hold.advance(report.manifest.as_base().commit)?;
            hold.flush()?;
        }
        Ok(report)
    }
}

/// What commits that are not kept mean to somebody who exports: they must have been held by an earlier export.
fn not_kept(error: Error, beat: BeatNo, store: &Store) -> Result<Error, Error> {
    if error.kind() != ErrorKind::Stale {
        return Ok(error);
    }
    let context = format!(
        "the commits after beat {beat} are not all kept, {}: `persist export FILE --hold NAME` first, which is the whole \
         store and keeps what comes after it; then --since that FILE",
        home::kept_from(store)?
    );
    Ok(Error::new(ErrorKind::Stale, "export", context).with_advice(Advice::FixCode))
}
