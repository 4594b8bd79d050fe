//! Going back to the engine before: what is refused, and what it costs.

use std::sync::Arc;

use persist_api::{Caps, Driver, Durability, ErrorKind, OpenOptions, Quiet};
use persist_io::Disk;
use persist_store::{Store, SwapOptions, SwapState, SwapTarget};

use super::plain::target;
use super::stand::{
    HOME, OTHER, Stand, all, delete, elsewhere, is_clean, names, options_of, plain, put, request,
    swap_options,
};
use crate::kit::fails;
use crate::toy::{TOY_CAPS, Toy};

/// Asks for a rollback that is refused: nothing on the disk is another, and the way back is open.
#[track_caller]
fn refused(
    stand: &Stand,
    store: &Store,
    to: &OpenOptions,
    options: &SwapOptions,
    kind: ErrorKind,
    words: &[&str],
) {
    let (before, status) = (stand.disk.killed(), store.swap_status());
    fails(store.rollback_swap(to, options, &Quiet), kind, words);
    assert_eq!(stand.disk.difference(&before), None, "nothing was changed");
    assert_eq!(store.swap_status(), status);
    assert_eq!(status.unwrap().state, SwapState::Flipped);
}

fn knobs(name: &str) -> OpenOptions {
    OpenOptions { knobs: [(name.to_owned(), "1".to_owned())].into(), ..plain() }
}

#[test]
fn swp_21_a_refused_rollback_changes_nothing() {
    for follow_back in [false, true] {
        for to in [target("flatfile", "toy"), elsewhere("toy")] {
            let stand = Stand::new();
            let (_writer, store) = stand.store("flatfile");
            let options = SwapOptions { follow_back, ..swap_options() };
            store.swap(&to, &options, &Quiet).unwrap();
            put(&store, "later", "1");
            let expected = all(&store);
            refused(&stand, &store, &knobs("nonsense"), &options, ErrorKind::Invalid, &["nonsense"]);
            if to.home.is_some() {
                let strange = format!("{HOME}/notes.txt");
                assert!(stand.disk.put(&strange, b"somebody's"));
                // It is in nobody's way where the engine stays.
                if !follow_back {
                    let words = ["notes.txt is not ours"];
                    refused(&stand, &store, &options_of("flatfile"), &options, ErrorKind::Mismatch, &words);
                }
                stand.disk.remove_file(strange.as_ref()).unwrap();
            }
            store.rollback_swap(&options_of("flatfile"), &options, &Quiet).unwrap();
            assert_eq!((store.engine_name(), all(&store)), ("flatfile", expected));
        }
    }
}

/// The home that a store has left is followed as an engine beside it is, and so are the blobs.
#[test]
fn swp_21_a_rollback_between_homes_follows_back() {
    let blob = "cas/8e/8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e.blob";
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile")] {
        for reopened in [false, true] {
            let stand = Stand::new();
            let (mut writer, mut store) = stand.store(from);
            let options = SwapOptions { follow_back: true, ..swap_options() };
            store.swap(&elsewhere(to), &options, &Quiet).unwrap();
            put(&store, "later", "1");
            assert!(stand.disk.put(format!("{OTHER}/{blob}"), b"a blob"));
            let before = all(&store);
            if reopened {
                store.close().unwrap();
                drop((writer, store));
                (writer, store) = stand.open(None, OTHER).unwrap();
            }
            let back = store.rollback_swap(&options_of(from), &options, &Quiet).unwrap();
            assert_eq!((back.figures.records_now, back.figures.followed), (0, 1), "{back:?}");
            assert_eq!((store.home().as_deref(), all(&store)), (Some(HOME.as_ref()), before));
            assert_eq!(store.stamp().unwrap().epoch, 3);
            assert_eq!(stand.disk.bytes(format!("{HOME}/{blob}")).as_deref(), Some(&b"a blob"[..]));
            // And there again, as asked.
            put(&store, "last", "1");
            let before = all(&store);
            let again = store.rollback_swap(&options_of(to), &swap_options(), &Quiet).unwrap();
            assert_eq!((again.figures.records_now, again.figures.followed), (0, 1), "{again:?}");
            store.finish_swap().unwrap();
            assert!(names(&stand.disk).iter().all(|name| !name.starts_with(format!("{HOME}/engine-3"))));
            assert_eq!((store.engine_name(), all(&store)), (to, before));
            is_clean(&store);
            store.close().unwrap();
            drop(writer);
        }
    }
}

/// Whoever goes on with a swap need not ask again for what it was begun with.
#[test]
fn swp_21_what_was_asked_for_outlives_a_stop() {
    for to in [target("flatfile", "toy"), elsewhere("toy")] {
        for late in [false, true] {
            let stand = Stand::new();
            let (writer, store) = stand.store("flatfile");
            let back = SwapOptions { follow_back: true, ..swap_options() };
            let begun = if late { swap_options() } else { back.clone() };
            drop(store.begin_swap(&to, &begun, &Quiet).unwrap());
            if late {
                drop(store.resume_swap(&plain(), &back, &Quiet).unwrap());
            }
            store.close().unwrap();
            drop((writer, store));
            let (_writer, store) = stand.open(None, HOME).unwrap();
            store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap().run(&Quiet).unwrap();
            put(&store, "later", "1");
            let report = store.rollback_swap(&options_of("flatfile"), &swap_options(), &Quiet).unwrap();
            assert_eq!((report.figures.records_now, report.figures.followed), (0, 1), "{report:?}");
        }
    }
}

/// The session has what the engine before lacks, or its driver is not there any more.
#[test]
fn swp_21_a_rollback_to_what_cannot_take_the_session() {
    for follow_back in [false, true] {
        let disk = Stand::new().disk;
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut poor = Toy::new(shared);
        (poor.caps, poor.scheme) = (TOY_CAPS - Caps::COMPACTION, "poor");
        let mut stand = Stand::on(disk);
        stand.drivers.push(Arc::new(poor) as Arc<dyn Driver>);
        let (writer, store) = stand.store("poor");
        let options = SwapOptions { follow_back, ..swap_options() };
        store.swap(&SwapTarget::here("toy"), &options, &Quiet).unwrap();
        refused(&stand, &store, &plain(), &options, ErrorKind::Refused, &["poor lacks COMPACTION"]);
        store.close().unwrap();
        drop((writer, store));
        let without = Stand::on(stand.disk.killed());
        let (_writer, store) = without.look(None, HOME).unwrap().negotiate(&request()).unwrap();
        refused(&without, &store, &plain(), &options, ErrorKind::Unsupported, &["poor"]);
    }
}

/// A key and a value that came in since, and that the engine before cannot take.
#[test]
fn swp_21_a_rollback_to_what_cannot_take_a_record() {
    for to in [target("small", "toy"), elsewhere("toy")] {
        let disk = Stand::new().disk;
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut small = Toy::new(shared);
        (small.limits.key_bytes_max, small.limits.value_bytes_max, small.scheme) = (30, 1000, "small");
        let mut stand = Stand::on(disk);
        stand.drivers.push(Arc::new(small) as Arc<dyn Driver>);
        let (_writer, store) = stand.store("small");
        let options = swap_options();
        store.swap(&to, &options, &Quiet).unwrap();
        for (key, value, words) in [
            ("k".repeat(31), "short".to_owned(), "kkkk"),
            ("v".to_owned(), "v".repeat(1001), "value of 1001"),
        ] {
            put(&store, &key, &value);
            refused(&stand, &store, &plain(), &options, ErrorKind::TooLarge, &[words, "small"]);
            store.commit(delete(&key), Durability::Durable).unwrap().wait().unwrap();
        }
        let expected = all(&store);
        store.rollback_swap(&plain(), &options, &Quiet).unwrap();
        assert_eq!((store.engine_name(), all(&store)), ("small", expected));
    }
}

fn used(stand: &Stand) -> u64 {
    stand.disk.limit_space(Some(1 << 30));
    (1 << 30) - stand.disk.space("/".as_ref()).unwrap().unwrap()
}

/// What the engine before takes is free by then, and no more than that.
#[test]
fn swp_21_a_rollback_counts_the_room_of_what_it_removes() {
    for to in [target("toy", "flatfile"), elsewhere("flatfile")] {
        let stand = Stand::new();
        let (_writer, store) = stand.store("toy");
        let large = "v".repeat(1000);
        for n in 0..40 {
            put(&store, &format!("key{n:03}"), &large);
        }
        store.swap(&to, &swap_options(), &Quiet).unwrap();
        for n in 0..40 {
            store.commit(delete(&format!("key{n:03}")), Durability::Durable).unwrap().wait().unwrap();
        }
        for _ in 0..100 {
            put(&store, "key000", &large);
        }
        let expected = all(&store);
        let needed = store.stats().unwrap().engine.bytes_on_disk;
        let kept: u64 = stand
            .disk
            .files()
            .iter()
            .filter(|(path, _)| path.starts_with(format!("{HOME}/engine-1")))
            .map(|(_, bytes)| bytes)
            .sum();
        assert!(kept > 40_000 && needed > 2 * kept, "{kept} of {needed}");
        let used = used(&stand);
        stand.disk.limit_space(Some(used + needed - kept - 1));
        let words = [format!("has {needed} bytes"), format!("room for {}", needed - 1)];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        refused(&stand, &store, &plain(), &swap_options(), ErrorKind::Full, &words);
        stand.disk.limit_space(Some(used + needed - kept));
        store.rollback_swap(&plain(), &swap_options(), &Quiet).unwrap();
        assert_eq!((store.engine_name(), all(&store)), ("toy", expected));
    }
}
