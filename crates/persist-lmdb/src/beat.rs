//! A beat: one write transaction.

use heed::RwTxn;
use persist_api::{
    Beat, BeatHeader, BeatReceipt, BeatTicket, Durability, Error, ErrorKind, KeyRange, Result, Value,
};
use self_cell::self_cell;

use crate::bounds::Span;
use crate::driver::SCHEME;
use crate::engine::LmdbEngine;
use crate::error::{Mapped, map_write_error, write_failed};
use crate::home::BEAT_KEY;
use crate::live::{Live, Table};

type MaybeTxn<'e> = Option<RwTxn<'e>>;

self_cell!(
    /// A write transaction together with the environment that it borrows, so that an engine can replace its environment.
    struct OpenTxn {
        owner: Live,
        #[covariant]
        dependent: MaybeTxn,
    }
);

pub(crate) struct LmdbBeat<'e> {
    engine: &'e LmdbEngine,
    // Before the ticket: the transaction must be gone when the gate opens.
    txn: OpenTxn,
    main: Table,
    records: Table,
    header: BeatHeader,
    failed: bool,
    _ticket: BeatTicket<'e>,
}

impl<'e> LmdbBeat<'e> {
    pub(crate) fn begin(
        engine: &'e LmdbEngine,
        ticket: BeatTicket<'e>,
        live: Live,
        header: BeatHeader,
    ) -> Result<Self> {
        let (main, records) = (live.main, live.records);
        let txn = OpenTxn::try_new(live, |live| live.env.write_txn().or_op("begin_beat").map(Some))?;
        Ok(Self { engine, txn, main, records, header, failed: false, _ticket: ticket })
    }

    /// Runs one operation; its failure poisons the beat. A beat with too many changed pages writes some of them early, and where
    /// that fails the engine is poisoned as by a failed commit.
    fn apply(
        &mut self,
        op: &'static str,
        change: impl FnOnce(&Table, &mut RwTxn<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.failed {
            return Err(self.poisoned(op));
        }
        let records = self.records;
        let done = self.txn.with_dependent_mut(|_, txn| match txn {
            Some(txn) => change(&records, txn),
            None => Err(closed(op)),
        });
        done.map_err(|error| {
            self.failed = true;
            if write_failed(&error) {
                self.engine.health.poison();
            }
            error.with_engine(SCHEME).with_beat(self.header.beat)
        })
    }

    fn poisoned(&self, op: &'static str) -> Error {
        Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed")
            .with_engine(SCHEME)
            .with_beat(self.header.beat)
    }

    /// Writes the header and commits.
    fn finish(&mut self) -> Result<()> {
        let (header, main, engine) = (self.header, self.main, self.engine);
        let txn = self.txn.with_dependent_mut(|live, txn| {
            let mut txn = txn.take().ok_or_else(|| closed("commit_beat"))?;
            main.put(&mut txn, BEAT_KEY, &header.encode()).or_write("commit_beat", &engine.home)?;
            engine.sync_meta_pages(live, header.durability)?;
            Ok::<_, Error>(txn.commit())
        })?;
        txn.map_err(|error| {
            // These two are found before the first byte is written; everything else leaves doubts about the disk.
            let clean = matches!(error, heed::Error::Mdb(heed::MdbError::MapFull | heed::MdbError::TxnFull));
            if !clean {
                self.engine.health.poison();
            }
            map_write_error("commit_beat", error, &engine.home)
        })
    }
}

fn closed(op: &'static str) -> Error {
    Error::new(ErrorKind::Closed, op, "the beat has ended").with_engine(SCHEME)
}

impl Beat for LmdbBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let LmdbEngine { limits, home, .. } = self.engine;
        self.apply("put_record", |records, txn| {
            limits.check_key("put_record", key)?;
            limits.check_value("put_record", value)?;
            records.put(txn, key, value).or_write("put_record", home)
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        let LmdbEngine { limits, home, .. } = self.engine;
        self.apply("delete_record", |records, txn| {
            limits.check_key("delete_record", key)?;
            records.delete(txn, key).or_write("delete_record", home).map(|_| ())
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        let home = &self.engine.home;
        self.apply("delete_range", |records, txn| match Span::of(&range) {
            None => Ok(()),
            Some(span) if span.is_all() => records.clear(txn).or_write("delete_range", home),
            Some(span) => {
                records.delete_range(txn, &(span.start, span.end)).or_write("delete_range", home).map(|_| ())
            }
        })
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if self.failed {
            return Err(self.poisoned("peek_record"));
        }
        if !self.engine.limits.can_hold_key(key) {
            return Ok(None);
        }
        let txn = self.txn.borrow_dependent().as_ref().ok_or_else(|| closed("peek_record"))?;
        Ok(self.records.get(txn, key).or_op("peek_record")?.map(Value::borrowed))
    }

    fn commit_beat(mut self: Box<Self>) -> Result<BeatReceipt> {
        if self.failed {
            return Err(self.poisoned("commit_beat"));
        }
        self.finish().map_err(|error| error.with_engine(SCHEME).with_beat(self.header.beat))?;
        *self.engine.last.lock() = self.header;
        let reached = self.header.durability.max(Durability::Buffered);
        Ok(BeatReceipt { header: self.header, reached })
    }

    fn abort_beat(self: Box<Self>) {}
}
