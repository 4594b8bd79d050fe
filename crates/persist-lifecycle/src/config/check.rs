//! What no key can know by itself: names that refer to something, and what engines take.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use persist_api::{Driver, OpenMode, OpenOptions, nearest};

use super::setting::{Reading, join};
use super::tree::Place;
use super::{Config, StoreConfig, is_store_name};
use crate::order::{Ring, opening_order};

impl Reading {
    /// Notes a problem of a key, at its place or that of the table above it.
    fn note(&mut self, key: &str, what: impl Into<String>, near: Option<&str>) {
        let mut above = Some(key);
        let mut place = Place::Unknown;
        while let Some(known) = above {
            if let Some(found) = self.places.get(known) {
                place = found.clone();
                break;
            }
            above = known.rsplit_once('.').map(|(above, _)| above);
        }
        self.problems.add(place, key, what, near);
    }
}

/// Everything that needs no engine.
pub(crate) fn config(config: &Config, reading: &mut Reading) {
    if config.maintenance.look_every.is_zero() {
        reading.note("maintenance.look_every", "takes more than no time at all", None);
    }
    for (name, store) in &config.stores {
        let key = join("stores", name);
        if !is_store_name(name) {
            reading.note(&key, "this is no name of a store", None);
        }
        after(config, store, &key, reading);
        numbers(store, &key, reading);
    }
    if let Err(Ring(names)) = opening_order(&config.stores) {
        let first = names.first().map(String::as_str).unwrap_or_default();
        let what = format!("these stores come after each other in a ring: {}", names.join(" after "));
        reading.note(&join(&join("stores", first), "after"), what, None);
    }
    homes(config, reading);
}

fn after(config: &Config, store: &StoreConfig, key: &str, reading: &mut Reading) {
    let key = join(key, "after");
    for name in &store.after {
        match config.stores.get(name) {
            None => {
                let near = nearest(name, config.stores.keys().map(String::as_str));
                reading.note(&key, format!("there is no store {name:?}"), near);
            }
            Some(other) if store.enabled && !other.enabled => {
                reading.note(&key, format!("the store {name} is not enabled"), None);
            }
            Some(_) => {}
        }
    }
}

fn numbers(store: &StoreConfig, key: &str, reading: &mut Reading) {
    let (commit, upkeep) = (&store.commit, &store.maintenance);
    let at_least_one = [
        ("commit.queue_commits_max", commit.queue_commits_max),
        ("commit.queue_bytes_max", commit.queue_bytes_max.0),
        ("commit.beat_commits_max", commit.beat_commits_max),
        ("commit.beat_bytes_max", commit.beat_bytes_max.0),
        ("maintenance.checkpoint_bytes", upkeep.checkpoint_bytes.0.map_or(1, |bytes| bytes.0)),
        ("maintenance.compact_growth_percent", upkeep.compact_growth_percent.0.map_or(1, u64::from)),
    ];
    for (name, _) in at_least_one.iter().filter(|(_, number)| *number == 0) {
        reading.note(&join(key, name), "takes at least 1", None);
    }
    let some_time = [
        ("maintenance.checkpoint_after", upkeep.checkpoint_after.0),
        ("maintenance.compact_after", upkeep.compact_after.0),
        ("views.age_max", store.views.age_max.0),
        ("maintenance.retry_after", Some(upkeep.retry_after)),
        ("maintenance.busy_after", Some(upkeep.busy_after)),
    ];
    for (name, _) in some_time.iter().filter(|(_, time)| time.is_some_and(|time| time.is_zero())) {
        reading.note(&join(key, name), "takes more than no time at all", None);
    }
    if upkeep.retry_after_max < upkeep.retry_after {
        reading.note(&join(key, "maintenance.retry_after_max"), "takes no less than retry_after", None);
    }
}

/// No two stores lie in one directory.
fn homes(config: &Config, reading: &mut Reading) {
    let mut seen: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for (name, store) in config.stores.iter().filter(|(_, store)| store.enabled) {
        let path = store.path.clone().unwrap_or_else(|| PathBuf::from(name));
        let home = plain(&config.data_dir.join(path));
        if let Some(other) = seen.insert(home, name) {
            let key = join(&join("stores", name), "path");
            reading.note(&key, format!("the store {other} lies there"), None);
        }
    }
}

/// The path without `.` and, where something is before it, `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// What the engines say to what they are told. Each knob and size is tried alone, so that its own key can be named.
pub(crate) fn engines(config: &Config, drivers: &[Arc<dyn Driver>], reading: &mut Reading) {
    let present: Vec<&str> = drivers.iter().map(|driver| driver.scheme()).collect();
    for (name, store) in config.stores.iter().filter(|(_, store)| store.enabled) {
        let key = join("stores", name);
        let Some(engine) = &store.engine else {
            if store.mode == OpenMode::MustCreate {
                reading.note(&join(&key, "engine"), "a store that is created needs an engine", None);
            }
            continue;
        };
        let Some(driver) = drivers.iter().find(|driver| driver.scheme() == engine) else {
            let what = format!("this build has no engine {engine}, but: {}", present.join(", "));
            reading.note(&join(&key, "engine"), what, nearest(engine, present.iter().copied()));
            continue;
        };
        let mut fine = true;
        for (part, options) in alone(store) {
            if let Err(error) = driver.check(&options) {
                fine = false;
                reading.note(&join(&key, &part), error.context(), None);
            }
        }
        if let Err(error) = driver.check(&store.open_options())
            && fine
        {
            reading.note(&key, error.context(), None);
        }
        if store.mode != OpenMode::MustExist
            && let Err(error) = persist_api::negotiate(&driver.offer(&store.open_options()), &store.request())
        {
            reading.note(&join(&key, "request"), error.to_string(), None);
        }
    }
}

/// Each setting of the engine by itself.
fn alone(store: &StoreConfig) -> Vec<(String, OpenOptions)> {
    let all = store.open_options();
    let knobs = all.knobs.iter().map(|(name, value)| {
        let knobs = [(name.clone(), value.clone())].into();
        (join("knobs", name), OpenOptions { knobs, ..OpenOptions::default() })
    });
    let sizes = [
        ("cache_bytes", OpenOptions { cache_bytes: all.cache_bytes, ..OpenOptions::default() }),
        ("memory_bytes", OpenOptions { memory_bytes: all.memory_bytes, ..OpenOptions::default() }),
        ("store_bytes_max", OpenOptions { store_bytes_max: all.store_bytes_max, ..OpenOptions::default() }),
        ("views_max", OpenOptions { views_max: all.views_max, ..OpenOptions::default() }),
    ];
    knobs.chain(sizes.map(|(name, options)| (name.to_owned(), options))).collect()
}
