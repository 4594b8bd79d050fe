//! Swaps from home to home, and what lies in a home beside the engine.

use persist_api::{ErrorKind, Quiet};
use persist_io::sim::{Fault, When};
use persist_store::{STAMP_FILE, StampState, SwapPlace, SwapTarget};

use super::stand::{HOME, OTHER, Stand, all, elsewhere, is_signpost, put, swap_options};
use crate::kit::fails;

#[test]
fn a_home_is_moved_to_another() {
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    let id = store.stamp().unwrap().store;
    assert!(stand.disk.put(
        format!("{HOME}/cas/8e/8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e.blob"),
        b"a blob"
    ));
    let to = SwapTarget::at("toy", "/new");
    let mut swap = store.begin_swap(&to, &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    put(&store, "meanwhile", "1");
    let early = Stand::on(stand.disk.killed());
    fails(early.look(None, "/new").map(drop), ErrorKind::Mismatch, &["still /store", "resume or abort"]);
    swap.run(&Quiet).unwrap();
    assert_eq!((store.home().unwrap(), store.stamp().unwrap().store), ("/new".into(), id));
    put(&store, "after", "1");
    let before = all(&store);
    fails(stand.look(None, HOME).map(drop), ErrorKind::Mismatch, &["lives in /new now"]);
    assert_eq!(
        stand
            .disk
            .bytes("/new/cas/8e/8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e.blob")
            .unwrap(),
        b"a blob"
    );
    store.close().unwrap();
    drop((writer, swap, store));
    let (_writer, store) = stand.open(None, "/new").unwrap();
    assert_eq!(all(&store), before);
    assert_eq!(store.swap_status().unwrap().place, SwapPlace::Home(HOME.into()));
    store.finish_swap().unwrap();
    assert_eq!(store.stamp().unwrap().state, StampState::Ready);
    is_signpost(&stand, HOME, "/new");
}

/// A stamp has lines of text. The target's stamp would have to name the source.
#[test]
fn a_home_that_no_stamp_can_name_is_left_by_no_swap_and_nothing_is_announced() {
    let stand = Stand::new();
    let odd = "/two\nlines";
    let (_writer, store) = stand.open(Some("flatfile"), odd).unwrap();
    put(&store, "key", "value");
    let before = stand.disk.killed();
    let error = fails(
        store.swap(&SwapTarget::at("toy", "/new"), &swap_options(), &Quiet),
        ErrorKind::Invalid,
        &["line break"],
    );
    assert_eq!(error.path(), Some(odd.as_ref()));
    assert_eq!(stand.disk.difference(&before), None);
    assert_eq!((store.swap_status(), store.holds().unwrap()), (None, Vec::new()));
    store.swap(&SwapTarget::here("toy"), &swap_options(), &Quiet).unwrap();
    assert_eq!(store.engine_name(), "toy");
}

const BLOBS: [(&str, &[u8]); 2] = [
    ("8e/8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e", b"a blob"),
    ("af/af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", b""),
];

fn put_blob(stand: &Stand, (name, bytes): (&str, &[u8])) {
    assert!(stand.disk.put(format!("{HOME}/cas/{name}.blob"), bytes));
}

/// An increment that is applied just before the fence brings a blob.
#[test]
fn a_blob_that_comes_before_the_fence_moves_too() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    put_blob(&stand, BLOBS[0]);
    let late = |progress: persist_api::Progress| {
        if progress.phase == "fence" {
            put_blob(&stand, BLOBS[1]);
        }
        std::ops::ControlFlow::Continue(())
    };
    store.swap(&SwapTarget::at("toy", "/new"), &swap_options(), &late).unwrap();
    store.finish_swap().unwrap();
    for (name, bytes) in BLOBS {
        assert_eq!(stand.disk.bytes(format!("/new/cas/{name}.blob")).as_deref(), Some(bytes), "{name}");
    }
}

/// The home that a backup reads is not cleared meanwhile.
#[test]
fn a_swap_is_not_finished_under_a_backup() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    for blob in BLOBS {
        put_blob(&stand, blob);
    }
    let swapped = std::cell::Cell::new(false);
    let meanwhile = |progress: persist_api::Progress| {
        if progress.phase == "blobs" && !swapped.replace(true) {
            store.swap(&SwapTarget::at("toy", "/new"), &swap_options(), &Quiet).unwrap();
            fails(store.finish_swap(), ErrorKind::Busy, &[]);
        }
        std::ops::ControlFlow::Continue(())
    };
    let report = store.backup("/copy".as_ref(), &meanwhile).unwrap();
    assert_eq!((report.blobs, swapped.get(), store.engine_name()), (2, true, "toy"));
    store.finish_swap().unwrap();
    let (_writer, copy) = stand.open(None, "/copy").unwrap();
    assert_eq!(all(&copy), all(&store));
}

/// What a stamp has left that was not put in its place goes with the swap.
#[test]
fn no_new_stamp_stays_in_the_other_home() {
    let mut met = 0;
    for n in 1.. {
        let stand = Stand::new();
        let (_writer, store) = stand.store("flatfile");
        stand.disk.plan(When::At(stand.disk.operations() + n), Fault::CrashBefore);
        if store.begin_swap(&elsewhere("toy"), &swap_options(), &Quiet).is_ok() {
            break;
        }
        let there = Stand::on(stand.disk.killed());
        if has(&there, OTHER, "persist.stamp.new") && !has(&there, OTHER, STAMP_FILE) {
            met += 1;
            let (_writer, store) = there.open(None, HOME).unwrap();
            store.abort_swap().unwrap();
            assert!(!has(&there, OTHER, "persist.stamp.new"), "operation {n}");
        }
    }
    assert!(met > 0);
    // And beside the stamp of a home that was left.
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    store.swap(&elsewhere("toy"), &swap_options(), &Quiet).unwrap();
    assert!(stand.disk.put(format!("{HOME}/persist.stamp.new"), b"half"));
    store.finish_swap().unwrap();
    assert!(!has(&stand, HOME, "persist.stamp.new"));
}

fn has(stand: &Stand, home: &str, name: &str) -> bool {
    stand.disk.bytes(format!("{home}/{name}")).is_some()
}
