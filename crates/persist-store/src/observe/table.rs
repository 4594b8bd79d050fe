//! Names, units and labels of all that is told. They are stable.

use MetricKind::{Counter, Gauge, Histogram};

/// What kind of figure a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// As it is now.
    Gauge,
    /// A value for each event.
    Histogram,
}

impl MetricKind {
    /// The stable lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric that stores emit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its stable name.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: MetricKind,
    /// `count`, `bytes` or `seconds`.
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, and when it is emitted.
    pub what: &'static str,
}

/// Labels of figures of one store: its id (`-` for one that keeps nothing on disk) and the scheme of its engine.
const STORE: &[&str] = &["store", "engine"];

const fn metric(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    labels: &'static [&'static str],
    what: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, what }
}

pub(super) const COMMITS: Metric =
    metric("persist_commits_total", Counter, "count", STORE, "commits that were made; at each beat");
pub(super) const COMMIT_BYTES: Metric = metric(
    "persist_commit_bytes_total",
    Counter,
    "bytes",
    STORE,
    "canonical bytes of these commits, before layers; at each beat",
);
pub(super) const BEATS: Metric =
    metric("persist_beats_total", Counter, "count", STORE, "beats that were made");
pub(super) const BEAT_COMMITS: Metric =
    metric("persist_beat_commits", Histogram, "count", STORE, "commits that share a beat; at each beat");
pub(super) const SYNC: Metric = metric(
    "persist_sync_seconds",
    Histogram,
    "seconds",
    STORE,
    "what the engine takes to commit a durable beat, write and sync; at each durable beat",
);
pub(super) const REDOS: Metric =
    metric("persist_redos_total", Counter, "count", STORE, "transactions that were redone after a conflict");
pub(super) const VERB: Metric = metric(
    "persist_verb_seconds",
    Histogram,
    "seconds",
    &["store", "engine", "verb"],
    "what sync, checkpoint, compact, backup, verify and close take; at their end, also when they fail",
);
pub(super) const VIEWS_OPEN: Metric =
    metric("persist_views_open", Gauge, "count", STORE, "views that are open; at each `Store::stats`");
pub(super) const OLDEST_VIEW: Metric = metric(
    "persist_oldest_view_seconds",
    Gauge,
    "seconds",
    STORE,
    "age of the oldest open view, 0 without one; at each `Store::stats`",
);
pub(super) const VIEWS_OVERDUE: Metric = metric(
    "persist_views_overdue",
    Gauge,
    "count",
    STORE,
    "views that were recalled and are not given back yet; at each `Store::stats`",
);
pub(super) const VIEWS_RECALLED: Metric = metric(
    "persist_views_recalled_total",
    Counter,
    "count",
    STORE,
    "views that were recalled, being past their limit of age",
);
pub(super) const DISK_BYTES: Metric = metric(
    "persist_disk_bytes",
    Gauge,
    "bytes",
    STORE,
    "bytes of the engine's files; at each `Store::stats`",
);
pub(super) const SWAP_STATE: Metric = metric(
    "persist_swap_state",
    Gauge,
    "count",
    STORE,
    "what a swap of the engine is at: 0 none, 1 copy, 2 follow, 3 verify, 4 fence; at each step",
);
pub(super) const SWAP_RECORDS: Metric = metric(
    "persist_swap_records_total",
    Counter,
    "count",
    STORE,
    "records that a swap has copied; at each beat of the target",
);
pub(super) const SWAP_BYTES: Metric =
    metric("persist_swap_bytes_total", Counter, "bytes", STORE, "bytes of their keys and values");
pub(super) const SWAP_FOLLOWED: Metric = metric(
    "persist_swap_followed_total",
    Counter,
    "count",
    STORE,
    "commits that a swap has followed; at each round",
);
pub(super) const SWAP_LAG: Metric = metric(
    "persist_swap_lag",
    Gauge,
    "count",
    STORE,
    "commits that a swap has still to follow; before each round, 0 after the flip",
);
pub(super) const SWAP_FENCE: Metric = metric(
    "persist_swap_fence_seconds",
    Histogram,
    "seconds",
    STORE,
    "how long writers waited at the fence of a swap, also of one that was taken down",
);
pub(super) const ERRORS: Metric = metric(
    "persist_errors_total",
    Counter,
    "count",
    &["kind", "op"],
    "errors that were returned to a caller, each once; by kind and verb (`docs/errors.md`)",
);

/// Every metric of the runtime.
pub const METRICS: [Metric; 19] = [
    COMMITS,
    COMMIT_BYTES,
    BEATS,
    BEAT_COMMITS,
    SYNC,
    REDOS,
    VERB,
    VIEWS_OPEN,
    OLDEST_VIEW,
    VIEWS_OVERDUE,
    VIEWS_RECALLED,
    DISK_BYTES,
    SWAP_STATE,
    SWAP_RECORDS,
    SWAP_BYTES,
    SWAP_FOLLOWED,
    SWAP_LAG,
    SWAP_FENCE,
    ERRORS,
];

/// Every span of the runtime, with its level. Fields are in `docs/observability.md`.
pub const SPANS: [(&str, tracing::Level); 17] = [
    ("persist.open", tracing::Level::INFO),
    ("persist.negotiate", tracing::Level::INFO),
    ("persist.beat", tracing::Level::DEBUG),
    ("persist.view", tracing::Level::TRACE),
    ("persist.sync", tracing::Level::DEBUG),
    ("persist.checkpoint", tracing::Level::INFO),
    ("persist.compact", tracing::Level::INFO),
    ("persist.backup", tracing::Level::INFO),
    ("persist.verify", tracing::Level::INFO),
    ("persist.close", tracing::Level::INFO),
    ("persist.swap.begin", tracing::Level::INFO),
    ("persist.swap.copy", tracing::Level::INFO),
    ("persist.swap.follow", tracing::Level::INFO),
    ("persist.swap.verify", tracing::Level::INFO),
    ("persist.swap.flip", tracing::Level::INFO),
    ("persist.swap.abort", tracing::Level::INFO),
    ("persist.swap.finish", tracing::Level::INFO),
];
