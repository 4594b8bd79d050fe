//! The home that a store has left for good says where the store is.

use std::sync::Arc;

use persist_api::{ErrorKind, OpenMode, Quiet};
use persist_io::sim::{Crash, Fault, SimDisk, When};
use persist_io::{Disk, remove_tree};
use persist_store::{MovedTo, STAMP_FILE, SwapState, SwapTarget};

use super::stand::{
    HOME, OTHER, Stand, all, elsewhere, is_clean, is_signpost, names, options_of, plain, put, request,
    swap_options,
};
use crate::kit::fails;
use crate::toy::Toy;

/// A store that has left [`HOME`] for [`OTHER`], for good.
fn left() -> (Stand, persist_store::Writer, persist_store::Store) {
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    store.swap(&elsewhere("toy"), &swap_options(), &Quiet).unwrap();
    store.finish_swap().unwrap();
    (stand, writer, store)
}

fn homeward() -> SwapTarget {
    SwapTarget::at("flatfile", HOME).options(options_of("flatfile"))
}

#[test]
fn no_store_is_made_where_one_has_left() {
    let (stand, _writer, store) = left();
    let before = stand.disk.killed();
    let words = ["lives in /other now", "open that", "for a new store here, remove the file persist.stamp"];
    for engine in [None, Some("flatfile"), Some("toy")] {
        for mode in [OpenMode::OpenOrCreate, OpenMode::MustCreate, OpenMode::MustExist] {
            let options = persist_api::OpenOptions { mode, ..plain() };
            let disk = std::sync::Arc::new(stand.disk.clone());
            let opened = persist_store::open_with(disk, &stand.drivers, HOME.as_ref(), engine, &options);
            let error = fails(opened.map(drop), ErrorKind::Mismatch, &words);
            assert_eq!(error.path(), Some(HOME.as_ref()));
        }
    }
    fails(store.backup(HOME.as_ref(), &Quiet).map(drop), ErrorKind::Mismatch, &["not empty"]);
    assert_eq!(stand.disk.difference(&before), None);
    let moved = MovedTo::read(&stand.disk, HOME.as_ref()).unwrap().unwrap();
    assert_eq!((moved.store, moved.home.as_path()), (store.stamp().unwrap().store, OTHER.as_ref()));
    assert_eq!((moved.engine.as_str(), moved.found, moved.kept), ("toy", true, false));
    assert_eq!(MovedTo::read(&stand.disk, OTHER.as_ref()).unwrap(), None);
    assert_eq!(MovedTo::read(&stand.disk, "/nowhere".as_ref()).unwrap(), None);
    // As it says.
    stand.disk.remove_file(format!("{HOME}/{STAMP_FILE}").as_ref()).unwrap();
    let (_writer, new) = stand.open(Some("toy"), HOME).unwrap();
    assert!(all(&new).is_empty());
}

/// The same store may come back, beginning there as in an empty home.
#[test]
fn a_store_comes_back_where_it_says_that_it_left() {
    let (stand, writer, store) = left();
    put(&store, "later", "1");
    let before = all(&store);
    let report = store.swap(&homeward(), &swap_options(), &Quiet).unwrap();
    assert_eq!((report.to.home.as_deref(), report.to.epoch), (Some(HOME.as_ref()), 3));
    assert_eq!(all(&store), before);
    let words = ["lives in /store now", "the engine before is kept here"];
    fails(stand.look(None, OTHER).map(drop), ErrorKind::Mismatch, &words);
    assert!(MovedTo::read(&stand.disk, OTHER.as_ref()).unwrap().unwrap().kept);
    // Without `follow_back`: it is finished, then swapped to anew.
    store.rollback_swap(&plain(), &swap_options(), &Quiet).unwrap();
    assert_eq!((store.home().as_deref(), all(&store)), (Some(OTHER.as_ref()), before.clone()));
    store.finish_swap().unwrap();
    is_signpost(&stand, HOME, OTHER);
    is_clean(&store);
    store.close().unwrap();
    drop((writer, store));
    let (_writer, store) = stand.open(None, OTHER).unwrap();
    assert_eq!((store.swap_status(), all(&store)), (None, before));
}

#[test]
fn what_is_no_signpost_of_the_store_is_refused() {
    let refused = |stand: &Stand, store: &persist_store::Store, to: &SwapTarget, words: &[&str]| {
        let before = stand.disk.killed();
        fails(store.swap(to, &swap_options(), &Quiet), ErrorKind::Mismatch, words);
        assert_eq!((stand.disk.difference(&before), store.swap_status()), (None, None));
    };
    // That of another store, also for one that lies nowhere on disk.
    let (stand, _writer, store) = left();
    let (_second_writer, second) = stand.open(Some("toy"), "/second").unwrap();
    refused(&stand, &second, &homeward(), &["lives in /other now"]);
    let (_memory_writer, memory) = stand.open(Some("memory"), "").unwrap();
    refused(&stand, &memory, &homeward(), &["lives in /other now"]);
    // With an engine, with blobs, and with what is not ours.
    for (name, words) in [
        ("engine-1/branch.head", "lives in /other now"),
        (
            "cas/8e/8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e.blob",
            "lives in /other now",
        ),
        ("notes.txt", "notes.txt is not ours"),
    ] {
        let stand = Stand::on(stand.disk.killed());
        let (_writer, store) = stand.open(None, OTHER).unwrap();
        assert!(stand.disk.put(format!("{HOME}/{name}"), b"somebody's"));
        refused(&stand, &store, &homeward(), &[words]);
    }
    // Half a stamp beside it is in nobody's way.
    assert!(stand.disk.put(format!("{HOME}/persist.stamp.new"), b"half"));
    store.swap(&homeward(), &swap_options(), &Quiet).unwrap();
    assert_eq!(store.home().as_deref(), Some(HOME.as_ref()));
}

/// Giving up a swap leaves nothing where it went, or what was there before it came so far.
#[test]
fn a_swap_into_a_signpost_is_given_up() {
    let (stand, _writer, store) = left();
    store.begin_swap(&homeward(), &swap_options(), &Quiet).unwrap().abort().unwrap();
    assert!(names(&stand.disk).iter().all(|name| !name.starts_with(HOME) || name.ends_with("lock")));

    let (mut announced, mut began) = (0, 0);
    for n in 1.. {
        let (stand, writer, store) = left();
        stand.disk.plan(When::At(stand.disk.operations() + n), Fault::CrashBefore);
        let begun = store.begin_swap(&homeward(), &swap_options(), &Quiet);
        if begun.is_ok() {
            break;
        }
        drop((begun, writer, store));
        for disk in [stand.disk.killed(), stand.disk.crash_image(&Crash::Nothing)] {
            let there = Stand::on(disk);
            let (_writer, store) = there.open(None, OTHER).unwrap();
            let Some(status) = store.swap_status() else { continue };
            assert_eq!(status.state, SwapState::Copying);
            let untouched = MovedTo::read(&there.disk, HOME.as_ref()).unwrap().is_some();
            if n % 2 == 0 {
                store.abort_swap().unwrap();
                assert_eq!(MovedTo::read(&there.disk, HOME.as_ref()).unwrap().is_some(), untouched);
            } else {
                store.swap_progress(&options_of("flatfile"), &Quiet).unwrap();
                let resumed = store.resume_swap(&options_of("flatfile"), &swap_options(), &Quiet);
                resumed.unwrap().run(&Quiet).unwrap();
                assert_eq!(store.home().as_deref(), Some(HOME.as_ref()));
            }
            if untouched { announced += 1 } else { began += 1 }
        }
    }
    assert!(announced > 2 && began > 2, "{announced} {began}");
}

/// Whoever has moved on is found where it is, on the engine that it has there.
#[test]
fn a_store_is_followed_from_home_to_home() {
    let (stand, _writer, store) = left();
    store
        .swap(&SwapTarget::at("flatfile", "/third").options(options_of("flatfile")), &swap_options(), &Quiet)
        .unwrap();
    store.finish_swap().unwrap();
    store.swap(&SwapTarget::here("toy2"), &swap_options(), &Quiet).unwrap();
    for home in [HOME, OTHER] {
        fails(stand.look(None, home).map(drop), ErrorKind::Mismatch, &["lives in /third now"]);
        let moved = MovedTo::read(&stand.disk, home.as_ref()).unwrap().unwrap();
        assert_eq!((moved.engine.as_str(), moved.found), ("toy2", true));
    }
    store.finish_swap().unwrap();
    // It is on its way back to the first one.
    let mut swap = store.begin_swap(&homeward(), &swap_options(), &Quiet).unwrap();
    fails(stand.look(None, OTHER).map(drop), ErrorKind::Mismatch, &["lives in /third now"]);
    fails(stand.look(None, HOME).map(drop), ErrorKind::Mismatch, &["still /third"]);
    swap.run(&Quiet).unwrap();
    fails(stand.look(None, OTHER).map(drop), ErrorKind::Mismatch, &["lives in /store now"]);
    // Another store where it was said to be is not taken for it.
    let (stand, writer, store) = left();
    store.close().unwrap();
    drop((writer, store));
    remove_tree(&stand.disk, OTHER.as_ref()).unwrap();
    let lost = MovedTo::read(&stand.disk, HOME.as_ref()).unwrap().unwrap();
    assert_eq!((lost.home.as_path(), lost.found), (OTHER.as_ref(), false));
    let opened = stand.look(Some("toy2"), OTHER);
    let (_writer, _other) = opened.unwrap().negotiate(&request()).unwrap();
    assert_eq!(MovedTo::read(&stand.disk, HOME.as_ref()).unwrap().unwrap(), lost);
}

/// A finish that stopped after it had removed the engine leaves no engine to follow back to, also where the commits for it are kept.
#[test]
fn a_rollback_after_half_a_finish_copies() {
    let follow_back = persist_store::SwapOptions { follow_back: true, ..swap_options() };
    let mut met = 0;
    for n in 1.. {
        let stand = Stand::new();
        let (writer, store) = stand.store("toy");
        store.swap(&elsewhere("flatfile"), &follow_back, &Quiet).unwrap();
        put(&store, "later", "1");
        let expected = all(&store);
        stand.disk.plan(When::At(stand.disk.operations() + n), Fault::CrashBefore);
        if store.finish_swap().is_ok() {
            break;
        }
        drop((writer, store));
        let there = Stand::on(stand.disk.killed());
        let (_writer, store) = there.open(None, OTHER).unwrap();
        let gone = MovedTo::read(&there.disk, HOME.as_ref()).unwrap().is_some_and(|moved| !moved.kept);
        if store.swap_status().is_none() {
            continue;
        }
        met += u64::from(gone);
        let report = store.rollback_swap(&plain(), &follow_back, &Quiet).unwrap();
        assert!(!gone || report.figures.records_now > 40, "operation {n}: {report:?}");
        assert_eq!(all(&store), expected, "operation {n}");
        is_clean(&store);
        assert!(there.disk.list(format!("{HOME}/cas").as_ref()).unwrap().is_some(), "operation {n}");
        store.finish_swap().unwrap();
        is_signpost(&there, OTHER, HOME);
    }
    assert!(met > 2, "{met}");
}

/// With an engine that takes short keys only.
fn on_small(disk: SimDisk) -> Stand {
    let mut small = Toy::new(Arc::new(disk.clone()));
    (small.limits.key_bytes_max, small.scheme) = (30, "small");
    let mut stand = Stand::on(disk);
    stand.drivers.push(Arc::new(small));
    stand
}

/// Nothing is kept for a rollback then, so that what can be refused is, before anything is changed.
#[test]
fn a_rollback_after_half_a_finish_is_refused_beforehand() {
    let follow_back = persist_store::SwapOptions { follow_back: true, ..swap_options() };
    let mut met = 0;
    for n in 1.. {
        let stand = on_small(SimDisk::new(1));
        let (writer, store) = stand.store("small");
        store.swap(&elsewhere("toy"), &follow_back, &Quiet).unwrap();
        put(&store, &"k".repeat(31), "long");
        stand.disk.plan(When::At(stand.disk.operations() + n), Fault::CrashBefore);
        if store.finish_swap().is_ok() {
            break;
        }
        drop((writer, store));
        let there = on_small(stand.disk.killed());
        let gone = MovedTo::read(&there.disk, HOME.as_ref()).unwrap().is_some_and(|moved| !moved.kept);
        let (_writer, store) = there.open(None, OTHER).unwrap();
        let Some(status) = store.swap_status().filter(|_| gone) else { continue };
        met += 1;
        fails(store.rollback_swap(&plain(), &follow_back, &Quiet), ErrorKind::TooLarge, &["kkkk", "small"]);
        assert_eq!(store.swap_status(), Some(status), "operation {n}");
    }
    assert!(met > 2, "{met}");
}

/// What the stamp that is left says is where the store is when the swap ends.
#[test]
fn a_home_that_was_renamed_is_named_as_it_is() {
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    store.swap(&elsewhere("toy"), &swap_options(), &Quiet).unwrap();
    store.close().unwrap();
    drop((writer, store));
    stand.disk.rename(OTHER.as_ref(), "/renamed".as_ref()).unwrap();
    let (_writer, store) = stand.open(None, "/renamed").unwrap();
    store.finish_swap().unwrap();
    is_signpost(&stand, HOME, "/renamed");
    fails(stand.look(None, HOME).map(drop), ErrorKind::Mismatch, &["lives in /renamed now"]);
}
