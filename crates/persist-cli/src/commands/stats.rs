//! `persist stats`: figures of a store.

use std::collections::BTreeMap;
use std::time::Duration;

use persist::{Error, ErrorKind, HoldStat, LayerGrant, Store};
use serde::Serialize;

use crate::args::Global;
use crate::commands::stats_watch;
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::text::{hex, size};
use crate::watch::Watch;

/// What to say.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also read all records for the digest of the content
    #[arg(long)]
    digest: bool,
    /// Look at the files again every so many seconds, without opening the store, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", conflicts_with = "digest",
          value_parser = stats_watch::period)]
    watch: Option<Duration>,
}

#[derive(Serialize)]
struct StatsJson {
    engine: &'static str,
    home: Option<String>,
    store_id: Option<String>,
    epoch: Option<u64>,
    origin_id: Option<String>,
    beat: String,
    commit: String,
    beat_root: Option<String>,
    records: Option<u64>,
    bytes_on_disk: u64,
    caps: Vec<&'static str>,
    emulated: Vec<&'static str>,
    layers: Vec<String>,
    durability: &'static str,
    limits: BTreeMap<&'static str, Option<u64>>,
    engine_stats: BTreeMap<&'static str, u64>,
    /// `None` where their table cannot be read.
    holds: Option<Vec<HoldJson>>,
    digest: Option<String>,
    digest_records: Option<u64>,
    digest_bytes: Option<u64>,
}

#[derive(Serialize)]
struct HoldJson {
    name: String,
    position: String,
    commits: u64,
    bytes: u64,
    commits_max: u64,
    bytes_max: u64,
    stale: bool,
}

impl From<HoldStat> for HoldJson {
    fn from(stat: HoldStat) -> Self {
        let HoldStat { name, position, commits, bytes, options, stale } = stat;
        let (commits_max, bytes_max) = (options.commits_max, options.bytes_max);
        Self { name, position: position.to_string(), commits, bytes, commits_max, bytes_max, stale }
    }
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    if let Some(period) = args.watch {
        return stats_watch::run(period, global, out);
    }
    let watch = Watch::new(global.quiet);
    let json = home::with(global, &watch, |_, store| figures(args, store, &watch))?;
    if out.is_json() { out.object(&json) } else { print(&json, out) }
}

fn figures(args: &Args, store: &Store, watch: &Watch) -> Result<StatsJson> {
    // The figures first: views of ours are not part of them.
    let stats = store.stats()?;
    let view = store.view()?;
    let digest = if args.digest { Some(view.digest(watch)?) } else { None };
    let (grant, stamp) = (store.grant(), store.stamp());
    let session = &grant.session;
    Ok(StatsJson {
        engine: store.engine_name(),
        home: store.home().map(|home| home.display().to_string()),
        store_id: stamp.as_ref().map(|stamp| stamp.store.to_string()),
        epoch: stamp.as_ref().map(|stamp| stamp.epoch),
        origin_id: stamp.and_then(|stamp| stamp.origin).map(|origin| origin.to_string()),
        beat: stats.engine.beat.to_string(),
        commit: stats.commit.to_string(),
        beat_root: view.header().root.map(|root| hex(&root)),
        records: stats.engine.records,
        bytes_on_disk: stats.engine.bytes_on_disk,
        caps: session.caps.rows().map(|cap| cap.name).collect(),
        emulated: session.emulated.rows().map(|cap| cap.name).collect(),
        layers: grant.format.layers.iter().map(LayerGrant::id).collect(),
        durability: session.durability.name(),
        limits: session
            .limits
            .named()
            .into_iter()
            .map(|(name, limit)| (name, (limit != u64::MAX).then_some(limit)))
            .collect(),
        engine_stats: stats.engine.engine.iter().copied().collect(),
        holds: holds(store)?,
        digest: digest.map(|digest| digest.to_string()),
        digest_records: digest.map(|digest| digest.records),
        digest_bytes: digest.map(|digest| digest.bytes),
    })
}

/// Who keeps commits. A table that cannot be read hides none of the other figures.
fn holds(store: &Store) -> Result<Option<Vec<HoldJson>>, Error> {
    match store.holds() {
        Ok(holds) => Ok(Some(holds.into_iter().map(HoldJson::from).collect())),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Refused) => Ok(None),
        Err(error) => Err(error),
    }
}

fn print(stats: &StatsJson, out: &mut Out) -> Result<()> {
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    out.field("engine", stats.engine)?;
    out.field("home", text(&stats.home))?;
    out.field("store", text(&stats.store_id))?;
    if let Some(origin) = &stats.origin_id {
        out.field("copy of", origin)?;
    }
    out.field("beat", &stats.beat)?;
    out.field("commit", &stats.commit)?;
    out.field("beat root", text(&stats.beat_root))?;
    if let Some(records) = stats.records {
        out.field("records", records)?;
    }
    out.field("on disk", size(stats.bytes_on_disk))?;
    out.field("durability", stats.durability)?;
    out.field("granted", stats.caps.join(" "))?;
    out.field("layers", stats.layers.join(" "))?;
    for (name, limit) in &stats.limits {
        if let Some(limit) = limit {
            out.field(name, limit)?;
        }
    }
    for (name, figure) in &stats.engine_stats {
        out.field(name, figure)?;
    }
    print_holds(stats.holds.as_deref(), out)?;
    if let Some(digest) = &stats.digest {
        out.field("digest", digest)?;
        let records = stats.digest_records.unwrap_or_default();
        out.field(
            "content",
            format_args!("{records} records, {}", size(stats.digest_bytes.unwrap_or_default())),
        )?;
    }
    Ok(())
}

fn print_holds(holds: Option<&[HoldJson]>, out: &mut Out) -> Result<()> {
    match holds {
        None => out.field("holds", "unknown: their table cannot be read, see `persist verify`"),
        Some([]) => out.field("holds", "none"),
        Some(holds) => holds.iter().try_for_each(|hold| {
            let HoldJson { name, position, commits, .. } = hold;
            let kept = if hold.stale { "stale, keeps nothing".to_owned() } else { size(hold.bytes) };
            out.field("hold", format_args!("{name} at commit {position}, {commits} behind: {kept}"))
        }),
    }
}
