//! What the tests share.

use std::time::Duration;

use persist::{
    Durability, Error, ErrorKind, OpenOptions, Options, Request, Result, Store, Writer, default_request,
};
use tempfile::TempDir;

/// An engine of this build and a directory for its store.
pub struct Place {
    pub dir: TempDir,
    pub scheme: &'static str,
    pub options: Options,
}

/// One place for each engine of this build.
pub fn places() -> Vec<Place> {
    let engine = OpenOptions { close_wait: Duration::ZERO, ..OpenOptions::default() };
    let options = Options::default().engine(engine);
    let schemes: Vec<_> = options.drivers().iter().map(|driver| driver.scheme()).collect();
    let place = |scheme| Place { dir: tempfile::tempdir().unwrap(), scheme, options: options.clone() };
    schemes.into_iter().map(place).collect()
}

/// Those that keep their records on disk.
pub fn durable_places() -> Vec<Place> {
    places().into_iter().filter(|place| place.scheme != "memory").collect()
}

impl Place {
    pub fn path(&self) -> String {
        self.dir.path().join("home").to_str().unwrap().to_owned()
    }

    pub fn url(&self) -> String {
        format!("{}:{}", self.scheme, self.path())
    }

    pub fn request(&self) -> Request {
        Request { durability_may_pend: self.scheme == "memory", ..default_request() }
    }

    pub fn open(&self) -> Result<(Writer, Store)> {
        Ok(persist::open_with(&self.url(), &self.options)?.negotiate(&self.request())?)
    }
}

pub fn put(writer: &mut Writer, records: &[(&[u8], &[u8])]) -> persist::Receipt {
    let mut beat = writer.begin(Durability::Durable).unwrap();
    for (key, value) in records {
        beat.put(key, value).unwrap();
    }
    beat.commit().unwrap()
}

#[track_caller]
pub fn fails<T>(result: Result<T>, kind: ErrorKind, words: &[&str]) -> Error {
    let Err(error) = result else { panic!("{kind} expected") };
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    error
}
