//! The steps of the demo. Each checks what it did and says how long it took.

use std::ops::ControlFlow;
use std::time::Instant;

use persist::{
    BeatHeader, BeatLog, Durability, Error, ErrorKind, Observer, Progress, Scan, Store, StoreDigest, Writer,
};
use persist_cps::IngestOptions;

use crate::fail::Result;
use crate::out::Out;
use crate::text::hex;
use crate::watch::Watch;

use super::data;
use crate::commands::verify;

/// Records that one beat of the demo carries.
const RECORDS_PER_BEAT: u64 = 500;

/// An open store, and what was done with it.
pub(super) struct Steps<'w> {
    writer: Writer,
    pub(super) store: Store,
    pub(super) watch: &'w Watch,
    first_beat: u64,
    run: u64,
    frame_records: u64,
    damaged: u64,
    unchecked: u64,
    times: Vec<(&'static str, u64)>,
}

/// What a store showed before it was closed.
pub(super) struct Content {
    since: Instant,
    digest: StoreDigest,
    header: BeatHeader,
}

/// What came of all steps.
pub(super) struct Done {
    pub(super) frame_records: u64,
    pub(super) beats: u64,
    pub(super) digest: StoreDigest,
    pub(super) root: Option<[u8; 32]>,
    pub(super) damaged: u64,
    pub(super) unchecked: u64,
    pub(super) times: Vec<(&'static str, u64)>,
}

impl<'w> Steps<'w> {
    pub(super) fn new(writer: Writer, store: Store, watch: &'w Watch) -> Self {
        let last = writer.last().beat.0;
        Self {
            writer,
            store,
            watch,
            first_beat: last,
            // Another run writes other values.
            run: last,
            frame_records: 0,
            damaged: 0,
            unchecked: 0,
            times: Vec::new(),
        }
    }

    fn step(&self, phase: &'static str, done: u64, total: u64, unit: &'static str) -> Result<()> {
        let seen: &dyn Observer = self.watch;
        Ok(seen.step("demo", Progress { phase, done, total: Some(total), unit })?)
    }

    fn took(&mut self, step: &'static str, since: Instant) {
        self.times.push((step, u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)));
    }

    /// Each frame becomes a beat.
    pub(super) fn ingest_frames(&mut self, out: &mut Out) -> Result<()> {
        let since = Instant::now();
        let total = data::FRAMES.len() as u64;
        for (done, (name, frame)) in (0..).zip(data::FRAMES) {
            self.step("ingest", done, total, "frames")?;
            let options = IngestOptions::default();
            let done =
                persist_cps::ingest(&mut self.writer, &self.store, frame, Durability::Durable, &options)?;
            self.frame_records = self.frame_records.saturating_add(u64::from(done.note.records));
            if !out.is_json() {
                let (beat, root) = (done.receipt.beat, hex(&done.note.root));
                let line = format!("  frame {name:<29} verified, stored as beat {beat}, root {root}");
                self.watch.aside(|| out.line(line))?;
            }
        }
        out.flush()?;
        self.took("frames", since);
        Ok(())
    }

    /// Generated records, many to a beat.
    pub(super) fn write_records(&mut self, records: u64) -> Result<()> {
        let since = Instant::now();
        let mut number = 0;
        while number < records {
            self.step("write", number, records, "records")?;
            let end = number.saturating_add(RECORDS_PER_BEAT).min(records);
            let mut log = BeatLog::new();
            for number in number..end {
                log.put(&data::key(number), &data::value(number, self.run))?;
            }
            self.writer.commit(&log, Durability::Durable)?;
            number = end;
        }
        self.took("write", since);
        Ok(())
    }

    /// Every generated record by its key.
    pub(super) fn read_back(&mut self, records: u64) -> Result<()> {
        let since = Instant::now();
        let view = self.store.view()?;
        for number in 0..records {
            if number.is_multiple_of(256) {
                self.step("read back", number, records, "records")?;
            }
            let stored = view.get(&data::key(number))?;
            if stored.as_deref() != Some(data::value(number, self.run).as_slice()) {
                return Err(wrong(format!("record {number} is not what was written")));
            }
        }
        drop(view);
        self.took("read", since);
        Ok(())
    }

    /// All of them in order.
    pub(super) fn scan(&mut self, records: u64) -> Result<()> {
        let since = Instant::now();
        let mut next = 0;
        // An earlier run may have left more; they come after these.
        let scan = Scan::prefix(data::PREFIX).limit(records);
        self.store.view()?.scan(scan, |key, _| {
            if key != data::key(next).as_slice() || Watch::check("demo").is_err() {
                return ControlFlow::Break(());
            }
            next += 1;
            ControlFlow::Continue(())
        })?;
        Watch::check("demo")?;
        if next != records {
            return Err(wrong(format!("the scan gave {next} of {records} records in order")));
        }
        self.took("scan", since);
        Ok(())
    }

    /// Everything there is to check.
    pub(super) fn verify(&mut self) -> Result<()> {
        let since = Instant::now();
        let mut first = None;
        let outcome = verify::check(&self.store, self.watch, &mut |finding| {
            if first.is_none() && finding.severity == persist::Severity::Damage {
                first = Some(format!("{}: {}", finding.place, finding.what));
            }
        })?;
        if let Some(first) = first {
            return Err(wrong(format!("{} findings of damage, the first: {first}", outcome.damaged)));
        }
        (self.damaged, self.unchecked) = (outcome.damaged, outcome.unchecked);
        self.took("verify", since);
        Ok(())
    }

    /// What the store shows now.
    pub(super) fn content(&self) -> Result<Content> {
        let view = self.store.view()?;
        Ok(Content { since: Instant::now(), digest: view.digest(self.watch)?, header: *view.header() })
    }

    /// Compares with what the store shows that was closed and opened again.
    pub(super) fn compare(mut self, content: &Content, store: &Store) -> Result<Done> {
        let view = store.view()?;
        if view.digest(self.watch)? != content.digest || *view.header() != content.header {
            return Err(wrong("the store is not the same after reopening".to_owned()));
        }
        drop(view);
        self.took("reopen", content.since);
        Ok(Done {
            frame_records: self.frame_records,
            beats: content.header.beat.0.saturating_sub(self.first_beat),
            digest: content.digest,
            root: content.header.root,
            damaged: self.damaged,
            unchecked: self.unchecked,
            times: self.times,
        })
    }
}

fn wrong(what: String) -> crate::fail::Failure {
    Error::new(ErrorKind::Corrupt, "demo", what).into()
}
