//! What the keys of a store mean for those who open it.

use std::path::Path;

use persist_api::{Advice, Error, ErrorKind, Limits, OpenOptions, Request};
use persist_io::Disk;
use persist_store::{CommitOptions, MovedTo, STAMP_FILE, Stamp, ViewOptions, standard_layers};

use super::{CommitConfig, Config, LimitsConfig, RequestConfig, StoreConfig};
use crate::order::opening_order;

impl Config {
    /// The names of all enabled stores in the order in which they are opened. Closing goes the other way.
    #[must_use]
    pub fn opening_order(&self) -> Vec<&str> {
        // A ring was refused by `check`; what a program has not checked is opened by name.
        opening_order(&self.stores).unwrap_or_else(|_| self.stores.keys().map(String::as_str).collect())
    }
}

impl StoreConfig {
    /// What the engine is told.
    #[must_use]
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            mode: self.mode,
            cache_bytes: self.cache_bytes.map(|bytes| bytes.0),
            memory_bytes: self.memory_bytes.map(|bytes| bytes.0),
            store_bytes_max: self.store_bytes_max.map(|bytes| bytes.0),
            views_max: self.views_max,
            close_wait: self.close_wait,
            knobs: self.knobs.clone(),
            ..OpenOptions::default()
        }
    }

    /// The engine of the store at `home`, where `engine` says another: a swap has changed it, or a store of somebody else
    /// lies there. `None` where both say the same, and where there is nothing to compare. Only reads the stamp.
    #[must_use]
    pub fn other_engine(&self, disk: &dyn Disk, home: &Path) -> Option<String> {
        let named = self.engine.as_deref()?;
        let stamp = Stamp::read(disk, home).ok().flatten()?;
        (stamp.engine != named).then_some(stamp.engine)
    }

    /// The error of an opening with these keys, with what to change in them where a swap has moved the store to another home, or
    /// where [`other_engine`](Self::other_engine) is the trouble.
    #[must_use]
    pub fn explain(&self, error: Error, disk: &dyn Disk, home: &Path) -> Error {
        if error.kind() != ErrorKind::Mismatch {
            return error;
        }
        if let Some(context) = self.moved(disk, home) {
            return error.reworded(context).with_advice(Advice::FixConfig).with_source(error);
        }
        let Some(other) = self.other_engine(disk, home) else { return error };
        let named = self.engine.as_deref().unwrap_or_default();
        let context = format!(
            "this store belongs to engine {other}, and its configuration says `engine = \"{named}\"`: if it was swapped, \
             change that key; nothing was touched"
        );
        error.reworded(context).with_advice(Advice::FixConfig).with_source(error)
    }

    /// Which keys to write for a store that a swap has moved from `home` to another one.
    fn moved(&self, disk: &dyn Disk, home: &Path) -> Option<String> {
        let MovedTo { home: to, engine, kept, .. } = MovedTo::read(disk, home).ok().flatten()?;
        let before = Stamp::read(disk, home).ok().flatten()?.engine;
        let to = to.to_str()?;
        let named = self.engine.as_deref().is_some_and(|named| named != engine);
        let named = if named { format!(" and `engine = {engine:?}`") } else { String::new() };
        let odd = !self.knobs.is_empty() && before != engine;
        let knobs = if odd { format!(", and of its `knobs` only those of {engine}") } else { String::new() };
        let new =
            if kept { String::new() } else { format!("; for a new one here, remove the file {STAMP_FILE}") };
        let context = format!(
            "a swap has moved the store that was here; to open it where it is, write `path = {to:?}`{named}{knobs} in its configuration{new}; nothing \
             was touched"
        );
        Some(context)
    }

    /// What is asked of the engine.
    #[must_use]
    pub fn request(&self) -> Request {
        Request::from(&self.request)
    }

    /// The bounds of views.
    #[must_use]
    pub fn view_options(&self) -> ViewOptions {
        ViewOptions { age_max: self.views.age_max.0 }
    }

    /// The bounds of the committer.
    #[must_use]
    pub fn commit_options(&self) -> CommitOptions {
        CommitOptions::from(&self.commit)
    }
}

impl From<&RequestConfig> for Request {
    fn from(asked: &RequestConfig) -> Self {
        let LimitsConfig { key_bytes_max, value_bytes_max, beat_bytes_max, views_max, store_bytes_max } =
            asked.at_least;
        Self {
            required: asked.required,
            preferred: asked.preferred,
            durability: asked.durability,
            durability_may_pend: asked.durability_may_pend,
            limits: Limits {
                key_bytes_max: key_bytes_max.0,
                value_bytes_max: value_bytes_max.0,
                beat_bytes_max: beat_bytes_max.0,
                views_max,
                store_bytes_max: store_bytes_max.0,
            },
            layers: standard_layers(),
        }
    }
}

impl From<&CommitConfig> for CommitOptions {
    fn from(bounds: &CommitConfig) -> Self {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            wait: bounds.wait,
            queue_commits_max: count(bounds.queue_commits_max),
            queue_bytes_max: bounds.queue_bytes_max.0,
            beat_commits_max: count(bounds.beat_commits_max),
            beat_bytes_max: bounds.beat_bytes_max.0,
            gather: bounds.gather,
            redos_max: bounds.redos_max,
            reads_bytes_max: bounds.reads_bytes_max.0,
        }
    }
}
