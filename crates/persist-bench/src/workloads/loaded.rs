//! What a loaded store does, whatever its size: the figures of `growth`, taken in the child that has loaded it.

use std::path::Path;
use std::time::Instant;

use super::{cache, commit, mixed, open, verify, writers};
use crate::child;
use crate::contender::{Ack, Contender, Entrant, Result, Settings, text};
use crate::limit::{RawSegment, nanoseconds};
use crate::memory::anonymous;
use crate::record::Sample;
use crate::rows::{Data, Random, VALUE_BYTES, fresh};
use crate::stats::median;

/// Openings of a loaded store, and those with a tail: medians.
const OPENS: usize = 9;
const TAILS: u64 = 3;
/// Turns of reading: medians.
const TURNS: usize = 5;
/// Durable puts by one thread and by eight.
const PUTS: usize = 1_600;

/// All figures by name, of a closed store.
pub(super) fn figures(
    entrant: &Entrant,
    home: &Path,
    data: Data,
    raw: &mut RawSegment,
) -> Result<Vec<(String, Sample)>> {
    let mut random = Random(11);
    let mut all = Vec::new();
    let mut push = |name: &str, sample| all.push((name.to_owned(), sample));
    let store = (entrant.open)(home, &Settings::USUAL)?;
    store.settle()?;
    store.close()?;
    let one = data.row(data.rows / 2);
    let open = |_| Ok(open::opened(entrant, home, &one, |_| Ok(()))?.value);
    let opens = (0..OPENS).map(open).collect::<Result<Vec<_>>>();
    push("open, closed well", Sample::bare("ms", median(&mut opens?)));
    let at_rest: f64 = child::run("rest", entrant.name, home, &[data.rows.to_string()])?;
    push("memory at rest", Sample::bare("MiB RssAnon", at_rest / f64::from(1 << 20)));
    for (name, how) in [("warm", (cache::WARM_GETS, false)), ("cold", (cache::COLD_GETS, true))] {
        let sample = cache::sample(data, &mut random, entrant, home, how)?;
        push(&format!("get, cache of 12 MiB, {name}"), sample);
    }
    let store = (entrant.open)(home, &Settings::USUAL)?;
    for (name, sample) in reads(&*store, data, &mut random)? {
        push(name, sample);
    }
    if entrant.ours {
        push("verify", verify::warm(&*store)?);
    }
    for (rows, times) in commit::SIZES {
        let batches: Vec<_> = (0..times).map(|_| fresh(&mut random, rows, VALUE_BYTES)).collect();
        push(&format!("commit of {rows}"), commit::series(&*store, raw, &batches, Ack::Durable)?);
    }
    for threads in [1, 8] {
        let rows = fresh(&mut random, PUTS, VALUE_BYTES);
        push(&format!("writers={threads}"), writers::sample(&*store, raw, &rows, threads)?);
    }
    for (name, operations, writes) in mixed::MIXES {
        let how = (operations, writes);
        let sample = mixed::sample(&*store, (raw, mixed::RAW_TIMES), (data, &mut random), how)?;
        push(&format!("mixed {name}"), sample);
    }
    store.close()?;
    let tails = (0..TAILS).map(|seed| {
        let tail = open::Tail::behind_checkpoint(open::TAIL_BEATS, seed);
        tail.write(entrant, home)?;
        Ok(tail.opened(entrant, home, |_| Ok(()))?.value)
    });
    let tails = tails.collect::<Result<Vec<_>>>();
    push("open, tail of 1000 beats", Sample::bare("ms", median(&mut tails?)));
    Ok(all)
}

/// Reads of all kinds, a few times in turn.
#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn reads(store: &dyn Contender, data: Data, random: &mut Random) -> Result<Vec<(&'static str, Sample)>> {
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..TURNS {
        let hits = data.uniform_keys(random, 20_000);
        let misses = data.absent_keys(random, 20_000);
        let skewed = data.skewed_keys(random, 20_000);
        let prefixes = data.prefixes(random, 1_000);
        let mut reader = store.reader()?;
        for (keys, times) in [&hits, &misses, &skewed].into_iter().zip(&mut times) {
            let clock = Instant::now();
            reader.gets(keys)?;
            times.push(nanoseconds(clock.elapsed()) / keys.len() as f64);
        }
        let clock = Instant::now();
        let seen = reader.scan()?;
        times[3].push(nanoseconds(clock.elapsed()) / seen.rows.max(1) as f64);
        let clock = Instant::now();
        reader.prefixes(&prefixes)?;
        times[4].push(nanoseconds(clock.elapsed()) / prefixes.len() as f64);
    }
    let units = [
        ("get", "ns"),
        ("miss", "ns"),
        ("get skewed", "ns"),
        ("scan", "ns a row"),
        ("prefix of 100 rows", "ns"),
    ];
    let sample =
        |((name, unit), times): ((_, &str), &mut Vec<f64>)| (name, Sample::bare(unit, median(times)));
    Ok(units.into_iter().zip(&mut times).map(sample).collect())
}

/// The side of a child that opens a loaded store and reads of it; prints how many bytes of memory that took.
#[allow(clippy::cast_precision_loss, reason = "bytes of a process")]
pub(crate) fn rest_child(entrant: &Entrant, home: &Path, rows: &str) -> Result<()> {
    let data = Data { rows: rows.parse().map_err(text)? };
    let keys = data.uniform_keys(&mut Random(12), 20_000);
    let before = anonymous();
    let store = (entrant.open)(home, &Settings::USUAL)?;
    store.reader()?.gets(&keys)?;
    println!("{}", anonymous().saturating_sub(before) as f64);
    store.close()
}
