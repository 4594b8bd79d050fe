//! What a failed sync left, made durable.

use persist_api::{Error, ErrorKind};
use persist_io::sim::{Crash, Fault, Forgot, SimDisk, When};
use persist_io::{Disk, FileMode, renew};

#[test]
fn what_a_failed_sync_left_is_durable_once_it_is_renewed() {
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let disk = SimDisk::new(1);
    assert!(disk.put("/f", b"old"));
    let file = disk.open("/f".as_ref(), FileMode::Write).unwrap();
    let after = || disk.crash_image(&Crash::Nothing).bytes("/f").unwrap();
    file.write_at(0, &bytes).unwrap();
    disk.plan(When::From(1), Fault::SyncForgets(Forgot::Some(5)));
    assert!(file.sync_data().is_err());
    disk.unplan();
    // The trap: readers see it all, the next sync succeeds, and it is not on the disk.
    file.sync_data().unwrap();
    assert_eq!(disk.bytes("/f").unwrap(), bytes);
    assert_ne!(after(), bytes);
    let stopped =
        |done: u64| if done > 0 { Err(Error::new(ErrorKind::Cancelled, "open", "")) } else { Ok(()) };
    assert!(renew(&disk, "/f".as_ref(), bytes.len() as u64, &mut { stopped }).is_err());
    assert_eq!(disk.bytes("/f").unwrap(), bytes);
    assert_ne!(after(), bytes);
    let mut steps = Vec::new();
    renew(&disk, "/f".as_ref(), u64::MAX, &mut |done| {
        steps.push(done);
        Ok(())
    })
    .unwrap();
    assert_eq!(after(), bytes);
    assert_eq!(steps, [0, 1 << 20, 2 << 20, bytes.len() as u64]);
}
