//! What is documented, what is declared and what is emitted are the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use parking_lot::Mutex;
use persist_api::{Caps, CommitNo, CompactScope, Driver, Durability, ErrorKind, Observer, Progress, Quiet};
use persist_flatfile::FlatfileDriver;
use persist_store::{
    BeatLog, BundleLimits, HoldOptions, METRICS, SPANS, Store, SwapOptions, SwapTarget, Transacted,
    ViewOptions, Writer, default_request,
};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};

use crate::kit::{drivers, fails, files, look, look_at, open_default, options, place, put, toy};
use crate::toy::{TOY_CAPS, Toy};
use crate::views::HandClock;

const DOCS: &str = include_str!("../../../../docs/observability.md");

/// Rows of a table of the documentation whose first cell begins like this.
fn quoted_rows(begin: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    DOCS.lines().filter(|line| line.starts_with(&format!("| `{begin}"))).map(cells).collect()
}

/// The same, cells without backquotes.
fn rows(begin: &str) -> Vec<Vec<String>> {
    let plain = |row: Vec<String>| row.iter().map(|cell| cell.replace('`', "")).collect();
    quoted_rows(begin).into_iter().map(plain).collect()
}

/// The words between backquotes.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// By kind and key.
type Values = Arc<Mutex<BTreeMap<(&'static str, Key), Vec<f64>>>>;

/// Remembers what it is told: kind, name and labels with their values, and the values.
#[derive(Default)]
struct Ledger {
    values: Values,
    described: Mutex<BTreeSet<(&'static str, String, Option<&'static str>)>>,
}

struct Cell {
    values: Values,
    key: (&'static str, Key),
}

impl Cell {
    fn note(&self, value: f64) {
        self.values.lock().entry(self.key.clone()).or_default().push(value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.note(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, _: u64) {
        panic!("counters are incremented");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        self.note(value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.note(value);
    }
}

impl Ledger {
    fn cell(&self, kind: &'static str, key: &Key) -> Arc<Cell> {
        Arc::new(Cell { values: Arc::clone(&self.values), key: (kind, key.clone()) })
    }

    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>) {
        let unit = unit.map(|unit| unit.as_str());
        self.described.lock().insert((kind, name.as_str().to_owned(), unit));
    }

    /// What a metric was told, in order, as bits.
    fn values(&self, name: &str) -> Vec<u64> {
        let values = self.values.lock();
        let of = values.iter().filter(|((_, key), _)| key.name() == name);
        of.flat_map(|(_, values)| values).map(|value| value.to_bits()).collect()
    }

    /// What a gauge of an engine was told last.
    #[allow(clippy::cast_sign_loss, reason = "counts, sizes and ages")]
    fn gauge(&self, name: &str, engine: &str) -> Option<u64> {
        let of = |key: &Key| key.name() == name && key.labels().any(|label| label.value() == engine);
        let values = self.values.lock();
        let mut found = values.iter().filter(|((_, key), _)| of(key)).filter_map(|(_, values)| values.last());
        found.next().map(|value| *value as u64)
    }

    /// The sum of what a metric was told, over all labels that fit.
    fn sum(&self, name: &str, label: Option<(&str, &str)>) -> f64 {
        let fits = |key: &Key| {
            key.name() == name
                && label.is_none_or(|label| key.labels().any(|it| (it.key(), it.value()) == label))
        };
        self.values.lock().iter().filter(|((_, key), _)| fits(key)).flat_map(|(_, values)| values).sum()
    }
}

impl Recorder for Ledger {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("counter", &name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("gauge", &name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("histogram", &name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell("histogram", key))
    }
}

/// Does everything that a store can be seen doing.
fn everything() {
    let (here, clock) = (place(), Arc::new(HandClock::default()));
    let able = Toy { caps: TOY_CAPS | Caps::HISTORY, ..toy() };
    let other = Toy { scheme: "other", ..able.clone() };
    let opened = look_at(&drivers(&[able, other]), &here.home, Some("toy"), &options()).unwrap();
    let mut request = default_request();
    request.required |= Caps::HISTORY;
    let (mut writer, store) = opened.with_clock(clock.clone()).negotiate(&request).unwrap();
    store.set_view_options(ViewOptions { age_max: Some(Duration::from_secs(60)) });
    put(&mut writer, &[(b"a", b"1")]);
    let mut runs = 0;
    let done = store.transact(Durability::Durable, |tx| {
        tx.get(b"a")?;
        runs += 1;
        if runs == 1 {
            put(&mut writer, &[(b"a", b"2")]);
        }
        tx.put(b"b", b"3")
    });
    assert!(matches!(done, Ok(Transacted::Committed(..))));
    let old = store.view().unwrap();
    clock.forward(Duration::from_secs(60));
    store.stats().unwrap();
    fails(old.get(b"a"), ErrorKind::Stale, &[]);
    store.sync().unwrap();
    store.view_at(store.stats().unwrap().engine.beat).unwrap();
    store.checkpoint().unwrap();
    store.compact(CompactScope::default(), &Quiet).unwrap();
    store.backup(&here.home.with_extension("copy"), &Quiet).unwrap();
    store.verify(&mut |_| {}, &Quiet).unwrap();
    swap(&store, &mut writer);
    store.close().unwrap();
}

/// A swap that is given up, and one that is done, with a commit to follow.
fn swap(store: &Store, writer: &mut Writer) {
    let (target, options) = (SwapTarget::here("other"), SwapOptions { lag_max: 0, ..SwapOptions::default() });
    store.begin_swap(&target, &options, &Quiet).unwrap().abort().unwrap();
    let mut swap = store.begin_swap(&target, &options, &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    put(writer, &[(b"c", b"4")]);
    swap.follow(&Quiet).unwrap();
    swap.verify(&Quiet).unwrap();
    swap.flip(&Quiet).unwrap();
    store.finish_swap().unwrap();
}

#[test]
fn documented_declared_and_emitted_metrics_agree() {
    let declared: Vec<Vec<String>> = METRICS
        .iter()
        .map(|it| {
            let cells = [it.name, it.kind.name(), it.unit, &it.labels.join(" "), it.what];
            cells.map(|cell| cell.replace('`', "")).to_vec()
        })
        .collect();
    assert_eq!(rows("persist_"), declared);

    let ledger = Ledger::default();
    metrics::with_local_recorder(&ledger, everything);
    let emitted: BTreeSet<(String, &str, Vec<String>)> = ledger
        .values
        .lock()
        .keys()
        .map(|(kind, key)| {
            (key.name().to_owned(), *kind, key.labels().map(|label| label.key().to_owned()).collect())
        })
        .collect();
    let expected = METRICS.iter().map(|it| {
        (it.name.to_owned(), it.kind.name(), it.labels.iter().map(|label| (*label).to_owned()).collect())
    });
    assert_eq!(emitted, expected.collect());
    let described: BTreeSet<_> =
        METRICS.iter().map(|it| (it.kind.name(), it.name.to_owned(), Some(it.unit))).collect();
    assert_eq!(*ledger.described.lock(), described);

    // Three of ours, one to follow, the hold of a swap twice, and its end once.
    assert!((ledger.sum("persist_commits_total", None) - 7.0).abs() < 0.1);
    assert!((ledger.sum("persist_beats_total", Some(("engine", "toy"))) - 7.0).abs() < 0.1);
    assert!((ledger.sum("persist_swap_records_total", Some(("engine", "toy"))) - 2.0).abs() < 0.1);
    assert!((ledger.sum("persist_swap_bytes_total", None) - 4.0).abs() < 0.1);
    assert!((ledger.sum("persist_swap_followed_total", None) - 1.0).abs() < 0.1);
    assert_eq!(ledger.values("persist_swap_state"), [0.0, 1.0, 2.0, 3.0, 4.0, 0.0].map(f64::to_bits));
    assert_eq!(ledger.values("persist_swap_lag"), [1.0, 0.0, 0.0].map(f64::to_bits));
    assert_eq!(ledger.values("persist_swap_fence_seconds").len(), 1);
    assert!((ledger.sum("persist_redos_total", None) - 1.0).abs() < 0.1);
    assert!((ledger.sum("persist_views_recalled_total", None) - 1.0).abs() < 0.1);
    assert!((ledger.sum("persist_errors_total", None) - 1.0).abs() < 0.1);
    assert!((ledger.sum("persist_errors_total", Some(("kind", "stale"))) - 1.0).abs() < 0.1);
}

/// Asks for figures at every step of a verb, and remembers how many views were open in each phase.
struct Curious<'s>(&'s Store, Mutex<BTreeMap<&'static str, BTreeSet<u64>>>);

impl Observer for Curious<'_> {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        let open = self.0.stats().unwrap().views.open;
        self.1.lock().entry(progress.phase).or_default().insert(open);
        ControlFlow::Continue(())
    }
}

#[test]
fn gauges_follow_the_store_from_engine_to_engine() {
    let here = place();
    let flatfile: Arc<dyn Driver> = Arc::new(FlatfileDriver::new(Arc::new(persist_io::RealDisk)));
    let all: Vec<_> = drivers(&[toy()]).into_iter().chain([flatfile]).collect();
    let ledger = Ledger::default();
    metrics::with_local_recorder(&ledger, || {
        let opened = look_at(&all, &here.home, Some("flatfile"), &options()).unwrap();
        let clock = Arc::new(HandClock::default());
        let (mut writer, store) = opened.with_clock(clock.clone()).negotiate(&default_request()).unwrap();
        store.set_view_options(ViewOptions { age_max: Some(Duration::from_secs(60)) });
        put(&mut writer, &[(b"a", b"1")]);
        let overdue = store.view().unwrap();
        let value = overdue.get(b"a").unwrap();
        clock.forward(Duration::from_secs(60));
        let open = store.view().unwrap();
        clock.forward(Duration::from_secs(7));
        store.stats().unwrap();
        let gauges = |engine| {
            [
                ledger.gauge("persist_views_open", engine),
                ledger.gauge("persist_oldest_view_seconds", engine),
                ledger.gauge("persist_views_overdue", engine),
                ledger.gauge("persist_disk_bytes", engine).map(|bytes| bytes.min(1)),
            ]
        };
        assert_eq!(gauges("flatfile"), [Some(1), Some(7), Some(1), Some(1)]);

        let seen = Curious(&store, Mutex::default());
        let mut swap = store.begin_swap(&SwapTarget::here("toy"), &SwapOptions::default(), &Quiet).unwrap();
        swap.copy(&seen).unwrap();
        swap.verify(&seen).unwrap();
        let counted = seen.1.into_inner();
        assert_eq!(
            counted["digest of the source"],
            BTreeSet::from([2]),
            "the swap's own is one: {counted:?}"
        );
        assert_eq!(store.stats().unwrap().views.open, 1, "it has given its own back");
        swap.flip(&Quiet).unwrap();
        assert_eq!(gauges("flatfile"), [Some(0); 4], "nobody will tell of it any more");
        store.stats().unwrap();
        assert_eq!(gauges("toy"), [Some(1), Some(7), Some(1), Some(0)], "they are open as before");
        drop((value, open));
        store.stats().unwrap();
        assert_eq!(gauges("toy"), [Some(0); 4]);
        assert_eq!(gauges("flatfile"), [Some(0); 4]);
    });
}

/// The original kept its metrics in the tree that it stored: each beat made another one necessary, for ever.
#[test]
fn cps_s4_metrics_change_nothing_in_the_store_that_they_are_of() {
    let here = place();
    let ledger = Ledger::default();
    let rounds = 8;
    metrics::with_local_recorder(&ledger, || {
        let (mut writer, store) = open_default(&here.home);
        let receipt = put(&mut writer, &[(b"a", b"1")]);
        let digest = |store: &Store| store.digest(&store.view().unwrap()).unwrap().blake3;
        let before = digest(&store);
        for _ in 0..rounds {
            store.sync().unwrap();
            store.verify(&mut |_| {}, &Quiet).unwrap();
            assert_eq!(store.stats().unwrap().engine.beat, receipt.beat);
        }
        assert_eq!(digest(&store), before);
        store.close().unwrap();
        let closed = files(&here.home);
        for _ in 0..rounds {
            let (_writer, store) = open_default(&here.home);
            assert_eq!(store.stats().unwrap().engine.beat, receipt.beat);
            store.close().unwrap();
        }
        assert_eq!(files(&here.home), closed);
    });
    assert!(ledger.values("persist_disk_bytes").len() >= 2 * rounds, "they were emitted");
    assert!((ledger.sum("persist_beats_total", None) - 1.0).abs() < 0.1);
}

#[test]
fn an_error_counts_once_however_many_doors_it_passes() {
    let here = place();
    let ledger = Ledger::default();
    metrics::with_local_recorder(&ledger, || {
        let (mut writer, store) = look(&toy(), &here.home).unwrap().negotiate(&default_request()).unwrap();
        let long = vec![0; 200_000];
        let mut log = BeatLog::new();
        log.put(&long, b"").unwrap();
        // From the transaction's verb, and from the transaction.
        fails(
            store.transact(Durability::Durable, |tx| tx.put(&long, b"")).map(|_| ()),
            ErrorKind::TooLarge,
            &[],
        );
        fails(writer.commit(&log, Durability::Durable), ErrorKind::TooLarge, &[]);
        fails(store.commit(log.clone(), Durability::Durable), ErrorKind::TooLarge, &[]);
        // Each commit of a group has its own.
        for result in writer.commit_group(&[log.clone(), log], Durability::Durable).unwrap() {
            fails(result, ErrorKind::TooLarge, &[]);
        }
        // Of the feed, and of a bundle that is not there.
        let hold = store.hold("h", HoldOptions::default()).unwrap();
        fails(store.hold("", HoldOptions::default()).map(drop), ErrorKind::Invalid, &[]);
        fails(store.hold("persist.swap", HoldOptions::default()).map(drop), ErrorKind::Invalid, &["swaps"]);
        fails(hold.advance(CommitNo(99)), ErrorKind::Invalid, &[]);
        store.find_hold("h").unwrap().unwrap().release().unwrap();
        fails(hold.feed().map(drop), ErrorKind::Stale, &[]);
        fails(store.export(&here.home.join("inside"), &Quiet), ErrorKind::Invalid, &[]);
        let missing = here.home.with_file_name("missing");
        fails(
            writer.apply(&missing, Durability::Durable, &BundleLimits::default(), &Quiet),
            ErrorKind::Io,
            &[],
        );
        store.close().unwrap();
        fails(store.view().map(drop), ErrorKind::Closed, &[]);
    });
    assert!((ledger.sum("persist_errors_total", Some(("kind", "too_large"))) - 5.0).abs() < 0.1);
    assert!((ledger.sum("persist_errors_total", Some(("kind", "invalid"))) - 4.0).abs() < 0.1);
    assert!((ledger.sum("persist_errors_total", None) - 12.0).abs() < 0.1);
}

type Spans = BTreeMap<&'static str, (Level, BTreeSet<String>)>;

thread_local! {
    /// The spans of this thread, while somebody wants them.
    static SEEN: RefCell<Option<Spans>> = const { RefCell::new(None) };
}

/// Remembers the spans of threads that want it. One for the whole process: with one for a thread, whether a span is asked
/// for at all would depend on which thread met it first.
struct Witness;

impl Subscriber for Witness {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let meta = span.metadata();
        let fields = meta.fields().iter().map(|field| field.name().to_owned());
        SEEN.with_borrow_mut(|seen| {
            if let Some(seen) = seen.as_mut().filter(|_| meta.name().starts_with("persist.")) {
                seen.entry(meta.name()).or_insert((*meta.level(), BTreeSet::new())).1.extend(fields);
            }
        });
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let name = event.metadata().name();
        assert!(
            !name.starts_with("persist.") || DOCS.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn documented_declared_and_entered_spans_agree() {
    fn sorted<T: Ord + Debug>(rows: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut rows: Vec<T> = rows.into_iter().collect();
        rows.sort();
        rows
    }
    let level = |level: Level| level.as_str().to_lowercase();
    let declared = sorted(SPANS.iter().map(|(name, at)| ((*name).to_owned(), level(*at))));
    let cells = rows("persist.").into_iter().map(|row| (row[0].clone(), row[1].clone()));
    assert_eq!(sorted(cells), declared);
    tracing::subscriber::set_global_default(Witness).unwrap();
    SEEN.set(Some(Spans::new()));
    everything();
    let seen = SEEN.take().unwrap();
    assert_eq!(sorted(seen.iter().map(|(name, (at, _))| ((*name).to_owned(), level(*at)))), declared);
    for row in quoted_rows("persist.") {
        assert_eq!(quoted(&row[2]), seen[row[0].trim_matches('`')].1, "the fields of {}", row[0]);
    }
}
