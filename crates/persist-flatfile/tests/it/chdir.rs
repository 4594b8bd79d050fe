//! A repair of a store that is named by a relative path stays there when the process changes its directory.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Progress, Quiet};
use persist_flatfile::FlatfileDriver;
use persist_flatfile::doctor::{Losses, Verdict, examine, repair};
use persist_io::{Disk, FileMode, RealDisk};

/// What a child finds in its environment.
const ASKED: &str = "PERSIST_TEST_CHDIR";
const TEST: &str = "chdir::a_repair_stays_where_it_began";

/// A store whose head cannot be read.
fn headless(home: &Path, value: &[u8]) {
    let engine = FlatfileDriver::default().open(home, &OpenOptions::default(), &Quiet).unwrap();
    let header = BeatHeader::default().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"key", value).unwrap();
    beat.commit_beat().unwrap();
    assert!(engine.close().is_ok());
    let head = RealDisk.open(&home.join("branch.meta"), FileMode::Write).unwrap();
    head.write_at(0, &vec![7; usize::try_from(head.len().unwrap()).unwrap()]).unwrap();
}

/// Goes to where another damaged store has the same name.
fn leave(_: Progress) -> ControlFlow<()> {
    if !std::env::current_dir().unwrap().ends_with("elsewhere") {
        std::env::set_current_dir("../elsewhere").unwrap();
    }
    ControlFlow::Continue(())
}

#[test]
fn a_repair_stays_where_it_began() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if std::env::var_os(ASKED).is_some() {
        let repaired = repair(&disk, Path::new("home"), Losses::Keep, &[], &leave).unwrap();
        assert!(std::env::current_dir().unwrap().ends_with("elsewhere"));
        assert_eq!(repaired.after.verdict, Verdict::Whole);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [there, elsewhere] = ["there", "elsewhere"].map(|name| dir.path().join(name).join("home"));
    headless(&there, b"this");
    headless(&elsewhere, b"that");
    let verdict = |home: &Path| examine(&*disk, home, &Quiet).unwrap().verdict;
    assert_ne!(verdict(&there), Verdict::Whole);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .current_dir(there.parent().unwrap())
        .env(ASKED, "repair")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!((verdict(&there), elsewhere.join("damaged").exists()), (Verdict::Whole, false));
    assert_ne!(verdict(&elsewhere), Verdict::Whole);
}
