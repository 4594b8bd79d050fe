//! A store that was opened by a relative path stays where it is when the process changes its directory.

use std::path::Path;
use std::process::Command;

use persist::{CompactScope, Durability, Quiet};

use crate::kit::{durable_places, put};

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
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "chdir::a_change_of_directory_moves_nothing"])
            .current_dir(&there)
            .env(ASKED, &address)
            .output()
            .unwrap();
        assert!(child.status.success(), "{address}: {}", String::from_utf8_lossy(&child.stderr));
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
