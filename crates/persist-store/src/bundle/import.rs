//! A bundle becomes a store.

use std::path::Path;
use std::sync::Arc;

use persist_api::{
    Advice, BeatHeader, Caps, Durability, Engine as _, Error, ErrorKind, Grant, Observer, OpenMode,
    OpenOptions, Progress, Request, Result,
};
use persist_io::{Disk, create_dir_durably, lock_dir, sync_tree};

use super::load::Loader;
use super::read::{BundleFile, Receiver};
use super::{BundleLimits, BundleReport};
use crate::cas::{BlobName, CAS_DIR, NewBlob, each_blob, read_blob};
use crate::create::stored_format;
use crate::home::{Found, Survey, check_clearable, check_room, clear, engine_dir, survey};
use crate::layers::{Codec, Layered, standard_layers};
use crate::observe::told;
use crate::opened::Opened;
use crate::stamp::{STAMP_FILE, Stamp, StampState, StoreId};

/// Memory for an engine that is filled, where the caller has not said how much. What a transaction stages comes on top, and in
/// several places: so it is well below what an import may take.
const ENGINE_MEMORY_BYTES: u64 = 24 << 20;

/// What an import made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// The new store's name; `None` for an engine that keeps nothing on disk.
    pub store: Option<StoreId>,
    /// Its engine.
    pub engine: &'static str,
    /// What was imported.
    pub bundle: BundleReport,
}

impl Opened {
    /// Makes a store of a bundle, in a place where there is none. The new store has the records, blobs, numbers and root of
    /// the one that was exported, and a name of its own. To use it, open it.
    ///
    /// First the whole bundle is checked, and whether the engine can hold its longest key and value: until then nothing is
    /// touched. Then all is copied, checked again as it is read; the engine is opened anew and its digest, like every blob's,
    /// is computed from what it shows. Only then the stamp says `ready`, as the last thing, so that a crash at any moment
    /// leaves no store or the whole one. What an import that died has left is cleared by the next one into the same home; one
    /// that fails or is cancelled clears it itself (best effort; the lock file stays).
    ///
    /// SNAPSHOT and ORDERED are required. MERKLE is left out for a bundle without a root.
    ///
    /// # Errors
    /// `Mismatch` for what is no bundle, and for a home that holds anything; `Corrupt` for a bundle that does not verify;
    /// `TooLarge` beyond `limits` or the engine's; `Conflict` where a store exists; `Refused`; `Locked`, `Full`, `Io`,
    /// `Cancelled`.
    pub fn import(
        self,
        bundle: &Path,
        request: &Request,
        limits: &BundleLimits,
        seen: &dyn Observer,
    ) -> Result<ImportReport> {
        told(self.import_all(bundle, request, limits, seen))
    }

    fn import_all(
        self,
        bundle: &Path,
        request: &Request,
        limits: &BundleLimits,
        seen: &dyn Observer,
    ) -> Result<ImportReport> {
        let mut request = Request { layers: standard_layers(), ..request.clone() };
        request.required |= Caps::SNAPSHOT | Caps::ORDERED;
        if let Some(survey) = &self.survey {
            self.check_vacant(survey)?;
        }
        let own = self.grant_new(&request)?.session.limits;
        self.driver.check(&self.options)?;
        let limits = BundleLimits {
            key_bytes: limits.key_bytes.min(own.key_bytes_max),
            value_bytes: limits.value_bytes.min(own.value_bytes_max),
            ..*limits
        };
        let file = BundleFile::open(self.disk.as_ref(), bundle)?;
        let found = file.check(&limits, seen)?;
        let grant = self.grant_for(&found, request).map_err(|error| error.with_path(bundle))?;
        let codec = Arc::new(Codec::of(&grant.format, self.keys.as_deref(), None)?);
        self.check_length(&found, &grant)?;
        let import = Import { opened: &self, bundle, file, limits, grant, codec, found, seen };
        let store = match &self.survey {
            Some(_) => Some(import.to_home()?),
            None => import.to_memory().map(|()| None)?,
        };
        Ok(ImportReport { store, engine: self.offer.engine, bundle: import.found })
    }

    /// Checks that nothing is here, or nothing but what an import or a creation that died has left.
    fn check_vacant(&self, survey: &Survey) -> Result<()> {
        match &survey.found {
            Found::Nothing => Ok(()),
            Found::Unfinished(stamp) => {
                check_clearable(self.disk.as_ref(), &self.home, survey, stamp, &self.drivers)
            }
            Found::Store(_) => {
                let context = "a store exists here; a bundle is only imported where there is none";
                let error = Error::new(ErrorKind::Conflict, "import", context).with_path(&self.home);
                Err(error.with_advice(Advice::FixPath))
            }
        }
    }

    /// Checks that the disk has as much room as the bundle is long: nobody knows what an engine makes of the records, and this is the best
    /// guess that costs nothing. Not where values will be compressed, or where what an earlier import has left is removed first.
    fn check_length(&self, found: &BundleReport, grant: &Grant) -> Result<()> {
        let is_empty = self.survey.as_ref().is_some_and(|survey| matches!(survey.found, Found::Nothing));
        if !is_empty || grant.session.caps.contains(Caps::COMPRESSION) {
            return Ok(());
        }
        check_room(self.disk.as_ref(), "import", &self.home, ("the bundle", found.file_bytes), 0)
    }

    /// What the new store is granted, once the bundle is known.
    fn grant_for(&self, found: &BundleReport, mut request: Request) -> Result<Grant> {
        let refuse = |context: &str| Err(Error::new(ErrorKind::Refused, "import", context));
        if let Some(base) = &found.manifest.base {
            let context = format!(
                "this is an increment, to be applied to a store that stands at beat {}; a store is made of a whole bundle",
                base.beat
            );
            return Err(Error::new(ErrorKind::Mismatch, "import", context).with_advice(Advice::FixPath));
        }
        if self.survey.is_none() && found.blobs > 0 {
            return refuse(
                "the bundle has blobs, and an engine that keeps nothing on disk has no place for them",
            );
        }
        if found.manifest.beat.0 > 0 && found.manifest.root.is_none() {
            if request.required.contains(Caps::MERKLE) {
                return refuse("MERKLE is required, and the bundle comes from a store without it");
            }
            request.preferred -= Caps::MERKLE;
        }
        self.grant_new(&request)
    }
}

/// An import of a bundle that was checked.
struct Import<'i> {
    opened: &'i Opened,
    bundle: &'i Path,
    file: BundleFile,
    limits: BundleLimits,
    grant: Grant,
    codec: Arc<Codec>,
    found: BundleReport,
    seen: &'i dyn Observer,
}

impl Import<'_> {
    fn disk(&self) -> &dyn Disk {
        self.opened.disk.as_ref()
    }

    fn home(&self) -> &Path {
        &self.opened.home
    }

    /// Imports into a home on disk, under its lock.
    fn to_home(&self) -> Result<StoreId> {
        let (disk, home, opened) = (self.disk(), self.home(), self.opened);
        create_dir_durably(disk, home)?;
        let _lock = lock_dir(disk, home)?;
        // Whoever held the lock until now may have changed everything.
        let now = survey(disk, home)?;
        opened.check_vacant(&now)?;
        if let Found::Unfinished(stamp) = &now.found {
            clear(disk, home, stamp)?;
        }
        let stamp = Stamp {
            store: StoreId::random()?,
            state: StampState::Importing,
            engine: opened.offer.engine.to_owned(),
            engine_format: opened.offer.format,
            epoch: 1,
            origin: None,
            swap: None,
            format: self.grant.format.clone(),
        };
        stamp.write(disk, home)?;
        if let Err(error) = self.fill(&engine_dir(home, stamp.epoch)) {
            // Best effort: what stays is cleared by the next import.
            let _ = clear(disk, home, &stamp)
                .and_then(|()| disk.remove_file(&home.join(STAMP_FILE)))
                .and_then(|()| disk.sync_dir(home));
            return Err(error);
        }
        // A failure from here on leaves all as it is: whether the new stamp has reached the disk is not known.
        Stamp { state: StampState::Ready, ..stamp }.write(disk, home)?;
        Ok(stamp.store)
    }

    /// Makes everything but the last stamp, and checks it.
    fn fill(&self, dir: &Path) -> Result<()> {
        let (disk, home) = (self.disk(), self.home());
        let cas = home.join(CAS_DIR);
        disk.create_dir(&cas)?;
        let engine = self.open_engine(dir, OpenMode::OpenOrCreate, true)?;
        self.copy(&engine)?;
        if engine.offer().caps.contains(Caps::CHECKPOINT) {
            // The next opening finds nothing to do.
            engine.checkpoint()?;
        }
        close(engine)?;
        let engine = self.open_engine(dir, OpenMode::MustExist, false)?;
        self.check_content(&engine)?;
        close(engine)?;
        self.check_blobs()?;
        // The last thing that this syncs is the home itself, with the engine's name in it.
        sync_tree(disk, &cas)
    }

    /// Imports into an engine that keeps nothing on disk: one transaction, committed when the whole bundle has verified again.
    fn to_memory(&self) -> Result<()> {
        let engine = self.open_engine(self.home(), OpenMode::OpenOrCreate, true)?;
        if engine.view()?.header().beat.0 > 0 {
            let context = "a store exists here; a bundle is only imported where there is none";
            let error = Error::new(ErrorKind::Conflict, "import", context).with_advice(Advice::FixPath);
            return Err(error.with_engine(self.opened.offer.engine));
        }
        self.copy(&engine)?;
        self.check_content(&engine)?;
        close(engine)
    }

    /// Opens the engine under its layers. Once it has records, the keys of an encrypted store are proved by them.
    fn open_engine(&self, dir: &Path, mode: OpenMode, importing: bool) -> Result<Box<Layered>> {
        let memory_bytes = self.opened.options.memory_bytes.or(Some(ENGINE_MEMORY_BYTES));
        let options = OpenOptions { mode, importing, memory_bytes, ..self.opened.options.clone() };
        let engine = self.opened.driver.open(dir, &options, self.seen)?;
        if importing {
            return Ok(Box::new(Layered::new(engine, Arc::clone(&self.codec))));
        }
        let view = engine.view()?;
        let codec = Codec::of(&self.grant.format, self.opened.keys.as_deref(), Some(view.as_ref()))?;
        drop(view);
        Ok(Box::new(Layered::new(engine, Arc::new(codec))))
    }

    /// The header that the new store's newest beat has, but for its durability.
    fn header(&self, durability: Durability) -> BeatHeader {
        let header = self.found.manifest.header(durability);
        BeatHeader { root: header.root.filter(|_| self.codec.merkle), ..header }
    }

    /// Copies records and blobs, reading the bundle a second time.
    fn copy(&self, engine: &Layered) -> Result<()> {
        let header = self.header(Durability::Volatile);
        let loader = Loader::new(engine, &self.codec, &self.grant, header);
        let mut copying = Copying { disk: self.disk(), home: self.home(), loader, blob: None };
        let again = self.file.read(&self.limits, &mut copying, "import", self.seen)?;
        if again != self.found {
            let context = "the bundle was changed while it was imported";
            return Err(Error::new(ErrorKind::Corrupt, "import", context).with_path(self.bundle));
        }
        copying.loader.finish()
    }

    /// Checks that the engine shows what the bundle says.
    fn check_content(&self, engine: &Layered) -> Result<()> {
        let wrong = |what: &str| {
            let error = Error::new(ErrorKind::Corrupt, "import", format!("after the copy {what}"));
            Err(error.with_engine(self.opened.offer.engine))
        };
        let view = engine.view()?;
        let header = *view.header();
        if header != self.header(header.durability) {
            return wrong("the engine shows another beat than the bundle");
        }
        let format = stored_format(view.as_ref())?;
        if format.is_some_and(|format| format != self.grant.format) {
            return wrong("the engine's copy of the format grant is another");
        }
        if crate::digest::of_engine(view.as_ref(), self.seen)? != self.found.manifest.digest {
            return wrong("the digest of the records is not that of the bundle");
        }
        Ok(())
    }

    /// Reads every blob back.
    fn check_blobs(&self) -> Result<()> {
        let (mut blobs, mut bytes) = (0_u64, 0_u64);
        each_blob(self.disk(), self.home(), &mut |name, _| {
            let progress =
                Progress { phase: "blobs", done: blobs, total: Some(self.found.blobs), unit: "blobs" };
            self.seen.step("import", progress)?;
            bytes = bytes.saturating_add(read_blob(self.disk(), self.home(), name, &mut |_| Ok(()))?);
            blobs = blobs.saturating_add(1);
            Ok(())
        })?;
        if (blobs, bytes) == (self.found.blobs, self.found.blob_bytes) {
            return Ok(());
        }
        let context = format!("after the copy there are {blobs} blobs with {bytes} bytes");
        Err(Error::new(ErrorKind::Corrupt, "import", context).with_path(self.home()))
    }
}

fn close(engine: Box<Layered>) -> Result<()> {
    engine.close().map_err(|(_, error)| error)
}

/// Takes what is read from the bundle.
struct Copying<'c> {
    disk: &'c dyn Disk,
    home: &'c Path,
    loader: Loader<'c>,
    blob: Option<NewBlob>,
}

impl Receiver for Copying<'_> {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.loader.record(key, value)
    }

    fn blob(&mut self, name: BlobName) -> Result<()> {
        self.blob = Some(NewBlob::create(self.disk, self.home, name)?);
        Ok(())
    }

    fn blob_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.blob.as_mut().map_or(Ok(()), |blob| blob.write(bytes))
    }
}
