//! The hold that a swap needs: whether there can be one is asked before anything is changed.

use std::sync::Arc;

use persist_api::{Caps, ErrorKind, Quiet, Request};
use persist_io::Disk;
use persist_store::{Hold, HoldOptions, Store, SwapOptions, SwapState, Writer};

use super::plain::target;
use super::stand::{
    HOME, Stand, all, bytes_of_stamp, elsewhere, no_trace, options, plain, put, request, swap_options,
};
use crate::kit::{change_raw, fails, raw};
use crate::toy::Toy;

const FULL: &[&str] = &["no room for hold \"persist.swap\"", "16 holds"];

fn crowd(store: &Store, count: usize) -> Vec<Hold> {
    (0..count).map(|n| store.hold(&format!("h{n}"), HoldOptions::default()).unwrap()).collect()
}

/// Opens a store for a session that has no views to keep.
fn without_views(stand: &Stand, home: &str) -> (Writer, Store) {
    let required = Caps::ORDERED | Caps::BEAT_ATOMIC;
    let asked = Request { required, preferred: Caps::empty(), ..request() };
    let (writer, store) = stand.look(None, home).unwrap().negotiate(&asked).unwrap();
    assert!(!store.grant().session.caps.contains(Caps::SNAPSHOT));
    (writer, store)
}

/// Asks for a rollback that is refused: nothing on the disk is another.
#[track_caller]
fn no_way_back(stand: &Stand, store: &Store, options: &SwapOptions, kind: ErrorKind, words: &[&str]) {
    let before = stand.disk.killed();
    fails(store.rollback_swap(&super::stand::options(), options, &Quiet), kind, words);
    assert_eq!(stand.disk.difference(&before), None, "nothing was changed");
    assert_eq!(store.swap_status().unwrap().state, SwapState::Flipped);
}

#[test]
fn swp_21_a_rollback_without_room_for_its_hold_keeps_the_engine() {
    for to in [target("flatfile", "toy"), elsewhere("toy")] {
        let stand = Stand::new();
        let (_writer, store) = stand.store("flatfile");
        store.swap(&to, &swap_options(), &Quiet).unwrap();
        let mut holds = crowd(&store, 16);
        let expected = all(&store);
        no_way_back(&stand, &store, &swap_options(), ErrorKind::Full, FULL);
        holds.remove(0).release().unwrap();
        store.rollback_swap(&options(), &swap_options(), &Quiet).unwrap();
        assert_eq!((store.engine_name(), all(&store)), ("flatfile", expected));
    }
}

/// The one that followed back was left behind: the rollback takes its place, of sixteen.
#[test]
fn swp_21_a_rollback_takes_the_place_of_its_own_stale_hold() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    let options = SwapOptions { follow_back: true, feed_bytes_max: 1000, ..swap_options() };
    store.swap(&target("flatfile", "toy"), &options, &Quiet).unwrap();
    let _holds = crowd(&store, 15);
    put(&store, "large", &"v".repeat(1000));
    assert!(store.find_hold("persist.swap").unwrap().unwrap().stat().unwrap().stale);
    let expected = all(&store);
    store.rollback_swap(&super::stand::options(), &options, &Quiet).unwrap();
    assert_eq!((store.engine_name(), all(&store)), ("flatfile", expected));
}

#[test]
fn swp_21_a_rollback_of_a_session_without_views_keeps_the_engine() {
    for to in [target("flatfile", "toy"), elsewhere("toy")] {
        for follow_back in [false, true] {
            let stand = Stand::new();
            let (writer, store) = stand.store("flatfile");
            let options = SwapOptions { follow_back, ..swap_options() };
            store.swap(&to, &options, &Quiet).unwrap();
            let home = store.home().unwrap();
            store.close().unwrap();
            drop((writer, store));
            let (_writer, store) = without_views(&stand, home.to_str().unwrap());
            no_way_back(&stand, &store, &options, ErrorKind::Unsupported, &["capability SNAPSHOT"]);
        }
    }
}

#[test]
fn a_swap_without_room_for_its_hold_is_not_announced() {
    for to in [target("flatfile", "toy"), elsewhere("toy")] {
        let stand = Stand::new();
        let (writer, store) = stand.store("flatfile");
        let holds = crowd(&store, 16);
        let (stamp, before) = (bytes_of_stamp(&stand), stand.disk.killed());
        fails(store.begin_swap(&to, &swap_options(), &Quiet), ErrorKind::Full, FULL);
        assert_eq!(stand.disk.difference(&before), None, "nothing was changed");
        for hold in holds {
            hold.release().unwrap();
        }
        no_trace(&stand, &store, &stamp);
        store.close().unwrap();
        drop((writer, store));
        let (_writer, store) = without_views(&stand, HOME);
        let before = stand.disk.killed();
        fails(
            store.begin_swap(&to, &swap_options(), &Quiet),
            ErrorKind::Unsupported,
            &["capability SNAPSHOT"],
        );
        assert_eq!(stand.disk.difference(&before), None, "nothing was changed");
        assert_eq!(store.swap_status(), None);
    }
}

/// Until it is known who holds, nobody is added to them.
#[test]
fn a_swap_whose_holds_are_not_known_is_not_announced() {
    let stand = Stand::new();
    let (writer, store) = stand.store("toy");
    let _hold = store.hold("h", HoldOptions::default()).unwrap();
    store.close().unwrap();
    drop((writer, store));
    let shared: Arc<dyn Disk> = Arc::new(stand.disk.clone());
    let (toy, table) = (Toy::new(shared), b"\x00holds".as_slice());
    let mut damaged = raw(&toy, HOME.as_ref()).view().unwrap().get_record(table).unwrap().unwrap().into_vec();
    damaged[10] ^= 1;
    change_raw(&toy, HOME.as_ref(), &[(table, &damaged)]);
    let (_writer, store) = stand.open(None, HOME).unwrap();
    let before = stand.disk.killed();
    let to = persist_store::SwapTarget::here("toy2").options(plain());
    fails(store.begin_swap(&to, &swap_options(), &Quiet), ErrorKind::Corrupt, &["hold"]);
    assert_eq!(stand.disk.difference(&before), None, "nothing was changed");
    assert_eq!(store.swap_status(), None);
}
