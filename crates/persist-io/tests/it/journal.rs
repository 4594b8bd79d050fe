//! A tiny journal, right or with one flaw, for testing the search.
//!
//! `/j/base` holds the state at some step, `/j/log.<step>` the frames since, `/j/head` how many steps were there when it
//! was last closed. A frame: length of the body, checksum, step, body.

use std::path::PathBuf;

use persist_api::{Error, ErrorKind, Result};
use persist_io::sim::explore::{Recovered, Workload};
use persist_io::sim::{Mark, SimDisk};
use persist_io::{Disk, DiskFile, FileMode, create_dir_durably, read_file, replace};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    NoSync,
    AcknowledgeBeforeSync,
    NoDirectorySync,
    RenameBeforeSync,
    RetryFailedSync,
    LengthBeforeData,
    NoChecksum,
    BelievesMemory,
    NoSyncAtOpen,
    KeepsTornTail,
    DamageIsTail,
    WritesAtEveryOpen,
    PanicsOnGarbage,
    RefusesTornTail,
    InventsSteps,
    RunsOnChance,
    OldLogBeforeNewBase,
}

/// What a step does. Opening again is no step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Small,
    Large,
    Checkpoint,
    Reopen,
}

#[derive(Debug, Clone)]
pub(crate) struct Journal {
    pub(crate) flaw: Flaw,
    pub(crate) acts: Vec<Act>,
}

struct Opened<'d> {
    disk: &'d SimDisk,
    flaw: Flaw,
    steps: u64,
    state: Vec<u8>,
    base: u64,
    log: Box<dyn DiskFile>,
    end: u64,
}

fn checksum(step: u64, body: &[u8]) -> u64 {
    let bytes = step.to_le_bytes().into_iter().chain(body.iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn frame(step: u64, body: &[u8]) -> Vec<u8> {
    let len = u64::try_from(body.len()).unwrap();
    [&len.to_le_bytes(), &checksum(step, body).to_le_bytes(), &step.to_le_bytes(), body].concat()
}

/// The frame at `at`: its step, its body, where it ends.
fn frame_at(bytes: &[u8], at: usize, check: bool) -> Option<(u64, &[u8], usize)> {
    let word = |n: usize| Some(u64::from_le_bytes(*bytes.get(at + 8 * n..)?.first_chunk()?));
    let (len, sum, step) = (usize::try_from(word(0)?).ok()?, word(1)?, word(2)?);
    let end = (at + 24).checked_add(len)?;
    let body = bytes.get(at + 24..end)?;
    let good = if check { sum == checksum(step, body) } else { step > 0 };
    (step > 0 && good).then_some((step, body, end))
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "open_journal", what)
}

fn log_path(base: u64) -> PathBuf {
    format!("/j/log.{base}").into()
}

const TAG: fn(u64) -> u8 = |step| u8::try_from(step % 250 + 1).unwrap();

impl<'d> Opened<'d> {
    fn open(disk: &'d SimDisk, flaw: Flaw) -> Result<Self> {
        create_dir_durably(disk, "/j".as_ref())?;
        let (mut base, mut state) = (0, Vec::new());
        if let Some(bytes) = read_file(disk, "/j/base".as_ref(), 1 << 20)? {
            let whole = frame_at(&bytes, 0, flaw != Flaw::NoChecksum).ok_or_else(|| corrupt("base"))?;
            (base, state) = (whole.0, whole.1.to_vec());
            if whole.2 != bytes.len() {
                return Err(corrupt("longer base"));
            }
        }
        let path = log_path(base);
        let log = disk.open(&path, FileMode::OpenOrCreate)?;
        if flaw != Flaw::NoDirectorySync {
            disk.sync_dir("/j".as_ref())?;
        }
        if flaw != Flaw::BelievesMemory {
            log.drop_cache()?;
        }
        let mut bytes = vec![0; usize::try_from(log.len()?).unwrap()];
        let got = log.read_at(0, &mut bytes)?;
        bytes.truncate(got);
        let mut open = Self { disk, flaw, steps: base, state, base, log, end: 0 };
        open.replay(&bytes)?;
        open.check_head()?;
        if flaw == Flaw::KeepsTornTail {
            open.end = open.end.max(bytes.len() as u64);
        } else if open.end < bytes.len() as u64 {
            open.log.truncate(open.end)?;
        }
        if flaw != Flaw::NoSyncAtOpen {
            open.log.sync_data()?;
        }
        Ok(open)
    }

    fn replay(&mut self, bytes: &[u8]) -> Result<()> {
        let trusting = matches!(self.flaw, Flaw::NoChecksum | Flaw::LengthBeforeData);
        while let Some((step, body, end)) = frame_at(bytes, usize::try_from(self.end).unwrap(), !trusting) {
            if step != self.steps + 1 && !trusting {
                return Err(corrupt("steps out of order"));
            }
            self.steps += 1;
            self.state.push(body.first().copied().unwrap_or(0));
            self.end = end as u64;
        }
        let rest = bytes.get(usize::try_from(self.end).unwrap()..).unwrap_or_default();
        if self.flaw == Flaw::RefusesTornTail && !rest.is_empty() {
            return Err(corrupt("torn"));
        }
        assert!(self.flaw != Flaw::PanicsOnGarbage || rest.is_empty(), "garbage");
        Ok(())
    }

    /// Fewer steps than were there at the last close are damage.
    fn check_head(&self) -> Result<()> {
        if self.flaw == Flaw::DamageIsTail {
            return Ok(());
        }
        let Some(head) = read_file(self.disk, "/j/head".as_ref(), 4096)? else { return Ok(()) };
        match frame_at(&head, 0, true) {
            Some((known, _, end)) if known - 1 <= self.steps && end == head.len() => Ok(()),
            _ => Err(corrupt("head")),
        }
    }

    fn sync(&self) -> Result<()> {
        match self.log.sync_data() {
            Err(_) if self.flaw == Flaw::RetryFailedSync => self.log.sync_data(),
            done => done,
        }
    }

    fn append(&mut self, large: bool) -> Result<()> {
        let step = self.steps + 1;
        let body = vec![TAG(step); if large { 1_300 } else { 20 }];
        let bytes = frame(step, &body);
        self.disk.mark(Mark::Submitted(step));
        if self.flaw == Flaw::LengthBeforeData {
            self.log.write_at(self.end, &bytes[..24])?;
            self.sync()?;
            // Zeros hold the place of the body.
            self.log.truncate(self.end + bytes.len() as u64)?;
            self.sync()?;
            self.log.write_at(self.end + 24, &body)?;
        } else {
            self.log.write_at(self.end, &bytes)?;
        }
        if self.flaw == Flaw::AcknowledgeBeforeSync {
            self.disk.mark(Mark::Acknowledged(step));
        }
        if self.flaw != Flaw::NoSync {
            self.sync()?;
        }
        self.disk.mark(Mark::Acknowledged(step));
        self.steps = step;
        self.state.push(TAG(step));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// A new base, then a new log, then the old log goes.
    fn checkpoint(&mut self) -> Result<()> {
        if self.steps == self.base {
            return Ok(());
        }
        let bytes = frame(self.steps, &self.state);
        let old = log_path(self.base);
        if self.flaw == Flaw::OldLogBeforeNewBase {
            self.disk.remove_file(&old)?;
            self.disk.sync_dir("/j".as_ref())?;
        }
        if matches!(self.flaw, Flaw::RenameBeforeSync | Flaw::NoDirectorySync) {
            let file = self.disk.open("/j/base.tmp".as_ref(), FileMode::OpenOrCreate)?;
            file.truncate(0)?;
            file.write_at(0, &bytes)?;
            if self.flaw == Flaw::NoDirectorySync {
                file.sync_data()?;
            }
            self.disk.rename("/j/base.tmp".as_ref(), "/j/base".as_ref())?;
            if self.flaw == Flaw::RenameBeforeSync {
                self.disk.sync_dir("/j".as_ref())?;
                file.sync_data()?;
            }
        } else {
            replace(self.disk, "/j/base".as_ref(), &bytes)?;
        }
        self.base = self.steps;
        self.log = self.disk.open(&log_path(self.base), FileMode::OpenOrCreate)?;
        self.end = 0;
        if self.flaw != Flaw::NoDirectorySync {
            self.disk.sync_dir("/j".as_ref())?;
        }
        self.disk.remove_file(&old)
    }

    fn close(self) -> Result<()> {
        if self.flaw == Flaw::WritesAtEveryOpen {
            let count = self.disk.bytes("/j/opened").unwrap_or_default().len();
            replace(self.disk, "/j/opened".as_ref(), &vec![1; count + 1])?;
        }
        // One more than the steps, as no frame has number 0.
        let head = frame(self.steps + 1, b"");
        if read_file(self.disk, "/j/head".as_ref(), 4096)?.as_ref() == Some(&head) {
            return Ok(());
        }
        replace(self.disk, "/j/head".as_ref(), &head)
    }
}

impl Journal {
    pub(crate) fn new(flaw: Flaw, acts: &[Act]) -> Self {
        Self { flaw, acts: acts.to_vec() }
    }

    fn act<'d>(&self, disk: &'d SimDisk, open: &mut Option<Opened<'d>>, act: Act, wanted: u64) -> Result<()> {
        let mut journal = if let Some(journal) = open.take() {
            journal
        } else {
            let journal = Opened::open(disk, self.flaw)?;
            disk.mark(Mark::Reopened);
            journal
        };
        match act {
            // An earlier attempt may have got through.
            Act::Small | Act::Large if journal.steps >= wanted => disk.mark(Mark::Acknowledged(wanted)),
            Act::Small | Act::Large => journal.append(act == Act::Large)?,
            Act::Checkpoint => journal.checkpoint()?,
            Act::Reopen => return journal.close(),
        }
        *open = Some(journal);
        Ok(())
    }
}

impl Workload for Journal {
    type State = Vec<u8>;

    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run(&self, disk: &SimDisk) -> Result<()> {
        let mut wanted = 0;
        let mut open = None;
        if self.flaw == Flaw::RunsOnChance && std::time::SystemTime::now().elapsed().is_ok() {
            static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let run = RUNS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            disk.create_dir(format!("/{run}").as_ref())?;
        }
        for act in &self.acts {
            wanted += u64::from(matches!(act, Act::Small | Act::Large));
            if self.act(disk, &mut open, *act, wanted).is_err() {
                // Once more, on a store that is opened again.
                open = None;
                self.act(disk, &mut open, *act, wanted)?;
            }
        }
        open.map_or(Ok(()), Opened::close)
    }

    fn recover(&self, disk: &SimDisk) -> Result<Recovered<Vec<u8>>> {
        let open = Opened::open(disk, self.flaw)?;
        let (mut steps, mut state) = (open.steps, open.state.clone());
        if self.flaw == Flaw::InventsSteps && disk.files().len() > 2 {
            steps += 1;
            state.push(TAG(steps));
        }
        open.close()?;
        Ok(Recovered { steps, state, damage: Vec::new() })
    }

    fn go_on(&self, disk: &SimDisk, steps: u64) -> Result<bool> {
        let mut open = Opened::open(disk, self.flaw)?;
        assert_eq!(open.steps, steps);
        open.append(true)?;
        Ok(true)
    }

    fn state_after(&self, steps: u64) -> Vec<u8> {
        (1..=steps).map(TAG).collect()
    }

    fn smaller(&self) -> Vec<Self> {
        let without = |place: usize| {
            let mut acts = self.acts.clone();
            acts.remove(place);
            Self { flaw: self.flaw, acts }
        };
        (0..self.acts.len()).map(without).collect()
    }
}
