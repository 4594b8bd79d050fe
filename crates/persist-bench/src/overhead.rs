//! Times: interleaved rounds, ratio of each round, median and spread.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::contender::{Ack, Contender, Entrant, Result, text};
use crate::entrants::find;
use crate::pressure;
use crate::rows::{Data, Random, VALUE_BYTES, fresh};
use crate::session::fill;
use crate::stats::median;
use crate::valgrind::{Count, Step, per_step, settings};

const DATA: Data = Data { rows: 100_000 };
const GETS_A_ROUND: usize = 20_000;
const TURNS_A_ROUND: usize = 8;
const BEATS_A_ROUND: usize = 40;
const ROWS_A_BEAT: usize = 100;
const ROUNDS_MIN: usize = 5;
const PRESSURE_MAX: f64 = 10.0;

/// The libraries that an engine of ours stands on; the engine is called `persist-` and the library's name.
const LIBRARIES: &[&str] = &[
    "lmdb",
    "sqlite",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
];

/// Both sides of one comparison: the raw library, and our interface over it.
fn sides<'e>(entrants: &'e [Entrant], library: &str) -> Result<[&'e Entrant; 2]> {
    Ok([find(entrants, library)?, find(entrants, &format!("persist-{library}"))?])
}

/// One figure of one round: nanoseconds per operation on both sides.
struct Round {
    raw: f64,
    ours: f64,
    pressure: f64,
}

/// What may not be exceeded, from the issue that asked for it.
enum Limit {
    /// So many nanoseconds over raw, or this ratio where raw takes more than 300 ns.
    Over { nanoseconds: f64, ratio_when_slow: f64 },
    /// This ratio.
    Ratio(f64),
}

/// Runs every engine and prints a table; fails when a median is beyond its limit or too few rounds were quiet.
pub(crate) fn run(entrants: &[Entrant], words: &[&str]) -> Result<()> {
    let json = words.contains(&"--json");
    let rounds = match words.iter().position(|word| *word == "--rounds") {
        None => 15,
        Some(at) => words.get(at + 1).and_then(|n| n.parse().ok()).ok_or("--rounds needs a number")?,
    };
    let mut beyond = Vec::new();
    for engine in LIBRARIES {
        let slow = if *engine == "sqlite" { 1.10 } else { 1.05 };
        let dir = tempfile::tempdir_in(".").map_err(text)?;
        let mut pair = Pair::create(sides(entrants, engine)?, dir.path())?;
        let limits = [
            ("get", Limit::Over { nanoseconds: 15.0, ratio_when_slow: slow }),
            ("scan row", Limit::Over { nanoseconds: 4.0, ratio_when_slow: slow }),
            ("durable beat of 100", Limit::Ratio(1.05)),
        ];
        for (what, limit) in limits {
            let figure = Figure::of(engine, what, &pair.series(what, rounds)?, &limit)?;
            println!("{}", if json { figure.json().to_string() } else { figure.line() });
            if !figure.within {
                beyond.push(format!("{engine} {what}"));
            }
        }
    }
    if beyond.is_empty() { Ok(()) } else { Err(format!("beyond the limit: {}", beyond.join(", "))) }
}

/// Both sides of one engine, with the same rows.
struct Pair {
    raw: Box<dyn Contender>,
    ours: Box<dyn Contender>,
    random: Random,
}

impl Pair {
    fn create(sides: [&Entrant; 2], dir: &Path) -> Result<Self> {
        let open = |entrant: &Entrant| -> Result<Box<dyn Contender>> {
            let home = dir.join(entrant.name);
            #[allow(clippy::disallowed_methods, reason = "a temporary directory of this benchmark")]
            std::fs::create_dir(&home).map_err(text)?;
            let store = (entrant.open)(&home, &settings(entrant))?;
            fill(&*store, DATA, |at| DATA.shuffled(at), &mut |_| {})?;
            store.settle()?;
            Ok(store)
        };
        let [raw, ours] = sides;
        Ok(Self { raw: open(raw)?, ours: open(ours)?, random: Random(1) })
    }

    /// Rounds until so many were quiet, or until four times as many were tried.
    fn series(&mut self, what: &str, quiet_wanted: usize) -> Result<Vec<Round>> {
        let mut series = Vec::new();
        while quiet(&series).count() < quiet_wanted && series.len() < 4 * quiet_wanted {
            series.push(self.round(what)?);
        }
        Ok(series)
    }

    /// Measures one round: both sides in turn, many times, and the median of each.
    fn round(&mut self, what: &str) -> Result<Round> {
        let before = pressure::cpu();
        let (raw, ours) = match what {
            "get" => {
                let keys = DATA.uniform_keys(&mut self.random, GETS_A_ROUND);
                self.turns(TURNS_A_ROUND, keys.len(), |_, side| side.reader()?.gets(&keys).map(drop))?
            }
            "scan row" => {
                let rows = usize::try_from(DATA.rows).map_err(text)?;
                self.turns(TURNS_A_ROUND, rows, |_, side| side.reader()?.scan().map(drop))?
            }
            _ => {
                let mut batch = || fresh(&mut self.random, ROWS_A_BEAT, VALUE_BYTES);
                let batches: Vec<_> = std::iter::repeat_with(&mut batch).take(BEATS_A_ROUND).collect();
                self.turns(BEATS_A_ROUND, 1, |turn, side| side.commit(&batches[turn], Ack::Durable))?
            }
        };
        Ok(Round { raw, ours, pressure: before.max(pressure::cpu()) })
    }

    /// The median nanoseconds of each side for one of `count` steps; which side goes first alternates, so that both meet
    /// the same machine.
    fn turns(
        &mut self,
        turns: usize,
        count: usize,
        mut work: impl FnMut(usize, &dyn Contender) -> Result<()>,
    ) -> Result<(f64, f64)> {
        let (mut raw, mut ours) = (Vec::new(), Vec::new());
        for turn in 0..turns {
            let mut time = |side: &dyn Contender, times: &mut Vec<f64>| -> Result<()> {
                let start = Instant::now();
                work(turn, side)?;
                #[allow(clippy::cast_precision_loss, reason = "a count of thousands")]
                times.push(start.elapsed().as_secs_f64() * 1e9 / count as f64);
                Ok(())
            };
            if turn.is_multiple_of(2) {
                time(&*self.raw, &mut raw)?;
                time(&*self.ours, &mut ours)?;
            } else {
                time(&*self.ours, &mut ours)?;
                time(&*self.raw, &mut raw)?;
            }
        }
        Ok((median(&mut raw), median(&mut ours)))
    }
}

/// The rounds without pressure in which the raw library ran near its best: the best quarter, so that one lucky round of a
/// disk does not make all others look disturbed.
fn quiet(series: &[Round]) -> impl Iterator<Item = &Round> {
    let mut raw: Vec<f64> = series.iter().map(|round| round.raw).collect();
    raw.sort_by(f64::total_cmp);
    let best = raw.get(raw.len() / 4).copied().unwrap_or(f64::INFINITY);
    series.iter().filter(move |round| round.pressure <= PRESSURE_MAX && round.raw <= 1.5 * best)
}

/// The quiet rounds of one figure.
struct Figure {
    engine: String,
    what: String,
    raw: f64,
    ours: f64,
    ratio: (f64, f64, f64),
    over: f64,
    rounds: usize,
    dropped: usize,
    within: bool,
}

impl Figure {
    fn of(engine: &str, what: &str, series: &[Round], limit: &Limit) -> Result<Self> {
        let all = series.len();
        let quiet: Vec<&Round> = quiet(series).collect();
        if quiet.len() < ROUNDS_MIN {
            return Err(format!(
                "{engine} {what}: only {} of {all} rounds were quiet; try again later",
                quiet.len()
            ));
        }
        let mut ratios: Vec<f64> = quiet.iter().map(|round| round.ours / round.raw).collect();
        let mut overs: Vec<f64> = quiet.iter().map(|round| round.ours - round.raw).collect();
        let raw = median(&mut quiet.iter().map(|round| round.raw).collect::<Vec<_>>());
        let ours = median(&mut quiet.iter().map(|round| round.ours).collect::<Vec<_>>());
        let (ratio, over) = (median(&mut ratios), median(&mut overs));
        let within = match limit {
            Limit::Over { nanoseconds, ratio_when_slow } => {
                over <= *nanoseconds || (raw > 300.0 && ratio <= *ratio_when_slow)
            }
            Limit::Ratio(limit) => ratio <= *limit,
        };
        Ok(Self {
            engine: engine.to_owned(),
            what: what.to_owned(),
            raw,
            ours,
            ratio: (ratio, ratios[0], ratios[ratios.len() - 1]),
            over,
            rounds: quiet.len(),
            dropped: all - quiet.len(),
            within,
        })
    }

    fn line(&self) -> String {
        let (ratio, low, high) = self.ratio;
        format!(
            "{:<8} {:<20} raw {:>10.1} ns  ours {:>10.1} ns  over {:>+8.1} ns  ratio {ratio:.3} [{low:.3}–{high:.3}]  {} rounds, {} dropped  {}",
            self.engine,
            self.what,
            self.raw,
            self.ours,
            self.over,
            self.rounds,
            self.dropped,
            if self.within { "ok" } else { "BEYOND THE LIMIT" }
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "engine": self.engine, "what": self.what, "raw_ns": self.raw, "ours_ns": self.ours, "over_ns": self.over,
            "ratio": self.ratio.0, "ratio_min": self.ratio.1, "ratio_max": self.ratio.2,
            "rounds": self.rounds, "dropped": self.dropped, "within": self.within,
        })
    }
}

/// What a step may cost over raw, in instructions, or as a ratio for libraries whose own step is long. 15 ns a get and
/// 4 ns a row are 90 and 24 instructions at 3 GHz and two instructions a cycle, which such straight code exceeds.
const GATES: [(&str, Step, f64, f64); 2] = [("get", Step::Get, 90.0, 1.05), ("scan", Step::Row, 24.0, 1.05)];

/// Counts the instructions of every engine and fails beyond the limits.
pub(crate) fn gate(entrants: &[Entrant]) -> Result<()> {
    let mut beyond = Vec::new();
    for library in LIBRARIES {
        let [raw, ours] = sides(entrants, library)?;
        for (what, step, over_max, ratio_max) in GATES {
            let ratio_max = if *library == "sqlite" { 1.10 } else { ratio_max };
            let raw = per_step(raw, Count::Instructions, step, true)?;
            let ours = per_step(ours, Count::Instructions, step, true)?;
            let (over, ratio) = (ours - raw, ours / raw);
            let within = over <= over_max || ratio <= ratio_max;
            println!(
                "{library:<8} {what:<5} raw {raw:>6.0}  ours {ours:>6.0} instructions  over {over:>4.0}  ratio {ratio:.3}  {}",
                if within { "ok" } else { "BEYOND THE LIMIT" }
            );
            if !within {
                beyond.push(format!("{library} {what}"));
            }
        }
    }
    if beyond.is_empty() { Ok(()) } else { Err(format!("beyond the limit: {}", beyond.join(", "))) }
}
