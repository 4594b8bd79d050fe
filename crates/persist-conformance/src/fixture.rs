//! What the suite needs to know about an engine: how to reach it, and where it may live meanwhile.

use std::path::{Path, PathBuf};

use persist_api::{Driver, Grant, Offer, OpenOptions, Refusal, Request};
use tempfile::TempDir;

/// One engine under test. Object-safe; everything but [`driver`](Self::driver) has a default.
pub trait Fixture: Sync {
    /// The driver of the engine. The same one for the whole run.
    fn driver(&self) -> &dyn Driver;

    /// A fresh place for one case. The guard outlives every engine that the case opens in it.
    fn home(&self) -> Home {
        Home::temp()
    }

    /// How the engine is opened where a case does not ask for anything special.
    fn options(&self) -> OpenOptions {
        OpenOptions::default()
    }

    /// The negotiation under test. A runtime that negotiates in its own way puts it here; engines leave it alone.
    ///
    /// # Errors
    /// The refusal.
    fn negotiate(&self, offer: &Offer, request: &Request) -> Result<Grant, Refusal> {
        persist_api::negotiate(offer, request)
    }

    /// The seed of everything random in the suite. `PERSIST_SEED` or `--seed` set it; without them it is 1.
    fn seed(&self) -> u64 {
        std::env::var("PERSIST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
    }
}

/// A fresh temporary directory. What it holds is removed when it is dropped.
#[derive(Debug)]
pub struct Home {
    guard: TempDir,
    path: PathBuf,
}

impl Home {
    /// A new directory in the system's place for temporary files; the home itself, `home` inside it, does not exist yet.
    ///
    /// # Panics
    /// When no temporary directory can be made. The runner turns this into a failed case.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "without a directory no case can say anything; the runner reports it"
    )]
    pub fn temp() -> Self {
        Self::new(tempfile::Builder::new().prefix("persist-case-").tempdir().expect("a temporary directory"))
    }

    /// A home inside a temporary directory that somebody else chose, as one on another file system.
    #[must_use]
    pub fn new(guard: TempDir) -> Self {
        let path = guard.path().join("home");
        Self { guard, path }
    }

    /// The directory of the engine.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A place next to the home, in the same guard.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.guard.path().join(name)
    }
}

/// The same fixture with another seed.
pub(crate) struct Seeded<'f> {
    pub(crate) inner: &'f dyn Fixture,
    pub(crate) seed: u64,
}

impl Fixture for Seeded<'_> {
    fn driver(&self) -> &dyn Driver {
        self.inner.driver()
    }

    fn home(&self) -> Home {
        self.inner.home()
    }

    fn options(&self) -> OpenOptions {
        self.inner.options()
    }

    fn negotiate(&self, offer: &Offer, request: &Request) -> Result<Grant, Refusal> {
        self.inner.negotiate(offer, request)
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}
