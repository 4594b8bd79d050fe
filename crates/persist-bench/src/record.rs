//! What is measured, as lines of JSON: the first line of a file tells the run, each other line one sample.

use std::path::Path;

use persist_io::{RealDisk, replace};
use serde::{Deserialize, Serialize};

use crate::contender::{Result, text};
use crate::pressure::Pressure;

/// One sample: one contender in one round of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The workload, as `commit`.
    pub(crate) workload: String,
    /// Which of its cases, as `N=100`.
    pub(crate) case: String,
    /// The contender.
    pub(crate) engine: String,
    /// Rows in the store at the beginning.
    pub(crate) rows: u64,
    /// The round, from 0. Samples of one round were taken in turn.
    pub(crate) round: u32,
    /// What was measured.
    #[serde(flatten)]
    pub(crate) sample: Sample,
    /// What else the machine did.
    pub(crate) pressure: Pressure,
    /// Why the sample does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<String>,
}

/// A figure, with the physical limit or the floor beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The unit of `value` and of what is like it.
    pub(crate) unit: String,
    /// The median of a series, or the one figure.
    pub(crate) value: f64,
    /// The mean of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mean: Option<f64>,
    /// The 99th percentile of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p99: Option<f64>,
    /// The raw row, taken right before and right after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) raw: Option<Raw>,
    /// Quantiles of the series in steps of 2 %, for plots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) curve: Vec<f64>,
}

/// The raw row of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Raw {
    /// Median, or the mean of before and after.
    pub(crate) value: f64,
    /// The mean of the series.
    pub(crate) mean: f64,
    /// The 99th percentile of the series.
    pub(crate) p99: f64,
    /// Before.
    pub(crate) before: f64,
    /// After.
    pub(crate) after: f64,
}

impl Raw {
    /// Of two single figures.
    #[must_use]
    pub(crate) fn of_pair(before: f64, after: f64) -> Self {
        let value = f64::midpoint(before, after);
        Self { value, mean: value, p99: before.max(after), before, after }
    }

    /// Of two series.
    #[must_use]
    pub(crate) fn of_series(before: Vec<f64>, after: Vec<f64>) -> Self {
        let (mut first, mut second) = (before.clone(), after.clone());
        let all = crate::stats::sorted([before, after].concat());
        Self {
            value: crate::stats::quantile(&all, 0.5),
            mean: crate::stats::mean(&all),
            p99: crate::stats::quantile(&all, 0.99),
            before: crate::stats::median(&mut first),
            after: crate::stats::median(&mut second),
        }
    }
}

impl Sample {
    /// One figure without a raw row.
    #[must_use]
    pub(crate) fn bare(unit: &str, value: f64) -> Self {
        Self { unit: unit.to_owned(), value, mean: None, p99: None, raw: None, curve: Vec::new() }
    }

    /// One figure between two raw ones.
    #[must_use]
    pub(crate) fn beside(unit: &str, value: f64, raw: Raw) -> Self {
        Self { raw: Some(raw), ..Self::bare(unit, value) }
    }

    /// A series between two raw series.
    #[must_use]
    pub(crate) fn of_series(unit: &str, series: Vec<f64>, raw: Raw) -> Self {
        let series = crate::stats::sorted(series);
        let quantile = |share| crate::stats::quantile(&series, share);
        Self {
            mean: Some(crate::stats::mean(&series)),
            p99: Some(quantile(0.99)),
            curve: (0..=50).map(|step| quantile(f64::from(step) / 50.0).round()).collect(),
            ..Self::beside(unit, quantile(0.5), raw)
        }
    }

    /// The figure divided by its raw row.
    #[must_use]
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.raw.map(|raw| self.value / raw.value).filter(|ratio| ratio.is_finite())
    }
}

/// What a file of samples begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Days and time of the start, in UTC.
    pub(crate) started: String,
    /// The plan: `quick`, `default` or `full`.
    pub(crate) plan: String,
    /// The version of the source, where git knows.
    pub(crate) source: String,
    /// CPU, number of CPUs, kernel, file system.
    pub(crate) machine: String,
    /// Load of the last minute at the start.
    pub(crate) load: f64,
    /// Who took part, with their settings.
    pub(crate) entrants: Vec<(String, String)>,
    /// Versions of the libraries that contenders come from, and of their bindings.
    #[serde(default)]
    pub(crate) versions: Vec<(String, String)>,
}

/// A run's samples of one workload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    /// The run.
    pub(crate) run: Run,
    /// Its samples, those that do not count among them.
    pub(crate) records: Vec<Record>,
}

impl Samples {
    /// Writes `<workload>.jsonl`.
    ///
    /// # Errors
    /// A sentence of the system.
    pub(crate) fn write(&self, dir: &Path, workload: &str) -> Result<()> {
        let mut lines = serde_json::to_string(&self.run).map_err(text)?;
        for record in &self.records {
            lines.push('\n');
            lines.push_str(&serde_json::to_string(record).map_err(text)?);
        }
        lines.push('\n');
        persist_io::create_dir_durably(&RealDisk, dir).map_err(text)?;
        replace(&RealDisk, &dir.join(format!("{workload}.jsonl")), lines.as_bytes()).map_err(text)
    }

    /// Reads `<workload>.jsonl`; `None` when there is none.
    ///
    /// # Errors
    /// A sentence naming the file and the line.
    pub(crate) fn read(dir: &Path, workload: &str) -> Result<Option<Self>> {
        let path = dir.join(format!("{workload}.jsonl"));
        let Ok(all) = std::fs::read_to_string(&path) else { return Ok(None) };
        let bad = |line: usize, error| format!("{}: line {line}: {error}", path.display());
        let mut lines = all.lines();
        let run = serde_json::from_str(lines.next().unwrap_or_default()).map_err(|error| bad(1, error))?;
        let records = lines
            .enumerate()
            .map(|(at, line)| serde_json::from_str(line).map_err(|error| bad(at + 2, error)))
            .collect::<Result<_>>()?;
        Ok(Some(Self { run, records }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let run = Run {
            started: "now".into(),
            plan: "quick".into(),
            source: "abc".into(),
            machine: "m".into(),
            load: 0.5,
            entrants: vec![("lmdb".into(), "settings".into())],
            versions: vec![("heed".into(), "0.22.1".into())],
        };
        let raw = Raw::of_series(vec![1.0, 2.0], vec![3.0]);
        let record = Record {
            workload: "commit".into(),
            case: "N=1".into(),
            engine: "lmdb".into(),
            rows: 5,
            round: 2,
            sample: Sample::of_series("ns", vec![4.0, 2.0, 6.0], raw),
            pressure: Pressure::default(),
            dropped: Some("busy".into()),
        };
        assert_eq!(record.sample.ratio(), Some(2.0));
        let samples = Samples { run, records: vec![record] };
        samples.write(dir.path(), "commit").unwrap();
        assert_eq!(Samples::read(dir.path(), "commit").unwrap(), Some(samples));
        assert_eq!(Samples::read(dir.path(), "scan").unwrap(), None);
    }
}
