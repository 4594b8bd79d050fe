//! Swaps whose source lies in a process: nothing on disk says that there is one, so that nothing of it may stay.

use std::path::Path;

use persist_api::{ErrorKind, Quiet};
use persist_io::sim::{Code, Fault, When};
use persist_store::{Stamp, StampState, SwapOptions};

use super::plain::target;
use super::stand::{HOME, Stand, all, put, swap_options};
use crate::kit::fails;

#[test]
fn a_beginning_that_fails_keeps_nothing() {
    for to in ["toy", "flatfile"] {
        let mut failed = 0;
        for n in 1.. {
            let stand = Stand::new();
            let (_writer, store) = stand.store("memory");
            let before = all(&store);
            let fault = Fault::Error { code: Code::Io, applied: false };
            stand.disk.plan(When::At(stand.disk.operations() + n), fault);
            let swap = store.begin_swap(&target("memory", to), &swap_options(), &Quiet);
            if stand.disk.met().is_empty() {
                swap.unwrap();
                break;
            }
            stand.disk.unplan();
            failed += u64::from(swap.is_err());
            drop(swap);
            assert!(store.holds().unwrap().is_empty(), "operation {n}");
            store.swap(&target("memory", to), &swap_options(), &Quiet).unwrap();
            assert_eq!((store.engine_name(), all(&store)), (to, before));
        }
        assert!(failed > 10, "{failed}");
    }
}

/// There is no way back to a source in a process, so that nobody could ever end what is kept for it.
#[test]
fn nothing_is_kept_for_a_source_that_goes_with_its_process() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("memory");
    let back = SwapOptions { follow_back: true, ..swap_options() };
    store.swap(&target("memory", "toy"), &back, &Quiet).unwrap();
    assert_eq!((store.swap_status(), store.holds().unwrap()), (None, Vec::new()));
}

#[test]
fn an_end_that_fails_keeps_no_commits() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("memory");
    let mut swap = store.begin_swap(&target("memory", "toy"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    stand.disk.plan(When::At(stand.disk.operations() + 1), Fault::Error { code: Code::Io, applied: false });
    fails(swap.abort(), ErrorKind::Io, &[]);
    stand.disk.unplan();
    assert!(store.holds().unwrap().is_empty());
    store.swap(&target("memory", "toy"), &swap_options(), &Quiet).unwrap();
}

#[test]
fn what_a_process_left_that_died_is_cleared_by_the_next_swap() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("memory");
    let mut swap = store.begin_swap(&target("memory", "flatfile"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    let stamp = |stand: &Stand| Stamp::read(&stand.disk, Path::new(HOME)).unwrap();
    for (from, to) in [("memory", "flatfile"), ("memory", "toy"), ("toy", "toy")] {
        let there = Stand::on(stand.disk.killed());
        assert_eq!(stamp(&there).unwrap().state, StampState::Importing);
        let (_writer, other) = there.open(Some(from), "/source").unwrap();
        put(&other, "key", "of another store");
        let before = all(&other);
        let place = persist_store::SwapTarget { home: Some(HOME.into()), ..target(from, to) };
        // What nobody of ours left stays, and is in the way.
        assert!(there.disk.put(format!("{HOME}/notes.txt"), b"somebody's"));
        fails(other.swap(&place, &swap_options(), &Quiet), ErrorKind::Mismatch, &["notes.txt"]);
        persist_io::Disk::remove_file(&there.disk, format!("{HOME}/notes.txt").as_ref()).unwrap();
        other.swap(&place, &swap_options(), &Quiet).unwrap();
        assert_eq!((other.engine_name(), all(&other)), (to, before));
        assert_eq!(stamp(&there).unwrap().state, StampState::Ready);
    }
    // While it lives it has the lock.
    let (_writer, other) = stand.open(Some("memory"), "other").unwrap();
    fails(other.swap(&target("memory", "toy"), &swap_options(), &Quiet), ErrorKind::Locked, &[]);
    assert!(other.holds().unwrap().is_empty());
    swap.run(&Quiet).unwrap();
}

#[test]
fn another_swaps_home_is_not_cleared() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("toy");
    let to = |home: &str| persist_store::SwapTarget::at("toy", home);
    let swap = store.begin_swap(&to("/new"), &swap_options(), &Quiet).unwrap();
    drop(swap);
    // The directory went away, and another store moves to where it was.
    let disk: &dyn persist_io::Disk = &stand.disk;
    persist_io::remove_tree(disk, Path::new("/new")).unwrap();
    let (_writer, second) = stand.open(Some("toy"), "/second").unwrap();
    put(&second, "key", "value");
    let mut other = second.begin_swap(&to("/new"), &swap_options(), &Quiet).unwrap();
    other.copy(&Quiet).unwrap();
    drop(other);
    fails(store.abort_swap(), ErrorKind::Mismatch, &["/new", "nothing was removed"]);
    second.resume_swap(&super::stand::plain(), &swap_options(), &Quiet).unwrap().run(&Quiet).unwrap();
    assert_eq!(second.home().unwrap(), Path::new("/new"));
}
