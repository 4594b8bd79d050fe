//! `persist init`: a new store.

use persist::{Error, ErrorKind, KNOWN_ENGINES, OpenMode};
use serde::Serialize;

use crate::args::{Global, Layers};
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::watch::Watch;

/// What to create.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The engine, unless --store names one [default: the first of flatfile, sqlite, lmdb, rocksdb in this build]
    #[arg(long, short, value_name = "ENGINE")]
    engine: Option<String>,
    #[command(flatten)]
    layers: Layers,
}

#[derive(Serialize)]
struct InitJson {
    engine: &'static str,
    home: Option<String>,
    store_id: Option<String>,
    caps: Vec<&'static str>,
    layers: Vec<String>,
    durability: &'static str,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let target = args.layers.ask(Target::of(global)?)?;
    let url = address(&target.url, args.engine.as_deref())?;
    let opened = persist::open_with(&url, &target.options(OpenMode::MustCreate))
        .map_err(|error| target.explain(error))?;
    let (_writer, store) = home::negotiate(&target, opened, &watch)?;
    let grant = store.grant();
    let json = InitJson {
        engine: store.engine_name(),
        home: store.home().map(|home| home.display().to_string()),
        store_id: store.stamp().map(|stamp| stamp.store.to_string()),
        caps: grant.session.caps.rows().map(|cap| cap.name).collect(),
        layers: grant.format.layers.iter().map(persist::LayerGrant::id).collect(),
        durability: grant.session.durability.name(),
    };
    home::close(&store, Ok(()))?;
    if out.is_json() {
        return out.object(&json);
    }
    out.line(format_args!("created {} ({})", json.home.unwrap_or_default(), json.engine))?;
    out.field("granted", json.caps.join(" "))?;
    out.field("layers", json.layers.join(" "))
}

/// The address with the engine in it, as `--store` or `--engine` name it.
pub(crate) fn address(store: &str, engine: Option<&str>) -> Result<String> {
    let named = scheme_of(store);
    match (named, engine) {
        (Some(named), Some(engine)) if named != engine => {
            Err(Failure::Usage(format!("--store {store} and --engine {engine} name two engines")))
        }
        (Some(_), _) => Ok(store.to_owned()),
        (None, Some(engine)) => Ok(format!("{engine}:{store}")),
        (None, None) => Ok(format!("{}:{store}", default_engine()?)),
    }
}

/// What an address names as its engine, be there such an engine or not.
pub(crate) fn scheme_of(store: &str) -> Option<&str> {
    store.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| persist_store::is_scheme(scheme))
}

/// The first engine of this build that keeps something.
pub(crate) fn default_engine() -> Result<&'static str> {
    let mut lasting = KNOWN_ENGINES.iter().filter(|known| known.present && known.feature.is_some());
    let none = || Error::new(ErrorKind::Unsupported, "init", "this build has no engine that keeps anything");
    Ok(lasting.next().map(|known| known.scheme).ok_or_else(none)?)
}
