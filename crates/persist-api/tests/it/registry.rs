//! The registry of capabilities: append-only.

use persist_api::{CapOwner, Caps, REGISTRY};

#[test]
fn numbers_and_names_are_pinned() {
    // 0 to 12 are those of CEP persistent storage.
    let golden = [
        "BEAT_ATOMIC",
        "PREFIX_SCAN",
        "CHECKPOINT",
        "COMPACTION",
        "CRC32C",
        "MERKLE",
        "AEAD",
        "DEFLATE",
        "CAS_DEDUP",
        "REMOTE",
        "HISTORY_PAYLOAD",
        "HISTORY_MANIFEST",
        "NAMEPOOL_MAP",
        "ORDERED",
        "SNAPSHOT",
        "DURABLE",
        "BUFFERED",
        "ZERO_COPY",
        "READ_OWN",
        "DELETE_RANGE",
        "LONG_KEYS",
        "MULTI_PROCESS",
        "HISTORY",
        "BACKUP",
        "FEED",
        "COMPRESSION",
    ];
    for (number, name) in golden.into_iter().enumerate() {
        let cap = REGISTRY.get(number).unwrap();
        assert_eq!(
            (usize::from(cap.number), cap.name),
            (number, name),
            "a number is never changed, reused or removed"
        );
        assert_eq!(cap.bit.bits(), 1 << number);
        assert_eq!(Caps::named(name), Some(cap.bit));
    }
}

#[test]
fn every_row_is_whole() {
    for (place, cap) in REGISTRY.iter().enumerate() {
        assert_eq!(usize::from(cap.number), place, "numbers have no gaps");
        assert!(!cap.meaning.is_empty() && !cap.without.is_empty(), "{}", cap.name);
        let by_engine = matches!(cap.owner, CapOwner::Engine | CapOwner::EngineOrLayer);
        assert_eq!(Caps::offerable().contains(cap.bit), by_engine, "{}", cap.name);
    }
    assert_eq!(Caps::named("NO_SUCH"), None);
    assert_eq!((Caps::CRC32C | Caps::BEAT_ATOMIC | Caps::FEED).names(), "BEAT_ATOMIC CRC32C FEED");
    assert_eq!(Caps::all().rows().count(), REGISTRY.len());
}
