//! The plots: ratios with whiskers, latencies, scaling by writers, write amplification, growth.

use super::goals::OURS;
use super::summary::{self, Summary, figure, named};
use super::svg::{Log, Plot, WIDTH, colour};
use crate::record::{Record, Samples};
use crate::stats::median;
use crate::workloads::Workload;

const LEFT: f64 = 130.0;
const RIGHT: f64 = WIDTH - 60.0;

/// All plots that there are samples for, by file name.
#[must_use]
pub(crate) fn all(samples: &[(&'static Workload, Samples)]) -> Vec<(String, String)> {
    let of = |name: &str| {
        let found = samples.iter().find(|(workload, _)| workload.name == name);
        found.map(|(_, samples)| samples.records.as_slice())
    };
    let mut plots = Vec::new();
    let mut push = |name: &str, plot: Option<String>| {
        plots.extend(plot.map(|svg| (format!("{name}.svg"), svg)));
    };
    if let Some(records) = of("commit") {
        push("commit-ratio", bars(records, "Durable commit ÷ raw write and sync of as many bytes", true));
        for case in ["N=1", "N=100"] {
            push(&format!("commit-latency-{}", &case[2..]), curves(records, case));
        }
    }
    push("read", of("read").and_then(|records| bars(records, "Reading a store at rest, ns", false)));
    push("writers", of("writers").and_then(scaling));
    push("amplification", of("syscalls").and_then(amplification));
    push("open", of("open").and_then(|records| bars(records, "Opening, ms", false)));
    if let Some(records) = of("bulk") {
        let main: Vec<Record> = records.iter().filter(|record| !record.case.contains(',')).cloned().collect();
        push("bulk", bars(&main, "Bulk load, order included, ns a row", false));
    }
    push("growth", of("growth").and_then(growth));
    plots
}

/// One bar for each contender in each case, with a whisker from least to greatest.
fn bars(records: &[Record], title: &str, ratios: bool) -> Option<String> {
    let lines = summary::of(records);
    let spread = |line: &Summary| if ratios { line.ratio } else { Some(line.value) };
    let shown: Vec<(&Summary, _)> = lines.iter().filter_map(|line| Some((line, spread(line)?))).collect();
    let axis = Log::over(shown.iter().flat_map(|(_, it)| [it.min, it.max, it.median]), LEFT, RIGHT)?;
    let names = names(records);
    let cases = shown.iter().zip(shown.iter().skip(1)).filter(|(a, b)| a.0.case != b.0.case).count() + 1;
    #[allow(clippy::cast_precision_loss, reason = "a few lines")]
    let height = 50.0 + 14.0 * shown.len() as f64 + 24.0 * cases as f64 + 20.0;
    let mut plot = Plot::new(title, height);
    for tick in axis.ticks() {
        let x = axis.at(tick);
        plot.line((x, 30.0), (x, height - 24.0), "#ddd", 1.0);
        plot.words(x, height - 10.0, "middle", 10, &label(tick));
    }
    let (mut y, mut case) = (34.0, "");
    for (line, it) in &shown {
        if line.case != case {
            y += 20.0;
            case = &line.case;
            plot.words(8.0, y - 4.0, "start", 12, case);
        }
        let at = names.iter().position(|name| *name == line.engine).unwrap_or(0);
        plot.words(LEFT - 6.0, y + 9.0, "end", 11, &named(&line.engine));
        plot.bar(LEFT, y, axis.at(it.median) - LEFT, 10.0, colour(u32::try_from(at).unwrap_or(0)));
        plot.line((axis.at(it.min), y + 5.0), (axis.at(it.max), y + 5.0), "#222", 1.2);
        for end in [it.min, it.max] {
            plot.line((axis.at(end), y + 2.0), (axis.at(end), y + 8.0), "#222", 1.2);
        }
        plot.words(axis.at(it.max) + 5.0, y + 9.0, "start", 10, &figure(it.median));
        y += 14.0;
    }
    Some(plot.finish())
}

/// The share of commits that took at most so long.
fn curves(records: &[Record], case: &str) -> Option<String> {
    let of = |engine: &str| -> Option<Vec<f64>> {
        let curves: Vec<&Vec<f64>> = records
            .iter()
            .filter(|it| it.case == case && it.engine == engine && it.dropped.is_none())
            .map(|it| &it.sample.curve)
            .collect();
        let len = curves.first()?.len();
        let point =
            |at| median(&mut curves.iter().filter_map(|curve| curve.get(at).copied()).collect::<Vec<_>>());
        Some((0..len).map(point).collect())
    };
    let names = names(records);
    let shown: Vec<(&str, Vec<f64>)> = names.iter().filter_map(|name| Some((*name, of(name)?))).collect();
    let (bottom, top) = (300.0, 40.0);
    let axis = Log::over(shown.iter().flat_map(|(_, curve)| curve.iter().copied()), 60.0, WIDTH - 170.0)?;
    let mut plot =
        Plot::new(&format!("Latency of a durable commit, {case}: share of commits within so many µs"), 340.0);
    for tick in axis.ticks() {
        plot.line((axis.at(tick), top), (axis.at(tick), bottom), "#ddd", 1.0);
        plot.words(axis.at(tick), bottom + 16.0, "middle", 10, &label(tick / 1e3));
    }
    for (share, name) in [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (1.0, "100 %")] {
        let y = bottom - share * (bottom - top);
        plot.line((60.0, y), (WIDTH - 170.0, y), "#ddd", 1.0);
        plot.words(54.0, y + 4.0, "end", 10, name);
    }
    for (at, (_, curve)) in (0_u32..).zip(&shown) {
        let last = f64::from(u32::try_from(curve.len().max(2) - 1).unwrap_or(1));
        let points: Vec<(f64, f64)> = (0_u32..)
            .zip(curve)
            .map(|(step, time)| (axis.at(*time), bottom - f64::from(step) / last * (bottom - top)))
            .collect();
        plot.path(&points, colour(at));
    }
    let shown: Vec<&str> = shown.iter().map(|(name, _)| *name).collect();
    plot.legend(WIDTH - 150.0, top + 12.0, &shown);
    Some(plot.finish())
}

/// A line for each contender over the values of `x`, both axes logarithmic.
fn lines(title: &str, x_name: &str, series: &[(&str, Vec<(f64, f64)>)]) -> Option<String> {
    let (bottom, top) = (320.0, 40.0);
    let points = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let across = Log::over(points().map(|(x, _)| x), 70.0, WIDTH - 170.0)?;
    let up = Log::over(points().map(|(_, y)| y), bottom, top)?;
    let mut plot = Plot::new(title, 370.0);
    for tick in up.ticks() {
        plot.line((70.0, up.at(tick)), (WIDTH - 170.0, up.at(tick)), "#ddd", 1.0);
        plot.words(64.0, up.at(tick) + 4.0, "end", 10, &label(tick));
    }
    let mut xs: Vec<f64> = points().map(|(x, _)| x).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    for x in xs {
        plot.words(across.at(x), bottom + 16.0, "middle", 10, &label(x));
    }
    plot.words(f64::midpoint(70.0, WIDTH - 170.0), bottom + 36.0, "middle", 11, x_name);
    for (at, (_, points)) in (0_u32..).zip(series) {
        let places: Vec<(f64, f64)> = points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
        plot.path(&places, colour(at));
    }
    let names: Vec<&str> = series.iter().map(|(name, _)| *name).collect();
    plot.legend(WIDTH - 150.0, top + 12.0, &names);
    Some(plot.finish())
}

fn scaling(records: &[Record]) -> Option<String> {
    let summaries = summary::of(records);
    let names = names(records);
    let series: Vec<(&str, Vec<(f64, f64)>)> = names
        .iter()
        .map(|name| {
            let points = summaries.iter().filter(|line| line.engine == *name).filter_map(|line| {
                let writers: f64 = line.case.strip_prefix("writers=")?.parse().ok()?;
                Some((writers, 1e6 / line.value.median))
            });
            (*name, points.collect())
        })
        .collect();
    lines("Durable single puts, thousands a second", "writers", &series)
}

fn growth(records: &[Record]) -> Option<String> {
    let summaries = summary::of(records);
    let names = names(records);
    let series: Vec<(&str, Vec<(f64, f64)>)> = names
        .iter()
        .map(|name| {
            let points = summaries.iter().filter(|line| line.engine == *name).filter_map(|line| {
                let rows: f64 = line.case.strip_suffix(" rows, get")?.parse().ok()?;
                Some((rows, line.value.median))
            });
            (*name, points.collect())
        })
        .collect();
    lines("A get over the size of the store, ns", "rows", &series)
}

fn amplification(records: &[Record]) -> Option<String> {
    let chosen: Vec<Record> = records
        .iter()
        .filter(|record| record.case.ends_with(" bytes"))
        .cloned()
        .map(|record| Record { case: record.case.replace(" bytes", ""), ..record })
        .collect();
    bars(&chosen, "Bytes written for each byte of a durable commit's keys and values", false)
}

/// A number at an axis.
fn label(tick: f64) -> String {
    let text = figure(tick);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The contenders, ours first and then by name, so that each has the same colour in every plot of a run.
fn names(records: &[Record]) -> Vec<&str> {
    let mut names: Vec<&str> = records.iter().map(|record| record.engine.as_str()).collect();
    names.sort_unstable_by_key(|name| (*name != OURS, *name));
    names.dedup();
    names
}
