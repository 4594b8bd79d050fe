//! The room on a simulated disk that is limited.

use std::path::Path;

use persist_api::ErrorKind;
use persist_io::sim::{Code, Fault, SimDisk, When};
use persist_io::{Disk, DiskFile, FileMode, replace};

const ROOT: &str = "/";

/// A disk for 100 bytes with one durable file of all of them.
fn full() -> (SimDisk, Box<dyn DiskFile>) {
    let disk = SimDisk::new(1);
    disk.limit_space(Some(100));
    let file = write(&disk, "/f", 100).unwrap();
    disk.sync_dir(ROOT.as_ref()).unwrap();
    assert_eq!(room(&disk), 0);
    (disk, file)
}

fn write(disk: &SimDisk, path: &str, bytes: usize) -> persist_api::Result<Box<dyn DiskFile>> {
    let file = disk.open(path.as_ref(), FileMode::OpenOrCreate)?;
    file.write_at(0, &vec![1; bytes])?;
    file.sync_data()?;
    Ok(file)
}

fn room(disk: &SimDisk) -> u64 {
    disk.space(Path::new(ROOT)).unwrap().unwrap()
}

#[test]
fn what_is_removed_gives_its_room_back_when_its_name_is_gone() {
    let (disk, file) = full();
    drop(file);
    disk.remove_file("/f".as_ref()).unwrap();
    // A crash may bring the name back.
    assert_eq!(room(&disk), 0);
    assert_eq!(write(&disk, "/g", 1).err().unwrap().kind(), ErrorKind::Full);
    disk.sync_dir(ROOT.as_ref()).unwrap();
    assert_eq!(room(&disk), 100);
    write(&disk, "/g", 100).unwrap();
    assert_eq!(room(&disk), 0);
}

#[test]
fn what_is_removed_keeps_its_room_while_it_is_held() {
    let (disk, file) = full();
    disk.remove_file("/f".as_ref()).unwrap();
    disk.sync_dir(ROOT.as_ref()).unwrap();
    assert_eq!(room(&disk), 0);
    let mapping = file.map(0, 1).unwrap();
    drop(file);
    assert_eq!(room(&disk), 0);
    drop(mapping);
    assert_eq!(room(&disk), 100);
}

#[test]
fn what_is_replaced_or_lies_in_what_is_removed_gives_its_room_back() {
    let disk = SimDisk::new(1);
    disk.limit_space(Some(100));
    disk.create_dir("/d".as_ref()).unwrap();
    for bytes in [40, 50, 40, 50] {
        replace(&disk, "/d/f".as_ref(), &vec![1; bytes]).unwrap();
        assert_eq!(room(&disk), 100 - bytes as u64);
    }
    disk.remove_file("/d/f".as_ref()).unwrap();
    disk.remove_dir("/d".as_ref()).unwrap();
    assert_eq!(room(&disk), 50);
    disk.sync_dir(ROOT.as_ref()).unwrap();
    assert_eq!(room(&disk), 100, "nothing leads into the directory any more");
}

#[test]
fn a_removal_can_find_no_room() {
    let (disk, _file) = full();
    disk.create_dir("/d".as_ref()).unwrap();
    disk.plan(When::From(1), Fault::Error { code: Code::NoSpace, applied: false });
    assert_eq!(disk.remove_file("/f".as_ref()).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(disk.remove_dir("/d".as_ref()).unwrap_err().kind(), ErrorKind::Full);
    assert!(disk.bytes("/f").is_some() && disk.list("/d".as_ref()).unwrap().is_some());
}
