//! A store that was opened by a relative path stays where it is when the process changes its directory.

use std::path::Path;
use std::process::Command;

use persist::{
    BundleLimits, Caps, CompactScope, Durability, Quiet, RealDisk, Store, SwapOptions, SwapTarget,
    read_bundle,
};
use persist_conformance::listing;

use crate::kit::{Place, durable_places, places, put};

/// What a child is to open, relative to its directory.
const ASKED: &str = "PERSIST_TEST_CHDIR";

/// Opens, changes the directory, and does everything that makes, names and removes files.
fn wander(address: &str) {
    let place = durable_places().into_iter().find(|place| address.starts_with(place.scheme)).unwrap();
    let opened = persist::open_with(address, &place.options).unwrap();
    let (mut writer, store) = opened.negotiate(&place.request()).unwrap();
    put(&mut writer, &[(b"before", b"1")]);
    std::env::set_current_dir("../elsewhere").unwrap();
    for n in 0..4_u8 {
        put(&mut writer, &[(&[n], &vec![n; 300_000])]);
        store.checkpoint().unwrap();
    }
    store.compact(CompactScope::default(), &Quiet).unwrap();
    drop(store.hold("hold", persist::HoldOptions::default()).unwrap());
    put(&mut writer, &[(b"after", b"2")]);
    drop(writer);
    store.close().unwrap();
}

/// Runs a test of this module again, in a process of its own that begins in `dir`.
fn child(test: &str, dir: &Path, asked: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("chdir::{test}")])
        .current_dir(dir)
        .env(ASKED, asked)
        .output()
        .unwrap();
    assert!(child.status.success(), "{asked}: {}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn a_change_of_directory_moves_nothing() {
    if let Ok(address) = std::env::var(ASKED) {
        return wander(&address);
    }
    for place in durable_places() {
        let dir = place.dir.path();
        let [there, elsewhere] = ["there", "elsewhere"].map(|name| dir.join(name));
        std::fs::create_dir(&there).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        let address = format!("{}:home", place.scheme);
        child("a_change_of_directory_moves_nothing", &there, &address);
        let names = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
        assert_eq!((names(&elsewhere), names(&there)), (0, 1), "{address}");
        let address = format!("{}:{}", place.scheme, there.join("home").display());
        let (_writer, store) =
            persist::open_with(&address, &place.options).unwrap().negotiate(&place.request()).unwrap();
        let view = store.view().unwrap();
        assert_eq!(view.get(b"after").unwrap().as_deref(), Some(b"2".as_slice()), "{address}");
        assert_eq!(view.get(&[3]).unwrap().unwrap().len(), 300_000);
        assert_eq!(view.header().durability, Durability::Durable);
        assert_eq!(store.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{address}");
    }
}

/// Swaps a store to the relative home `moved`, and changes the directory at each stop: to one where another store is called so.
fn swap_and_wander(address: &str, to: &str) {
    let place = places().into_iter().find(|place| address.starts_with(place.scheme)).unwrap();
    let opened = persist::open_with(address, &place.options).unwrap();
    let (mut writer, store) = opened.negotiate(&place.request()).unwrap();
    put(&mut writer, &[(b"before", b"1")]);
    let start = std::env::current_dir().unwrap();
    let options = SwapOptions { may_lose: Caps::all(), ..SwapOptions::default() };
    let mut swap = store.begin_swap(&SwapTarget::at(to, "moved"), &options, &Quiet).unwrap();
    std::env::set_current_dir("../victim").unwrap();
    let report = swap.run(&Quiet).unwrap();
    drop(swap);
    let moved = start.join("moved");
    assert_eq!((report.to.home.as_deref(), store.home().as_deref()), (Some(&*moved), Some(&*moved)));
    put(&mut writer, &[(b"after", b"2")]);
    if place.scheme != "memory" {
        let engine = persist::OpenOptions::default();
        store.rollback_swap(&engine, &options, &Quiet).unwrap();
        store.finish_swap().unwrap();
        std::env::set_current_dir(&start).unwrap();
        let mut swap = store.begin_swap(&SwapTarget::at(to, "moved"), &options, &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        drop(swap);
        std::env::set_current_dir("../victim").unwrap();
        store.resume_swap(&engine, &options, &Quiet).unwrap().run(&Quiet).unwrap();
        store.finish_swap().unwrap();
    }
    store.checkpoint().unwrap();
    drop(store.hold("hold", persist::HoldOptions::default()).unwrap());
    put(&mut writer, &[(b"last", b"3")]);
    drop(writer);
    store.close().unwrap();
}

fn open(place: &Place, scheme: &str, home: &Path) -> (persist::Writer, Store) {
    let opened = persist::open_with(&format!("{scheme}:{}", home.display()), &place.options).unwrap();
    opened.negotiate(&place.request()).unwrap()
}

#[test]
fn a_swap_to_a_relative_home_stays_where_it_was_begun() {
    if let Ok(asked) = std::env::var(ASKED) {
        let (address, to) = asked.split_once(' ').unwrap();
        return swap_and_wander(address, to);
    }
    let durable: Vec<_> = durable_places().iter().map(|place| place.scheme).collect();
    for place in places() {
        for to in &durable {
            let dir = tempfile::tempdir().unwrap();
            let [there, victim] = ["there", "victim"].map(|name| dir.path().join(name));
            std::fs::create_dir(&there).unwrap();
            let (mut writer, store) = open(&durable_places()[0], durable[0], &victim.join("moved"));
            put(&mut writer, &[(b"whose", b"another's")]);
            drop(writer);
            store.close().unwrap();
            drop(store);
            let before = listing(&victim).unwrap();
            let home = if place.scheme == "memory" { "" } else { "home" };
            let asked = format!("{}:{home} {to}", place.scheme);
            child("a_swap_to_a_relative_home_stays_where_it_was_begun", &there, &asked);
            assert!(listing(&victim).unwrap() == before, "{asked}: another store was changed");
            let (_writer, store) = open(&place, to, &there.join("moved"));
            let view = store.view().unwrap();
            for (key, value) in [("before", "1"), ("after", "2"), ("last", "3")] {
                assert_eq!(
                    view.get(key.as_bytes()).unwrap().as_deref(),
                    Some(value.as_bytes()),
                    "{asked}: {key}"
                );
            }
            assert_eq!(store.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{asked}");
        }
    }
}

#[test]
fn a_bundle_goes_where_its_export_began() {
    if let Ok(address) = std::env::var(ASKED) {
        let place = &durable_places()[0];
        let opened = persist::open_with(&address, &place.options).unwrap();
        let (_writer, store) = opened.negotiate(&place.request()).unwrap();
        let leave = |_: persist::Progress| {
            std::env::set_current_dir("../elsewhere").unwrap();
            std::ops::ControlFlow::Continue(())
        };
        store.export(Path::new("bundle"), &leave).unwrap();
        assert!(std::env::current_dir().unwrap().ends_with("elsewhere"));
        return;
    }
    let place = &durable_places()[0];
    let [there, elsewhere] = ["there", "elsewhere"].map(|name| place.dir.path().join(name));
    std::fs::create_dir(&there).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    for name in ["bundle", "bundle.new"] {
        std::fs::write(elsewhere.join(name), name).unwrap();
    }
    let before = listing(&elsewhere).unwrap();
    child("a_bundle_goes_where_its_export_began", &there, &format!("{}:home", place.scheme));
    assert!(listing(&elsewhere).unwrap() == before);
    assert!(there.join("bundle").is_file() && !there.join("bundle.new").exists());
}

/// An observer that goes to another directory at the first thing that it sees.
fn leave(_: persist::Progress) -> std::ops::ControlFlow<()> {
    if !std::env::current_dir().unwrap().ends_with("elsewhere") {
        std::env::set_current_dir("../elsewhere").unwrap();
    }
    std::ops::ControlFlow::Continue(())
}

#[test]
fn a_bundle_is_read_from_where_its_import_began() {
    let place = &durable_places()[0];
    let limits = BundleLimits::default();
    if let Ok(address) = std::env::var(ASKED) {
        let start = std::env::current_dir().unwrap();
        let opened = persist::open_with(&address, &place.options).unwrap();
        opened.import(Path::new("bundle"), &place.request(), &limits, &leave).unwrap();
        std::env::set_current_dir(&start).unwrap();
        let opened = persist::open_with(&address, &place.options).unwrap();
        let (mut writer, store) = opened.negotiate(&place.request()).unwrap();
        writer.apply(Path::new("increment"), Durability::Durable, &limits, &leave).unwrap();
        assert!(std::env::current_dir().unwrap().ends_with("elsewhere"));
        drop(writer);
        store.close().unwrap();
        return;
    }
    let [there, elsewhere] = ["there", "elsewhere"].map(|name| place.dir.path().join(name));
    for (dir, value) in [(&there, b"this"), (&elsewhere, b"that")] {
        let (mut writer, store) = open(place, place.scheme, &dir.join("source"));
        let hold = store.hold("hold", persist::HoldOptions::default()).unwrap();
        put(&mut writer, &[(b"first", value)]);
        store.export(&dir.join("bundle"), &Quiet).unwrap();
        let base = read_bundle(&RealDisk, &dir.join("bundle"), &limits, &Quiet).unwrap().manifest;
        put(&mut writer, &[(b"second", value)]);
        store.export_since(&dir.join("increment"), &base.as_base(), &Quiet).unwrap();
        drop((hold, writer));
        store.close().unwrap();
    }
    let before = listing(&elsewhere).unwrap();
    let url = format!("{}:home", place.scheme);
    child("a_bundle_is_read_from_where_its_import_began", &there, &url);
    assert!(listing(&elsewhere).unwrap() == before);
    let (_writer, store) = open(place, place.scheme, &there.join("home"));
    let view = store.view().unwrap();
    for key in [b"first".as_slice(), b"second"] {
        assert_eq!(view.get(key).unwrap().as_deref(), Some(b"this".as_slice()));
    }
}

#[cfg(feature = "lifecycle")]
#[test]
fn a_registry_opens_where_its_opening_began() {
    use persist::lifecycle::config::{Config, Format};
    use persist::lifecycle::{Event, Registry, RegistryOptions};

    let place = &durable_places()[0];
    if std::env::var(ASKED).is_ok() {
        let engine = place.scheme;
        let text = format!(
            "[stores.one]\nengine = \"{engine}\"\n[stores.two]\nengine = \"{engine}\"\npath = \"second\"\nafter = [\"one\"]\n"
        );
        let config = Config::parse(&text, Format::Toml).unwrap();
        let options = RegistryOptions::new(persist::drivers()).listener(|event| {
            if matches!(event, Event::Opening("two")) {
                std::env::set_current_dir("../elsewhere").unwrap();
            }
        });
        Registry::open(&config, options, Vec::new(), &Quiet).unwrap().close();
        assert!(std::env::current_dir().unwrap().ends_with("elsewhere"));
        return;
    }
    let [there, elsewhere] = ["there", "elsewhere"].map(|name| place.dir.path().join(name));
    std::fs::create_dir(&there).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    child("a_registry_opens_where_its_opening_began", &there, "registry");
    assert!(listing(&elsewhere).unwrap().is_empty());
    for name in ["one", "second"] {
        assert!(there.join(name).join("persist.stamp").is_file(), "{name}");
    }
}
