//! The model finds planted bugs, shrinks them, and its traces replay.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::LazyLock;

use persist_api::Driver;
use persist_conformance::liars::{Base, Liar, honest};
use persist_conformance::model::{Trace, replay, search};
use persist_conformance::{Fixture, run_case};
use persist_memory::MemoryDriver;

static DRIVER: LazyLock<MemoryDriver> = LazyLock::new(MemoryDriver::new);

struct Memory;

impl Fixture for Memory {
    fn driver(&self) -> &dyn Driver {
        &*DRIVER
    }
}

/// Finds the bug of a liar; gives the trace.
fn finds(liar: &str, at_most: usize) -> Trace {
    let fixture = Liar::named(liar).unwrap().fixture();
    let found = search(&*fixture, 1, 40).unwrap_or_else(|| panic!("the model does not find {liar}"));
    let steps = found.trace.steps().len();
    assert!(steps <= at_most, "{steps} steps left for {liar}:\n{}", found.trace);
    assert!(steps < found.found_in);

    let text = found.trace.to_string();
    let read: Trace = text.parse().unwrap();
    assert_eq!(read, found.trace, "a trace reads back as it was written");
    assert!(replay(&*fixture, &read).is_err(), "the trace still shows {liar}");
    replay(&*honest(Base::Full), &read).unwrap();
    replay(&Memory, &read).unwrap();
    read
}

#[test]
fn finds_a_bound_that_is_wrong() {
    finds("closed_spares_its_end", 4);
}

#[test]
fn finds_a_delete_that_takes_too_much() {
    finds("deletes_take_what_begins_alike", 6);
}

#[test]
fn finds_a_view_that_moves() {
    finds("later_deletes_show", 7);
}

#[test]
fn finds_history_that_is_lost() {
    finds("history_forgets_what_was_deleted", 5);
    finds("history_begins_with_the_open", 7);
    finds("history_ends_with_a_checkpoint", 7);
}

#[test]
fn finds_a_range_that_takes_later_puts() {
    finds("range_takes_later_puts", 6);
}

#[test]
fn finds_a_cursor_that_forgets_how_to_seek() {
    finds("the_end_is_final", 5);
}

#[test]
fn finds_what_closing_loses() {
    finds("deleted_ranges_are_lost_by_closing", 8);
}

#[test]
fn finds_a_half_committed_beat() {
    finds("half_a_beat_is_committed", 7);
}

#[test]
fn finds_an_aborted_beat_that_leaks() {
    finds("aborted_records_come_with_the_next_beat", 7);
}

#[test]
fn agrees_with_the_honest_engine() {
    assert!(search(&*honest(Base::Full), 7, 20).is_none());
    assert!(search(&Memory, 7, 20).is_none());
}

#[test]
fn a_difference_fails_the_case_and_names_its_trace() {
    let fixture = Liar::named("half_a_beat_is_committed").unwrap().fixture();
    let case = persist_conformance::Case::named("model::agrees_with_memory").unwrap();
    let message = run_case(&*fixture, case).message().unwrap();
    let trace: Trace = message.split_once(":\n").unwrap().1.rsplit_once('\n').unwrap().0.parse().unwrap();
    assert!(replay(&*fixture, &trace).is_err());
    assert!(message.contains(".trace"), "{message}");
}
