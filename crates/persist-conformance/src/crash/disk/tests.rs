use super::super::image::{Fate, Kind};
use super::*;

const DIR: Ino = ROOT;
const FILE: Ino = 1;

/// Lets acts happen one after the other, each a call of its own.
fn after(rules: NameRules, acts: Vec<Act>) -> Disk {
    let mut disk = Disk::new(Tree::default(), rules);
    for (line, act) in acts.into_iter().enumerate() {
        disk.step(&Event { begin: line + 1, end: line + 1, act });
    }
    disk
}

fn named(to: Option<Ino>) -> Act {
    Act::Names(vec![NameChange { dir: DIR, name: b"f".to_vec(), to }])
}

fn written(offset: u64, bytes: &[u8]) -> Act {
    Act::Change(FILE, FileChange::Write { offset, bytes: bytes.into() })
}

fn content(disk: &Disk, kind: Kind, chosen: usize) -> Option<Vec<u8>> {
    let image = disk.image(&Fate { kind, seed: 9, chosen });
    let ino = *image.dirs[&DIR].get(b"f".as_slice())?;
    Some(image.files[&ino].read(0, 1 << 20))
}

#[test]
fn a_name_needs_the_sync_of_its_directory() {
    let acts = || vec![Act::NewFile(FILE), named(Some(FILE)), written(0, b"x"), Act::Sync(FILE)];
    assert_eq!(content(&after(NameRules::Strict, acts()), Kind::Nothing, 0), None);
    assert_eq!(content(&after(NameRules::Journal, acts()), Kind::Nothing, 0).unwrap(), b"x");
    let mut both = acts();
    both.push(Act::Sync(DIR));
    assert_eq!(content(&after(NameRules::Strict, both), Kind::Nothing, 0).unwrap(), b"x");
}

#[test]
fn bytes_need_the_sync_of_their_file() {
    let acts = vec![Act::NewFile(FILE), named(Some(FILE)), Act::Sync(DIR), written(0, b"x")];
    let disk = after(NameRules::Strict, acts);
    assert_eq!(content(&disk, Kind::Nothing, 0).unwrap(), b"");
    assert_eq!(content(&disk, Kind::Everything, 0).unwrap(), b"x");
}

#[test]
fn a_sync_covers_only_calls_that_had_returned_when_it_began() {
    let mut disk = after(NameRules::Journal, vec![Act::NewFile(FILE), named(Some(FILE))]);
    disk.step(&Event { begin: 3, end: 6, act: written(0, b"late") });
    disk.step(&Event { begin: 5, end: 7, act: Act::Sync(FILE) });
    assert_eq!(content(&disk, Kind::Nothing, 0).unwrap(), b"");
    disk.step(&Event { begin: 8, end: 8, act: Act::Sync(FILE) });
    assert_eq!(content(&disk, Kind::Nothing, 0).unwrap(), b"late");
}

#[test]
fn a_synced_write_takes_its_sectors_along_and_no_others() {
    let (first, second) = (vec![1; 512], vec![2; 512]);
    let acts = vec![
        Act::NewFile(FILE),
        named(Some(FILE)),
        Act::Sync(DIR),
        written(0, &first),
        written(512, &second),
        written(600, b"meta"),
        Act::SyncRange(FILE, 600, 604),
    ];
    let disk = after(NameRules::Strict, acts);
    let mut want = vec![0; 512];
    want.extend(&second);
    want[600..604].copy_from_slice(b"meta");
    assert_eq!(content(&disk, Kind::Nothing, 0).unwrap(), want);
    assert_eq!(disk.pending(), 1);
}

#[test]
fn a_sector_holds_a_moment_of_its_history() {
    let acts = vec![
        Act::NewFile(FILE),
        named(Some(FILE)),
        Act::Sync(DIR),
        written(0, b"a"),
        written(1, b"b"),
        written(2, b"c"),
    ];
    let disk = after(NameRules::Strict, acts);
    for chance in [12, 50, 90] {
        for seed in 0..50 {
            let image = disk.image(&Fate { kind: Kind::Percent(chance), seed, chosen: 0 });
            let got = image.files[&FILE].read(0, 9);
            let end = got.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            assert!(b"abc".starts_with(&got[..end]), "{got:?}");
        }
    }
    assert_eq!(content(&disk, Kind::LoseOne, 4).unwrap(), b"a");
    assert_eq!(content(&disk, Kind::KeepOne, 4).unwrap(), b"ab");
}

#[test]
fn what_follows_a_lost_cut_is_lost() {
    let acts = vec![
        Act::NewFile(FILE),
        named(Some(FILE)),
        Act::Sync(DIR),
        written(0, b"old old"),
        Act::Sync(FILE),
        Act::Change(FILE, FileChange::SetLen(0)),
        written(0, b"new"),
    ];
    let disk = after(NameRules::Strict, acts);
    assert_eq!(content(&disk, Kind::KeepOne, 6).unwrap(), b"old old");
    assert_eq!(content(&disk, Kind::LoseOne, 5).unwrap(), b"old old");
    assert_eq!(content(&disk, Kind::KeepOne, 5).unwrap(), b"");
    assert_eq!(content(&disk, Kind::Everything, 0).unwrap(), b"new");
}

#[test]
fn a_rename_is_one_act_and_keeps_the_order_of_its_names() {
    let change = |name: &[u8], to| NameChange { dir: DIR, name: name.to_vec(), to };
    let acts = vec![
        Act::NewFile(FILE),
        Act::Names(vec![change(b"new", Some(FILE))]),
        Act::Names(vec![change(b"new", None), change(b"f", Some(FILE))]),
    ];
    let disk = after(NameRules::Strict, acts.clone());
    // The rename cannot survive the loss of the name that it moves.
    assert_eq!(content(&disk, Kind::LoseOne, 1), None);
    assert_eq!(content(&disk, Kind::Everything, 0).unwrap(), b"");
    let image = disk.image(&Fate { kind: Kind::LoseOne, seed: 0, chosen: 2 });
    assert_eq!(image.dirs[&DIR].keys().collect::<Vec<_>>(), [b"new"]);
}
