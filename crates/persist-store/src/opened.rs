//! From a place to a store: look, negotiate, then open. Nothing is written before the negotiation succeeded.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{
    Advice, Caps, Driver, Durability, Error, ErrorKind, Grant, Observer, Offer, OpenMode, OpenOptions, Quiet,
    Refusal, Request, Result, negotiate, renegotiate,
};
use persist_io::{Disk, absolute};

use crate::clock::{Clock, SystemClock};
use crate::create::Place;
use crate::home::{Found, Survey, check_clearable, find_driver, survey};
use crate::layers::{AEAD_LAYER, Codec, KeyProvider, enforced_limits, new_parameter, standard_layers};
use crate::observe::told;
use crate::stamp::Stamp;
use crate::{Store, Writer};

/// A place that was looked at: its stamp is read and its engine's offer is known; nothing is locked, opened or written.
/// Ask it what it is, then [`negotiate`](Self::negotiate).
pub struct Opened {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) drivers: Vec<Arc<dyn Driver>>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) home: PathBuf,
    pub(crate) options: OpenOptions,
    pub(crate) offer: Offer,
    /// `None` for an engine that keeps nothing: its home is a name, not a directory.
    pub(crate) survey: Option<Survey>,
    pub(crate) keys: Option<Arc<dyn KeyProvider>>,
    /// What was asked for, at last.
    pub(crate) request: Request,
}

/// What an [`Opened`] knows about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The engine's scheme.
    pub engine: &'static str,
    /// The directory; `None` for an engine that keeps nothing on disk.
    pub home: Option<PathBuf>,
    /// The stamp of a store that exists.
    pub stamp: Option<Stamp>,
    /// True when a creation or an import was not finished here. A creation will be cleared; an import by the next import.
    pub unfinished: bool,
    /// Entries of the home that the stamp does not account for, engines of other epochs among them. They are never
    /// opened and never touched.
    pub strangers: Vec<OsString>,
}

/// A negotiation or opening that failed. The handle is still there, to ask for less.
pub struct NotOpened(Box<(Opened, Error)>);

/// Looks at a place. `scheme` names the engine for a new store; for a store that exists it may be left out, and must
/// agree with the stamp otherwise. Writes nothing.
///
/// An engine whose offer promises no durability at all keeps nothing in a directory: `home` is then a name for the
/// driver, which may be empty, and no stamp, lock or file is made.
///
/// # Errors
/// `Invalid` when a new store needs a scheme or a path, when there is no store and there must be, `Conflict` when there
/// is one and there must not be, `Unsupported` for an engine that is not among `drivers`, `Mismatch` for a foreign
/// directory or another engine's store, `Corrupt` for a damaged stamp, `Io`.
pub fn open_with(
    disk: Arc<dyn Disk>,
    drivers: &[Arc<dyn Driver>],
    home: &Path,
    scheme: Option<&str>,
    options: &OpenOptions,
) -> Result<Opened> {
    let _span = tracing::info_span!("persist.open", home = %home.display(), engine = scheme).entered();
    told(look(disk, drivers, home, scheme, options))
}

fn look(
    disk: Arc<dyn Disk>,
    drivers: &[Arc<dyn Driver>],
    home: &Path,
    scheme: Option<&str>,
    options: &OpenOptions,
) -> Result<Opened> {
    if options.importing {
        let context = "`importing` is the runtime's own option";
        return Err(Error::new(ErrorKind::Invalid, "open", context));
    }
    if let Some(driver) = scheme.map(|scheme| find_driver(drivers, scheme)).transpose()?.cloned() {
        let offer = driver.offer(options);
        if offer.durability_max() == Durability::Volatile {
            let (home, options) = (home.to_path_buf(), options.clone());
            return Ok(Opened {
                disk,
                clock: Arc::new(SystemClock::default()),
                drivers: drivers.to_vec(),
                driver,
                home,
                options,
                offer,
                survey: None,
                keys: None,
                request: Request::default(),
            });
        }
    }
    if home.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "open", "a store on disk needs a path"));
    }
    let home = absolute("open", home)?;
    let survey = survey(disk.as_ref(), &home)?;
    let scheme = resolve_scheme(&survey, &home, scheme)?;
    let driver = Arc::clone(find_driver(drivers, &scheme).map_err(|error| error.with_path(&home))?);
    let offer = driver.offer(options);
    let opened = Opened {
        disk,
        clock: Arc::new(SystemClock::default()),
        drivers: drivers.to_vec(),
        driver,
        home,
        options: options.clone(),
        offer,
        survey: None,
        keys: None,
        request: Request::default(),
    };
    opened.check_place(&survey)?;
    Ok(Opened { survey: Some(survey), ..opened })
}

/// Which engine: as asked for, as stamped, or an error.
fn resolve_scheme(survey: &Survey, home: &Path, asked: Option<&str>) -> Result<String> {
    let fail = |kind, what: String| Err(Error::new(kind, "open", what).with_path(home));
    match (&survey.found, asked) {
        (Found::Store(stamp), Some(asked)) if stamp.engine != asked => fail(
            ErrorKind::Mismatch,
            format!("this store belongs to engine {}, not {asked}; nothing was touched", stamp.engine),
        ),
        (Found::Store(stamp) | Found::Unfinished(stamp), None) => Ok(stamp.engine.clone()),
        (_, Some(asked)) => Ok(asked.to_owned()),
        (Found::Nothing, None) => fail(
            ErrorKind::Invalid,
            "there is no store here; name the engine to create one, as sqlite:path".to_owned(),
        ),
    }
}

impl Opened {
    /// The same, with another clock for all that has a time limit.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// What lies here, for people and tools.
    #[must_use]
    pub fn describe(&self) -> Description {
        let (stamp, unfinished) = match self.survey.as_ref().map(|survey| &survey.found) {
            Some(Found::Store(stamp)) => (Some(stamp.clone()), false),
            Some(Found::Unfinished(_)) => (None, true),
            Some(Found::Nothing) | None => (None, false),
        };
        Description {
            engine: self.offer.engine,
            home: self.survey.as_ref().map(|_| self.home.clone()),
            stamp,
            unfinished,
            strangers: self.survey.as_ref().map(|survey| survey.strangers.clone()).unwrap_or_default(),
        }
    }

    /// Gives the keys of encryption: for a new store that is to be encrypted, and for one that is. What is not encrypted
    /// does not look at them.
    #[must_use]
    pub fn keys(mut self, keys: Arc<dyn KeyProvider>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// What the engine offers here.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Negotiates, then creates or opens the store. The layers of the request are filled in: the runtime knows which it
    /// has. A store that exists keeps its stamped format.
    ///
    /// # Errors
    /// `Refused` naming all that is missing: nothing was touched. `Locked`, `Mismatch`, `Corrupt`, `Full`, `Io` from
    /// opening. The handle comes back in every case.
    pub fn negotiate(self, request: &Request) -> Result<(Writer, Store), NotOpened> {
        self.negotiate_watched(request, &Quiet)
    }

    /// As [`negotiate`](Self::negotiate), watched: an engine reports recovery here, and may be stopped.
    ///
    /// # Errors
    /// As [`negotiate`](Self::negotiate), and `Cancelled`.
    pub fn negotiate_watched(
        mut self,
        request: &Request,
        seen: &dyn Observer,
    ) -> Result<(Writer, Store), NotOpened> {
        let _span = tracing::info_span!(
            "persist.negotiate",
            engine = self.offer.engine,
            home = %self.home.display()
        )
        .entered();
        crate::observe::describe();
        let request = Request { layers: standard_layers(), ..request.clone() };
        self.request = request.clone();
        match told(self.establish(&request, seen)) {
            Ok(place) => Ok(place.into_handles()),
            Err(error) => Err(NotOpened(Box::new((self, error)))),
        }
    }

    fn establish(&mut self, request: &Request, seen: &dyn Observer) -> Result<Place> {
        match &self.survey {
            None => self.open_volatile(request, seen),
            Some(survey) => {
                let grant = self.decide(survey, request)?;
                // Before there is a directory: what cannot be opened leaves nothing behind.
                self.driver.check(&self.options)?;
                let grants_by_found = (survey.found.clone(), grant);
                self.open_home(grants_by_found, request, seen)
            }
        }
    }

    /// The grant for what was found: fresh for a new store, under the stamp for one that exists.
    ///
    /// # Errors
    /// `Refused`; `Mismatch` when the engine's format number is not the stamped one.
    pub(crate) fn decide(&self, survey: &Survey, request: &Request) -> Result<Grant> {
        self.check_place(survey)?;
        let stamp = match &survey.found {
            Found::Store(stamp) => stamp,
            Found::Unfinished(stamp) if stamp.is_import() => {
                return Err(self.unfinished_import());
            }
            Found::Unfinished(_) | Found::Nothing => return self.grant_new(request),
        };
        if stamp.engine != self.offer.engine || stamp.engine_format != self.offer.format {
            let context = format!(
                "the store has {} format {}; this build has {} format {}",
                stamp.engine, stamp.engine_format, self.offer.engine, self.offer.format
            );
            return Err(Error::new(ErrorKind::Mismatch, "open", context).with_path(&self.home));
        }
        self.grant_stamped(request, &stamp.format)
    }

    pub(crate) fn grant_new(&self, request: &Request) -> Result<Grant> {
        grant_new(&self.offer, request, self.keys.as_deref())
    }

    pub(crate) fn grant_stamped(
        &self,
        request: &Request,
        format: &persist_api::FormatGrant,
    ) -> Result<Grant> {
        let grant = enforce(&self.offer, renegotiate(&self.offer, request, format)?, request)?;
        // Before anything is opened: what the stamp alone can say of the keys.
        Codec::of(format, self.keys.as_deref(), None).map_err(|error| error.with_path(&self.home))?;
        Ok(grant)
    }

    /// Checks the mode against what was found, and that an unfinished creation can be cleared.
    fn check_place(&self, survey: &Survey) -> Result<()> {
        let exists = matches!(survey.found, Found::Store(_));
        if let Found::Unfinished(stamp) = &survey.found
            && stamp.is_import()
            && self.options.mode == OpenMode::MustExist
        {
            return Err(self.unfinished_import());
        }
        self.options.mode.check(exists).map_err(|error| error.with_path(&self.home))?;
        match &survey.found {
            Found::Unfinished(stamp) => {
                check_clearable(self.disk.as_ref(), &self.home, survey, stamp, &self.drivers)
            }
            Found::Store(_) | Found::Nothing => Ok(()),
        }
    }

    fn unfinished_import(&self) -> Error {
        let context = "an import into this home was not finished, it is no store: import again, or remove it";
        Error::new(ErrorKind::Mismatch, "open", context).with_path(&self.home).with_advice(Advice::FixPath)
    }

    /// True when a volatile driver already has this home.
    pub(crate) fn volatile_exists(&self) -> Result<bool> {
        let found = self.driver.probe(&self.home)?;
        self.options.mode.check_probe(found).map_err(|error| error.with_path(&self.home))
    }
}

/// The grant of a new store, or of the target of a swap.
///
/// # Errors
/// `Refused`; those of the key provider.
pub(crate) fn grant_new(offer: &Offer, request: &Request, keys: Option<&dyn KeyProvider>) -> Result<Grant> {
    let Some(keys) = keys else {
        let mut without = request.clone();
        without.layers.retain(|layer| layer.grant.name != AEAD_LAYER);
        return enforce(offer, negotiate(offer, &without).map_err(keyless)?, request);
    };
    let mut grant = enforce(offer, negotiate(offer, request)?, request)?;
    if let Some(layer) = grant.format.layers.iter_mut().find(|layer| layer.name == AEAD_LAYER) {
        layer.parameter = new_parameter(keys)?.into();
    }
    Ok(grant)
}

/// Lowers the key limit where LONG_KEYS is not granted, and checks the floor once more against that.
fn enforce(offer: &Offer, mut grant: Grant, request: &Request) -> Result<Grant> {
    grant.session.limits = enforced_limits(grant.session.caps, grant.session.limits);
    let (asked, available) = (request.limits.key_bytes_max, grant.session.limits.key_bytes_max);
    if asked > available {
        let context = format!("key_bytes_max {available} of {asked} asked, for LONG_KEYS is not asked for");
        return Err(Error::new(ErrorKind::Refused, "negotiate", context).with_engine(offer.engine));
    }
    Ok(grant)
}

/// A refusal without keys at hand: if encryption is among what is missing, that is why.
fn keyless(refusal: Refusal) -> Error {
    if !refusal.missing.contains(Caps::AEAD) {
        return refusal.into();
    }
    let context = format!("{refusal}; AEAD needs a key, and none was given");
    Error::new(ErrorKind::Refused, "negotiate", context).with_engine(refusal.engine).with_source(refusal)
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.describe()).finish()
    }
}

impl NotOpened {
    /// Why.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.1
    }

    /// The handle and the error.
    #[must_use]
    pub fn into_parts(self) -> (Opened, Error) {
        *self.0
    }
}

impl fmt::Debug for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NotOpened").field(self.error()).finish()
    }
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for NotOpened {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.error())
    }
}

impl From<NotOpened> for Error {
    fn from(failed: NotOpened) -> Self {
        failed.into_parts().1
    }
}
