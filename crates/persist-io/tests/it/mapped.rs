//! Mapped bytes of the simulated disk.

use std::panic::{AssertUnwindSafe, catch_unwind};

use persist_io::{Disk, DiskFile, FileMode};

use crate::sim::with_file;

/// What a call panicked with.
fn words(call: impl FnOnce() -> persist_api::Result<()>) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| call().unwrap())).err()?;
    Some(panic.downcast_ref::<String>().unwrap().clone())
}

fn stopped(file: &dyn DiskFile, at: u64, bytes: usize) -> bool {
    words(|| file.write_at(at, &vec![9; bytes])).is_some()
}

#[test]
fn nobody_writes_over_mapped_bytes_or_cuts_them_off() {
    let (disk, file) = with_file(&[1; 1000]);
    let mapping = file.map(100, 200).unwrap();
    let empty = file.map(400, 0).unwrap();
    let told = "bytes 299 to 301 of /f are changed or cut off while 100 to 300 are mapped";
    assert_eq!(words(|| file.write_at(299, &[9; 2])).as_deref(), Some(told));
    let told = "bytes 299 to 1000 of /f are changed or cut off while 100 to 300 are mapped";
    assert_eq!(words(|| file.truncate(299)).as_deref(), Some(told));
    assert_eq!(disk.bytes("/f").unwrap(), [1; 1000], "nothing was done");
    // Around them, behind them, and by whichever name and handle.
    assert!(!stopped(&*file, 90, 10) && !stopped(&*file, 300, 200) && !stopped(&*file, 1000, 8));
    file.truncate(300).unwrap();
    file.truncate(2000).unwrap();
    disk.rename("/f".as_ref(), "/g".as_ref()).unwrap();
    let other = disk.open("/g".as_ref(), FileMode::Write).unwrap();
    assert!(stopped(&*other, 0, 101));
    disk.remove_file("/g".as_ref()).unwrap();
    assert!(stopped(&*other, 150, 1));
    // As long as a clone lives, and no longer; a killed process has none.
    let clone = mapping.clone();
    drop((mapping, empty));
    assert!(stopped(&*file, 299, 1));
    assert_eq!(*clone, [1; 200]);
    drop(clone);
    assert!(!stopped(&*file, 299, 1));
}

#[test]
fn mappings_end_with_their_process() {
    let (disk, file) = with_file(&[1; 1000]);
    let _mapping = file.map(0, 1000).unwrap();
    let after = disk.killed();
    after.open("/f".as_ref(), FileMode::Write).unwrap().write_at(0, &[2; 1000]).unwrap();
    assert_eq!((disk.bytes("/f").unwrap(), after.bytes("/f").unwrap()), (vec![1; 1000], vec![2; 1000]));
}

#[test]
fn many_mappings_come_and_go() {
    let (_disk, file) = with_file(&[1; 1000]);
    let kept: Vec<_> = (0..100).map(|n| file.map(n, 1).unwrap()).collect();
    for _ in 0..1_000 {
        drop(file.map(500, 100).unwrap());
    }
    assert!((0..100).all(|at| stopped(&*file, at, 1)) && !stopped(&*file, 100, 900));
    drop(kept);
    assert!(!stopped(&*file, 0, 1000));
}
