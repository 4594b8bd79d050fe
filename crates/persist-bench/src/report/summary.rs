//! Many samples of one contender in one case: median and spread, and how many count.

use crate::record::Record;
use crate::stats::Spread;

/// The contender that is not power-safe: shown for completeness, never compared.
pub(crate) const NOT_POWER_SAFE: &str = "sled";

/// How a contender is named in tables and plots.
pub(crate) fn named(engine: &str) -> String {
    if engine == NOT_POWER_SAFE { format!("{engine} (not power-safe)") } else { engine.to_owned() }
}

/// One line of a table.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    /// The case.
    pub(crate) case: String,
    /// The contender.
    pub(crate) engine: String,
    /// The unit of the figures.
    pub(crate) unit: String,
    /// The samples' figures.
    pub(crate) value: Spread,
    /// The median of their raw rows.
    pub(crate) raw: Option<f64>,
    /// Figure ÷ raw row of the same sample.
    pub(crate) ratio: Option<Spread>,
    /// Mean ÷ mean of the raw row.
    pub(crate) mean_ratio: Option<Spread>,
    /// 99th percentile ÷ that of the raw row of the same sample.
    pub(crate) p99_ratio: Option<Spread>,
    /// The 99th percentile.
    pub(crate) p99: Option<f64>,
    /// The same of the raw row.
    pub(crate) raw_p99: Option<f64>,
    /// Samples that count.
    pub(crate) kept: usize,
    /// Samples that do not.
    pub(crate) dropped: usize,
}

/// Summaries in the order in which cases and contenders appear; nothing for a contender without a sample that counts.
#[must_use]
pub(crate) fn of(records: &[Record]) -> Vec<Summary> {
    let mut order: Vec<(&str, &str)> = Vec::new();
    for record in records {
        let key = (record.case.as_str(), record.engine.as_str());
        if !order.contains(&key) {
            order.push(key);
        }
    }
    // Cases in the order of their appearance, and within them contenders in that of theirs.
    let place = |case: &str| records.iter().position(|record| record.case == case);
    order.sort_by_key(|(case, _)| place(case));
    order.into_iter().filter_map(|(case, engine)| one(records, case, engine)).collect()
}

fn one(records: &[Record], case: &str, engine: &str) -> Option<Summary> {
    let all: Vec<&Record> =
        records.iter().filter(|record| record.case == case && record.engine == engine).collect();
    let kept: Vec<&Record> = all.iter().filter(|record| record.dropped.is_none()).copied().collect();
    let spread =
        |figure: &dyn Fn(&Record) -> Option<f64>| Spread::of(kept.iter().filter_map(|record| figure(record)));
    let median = |figure: &dyn Fn(&Record) -> Option<f64>| spread(figure).map(|spread| spread.median);
    Some(Summary {
        case: case.to_owned(),
        engine: engine.to_owned(),
        unit: all.first()?.sample.unit.clone(),
        value: spread(&|record| Some(record.sample.value))?,
        raw: median(&|record| Some(record.sample.raw?.value)),
        ratio: spread(&|record| record.sample.ratio()),
        mean_ratio: spread(&|record| Some(record.sample.mean? / record.sample.raw?.mean)),
        p99_ratio: spread(&|record| Some(record.sample.p99? / record.sample.raw?.p99)),
        p99: median(&|record| record.sample.p99),
        raw_p99: median(&|record| record.sample.p99.and(Some(record.sample.raw?.p99))),
        kept: kept.len(),
        dropped: all.len() - kept.len(),
    })
}

/// The summary of one contender in one case.
#[must_use]
pub(crate) fn find(records: &[Record], case: &str, engine: &str) -> Option<Summary> {
    one(records, case, engine)
}

/// The contender of a case with the least median, and the one with the greatest.
#[must_use]
pub(crate) fn ends(records: &[Record], case: &str) -> Option<[Summary; 2]> {
    let lines = || of(records).into_iter().filter(|line| line.case == case);
    let by = |a: &Summary, b: &Summary| a.value.median.total_cmp(&b.value.median);
    Some([lines().min_by(by)?, lines().max_by(by)?])
}

/// Figure ÷ figure of two contenders or cases, round by round, so that both met the same machine.
#[must_use]
pub(crate) fn paired(records: &[Record], upper: (&str, &str), lower: (&str, &str)) -> Option<Spread> {
    let side = |(case, engine): (&'_ str, &'_ str)| -> Vec<(u32, f64)> {
        records
            .iter()
            .filter(|record| record.case == case && record.engine == engine && record.dropped.is_none())
            .map(|record| (record.round, record.sample.value))
            .collect()
    };
    let below = side(lower);
    let ratios = side(upper).into_iter().filter_map(|(round, value)| {
        let (_, other) = below.iter().find(|(other, _)| *other == round)?;
        Some(value / other)
    });
    Spread::of(ratios)
}

/// Every figure of one size of a store ÷ the median of another size. Their rounds lie too far apart to make pairs.
#[must_use]
pub(crate) fn grown(records: &[Record], large: (&str, &str), small: (&str, &str)) -> Option<Spread> {
    let value = |(case, engine)| find(records, case, engine).map(|it| it.value);
    let (large, small) = (value(large)?, value(small)?.median);
    Some(Spread { median: large.median / small, min: large.min / small, max: large.max / small })
}

/// Lines for a terminal.
#[must_use]
pub(crate) fn lines(records: &[Record]) -> Vec<String> {
    of(records)
        .into_iter()
        .map(|it| {
            let ratio = it.ratio.map_or(String::new(), |ratio| {
                format!("  ÷ raw {:>6.2} [{:.2}–{:.2}]", ratio.median, ratio.min, ratio.max)
            });
            let workload = records.first().map_or("", |record| record.workload.as_str());
            format!(
                "{workload:<9} {:<34} {:<16} {:>12} {:<10} [{}–{}]{ratio}  {} count, {} dropped",
                it.case,
                it.engine,
                figure(it.value.median),
                it.unit,
                figure(it.value.min),
                figure(it.value.max),
                it.kept,
                it.dropped,
            )
        })
        .collect()
}

/// A number with three or more significant digits and thousands apart.
#[must_use]
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 1.0 || small == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    if rest.is_empty() { out } else { format!("{out}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pressure::Pressure;
    use crate::record::Sample;

    fn record(engine: &str, round: u32, value: f64, dropped: bool) -> Record {
        Record {
            workload: "w".into(),
            case: "c".into(),
            engine: engine.into(),
            rows: 1,
            round,
            sample: Sample::bare("ns", value),
            pressure: Pressure::default(),
            dropped: dropped.then(|| "busy".into()),
        }
    }

    #[test]
    fn only_what_counts_is_summed_up_and_pairs_are_of_one_round() {
        let records = [
            record("a", 0, 10.0, false),
            record("b", 0, 5.0, false),
            record("a", 1, 1_000.0, true),
            record("b", 1, 7.0, false),
            record("a", 2, 30.0, false),
            record("b", 2, 10.0, false),
        ];
        let a = find(&records, "c", "a").unwrap();
        assert_eq!((a.value.min, a.value.max, a.kept, a.dropped), (10.0, 30.0, 2, 1));
        let pair = paired(&records, ("c", "a"), ("c", "b")).unwrap();
        assert_eq!((pair.min, pair.max), (2.0, 3.0));
        let grown = grown(&records, ("c", "a"), ("c", "b")).unwrap();
        assert_eq!((grown.min, grown.median, grown.max), (10.0 / 7.0, 30.0 / 7.0, 30.0 / 7.0));
        assert_eq!(of(&records).iter().map(|it| it.engine.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(ends(&records, "c").unwrap().map(|it| it.engine), ["b", "a"]);
        assert!(ends(&records, "d").is_none());
    }

    #[test]
    fn numbers_are_readable() {
        let shown = [0.0, 0.1234, 1.5, 12.34, 123.4, 1_234.5, 1_234_567.0, -1_234.0].map(figure);
        assert_eq!(shown, ["0.00", "0.123", "1.50", "12.3", "123", "1,234", "1,234,567", "-1,234"]);
    }
}
