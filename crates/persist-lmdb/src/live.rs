//! An open environment with its trees. All of the `unsafe` of this crate is here.

use std::path::Path;
use std::time::Duration;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, RoTxn, WithoutTls};
use persist_api::{BeatHeader, Durability, ErrorKind, Result};
use persist_io::{Disk, RealDisk, renew};

use crate::driver::SCHEME;
use crate::error::{Mapped, corrupt, map_error};
use crate::home::{BEAT_KEY, DATA, FORMAT, FORMAT_KEY, RECORDS, format_offset};
use crate::options::Settings;
use crate::room::reserve_readers;

pub(crate) type Table = Database<'static, Bytes, Bytes>;
pub(crate) type ReadTxn<'t> = RoTxn<'t, WithoutTls>;

/// An open environment. Cloning shares it; it closes with the last clone.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) env: Env<WithoutTls>,
    /// Format, beat header, and the name of the other tree.
    pub(crate) main: Table,
    pub(crate) records: Table,
    page_bytes: usize,
    /// Address of the first byte of the map.
    map: usize,
}

/// How long closing may take in another thread before a reopen gives up.
const CLOSING: Duration = Duration::from_secs(10);

fn open_env(dir: &Path, settings: &Settings) -> Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.max_dbs(1).max_readers(settings.readers_max);
    reserve_readers(&RealDisk, dir, settings.readers_max).map_err(|error| error.with_engine(SCHEME))?;
    if !settings.readahead {
        #[allow(unsafe_code, reason = "heed marks every flag as unsafe; this one is advice to the system")]
        // SAFETY: MDB_NORDAHEAD changes nothing but a `madvise` call on the map.
        unsafe {
            options.flags(EnvFlags::NO_READ_AHEAD);
        }
    }
    let mut sizes = settings.maps().peekable();
    loop {
        let size = sizes.next().unwrap_or(settings.map_bytes);
        options.map_size(usize::try_from(size).unwrap_or(usize::MAX));
        #[allow(unsafe_code, reason = "heed demands it: the file is mapped into memory")]
        // SAFETY: nobody but LMDB writes to the mapped file while it is open. Our directory lock keeps other processes of
        // ours out and is held for longer than the environment; LMDB's own lock file, which we leave enabled and do not
        // touch while it is open, orders any other LMDB program. Before a file comes here, its length was checked against its
        // meta pages (`check`), so that the map has no pages beyond the end of the file that the trees refer to.
        // Network file systems, on which locks and maps do not hold what they promise, are excluded in the documentation.
        let opened = unsafe { options.open(dir) };
        match opened {
            Err(heed::Error::Io(error)) if is_too_large(&error) && sizes.peek().is_some() => {}
            opened => return opened.or_op("open").map_err(|error| error.with_path(dir)),
        }
    }
}

/// What mapping more than the address space has room for gives, here or there.
fn is_too_large(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::OutOfMemory | std::io::ErrorKind::InvalidInput)
}

impl Live {
    /// Makes a new environment in `dir`, with the header of a store without beats, durable.
    pub(crate) fn create(dir: &Path, settings: &Settings) -> Result<()> {
        let env = open_env(dir, settings)?;
        let txn = env.write_txn().or_op("open")?;
        env.create_databases_and_commit(txn, |opener, txn| {
            let main = opener.create_database::<Bytes, Bytes>(txn, None)?;
            opener.create_database::<Bytes, Bytes>(txn, Some(RECORDS))?;
            main.put(txn, FORMAT_KEY, FORMAT)?;
            main.put(txn, BEAT_KEY, &BeatHeader::default().encode())?;
            Ok::<_, heed::Error>(CommitOrAbort::<(), ()>::Commit(()))
        })
        .or_write("open", dir)?;
        Self::wait_for_close(env)
    }

    /// Opens the environment in `dir`.
    pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Self> {
        let env = open_env(dir, settings)?;
        env.clear_stale_readers().or_op("open")?;
        let txn = env.read_txn().or_op("open")?;
        let opened = env.open_databases_and_commit(txn, |opener, txn| {
            let main = opener.open_database::<Bytes, Bytes>(txn, None)?;
            let records = opener.open_database::<Bytes, Bytes>(txn, Some(RECORDS))?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((main, records)))
        });
        let (Some(main), Some(records)) = opened.or_op("open")?.commit().unwrap_or_default() else {
            return Err(corrupt("open", "the tree of records is missing").with_path(dir));
        };
        let page_bytes = env.unnamed_database_stat().page_size as usize;
        let map = Self::find_map(&env, main, dir)?;
        Ok(Self { env, main, records, page_bytes, map })
    }

    /// Makes the meta pages durable as they are read. After a sync that failed, the newest may be one that is not on the
    /// disk, and that no later sync would write.
    pub(crate) fn renew_metas(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        // LMDB's own lock keeps other LMDB programs from writing theirs meanwhile.
        let _alone = self.env.write_txn().or_op("open")?;
        let bytes = self.page_bytes().saturating_mul(2);
        renew(disk, &dir.join(DATA), bytes, &mut |_| Ok(())).map_err(|error| error.with_engine(SCHEME))
    }

    /// LMDB does not say where its map begins, so look where it puts a value of which we know the place in the file.
    fn find_map(env: &Env<WithoutTls>, main: Table, dir: &Path) -> Result<usize> {
        let offset = usize::try_from(format_offset(&RealDisk, &dir.join(DATA))?).unwrap_or(usize::MAX);
        let txn = env.read_txn().or_op("open")?;
        let format = main.get(&txn, FORMAT_KEY).or_op("open")?;
        let map = format.and_then(|format| format.as_ptr().addr().checked_sub(offset));
        // Maps begin at page boundaries; anything else means that LMDB and we read different files.
        map.filter(|map| map.is_multiple_of(4096))
            .ok_or_else(|| corrupt("open", "the map does not show the data file").with_path(dir))
    }

    /// The header that a transaction sees.
    pub(crate) fn header(&self, txn: &ReadTxn<'_>) -> Result<BeatHeader> {
        match self.main.get(txn, BEAT_KEY).or_op("read_header")? {
            Some(bytes) => BeatHeader::decode(bytes).map_err(|error| error.with_engine(SCHEME)),
            None => Err(corrupt("read_header", "the beat header is missing")),
        }
    }

    /// Makes the next commits sync their meta page (`Durable`) or leave that to the next sync.
    ///
    /// The caller must hold the gate that lets one beat in at a time.
    pub(crate) fn set_durability(&self, durability: Durability) -> Result<()> {
        let mode = if durability == Durability::Durable { FlagSetMode::Disable } else { FlagSetMode::Enable };
        #[allow(unsafe_code, reason = "heed demands it: LMDB changes flags without a lock of its own")]
        // SAFETY: no other thread changes flags at the same time, for every caller holds the beat gate, and LMDB allows
        // this one to be changed at any time. With MDB_NOMETASYNC the file stays whole after any crash: the pages of a
        // commit are still synced before its meta page is written (docs/engines/lmdb.md gives the argument).
        let set = unsafe { self.env.set_flags(EnvFlags::NO_META_SYNC, mode) };
        set.or_op("begin_beat")
    }

    /// Address behind the last byte that values may lie in, for a transaction opened before the call.
    pub(crate) fn map_end(&self) -> usize {
        let info = self.env.info();
        let used = info.last_page_number.saturating_add(1).saturating_mul(self.page_bytes);
        self.map.saturating_add(used.min(info.map_size))
    }

    /// Bytes of pages in use or free, up to the last one.
    pub(crate) fn bytes_used(&self) -> u64 {
        let info = self.env.info();
        (info.last_page_number as u64).saturating_add(1).saturating_mul(self.page_bytes as u64)
    }

    /// Bytes of one page.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.page_bytes as u64
    }

    /// Closes the environment, which nobody else may be using.
    pub(crate) fn close(self) -> Result<()> {
        Self::wait_for_close(self.env)
    }

    fn wait_for_close(env: Env<WithoutTls>) -> Result<()> {
        if env.prepare_for_closing().wait_timeout(CLOSING) {
            return Ok(());
        }
        let error = persist_api::Error::new(ErrorKind::Busy, "close", "the environment is still in use");
        Err(error.with_engine(SCHEME))
    }

    /// The size of the data file.
    pub(crate) fn file_bytes(&self, op: &'static str) -> Result<u64> {
        self.env.real_disk_size().map_err(|error| map_error(op, error))
    }
}
