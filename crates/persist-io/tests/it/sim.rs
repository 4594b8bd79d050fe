//! The simulated disk: like a real one while nothing fails, and true to each fault.

use std::collections::BTreeSet;
use std::path::Path;

use persist_api::ErrorKind;
use persist_io::sim::{
    Code, Crash, Fate, Fault, Forgot, Lengths, Op, Rng, SimDisk, UnitKind, When, every_choice,
};
use persist_io::{Disk, DiskFile, FileMode, RealDisk, lock_dir, read_file, replace};

fn create(disk: &SimDisk, path: &str) -> Box<dyn DiskFile> {
    disk.open(path.as_ref(), FileMode::CreateNew).unwrap()
}

/// A disk with one durable file of `bytes`, open.
pub(crate) fn with_file(bytes: &[u8]) -> (SimDisk, Box<dyn DiskFile>) {
    let disk = SimDisk::new(1);
    assert!(disk.put("/f", bytes));
    let file = disk.open("/f".as_ref(), FileMode::Write).unwrap();
    (disk, file)
}

pub(crate) fn after(disk: &SimDisk, crash: &Crash) -> Vec<u8> {
    disk.crash_image(crash).bytes("/f").unwrap()
}

const NOTHING: Crash = Crash::Nothing;

/// One step of anything on a disk below `base`, told as text.
fn anything(disk: &dyn Disk, base: &Path, rng: &mut Rng) -> String {
    let path = |rng: &mut Rng| {
        let dir = if rng.one_in(3) { base.join("d") } else { base.to_path_buf() };
        dir.join(["a", "b", "d", "a/x"][usize::try_from(rng.below(4)).unwrap()])
    };
    let mode = [FileMode::Read, FileMode::Write, FileMode::CreateNew, FileMode::OpenOrCreate];
    let (one, two) = (path(rng), path(rng));
    let kind = |error: persist_api::Error| error.kind().to_string();
    match rng.below(10) {
        0 => format!("{:?}", disk.create_dir(&one).map_err(kind)),
        1 => format!("{:?}", disk.rename(&one, &two).map_err(kind)),
        2 => format!("{:?}", disk.remove_file(&one).map_err(kind)),
        3 => format!("{:?}", disk.remove_dir(&one).map_err(kind)),
        4 => format!(
            "{:?}",
            disk.list(&one).map_err(kind).map(|entries| {
                let entries = entries.unwrap_or_default().into_iter();
                entries.map(|entry| (entry.name, entry.kind, entry.len)).collect::<Vec<_>>()
            })
        ),
        _ => {
            let mode = mode[usize::try_from(rng.below(4)).unwrap()];
            let (at, fill, len) = (rng.below(9_000), rng.next().to_le_bytes()[0], rng.below(5_000));
            let change = rng.below(3);
            // A real disk opens directories for reading, and only then says that they are none.
            if mode == FileMode::Read && disk.list(&one).is_ok_and(|found| found.is_some()) {
                return String::new();
            }
            let Ok(file) = disk.open(&one, mode) else { return "cannot open".to_owned() };
            let done = match change {
                0 => file.truncate(at),
                _ => file.write_at(at, &vec![fill; usize::try_from(len).unwrap()]),
            };
            if rng.one_in(3) {
                file.sync_data().unwrap();
                file.drop_cache().unwrap();
            }
            let mut bytes = vec![0; 6_000];
            let got = file.read_at(at / 2, &mut bytes).unwrap();
            let mapped = file.map(at, len).map(|mapped| mapped.to_vec()).map_err(kind);
            format!("{:?} {:?} {} {mapped:?}", done.map_err(kind), &bytes[..got], file.len().unwrap())
        }
    }
}

#[test]
fn without_faults_it_is_as_a_real_disk() {
    for seed in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let sim = SimDisk::new(seed);
        let (mut one, mut two) = (Rng::new(seed), Rng::new(seed));
        for step in 0..100 {
            let real = anything(&RealDisk, dir.path(), &mut one);
            let simulated = anything(&sim, "/".as_ref(), &mut two);
            assert_eq!(real, simulated, "seed {seed}, step {step}\n{}", sim.trace());
        }
    }
}

#[test]
fn bytes_need_a_sync_and_so_does_the_name() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "/f");
    file.write_at(0, b"abc").unwrap();
    file.sync_data().unwrap();
    assert!(disk.crash_image(&NOTHING).files().is_empty());
    disk.sync_dir("/".as_ref()).unwrap();
    assert_eq!(after(&disk, &NOTHING), b"abc");
    file.write_at(3, b"def").unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    assert_eq!(after(&disk, &NOTHING), b"abc");
    assert_eq!(after(&disk, &Crash::Everything), b"abcdef");
    assert_eq!(disk.killed().bytes("/f").unwrap(), b"abcdef");
    assert_eq!(disk.killed().crash_image(&NOTHING).bytes("/f").unwrap(), b"abc");
}

#[test]
fn sectors_and_lengths_survive_each_by_itself() {
    let (disk, file) = with_file(&[1; 700]);
    file.write_at(500, &[2; 600]).unwrap();
    let cut = disk.cut();
    let kinds: Vec<_> = cut.units().iter().map(|unit| unit.what).collect();
    assert!(matches!(
        kinds[..],
        [
            UnitKind::Growth { len: 1_100, .. },
            UnitKind::Sector { sector: 0, .. },
            UnitKind::Sector { sector: 1, .. },
            UnitKind::Sector { sector: 2, .. }
        ]
    ));
    assert_eq!(cut.describe(3), "sector 2 of /f by #2");
    let (old, new) = ([vec![1; 700], vec![0; 400]].concat(), [vec![1; 500], vec![2; 600]].concat());
    let mix = |new_sectors: &[usize], len: usize| -> Vec<u8> {
        (0..len).map(|at| if new_sectors.contains(&(at / 512)) { new[at] } else { old[at] }).collect()
    };
    let image = |crash: Crash| cut.image(&crash).bytes("/f").unwrap();
    assert_eq!(image(Crash::LoseOne(0)), mix(&[0, 1, 2], 700), "the growth");
    assert_eq!(image(Crash::LoseOne(2)), mix(&[0, 2], 1_100));
    assert_eq!(image(Crash::KeepOne(0)), mix(&[], 1_100));
    assert_eq!(image(Crash::KeepOne(2)), mix(&[1], 1_024), "no longer than its bytes");
    let prefix = |units, lengths| Crash::Prefix { units, torn: None, lengths };
    assert_eq!(image(prefix(1, Lengths::Follow)), mix(&[0], 700));
    assert_eq!(image(prefix(2, Lengths::Follow)), mix(&[0, 1], 1_024));
    assert_eq!(image(prefix(2, Lengths::Kept)), mix(&[0, 1], 1_100));
    assert_eq!(image(prefix(2, Lengths::Lost)), mix(&[0, 1], 700));
    assert_eq!(image(prefix(0, Lengths::Kept)), mix(&[], 1_100));
    assert_eq!(image(prefix(3, Lengths::Follow)), new);
}

#[test]
fn of_a_sector_survives_one_of_its_moments() {
    let (disk, file) = with_file(&[1; 512]);
    file.write_at(0, &[2; 8]).unwrap();
    file.write_at(4, &[3; 8]).unwrap();
    let bytes = |crash: Crash| after(&disk, &crash)[..13].to_vec();
    assert_eq!(bytes(Crash::KeepOne(0)), [2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
    // The second write cannot be there without the first: memory held both.
    assert_eq!(bytes(Crash::KeepOne(1)), [2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 1]);
}

#[test]
fn cuts_survive_or_not() {
    let (disk, file) = with_file(b"old old");
    file.truncate(0).unwrap();
    file.write_at(0, b"new").unwrap();
    // Units: the cut, the growth, the sector.
    let each = |fates: &[Fate]| after(&disk, &Crash::Each(fates.to_vec()));
    assert_eq!(each(&[]), b"old old");
    assert_eq!(each(&[Fate::Kept]), b"");
    assert_eq!(each(&[Fate::Kept, Fate::Kept]), b"\0\0\0");
    assert_eq!(each(&[Fate::Kept, Fate::Lost, Fate::Kept]), b"");
    assert_eq!(each(&[Fate::Lost, Fate::Lost, Fate::Kept]), b"new old");
    assert_eq!(each(&[Fate::Kept, Fate::Follow, Fate::Kept]), b"new");
}

#[test]
fn names_are_lost_with_what_they_stand_on() {
    let disk = SimDisk::new(1);
    disk.put("/old", b"old");
    let file = create(&disk, "/new");
    file.write_at(0, b"new").unwrap();
    file.sync_data().unwrap();
    disk.rename("/new".as_ref(), "/old".as_ref()).unwrap();
    disk.create_dir("/d".as_ref()).unwrap();
    drop(create(&disk, "/d/f"));
    let names = |crash: Crash| {
        let image = disk.crash_image(&crash);
        let files = image.files().into_iter().map(|(path, _)| path.display().to_string());
        (files.collect::<Vec<_>>().join(" "), image.bytes("/old"))
    };
    let old = Some(b"old".to_vec());
    assert_eq!(names(Crash::Nothing), ("/old".to_owned(), old.clone()));
    assert_eq!(names(Crash::LoseOne(0)), ("/d/f /old".to_owned(), old.clone()), "no rename of a lost name");
    assert_eq!(names(Crash::LoseOne(1)), ("/d/f /new /old".to_owned(), old.clone()));
    assert_eq!(
        names(Crash::LoseOne(2)),
        ("/old".to_owned(), Some(b"new".to_vec())),
        "nothing in a lost directory"
    );
    disk.sync_dir("/d".as_ref()).unwrap();
    assert_eq!(names(Crash::Nothing), ("/old".to_owned(), old));
    disk.sync_dir("/".as_ref()).unwrap();
    assert_eq!(names(Crash::Nothing), ("/d/f /old".to_owned(), Some(b"new".to_vec())));
    disk.remove_file("/old".as_ref()).unwrap();
    assert_eq!(disk.crash_image(&NOTHING).bytes("/old").unwrap(), b"new");
    assert_eq!(disk.crash_image(&Crash::Everything).bytes("/old"), None);
}

#[test]
fn removed_files_serve_their_readers() {
    let (disk, file) = with_file(b"here");
    let mapped = file.map(0, 4).unwrap();
    disk.remove_file("/f".as_ref()).unwrap();
    for n in 0..200 {
        drop(create(&disk, &format!("/{n}")));
        disk.remove_file(format!("/{n}").as_ref()).unwrap();
        disk.sync_dir("/".as_ref()).unwrap();
    }
    let mut bytes = [0; 4];
    assert_eq!((file.read_at(0, &mut bytes).unwrap(), &bytes, &*mapped), (4, b"here", b"here".as_slice()));
}

#[test]
fn a_crash_at_an_operation_stops_everything() {
    for (fault, there) in [(Fault::CrashBefore, b"one".as_slice()), (Fault::CrashAfter, b"two")] {
        let (disk, file) = with_file(b"one");
        disk.plan(When::At(3), fault);
        file.write_at(0, b"two").unwrap();
        assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Io);
        assert!(disk.has_stopped() && file.len().is_err() && disk.list("/".as_ref()).is_err());
        assert_eq!((disk.operations(), after(&disk, &NOTHING)), (3, there.to_vec()));
        assert_eq!(disk.met(), [(3, Op::SyncFile, fault)]);
    }
}

#[test]
fn errors_come_with_or_without_their_effect() {
    for applied in [false, true] {
        let (disk, file) = with_file(b"one");
        disk.plan(When::From(2), Fault::Error { code: Code::Io, applied });
        assert_eq!(file.write_at(0, b"two").unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(disk.rename("/f".as_ref(), "/g".as_ref()).unwrap_err().kind(), ErrorKind::Io);
        disk.unplan();
        let path = if applied { "/g" } else { "/f" };
        assert_eq!(disk.bytes(path).unwrap(), if applied { b"two" } else { b"one" });
    }
}

#[test]
fn interruptions_are_retried_but_not_at_a_sync() {
    let (disk, file) = with_file(b"one");
    disk.plan(When::From(1), Fault::Error { code: Code::Interrupted, applied: false });
    file.write_at(0, b"two").unwrap();
    assert_eq!(file.read_at(0, &mut [0; 3]).unwrap(), 3);
    assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(after(&disk, &NOTHING), b"one");
    disk.unplan();
    file.sync_data().unwrap();
    assert_eq!(after(&disk, &NOTHING), b"two");
}

#[test]
fn short_reads_and_writes_are_completed_or_fail() {
    let (disk, file) = with_file(b"12345678");
    disk.plan(When::At(2), Fault::ShortRead { bytes: 3 });
    disk.plan(When::At(3), Fault::ShortWrite { bytes: 3, then: None });
    disk.plan(When::At(4), Fault::ShortWrite { bytes: 3, then: Some(Code::NoSpace) });
    disk.plan(When::At(5), Fault::ShortWrite { bytes: 0, then: Some(Code::Io) });
    let mut bytes = [0; 9];
    assert_eq!((file.read_at(0, &mut bytes).unwrap(), &bytes), (8, b"12345678\0"));
    file.write_at(0, b"abcdefgh").unwrap();
    assert_eq!(disk.bytes("/f").unwrap(), b"abcdefgh");
    assert_eq!(file.write_at(0, b"ABCDEFGH").unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(file.write_at(0, b"xyzxyzxy").unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(disk.bytes("/f").unwrap(), b"ABCdefgh");
    assert_eq!(disk.met().len(), 4);
}

#[test]
fn a_failed_sync_may_forget_its_bytes() {
    let (disk, file) = with_file(&[1; 1024]);
    file.write_at(0, &[2; 1024]).unwrap();
    disk.plan(When::At(3), Fault::SyncForgets(Forgot::All));
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    let mut bytes = [0; 1024];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [2; 1024], "readers see it");
    assert_eq!(disk.killed().bytes("/f").unwrap(), [2; 1024]);
    assert_eq!(after(&disk, &Crash::Everything), [1; 1024], "the disk does not have it");
    file.drop_cache().unwrap();
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 1024]);

    let seen: BTreeSet<_> = (0..20)
        .map(|seed| {
            let (disk, file) = with_file(&[1; 1024]);
            file.write_at(0, &[2; 1024]).unwrap();
            disk.plan(When::At(3), Fault::SyncForgets(Forgot::Some(seed)));
            file.sync_data().unwrap_err();
            let bytes = after(&disk, &Crash::Everything);
            (bytes[0], bytes[1023])
        })
        .collect();
    assert_eq!(seen.len(), 4, "each sector by itself: {seen:?}");
}

#[test]
fn a_sync_can_lie_and_a_write_can_go_astray() {
    let (disk, file) = with_file(&[1; 1536]);
    disk.plan(When::At(3), Fault::SyncLies);
    file.write_at(0, &[2; 512]).unwrap();
    file.sync_data().unwrap();
    assert_eq!(after(&disk, &NOTHING), [1; 1536]);
    file.sync_data().unwrap();
    disk.plan(When::At(5), Fault::Misdirect { by: 1024 });
    file.write_at(0, &[3; 512]).unwrap();
    disk.plan(When::At(6), Fault::LoseWrite);
    file.write_at(512, &[4; 512]).unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.bytes("/f").unwrap(), [[3; 512], [4; 512], [1; 512]].concat());
    assert_eq!(after(&disk, &NOTHING), [[2; 512], [1; 512], [3; 512]].concat());
}

#[test]
fn a_reader_may_get_what_was_there_before() {
    let (disk, file) = with_file(&[1; 1024]);
    file.write_at(0, &[2; 1024]).unwrap();
    file.sync_data().unwrap();
    let read = |fault| {
        disk.plan(When::At(disk.operations() + 1), fault);
        let mut bytes = [0; 1024];
        file.read_at(0, &mut bytes).unwrap();
        disk.plan(When::At(disk.operations() + 1), fault);
        assert_eq!(*file.map(0, 1024).unwrap(), bytes);
        bytes.to_vec()
    };
    assert_eq!(read(Fault::StaleRead { only: None }), [1; 1024]);
    assert_eq!(read(Fault::StaleRead { only: Some(3) }), [[2; 512], [1; 512]].concat());
    assert_eq!(disk.bytes("/f").unwrap(), [2; 1024], "the disk is right");
    // Also on what a power cut and a killed process leave.
    for after in [disk.crash_image(&NOTHING), disk.killed()] {
        let file = after.open(Path::new("/f"), FileMode::Read).unwrap();
        after.plan(When::From(1), Fault::StaleRead { only: None });
        assert_eq!(*file.map(0, 1024).unwrap(), [1; 1024]);
    }
}

#[test]
fn one_bit_can_be_wrong_for_a_reader_or_at_rest() {
    let (disk, file) = with_file(&[0; 4]);
    disk.plan(When::From(2), Fault::FlipRead { bit: 33 });
    let mut bytes = [0; 4];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [2, 0, 0, 0]);
    assert_eq!(*file.map(3, 1).unwrap(), [2]);
    assert_eq!(disk.bytes("/f").unwrap(), [0; 4]);
    assert!(disk.flip("/f", 31) && !disk.flip("/f", 32) && !disk.flip("/g", 0));
    assert_eq!(disk.bytes("/f").unwrap(), [0, 0, 0, 0x80]);
    let copy = disk.killed();
    assert!(copy.cut_file("/f", 2));
    assert_eq!((disk.bytes("/f").unwrap().len(), copy.bytes("/f").unwrap().len()), (4, 2));
    assert_eq!(disk.difference(&copy).unwrap(), Path::new("/f"));
    assert_eq!(disk.difference(&disk.killed()), None);
}

#[test]
fn space_is_limited_and_comes_back() {
    let (disk, file) = with_file(&[1; 100]);
    assert_eq!(disk.space(Path::new("/")).unwrap(), None);
    disk.limit_space(Some(110));
    assert_eq!(disk.space(Path::new("/not/there")).unwrap(), Some(10));
    assert_eq!(file.write_at(95, &[2; 30]).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(file.len().unwrap(), 110, "what fits is written");
    assert_eq!(disk.space(Path::new("/")).unwrap(), Some(0));
    assert_eq!(file.truncate(111).unwrap_err().kind(), ErrorKind::Full);
    file.write_at(0, &[3; 110]).unwrap();
    file.truncate(0).unwrap();
    file.write_at(0, &[4; 110]).unwrap();
    disk.limit_space(None);
    file.write_at(1 << 20, &[5]).unwrap();
    assert_eq!(file.write_at(u64::MAX, &[5]).unwrap_err().kind(), ErrorKind::Full);
}

#[test]
fn locks_go_with_their_handle_and_with_the_machine() {
    let disk = SimDisk::new(1);
    disk.create_dir("/home".as_ref()).unwrap();
    let lock = lock_dir(&disk, "/home".as_ref()).unwrap();
    assert_eq!(lock_dir(&disk, "/home".as_ref()).unwrap_err().kind(), ErrorKind::Locked);
    lock_dir(&disk.killed(), "/home".as_ref()).unwrap();
    lock_dir(&disk.crash_image(&Crash::Everything), "/home".as_ref()).unwrap();
    drop(lock);
    lock_dir(&disk, "/home".as_ref()).unwrap();
}

#[test]
fn replace_is_old_or_new_after_every_crash() {
    let disk = SimDisk::new(1);
    disk.put("/stamp", b"old");
    disk.keep_cut_points();
    replace(&disk, "/stamp".as_ref(), &[7; 1500]).unwrap();
    let mut seen = BTreeSet::new();
    let cuts = disk.cut_points();
    let acknowledged = cuts.len() - 1;
    for (place, point) in cuts.iter().enumerate() {
        let cut = point.cut(0);
        let chances = (0..50).map(Crash::Random);
        for crash in every_choice(cut.units(), 3).into_iter().chain(chances) {
            let found = read_file(&cut.image(&crash), "/stamp".as_ref(), 4096).unwrap().unwrap();
            let new = found == [7; 1500];
            assert!(
                new || (found == b"old" && place < acknowledged),
                "{crash:?} at {place}\n{}",
                disk.trace()
            );
            seen.insert(new);
        }
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn choices_are_all_different_and_repeat() {
    let (disk, file) = with_file(&[1; 2048]);
    file.write_at(100, &[2; 3000]).unwrap();
    file.truncate(2500).unwrap();
    let cut = disk.cut();
    let choices = every_choice(cut.units(), 9);
    assert_eq!(choices, every_choice(cut.units(), 9));
    let fates: BTreeSet<_> = choices.iter().map(|crash| format!("{:?}", crash.fates(cut.units()))).collect();
    assert!(fates.len() > 40, "{}", fates.len());
    for crash in choices.into_iter().chain((0..100).map(Crash::Random)) {
        let (one, two) = (cut.image(&crash), disk.crash_image(&crash));
        assert_eq!(one.difference(&two), None, "{crash:?}");
        // What a choice means can be said unit by unit.
        let each = cut.image(&Crash::Each(crash.fates(cut.units())));
        assert_eq!(one.difference(&each), None, "{crash:?}");
    }
}
