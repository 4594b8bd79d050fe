//! What is refused before anything is changed.

use persist_api::{Caps, Durability, ErrorKind, Quiet, Request};
use persist_io::Disk;
use persist_store::{BeatLog, SwapOptions, SwapTarget};

use super::plain::target;
use super::stand::{
    HOME, Stand, bytes_of_stamp, delete, elsewhere, no_trace, plain, put, request, swap_options,
};
use crate::kit::fails;
use crate::toy::TOY_CAPS;

#[test]
fn swp_15_target_lacks_a_bit() {
    let stand = Stand::and("poor", |toy| toy.caps = TOY_CAPS - Caps::COMPACTION - Caps::DELETE_RANGE);
    let (_writer, store) = stand.store("flatfile");
    let (stamp, files) = (bytes_of_stamp(&stand), stand.disk.killed());
    let to = SwapTarget::here("poor");
    fails(store.swap(&to, &swap_options(), &Quiet), ErrorKind::Refused, &["COMPACTION DELETE_RANGE"]);
    let content = SwapOptions { may_lose: Caps::all(), ..swap_options() };
    fails(store.swap(&to, &content, &Quiet), ErrorKind::Refused, &["lacks DELETE_RANGE,"]);
    fails(
        store.swap(&SwapTarget::here("memory"), &content, &Quiet),
        ErrorKind::Refused,
        &["memory makes beats volatile"],
    );
    fails(
        store.swap(&SwapTarget::here("nosuch"), &content, &Quiet),
        ErrorKind::Unsupported,
        &["nosuch", "toy"],
    );
    let knobs = persist_api::OpenOptions { knobs: [("early".to_owned(), String::new())].into(), ..plain() };
    let to = SwapTarget::here("toy").options(knobs);
    fails(store.swap(&to, &content, &Quiet), ErrorKind::Invalid, &["early"]);
    assert_eq!(stand.disk.difference(&files), None, "nothing was written");
    no_trace(&stand, &store, &stamp);
}

#[test]
fn swp_15_limits_that_were_asked_for() {
    let stand = Stand::and("small", |toy| toy.limits.key_bytes_max = 30);
    let asked = persist_api::Limits { key_bytes_max: 100, ..persist_api::Limits::NO_NEED };
    let opened = stand.look(Some("flatfile"), HOME).unwrap();
    let (writer, store) = opened.negotiate(&Request { limits: asked, ..request() }).unwrap();
    fails(
        store.swap(&SwapTarget::here("small"), &swap_options(), &Quiet),
        ErrorKind::Refused,
        &["key_bytes_max"],
    );
    store.close().unwrap();
    drop((writer, store));
    // Not asked for, but there is such a key.
    let (_writer, store) = stand.open(None, HOME).unwrap();
    put(&store, &"k".repeat(31), "long");
    let stamp = bytes_of_stamp(&stand);
    fails(store.swap(&SwapTarget::here("small"), &swap_options(), &Quiet), ErrorKind::TooLarge, &["kkkk"]);
    store.abort_swap().unwrap();
    no_trace(&stand, &store, &stamp);
    // It is removed, one comes in while the swap is at work, and one that was queued before it is refused by itself.
    store.commit(delete(&"k".repeat(31)), Durability::Durable).unwrap().wait().unwrap();
    let mut swap = store.begin_swap(&SwapTarget::here("small"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    put(&store, &"m".repeat(31), "long");
    fails(swap.follow(&Quiet), ErrorKind::TooLarge, &["mmmm"]);
    swap.abort().unwrap();
    store.commit(delete(&"m".repeat(31)), Durability::Durable).unwrap().wait().unwrap();
    let mut swap = store.begin_swap(&SwapTarget::here("small"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    swap.verify(&Quiet).unwrap();
    swap.follow(&Quiet).unwrap();
    let mut late = BeatLog::new();
    late.put(&[b'q'; 31], b"long").unwrap();
    let late = store.commit(late, Durability::Durable).unwrap();
    let fine = store.commit(super::stand::log("fine", "1"), Durability::Durable).unwrap();
    // The fence waits for what is queued with nobody to make it; it goes with the first beat after the flip.
    swap.flip(&Quiet).unwrap();
    fails(late.wait(), ErrorKind::TooLarge, &["qqqq"]);
    fine.wait().unwrap();
    assert_eq!(store.engine_name(), "small");
}

#[test]
fn swp_16_target_is_not_empty() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    let stamp = bytes_of_stamp(&stand);
    assert!(stand.disk.put(format!("{HOME}/engine-2/toy.data"), b"somebody's"));
    let before = stand.disk.killed();
    fails(
        store.swap(&target("flatfile", "toy"), &swap_options(), &Quiet),
        ErrorKind::Mismatch,
        &["no swap of this store"],
    );
    assert!(stand.disk.put("/other/notes.txt", b"somebody's"));
    let before = {
        drop(before);
        stand.disk.killed()
    };
    let other = SwapTarget::at("toy", "/other");
    fails(store.swap(&other, &swap_options(), &Quiet), ErrorKind::Mismatch, &["notes.txt"]);
    let inside = SwapTarget::at("toy", format!("{HOME}/inside"));
    fails(store.swap(&inside, &swap_options(), &Quiet), ErrorKind::Invalid, &["its own directory"]);
    assert_eq!(stand.disk.difference(&before), None);
    assert_eq!((bytes_of_stamp(&stand), store.holds().unwrap()), (stamp, Vec::new()));
    // A target of a swap that is not this one.
    let (_second_writer, second) = stand.open(Some("toy"), "/second").unwrap();
    put(&second, "k", "v");
    fails(
        store.swap(&SwapTarget::at("toy", "/second"), &swap_options(), &Quiet),
        ErrorKind::Mismatch,
        &["/second"],
    );
}

/// Half of a copy is not taken for that of another swap, and not cleared for it either.
#[test]
fn swp_16_target_of_another_swap() {
    const FILE: &str = "/store/engine-2/toy.data";
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    let begin = |to: &SwapTarget| {
        let mut swap = store.begin_swap(to, &swap_options(), &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        swap.id()
    };
    let first = begin(&target("flatfile", "toy"));
    let half = stand.disk.bytes(FILE).unwrap();
    store.abort_swap().unwrap();
    let second = begin(&target("flatfile", "toy"));
    assert!(first != second && stand.disk.put(FILE, &half));
    let before = stand.disk.bytes(FILE);
    let words = ["filled by another swap", &first.to_string()];
    fails(store.resume_swap(&plain(), &swap_options(), &Quiet).map(drop), ErrorKind::Mismatch, &words);
    assert_eq!(stand.disk.bytes(FILE), before);
    store.abort_swap().unwrap();
    // Not announced, and there all the same.
    assert!(stand.disk.put(FILE, &half));
    let before = stand.disk.killed();
    let words = ["no swap of this store"];
    fails(store.swap(&target("flatfile", "toy"), &swap_options(), &Quiet), ErrorKind::Mismatch, &words);
    assert_eq!(stand.disk.difference(&before), None);
    // Another store is half way to the home that this one asks for.
    stand.disk.remove_file(FILE.as_ref()).unwrap();
    begin(&elsewhere("toy"));
    let (_second_writer, second) = stand.open(Some("toy"), "/second").unwrap();
    put(&second, "k", "v");
    let before = stand.disk.killed();
    fails(second.swap(&elsewhere("toy"), &swap_options(), &Quiet), ErrorKind::Mismatch, &["still /store"]);
    assert_eq!(stand.disk.difference(&before), None);
    store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap().run(&Quiet).unwrap();
    assert_eq!(store.home().as_deref(), Some(super::stand::OTHER.as_ref()));
}

#[test]
fn swp_20_the_stamp_is_missing() {
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    store.swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    store.close().unwrap();
    drop((writer, store));
    stand.disk.remove_file(format!("{HOME}/persist.stamp").as_ref()).unwrap();
    let before = stand.disk.killed();
    for engine in [None, Some("toy"), Some("flatfile")] {
        fails(
            stand.look(engine, HOME).map(drop),
            ErrorKind::Corrupt,
            &["engine-", "put the stamp back", "restore"],
        );
    }
    assert_eq!(stand.disk.difference(&before), None);
}

#[test]
fn swp_22_a_second_swap_is_refused() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    let swap = store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    fails(
        store.swap(&target("flatfile", "toy2"), &swap_options(), &Quiet),
        ErrorKind::Busy,
        &["another swap"],
    );
    fails(store.abort_swap(), ErrorKind::Busy, &["another swap"]);
    fails(store.finish_swap(), ErrorKind::Busy, &["another swap"]);
    assert!(store.swap_status().unwrap().running);
    drop(swap);
    assert!(!store.swap_status().unwrap().running);
    fails(
        store.swap(&target("flatfile", "toy2"), &swap_options(), &Quiet),
        ErrorKind::Conflict,
        &["resume or abort"],
    );
    store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap().run(&Quiet).unwrap();
    fails(
        store.swap(&target("flatfile", "toy2"), &swap_options(), &Quiet),
        ErrorKind::Conflict,
        &["finish it first"],
    );
    store.finish_swap().unwrap();
    store.swap(&target("flatfile", "toy2"), &swap_options(), &Quiet).unwrap();
    assert_eq!(store.stamp().unwrap().epoch, 3);
}

#[test]
fn less_room_than_the_source_takes_is_refused_beforehand() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    let (stamp, files) = (bytes_of_stamp(&stand), stand.disk.killed());
    let needed = store.stats().unwrap().engine.bytes_on_disk;
    stand.disk.limit_space(Some(1 << 30));
    let used = (1 << 30) - stand.disk.space("/".as_ref()).unwrap().unwrap();
    stand.disk.limit_space(Some(used + needed - 1));
    for to in [target("flatfile", "toy"), SwapTarget::at("toy", "/elsewhere").options(plain())] {
        let words = [format!("has {needed} bytes"), format!("room for {}", needed - 1)];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        fails(store.swap(&to, &swap_options(), &Quiet), ErrorKind::Full, &words);
    }
    assert_eq!(stand.disk.difference(&files), None, "nothing was written");
    no_trace(&stand, &store, &stamp);
    // It is a guess, and can be overruled; the copy of a small store takes less.
    let begun = store.begin_swap(
        &target("flatfile", "toy"),
        &SwapOptions { ignore_space: true, ..swap_options() },
        &Quiet,
    );
    begun.unwrap().abort().unwrap();
    stand.disk.limit_space(Some(used + needed + (1 << 20)));
    store.swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
}

/// What bounds a beat of the target never keeps it from going on, and each of them can be the last.
#[test]
fn beats_that_may_have_no_bytes_end_a_swap_all_the_same() {
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile")] {
        let stand = Stand::new();
        let (_writer, store) = stand.store(from);
        let hold = store.hold("h", persist_store::HoldOptions::default()).unwrap();
        (0..20).for_each(|n| {
            put(&store, &format!("held{n}"), "1");
        });
        let options = SwapOptions { chunk_bytes: 0, ..swap_options() };
        let mut swap = store.begin_swap(&target(from, to), &options, &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        (0..20).for_each(|n| {
            put(&store, &format!("later{n}"), "1");
        });
        let asked = std::cell::Cell::new(0);
        // Once for the round, and once for each beat of the commits that are followed and of those that are held.
        for after in [1, 2, 15, 30] {
            asked.set(0);
            let seen = |_: persist_api::Progress| {
                asked.set(asked.get() + 1);
                if asked.get() > after {
                    return std::ops::ControlFlow::Break(());
                }
                std::ops::ControlFlow::Continue(())
            };
            fails(swap.follow(&seen), ErrorKind::Cancelled, &[]);
            assert_eq!(asked.get(), after + 1);
        }
        swap.run(&Quiet).unwrap();
        assert_eq!((store.engine_name(), hold.stat().unwrap().commits), (to, 41));
    }
}

/// A beat of the target has at most half of what its engine takes, whatever was asked for.
#[test]
fn the_beats_of_a_target_are_no_larger_than_it_takes() {
    let stand = Stand::and("narrow", |toy| toy.limits.beat_bytes_max = 4000);
    let (_writer, store) = stand.store("flatfile");
    let hold = store.hold("h", persist_store::HoldOptions::default()).unwrap();
    for n in 0..100 {
        put(&store, &format!("large{n}"), &"v".repeat(100));
    }
    let options = SwapOptions { lag_max: 0, ..SwapOptions::default() };
    let mut swap = store.begin_swap(&SwapTarget::here("narrow"), &options, &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    for n in 0..100 {
        put(&store, &format!("later{n}"), &"v".repeat(100));
    }
    swap.run(&Quiet).unwrap();
    assert_eq!((store.engine_name(), hold.stat().unwrap().commits), ("narrow", 201));
}
