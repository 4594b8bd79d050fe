//! Any bytes as a sorted run.

use std::path::PathBuf;
use std::sync::LazyLock;

use persist_io::Disk as _;
use persist_io::sim::SimDisk;
use persist_io::sim::explore::Workload as _;

use super::super::acts::Act;
use super::super::damage::closed;
use super::super::store::HOME;
use super::hostile::survives;
use super::input::Input;
use super::open::put;

/// A store that has everything in one run: keys with several versions, a range delete, large values.
static STORE: LazyLock<SimDisk> = LazyLock::new(|| {
    let acts =
        [Act::Large(0), Act::Durable(1), Act::DeleteRange(1), Act::Large(2), Act::Delete(3), Act::Checkpoint];
    let disk = SimDisk::new(1);
    closed(&acts).run(&disk).unwrap();
    disk
});

/// The run of the store, or one more beside it, has these bytes. With its head the store knows which span that must be; without it
/// every span is believed.
pub(crate) fn run(input: &[u8]) {
    let mut input = Input::of(input);
    let how = input.byte();
    let disk = STORE.killed();
    let home = PathBuf::from(HOME);
    let number = 1 + u32::from(how >> 6);
    if how & 4 != 0 {
        disk.remove_file(&home.join("branch.meta")).unwrap();
    }
    put(&disk, &home.join(format!("branch.ckp.{number:08}")), input.rest().to_vec(), !how.is_multiple_of(4));
    survives(&disk);
}
