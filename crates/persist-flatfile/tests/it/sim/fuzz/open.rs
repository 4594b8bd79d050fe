//! Files that are not as they were written.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::LazyLock;

use persist_io::sim::SimDisk;
use persist_io::sim::explore::{AtRest, Damage, Explorer, Place};

use super::super::acts::Act;
use super::super::damage::{closed, full};
use super::super::store::Store;
use super::hostile::survives;
use super::input::Input;
use super::seal::seal;

/// Places that are damaged at once. More of them could make bytes up that verify.
const PLACES_MAX: u8 = 6;
/// Patches at once.
const PATCHES_MAX: u8 = 8;

/// A store of the damage tests; one that was merged, closed and opened in between; and one of frames only.
static STORES: LazyLock<[AtRest<Store>; 3]> = LazyLock::new(|| {
    let merged = [
        Act::Large(0),
        Act::Roll(0),
        Act::DeleteRange(1),
        Act::Reopen,
        Act::Large(1),
        Act::Roll(1),
        Act::Compact,
        Act::Durable(1),
        Act::LargeBuffered(2),
        Act::Reopen,
        Act::Delete(0),
        Act::Buffered(2),
    ];
    let frames = [Act::Put(1), Act::Large(0), Act::Buffered(1), Act::DeleteRange(0), Act::Durable(2)];
    [full(), closed(&merged), closed(&frames)].map(|store| {
        // As in `several`: a byte behind the frames may be copied by the second opening only.
        let explorer = Explorer { second_changes_nothing: false, ..Explorer::default() };
        explorer.at_rest(store).unwrap()
    })
});

/// The input is damage to the files of a store, none of which could make bytes that verify: what is shown must be right, or told. Or
/// it is bytes of files, with right checksums where it asks for them: whatever they say, nothing panics and nothing grows.
pub(crate) fn open(input: &[u8]) {
    let mut input = Input::of(input);
    let what = input.byte();
    let store = &STORES[usize::from(what >> 4) % STORES.len()];
    match what % 4 {
        0 => damaged(store, &mut input),
        1 => patched(store, &mut input),
        _ => replaced(store, &mut input),
    }
}

fn damaged(store: &AtRest<Store>, input: &mut Input<'_>) {
    let files = store.disk().files();
    let mut damage = Vec::new();
    while !input.is_empty() && damage.len() < usize::from(PLACES_MAX) {
        damage.push(any_damage(store, &files, input));
    }
    if let Err(failure) = store.hurt(&damage) {
        panic!("{failure}");
    }
}

fn any_damage(store: &AtRest<Store>, files: &[(PathBuf, u64)], input: &mut Input<'_>) -> Damage {
    let kind = input.byte();
    let (path, len) = input.pick(files).clone();
    let place = |input: &mut Input<'_>, (path, len): (PathBuf, u64)| {
        let from = input.below(len);
        Place { path, bytes: from..from.saturating_add(1 + input.below(1024)).min(len) }
    };
    match kind % 11 {
        0 => {
            let byte = input.below(len);
            Damage::Flip { path, bit: byte * 8 + u64::from(input.byte() % 8) }
        }
        1 => Damage::Cut { path, len: input.below(len) },
        2 => Damage::Zero(place(input, (path, len))),
        3 => Damage::Garble(place(input, (path, len)), u64::from(input.byte())),
        4 => {
            let from = place(input, (path, len));
            let (to, len) = input.pick(files).clone();
            Damage::Misplace { from, to, at: input.below(len) }
        }
        5 => {
            let one = place(input, (path, len));
            let near = input.pick(files).clone();
            let mut other = place(input, near);
            let bytes = (one.bytes.end - one.bytes.start).min(other.bytes.end - other.bytes.start);
            let shorter = |bytes_of: &Range<u64>| bytes_of.start..bytes_of.start + bytes;
            other.bytes = shorter(&other.bytes);
            let one = Place { bytes: shorter(&one.bytes), ..one };
            Damage::Exchange(one, other)
        }
        6 => Damage::TakeOut(place(input, (path, len))),
        7 => Damage::Double(place(input, (path, len))),
        8 => {
            let moment = &store.moments()[usize::from(input.word()) % store.moments().len()];
            // Also a file that was removed since.
            let there = moment.killed(0).files();
            let path = if there.is_empty() { path } else { input.pick(&there).0.clone() };
            Damage::Older { path, after: moment.after }
        }
        9 => Damage::Remove(path),
        _ => Damage::ExchangeFiles(path, input.pick(files).0.clone()),
    }
}

/// The store as a process left it that was killed at a moment of the input's choice.
fn at_any_moment(store: &AtRest<Store>, input: &mut Input<'_>) -> SimDisk {
    let moments = store.moments();
    // Counted from the end, so that most inputs have a whole store.
    let back = usize::from(input.byte()) % moments.len();
    moments[moments.len() - 1 - back].killed(1)
}

/// Some bytes written over what is there, or behind it.
fn patched(store: &AtRest<Store>, input: &mut Input<'_>) {
    let disk = at_any_moment(store, input);
    let sealed = !input.byte().is_multiple_of(4);
    let files = disk.files();
    if files.is_empty() {
        return;
    }
    for _ in 0..PATCHES_MAX {
        if input.is_empty() {
            break;
        }
        let (path, len) = input.pick(&files);
        let at = usize::try_from(input.below(*len + 1)).unwrap();
        let count = usize::from(input.byte());
        let patch = input.bytes(count);
        let mut bytes = disk.bytes(path).unwrap_or_default();
        let end = (at + patch.len()).max(bytes.len());
        bytes.resize(end, 0);
        bytes[at..at + patch.len()].copy_from_slice(patch);
        put(&disk, path, bytes, sealed);
    }
    survives(&disk);
}

/// One file, from its first byte to its last.
fn replaced(store: &AtRest<Store>, input: &mut Input<'_>) {
    let disk = at_any_moment(store, input);
    let how = input.byte();
    let files = disk.files();
    if files.is_empty() {
        return;
    }
    let (path, len) = input.pick(&files);
    let mut bytes = input.rest().to_vec();
    if path.ends_with("branch.meta") {
        // Two slots, one half each: between them are zeros that no input need carry.
        let second = bytes.split_off(bytes.len() / 2);
        bytes.resize(4096, 0);
        bytes.extend(second);
        bytes.resize(8192, 0);
    } else if how & 4 != 0 {
        bytes.resize(bytes.len().max(usize::try_from(*len).unwrap()), 0);
    }
    put(&disk, path, bytes, !how.is_multiple_of(4));
    survives(&disk);
}

pub(super) fn put(disk: &SimDisk, path: &PathBuf, mut bytes: Vec<u8>, sealed: bool) {
    if sealed {
        seal(path, &mut bytes);
    }
    assert!(disk.put(path, &bytes));
}
