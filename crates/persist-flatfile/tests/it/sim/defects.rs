//! The defects of the CEP storage that this project replaces: none may come back. The number in a name is the section of the
//! table in `docs/cps.md` (*Defects of the original*), which names every such test.

use std::path::PathBuf;

use persist_api::{BeatHeader, CompactScope, Durability, Engine, ErrorKind, Quiet, View};
use persist_io::sim::{Code, Crash, Fault, Forgot, Op, SimDisk, When};

use super::store::{HOME, close, open_at, read_all};

const DURABLE: Durability = Durability::Durable;

pub(super) fn open(disk: &SimDisk) -> Box<dyn Engine> {
    open_at(disk.clone(), HOME).unwrap()
}

pub(super) fn header(engine: &dyn Engine) -> BeatHeader {
    *engine.view().unwrap().header()
}

/// One durable beat of these puts.
pub(super) fn put(engine: &dyn Engine, rows: &[(&str, &str)]) {
    put_commits(engine, 1, rows);
}

/// One durable beat of so many commits.
pub(super) fn put_commits(engine: &dyn Engine, commits: u64, rows: &[(&str, &str)]) {
    let mut beat = engine.begin_beat(header(engine).next(commits, DURABLE, None).unwrap()).unwrap();
    for (key, value) in rows {
        beat.put_record(key.as_bytes(), value.as_bytes()).unwrap();
    }
    beat.commit_beat().unwrap();
}

pub(super) fn get(engine: &dyn Engine, key: &str) -> Option<String> {
    let view = engine.view().unwrap();
    let value = view.get_record(key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn rows(view: &dyn View) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    read_all(view).unwrap().0.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

pub(super) fn file(name: &str) -> PathBuf {
    PathBuf::from(HOME).join(name)
}

/// A closed store with `a` in a run and `b` in the timeline.
fn closed() -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("a", "1")]);
    engine.checkpoint().unwrap();
    put(&*engine, &[("b", "2")]);
    close(engine).unwrap();
    disk.crash_image(&Crash::Nothing)
}

#[test]
fn cps_s2_two_engines_or_two_beats_at_once_are_refused() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    let second = open_at(disk.clone(), HOME).err().unwrap();
    assert_eq!(second.kind(), ErrorKind::Locked, "{second}");
    let next = header(&*engine).next(1, DURABLE, None).unwrap();
    let beat = engine.begin_beat(next).unwrap();
    assert_eq!(engine.begin_beat(next).err().unwrap().kind(), ErrorKind::Busy);
    drop(beat);
}

#[test]
fn cps_s2_beats_that_go_back_are_refused() {
    let disk = closed();
    let engine = open(&disk);
    let first = BeatHeader::default().next(1, DURABLE, None).unwrap();
    assert_eq!(engine.begin_beat(first).err().unwrap().kind(), ErrorKind::Conflict);
}

#[test]
fn cps_s2_compaction_that_is_offered_gives_bytes_back() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    let large = "x".repeat(2_000);
    for _ in 0..4 {
        put(&*engine, &[("a", &large), ("b", "small")]);
    }
    engine.checkpoint().unwrap();
    let stat = engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    assert!(stat.bytes_after + 6_000 <= stat.bytes_before, "{stat:?}");
    assert_eq!(get(&*engine, "a"), Some(large));
}

#[test]
fn cps_s3_a_checkpoint_holds_all_live_keys_and_not_one_frame() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("a", "1"), ("b", "1")]);
    put(&*engine, &[("b", "2")]);
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    let engine = open(&disk);
    let figure = |name| engine.stats().unwrap().engine.iter().find(|(of, _)| *of == name).unwrap().1;
    assert_eq!((figure("recovered_frames"), figure("runs")), (0, 1), "only the run is read");
    assert_eq!(rows(&*engine.view().unwrap()), [("a".into(), "1".into()), ("b".into(), "2".into())]);
}

#[test]
fn cps_s3_a_root_that_came_with_a_beat_is_kept() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    let root = Some([7; 32]);
    let next = header(&*engine).next(1, DURABLE, root).unwrap();
    engine.begin_beat(next).unwrap().commit_beat().unwrap();
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    assert_eq!(header(&*open(&disk)).root, root);
}

#[test]
fn cps_s4_directories_are_synced_before_a_beat_is_acknowledged() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("a", "1"), ("large", &"x".repeat(1_000))]);
    let cut = disk.crash_image(&Crash::Nothing);
    assert_eq!(get(&*open(&cut), "large"), Some("x".repeat(1_000)));
}

#[test]
fn cps_s4_a_small_durable_beat_is_one_write_and_one_sync() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("a", "1")]);
    put(&*engine, &[("b", "1")]);
    let before = disk.operations();
    put(&*engine, &[("c", "1")]);
    let done: Vec<Op> = disk.trace().operations().filter(|(n, _)| *n > before).map(|(_, op)| op).collect();
    assert_eq!(done, [Op::Write, Op::SyncFile]);
}

/// Whatever fails around a commit, what is shown and what is answered are the same, and what was answered is kept.
#[test]
fn cps_s4_a_beat_is_reported_as_failed_exactly_when_it_is_not_shown() {
    let (mut failed, mut done) = (0, 0);
    for n in 1..40 {
        let disk = SimDisk::new(1);
        let engine = open(&disk);
        put(&*engine, &[("a", &"x".repeat(200))]);
        for round in 0..2 {
            let next = header(&*engine).next(1, DURABLE, None).unwrap();
            let Ok(mut beat) = engine.begin_beat(next) else { break };
            for row in 0..20_u8 {
                beat.put_record(&[row], &[row; 250]).unwrap();
            }
            if round == 0 {
                // A whole table, so that there are a roll, a flush and room to prepare too.
                disk.plan(When::At(disk.operations() + n), Fault::Error { code: Code::Io, applied: false });
            }
            let answer = beat.commit_beat();
            assert_eq!(answer.is_ok(), header(&*engine).beat == next.beat, "operation {n}: {answer:?}");
            *if answer.is_ok() { &mut done } else { &mut failed } += 1;
        }
        let shown = header(&*engine).beat;
        drop(engine);
        disk.unplan();
        assert!(header(&*open(&disk.crash_image(&Crash::Nothing))).beat >= shown, "operation {n}");
    }
    assert!(failed > 3 && done > 10, "{failed} failed, {done} done");
}

/// The original showed what had failed, and wrote what came later behind its bytes.
#[test]
fn cps_s4_a_beat_that_failed_is_not_shown() {
    let faults = [
        Fault::Error { code: Code::Io, applied: false },
        Fault::Error { code: Code::Io, applied: true },
        Fault::Error { code: Code::NoSpace, applied: false },
        Fault::ShortWrite { bytes: 40, then: Some(Code::Io) },
        Fault::ShortWrite { bytes: 700, then: Some(Code::NoSpace) },
        Fault::SyncForgets(Forgot::All),
    ];
    for (fault, crash) in faults
        .into_iter()
        .flat_map(|fault| [Crash::Nothing, Crash::Everything, Crash::Random(7)].map(|crash| (fault, crash)))
    {
        let disk = SimDisk::new(1);
        let engine = open(&disk);
        put(&*engine, &[("a", "1")]);
        let failed = "2".repeat(200);
        let mut beat = engine.begin_beat(header(&*engine).next(1, DURABLE, None).unwrap()).unwrap();
        for key in ["a", "c", "d", "e"] {
            beat.put_record(key.as_bytes(), failed.as_bytes()).unwrap();
        }
        disk.plan(When::From(disk.operations() + 1), fault);
        assert!(beat.commit_beat().is_err(), "{fault:?}");
        let only_the_first = [("a".to_owned(), "1".to_owned())];
        assert_eq!((header(&*engine).beat.0, rows(&*engine.view().unwrap())), (1, only_the_first.to_vec()));
        drop(engine);
        disk.unplan();

        // It may be there as a whole: nobody was told. Nothing of it may come once something follows the beat before it.
        let disk = disk.crash_image(&crash);
        let engine = open(&disk);
        let shown = rows(&*engine.view().unwrap());
        assert!(
            shown == only_the_first || shown.iter().filter(|row| row.1 == failed).count() == 4,
            "{shown:?}"
        );
        put(&*engine, &[("b", "3")]);
        drop(engine);
        let engine = open(&disk.crash_image(&Crash::Nothing));
        let mut wanted = shown;
        wanted.insert(1, ("b".to_owned(), "3".to_owned()));
        assert_eq!(rows(&*engine.view().unwrap()), wanted, "{fault:?}, {crash:?}");
        engine.verify(&mut |finding| panic!("{fault:?}, {crash:?}: {finding:?}"), &Quiet).unwrap();
    }
}

/// The metrics of the original were cells of the tree that it stored, so each beat made the next one necessary.
#[test]
fn cps_s4_figures_and_reads_of_an_idle_store_write_nothing() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("a", "1"), ("large", &"x".repeat(1_000))]);
    engine.checkpoint().unwrap();
    put(&*engine, &[("b", "2")]);
    let (beat, before) = (header(&*engine).beat, disk.operations());
    for _ in 0..8 {
        engine.stats().unwrap();
        assert_eq!(rows(&*engine.view().unwrap()).len(), 3);
        engine.verify(&mut |finding| panic!("{finding:?}"), &Quiet).unwrap();
        engine.sync().unwrap();
    }
    let trace = disk.trace();
    let changes = trace.operations().filter(|(n, op)| *n > before && op.changes() && !op.syncs());
    assert_eq!(changes.collect::<Vec<_>>(), []);
    assert_eq!(header(&*engine).beat, beat);
    close(engine).unwrap();
    let closed = disk.killed();
    for _ in 0..3 {
        close(open(&disk)).unwrap();
    }
    assert_eq!(header(&*open(&disk)).beat, beat);
    assert_eq!(disk.files().len(), closed.files().len(), "opening and closing leaves nothing behind");
}

#[test]
fn cps_s5_one_flipped_bit_in_the_head_destroys_nothing() {
    let whole = closed();
    let head = file("branch.meta");
    let bits = whole.bytes(&head).unwrap().len() as u64 * 8;
    for bit in (0..bits).step_by(37) {
        let disk = whole.killed();
        assert!(disk.flip(&head, bit));
        let engine = open(&disk);
        assert_eq!(rows(&*engine.view().unwrap()).len(), 2, "bit {bit}");
    }
}

#[test]
fn cps_s5_a_lost_head_destroys_nothing() {
    for len in [None, Some(0), Some(100), Some(4096)] {
        let disk = closed();
        match len {
            Some(len) => assert!(disk.cut_file(file("branch.meta"), len)),
            None => persist_io::Disk::remove_file(&disk, &file("branch.meta")).unwrap(),
        }
        let engine = open(&disk);
        assert_eq!(rows(&*engine.view().unwrap()).len(), 2, "{len:?}");
    }
}

/// A bad frame does not take the good ones with it, and what it held is not passed over in silence.
#[test]
fn cps_s5_a_bad_frame_does_not_drop_the_others() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    for n in ["1", "2", "3"] {
        put(&*engine, &[("a", n), (&format!("k{n}"), n)]);
    }
    close(engine).unwrap();
    let segment = file("branch.idx.00000001");
    let bytes = disk.bytes(&segment).unwrap();
    let second = bytes.windows(2).position(|two| two == b"k2").unwrap() as u64;
    assert!(disk.flip(&segment, second * 8));
    let engine = open(&disk);
    assert_eq!((get(&*engine, "a").as_deref(), get(&*engine, "k3").as_deref()), (Some("3"), Some("3")));
    let error = engine.view().unwrap().get_record(b"k2").map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.path().is_some() && error.beat().is_some(), "{error}");
}

#[test]
fn cps_s5_a_damaged_checkpoint_does_not_block_the_rest() {
    let whole = closed();
    let run = file("branch.ckp.00000001");
    let len = whole.bytes(&run).unwrap().len() as u64;
    for cut in [0, 16, len / 2, len - 1] {
        let disk = whole.killed();
        assert!(disk.cut_file(&run, cut));
        let engine = open(&disk);
        assert_eq!(get(&*engine, "b").as_deref(), Some("2"), "cut to {cut}");
        let view = engine.view().unwrap();
        let old = view.get_record(b"a");
        match old {
            Ok(value) => assert_eq!(value.as_deref(), Some(b"1".as_slice()), "cut to {cut}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.to_string().contains("branch.ckp.00000001"), "cut to {cut}: {error}");
            }
        }
    }
}

/// Where nothing else is there, it was all.
#[test]
fn a_run_that_cannot_be_read_and_nothing_behind_it_is_refused() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("a", "1")]);
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    for head in [true, false] {
        let disk = disk.killed();
        assert!(disk.cut_file(file("branch.ckp.00000001"), 0));
        if !head {
            persist_io::Disk::remove_file(&disk, &file("branch.meta")).unwrap();
        }
        let before = disk.files();
        let error = open_at(disk.clone(), HOME).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(disk.files(), before, "nothing is changed");
    }
}

#[test]
fn cps_s5_a_flipped_bit_in_a_value_is_never_served() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    let (small, large) = ("needle".repeat(3), "haystack".repeat(100));
    put(&*engine, &[("small", &small), ("large", &large)]);
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    for (name, key, needle) in
        [("branch.ckp.00000001", "small", &b"needle"[..]), ("branch.dat.00000001", "large", b"haystack")]
    {
        let disk = disk.killed();
        let bytes = disk.bytes(file(name)).unwrap();
        let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap() as u64;
        assert!(disk.flip(file(name), at * 8 + 3));
        let engine = open(&disk);
        let error = engine.view().unwrap().get_record(key.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
    }
}

#[test]
fn cps_s5_leftovers_of_what_was_never_finished_are_cleared_away() {
    let disk = closed();
    disk.put(file("branch.ckp.00000007.new"), b"half a run");
    drop(open(&disk));
    assert_eq!(disk.bytes(file("branch.ckp.00000007.new")), None);
}

#[test]
fn cps_s6_no_stale_read_behind_a_checkpoint() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("key", "old")]);
    engine.checkpoint().unwrap();
    put(&*engine, &[("key", "new")]);
    put(&*engine, &[("other", "1")]);
    assert_eq!(get(&*engine, "key").as_deref(), Some("new"));
    assert_eq!(rows(&*engine.view().unwrap())[0], ("key".into(), "new".into()));
    close(engine).unwrap();
    assert_eq!(get(&*open(&disk), "key").as_deref(), Some("new"));
}

#[test]
fn cps_s6_the_last_of_equal_keys_in_a_beat_counts() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&*engine, &[("key", "first"), ("key", "last")]);
    assert_eq!(get(&*engine, "key").as_deref(), Some("last"));
    engine.checkpoint().unwrap();
    assert_eq!(get(&*engine, "key").as_deref(), Some("last"));
}

#[test]
fn cps_s7_a_checkpoint_bounds_what_the_next_open_reads() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    for n in 0..50 {
        put(&*engine, &[("key", &n.to_string())]);
    }
    engine.checkpoint().unwrap();
    close(engine).unwrap();
    let engine = open(&disk);
    assert!(engine.stats().unwrap().engine.contains(&("recovered_frames", 0)));
    assert_eq!(get(&*engine, "key").as_deref(), Some("49"));
}
