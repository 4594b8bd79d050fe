//! The block class passes an honest engine and catches those that do not wait for the disk; where this machine does not allow
//! it, it says what is missing.

use persist_api::{OpenOptions, Quiet};
use persist_conformance::crash::{
    BlockOptions, BlockReport, CrashError, Reentry, Subject, block_cut, child_main_if_asked,
};

use super::logbook::{Lie, Logbook};

/// What the class says of an engine; nothing where it cannot be run.
fn cut(driver: &Logbook, entry: &Reentry) -> Option<BlockReport> {
    let subject = Subject { driver, options: OpenOptions::default() };
    let options = BlockOptions { moments: 45, ..BlockOptions::default() };
    match block_cut(&subject, entry, &options, &Quiet) {
        Ok(report) => {
            println!("{report}");
            Some(report)
        }
        Err(CrashError::Absent { tool, why }) => {
            println!("absent: {tool}: {why}");
            assert!(!why.is_empty());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

macro_rules! judged {
    ($name:ident, $lie:expr, $judge:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn crash_child() {
                child_main_if_asked(&Subject { driver: &Logbook($lie), options: OpenOptions::default() });
            }

            #[test]
            fn as_it_is() {
                let entry = Reentry::test(concat!(module_path!(), "::crash_child"));
                if let Some(report) = cut(&Logbook($lie), &entry) {
                    let judge: fn(&BlockReport) -> bool = $judge;
                    assert!(judge(&report), "{report}");
                }
            }
        }
    };
}

judged!(honest, Lie::None, |report| report.is_clean() && report.moments == 45);
judged!(no_sync, Lie::NoSync, BlockReport::lost_a_promised_beat);
judged!(sync_before_write, Lie::SyncBeforeWrite, BlockReport::lost_a_promised_beat);
judged!(ack_before_sync, Lie::AckBeforeSync, BlockReport::lost_a_promised_beat);
