//! What the engine of our own must show, and what was measured.

use super::summary::{self, NOT_POWER_SAFE, Summary, ends, find, grown, paired};
use crate::record::{Record, Samples};
use crate::rows::{KEY_BYTES, VALUE_BYTES};
use crate::stats::Spread;
use crate::workloads::{COPY, COPY_OVER_BOTH, COPY_OVER_BULK, LONGEST, PAUSE, Workload};

/// The engine that the goals are about.
pub(crate) const OURS: &str = "flatfile";
/// The runtime over it.
const STORE: &str = "store";

/// A goal with what was measured.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    /// What is compared.
    pub(crate) what: String,
    /// The bound, in words.
    pub(crate) bound: String,
    /// What the best power-safe peer gave in the same run, where that says something.
    pub(crate) peer: Option<(String, Spread)>,
    /// What was measured; `None`: not measured yet.
    pub(crate) measured: Option<Spread>,
    /// Whether the median is within the bound.
    pub(crate) reached: Option<bool>,
}

/// A bound.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(max) => value <= max,
            Self::AtLeast(min) => value >= min,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(max) => format!("≤ {max}"),
            Self::AtLeast(min) => format!("≥ {min}"),
        }
    }
}

fn goal(what: impl Into<String>, bound: Bound, unit: &str, measured: Option<Spread>) -> Goal {
    Goal {
        what: what.into(),
        bound: format!("{} {unit}", bound.words()).trim().to_owned(),
        peer: None,
        measured,
        reached: measured.map(|spread| bound.holds(spread.median)),
    }
}

/// All goals.
#[must_use]
pub(crate) fn all(samples: &[(&'static Workload, Samples)]) -> Vec<Goal> {
    let of = |name: &str| {
        let found = samples.iter().find(|(workload, _)| workload.name == name);
        found.map_or(&[][..], |(_, samples)| &samples.records[..])
    };
    let mut goals = commits(of("commit"));
    goals.extend(tails(of("commit")));
    goals.extend(runtime(of("commit"), of("read")));
    goals.extend(calls(of("syscalls")));
    goals.extend(writers(of("writers")));
    goals.extend(loads(of("bulk"), of("growth")));
    goals.extend(reads(of("read")));
    goals.extend(opens(of("open"), of("growth")));
    goals.extend(checks(of("open"), of("verify")));
    goals.extend(sizes(of("bulk"), of("growth")));
    goals.extend(swaps(of("swap"), of("bulk")));
    goals
}

fn ratio(records: &[Record], case: &str, engine: &str) -> Option<Spread> {
    find(records, case, engine)?.ratio
}

fn value(records: &[Record], case: &str, engine: &str) -> Option<Spread> {
    Some(find(records, case, engine)?.value)
}

/// The rivals of a run that sync what they acknowledge.
fn rivals(records: &[Record]) -> Vec<&str> {
    let mut names: Vec<&str> = records.iter().map(|record| record.engine.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| {
        let of_ours = *name == OURS
            || *name == "memory"
            || ["persist-", STORE].iter().any(|ours| name.starts_with(ours));
        !of_ours && *name != NOT_POWER_SAFE
    });
    names
}

/// The rival with the least figure.
fn best(records: &[Record], figure: impl Fn(&str) -> Option<Spread>) -> Option<(String, Spread)> {
    let all = rivals(records).into_iter().filter_map(|name| Some((name.to_owned(), figure(name)?)));
    all.min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))
}

fn commits(records: &[Record]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (rows, max) in [(1, 1.10), (10, 1.10), (100, 1.20), (1_000, 1.50)] {
        for mark in ["", " with root"] {
            let case = format!("N={rows}{mark}");
            let measured = ratio(records, &case, OURS);
            let mut line = goal(format!("durable commit ÷ raw, {case}"), Bound::AtMost(max), "", measured);
            if mark.is_empty() {
                line.peer = best(records, |name| ratio(records, &case, name));
            } else {
                (line.bound, line.reached) = ("for information".to_owned(), None);
            }
            goals.push(line);
        }
    }
    for (rows, max) in [(1, 1.10), (100, 1.20)] {
        let case = format!("N={rows} fresh store");
        let measured = ratio(records, &case, OURS);
        let mut line = goal(format!("durable commit ÷ raw, {case}"), Bound::AtMost(max), "", measured);
        line.peer = best(records, |name| ratio(records, &case, name));
        goals.push(line);
    }
    goals
}

/// What a median hides.
fn tails(records: &[Record]) -> Vec<Goal> {
    let lines = ["N=1", "N=10", "N=100", "N=1000"].map(|case| {
        let summary = find(records, case, OURS);
        let mean = summary.as_ref().and_then(|it| it.mean_ratio);
        let p99 = summary.and_then(|it| it.p99_ratio);
        [
            goal(format!("durable commit, mean ÷ raw mean, {case}"), Bound::AtMost(1.3), "", mean),
            goal(format!("durable commit, p99 ÷ raw p99, {case}"), Bound::AtMost(1.5), "", p99),
        ]
    });
    lines.concat()
}

/// What the runtime costs over its engine.
fn runtime(commit: &[Record], read: &[Record]) -> Vec<Goal> {
    let over = |records: &[Record], case: &str| paired(records, (case, STORE), (case, OURS));
    let commits =
        ["N=1", "N=10", "N=100", "N=1000"].map(|case| (format!("commit, {case}"), over(commit, case)));
    let reads = ["get", "scan"].map(|case| (case.to_owned(), over(read, case)));
    let line = |(what, measured): (String, Option<Spread>)| {
        let mut line =
            goal(format!("the runtime's time ÷ its engine's, {what}"), Bound::AtMost(1.0), "", measured);
        (line.bound, line.reached) = ("for information".to_owned(), None);
        line
    };
    commits.into_iter().chain(reads).map(line).collect()
}

/// Recovery without a checkpoint, and checking all bytes.
fn checks(open: &[Record], verify: &[Record]) -> Vec<Goal> {
    let speed = |beats: u32, rows: u32| {
        let time = value(open, &format!("killed after {beats} beats of {rows}"), OURS)?;
        let rows = f64::from(beats * rows);
        let speed = |milliseconds: f64| rows / milliseconds / 1e3;
        Some(Spread { median: speed(time.median), min: speed(time.max), max: speed(time.min) })
    };
    #[allow(clippy::cast_precision_loss, reason = "116")]
    let row = (KEY_BYTES + VALUE_BYTES) as f64;
    let bytes = |it: Spread| {
        let [median, min, max] = [it.median, it.min, it.max].map(|millions| millions * row / 1e3);
        Spread { median, min, max }
    };
    vec![
        goal("recovery of beats of 100 rows", Bound::AtLeast(12.0), "M rows/s", speed(2_000, 100)),
        goal(
            "recovery of beats of 100 rows, payload",
            Bound::AtLeast(2.0),
            "GB/s",
            speed(2_000, 100).map(bytes),
        ),
        goal("recovery of beats of 1 row", Bound::AtLeast(5.0), "M rows/s", speed(50_000, 1)),
        goal("verify, warm", Bound::AtLeast(8.0), "GB/s", value(verify, "warm", OURS)),
        goal(
            "verify, cold ÷ reading the same files, time",
            Bound::AtMost(1.05),
            "",
            ratio(verify, "cold", OURS),
        ),
    ]
}

fn calls(records: &[Record]) -> Vec<Goal> {
    let line = |what: &str, case: &str, max| {
        let mut line = goal(what, Bound::AtMost(max), "", value(records, case, OURS));
        line.peer = best(records, |name| value(records, case, name));
        line
    };
    vec![
        line("syncs a commit, N=100", "N=100 syncs", 1.0),
        line("writes a commit, N=100", "N=100 writes", 1.0),
        line("bytes ÷ payload, N=100", "N=100 bytes", 1.08),
    ]
}

fn writers(records: &[Record]) -> Vec<Goal> {
    // The samples are nanoseconds a put, so that a gain is the slower over the faster.
    let gain = |name: &str| paired(records, ("writers=1", name), ("writers=8", name));
    let against = paired(records, ("writers=8", "rocksdb"), ("writers=8", OURS));
    let mut alone = goal("8 writers ÷ 1 writer", Bound::AtLeast(4.0), "", gain(OURS));
    alone.peer = gain("rocksdb").map(|gain| ("rocksdb".to_owned(), gain));
    let group = goal("8 writers ÷ 1 writer, the runtime's committer", Bound::AtLeast(4.0), "", gain(STORE));
    let nearest = best(records, |name| paired(records, ("writers=8", name), ("writers=8", STORE)));
    let (nearest, ahead) =
        nearest.map_or(("best rival".to_owned(), None), |(name, ahead)| (name, Some(ahead)));
    let ahead = goal(format!("8 writers, time of {nearest} ÷ the runtime's"), Bound::AtLeast(1.0), "", ahead);
    let lone = paired(records, ("writers=1", STORE), ("writers=1", OURS));
    vec![
        alone,
        goal("8 writers ÷ RocksDB's 8 writers", Bound::AtLeast(1.5), "", against),
        group,
        ahead,
        goal("a lone blocking writer, runtime ÷ engine alone", Bound::AtMost(1.05), "", lone),
    ]
}

fn loads(bulk: &[Record], growth: &[Record]) -> Vec<Goal> {
    let peer = best(bulk, |name| value(bulk, "random", name));
    let against = peer.as_ref().and_then(|(name, _)| paired(bulk, ("random", name), ("random", OURS)));
    let mut load =
        goal("bulk load, random keys, order included ÷ best peer's speed", Bound::AtLeast(3.0), "", against);
    load.peer = peer.map(|(name, spread)| (format!("{name}, ns a row"), spread));
    let rows =
        |spread: Spread| Spread { median: 1e3 / spread.median, min: 1e3 / spread.max, max: 1e3 / spread.min };
    let speed = value(bulk, "random", OURS).map(rows);
    let tenfold = grown(growth, ("10000000 rows", OURS), ("1000000 rows", OURS));
    let tenfold =
        tenfold.map(|it| Spread { median: it.median * 10.0, min: it.min * 10.0, max: it.max * 10.0 });
    vec![
        load,
        goal("bulk load, random keys, order included", Bound::AtLeast(1.5), "M rows/s", speed),
        goal("time of 10 M rows ÷ 1 M rows", Bound::AtMost(12.0), "", tenfold),
    ]
}

fn reads(records: &[Record]) -> Vec<Goal> {
    let ours_over = |case: &str| paired(records, (case, OURS), (case, "lmdb"));
    let theirs_over = |case: &str| paired(records, (case, "lmdb"), (case, OURS));
    let floor = |case: &str| ratio(records, case, OURS);
    let scan_floor =
        floor("scan").map(|it| Spread { median: 1.0 / it.median, min: 1.0 / it.max, max: 1.0 / it.min });
    vec![
        goal("get ÷ LMDB's time", Bound::AtMost(1.0), "", ours_over("get")),
        goal("get ÷ boxed hash map in memory", Bound::AtMost(2.5), "", floor("get")),
        goal("scan ÷ LMDB's speed", Bound::AtLeast(1.3), "", theirs_over("scan")),
        goal("scan ÷ BTreeMap's speed", Bound::AtLeast(1.0), "", scan_floor),
        goal("prefix of 100 rows ÷ LMDB's time", Bound::AtMost(1.0), "", ours_over("prefix of 100 rows")),
        goal("miss ÷ hit", Bound::AtMost(1.0), "", paired(records, ("miss", OURS), ("get", OURS))),
    ]
}

fn opens(open: &[Record], growth: &[Record]) -> Vec<Goal> {
    let tail = "checkpoint and a tail of 1000 beats";
    let clean = "closed well";
    let mut with_tail = goal(
        "open with a checkpoint and a tail of 1,000 beats",
        Bound::AtMost(10.0),
        "ms",
        value(open, tail, OURS),
    );
    with_tail.peer = best(open, |name| value(open, tail, name));
    let mut closed = goal("open, closed well", Bound::AtMost(10.0), "ms", value(open, clean, OURS));
    closed.peer = best(open, |name| value(open, clean, name));
    let over_sizes = |what: &str| {
        let at = |rows: &str| format!("{rows} rows, open, {what}");
        let growth = grown(growth, (&at("10000000"), OURS), (&at("1000000"), OURS));
        goal(format!("open of 10 M rows ÷ 1 M rows, {what}"), Bound::AtMost(1.1), "", growth)
    };
    vec![with_tail, closed, over_sizes(clean), over_sizes("tail of 1000 beats")]
}

fn sizes(bulk: &[Record], growth: &[Record]) -> Vec<Goal> {
    let disk = "random, disk after compaction";
    let mut kept = goal(
        "allocated blocks after compaction ÷ keys + values",
        Bound::AtMost(1.10),
        "",
        value(bulk, disk, OURS),
    );
    kept.peer = best(bulk, |name| value(bulk, disk, name));
    let memory = value(growth, "10000000 rows, peak memory", OURS);
    let mut peak = goal("peak RssAnon of a load of 10 M rows", Bound::AtMost(256.0), "MiB", memory);
    peak.peer = best(growth, |name| value(growth, "10000000 rows, peak memory", name));
    let memory = value(growth, "1000000 rows, memory at rest", OURS);
    let rest = goal("RssAnon of an open store of 1 M rows, after gets", Bound::AtMost(48.0), "MiB", memory);
    vec![kept, peak, rest]
}

/// The copies of the pair of engines that come least near to the rate of the bulk load of the target, in parts of that.
fn slowest_copy(records: &[Record], bulk: &[Record]) -> Option<Summary> {
    let parts = summary::of(records).into_iter().filter(|it| it.case == COPY).filter_map(|copy| {
        let load = value(bulk, "random", copy.engine.rsplit('→').next()?)?.median;
        let Spread { median, min, max } = copy.value;
        Some(Summary { value: Spread { median: load / median, min: load / max, max: load / min }, ..copy })
    });
    parts.min_by(|a, b| a.value.median.total_cmp(&b.value.median))
}

/// Each figure is of the pair of engines whose median is the worst, and names it.
fn swaps(records: &[Record], bulk: &[Record]) -> Vec<Goal> {
    let least = |case| ends(records, case).map(|[least, _]| least);
    let most = |case| ends(records, case).map(|[_, most]| most);
    let line = |what: &str, bound, unit, worst: Option<Summary>| {
        let pair = worst.as_ref().map_or(String::new(), |it| format!(", {}", it.engine));
        goal(format!("{what}, worst pair{pair}"), bound, unit, worst.map(|it| it.value))
    };
    let rows = records.first().map_or(1_000_000, |record| record.rows);
    let pause = format!("longest writer pause of a swap of {rows} rows, 4 writers and 4 readers");
    let told = |line: Goal| Goal { bound: "for information, ms".to_owned(), reached: None, ..line };
    let longest = line("longest commit during a swap", Bound::AtMost(50.0), "ms", most(LONGEST));
    let loaded = "copy of a swap ÷ bulk load of the target, random keys, order included";
    let loaded = line(loaded, Bound::AtLeast(0.7), "", slowest_copy(records, bulk));
    let in_order = "copy of a swap ÷ load of the target in the order of keys, order not waited for";
    let speed = line(in_order, Bound::AtLeast(0.7), "", least(COPY_OVER_BULK));
    let both = line(
        "copy of a swap ÷ scan of the source and bulk load of the target",
        Bound::AtMost(1.2),
        "",
        most(COPY_OVER_BOTH),
    );
    let any = |case: &str| {
        let counted = records.iter().filter(|it| it.case == case && it.dropped.is_none());
        let most = counted.map(|it| it.sample.value).reduce(f64::max)?;
        Some(Spread { median: most, min: most, max: most })
    };
    let any_commit = "the longest commit of all swaps of all pairs";
    vec![
        line(&pause, Bound::AtMost(50.0), "ms", most(PAUSE)),
        goal("the longest of all swaps of all pairs", Bound::AtMost(50.0), "ms", any(PAUSE)),
        told(longest),
        told(goal(any_commit, Bound::AtMost(50.0), "ms", any(LONGEST))),
        loaded,
        speed,
        both,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pressure::Pressure;
    use crate::record::{Raw, Sample};

    fn record(case: &str, engine: &str, round: u32, sample: Sample) -> Record {
        Record {
            workload: "w".into(),
            case: case.into(),
            engine: engine.into(),
            rows: 1,
            round,
            sample,
            pressure: Pressure::default(),
            dropped: None,
        }
    }

    fn measured(goals: &[Goal], what: &str) -> Goal {
        goals.iter().find(|goal| goal.what.contains(what)).unwrap().clone()
    }

    #[test]
    fn the_99th_percentile_is_compared_round_by_round() {
        let round = |round, p99, raw_p99| {
            let raw = Raw { p99: raw_p99, ..Raw::of_pair(1.0, 1.0) };
            record("N=1", OURS, round, Sample { p99: Some(p99), ..Sample::beside("ns", 1.0, raw) })
        };
        // The medians, 20 and 10, are of different rounds.
        let records = [round(0, 20.0, 20.0), round(1, 30.0, 10.0), round(2, 9.0, 6.0)];
        let p99 = measured(&tails(&records), "p99 ÷ raw p99, N=1").measured.unwrap();
        assert_eq!((p99.median, p99.min, p99.max), (1.5, 1.0, 3.0));
    }

    #[test]
    fn of_swaps_the_longest_commit_of_all_is_told() {
        let one = |engine, round, value| record(LONGEST, engine, round, Sample::bare("ms", value));
        let mut records = vec![one("a→b", 0, 40.0), one("a→b", 1, 41.0), one("b→a", 0, 10.0)];
        records.extend([one("b→a", 1, 70.0), one("b→a", 2, 12.0), one("b→a", 3, 900.0)]);
        records.last_mut().unwrap().dropped = Some("busy".into());
        let line = measured(&swaps(&records, &[]), "the longest commit of all swaps");
        assert_eq!(line.measured.map(|it| it.median), Some(70.0));
        assert_eq!((&*line.bound, line.reached), ("for information, ms", None));
    }

    #[test]
    fn a_copy_stands_beside_the_bulk_load_of_its_target() {
        let copies = [("a→b", 100.0), ("b→a", 100.0), ("b→c", 1.0)];
        let copies = copies.map(|(pair, ns)| record(COPY, pair, 0, Sample::bare("ns a row", ns)));
        let loads = [("a", 60.0), ("b", 80.0)];
        let loads = loads.map(|(engine, ns)| record("random", engine, 0, Sample::bare("ns a row", ns)));
        let line = measured(&swaps(&copies, &loads), "bulk load of the target, random keys");
        assert!(line.what.ends_with("worst pair, b→a"), "{}", line.what);
        assert_eq!((line.measured.map(|it| it.median), line.reached), (Some(0.6), Some(false)));
    }

    #[test]
    fn opening_ten_times_as_many_rows_may_not_be_slower() {
        let open = |rows: &str, value| {
            record(&format!("{rows} rows, open, closed well"), OURS, 0, Sample::bare("ms", value))
        };
        let reached = |ten: f64| {
            let goals = opens(&[], &[open("1000000", 1.0), open("10000000", ten)]);
            measured(&goals, "10 M rows ÷ 1 M rows, closed well").reached
        };
        assert_eq!([1.1, 1.2].map(reached), [Some(true), Some(false)]);
    }
}
