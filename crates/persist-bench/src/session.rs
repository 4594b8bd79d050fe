//! A run: who takes part, how much is measured, the loaded stores, and where the samples go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::contender::{Ack, Contender, Entrant, Result, Settings, text};
use crate::floor::Floor;
use crate::limit::RawSegment;
use crate::pressure::Meter;
use crate::record::Record;
use crate::rows::{Data, Random, Row};

/// Rows a transaction of a bulk load holds.
pub(crate) const LOAD_ROWS: usize = 10_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Its name.
    pub(crate) name: &'static str,
    /// Rows in the stores that are read and written.
    pub(crate) rows: u64,
    /// Good samples wanted of each contender and case.
    pub(crate) rounds: usize,
    /// Steps of one sample, relative to the usual number.
    pub(crate) effort: f64,
    /// Sizes that growth is shown over; 0 for none.
    pub(crate) growth: [u64; 3],
    /// Good samples of each size.
    pub(crate) growth_rounds: usize,
    /// Samples from bad moments do not count. Without, a run says nothing; for trying the benchmarks on a busy machine.
    pub(crate) gated: bool,
}

impl Plan {
    /// Minutes: to see that all works.
    pub(crate) const QUICK: Self = Self {
        name: "quick",
        rows: 100_000,
        rounds: 5,
        effort: 0.25,
        growth: [10_000, 100_000, 0],
        growth_rounds: 1,
        gated: true,
    };
    /// The usual one.
    pub(crate) const DEFAULT: Self = Self {
        name: "default",
        rows: 1_000_000,
        rounds: 7,
        effort: 1.0,
        growth: [100_000, 1_000_000, 0],
        growth_rounds: 3,
        gated: true,
    };
    /// Hours: what is published.
    pub(crate) const FULL: Self = Self {
        name: "full",
        rounds: 15,
        growth: [100_000, 1_000_000, 10_000_000],
        growth_rounds: 3,
        ..Self::DEFAULT
    };

    /// The same with stores of another size, and effort and growth to match.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts of millions")]
    pub(crate) fn with_rows(self, rows: u64) -> Self {
        let effort = (rows as f64 / Self::DEFAULT.rows as f64).min(1.0);
        Self { rows, effort, growth: [rows / 10, rows, 0], ..self }
    }

    /// A number of steps, fitted to the plan.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "thousands of steps"
    )]
    pub(crate) fn steps(&self, usual: usize) -> usize {
        ((usual as f64 * self.effort) as usize).max(4)
    }
}

/// What a store is for. Stores are loaded when first needed and kept for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// At rest, in the best state for reading; nothing is ever written to it again.
    Reading,
    /// Grows while it is measured.
    Writing,
}

/// Loaded stores, by entrant and purpose.
#[derive(Default)]
pub(crate) struct Stores(BTreeMap<(&'static str, Purpose), Box<dyn Contender>>);

impl Stores {
    /// The store of an entrant, if it is loaded.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn get(&self, entrant: &Entrant, purpose: Purpose) -> Result<&dyn Contender> {
        let store = self.0.get(&(entrant.name, purpose));
        store.map(|store| &**store).ok_or_else(|| format!("the store of {} is not loaded", entrant.name))
    }
}

/// A run.
pub(crate) struct Session {
    /// Who takes part.
    pub(crate) entrants: Vec<Entrant>,
    /// How much is measured.
    pub(crate) plan: Plan,
    /// The rows that stores are loaded with.
    pub(crate) data: Data,
    /// The physical limit.
    pub(crate) raw: RawSegment,
    /// What else the machine does.
    pub(crate) meter: Meter,
    /// Random numbers with a fixed seed.
    pub(crate) random: Random,
    /// Samples of the workload that runs now.
    pub(crate) records: Vec<Record>,
    /// What went wrong; not empty: the run fails at its end.
    pub(crate) failures: Vec<String>,
    dir: tempfile::TempDir,
    /// The stores that are loaded.
    pub(crate) stores: Stores,
    floor: Option<Floor>,
}

impl Session {
    /// Prepares a run whose stores lie below `dir`, on the disk that is to be measured.
    ///
    /// # Errors
    /// A sentence of the system.
    pub(crate) fn new(entrants: Vec<Entrant>, plan: Plan, dir: &Path) -> Result<Self> {
        let dir = tempfile::tempdir_in(dir).map_err(text)?;
        let data = Data { rows: plan.rows };
        let raw = RawSegment::create(dir.path(), data.payload(), false)?;
        Ok(Self {
            entrants,
            plan,
            data,
            raw,
            meter: Meter::default(),
            random: Random(1),
            records: Vec::new(),
            failures: Vec::new(),
            dir,
            stores: Stores::default(),
            floor: None,
        })
    }

    /// The entrants that claim durability.
    #[must_use]
    pub(crate) fn durable(&self) -> Vec<Entrant> {
        self.entrants.iter().filter(|entrant| entrant.durable).copied().collect()
    }

    /// Notes a failure; the run goes on.
    pub(crate) fn fail(&mut self, what: String) {
        eprintln!("failure: {what}");
        self.failures.push(what);
    }

    /// Takes the samples of a case and prints a line for each contender.
    pub(crate) fn publish(&mut self, records: Vec<Record>) {
        for line in crate::report::summary::lines(&records) {
            println!("{line}");
        }
        self.records.extend(records);
    }

    /// Takes further figures of a case's samples; those of samples that do not count do not count either.
    pub(crate) fn publish_with(&mut self, case: &str, mut records: Vec<Record>) {
        for record in &mut records {
            let main = self
                .records
                .iter()
                .find(|main| main.case == case && main.engine == record.engine && main.round == record.round);
            record.dropped = main.and_then(|main| main.dropped.clone());
        }
        self.publish(records);
    }

    /// A new empty directory of the run.
    ///
    /// # Errors
    /// A sentence of the system.
    pub(crate) fn new_home(&self) -> Result<PathBuf> {
        let dir = tempfile::Builder::new().prefix("store").tempdir_in(self.dir.path()).map_err(text)?;
        Ok(dir.keep())
    }

    /// Loads a store for each entrant, puts it in order and closes it; answers where they lie, by name.
    ///
    /// # Errors
    /// A sentence of the library.
    pub(crate) fn closed_stores(&self, entrants: &[Entrant]) -> Result<BTreeMap<&'static str, PathBuf>> {
        let closed = |entrant: &Entrant| {
            let home = self.new_home()?;
            let store = load(entrant, &home, self.data)?;
            store.settle()?;
            store.close()?;
            Ok((entrant.name, home))
        };
        let closed = entrants.iter().map(closed).collect();
        // What loads have left to be written would be written while the first are timed.
        rustix::fs::sync();
        closed
    }

    /// The store of an entrant, loaded.
    ///
    /// # Errors
    /// A sentence of the library, or what it got wrong.
    pub(crate) fn store(&mut self, entrant: &Entrant, purpose: Purpose) -> Result<&dyn Contender> {
        if self.stores.get(entrant, purpose).is_err() {
            let home = self.new_home()?;
            let store = load(entrant, &home, self.data)?;
            if purpose == Purpose::Reading {
                store.settle()?;
                check(&*store, self.data)?;
            }
            self.stores.0.insert((entrant.name, purpose), store);
        }
        self.stores.get(entrant, purpose)
    }

    /// Closes and forgets the stores of a purpose: their memory would weigh on what is measured next.
    pub(crate) fn close(&mut self, purpose: Purpose) {
        self.stores.0.retain(|(_, kept), _| *kept != purpose);
    }

    /// The maps in memory with the same rows.
    pub(crate) fn floor(&mut self) -> &Floor {
        self.floor.get_or_insert_with(|| Floor::new(self.data))
    }
}

/// Fills an empty directory with all rows in random order, unsynced, and opens it as usual.
///
/// # Errors
/// A sentence of the library.
fn load(entrant: &Entrant, home: &Path, data: Data) -> Result<Box<dyn Contender>> {
    let store = (entrant.open)(home, &Settings { bulk: true, ..Settings::USUAL })?;
    fill(&*store, data, |at| data.shuffled(at), &mut |_| {})?;
    store.sync()?;
    if !entrant.durable {
        return Ok(store);
    }
    drop(store);
    (entrant.open)(home, &Settings::USUAL)
}

/// Commits all rows in batches, unsynced; `order` says which row comes when, and `spent` gets the time of each batch.
///
/// # Errors
/// A sentence of the library.
pub(crate) fn fill(
    store: &dyn Contender,
    data: Data,
    order: impl Fn(u64) -> u64,
    spent: &mut dyn FnMut(std::time::Duration),
) -> Result<()> {
    let mut batch: Vec<Row> = Vec::with_capacity(LOAD_ROWS);
    for at in 0..data.rows {
        batch.push(data.row(order(at)));
        if batch.len() == LOAD_ROWS || at + 1 == data.rows {
            let clock = std::time::Instant::now();
            store.commit(&batch, Ack::Unsynced)?;
            spent(clock.elapsed());
            batch.clear();
        }
    }
    Ok(())
}

/// Checks that what will be timed is right: counts, order of magnitude of bytes, values of a sample, absent keys.
fn check(store: &dyn Contender, data: Data) -> Result<()> {
    let mut reader = store.reader()?;
    let seen = reader.scan()?;
    let bytes = data.payload();
    if (seen.rows, seen.bytes) != (data.rows, bytes) {
        return Err(format!(
            "a scan found {} rows of {} bytes instead of {} of {bytes}",
            seen.rows, seen.bytes, data.rows
        ));
    }
    let mut random = Random(7);
    for _ in 0..200 {
        let row = random.below(data.rows);
        if reader.value(&data.key(row))?.as_deref() != Some(&*data.row(row).value) {
            return Err(format!("row {row} has a wrong value"));
        }
        if reader.value(&data.absent(row))?.is_some() {
            return Err(format!("a key beside row {row} that nobody put is there"));
        }
    }
    let prefixes = data.prefixes(&mut random, 10);
    let rows = reader.prefixes(&prefixes)?.rows;
    if rows != 10 * crate::rows::ROWS_A_PREFIX.min(data.rows) {
        return Err(format!("ten prefixes have {rows} rows"));
    }
    Ok(())
}
