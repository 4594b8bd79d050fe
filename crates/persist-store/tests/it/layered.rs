//! Each value layer, and all of them, under the whole conformance suite: over memory, and each over flatfile on a real disk. All of
//! them at once over every other engine: the tests of `persist`.

use std::sync::{Arc, LazyLock};

use persist_api::{Caps, Driver, OpenOptions};
use persist_conformance::Fixture;
use persist_flatfile::FlatfileDriver;
use persist_memory::MemoryDriver;
use persist_store::{KeyId, KeyRing, LayeredDriver, SecretKey};

/// An engine under value layers.
struct Under(LazyLock<LayeredDriver>);

impl Fixture for Under {
    fn driver(&self) -> &dyn Driver {
        &*self.0
    }
}

fn over(engine: Arc<dyn Driver>, layers: Caps) -> LayeredDriver {
    let keys = KeyRing::new().with(KeyId(1), SecretKey::random().unwrap());
    LayeredDriver::new(engine, layers, Some(&keys)).unwrap()
}

fn over_memory(layers: Caps) -> LayeredDriver {
    over(Arc::new(MemoryDriver::new()), layers)
}

fn over_flatfile(layers: Caps) -> LayeredDriver {
    over(Arc::new(FlatfileDriver::default()), layers)
}

macro_rules! suite {
    ($($name:ident: $over:ident $layers:expr;)+) => {$(
        mod $name {
            use super::*;

            static UNDER: Under = Under(LazyLock::new(|| $over($layers)));

            persist_conformance::conformance!(UNDER);
        }
    )+};
}

suite! {
    crc32c: over_memory Caps::CRC32C;
    lz4: over_memory Caps::COMPRESSION;
    xchacha20_poly1305: over_memory Caps::AEAD;
    all: over_memory Caps::CRC32C | Caps::COMPRESSION | Caps::AEAD;
    flatfile_crc32c: over_flatfile Caps::CRC32C;
    flatfile_lz4: over_flatfile Caps::COMPRESSION;
    flatfile_xchacha20_poly1305: over_flatfile Caps::AEAD;
}

// Without encryption: that is bound to a number which each driver draws and only the stamp of a store keeps.
persist_conformance::crash_classes!(
    crash,
    over_flatfile(Caps::CRC32C | Caps::COMPRESSION),
    OpenOptions::default()
);

#[test]
fn an_engine_under_layers_offers_what_they_leave() {
    let bare = MemoryDriver::new().offer(&OpenOptions::default());
    let offer = |layers| over_memory(layers).offer(&OpenOptions::default());
    assert!(bare.caps.contains(Caps::ZERO_COPY), "else this shows nothing");
    let checked = offer(Caps::CRC32C);
    assert_eq!(checked.caps, bare.caps | Caps::CRC32C);
    assert_eq!(checked.limits.value_bytes_max, bare.limits.value_bytes_max - 4);
    for (layers, overhead) in [(Caps::COMPRESSION, 1), (Caps::AEAD, 44), (Caps::AEAD | Caps::COMPRESSION, 45)]
    {
        let changed = offer(layers);
        assert_eq!(
            changed.caps,
            bare.caps - Caps::ZERO_COPY,
            "what a layer provides is not the engine's to offer"
        );
        assert_eq!(changed.limits.value_bytes_max, bare.limits.value_bytes_max - overhead);
    }
}
