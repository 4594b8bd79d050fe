//! Arbitrary offers and requests.

use persist_api::{Caps, Durability, Layer, LayerGrant, Limits, Offer, Request};
use proptest::prelude::*;

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() }
}

pub(crate) fn caps() -> impl Strategy<Value = Caps> {
    any::<u64>().prop_map(Caps::from_bits_truncate)
}

/// A set with few bits, so that requests are often granted.
pub(crate) fn few_caps() -> impl Strategy<Value = Caps> {
    (caps(), caps(), caps()).prop_map(|(a, b, c)| a & b & c)
}

pub(crate) fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![Just(Durability::Volatile), Just(Durability::Buffered), Just(Durability::Durable)]
}

fn limit() -> impl Strategy<Value = u64> {
    prop_oneof![0..600_u64, Just(u64::MAX), any::<u64>()]
}

pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    (limit(), limit(), limit(), limit(), limit()).prop_map(
        |(key_bytes_max, value_bytes_max, beat_bytes_max, views_max, store_bytes_max)| Limits {
            key_bytes_max,
            value_bytes_max,
            beat_bytes_max,
            views_max,
            store_bytes_max,
        },
    )
}

pub(crate) fn offer() -> impl Strategy<Value = Offer> {
    let engine = prop_oneof![Just("one"), Just("two"), Just("three"), Just("four")];
    (engine, caps(), limits()).prop_map(|(engine, caps, limits)| Offer {
        engine,
        library: String::new(),
        format: 1,
        caps: caps & Caps::offerable(),
        limits,
    })
}

/// What layers may take from the engine here; they provide none of it.
const REMOVABLE: Caps = Caps::ZERO_COPY.union(Caps::FEED);

pub(crate) fn layer_grant() -> impl Strategy<Value = LayerGrant> {
    let parameter = prop_oneof![3 => Just(String::new()), 1 => "[a-z0-9.-]{1,12}"];
    ("[a-z][a-z0-9-]{0,8}", any::<u16>(), few_caps(), 0..40_u64, 0..40_u64, parameter).prop_map(
        |(name, version, provides, key_overhead, value_overhead, parameter)| LayerGrant {
            name: name.into(),
            version,
            provides: provides - REMOVABLE,
            key_overhead,
            value_overhead,
            parameter: parameter.into(),
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let layer = (layer_grant(), any::<bool>(), caps()).prop_map(|(grant, always, removes)| Layer {
        grant,
        always,
        removes: removes & REMOVABLE,
    });
    let floor = prop_oneof![4 => Just(Limits::NO_NEED), 1 => limits()];
    let layers = proptest::collection::vec(layer, 0..4);
    (few_caps(), caps(), durability(), any::<bool>(), floor, layers).prop_map(
        |(required, preferred, durability, durability_may_pend, limits, layers)| Request {
            required,
            preferred,
            durability,
            durability_may_pend,
            limits,
            layers,
        },
    )
}
