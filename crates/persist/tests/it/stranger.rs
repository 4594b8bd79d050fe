//! An engine of somebody else's, and one set of options for many stores.

use std::path::Path;
use std::sync::Arc;

use persist::{
    Driver, Durability, Engine, ErrorKind, Observer, Offer, OpenOptions, Options, Probe, Result,
    volatile_request,
};

use crate::kit::{fails, put};

/// The memory engine under another name.
struct Stranger(Arc<dyn Driver>);

impl Driver for Stranger {
    fn scheme(&self) -> &'static str {
        "stranger"
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        self.0.probe(home)
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        self.0.offer(options)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        self.0.open(home, options, seen)
    }
}

fn memory() -> Arc<dyn Driver> {
    persist::drivers().into_iter().find(|driver| driver.scheme() == "memory").unwrap()
}

#[test]
fn a_strangers_engine_goes_in_by_options_only() {
    fails(persist::open("stranger:"), ErrorKind::Unsupported, &["stranger", "memory"]);
    let options = Options::default().driver(Arc::new(Stranger(memory())));
    let (mut writer, store) =
        persist::open_with("stranger:x", &options).unwrap().negotiate(&volatile_request()).unwrap();
    assert_eq!(put(&mut writer, &[(b"k", b"v")]).reached, Durability::Volatile);
    assert!(store.view().unwrap().get(b"k").unwrap().is_some());
    fails(persist::open("stranger:x"), ErrorKind::Unsupported, &[]);
}

#[test]
fn a_driver_takes_the_place_of_its_namesake() {
    let before = Options::default().drivers().len();
    let options = Options::default().driver(memory());
    assert_eq!(options.drivers().len(), before);
}

#[test]
fn memory_lives_as_long_as_its_options() {
    let options = Options::default();
    let open = |url: &str| persist::open_with(url, &options).unwrap().negotiate(&volatile_request());
    let (mut writer, store) = open("memory:one").unwrap();
    put(&mut writer, &[(b"k", b"v")]);
    drop((writer, store));
    let (writer, store) = open("memory:one").unwrap();
    assert_eq!(writer.last().beat.0, 1);
    assert!(store.view().unwrap().get(b"k").unwrap().is_some());
    assert_eq!(open("memory:two").unwrap().0.last().beat.0, 0);
    let fresh = persist::open("memory:one").unwrap().negotiate(&volatile_request()).unwrap();
    assert_eq!(fresh.0.last().beat.0, 0, "other options, other homes");
}
