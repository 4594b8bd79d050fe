//! Branch directories that are as the original engine left them.

use std::collections::BTreeSet;
use std::process::Command;

use persist_api::{BeatNo, Durability, ErrorKind, Quiet};
use persist_cps::branch::{
    BranchLimits, BranchSeverity, BranchSource, BranchSurvey, DirSource, check_fits, import_branch,
};
use persist_cps::{Cell, blob_key, branch_frame, cell_value, frame};
use persist_frame::{Checksum, Limits};

use crate::branch_kit::{Engine, chunk, codes, has, hex, ids, load, plain, real, small, survey, unhex};
use crate::kit::Place;

#[test]
fn every_real_branch_reads_exactly_as_described() {
    for (known, root) in real() {
        let survey = BranchSurvey::read(&DirSource::new(&root), BranchLimits::default(), &Quiet).unwrap();
        let name = &known["name"];
        assert_eq!(codes(&survey), [""; 0], "{name}");
        assert!(survey.is_complete() && !has(&survey, BranchSeverity::Repaired), "{name}");
        let id = blake3::hash(known["branch_id_input"].as_str().unwrap().as_bytes());
        assert_eq!(survey.branch_id.unwrap(), id.as_bytes()[..16], "{name}");
        assert_eq!(hex(&survey.branch_id.unwrap()), known["meta"]["branch_id"], "{name}");
        assert_eq!(survey.checksum.unwrap().name(), known["checksum"], "{name}");
        let frames = known["frames"].as_array().unwrap();
        assert_eq!(survey.frames.len(), frames.len(), "{name}");
        for (frame, known) in survey.frames.iter().zip(frames) {
            assert_eq!(frame.beat.to_string(), known["beat"]);
            assert_eq!(frame.frame_id, known["frame_id"]);
            assert_eq!((frame.idx_at, frame.idx_len), (number(&known["idx_ofs"]), number(&known["idx_len"])));
            assert_eq!(
                (hex(&frame.digest), frame.records),
                (text(&known["merkle"]), number(&known["record_count"]) as u32)
            );
        }
        let newest = known["newest_values"].as_object().unwrap();
        let mine: Vec<_> = survey.keys.iter().filter(|(_, newest)| !newest.repeated).collect();
        assert_eq!(mine.len(), newest.len(), "{name}");
        for (key, value) in mine {
            assert_eq!(newest[&hex(key)], hex(&value.blake3), "{name}");
        }
        assert_eq!(survey.checkpoints, known["checkpoints"].as_array().unwrap().len() as u64);
        let blobs: BTreeSet<_> = survey.blobs.iter().map(|blob| (hex(&blob.hash), blob.bytes)).collect();
        let known_blobs = known["cas"].as_array().unwrap().iter();
        assert_eq!(blobs, known_blobs.map(|it| (text(&it["hash"]), number(&it["payload_size"]))).collect());
    }
}

fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The writer of these tests makes the bytes of the original: so what it makes otherwise can be trusted too.
#[test]
fn the_writer_of_these_tests_makes_the_bytes_of_the_original() {
    for (known, root) in real() {
        let dir = load(&root);
        let mode = if known["checksum"] == "crc32" { Checksum::Crc32 } else { Checksum::RawCastagnoli };
        let interval = number(&known["checkpoints"][0]["frame_id"]);
        let mut engine = Engine::new(known["branch_id_input"].as_str().unwrap(), mode, interval);
        for frame in known["frames"].as_array().unwrap() {
            let count = number(&frame["record_count"]) as usize;
            let end = (number(&frame["idx_ofs"]) + number(&frame["idx_len"])) as usize;
            let toc = &dir["branch.idx"][end - 64 - 40 * count..end - 64];
            let records: Vec<_> = toc
                .chunks(40)
                .map(|entry| {
                    let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
                    let value_at = u64::from_le_bytes(entry[16..24].try_into().unwrap()) as usize;
                    let file = if word(32) == 2 { "branch.dat" } else { "branch.idx" };
                    let (key_len, value_len) = (word(24) as usize, word(28) as usize);
                    let bytes = &dir[file];
                    let key = bytes[value_at - key_len..value_at].to_vec();
                    (word(32), key, bytes[value_at..value_at + value_len].to_vec())
                })
                .collect();
            engine.commit(frame["beat"].as_str().unwrap().parse().unwrap(), &records);
        }
        for name in ["branch.meta", "branch.idx", "branch.dat", "branch.frames", "branch.ckp"] {
            assert_eq!(engine.dir[name], dir[name], "{name}");
        }
    }
}

#[test]
fn importing_gives_the_newest_values_and_verifies() {
    for (known, root) in real() {
        let before = load(&root);
        let source = DirSource::new(&root);
        let survey = BranchSurvey::read(&source, BranchLimits::default(), &Quiet).unwrap();
        let mut place = Place::new();
        let done =
            import_branch(&mut place.writer, &place.store, &source, &survey, Durability::Durable, &Quiet)
                .unwrap();
        let frames = known["frames"].as_array().unwrap();
        assert_eq!((done.frames, done.blobs), (frames.len() as u64, survey.blobs.len() as u64));
        let view = place.store.view().unwrap();
        for (key, hash) in known["newest_values"].as_object().unwrap() {
            let value = cell_value(&view, &unhex(key)).unwrap().unwrap();
            let cell = Cell::decode(&value).unwrap();
            assert_eq!(hash, &hex(blake3::hash(cell.record.body).as_bytes()), "{key}");
        }
        for (beat, known) in (1..).map(BeatNo).zip(frames) {
            let kept = branch_frame(&view, beat).unwrap().unwrap();
            assert_eq!(
                (kept.note.beat.to_string(), kept.note.frame_id),
                (text(&known["beat"]), number(&known["frame_id"]))
            );
            assert_eq!(frame(&view, beat).unwrap_err().kind(), ErrorKind::Unsupported);
            for (record, known) in kept.records().unwrap().iter().zip(known["records"].as_array().unwrap()) {
                assert_eq!(u64::from(record.kind.0), number(&known["rtype"]));
                assert_eq!(hex(record.key), known["key"]);
                assert_eq!(hex(blake3::hash(record.body).as_bytes()), known["value_blake3"]);
            }
        }
        for blob in &survey.blobs {
            let value = view.get(&blob_key(&blob.hash)).unwrap().unwrap();
            assert_eq!(*blake3::hash(&value).as_bytes(), blob.hash);
        }
        drop(view);
        let (stat, findings) = place.verify();
        assert_eq!(findings, []);
        assert_eq!((stat.imported, stat.frames, stat.blobs), (frames.len() as u64, 0, done.blobs));
        assert_eq!(load(&root), before, "the source is only read");
    }
}

#[test]
fn cps_s3_both_checksums_are_found_out_from_the_bytes() {
    for mode in [Checksum::Crc32, Checksum::RawCastagnoli] {
        let mut engine = small(mode);
        let survey = self::survey(&engine.dir);
        assert_eq!((survey.checksum, codes(&survey)), (Some(mode), vec![]));
        assert_eq!(survey.blobs.iter().map(|blob| blob.deflated).filter(|it| *it).count(), 1);
        // Without the head, the chunks tell.
        engine.dir.remove("branch.meta");
        let survey = self::survey(&engine.dir);
        assert_eq!((survey.checksum, ids(&survey)), (Some(mode), vec![1, 2, 3, 4]));
        assert_eq!(codes(&survey), ["meta_missing"]);
    }
}

/// The original serves the value from the checkpoint here, which is older.
#[test]
fn cps_s6_no_stale_read_behind_a_checkpoint_of_a_branch() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 1);
    for value in [&b"old"[..], b"new"] {
        engine.commit(1, &[plain(1, b"key", value)]);
    }
    engine.commit(1, &[plain(1, b"other", b"")]);
    let survey = survey(&engine.dir);
    assert_eq!(survey.checkpoints, 3);
    assert_eq!(survey.keys[&b"key"[..]].blake3, *blake3::hash(b"new").as_bytes());
}

#[test]
fn cps_s6_of_two_equal_keys_in_a_frame_the_last_wins() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[plain(1, b"key", b"1"), plain(1, b"once", b"2"), plain(1, b"key", b"3")]);
    let survey = survey(&engine.dir);
    let newest = survey.keys[&b"key"[..]];
    assert_eq!((newest.blake3, newest.repeated), (*blake3::hash(b"3").as_bytes(), true));
    assert!(!survey.keys[&b"once"[..]].repeated);
    let mut place = Place::new();
    import_branch(&mut place.writer, &place.store, &engine.dir, &survey, Durability::Durable, &Quiet)
        .unwrap();
    let view = place.store.view().unwrap();
    let value = cell_value(&view, b"key").unwrap().unwrap();
    assert_eq!(Cell::decode(&value).unwrap().record.body, b"3");
    assert_eq!(branch_frame(&view, BeatNo(1)).unwrap().unwrap().records().unwrap().len(), 3);
}

#[test]
fn cps_s2_beats_in_any_order_and_unused_numbers_are_what_the_original_allows() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    for beat in [9, 3, 2, u64::MAX] {
        engine.commit(beat, &[plain(1, &beat.to_le_bytes(), b"")]);
        engine.skip_id();
    }
    let survey = survey(&engine.dir);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 3, 5, 7], vec![]));
    assert_eq!(survey.frames.iter().map(|frame| frame.beat).collect::<Vec<_>>(), [9, 3, 2, u64::MAX]);
}

#[test]
fn frames_of_every_shape_are_read() {
    let mut engine = Engine::new("r/b", Checksum::RawCastagnoli, 1);
    engine.commit(1, &[]);
    engine.commit(2, &[chunk(b"only", 0, b"payload", 7, 0)]);
    engine.commit(3, &[plain(1, b"", b""), plain(0x42, b"unknown type", b"kept")]);
    let many: Vec<_> = (0..200_u8).map(|at| chunk(b"many", at, b"x", 200, u64::from(at))).collect();
    engine.commit(4, &many[..128]);
    // Ordinals of 128 and up, whose header the original gets wrong.
    let late: Vec<_> = (128..200_u8)
        .map(|at| {
            let (rtype, _, value) = chunk(b"many", at, b"x", 200, u64::from(at));
            (rtype, [b"many", &[at, 1][..]].concat(), value)
        })
        .collect();
    engine.commit(5, &late);
    engine.commit(6, &[plain(3, b"big", &vec![7; 200_000])]);
    let survey = survey(&engine.dir);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2, 3, 4, 5, 6], vec![]));
    assert_eq!(survey.records, 204);
    assert_eq!(survey.checksum, Some(Checksum::RawCastagnoli));
}

#[test]
fn an_empty_branch_and_no_branch() {
    let engine = Engine::new("r/b", Checksum::Crc32, 1);
    let survey = self::survey(&engine.dir);
    assert_eq!((survey.frames.len(), codes(&survey)), (0, vec![]));
    let mut dir = engine.dir;
    dir.clear();
    let error = BranchSurvey::read(&dir, BranchLimits::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let none = DirSource::new("/nonexistent/branch");
    let error = BranchSurvey::read(&none, BranchLimits::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn an_interrupted_import_goes_on_where_it_stopped() {
    let mut engine = small(Checksum::Crc32);
    let mut place = Place::new();
    let import = |place: &mut Place, engine: &Engine| {
        let survey = survey(&engine.dir);
        import_branch(&mut place.writer, &place.store, &engine.dir, &survey, Durability::Durable, &Quiet)
    };
    // Stops when asked to, with whole frames imported.
    let survey_before = survey(&engine.dir);
    let stop = |progress: persist_api::Progress| match (progress.phase, progress.done) {
        ("import frames", 2) => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    };
    let stopped = import_branch(
        &mut place.writer,
        &place.store,
        &engine.dir,
        &survey_before,
        Durability::Durable,
        &stop,
    );
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(place.state().0, 2);
    let done = import(&mut place, &engine).unwrap();
    assert_eq!((done.frames_present, done.frames, done.blobs), (2, 2, 2));
    // The branch has grown: only what is new comes.
    engine.commit(70, &[plain(1, b"a", b"third")]);
    let done = import(&mut place, &engine).unwrap();
    assert_eq!((done.frames_present, done.frames, done.blobs_present, done.blobs), (4, 1, 2, 0));
    let done = import(&mut place, &engine).unwrap();
    assert_eq!((done.frames, done.beats), (0, None));
    assert_eq!(place.verify().1, []);
    // An older frame that turns up later cannot come before newer ones.
    let mut other = Place::new();
    let mut damaged = engine.dir.clone();
    damaged.get_mut("branch.idx").unwrap()[17] ^= 1;
    let survey_damaged = survey(&damaged);
    assert_eq!(ids(&survey_damaged), [2, 3, 4, 5]);
    import_branch(&mut other.writer, &other.store, &damaged, &survey_damaged, Durability::Durable, &Quiet)
        .unwrap();
    let before = other.state();
    assert_eq!(import(&mut other, &engine).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(other.state(), before);
}

#[test]
fn limits_are_kept_and_refused_before_anything_is_written() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[plain(1, b"small", b"")]);
    engine.commit(2, &[plain(1, b"large", &[0; 5000])]);
    for frame in [
        Limits { frame_bytes: 1000, ..BranchLimits::default().frame },
        Limits { records: 0, ..BranchLimits::default().frame },
    ] {
        let limits = BranchLimits { frame, ..BranchLimits::default() };
        let error = BranchSurvey::read(&engine.dir, limits, &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    engine.blob(&[1; 3000], &[1; 3000], 0);
    let limits = BranchLimits { blob_bytes: 2999, ..BranchLimits::default() };
    let survey = BranchSurvey::read(&engine.dir, limits, &Quiet).unwrap();
    assert_eq!(codes(&survey), ["blob_damaged"]);
}

/// A memory store whose beats have a limit: what is reckoned beforehand is what the commit takes, and a little more.
#[test]
fn what_a_frame_takes_is_reckoned_closely() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    let key = |at: u32| at.to_be_bytes();
    let many: Vec<_> = (0..5000_u32).map(|at| plain(1, &key(at), b"")).collect();
    engine.commit(1, &many);
    engine.commit(2, &[plain(1, &vec![b'k'; 600], &vec![1; 50_000]), chunk(b"p", 0, b"0123", 4, 0)]);
    let survey = survey(&engine.dir);
    let mut place = Place::new();
    let session = place.store.grant().session.limits;
    import_branch(&mut place.writer, &place.store, &engine.dir, &survey, Durability::Durable, &Quiet)
        .unwrap();
    let view = place.store.view().unwrap();
    let mut taken = 0;
    view.scan(persist_api::Scan::all(), |key, value| {
        taken += (key.len() + value.len()) as u64;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let fits = |beat_bytes_max| check_fits(&survey, &persist_api::Limits { beat_bytes_max, ..session });
    // The first frame has most of it: 4 bytes of each record were all that it took in the branch beside headers.
    assert!(fits(taken).is_ok(), "{:?}", fits(taken));
    assert_eq!(fits(taken / 2).unwrap_err().kind(), ErrorKind::TooLarge);
    let value_bytes_max = 50_000;
    let small = persist_api::Limits { value_bytes_max, ..session };
    assert_eq!(check_fits(&survey, &small).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_record_of_a_type_that_no_frame_has_is_not_counted_as_there() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[plain(1, b"k", b"old"), plain(0x1FF, b"later", b"")]);
    engine.commit(2, &[plain(0x101, b"k", b"new"), plain(0xFFFF, b"only", b""), plain(1, b"later", b"good")]);
    let survey = survey(&engine.dir);
    assert_eq!((codes(&survey), survey.is_complete()), (vec!["record_type"], false));
    assert_eq!(survey.keys.keys().collect::<Vec<_>>(), [&b"k"[..], b"later"]);
    assert_eq!(survey.keys[&b"k"[..]].blake3, *blake3::hash(b"old").as_bytes());
    assert_eq!(survey.stale_keys.iter().collect::<Vec<_>>(), [&b"k"[..], b"only"]);
    let mut place = Place::new();
    import_branch(&mut place.writer, &place.store, &engine.dir, &survey, Durability::Durable, &Quiet)
        .unwrap();
    let view = place.store.view().unwrap();
    for (key, newest) in &survey.keys {
        let value = cell_value(&view, key).unwrap().unwrap();
        assert_eq!(*blake3::hash(Cell::decode(&value).unwrap().record.body).as_bytes(), newest.blake3);
    }
    assert!(cell_value(&view, b"only").unwrap().is_none());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a branch to read")]
fn a_relative_directory_stays_the_same_when_the_process_goes_elsewhere() {
    const ASKED: &str = "PERSIST_TEST_CHDIR";
    const TEST: &str = "branch_read::a_relative_directory_stays_the_same_when_the_process_goes_elsewhere";
    if std::env::var_os(ASKED).is_some() {
        let source = DirSource::new("branch");
        std::env::set_current_dir("..").unwrap();
        assert!(source.open("branch.meta").unwrap().is_some());
        assert_eq!(source.list("").unwrap().len(), 1);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there");
    std::fs::create_dir_all(there.join("branch")).unwrap();
    std::fs::write(there.join("branch/branch.meta"), b"meta").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", TEST]).current_dir(&there).env(ASKED, "read").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}
