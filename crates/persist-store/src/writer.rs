//! The exclusive lane for beats.

use std::fmt;
use std::sync::Arc;

use persist_api::{Beat, BeatHeader, BeatNo, Caps, CommitNo, Durability, Error, ErrorKind, Limits, Result};

use crate::layers::{FORMAT_KEY, format_record, user_key, user_range};
use crate::log::{BeatLog, Op};
use crate::merkle::beat_root;
use crate::staged::StagedBeat;
use crate::store::Shared;

/// Memory that a writer keeps from one beat to the next, at most.
const SPARE_BYTES_MAX: usize = 1 << 20;

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

/// The exclusive right to make beats. There is one per open store, and it cannot be cloned: two staged beats at once do
/// not compile.
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
    last: BeatHeader,
    /// Memory of the last staged beat, for the next.
    spare: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, last: BeatHeader) -> Self {
        Self { shared, last, spare: Vec::new(), key: Vec::new(), value: Vec::new() }
    }

    /// The header of the newest beat.
    #[must_use]
    pub const fn last(&self) -> &BeatHeader {
        &self.last
    }

    /// Starts a beat of one commit. Operations are staged in memory; nothing reaches the engine before
    /// [`StagedBeat::commit`].
    ///
    /// # Errors
    /// `Unsupported` for a durability that was not granted, `Closed`.
    pub fn begin(&mut self, durability: Durability) -> Result<StagedBeat<'_>> {
        self.active(durability)?;
        drop(self.shared.engine("begin")?);
        let log = BeatLog::reusing(std::mem::take(&mut self.spare));
        Ok(StagedBeat::new(self, log, durability))
    }

    /// Makes a beat of one commit.
    ///
    /// # Errors
    /// As [`StagedBeat::commit`].
    pub fn commit(&mut self, log: &BeatLog, durability: Durability) -> Result<Receipt> {
        self.check(log)?;
        let mut receipts = self.write(&[log], durability)?;
        receipts.pop().ok_or_else(|| Error::new(ErrorKind::Invalid, "commit", "no receipt"))
    }

    /// Makes one beat of many commits. Each commit is checked by itself before the engine's beat opens, so that a bad
    /// one is refused alone and the others go on; commits that no longer fit into the beat's byte limit are refused the
    /// same way. Without a good commit there is no beat.
    ///
    /// # Errors
    /// The outer error says that the beat failed as a whole and nothing of it was committed (or, after `Poisoned` or
    /// `Io`, that a reopening has to tell). The inner ones belong to single commits.
    pub fn commit_group(&mut self, logs: &[BeatLog], durability: Durability) -> Result<Vec<Result<Receipt>>> {
        self.active(durability)?;
        let beat_bytes_max = self.limits().beat_bytes_max;
        let mut staged = self.own_bytes();
        let mut good = Vec::with_capacity(logs.len());
        let mut results = Vec::with_capacity(logs.len());
        for log in logs {
            let checked = self.check(log).and_then(|()| {
                let sum = staged.saturating_add(self.staged_bytes(log));
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
        let mut receipts = self.write(&good, durability)?.into_iter();
        let take = |result: Result<()>| result.and_then(|()| receipts.next().ok_or_else(no_beat));
        Ok(results.into_iter().map(take).collect())
    }

    /// Makes every earlier beat durable and says which is the newest (DURABLE).
    ///
    /// # Errors
    /// `Unsupported` unless granted; after a failed sync the engine is `Poisoned`.
    pub fn sync(&mut self) -> Result<BeatNo> {
        self.shared.terms.need("sync", Caps::DURABLE)?;
        self.shared.engine("sync")?.sync()
    }

    /// Keeps the memory of a log for the next one, unless it is large.
    pub(crate) fn keep_memory(&mut self, log: BeatLog) {
        let memory = log.into_memory();
        if memory.capacity() <= SPARE_BYTES_MAX {
            self.spare = memory;
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.terms.grant.session.limits
    }

    /// The durability at which a beat runs that asks for `asked`. A pending durability runs at the active one, as the
    /// request allowed, and the receipt says so.
    fn active(&self, asked: Durability) -> Result<Durability> {
        let session = &self.shared.terms.grant.session;
        let agreed = session.durability_pending.unwrap_or(session.durability);
        if asked > agreed {
            let context = format!("durability {asked} is not granted to this session; {agreed} is");
            return Err(Error::new(ErrorKind::Unsupported, "begin", context));
        }
        let active = asked.min(session.durability);
        if active == Durability::Buffered && !session.caps.contains(Caps::BUFFERED) {
            return Ok(session.durability);
        }
        Ok(active)
    }

    /// Checks one commit by itself: verbs against the grant, sizes against the limits.
    fn check(&self, log: &BeatLog) -> Result<()> {
        if log.tally().ranges > 0 {
            self.shared.terms.need("delete_range", Caps::DELETE_RANGE)?;
        }
        let limits = self.limits();
        log.check_limits(limits)?;
        let sum = self.own_bytes().saturating_add(self.staged_bytes(log));
        if sum > limits.beat_bytes_max {
            return Err(too_large(sum, limits.beat_bytes_max));
        }
        Ok(())
    }

    /// What a commit stages in the engine, prefixes and layers included.
    fn staged_bytes(&self, log: &BeatLog) -> u64 {
        log.tally().staged_bytes(1, self.shared.terms.codec.value_overhead())
    }

    /// What the runtime itself adds to the next beat.
    pub(crate) fn own_bytes(&self) -> u64 {
        if self.last.beat.0 > 0 {
            return 0;
        }
        (FORMAT_KEY.len() + format_record(&self.shared.terms.grant.format).len()) as u64
    }

    /// Writes checked commits as one beat.
    fn write(&mut self, logs: &[&BeatLog], durability: Durability) -> Result<Vec<Receipt>> {
        let active = self.active(durability)?;
        let shared = Arc::clone(&self.shared);
        let terms = &shared.terms;
        let root = terms.codec.merkle.then(|| {
            let leaves: Vec<_> = logs.iter().map(|log| log.leaf()).collect();
            beat_root(&leaves)
        });
        let header = self.last.next(logs.len() as u64, active, root)?;
        let engine = shared.engine("commit")?;
        let mut beat = engine.begin_beat(header)?;
        if self.last.beat.0 == 0 {
            beat.put_record(FORMAT_KEY, &format_record(&terms.grant.format))?;
        }
        for log in logs {
            self.apply(log, beat.as_mut())?;
        }
        let done = beat.commit_beat()?;
        self.last = header;
        shared.note_commit(header.last_commit());
        let shown_root = root.filter(|_| terms.grant.session.caps.contains(Caps::MERKLE));
        let receipt = |index| Receipt {
            beat: header.beat,
            commit: CommitNo(header.first_commit.0.saturating_add(index)),
            reached: done.reached,
            root: shown_root,
        };
        Ok((0..header.commits).map(receipt).collect())
    }

    /// Applies one commit to the engine's beat, prefixes and layers put on.
    fn apply(&mut self, log: &BeatLog, beat: &mut dyn Beat) -> Result<()> {
        let codec = self.shared.terms.codec;
        for op in log.ops() {
            match op {
                Op::Put { key, value } => {
                    let sealed = codec.seal(key, value, &mut self.value);
                    beat.put_record(user_key(key, &mut self.key), sealed)?;
                }
                Op::Delete { key } => beat.delete_record(user_key(key, &mut self.key))?,
                Op::DeleteRange { range } => beat.delete_range(user_range(&range))?,
            }
        }
        Ok(())
    }
}

pub(crate) fn too_large(bytes: u64, max: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        "commit",
        format!("the beat would stage {bytes} bytes; the limit here is {max}"),
    )
}

fn no_beat() -> Error {
    Error::new(ErrorKind::Invalid, "commit", "no beat was made")
}
