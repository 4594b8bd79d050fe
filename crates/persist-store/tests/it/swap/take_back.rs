//! Taking back what a swap has kept, where the home is lost to which the store went.

use std::io;
use std::path::Path;

use persist_api::{Error, ErrorKind, Quiet};
use persist_io::sim::{Crash, SimDisk};
use persist_io::{Call, Disk, Intercept, Intercepted, PassOn, remove_tree};
use persist_store::{HoldOptions, STAMP_FILE, Stamp, StampState, SwapOptions, take_back};

use super::stand::{HOME, OTHER, Stand, all, elsewhere, is_clean, put, request, swap_options};
use crate::kit::{Content, fails};

/// A store that was swapped to another home, with what it had at the flip and what was committed since. The swap is not
/// finished.
fn swapped(from: &str, to: &str, follow_back: bool) -> (Stand, Content) {
    let stand = Stand::new();
    let (_writer, store) = stand.store(from);
    drop(store.hold("mine", HoldOptions::default()).unwrap());
    put(&store, "held", "1");
    let then = all(&store);
    let options = SwapOptions { follow_back, ..swap_options() };
    store.swap(&elsewhere(to), &options, &Quiet).unwrap();
    put(&store, "later", "1");
    store.close().unwrap();
    (stand, then)
}

/// Removes the home to which the store went.
fn lose(disk: &SimDisk) {
    remove_tree(disk, OTHER.as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
}

/// Answers everything below [`OTHER`] with this.
struct Dead(io::ErrorKind);

impl Intercept for Dead {
    fn around(&self, path: &Path, _: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
        if path.starts_with(OTHER) { Err(Error::io("read", path, self.0.into())) } else { pass_on() }
    }
}

#[test]
fn what_is_kept_is_taken_back_where_the_new_home_is_lost() {
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile")] {
        for follow_back in [false, true] {
            let (stand, then) = swapped(from, to, follow_back);
            lose(&stand.disk);
            let before = stand.disk.killed();
            let words = ["committed after the swap to /other is lost", "must be accepted"];
            fails(take_back(&stand.disk, HOME.as_ref(), false), ErrorKind::Invalid, &words);
            assert_eq!(stand.disk.difference(&before), None);
            let stamp = take_back(&stand.disk, HOME.as_ref(), true).unwrap();
            assert_eq!((stamp.state, stamp.swap, stamp.epoch), (StampState::Ready, None, 1));
            let (writer, store) = stand.open(None, HOME).unwrap();
            assert_eq!((store.engine_name(), all(&store), store.swap_status()), (from, then, None));
            // Nobody could end the hold of the swap; others are as they were.
            let holds = store.holds().unwrap();
            assert!(holds.len() == 1 && holds[0].name == "mine" && !holds[0].stale, "{holds:?}");
            put(&store, "again", "1");
            is_clean(&store);
            // It may be swapped there anew, once it is clear what lies there.
            store.swap(&elsewhere(to), &swap_options(), &Quiet).unwrap();
            store.finish_swap().unwrap();
            store.close().unwrap();
            drop(writer);
            let words = ["nothing is kept here", "lives in /other"];
            fails(take_back(&stand.disk, HOME.as_ref(), true), ErrorKind::Invalid, &words);
        }
    }
}

#[test]
fn what_is_not_lost_is_not_given_up() {
    let (stand, _) = swapped("flatfile", "toy", false);
    let refused = |disk: &SimDisk, kind, words: &[&str]| {
        let before = disk.killed();
        fails(take_back(disk, HOME.as_ref(), true), kind, words);
        assert_eq!(disk.difference(&before), None);
    };
    let stamp = format!("{OTHER}/{STAMP_FILE}");
    refused(&stand.disk, ErrorKind::Conflict, &["/other is not lost", "can be read", "roll the swap back"]);
    // Without its stamp, or with a damaged one, it can be put right.
    let disk = stand.disk.killed();
    assert!(disk.flip(&stamp, 100));
    refused(&disk, ErrorKind::Conflict, &["/other is not lost", "check line", "move that directory away"]);
    disk.remove_file(stamp.as_ref()).unwrap();
    refused(&disk, ErrorKind::Conflict, &["/other is not lost", "an engine lies there"]);
    // What cannot be read is lost, and so is what another store has taken the place of.
    let disk = stand.disk.killed();
    let denied = Intercepted::new(disk.clone(), Dead(io::ErrorKind::PermissionDenied));
    fails(take_back(&denied, HOME.as_ref(), true), ErrorKind::Conflict, &["/other is not lost", "ermission"]);
    take_back(&Intercepted::new(disk, Dead(io::ErrorKind::Other)), HOME.as_ref(), true).unwrap();
    let disk = stand.disk.killed();
    lose(&disk);
    let there = Stand::on(disk);
    let (_writer, _another) = there.look(Some("toy2"), OTHER).unwrap().negotiate(&request()).unwrap();
    take_back(&there.disk, HOME.as_ref(), true).unwrap();
    // Once is enough, and what never moved has nothing to be taken back.
    for home in [HOME, OTHER, "/nowhere"] {
        let words = ["no swap has moved a store out of this home"];
        fails(take_back(&there.disk, home.as_ref(), true), ErrorKind::Invalid, &words);
    }
}

/// Before the flip is known at the new home, the one that was left decides.
#[test]
fn a_new_home_that_does_not_know_of_the_flip_is_not_lost() {
    let (stand, _) = swapped("flatfile", "toy", false);
    let arrived = Stamp::read(&stand.disk, OTHER.as_ref()).unwrap().unwrap();
    let mut swap = arrived.swap.clone().unwrap();
    swap.state = persist_store::SwapState::Copying;
    let arriving = Stamp { state: StampState::Importing, swap: Some(swap), ..arrived };
    assert!(stand.disk.put(format!("{OTHER}/{STAMP_FILE}"), arriving.to_text().as_bytes()));
    fails(take_back(&stand.disk, HOME.as_ref(), true), ErrorKind::Conflict, &["can be read"]);
    // A rollback that had begun: what is kept is no longer whole.
    lose(&stand.disk);
    let left = Stamp::read(&stand.disk, HOME.as_ref()).unwrap().unwrap();
    let arriving = Stamp { state: StampState::Importing, ..left };
    assert!(stand.disk.put(format!("{HOME}/{STAMP_FILE}"), arriving.to_text().as_bytes()));
    fails(take_back(&stand.disk, HOME.as_ref(), true), ErrorKind::Invalid, &["no whole store"]);
}

#[test]
fn a_crash_leaves_a_store_that_is_taken_back_or_not() {
    let (stand, then) = swapped("flatfile", "toy", false);
    lose(&stand.disk);
    stand.disk.keep_cut_points();
    take_back(&stand.disk, HOME.as_ref(), true).unwrap();
    let mut outcomes = [0, 0];
    for cut in stand.disk.cut_points() {
        let image = cut.cut(7);
        let units = image.units().len();
        let some = (0..units).map(Crash::LoseOne).chain((0..units).map(Crash::KeepOne));
        for crash in [Crash::Nothing, Crash::Everything].into_iter().chain(some) {
            let there = Stand::on(image.image(&crash));
            let done = Stamp::read(&there.disk, HOME.as_ref()).unwrap().unwrap().state == StampState::Ready;
            outcomes[usize::from(done)] += 1;
            if !done {
                fails(there.look(None, HOME).map(drop), ErrorKind::Mismatch, &["lives in /other now"]);
                take_back(&there.disk, HOME.as_ref(), true).unwrap();
            }
            let (_writer, store) = there.open(None, HOME).unwrap();
            assert_eq!(all(&store), then);
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn a_home_that_somebody_has_is_not_taken_back() {
    let (stand, _) = swapped("flatfile", "toy", false);
    lose(&stand.disk);
    let _lock = persist_io::lock_dir(&stand.disk, HOME.as_ref()).unwrap();
    fails(take_back(&stand.disk, HOME.as_ref(), true), ErrorKind::Locked, &["held by"]);
}
