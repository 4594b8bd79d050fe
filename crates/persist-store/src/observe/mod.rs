//! What a store tells those who watch it: figures through the `metrics` facade, spans and events through `tracing`.
//!
//! Both are facades: without a recorder and a subscriber there is nobody to tell, and a beat pays a few dozen instructions for
//! having asked. Reads are not measured at all. Names, units and labels are stable; `docs/observability.md` lists them and a
//! test compares that list with [`METRICS`] and with what is really emitted.
//!
//! For parts of the runtime: run a verb through [`verb`], and tell each error that goes to a caller by [`told`].

use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder, SharedString, Unit};
use persist_api::{Error, Result};
use tracing::Span;

use crate::shared::Core;
use crate::views::ViewStats;

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

use MetricKind::{Counter, Gauge, Histogram};

const COMMITS: Metric =
    metric("persist_commits_total", Counter, "count", STORE, "commits that were made; at each beat");
const COMMIT_BYTES: Metric = metric(
    "persist_commit_bytes_total",
    Counter,
    "bytes",
    STORE,
    "canonical bytes of these commits, before layers; at each beat",
);
const BEATS: Metric = metric("persist_beats_total", Counter, "count", STORE, "beats that were made");
const BEAT_COMMITS: Metric =
    metric("persist_beat_commits", Histogram, "count", STORE, "commits that share a beat; at each beat");
const SYNC: Metric = metric(
    "persist_sync_seconds",
    Histogram,
    "seconds",
    STORE,
    "what the engine takes to commit a durable beat, write and sync; at each durable beat",
);
const REDOS: Metric =
    metric("persist_redos_total", Counter, "count", STORE, "transactions that were redone after a conflict");
const VERB: Metric = metric(
    "persist_verb_seconds",
    Histogram,
    "seconds",
    &["store", "engine", "verb"],
    "what sync, checkpoint, compact, backup, verify and close take; at their end, also when they fail",
);
const VIEWS_OPEN: Metric =
    metric("persist_views_open", Gauge, "count", STORE, "views that are open; at each `Store::stats`");
const OLDEST_VIEW: Metric = metric(
    "persist_oldest_view_seconds",
    Gauge,
    "seconds",
    STORE,
    "age of the oldest open view, 0 without one; at each `Store::stats`",
);
const VIEWS_OVERDUE: Metric = metric(
    "persist_views_overdue",
    Gauge,
    "count",
    STORE,
    "views that were recalled and are not given back yet; at each `Store::stats`",
);
const VIEWS_RECALLED: Metric = metric(
    "persist_views_recalled_total",
    Counter,
    "count",
    STORE,
    "views that were recalled, being past their limit of age",
);
const DISK_BYTES: Metric = metric(
    "persist_disk_bytes",
    Gauge,
    "bytes",
    STORE,
    "bytes of the engine's files; at each `Store::stats`",
);
const ERRORS: Metric = metric(
    "persist_errors_total",
    Counter,
    "count",
    &["kind", "op"],
    "errors that were returned to a caller, each once; by kind and verb (`docs/errors.md`)",
);

/// Every metric of the runtime.
pub const METRICS: [Metric; 13] = [
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
    ERRORS,
];

/// Every span of the runtime, with its level. Fields are in `docs/observability.md`.
pub const SPANS: [(&str, tracing::Level); 10] = [
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
];

static METADATA: Metadata<'static> = Metadata::new("persist", Level::INFO, Some(module_path!()));

/// Tells a recorder what the metrics mean. Called when a store opens.
pub(crate) fn describe() {
    metrics::with_recorder(|recorder| {
        for Metric { name, kind, unit, what, .. } in METRICS {
            let unit = match unit {
                "bytes" => Unit::Bytes,
                "seconds" => Unit::Seconds,
                _ => Unit::Count,
            };
            let what = SharedString::const_str(what);
            match kind {
                Counter => recorder.describe_counter(name.into(), Some(unit), what),
                Gauge => recorder.describe_gauge(name.into(), Some(unit), what),
                Histogram => recorder.describe_histogram(name.into(), Some(unit), what),
            }
        }
    });
}

/// The metrics of one store on one engine, their labels ready, so that telling nobody allocates nothing.
pub(crate) struct Meters {
    commits: Key,
    commit_bytes: Key,
    beats: Key,
    beat_commits: Key,
    sync: Key,
    redos: Key,
    views_open: Key,
    oldest_view: Key,
    views_overdue: Key,
    views_recalled: Key,
    disk_bytes: Key,
    verb: Key,
}

impl Meters {
    pub(crate) fn new(store: &str, engine: &'static str) -> Self {
        let labels = [Label::new("store", store.to_owned()), Label::from_static_parts("engine", engine)];
        let key = |metric: Metric| Key::from_parts(metric.name, labels.to_vec());
        Self {
            commits: key(COMMITS),
            commit_bytes: key(COMMIT_BYTES),
            beats: key(BEATS),
            beat_commits: key(BEAT_COMMITS),
            sync: key(SYNC),
            redos: key(REDOS),
            views_open: key(VIEWS_OPEN),
            oldest_view: key(OLDEST_VIEW),
            views_overdue: key(VIEWS_OVERDUE),
            views_recalled: key(VIEWS_RECALLED),
            disk_bytes: key(DISK_BYTES),
            verb: key(VERB),
        }
    }

    /// A beat that was made; `sync` is what committing it took, if it is durable.
    pub(crate) fn beat(&self, commits: u64, bytes: u64, sync: Option<Duration>) {
        metrics::with_recorder(|recorder| {
            count(recorder, &self.beats, 1);
            count(recorder, &self.commits, commits);
            count(recorder, &self.commit_bytes, bytes);
            #[allow(clippy::cast_precision_loss, reason = "a group has far fewer commits")]
            record(recorder, &self.beat_commits, commits as f64);
            if let Some(sync) = sync {
                record(recorder, &self.sync, sync.as_secs_f64());
            }
        });
    }

    pub(crate) fn redo(&self) {
        metrics::with_recorder(|recorder| count(recorder, &self.redos, 1));
    }

    pub(crate) fn recalled(&self, views: u64) {
        metrics::with_recorder(|recorder| count(recorder, &self.views_recalled, views));
    }

    /// Figures as they are now.
    #[allow(clippy::cast_precision_loss, reason = "counts and sizes far below 2^53")]
    pub(crate) fn figures(&self, views: &ViewStats, disk_bytes: u64) {
        metrics::with_recorder(|recorder| {
            let gauge = |key, value| recorder.register_gauge(key, &METADATA).set(value);
            gauge(&self.views_open, views.open as f64);
            gauge(&self.views_overdue, views.overdue as f64);
            gauge(&self.oldest_view, views.oldest_age.unwrap_or_default().as_secs_f64());
            gauge(&self.disk_bytes, disk_bytes as f64);
        });
    }
}

fn count(recorder: &dyn Recorder, key: &Key, by: u64) {
    recorder.register_counter(key, &METADATA).increment(by);
}

fn record(recorder: &dyn Recorder, key: &Key, value: f64) {
    recorder.register_histogram(key, &METADATA).record(value);
}

/// Runs a verb in its span and measures it. Its error counts as told.
pub(crate) fn verb<T>(
    core: &Core,
    name: &'static str,
    span: Span,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let _entered = span.entered();
    let began = core.setup.clock.now();
    let done = told(work());
    let took = core.setup.clock.now().saturating_sub(began);
    let key = core.active().meters.verb.with_extra_labels(vec![Label::from_static_parts("verb", name)]);
    metrics::with_recorder(|recorder| record(recorder, &key, took.as_secs_f64()));
    done
}

/// Counts the error that a caller is about to get. An error that passes several doors on its way out counts once.
#[inline]
pub(crate) fn told<T>(result: Result<T>) -> Result<T> {
    result.inspect_err(tell)
}

/// As [`told`], for an error by itself.
#[cold]
pub(crate) fn tell(error: &Error) {
    if error.tell() {
        let labels = [
            Label::from_static_parts("kind", error.kind().name()),
            Label::from_static_parts("op", error.op()),
        ];
        let key = Key::from_parts(ERRORS.name, labels.to_vec());
        metrics::with_recorder(|recorder| count(recorder, &key, 1));
        tracing::debug!(name: "persist.error", kind = error.kind().name(), op = error.op(), "{error}");
    }
}
