//! Swaps without load.

use std::sync::Arc;

use persist_api::{Durability, Quiet};
use persist_store::{
    KeyId, KeyRing, SecretKey, SwapState, SwapTarget, compressed, encrypted, volatile_request,
};

use super::stand::{HOME, Stand, all, is_clean, options_of, put, swap_options};

/// Where a store goes that runs on `from`.
pub fn target(from: &str, to: &str) -> SwapTarget {
    let target = if from == "memory" { SwapTarget::at(to, HOME) } else { SwapTarget::here(to) };
    target.options(options_of(to))
}

#[test]
fn swp_01_empty_store() {
    for (from, to) in [("memory", "flatfile"), ("flatfile", "toy"), ("toy", "flatfile")] {
        let stand = Stand::new();
        let home = if from == "memory" { "" } else { HOME };
        let (_writer, store) = stand.open(Some(from), home).unwrap();
        let report = store.swap(&target(from, to), &swap_options(), &Quiet).unwrap();
        assert_eq!((report.digest.records, report.from.engine.as_str()), (0, from));
        assert_eq!(store.engine_name(), to);
        assert!(all(&store).is_empty());
        let receipt = put(&store, "first", "1");
        assert_eq!(receipt.commit.0, report.commit.0 + 1);
        assert_eq!(receipt.reached, Durability::Durable);
    }
}

#[test]
fn swp_02_quiet_store() {
    for (from, to) in
        [("memory", "flatfile"), ("flatfile", "toy"), ("toy", "flatfile"), ("flatfile", "flatfile")]
    {
        let stand = Stand::new();
        let (writer, store) = stand.store(from);
        let (before, digest) = (all(&store), store.digest(&store.view().unwrap()).unwrap());
        let report = store.swap(&target(from, to), &swap_options(), &Quiet).unwrap();
        assert_eq!(report.digest, digest);
        assert_eq!(report.figures.records, 41);
        assert_eq!(all(&store), before);
        let receipt = put(&store, "next", "1");
        assert_eq!((receipt.beat.0, receipt.commit.0), (report.beat.0 + 1, report.commit.0 + 1));
        let after = all(&store);
        store.close().unwrap();
        drop((writer, store));
        let (_writer, store) = stand.open(None, HOME).unwrap();
        assert_eq!((store.engine_name(), all(&store)), (to, after));
        assert_eq!(store.stamp().unwrap().epoch, if from == "memory" { 1 } else { 2 });
        if from == "memory" {
            assert_eq!(store.swap_status(), None);
        } else {
            assert_eq!(store.swap_status().unwrap().state, SwapState::Flipped);
            store.finish_swap().unwrap();
            assert_eq!(store.swap_status(), None);
        }
        put(&store, "last", "1");
        is_clean(&store);
    }
}

#[test]
fn an_encrypted_store_stays_encrypted() {
    let ring = || KeyRing::new().with(KeyId(1), SecretKey::new([7; 32]));
    let request = compressed(encrypted(volatile_request()));
    let open = |stand: &Stand, engine: &str, home: &str| {
        let opened = stand.look(Some(engine), home).unwrap();
        opened.keys(Arc::new(ring())).negotiate(&request).unwrap()
    };
    let secret = "the secret that nobody may read".repeat(4);
    for stopped in [false, true] {
        let stand = Stand::new();
        let (mut writer, mut store) = open(&stand, "flatfile", HOME);
        put(&store, "key", &secret);
        let mut swap = store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        put(&store, "later", &secret);
        if stopped {
            drop(swap);
            store.close().unwrap();
            drop((writer, store));
            (writer, store) = open(&stand, "flatfile", HOME);
            swap = store.resume_swap(&options_of("toy"), &swap_options(), &Quiet).unwrap();
        }
        assert_eq!(swap.run(&Quiet).unwrap().figures.records_now > 0, !stopped);
        put(&store, "last", &secret);
        let before = all(&store);
        store.close().unwrap();
        drop((writer, swap, store));
        let bytes = stand.disk.bytes(format!("{HOME}/engine-2/toy.data")).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"the secret"));
        let (_writer, store) = open(&stand, "toy", HOME);
        assert_eq!(before.len(), 3);
        assert_eq!(all(&store), before);
    }
}
