//! The exclusive lane for beats.

use std::fmt;
use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, CommitNo, Durability, Error, ErrorKind, Result};

use crate::log::BeatLog;
use crate::observe::told;
use crate::seat::{Done, Seat};
use crate::shared::{Shared, Terms, too_large};
use crate::staged::StagedBeat;

/// What a commit returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The beat that carries it.
    pub beat: BeatNo,
    /// Its own number.
    pub commit: CommitNo,
    /// The durability reached: at least what the grant makes active, never a promise that was not kept.
    pub reached: Durability,
    /// The Merkle root over the commits of the beat, where MERKLE is granted.
    pub root: Option<[u8; 32]>,
}

/// The exclusive right to make explicit beats. There is one per open store, and it cannot be cloned: two staged beats at
/// once do not compile. Queued commits ([`Store::commit`](crate::Store::commit)) take turns with it, in the order of
/// arrival.
///
/// ```
/// # use persist_api::{Durability, OpenOptions};
/// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
/// # let disk = std::sync::Arc::new(persist_io::RealDisk);
/// # let options = OpenOptions::default();
/// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &options)?;
/// # let (mut writer, _store) = opened.negotiate(&persist_store::volatile_request())?;
/// let first = writer.begin(Durability::Durable)?;
/// first.commit()?;
/// let second = writer.begin(Durability::Durable)?;
/// second.commit()?;
/// # Ok::<(), persist_api::Error>(())
/// ```
///
/// ```compile_fail,E0499
/// # use persist_api::{Durability, OpenOptions};
/// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
/// # let disk = std::sync::Arc::new(persist_io::RealDisk);
/// # let options = OpenOptions::default();
/// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &options)?;
/// # let (mut writer, _store) = opened.negotiate(&persist_store::volatile_request())?;
/// let first = writer.begin(Durability::Durable)?;
/// let second = writer.begin(Durability::Durable)?;
/// first.commit()?;
/// second.commit()?;
/// # Ok::<(), persist_api::Error>(())
/// ```
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// Here while the writer has the lane.
    seat: Option<Box<Seat>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("last", &self.last()).finish_non_exhaustive()
    }
}

/// The lane, until dropped.
pub(crate) struct Lane<'w> {
    shared: &'w Shared,
    seat: &'w mut Option<Box<Seat>>,
}

impl Lane<'_> {
    /// The terms of the engine that it leads to. They stay while the lane is held.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        let active = self.seat.as_ref().map(|seat| Arc::clone(&seat.active));
        Arc::clone(&active.unwrap_or_else(|| self.shared.active()).terms)
    }

    /// Makes a beat of commits that were checked, at a durability that is active.
    pub(crate) fn write<'l>(
        &mut self,
        logs: impl ExactSizeIterator<Item = &'l BeatLog> + Clone,
        durability: Durability,
    ) -> Result<Done> {
        match self.seat {
            Some(seat) => Ok(seat.write(self.shared, logs, &[], durability)?),
            None => Err(no_beat()),
        }
    }
}

impl Lane<'_> {
    /// Checks one commit and makes a beat of it.
    fn commit(&mut self, log: &BeatLog, durability: Durability) -> Result<Receipt> {
        let terms = self.terms();
        let durability = terms.durability(durability)?;
        self.shared.check(&terms, log)?;
        Ok(self.write([log].into_iter(), durability)?.receipt(0))
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.shared.leave_lane(seat);
        }
    }
}

impl Writer {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, seat: None }
    }

    /// The header of the newest beat.
    #[must_use]
    pub fn last(&self) -> BeatHeader {
        self.seat.as_ref().map_or_else(|| self.shared.group.last(), |seat| seat.last)
    }

    /// Starts a beat of one commit. Operations are staged in memory; nothing reaches the engine before
    /// [`StagedBeat::commit`]. Commits that are queued already come before this beat; those that are queued later wait
    /// until it is committed or given up, and are refused with `Busy` when that takes longer than
    /// [`CommitOptions::wait`](crate::CommitOptions::wait).
    ///
    /// # Errors
    /// `Unsupported` for a durability that was not granted, `Closed`.
    pub fn begin(&mut self, durability: Durability) -> Result<StagedBeat<'_>> {
        told(self.shared.with_running("begin", |active, _| active.terms.durability(durability)))?;
        self.enter();
        Ok(StagedBeat::new(self, durability))
    }

    /// Makes a beat of one commit, after those that are queued already.
    ///
    /// # Errors
    /// As [`StagedBeat::commit`].
    pub fn commit(&mut self, log: &BeatLog, durability: Durability) -> Result<Receipt> {
        told(self.lane().commit(log, durability))
    }

    /// Makes a beat of one commit that can say which beat it is: `make` gets the number that its beat will have. No other
    /// commit comes between.
    ///
    /// # Errors
    /// Those of `make`, nothing is committed then; as [`StagedBeat::commit`]; `Invalid` when the numbers are used up.
    pub fn commit_with(
        &mut self,
        durability: Durability,
        make: impl FnOnce(BeatNo) -> Result<BeatLog>,
    ) -> Result<Receipt> {
        let mut lane = self.lane();
        let last = lane.seat.as_ref().map_or_else(BeatHeader::default, |seat| seat.last);
        let granted = lane.terms().durability(durability);
        let log = granted.and_then(|active| make(last.next(1, active, None)?.beat));
        told(log.and_then(|log| lane.commit(&log, durability)))
    }

    /// Makes one beat of many commits, after those that are queued already. Each commit is checked by itself before the
    /// engine's beat opens, so that a bad one is refused alone and the others go on; commits that no longer fit into the
    /// beat's byte limit are refused the same way. Without a good commit there is no beat.
    ///
    /// # Errors
    /// The outer error says that the beat failed as a whole and nothing of it was committed (or, after `Poisoned` or
    /// `Io`, that a reopening has to tell). The inner ones belong to single commits.
    pub fn commit_group(&mut self, logs: &[BeatLog], durability: Durability) -> Result<Vec<Result<Receipt>>> {
        let done = told(self.make_group(logs, durability));
        done.map(|results| results.into_iter().map(told).collect())
    }

    fn make_group(&mut self, logs: &[BeatLog], durability: Durability) -> Result<Vec<Result<Receipt>>> {
        let mut lane = self.lane();
        let terms = lane.terms();
        let durability = terms.durability(durability)?;
        let beat_bytes_max = terms.limits().beat_bytes_max;
        let (mut staged, feeding) = (lane.shared.own_bytes(&terms), lane.shared.feed.reserve().is_some());
        let mut good = Vec::with_capacity(logs.len());
        let mut results = Vec::with_capacity(logs.len());
        for log in logs {
            let checked = lane.shared.check(&terms, log).and_then(|()| {
                let sum = staged.saturating_add(terms.beat_bytes(log, feeding));
                if sum <= beat_bytes_max { Ok(sum) } else { Err(too_large(sum, beat_bytes_max)) }
            });
            results.push(checked.map(|sum| {
                staged = sum;
                good.push(log);
            }));
        }
        if good.is_empty() {
            return Ok(results.into_iter().map(|result| result.and_then(|()| Err(no_beat()))).collect());
        }
        let done = lane.write(good.iter().copied(), durability)?;
        let mut receipts = (0..).map(|index| done.receipt(index));
        let take = |result: Result<()>| result.and_then(|()| receipts.next().ok_or_else(no_beat));
        Ok(results.into_iter().map(take).collect())
    }

    /// Makes every earlier beat durable and says which is the newest (DURABLE).
    ///
    /// # Errors
    /// `Unsupported` unless granted; after a failed sync the engine is `Poisoned`.
    pub fn sync(&mut self) -> Result<BeatNo> {
        self.shared.sync()
    }

    /// Takes the lane, unless a staged beat that was forgotten has left it here.
    fn enter(&mut self) {
        if self.seat.is_none() {
            self.seat = Some(self.shared.take_lane());
        }
    }

    /// Gives the lane back, if it is here.
    pub(crate) fn leave(&mut self) {
        drop(Lane { shared: &self.shared, seat: &mut self.seat });
    }

    /// The lane, until what is returned is dropped.
    pub(crate) fn lane(&mut self) -> Lane<'_> {
        self.enter();
        Lane { shared: &self.shared, seat: &mut self.seat }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.leave();
    }
}

fn no_beat() -> Error {
    Error::new(ErrorKind::Invalid, "commit", "no beat was made")
}
