//! Creating and reopening a home, under its lock.

use std::path::PathBuf;
use std::sync::Arc;

use persist_api::{
    Engine, Error, ErrorKind, FormatGrant, Grant, Observer, OpenMode, OpenOptions, Request, Result, View,
};
use persist_io::{DirLock, create_dir_durably, lock_dir};

use crate::cas::CAS_DIR;
use crate::feed::FeedState;
use crate::home::{Found, check_clearable, clear, engine_dir, survey};
use crate::layers::{Codec, FORMAT_KEY, Layered, read_format_record};
use crate::opened::Opened;
use crate::shared::{Active, Running, Setup, Shared, Terms};
use crate::stamp::{STAMP_FILE, Stamp, StampState, StoreId};
use crate::{Store, Writer};

/// An engine that is open under a grant.
pub(crate) struct Place {
    shared: Arc<Shared>,
    writer: Writer,
}

impl Place {
    pub(crate) fn into_handles(self) -> (Writer, Store) {
        (self.writer, Store::new(self.shared))
    }
}

impl Opened {
    /// Opens an engine that keeps nothing on disk. Its format is in its own copy of the grant, written by beat 1.
    pub(crate) fn open_volatile(&mut self, request: &Request, seen: &dyn Observer) -> Result<Place> {
        if !self.volatile_exists()? {
            let grant = self.grant_new(request)?;
            let engine = self.driver.open(&self.home, &self.options, seen)?;
            return self.place(engine, None, grant, None);
        }
        let engine = self.driver.open(&self.home, &self.options, seen)?;
        let grant = match stored_format(engine.view()?.as_ref())? {
            None => self.grant_new(request)?,
            Some(format) => self.grant_stamped(request, &format)?,
        };
        self.place(engine, None, grant, None)
    }

    /// Opens or creates a home for which `decided` was granted.
    pub(crate) fn open_home(
        &mut self,
        decided: (Found, Grant),
        request: &Request,
        seen: &dyn Observer,
    ) -> Result<Place> {
        let (expected, mut grant) = decided;
        if !matches!(expected, Found::Store(_)) {
            create_dir_durably(self.disk.as_ref(), &self.home)?;
        }
        let lock = Arc::new(lock_dir(self.disk.as_ref(), &self.home)?);
        // Whoever held the lock until now may have changed everything.
        let now = survey(self.disk.as_ref(), &self.home)?;
        if now.found != expected {
            grant = self.decide(&now, request)?;
        }
        let found = now.found.clone();
        self.survey = Some(now);
        match found {
            Found::Store(stamp) => self.reopen(stamp, grant, lock, seen),
            Found::Nothing => self.create(grant, lock, seen),
            Found::Unfinished(stamp) => {
                self.clear_unfinished(&stamp)?;
                self.create(grant, lock, seen)
            }
        }
    }

    fn clear_unfinished(&self, stamp: &Stamp) -> Result<()> {
        let disk = self.disk.as_ref();
        let survey = survey(disk, &self.home)?;
        check_clearable(disk, &self.home, &survey, stamp, &self.drivers)?;
        clear(disk, &self.home, stamp)
    }

    fn create(&self, grant: Grant, lock: Arc<DirLock>, seen: &dyn Observer) -> Result<Place> {
        let disk = self.disk.as_ref();
        let stamp = Stamp {
            store: StoreId::random()?,
            state: StampState::Creating,
            engine: self.offer.engine.to_owned(),
            engine_format: self.offer.format,
            epoch: 1,
            origin: None,
            swap: None,
            format: grant.format.clone(),
        };
        stamp.write(disk, &self.home)?;
        disk.create_dir(&self.home.join(CAS_DIR))?;
        let options = OpenOptions { mode: OpenMode::OpenOrCreate, ..self.options.clone() };
        let engine = match self.driver.open(&engine_dir(&self.home, stamp.epoch), &options, seen) {
            Ok(engine) => engine,
            Err(error) => {
                // Best effort: what stays is cleared by the next creation.
                let _ = self
                    .clear_unfinished(&stamp)
                    .and_then(|()| disk.remove_file(&self.home.join(STAMP_FILE)))
                    .and_then(|()| disk.sync_dir(&self.home));
                return Err(error);
            }
        };
        disk.sync_dir(&self.home)?;
        let stamp = Stamp { state: StampState::Ready, ..stamp };
        stamp.write(disk, &self.home)?;
        self.place(engine, Some(stamp), grant, Some(lock))
    }

    fn reopen(&self, stamp: Stamp, grant: Grant, lock: Arc<DirLock>, seen: &dyn Observer) -> Result<Place> {
        let disk = self.disk.as_ref();
        // Whoever put the stamp there may have died before its name was durable. With that a power cut would take back what
        // relies on it: everything that is committed from now on.
        disk.sync_dir(&self.home)?;
        let decided_elsewhere = match &stamp.swap {
            Some(swap) if Stamp::read(disk, &self.home)?.as_ref() != Some(&stamp) => {
                swap.place.as_home().map_or(Ok(()), |source| disk.sync_dir(source))?;
                true
            }
            _ => false,
        };
        let options = OpenOptions { mode: OpenMode::MustExist, ..self.options.clone() };
        let dir = engine_dir(&self.home, stamp.epoch);
        let engine = self.driver.open(&dir, &options, seen).map_err(|error| match error.kind() {
            // The options were checked. A stamp says `ready` once the engine's files are durable.
            ErrorKind::Invalid => {
                let context =
                    "the stamp says that a store is here, and the engine finds none: its files are gone";
                Error::new(ErrorKind::Corrupt, "open", context).with_engine(self.offer.engine).with_path(dir)
            }
            _ => error,
        })?;
        if decided_elsewhere {
            // The home that the store came from has decided a swap, and it ended there.
            stamp.write(disk, &self.home)?;
        }
        self.place(engine, Some(stamp), grant, Some(lock))
    }

    /// Checks that engine, grant and stamp fit together, and makes the handles.
    fn place(
        &self,
        engine: Box<dyn Engine>,
        stamp: Option<Stamp>,
        grant: Grant,
        lock: Option<Arc<DirLock>>,
    ) -> Result<Place> {
        if *engine.offer() != self.offer {
            let context = "the open engine offers something else than its driver said it would";
            return Err(Error::new(ErrorKind::Mismatch, "open", context).with_engine(self.offer.engine));
        }
        let view = engine.view()?;
        let format_lost = match format_copy(view.as_ref()).map_err(|error| self.named(error))? {
            FormatCopy::Stored(stored) if stored != grant.format => {
                let context = "the engine's copy of the format grant is not the stamped one: these files belong to another store";
                return Err(Error::new(ErrorKind::Corrupt, "open", context).with_path(&self.home));
            }
            FormatCopy::Stored(_) | FormatCopy::NoBeat => false,
            // The stamp says the same, and decides.
            FormatCopy::Damaged(error) if stamp.is_some() => {
                tracing::warn!(name: "persist.format_lost", %error, "the engine's copy of the format grant is damaged; the stamp has it");
                true
            }
            FormatCopy::Damaged(error) => return Err(self.named(error)),
        };
        let header = *view.header();
        let codec = Codec::of(&grant.format, self.keys.as_deref(), Some(view.as_ref()));
        let codec = Arc::new(codec.map_err(|error| self.named(error))?);
        drop(view);
        let engine = Box::new(Layered::new(engine, Arc::clone(&codec)));
        let swapping = stamp.as_ref().is_some_and(|stamp| stamp.swap.is_some());
        let feed = FeedState::load(&engine.layered_view()?, &codec, swapping);
        let feed = feed.map_err(|error| self.named(error))?;
        let home: Option<PathBuf> = stamp.as_ref().map(|_| self.home.clone());
        let running = Running { engine, lock };
        let terms = Arc::new(Terms { grant, codec, format_lost });
        let active = Active::new(running, self.offer.engine, home, stamp, terms);
        let setup = Setup {
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(&self.clock),
            drivers: self.drivers.clone(),
            request: self.request.clone(),
            keys: self.keys.clone(),
            close_wait: self.options.close_wait,
        };
        let shared = Arc::new(Shared::new(active, setup, header, feed));
        let writer = Writer::new(Arc::clone(&shared));
        Ok(Place { shared, writer })
    }

    /// Names the home, unless the error names a file.
    fn named(&self, error: Error) -> Error {
        if error.path().is_some() { error } else { error.with_path(&self.home) }
    }
}

/// The engine's own copy of the format grant.
enum FormatCopy {
    /// It comes with the first beat.
    NoBeat,
    Stored(FormatGrant),
    /// It cannot be read, or not whole.
    Damaged(Error),
}

/// The engine's own copy of the format grant; `None` before the first beat.
///
/// # Errors
/// `Corrupt` when it is damaged or missing from a store that has beats.
pub(crate) fn stored_format(view: &dyn View) -> Result<Option<FormatGrant>> {
    match format_copy(view)? {
        FormatCopy::NoBeat => Ok(None),
        FormatCopy::Stored(format) => Ok(Some(format)),
        FormatCopy::Damaged(error) => Err(error),
    }
}

/// Looks at the engine's own copy of the format grant.
///
/// # Errors
/// `Corrupt` when it is missing from a store that has beats; those of the view that are no damage.
fn format_copy(view: &dyn View) -> Result<FormatCopy> {
    let record = match view.get_record(FORMAT_KEY) {
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(FormatCopy::Damaged(error)),
        record => record?,
    };
    match record {
        Some(record) => Ok(read_format_record(&record).map_or_else(FormatCopy::Damaged, FormatCopy::Stored)),
        None if view.header().beat.0 == 0 => Ok(FormatCopy::NoBeat),
        None => {
            let context =
                "the engine has beats but no copy of the format grant: they were not written by this runtime";
            Err(Error::new(ErrorKind::Corrupt, "open", context))
        }
    }
}
