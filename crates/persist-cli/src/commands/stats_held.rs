//! Whether somebody has locked a file, without trying to: the kernel keeps a list.

use std::path::Path;

/// `None` where the system does not say.
#[cfg(target_os = "linux")]
pub(super) fn is_held(lock: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    let file = match std::fs::metadata(lock) {
        Ok(meta) => Place { device: numbers(meta.dev()), inode: meta.ino() },
        Err(error) => return (error.kind() == std::io::ErrorKind::NotFound).then_some(false),
    };
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let sees_all = namespace == Path::new(INITIAL_NAMESPACE);
    for _ in 0..READINGS {
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let found = look_up(&locks, file, sees_all);
        if found != Some(false) || locks.len() < WHOLE {
            return found;
        }
    }
    Some(false)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_held(_: &Path) -> Option<bool> {
    None
}

/// Processes in here see the locks of all. Others see only those of their own namespace (Linux, `PROC_PID_INIT_INO`).
#[cfg(target_os = "linux")]
const INITIAL_NAMESPACE: &str = "pid:[4026531836]";
/// A shorter list was read whole. Of a longer one the kernel gives out a page at a time, and a lock that goes in between can hide
/// another.
#[cfg(target_os = "linux")]
const WHOLE: usize = 3072;
/// How often a long list is read before it is believed that a lock is not in it.
#[cfg(target_os = "linux")]
const READINGS: usize = 8;

/// What the list knows of a file.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct Place {
    /// Major and minor.
    device: (u64, u64),
    inode: u64,
}

/// Major and minor number of a device, from their encoding in `st_dev`.
#[cfg(target_os = "linux")]
const fn numbers(device: u64) -> (u64, u64) {
    ((device >> 8) & 0xfff | (device >> 32) & 0xffff_f000, device & 0xff | (device >> 12) & 0xffff_ff00)
}

/// Looks a file up in the list. Some file systems show files with another device than the list does: where only the inode fits,
/// nobody knows.
#[cfg(target_os = "linux")]
fn look_up(locks: &str, file: Place, sees_all: bool) -> Option<bool> {
    let mut maybe = !sees_all;
    for line in locks.lines().filter(|line| line.split_whitespace().any(|word| word == "FLOCK")) {
        match line.split_whitespace().find_map(place) {
            Some(locked) if locked.inode != file.inode => {}
            Some(locked) if locked.device == file.device => return Some(true),
            Some(_) | None => maybe = true,
        }
    }
    (!maybe).then_some(false)
}

/// Reads `major:minor:inode`, the first two in hexadecimal.
#[cfg(target_os = "linux")]
fn place(word: &str) -> Option<Place> {
    let mut parts = word.split(':');
    let mut device = || u64::from_str_radix(parts.next()?, 16).ok();
    let device = (device()?, device()?);
    let inode = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Place { device, inode })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const LOCKS: &str = "1: POSIX  ADVISORY  WRITE 612 00:1b:3 0 EOF\n\
                         2: FLOCK  ADVISORY  WRITE 700 08:02:131 0 EOF\n\
                         2: -> FLOCK  ADVISORY  WRITE 701 08:02:131 0 EOF\n\
                         3: FLOCK  ADVISORY  WRITE 702 00:2c:3 0 EOF\n";

    #[test]
    fn a_lock_is_found_by_device_and_inode() {
        let at = |major, minor, inode| Place { device: (major, minor), inode };
        assert_eq!(look_up(LOCKS, at(8, 2, 131), true), Some(true));
        assert_eq!(look_up(LOCKS, at(0, 0x2c, 3), true), Some(true));
        assert_eq!(look_up(LOCKS, at(0, 0x2c, 3), false), Some(true));
        assert_eq!(look_up(LOCKS, at(0, 0x2d, 3), true), None, "the inode alone says nothing");
        assert_eq!(look_up(LOCKS, at(8, 2, 13), true), Some(false));
        assert_eq!(look_up(LOCKS, at(8, 2, 13), false), None, "whoever has it may not be shown");
        assert_eq!(look_up("2: FLOCK  ADVISORY  WRITE 700 new-form 0 EOF\n", at(8, 2, 13), true), None);
    }

    #[test]
    fn devices_are_taken_apart_as_the_system_does() {
        for device in [0, 1, 0x0802, 0x2c, 0x1234_5678_9abc_def0, u64::MAX] {
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            assert_eq!(numbers(device), (u64::from(major), u64::from(minor)));
        }
    }
}
