//! The disk seam on a real file system.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

mod buffered;
mod explore;
mod journal;
mod mapped;
mod renew;
mod rights;
mod room;
mod sim;
mod torn;

use std::path::Path;
use std::sync::Mutex;

use persist_api::{Advice, Error, ErrorKind, Result};
use persist_io::{
    Call, Disk, DiskFile, FileMode, Intercept, Intercepted, PassOn, RealDisk, absolute, create_dir_durably,
    lock_dir, read_file, remove_tree, replace, size_of_tree,
};

/// Notes the order of calls, which is what makes `replace` atomic and durable.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Intercept for Recorder {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let what = match call {
            Call::Open(mode) => format!("open-{mode:?}"),
            Call::CreateDir => "create_dir".to_owned(),
            Call::RenameTo(_) => "rename".to_owned(),
            Call::RemoveFile => "remove".to_owned(),
            Call::SyncDir => "sync_dir".to_owned(),
            Call::WriteAt { .. } => "write".to_owned(),
            Call::SyncData => "sync_data".to_owned(),
            _ => return pass_on(),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.0.lock().unwrap().push(format!("{what} {name}"));
        pass_on()
    }
}

#[test]
fn replace_syncs_before_and_after_the_rename() {
    let dir = tempfile::Builder::new().prefix("d").tempdir().unwrap();
    let home = dir.path().join("home");
    RealDisk.create_dir(&home).unwrap();
    let disk = Intercepted::new(RealDisk, Recorder::default());
    replace(&disk, &home.join("stamp"), b"one").unwrap();
    let order = disk.intercept().0.lock().unwrap().join(", ");
    assert_eq!(
        order,
        "remove stamp.new, open-CreateNew stamp.new, write stamp.new, sync_data stamp.new, rename stamp.new, sync_dir home"
    );
}

#[test]
fn replace_keeps_old_or_new_and_survives_a_leftover() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stamp");
    std::fs::write(dir.path().join("stamp.new"), b"leftover of a crash").unwrap();
    replace(&RealDisk, &path, b"one").unwrap();
    replace(&RealDisk, &path, b"two").unwrap();
    assert_eq!(read_file(&RealDisk, &path, 3).unwrap().unwrap(), b"two");
    assert_eq!(RealDisk.list(dir.path()).unwrap().unwrap().len(), 1);
}

#[test]
fn read_file_is_bounded_and_absence_is_not_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    assert!(read_file(&RealDisk, &path, 10).unwrap().is_none());
    std::fs::write(&path, [0; 11]).unwrap();
    assert_eq!(read_file(&RealDisk, &path, 10).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn directories_are_created_parent_first_and_removed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    create_dir_durably(&RealDisk, &deep).unwrap();
    create_dir_durably(&RealDisk, &deep).unwrap();
    std::fs::write(deep.join("file"), [0; 7]).unwrap();
    std::os::unix::fs::symlink("/", deep.join("link")).unwrap();
    assert_eq!(size_of_tree(&RealDisk, dir.path()).unwrap(), 7);
    remove_tree(&RealDisk, &dir.path().join("a")).unwrap();
    remove_tree(&RealDisk, &dir.path().join("a")).unwrap();
    assert!(RealDisk.list(dir.path()).unwrap().unwrap().is_empty());
}

#[test]
fn a_lock_has_one_holder_and_says_who() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock_dir(&RealDisk, dir.path()).unwrap();
    let error = lock_dir(&RealDisk, dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(lock);
    lock_dir(&RealDisk, dir.path()).unwrap();
}

#[test]
fn a_lock_is_seen_by_those_who_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    assert!(!RealDisk.is_locked(&path).unwrap() && !path.exists(), "nothing is made");
    let lock = lock_dir(&RealDisk, dir.path()).unwrap();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    assert!(RealDisk.is_locked(&path).unwrap());
    drop(lock);
    assert!(!RealDisk.is_locked(&path).unwrap());
}

#[test]
fn who_only_asks_for_a_lock_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = || lock_dir(&RealDisk, dir.path()).map(drop);
    lock().unwrap();
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| (0..10_000).all(|_| RealDisk.is_locked(&path).is_ok()));
        while !asker.is_finished() {
            lock().unwrap();
        }
        assert!(asker.join().unwrap());
    });
}

/// Says of everything that writes what a file system says that is read-only.
struct ReadOnly;

impl Intercept for ReadOnly {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        let error = || Error::io("lock", path, std::io::ErrorKind::ReadOnlyFilesystem.into());
        if matches!(call, Call::TryLock) { Err(error()) } else { pass_on() }
    }
}

#[test]
fn where_a_store_cannot_be_locked_the_advice_is_to_copy_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Intercepted::new(RealDisk, ReadOnly);
    let advice = || lock_dir(&disk, dir.path()).unwrap_err().advice();
    assert_ne!(advice(), Advice::CopyToWrite, "there is no store");
    drop(lock_dir(&RealDisk, dir.path()).unwrap());
    assert_eq!(advice(), Advice::CopyToWrite);
    assert!(!disk.is_locked(&dir.path().join("lock")).unwrap());
}

/// A disk without a free block, on which somebody else takes every block that is given back.
struct Full;

impl Intercept for Full {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        if matches!(call, Call::WriteAt { .. }) {
            return Err(Error::io("write_file", path, std::io::ErrorKind::StorageFull.into()));
        }
        pass_on()
    }
}

#[test]
fn a_lock_needs_no_room_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Intercepted::new(RealDisk, Full);
    drop(lock_dir(&RealDisk, dir.path()).unwrap());
    for _ in 0..2 {
        let _lock = lock_dir(&disk, dir.path()).unwrap();
        let error = lock_dir(&RealDisk, dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("held by another process"), "never a wrong name: {error}");
    }
}

#[test]
fn a_lock_goes_with_its_holder_while_children_start() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        // Each child holds copies of all descriptors between its fork and the start of its program.
        let children = scope.spawn(|| {
            for _ in 0..100 {
                std::process::Command::new("true").status().unwrap();
            }
        });
        while !children.is_finished() {
            drop(lock_dir(&RealDisk, dir.path()).unwrap());
        }
    });
}

#[test]
fn files_read_write_truncate_at_any_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = RealDisk.open(&path, FileMode::OpenOrCreate).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(4, b"tail").unwrap();
    let mut bytes = [9; 16];
    assert_eq!(file.read_at(2, &mut bytes).unwrap(), 6);
    assert_eq!(&bytes[..6], b"\0\0tail");
    file.truncate(5).unwrap();
    assert_eq!(file.len().unwrap(), 5);
    let error = RealDisk.open(&path, FileMode::CreateNew).err().unwrap();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(path.as_path())));
}

#[test]
fn a_hint_to_begin_writing_changes_nothing_but_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = RealDisk.open(&dir.path().join("file"), FileMode::OpenOrCreate).unwrap();
    let mut bytes = vec![7; 100_000];
    file.write_at(0, &bytes).unwrap();
    for (offset, len) in [(0, 0), (4096, 50_000), (99_999, 1 << 40), (u64::MAX, u64::MAX), (0, 100_000)] {
        file.start_writeback(offset, len);
    }
    bytes.extend([8; 5000]);
    file.write_at(100_000, &[8; 5000]).unwrap();
    let mut read = vec![0; bytes.len()];
    assert_eq!(file.read_at(0, &mut read).unwrap(), bytes.len());
    assert!(read == bytes);
    file.sync_data().unwrap();
}

#[test]
fn mappings_show_the_file_and_outlive_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = RealDisk.open(&path, FileMode::OpenOrCreate).unwrap();
    let bytes: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    file.write_at(0, &bytes).unwrap();
    file.sync_data().unwrap();
    file.drop_cache().unwrap();
    let mapping = file.map(4097, 50_000).unwrap();
    #[allow(clippy::reversed_empty_ranges, reason = "a hint may be about anything")]
    for range in [0..0, 1..50_000, 49_999..50_000, 7..50_001, 9..usize::MAX, 5..2] {
        mapping.fetch(range);
    }
    let clone = mapping.clone();
    drop((mapping, file));
    RealDisk.remove_file(&path).unwrap();
    assert_eq!(std::thread::spawn(move || clone.to_vec()).join().unwrap(), bytes[4097..54_097]);
}

/// A file whose author wrote no mapping for it.
struct Unmapped(Box<dyn DiskFile>);

impl DiskFile for Unmapped {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn len(&self) -> Result<u64> {
        self.0.len()
    }
    fn truncate(&self, len: u64) -> Result<()> {
        self.0.truncate(len)
    }
    fn sync_data(&self) -> Result<()> {
        self.0.sync_data()
    }
}

#[test]
fn nothing_is_mapped_beyond_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = RealDisk.open(&dir.path().join("file"), FileMode::OpenOrCreate).unwrap();
    assert!(file.map(0, 0).unwrap().is_empty());
    file.write_at(0, b"five!").unwrap();
    let unmapped = Unmapped(RealDisk.open(&dir.path().join("file"), FileMode::Read).unwrap());
    for file in [file, Box::new(unmapped)] {
        assert_eq!(*file.map(1, 4).unwrap(), *b"ive!");
        assert!(file.map(5, 0).unwrap().is_empty());
        for (offset, len) in [(5, 1), (0, 6), (6, 0), (u64::MAX, 2), (1, u64::MAX)] {
            assert_eq!(file.map(offset, len).unwrap_err().kind(), ErrorKind::Corrupt, "{offset} {len}");
        }
    }
}

#[test]
fn links_and_pipes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, link) = (dir.path().join("victim"), dir.path().join("lock"));
    std::fs::write(&victim, b"mine").unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    assert_eq!(lock_dir(&RealDisk, dir.path()).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(replace(&RealDisk, &link, b"x").unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(read_file(&RealDisk, &link, 10).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    std::fs::remove_file(&link).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&link).status().unwrap();
    assert!(made.success());
    // Opening a pipe would wait for its other end.
    assert_eq!(lock_dir(&RealDisk, dir.path()).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(read_file(&RealDisk, &link, 10).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_directory_that_is_there_gets_a_durable_name_too() {
    use persist_io::sim::{Crash, SimDisk};
    let disk = SimDisk::new(1);
    disk.create_dir("/home".as_ref()).unwrap();
    create_dir_durably(&disk, "/home".as_ref()).unwrap();
    assert!(disk.crash_image(&Crash::Nothing).list("/home".as_ref()).unwrap().is_some());
}

#[test]
fn an_empty_path_is_the_callers_mistake() {
    let error = absolute("open", Path::new("")).unwrap_err();
    assert_eq!((error.kind(), error.op(), error.advice()), (ErrorKind::Invalid, "open", Advice::FixPath));
    assert!(error.to_string().contains("empty"), "{error}");
    let here = std::env::current_dir().unwrap();
    assert_eq!(absolute("open", Path::new(".")).unwrap(), here);
    assert_eq!(absolute("open", Path::new("name")).unwrap(), here.join("name"));
}
