//! All value layers at once over every engine of this build, under the whole conformance suite. Each layer by itself is
//! checked in `persist-store`.

use std::sync::{Arc, LazyLock};

use persist::{Caps, Driver, KeyId, KeyRing, SecretKey, drivers};
use persist_conformance::Fixture;
use persist_store::LayeredDriver;

/// An engine under all layers.
struct Under(LazyLock<LayeredDriver>);

impl Fixture for Under {
    fn driver(&self) -> &dyn Driver {
        &*self.0
    }
}

fn over(scheme: &str) -> LayeredDriver {
    let inner: Arc<dyn Driver> = drivers().into_iter().find(|driver| driver.scheme() == scheme).unwrap();
    let keys = KeyRing::new().with(KeyId(1), SecretKey::random().unwrap());
    LayeredDriver::new(inner, Caps::COMPRESSION | Caps::AEAD | Caps::CRC32C, Some(&keys)).unwrap()
}

macro_rules! suite {
    ($($name:ident $feature:literal;)+) => {$(
        #[cfg(feature = $feature)]
        mod $name {
            use super::*;

            static UNDER: Under = Under(LazyLock::new(|| over($feature)));

            persist_conformance::conformance!(UNDER);
        }
    )+};
}

suite! {
    flatfile "flatfile";
    sqlite "sqlite";
    lmdb "lmdb";
    rocksdb "rocksdb";
}
