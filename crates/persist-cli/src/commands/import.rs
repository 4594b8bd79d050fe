//! `persist import`: a bundle becomes a store, on any engine that can hold it; an increment brings one further.

use std::path::PathBuf;

use persist::{Advice, BundleLimits, Durability, Error, ErrorKind, OpenMode, RealDisk};
use serde::Serialize;

use crate::args::{Global, Layers};
use crate::commands::bundle::{BundleJson, check_file, unreadable};
use crate::commands::init;
use crate::fail::{Result, with_context};
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::watch::Watch;

/// What to import.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle; it is only read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the new store goes, an empty or missing directory; if absent, where --store says
    #[arg(value_name = "[ENGINE:]DIR")]
    home: Option<String>,
    /// The engine, unless the directory names one [default: the one that `init` takes]
    #[arg(long, short, value_name = "ENGINE")]
    engine: Option<String>,
    #[command(flatten)]
    layers: Layers,
    /// Apply an increment to the store that is there, instead of making one
    #[arg(long, conflicts_with_all = ["engine", "compress", "encrypt"])]
    apply: bool,
    /// Check the bundle completely, and make nothing
    #[arg(long, conflicts_with_all = ["home", "engine", "apply", "compress", "encrypt"])]
    dry_run: bool,
    /// Refuse a bundle that is longer, in MiB
    #[arg(long, value_name = "MIB")]
    max_bundle: Option<u64>,
}

#[derive(Serialize)]
struct ImportJson {
    #[serde(flatten)]
    bundle: BundleJson,
    home: Option<String>,
    engine: Option<&'static str>,
    store_id: Option<String>,
    applied_beats: Option<u64>,
    applied_commits: Option<u64>,
    rehearsed: Option<bool>,
}

impl ImportJson {
    fn of(bundle: BundleJson) -> Self {
        let (home, engine, store_id) = (None, None, None);
        let (applied_beats, applied_commits, rehearsed) = (None, None, None);
        Self { bundle, home, engine, store_id, applied_beats, applied_commits, rehearsed }
    }
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let file_bytes = args.max_bundle.map_or(u64::MAX, |mebibytes| mebibytes.saturating_mul(1 << 20));
    let limits = BundleLimits { file_bytes, ..BundleLimits::default() };
    check_file("import", &args.file)?;
    let json = if args.dry_run {
        let report = persist::read_bundle(&RealDisk, &args.file, &limits, &watch);
        let report = report.map_err(|error| args.unread(error))?;
        ImportJson::of(BundleJson::of(&args.file, &report))
    } else if args.apply {
        args.apply(global, &limits, &watch)?
    } else {
        args.import(global, &limits, &watch)?
    };
    drop(watch);
    if out.is_json() {
        return out.object(&json);
    }
    match (&json.home, json.engine, json.applied_beats) {
        (Some(home), Some(engine), None) => out.line(format_args!("imported into {home} ({engine})"))?,
        (Some(home), Some(engine), Some(beats)) => {
            out.line(format_args!("applied {beats} beats to {home} ({engine})"))?;
        }
        _ => out.line("every byte is as it was exported; nothing was made")?,
    }
    json.bundle.print(out)
}

impl Args {
    /// What holds for all commands, at the place that is meant.
    fn place(&self, global: &Global) -> Global {
        Global { store: self.home.clone().or_else(|| global.store.clone()), ..global.clone() }
    }

    /// What a bundle that cannot be read means. One that is too long for `--max-bundle` is not the data's fault.
    fn unread(&self, error: Error) -> Error {
        let too_long = |mebibytes: u64| {
            let len = std::fs::metadata(&self.file).map_or(0, |facts| facts.len());
            len > mebibytes.saturating_mul(1 << 20)
        };
        if error.kind() == ErrorKind::TooLarge && self.max_bundle.is_some_and(too_long) {
            let context = format!("{}: raise --max-bundle", error.context());
            return with_context(error, context).with_advice(Advice::FixCode);
        }
        unreadable(&self.file, error)
    }

    /// Makes a new store.
    fn import(&self, global: &Global, limits: &BundleLimits, watch: &Watch) -> Result<ImportJson> {
        let target = self.layers.ask(Target::of(&self.place(global))?)?;
        let url = init::address(&target.url, self.engine.as_deref())?;
        let opened = persist::open_with(&url, &target.options(OpenMode::MustCreate))?;
        let home = opened.describe().home.map(|home| home.display().to_string());
        let done = opened.import(&self.file, &target.request, limits, watch);
        let done = done.map_err(|error| self.unread(error))?;
        let store_id = done.store.map(|store| store.to_string());
        let bundle = BundleJson::of(&self.file, &done.bundle);
        Ok(ImportJson { home, engine: Some(done.engine), store_id, ..ImportJson::of(bundle) })
    }

    /// Brings the store that is there further.
    fn apply(&self, global: &Global, limits: &BundleLimits, watch: &Watch) -> Result<ImportJson> {
        home::with(&self.place(global), watch, |writer, store| {
            let done = writer.apply(&self.file, Durability::Durable, limits, watch);
            let done = done.map_err(|error| self.unread(error))?;
            Ok(ImportJson {
                home: store.home().map(|home| home.display().to_string()),
                engine: Some(store.engine_name()),
                store_id: store.stamp().map(|stamp| stamp.store.to_string()),
                applied_beats: Some(done.beats),
                applied_commits: Some(done.commits),
                rehearsed: Some(done.rehearsed),
                ..ImportJson::of(BundleJson::of(&self.file, &done.bundle))
            })
        })
    }
}
