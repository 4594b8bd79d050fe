//! How far a swap is that was stopped.

use std::cell::Cell;
use std::ops::ControlFlow;

use persist_api::{Durability, ErrorKind, Observer, OpenOptions, Progress, Quiet};
use persist_store::{Store, SwapOptions, SwapProgress, SwapTarget};

use super::stand::{HOME, Stand, all, bytes_of_stamp, delete, options_of, put, swap_options};
use crate::kit::fails;

/// Stops at so many reports.
struct After(Cell<u32>);

impl Observer for After {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        self.0.set(self.0.get().saturating_sub(1));
        if self.0.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn progress(store: &Store, to: &str) -> Option<SwapProgress> {
    store.swap_progress(&options_of(to), &Quiet).unwrap()
}

#[test]
fn a_target_says_how_far_it_is_and_resuming_goes_on_from_there() {
    for (from, to, elsewhere) in
        [("flatfile", "toy", false), ("toy", "flatfile", false), ("toy", "flatfile", true)]
    {
        let stand = Stand::new();
        let (_writer, store) = stand.store(from);
        let home = if elsewhere { "/new" } else { HOME };
        fails(store.swap_progress(&options_of(to), &Quiet).map(drop), ErrorKind::Invalid, &["under way"]);
        let target = SwapTarget::at(to, home).options(options_of(to));
        let small = SwapOptions { chunk_bytes: 64, ..swap_options() };
        let mut swap = store.begin_swap(&target, &small, &Quiet).unwrap();
        swap.copy(&After(Cell::new(3))).unwrap_err();
        let figures = swap.figures();
        fails(store.swap_progress(&options_of(to), &Quiet).map(drop), ErrorKind::Busy, &[]);
        drop(swap);
        let stamp = bytes_of_stamp(&stand);
        let part = progress(&store, to).unwrap();
        assert_eq!((part.records, part.bytes), (Some(figures.records), Some(figures.bytes)));
        assert!(!part.all_copied && part.goes_on && (1..41).contains(&figures.records), "{part:?}");
        put(&store, "meanwhile", "1");
        let later = progress(&store, to).unwrap();
        assert_eq!(later, SwapProgress { behind: part.behind + 1, ..part });
        assert_eq!(bytes_of_stamp(&stand), stamp, "looking changes nothing");
        fails(store.swap_progress(&unknown(), &Quiet).map(drop), ErrorKind::Invalid, &["nosuch"]);

        let mut swap = store.resume_swap(&options_of(to), &swap_options(), &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        assert_eq!(swap.figures().records_now + figures.records, swap.figures().records);
        drop(swap);
        let whole = progress(&store, to).unwrap();
        assert!(whole.all_copied && whole.records >= Some(41), "{whole:?}");
        store.resume_swap(&options_of(to), &swap_options(), &Quiet).unwrap().run(&Quiet).unwrap();
        fails(store.swap_progress(&options_of(to), &Quiet).map(drop), ErrorKind::Invalid, &["under way"]);
    }
}

fn unknown() -> OpenOptions {
    OpenOptions { knobs: [("nosuch".to_owned(), "1".to_owned())].into(), ..options_of("toy") }
}

#[test]
fn a_target_of_which_nothing_is_there_says_nothing() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("toy");
    let target = SwapTarget::at("flatfile", "/new").options(options_of("flatfile"));
    drop(store.begin_swap(&target, &swap_options(), &Quiet).unwrap());
    assert_eq!(progress(&store, "flatfile"), None);
}

#[test]
fn a_target_for_which_commits_are_missing_says_that_resuming_copies_anew() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("toy");
    let options = SwapOptions { feed_bytes_max: 200, ..swap_options() };
    let target = SwapTarget::here("flatfile").options(options_of("flatfile"));
    let mut swap = store.begin_swap(&target, &options, &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    drop(swap);
    assert!(progress(&store, "flatfile").unwrap().goes_on);
    for n in 0..10 {
        put(
            &store,
            &format!("more{n}"),
            "a value of some length, so that the feed is too large for the hold",
        );
    }
    let late = progress(&store, "flatfile").unwrap();
    assert!(late.all_copied && !late.goes_on && late.behind >= 10, "{late:?}");
}

/// What was staged when a record stopped the copy was not copied, and is not counted.
#[test]
fn figures_count_a_record_once_whatever_stopped_the_copy() {
    let stand = Stand::and("small", |toy| toy.limits.key_bytes_max = 30);
    let (_writer, store) = stand.store("flatfile");
    let long = "key016".repeat(10);
    put(&store, &long, "value");
    let mut swap = store.begin_swap(&SwapTarget::here("small"), &swap_options(), &Quiet).unwrap();
    fails(swap.copy(&Quiet), ErrorKind::TooLarge, &["key016"]);
    let figures = swap.figures();
    assert_eq!((figures.records, figures.bytes), (figures.records_now, figures.bytes_now));
    assert!((1..18).contains(&figures.records), "a beat of the target ends before: {figures:?}");
    store.commit(delete(&long), Durability::Durable).unwrap().wait().unwrap();
    swap.copy(&Quiet).unwrap();
    let figures = swap.figures();
    let bytes = all(&store).iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    assert_eq!((figures.records, figures.records_now), (41, 41));
    assert_eq!((figures.bytes, figures.bytes_now), (bytes, bytes));
}
