//! The traits: one object-safe trait per role; no async, no generics in methods.

use std::ops::ControlFlow;
use std::path::Path;

use crate::{
    BackupStat, BeatHeader, BeatNo, BeatReceipt, CheckpointStat, CompactScope, CompactStat, Error, FeedStat,
    FeedVisit, Finding, KeyRange, Observer, Offer, OpenOptions, Probe, Result, Scan, Stats, Value,
    VerifyStat,
};

/// What a scan calls for each row: key, value. `Break` ends the scan without an error.
pub type Visit<'f> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'f;

/// Knows how to recognise and open one kind of engine.
pub trait Driver: Send + Sync {
    /// The name in `scheme:path`, as `sqlite`.
    fn scheme(&self) -> &'static str;

    /// Says what lies in `home`, by reading headers; writes nothing, locks nothing.
    ///
    /// # Errors
    /// `Io` when the directory cannot be read.
    fn probe(&self, home: &Path) -> Result<Probe>;

    /// What `open` with these options would offer. Pure: no I/O, no clock.
    fn offer(&self, options: &OpenOptions) -> Offer;

    /// Whether [`open`](Self::open) could take these options at all, wherever it is asked to: knobs and sizes. Pure, like
    /// `offer`; the runtime asks before it makes a directory. A driver that does not say so here says so in `open`.
    ///
    /// # Errors
    /// `Invalid` naming the option.
    fn check(&self, options: &OpenOptions) -> Result<()> {
        let _ = options;
        Ok(())
    }

    /// Opens the engine in `home`, creating the directory and the files where the mode allows.
    ///
    /// # Errors
    /// `Locked` when another holder has it, `Mismatch` when the files are foreign (nothing is then touched), `Invalid`
    /// for a wrong option or a missing store, `Corrupt`, `Full`, `Io`; `Cancelled` when the observer stopped a recovery.
    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>>;
}

/// An open engine: one ordered key space.
pub trait Engine: Send + Sync {
    /// What this engine offers. Constant for the life of the handle.
    fn offer(&self) -> &Offer;

    /// Opens the next beat. One at a time; a second call while one is open gives `Busy`.
    ///
    /// # Errors
    /// `Conflict` when the header does not follow the last beat, `Busy`, `Unsupported` for a durability that is not
    /// offered, `Poisoned`.
    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>>;

    /// Makes every earlier beat durable and says which is the newest.
    ///
    /// # Errors
    /// `Unsupported` without DURABLE. After a failed sync the engine is `Poisoned`; a sync is never retried.
    fn sync(&self) -> Result<BeatNo>;

    /// Opens a view at the newest beat. It is owned and keeps the engine's files open.
    ///
    /// # Errors
    /// `Busy` beyond `limits.views_max`.
    fn view(&self) -> Result<Box<dyn View>>;

    /// Opens a view at an earlier beat (capability HISTORY).
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Stale` for a beat that is no longer kept.
    fn view_at(&self, beat: BeatNo) -> Result<Box<dyn View>> {
        let _ = beat;
        Err(Error::unsupported("view_at", "HISTORY"))
    }

    /// Bounds the work of the next open (capability CHECKPOINT). Never a copy.
    ///
    /// # Errors
    /// `Unsupported` unless offered.
    fn checkpoint(&self) -> Result<CheckpointStat> {
        Err(Error::unsupported("checkpoint", "CHECKPOINT"))
    }

    /// Writes a consistent copy at one beat into the empty or missing directory `into`; it opens by itself
    /// (capability BACKUP). It is durable when the call returns.
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Mismatch` when `into` holds anything.
    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        let _ = (into, seen);
        Err(Error::unsupported("backup", "BACKUP"))
    }

    /// Gives unused space back (capability COMPACTION). Records are unchanged.
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Busy` when open views prevent it.
    fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        let _ = (scope, seen);
        Err(Error::unsupported("compact", "COMPACTION"))
    }

    /// Visits the beats after `after`, oldest first, up to the newest, with their operations as they were staged, from the
    /// engine's own files (capability FEED). What was visited before an error was right.
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Stale` when a beat after `after` is no longer kept, `Corrupt`, `Io`.
    fn feed(&self, after: BeatNo, visit: &mut FeedVisit<'_>) -> Result<()> {
        let _ = (after, visit);
        Err(Error::unsupported("feed", "FEED"))
    }

    /// Says which beats `feed` has to serve from now on: those after `after`, or none. What was given up does not come back.
    /// It counts for this handle only; see [`OpenOptions::keep_feed`] for the time until the next handle is told (capability
    /// FEED).
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Io`.
    fn keep_feed(&self, after: Option<BeatNo>) -> Result<FeedStat> {
        let _ = after;
        Err(Error::unsupported("keep_feed", "FEED"))
    }

    /// Runs the engine's own checker and reads every record back. Damage is a finding, not an error.
    ///
    /// # Errors
    /// Only when checking itself could not go on.
    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat>;

    /// Figures; cheap.
    ///
    /// # Errors
    /// `Io`, `Closed`.
    fn stats(&self) -> Result<Stats>;

    /// Closes, waiting for views as configured.
    ///
    /// # Errors
    /// `Busy` hands the engine back, still usable.
    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)>;
}

/// An open beat. Deliberately not `Send`: LMDB's is bound to its thread. Operations apply in order; a failed operation
/// poisons the beat; dropping it aborts it.
pub trait Beat {
    /// Sets a record.
    ///
    /// # Errors
    /// `Invalid` for an empty key, `TooLarge`, `Full`, `Io`.
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes a record; one that is absent is no error.
    ///
    /// # Errors
    /// `Invalid` for an empty key, `TooLarge`, `Io`.
    fn delete_record(&mut self, key: &[u8]) -> Result<()>;

    /// Removes every record of a range, those put earlier in this beat included (capability DELETE_RANGE).
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Io`.
    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        let _ = range;
        Err(Error::unsupported("delete_range", "DELETE_RANGE"))
    }

    /// Reads what the beat would show for a key (capability READ_OWN).
    ///
    /// # Errors
    /// `Unsupported` unless offered, `Io`.
    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        let _ = key;
        Err(Error::unsupported("peek_record", "READ_OWN"))
    }

    /// Publishes the beat, whole, and makes it as durable as its header asks before returning.
    ///
    /// # Errors
    /// `Poisoned` after a failed operation (nothing is then changed), `Full`, `Io`.
    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt>;

    /// Gives the beat up. Dropping does the same.
    fn abort_beat(self: Box<Self>);
}

/// A consistent picture of the store at one beat. Not `Sync`: a view belongs to one thread at a time.
pub trait View: Send {
    /// The header of the beat it shows.
    fn header(&self) -> &BeatHeader;

    /// Reads one record. A key that the engine could never hold is simply absent.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Stale`.
    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>>;

    /// Visits the records of a scan in order. This is the fast way.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Stale`; rows visited before the error were right.
    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()>;

    /// Opens a cursor over a scan. This is the flexible way.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>>;

    /// Visits the records whose keys begin with `prefix`, ascending.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    fn scan_prefix(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        self.scan(Scan::prefix(prefix), visit)
    }
}

/// A lending cursor. It starts before the first row; after an error it keeps failing until `seek`.
pub trait Cursor {
    /// Steps to the next row; false at the end, and again false when called after the end.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Stale`.
    fn advance(&mut self) -> Result<bool>;

    /// Goes to the first row at or after `key` in the scan's direction, within its range; false if there is none. The
    /// limit counts anew from there.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Stale`.
    fn seek(&mut self, key: &[u8]) -> Result<bool>;

    /// The current key; empty when there is no current row.
    fn key(&self) -> &[u8];

    /// The current value; empty when there is no current row, and for keys-only scans.
    fn value(&self) -> &[u8];
}
