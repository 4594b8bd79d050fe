//! What the tests share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use persist_api::{
    BeatHeader, Caps, Driver, Durability, Engine, Error, ErrorKind, OpenOptions, Quiet, Request, Result, Scan,
};
use persist_io::RealDisk;
use persist_memory::MemoryDriver;
use persist_store::{Opened, Store, StoreView, Writer, default_request, open_with, volatile_request};
use tempfile::TempDir;

use crate::toy::Toy;

pub type Drivers = Vec<Arc<dyn Driver>>;

/// A temporary directory and the path of a home in it that does not exist yet.
pub struct Place {
    _dir: TempDir,
    pub home: PathBuf,
}

pub fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    Place { _dir: dir, home }
}

pub fn toy() -> Toy {
    Toy::new(Arc::new(RealDisk))
}

pub fn drivers(toys: &[Toy]) -> Drivers {
    let toys = toys.iter().map(|toy| Arc::new(toy.clone()) as Arc<dyn Driver>);
    toys.chain([Arc::new(MemoryDriver::new()) as Arc<dyn Driver>]).collect()
}

pub fn options() -> OpenOptions {
    OpenOptions { close_wait: Duration::ZERO, ..OpenOptions::default() }
}

pub fn look_at(
    drivers: &Drivers,
    home: &Path,
    scheme: Option<&str>,
    options: &OpenOptions,
) -> Result<Opened> {
    open_with(Arc::new(RealDisk), drivers, home, scheme, options)
}

/// Opens or creates with one toy.
pub fn look(toy: &Toy, home: &Path) -> Result<Opened> {
    open_with(Arc::clone(&toy.disk), &drivers(std::slice::from_ref(toy)), home, Some(toy.scheme), &options())
}

pub fn open(toy: &Toy, home: &Path, request: &Request) -> Result<(Writer, Store)> {
    Ok(look(toy, home)?.negotiate(request)?)
}

pub fn open_default(home: &Path) -> (Writer, Store) {
    open(&toy(), home, &default_request()).unwrap()
}

pub fn open_memory(request: &Request) -> (Writer, Store) {
    let opened = look_at(&drivers(&[]), Path::new(""), Some("memory"), &options()).unwrap();
    opened.negotiate(request).unwrap()
}

/// A request that asks for as little as can be, and these.
pub fn only(caps: Caps) -> Request {
    Request { required: caps, durability: Durability::Volatile, ..Request::default() }
}

pub fn memory() -> (Writer, Store) {
    open_memory(&volatile_request())
}

pub fn put(writer: &mut Writer, records: &[(&[u8], &[u8])]) -> persist_store::Receipt {
    let mut beat = writer.begin(Durability::Durable).unwrap();
    for (key, value) in records {
        beat.put(key, value).unwrap();
    }
    beat.commit().unwrap()
}

pub type Content = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn content(view: &StoreView) -> Content {
    let mut content = Content::new();
    view.scan(Scan::all(), |key, value| {
        content.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    content
}

/// The engine below a closed store.
pub fn raw(toy: &Toy, home: &Path) -> Box<dyn Engine> {
    toy.open(&home.join("engine-1"), &options(), &Quiet).unwrap()
}

/// Changes records under the layers of a closed store.
pub fn change_raw(toy: &Toy, home: &Path, changes: &[(&[u8], &[u8])]) {
    let engine = raw(toy, home);
    let last: BeatHeader = *engine.view().unwrap().header();
    let mut beat = engine.begin_beat(last.next(1, Durability::Durable, Some([7; 32])).unwrap()).unwrap();
    for (key, value) in changes {
        beat.put_record(key, value).unwrap();
    }
    beat.commit_beat().unwrap();
}

pub fn raw_value(toy: &Toy, home: &Path, key: &[u8]) -> Vec<u8> {
    raw(toy, home).view().unwrap().get_record(key).unwrap().unwrap().into_vec()
}

/// Puts a blob into a home as whoever stores blobs does, and says where it lies.
pub fn put_blob(home: &Path, bytes: &[u8]) -> PathBuf {
    let hex = blake3::hash(bytes).to_hex();
    let bucket = home.join("cas").join(&hex[..2]);
    std::fs::create_dir_all(&bucket).unwrap();
    let path = bucket.join(format!("{hex}.blob"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Every file and directory below a path, with its bytes: to show that nothing was touched.
pub fn files(path: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let entries = persist_conformance::listing(path).unwrap().into_iter();
    entries.map(|(name, bytes)| (path.join(name), bytes)).collect()
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
