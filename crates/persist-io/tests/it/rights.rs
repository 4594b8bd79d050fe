//! Directories in which this user may do some things and others not.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use persist_api::{Advice, ErrorKind};
use persist_io::{Call, Disk, Intercept, Intercepted, PassOn, RealDisk, create_dir_durably};

/// The directory of the test, for the process that has no right to everything.
const PLACE: &str = "PERSIST_TEST_RIGHTS";
/// Any user but root.
const NOBODY: u32 = 65_534;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a test as a user whom rights bind: in this process, or where that is root's in one of another user.
fn without_every_right(name: &str, test: fn(&Path)) {
    if let Some(place) = std::env::var_os(PLACE) {
        return test(&PathBuf::from(place));
    }
    let dir = tempfile::tempdir().unwrap();
    if !rustix::process::geteuid().is_root() {
        return test(dir.path());
    }
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(PLACE, dir.path()).current_dir("/");
    match command.uid(NOBODY).gid(NOBODY).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("left out: another user cannot run this test: {error}"),
    }
}

#[test]
fn a_name_that_cannot_be_made_durable_is_told_every_time() {
    without_every_right("rights::a_name_that_cannot_be_made_durable_is_told_every_time", |place| {
        let above = place.join("above");
        std::fs::create_dir(&above).unwrap();
        mode(&above, 0o300);
        assert!(RealDisk.may_create_in(&above).unwrap());
        let home = above.join("home");
        let refused = || create_dir_durably(&RealDisk, &home).unwrap_err();
        for _ in 0..2 {
            assert_eq!((refused().kind(), refused().op()), (ErrorKind::Io, "list_dir"));
            assert!(!home.exists(), "nothing is made where it would not last");
        }
        // Somebody has made it by hand, and its name may be lost.
        std::fs::create_dir(&home).unwrap();
        for _ in 0..2 {
            let error = refused();
            assert_eq!(
                (error.op(), error.path(), error.advice()),
                ("sync_dir", Some(&*above), Advice::FixPath)
            );
        }
        // Who may make no name there has not made this one.
        mode(&above, 0o100);
        assert!(!RealDisk.may_create_in(&above).unwrap());
        create_dir_durably(&RealDisk, &home).unwrap();
        mode(&above, 0o700);
    });
}

/// Lets no directory be opened for a sync.
struct NoSync;

impl Intercept for NoSync {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
        if matches!(call, Call::SyncDir) {
            let cause = std::io::ErrorKind::PermissionDenied.into();
            return Err(persist_api::Error::io("sync_dir", path, cause));
        }
        pass_on()
    }
}

#[test]
fn a_sync_that_is_denied_counts_where_names_may_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Intercepted::new(RealDisk, NoSync);
    for _ in 0..2 {
        let error = create_dir_durably(&disk, &dir.path().join("home")).unwrap_err();
        assert_eq!((error.kind(), error.op()), (ErrorKind::Io, "sync_dir"));
    }
    assert_eq!(RealDisk.may_create_in(&dir.path().join("missing")).unwrap_err().kind(), ErrorKind::Io);
}
