//! Sectors that are torn on the simulated disk.

use persist_io::sim::{Crash, Fate, Fault, Forgot, Rest, Tear, When};

use crate::sim::{after, with_file};

#[test]
fn torn_sectors_are_partly_new() {
    let (disk, file) = with_file(&[1; 512]);
    file.write_at(100, &[2; 8]).unwrap();
    let torn = |at, back, rest| {
        let fates = vec![Fate::Torn(Tear { at, back, rest })];
        after(&disk, &Crash::Each(fates))
    };
    let all = |middle: [u8; 8]| [vec![1; 100], middle.to_vec(), vec![1; 404]].concat();
    assert_eq!(torn(103, false, Rest::Old), all([2, 2, 2, 1, 1, 1, 1, 1]));
    assert_eq!(torn(103, false, Rest::Zeros), all([2, 2, 2, 0, 0, 0, 0, 0]));
    assert_eq!(torn(103, true, Rest::Zeros), all([0, 0, 0, 2, 2, 2, 2, 2]));
    assert_eq!(torn(0, false, Rest::Old), vec![1; 512]);
    assert_eq!(torn(512, false, Rest::Zeros), all([2; 8]));
    let garbage = torn(0, false, Rest::Garbage(5));
    assert_ne!(garbage[100..108], [2; 8]);
    assert_eq!(garbage, torn(50, false, Rest::Garbage(5)), "nothing outside of the write is harmed");
}

/// After a failed sync a write takes its whole sector along. Torn, it harms what it wrote itself, and not durable bytes beside it.
#[test]
fn a_torn_write_harms_no_byte_outside_of_itself_also_after_a_failed_sync() {
    let (disk, file) = with_file(&[1; 512]);
    file.write_at(0, &[2; 8]).unwrap();
    disk.plan(When::At(disk.operations() + 1), Fault::SyncForgets(Forgot::All));
    assert!(file.sync_data().is_err());
    file.write_at(0, &[3; 100]).unwrap();
    file.sync_data().unwrap();
    file.write_at(200, &[4; 100]).unwrap();
    let garbage = Tear { at: 250, back: true, rest: Rest::Garbage(7) };
    let torn = after(&disk, &Crash::Each(vec![Fate::Torn(garbage)]));
    let whole = [&[3; 100][..], &[1; 100], &[4; 100], &[1; 212]].concat();
    assert_eq!((&torn[..200], &torn[250..]), (&whole[..200], &whole[250..]));
    assert_ne!(torn[200..250], whole[200..250]);
}
