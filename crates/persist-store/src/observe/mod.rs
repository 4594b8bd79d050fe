//! What a store tells those who watch it: figures through the `metrics` facade, spans and events through `tracing`.
//!
//! Both are facades: without a recorder and a subscriber there is nobody to tell, and a beat pays a few dozen instructions for
//! having asked. Reads are not measured at all. Names, units and labels are stable; `docs/observability.md` lists them and a
//! test compares that list with [`METRICS`] and with what is really emitted.
//!
//! For parts of the runtime: run a verb through [`verb`], and tell each error that goes to a caller by [`told`].

mod swap;
mod table;

use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder, SharedString, Unit};
use persist_api::{Error, Result};
use tracing::Span;

pub(crate) use swap::{SwapMeters, SwapStep};
pub use table::{METRICS, Metric, MetricKind, SPANS};

use crate::shared::Core;
use crate::views::ViewStats;
use table::{
    BEAT_COMMITS, BEATS, COMMIT_BYTES, COMMITS, DISK_BYTES, ERRORS, OLDEST_VIEW, REDOS, SYNC, VERB,
    VIEWS_OPEN, VIEWS_OVERDUE, VIEWS_RECALLED,
};

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
                MetricKind::Counter => recorder.describe_counter(name.into(), Some(unit), what),
                MetricKind::Gauge => recorder.describe_gauge(name.into(), Some(unit), what),
                MetricKind::Histogram => recorder.describe_histogram(name.into(), Some(unit), what),
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
    pub(crate) swap: SwapMeters,
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
            swap: SwapMeters::new(key),
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

    /// The store has left this engine: what [`figures`](Self::figures) has told of it goes to nothing. Views that are still open
    /// on it count with the store's, under the engine that the store runs on.
    pub(crate) fn left(&self) {
        self.figures(&ViewStats::default(), 0);
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
