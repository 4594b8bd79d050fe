//! `persist engines`: what the engines of this build offer, side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use persist::{Caps, KNOWN_ENGINES, Offer, OpenOptions, REGISTRY};
use persist_api::CapOwner;
use serde::Serialize;

use crate::fail::Result;
use crate::out::Out;
use crate::text::size;

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct EngineJson {
    engine: &'static str,
    about: &'static str,
    present: bool,
    feature: Option<&'static str>,
    library: Option<String>,
    format: Option<u32>,
    durability: Option<&'static str>,
    caps: Option<Vec<&'static str>>,
    limits: Option<BTreeMap<&'static str, Option<u64>>>,
}

pub(crate) fn run(_: &Args, out: &mut Out) -> Result<()> {
    let drivers = persist::drivers();
    let offers: Vec<Offer> = drivers.iter().map(|driver| driver.offer(&OpenOptions::default())).collect();
    if out.is_json() {
        for known in KNOWN_ENGINES {
            let offer = offers.iter().find(|offer| offer.engine == known.scheme);
            out.object(&EngineJson {
                engine: known.scheme,
                about: known.about,
                present: offer.is_some(),
                feature: known.feature,
                library: offer.map(|offer| offer.library.clone()),
                format: offer.map(|offer| offer.format),
                durability: offer.map(|offer| offer.durability_max().name()),
                caps: offer.map(|offer| offer.caps.rows().map(|cap| cap.name).collect()),
                limits: offer.map(limits_json),
            })?;
        }
        return Ok(());
    }
    matrix(&offers, out)
}

/// Limits by name; none where there is no bound.
fn limits_json(offer: &Offer) -> BTreeMap<&'static str, Option<u64>> {
    let named = offer.limits.named().into_iter();
    named.map(|(name, limit)| (name, (limit != u64::MAX).then_some(limit))).collect()
}

fn matrix(offers: &[Offer], out: &mut Out) -> Result<()> {
    let width = offers.iter().map(|offer| offer.library.chars().count()).max().unwrap_or(0).max(10);
    let mut row = |name: &str, cell: &dyn Fn(&Offer) -> String| {
        let mut line = format!("{name:<16}");
        for offer in offers {
            let _ = write!(line, "  {:<width$}", cell(offer));
        }
        out.line(line.trim_end())
    };
    row("", &|offer| offer.engine.to_owned())?;
    row("library", &|offer| offer.library.clone())?;
    row("durability", &|offer| offer.durability_max().to_string())?;
    let offerable = |owner| matches!(owner, CapOwner::Engine | CapOwner::EngineOrLayer);
    let any = offers.iter().fold(Caps::empty(), |any, offer| any | offer.caps);
    for cap in REGISTRY.iter().filter(|cap| offerable(cap.owner) && any.contains(cap.bit)) {
        row(cap.name, &|offer| if offer.caps.contains(cap.bit) { "yes" } else { "-" }.to_owned())?;
    }
    row("key", &|offer| bound(offer.limits.key_bytes_max))?;
    row("value", &|offer| bound(offer.limits.value_bytes_max))?;
    row("beat", &|offer| bound(offer.limits.beat_bytes_max))?;
    row("store", &|offer| bound(offer.limits.store_bytes_max))?;
    row("views", &|offer| match offer.limits.views_max {
        u64::MAX => "no bound".to_owned(),
        views => views.to_string(),
    })?;
    for known in KNOWN_ENGINES.iter().filter(|known| !known.present) {
        let feature = known.feature.unwrap_or_default();
        out.line(format_args!("\n{} is not in this build: enable feature `{feature}`", known.scheme))?;
    }
    Ok(())
}

fn bound(bytes: u64) -> String {
    if bytes == u64::MAX { "no bound".to_owned() } else { size(bytes) }
}
