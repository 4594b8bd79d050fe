//! What the registry says of a store that a swap changed or moved.

use persist_api::{Advice, Caps, Durability, ErrorKind, Quiet};
use persist_lifecycle::Registry;
use persist_store::{SwapOptions, SwapTarget};

use crate::kit::{commit, config};
use crate::registry::{open_all, options};

#[test]
fn after_a_swap_the_registry_says_which_key_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let with = |engine: &str| config(dir.path(), &format!("[stores.a]\nengine = '{engine}'"));
    let registry = open_all(&with("sqlite"));
    let store = registry.store("a").unwrap();
    let swap = SwapOptions { may_lose: Caps::all(), ..SwapOptions::default() };
    store.swap(&SwapTarget::here("flatfile"), &swap, &Quiet).unwrap();
    drop((store, registry));
    let failed = Registry::open(&with("sqlite"), options(), Vec::new(), &Quiet).unwrap_err();
    assert_eq!((failed.error.kind(), failed.error.advice()), (ErrorKind::Mismatch, Advice::FixConfig));
    let said = failed.error.to_string();
    for part in ["belongs to engine flatfile", "`engine = \"sqlite\"`", "change that key"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let registry = open_all(&with("flatfile"));
    assert_eq!(registry.store("a").unwrap().engine_name(), "flatfile");
}

#[test]
fn after_a_swap_to_another_home_the_registry_says_which_keys_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let moved = dir.path().join("moved");
    let with = |keys: &str| config(dir.path(), &format!("[stores.a]\n{keys}"));
    let registry = open_all(&with("engine = 'flatfile'"));
    let store = registry.store("a").unwrap();
    commit(&store, "key", 100, Durability::Durable);
    let swap = SwapOptions { may_lose: Caps::all(), ..SwapOptions::default() };
    store.swap(&SwapTarget::at("sqlite", &moved), &swap, &Quiet).unwrap();
    drop((store, registry));
    let path = format!("path = {:?}", moved.to_str().unwrap());
    let engine = "engine = \"sqlite\"";
    let refused = |keys: &str| {
        let failed = Registry::open(&with(keys), options(), Vec::new(), &Quiet).unwrap_err();
        assert_eq!((failed.error.kind(), failed.error.advice()), (ErrorKind::Mismatch, Advice::FixConfig));
        failed.error.to_string()
    };
    let said = refused("engine = 'flatfile'\nknobs.history_beats = 3");
    for part in [&format!("`{path}` and `{engine}`"), "`knobs` only those of sqlite"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for keys in ["", engine] {
        let said = refused(keys);
        assert!(said.contains(&format!("`{path}` in its")) && !said.contains("knobs"), "{said}");
        assert!(!said.contains("persist.stamp"), "the engine before is kept: {said}");
    }
    let registry = open_all(&with(&format!("{path}\n{engine}")));
    assert!(registry.store("a").unwrap().view().unwrap().get(b"key").unwrap().is_some());
    registry.store("a").unwrap().finish_swap().unwrap();
    drop(registry);
    // No store is made in its place, and it is still said where it is.
    for keys in ["", engine, "engine = 'flatfile'", "engine = 'flatfile'\nmode = 'must_create'"] {
        let said = refused(keys);
        for part in [&path, "for a new one here, remove the file persist.stamp"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
