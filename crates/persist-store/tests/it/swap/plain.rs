//! Swaps without load.

use persist_api::{Durability, Quiet};
use persist_store::{SwapState, SwapTarget};

use super::stand::{HOME, Stand, all, options_of, put, swap_options};

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
    }
}
