//! The crash classes pass an honest engine and catch each liar.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, clippy::indexing_slicing)]

mod block;
mod logbook;

use logbook::{Lie, Logbook};
use persist_api::OpenOptions;
use persist_conformance::crash::{
    KillOptions, NameRules, PowerOptions, Reentry, Subject, child_main_if_asked, kill, power_cut,
};
use persist_conformance::crash_classes;

crash_classes!(honest, Logbook(Lie::None), OpenOptions::default());

fn subject(driver: &Logbook) -> Subject<'_> {
    Subject { driver, options: OpenOptions::default() }
}

/// A liar's module: the child's entry, and a test that expects a class to find one of these clauses broken.
macro_rules! caught {
    ($name:ident, $lie:expr, $class:ident, $($clause:literal)|+) => {
        mod $name {
            use super::*;

            #[test]
            fn crash_child() {
                child_main_if_asked(&subject(&Logbook($lie)));
            }

            #[test]
            fn is_caught() {
                let entry = Reentry::test(concat!(module_path!(), "::crash_child"));
                let report = super::$class(&Logbook($lie), &entry);
                println!("{report}");
                let found = report.violations.iter().any(|found| matches!(found.clause.as_str(), $($clause)|+));
                assert!(found, "{report}");
            }
        }
    };
}

fn power(driver: &Logbook, entry: &Reentry) -> persist_conformance::crash::PowerReport {
    let options = PowerOptions { images: 200, ..PowerOptions::default() };
    power_cut(&subject(driver), entry, &options).unwrap()
}

fn killed(driver: &Logbook, entry: &Reentry) -> persist_conformance::crash::KillReport {
    kill(&subject(driver), entry, &KillOptions { rounds: 30, ..KillOptions::default() }).unwrap()
}

caught!(no_sync, Lie::NoSync, power, "D-2");
caught!(no_dir_sync, Lie::NoDirSync, power, "D-2");
caught!(sync_before_write, Lie::SyncBeforeWrite, power, "D-2");
caught!(ack_before_sync, Lie::AckBeforeSync, power, "D-2");
caught!(no_checksum, Lie::NoChecksum, power, "D-1" | "L-3");
caught!(snapshot_not_synced, Lie::SnapshotNotSynced, power, "D-1");
caught!(cuts_too_early, Lie::CutsTooEarly, power, "D-2");
caught!(keeps_torn_tail, Lie::KeepsTornTail, power, "D-1");
caught!(trusts_what_it_finds, Lie::TrustsWhatItFinds, power, "D-7");
caught!(refuses_its_remains, Lie::RefusesItsRemains, power, "O-2");
caught!(buffers_in_process, Lie::BuffersInProcess, killed, "D-2");
caught!(half_beats, Lie::HalfBeats, killed, "D-1");

/// What was found once is found again from the traces that were kept: same seed, same images.
macro_rules! again {
    ($name:ident, $lie:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn crash_child() {
                child_main_if_asked(&subject(&Logbook($lie)));
            }

            #[test]
            fn a_kept_trace_gives_the_same_violations() {
                let entry = Reentry::test(concat!(module_path!(), "::crash_child"));
                let options = PowerOptions { keep: true, ..PowerOptions::default() };
                let first = power_cut(&subject(&Logbook($lie)), &entry, &options).unwrap();
                let kept = first.kept.clone().unwrap();
                let options = PowerOptions { replay: Some(kept.clone()), ..options };
                let second = power_cut(&subject(&Logbook($lie)), &entry, &options).unwrap();
                std::fs::remove_dir_all(kept).unwrap();
                assert!(!first.is_clean());
                assert_eq!((first.violations, first.images), (second.violations, second.images));
            }
        }
    };
}

again!(again, Lie::NoSync);
again!(again_after_a_kill, Lie::TrustsWhatItFinds);

mod rules {
    use super::*;

    #[test]
    fn crash_child() {
        child_main_if_asked(&subject(&Logbook(Lie::NoDirSync)));
    }

    /// An engine that never syncs a directory is right only where a journal orders names before bytes.
    #[test]
    fn a_journal_forgives_missing_directory_syncs() {
        let entry = Reentry::test(concat!(module_path!(), "::crash_child"));
        let options = PowerOptions { rules: NameRules::Journal, ..PowerOptions::default() };
        let report = power_cut(&subject(&Logbook(Lie::NoDirSync)), &entry, &options).unwrap();
        assert!(report.is_clean(), "{report}");
    }
}
