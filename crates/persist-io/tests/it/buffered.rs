//! Steps that outlive the process and not the power: a counter that is synced only when it is closed.

use persist_api::Result;
use persist_io::sim::explore::{Explorer, Oracle, Recovered, Workload};
use persist_io::sim::{Mark, SimDisk};
use persist_io::{Disk, DiskFile, FileMode, replace};

/// A file with a byte for each step, and a mark of the recovery beside it.
struct Counter {
    /// A recovery that forgets what was not synced, also when only the process died.
    forgets: bool,
}

fn open(disk: &SimDisk) -> Result<Box<dyn DiskFile>> {
    let file = disk.open("/steps".as_ref(), FileMode::OpenOrCreate)?;
    disk.sync_dir("/".as_ref())?;
    Ok(file)
}

impl Workload for Counter {
    type State = ();

    fn run(&self, disk: &SimDisk) -> Result<()> {
        let file = open(disk)?;
        for step in 1..=3 {
            disk.mark(Mark::Submitted(step));
            file.write_at(step - 1, b"x")?;
            disk.mark(Mark::Buffered(step));
        }
        file.sync_data()?;
        disk.mark(Mark::Acknowledged(3));
        Ok(())
    }

    fn recover(&self, disk: &SimDisk) -> Result<Recovered<()>> {
        let file = open(disk)?;
        let mut bytes = [0; 8];
        let got = file.read_at(0, &mut bytes)?;
        let mut steps = bytes[..got].iter().take_while(|byte| **byte == b'x').count() as u64;
        if self.forgets && steps == 2 {
            steps = 1;
        }
        let mark = format!("{steps} steps");
        if disk.bytes("/mark").is_none_or(|there| there != mark.as_bytes()) {
            replace(disk, "/mark".as_ref(), mark.as_bytes())?;
        }
        Ok(Recovered { steps, state: (), damage: Vec::new() })
    }

    fn state_after(&self, _: u64) {}
}

#[test]
fn a_power_cut_after_a_killed_process_may_take_what_was_only_buffered() {
    let explorer = Explorer { deep_one_in: 1, ..Explorer::default() };
    let report = explorer.crashes(&Counter { forgets: false }).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.interrupted > 100 && !report.cut_short, "{report:?}");
}

#[test]
fn a_killed_process_alone_may_not() {
    let failure = Explorer::default().crashes(&Counter { forgets: true }).unwrap_err();
    assert_eq!(failure.oracle, Oracle::KeepsAcknowledged, "{failure}");
}
