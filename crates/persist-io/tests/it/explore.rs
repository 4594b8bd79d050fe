//! The search: it finds nothing wrong with what is right, and each flaw by name.

use persist_io::sim::explore::{Explorer, Failure, Oracle, Report, Workload, sequences};

use crate::journal::{Act, Flaw, Journal};

const ALL_ACTS: [Act; 8] = [
    Act::Small,
    Act::Large,
    Act::Checkpoint,
    Act::Small,
    Act::Reopen,
    Act::Large,
    Act::Checkpoint,
    Act::Small,
];

fn explorer() -> Explorer {
    Explorer { randoms: 4, deep_one_in: 40, ..Explorer::default() }
}

#[test]
fn a_journal_that_is_right_passes_everything() {
    let report = explorer()
        .explore(&Journal::new(Flaw::None, &ALL_ACTS))
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!report.cut_short && report.operations > 50 && report.runs > 500, "{report:?}");
    assert!(report.images > 5_000 && report.interrupted > 500 && report.reported > 1_000, "{report:?}");
}

#[test]
fn every_short_sequence_passes() {
    let alphabet = [Act::Small, Act::Large, Act::Checkpoint, Act::Reopen];
    let explorer = Explorer { randoms: 1, deep_one_in: 200, ..Explorer::default() };
    let mut total = Report::default();
    for acts in sequences(&alphabet, 3) {
        let report = explorer.crashes(&Journal::new(Flaw::None, &acts));
        total = total.and(report.unwrap_or_else(|failure| panic!("{failure}")));
    }
    assert!(total.images > 5_000, "{total:?}");
}

#[track_caller]
fn caught(flaw: Flaw, oracles: &[Oracle]) -> Failure {
    let journal = Journal::new(flaw, &ALL_ACTS);
    let failure = *explorer().explore(&journal).unwrap_err();
    assert!(oracles.contains(&failure.oracle), "{failure}");
    failure
}

/// As `caught`; the failure can be repeated, also from what it prints.
#[track_caller]
fn caught_and_repeated(flaw: Flaw, oracles: &[Oracle], acts: &str) -> Failure {
    let failure = caught(flaw, oracles);
    let text = failure.to_string();
    assert!(failure.workload.contains(acts), "made smaller: {text}");
    let parts = [format!("{:?}", failure.oracle), format!("{:?}", failure.case), "#1 list".to_owned()];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    failure
}

#[test]
fn no_sync_is_caught() {
    let failure = caught_and_repeated(Flaw::NoSync, &[Oracle::KeepsAcknowledged], "acts: [Small]");
    let again = explorer().replay(&Journal::new(Flaw::NoSync, &[Act::Small]), &failure.case);
    assert_eq!(again.as_ref(), Some(&failure));
    assert_eq!(explorer().replay(&Journal::new(Flaw::None, &[Act::Small]), &failure.case), None);
}

#[test]
fn acknowledge_before_sync_is_caught() {
    caught_and_repeated(Flaw::AcknowledgeBeforeSync, &[Oracle::KeepsAcknowledged], "acts: [Small]");
}

#[test]
fn no_directory_sync_is_caught() {
    caught_and_repeated(Flaw::NoDirectorySync, &[Oracle::KeepsAcknowledged], "acts: [Small]");
}

#[test]
fn rename_before_sync_is_caught() {
    // Small or Large: either may be the one that is left.
    caught_and_repeated(Flaw::RenameBeforeSync, &[Oracle::Opens, Oracle::WholeSteps], ", Checkpoint] }");
}

#[test]
fn retry_after_failed_sync_is_caught() {
    let oracles = [Oracle::NoAcknowledgeAfterFailedSync, Oracle::KeepsAcknowledged];
    caught_and_repeated(Flaw::RetryFailedSync, &oracles, "acts: [Small]");
}

#[test]
fn length_before_data_is_caught() {
    caught_and_repeated(Flaw::LengthBeforeData, &[Oracle::WholeSteps], "acts: [Small]");
}

#[test]
fn no_checksum_is_caught() {
    caught(Flaw::NoChecksum, &[Oracle::WholeSteps, Oracle::NothingInvented]);
}

#[test]
fn believing_what_a_failed_sync_left_is_caught() {
    caught(Flaw::BelievesMemory, &[Oracle::KeepsAcknowledged, Oracle::Opens]);
}

#[test]
fn believing_what_a_killed_process_left_is_caught() {
    caught(Flaw::NoSyncAtOpen, &[Oracle::KeepsAcknowledged, Oracle::Opens]);
}

#[test]
fn appending_behind_a_torn_tail_is_caught() {
    caught(Flaw::KeepsTornTail, &[Oracle::Opens, Oracle::WholeSteps, Oracle::KeepsAcknowledged]);
}

#[test]
fn damage_taken_for_a_tail_is_caught() {
    caught(Flaw::DamageIsTail, &[Oracle::DamageReported]);
}

#[test]
fn writing_at_every_open_is_caught() {
    caught(Flaw::WritesAtEveryOpen, &[Oracle::SecondChangesNothing]);
}

#[test]
fn panics_are_caught() {
    caught(Flaw::PanicsOnGarbage, &[Oracle::NoPanic]);
}

#[test]
fn refusing_a_torn_tail_is_caught() {
    caught(Flaw::RefusesTornTail, &[Oracle::Opens]);
}

#[test]
fn invented_steps_are_caught() {
    caught(Flaw::InventsSteps, &[Oracle::NothingInvented]);
}

#[test]
fn chance_is_caught() {
    caught(Flaw::RunsOnChance, &[Oracle::Repeats]);
}

#[test]
fn removing_the_old_before_the_new_is_there_is_caught() {
    caught(Flaw::OldLogBeforeNewBase, &[Oracle::KeepsAcknowledged, Oracle::Opens]);
}

#[test]
fn a_search_is_bounded_and_repeats() {
    let journal = Journal::new(Flaw::None, &ALL_ACTS);
    let small = Explorer { images_max: 300, ..explorer() };
    let report = small.crashes(&journal).unwrap();
    assert!(report.cut_short && report.images <= 301, "{report:?}");
    assert_eq!(report, small.crashes(&journal).unwrap());
    let find = || explorer().crashes(&Journal::new(Flaw::NoSync, &ALL_ACTS)).unwrap_err();
    assert_eq!(find(), find());
    assert_eq!(journal.smaller().len(), ALL_ACTS.len());
}
