//! Damaged branch directories: each defect of the original in reading and recovering is a test by name. What still verifies
//! is never lost, and what is lost is said.

use persist_api::{Durability, ErrorKind, Quiet};
use persist_cps::branch::{BranchLimits, BranchSeverity as S, BranchSurvey, import_branch};
use persist_frame::{Checksum, Limits};

use crate::branch_kit::{Dir, Engine, chunk, codes, has, ids, plain, small, survey};
use crate::kit::Place;

fn changed(change: impl FnOnce(&mut Dir)) -> BranchSurvey {
    let mut dir = small(Checksum::Crc32).dir;
    change(&mut dir);
    survey(&dir)
}

fn file<'d>(dir: &'d mut Dir, name: &str) -> &'d mut Vec<u8> {
    dir.get_mut(name).unwrap()
}

/// Where the frames of the small branch end in `branch.idx`.
fn ends() -> Vec<usize> {
    let intact = survey(&small(Checksum::Crc32).dir);
    intact.frames.iter().map(|frame| (frame.idx_at + frame.idx_len) as usize).collect()
}

/// All four frames with what they hold; only these findings, and nothing lost.
#[track_caller]
fn nothing_is_lost(survey: &BranchSurvey, expected: &[&str]) {
    let intact = self::survey(&small(Checksum::Crc32).dir);
    assert_eq!(codes(survey), expected, "{:?}", survey.findings.kept());
    assert_eq!((&survey.keys, &survey.frames), (&intact.keys, &intact.frames));
    assert!(survey.is_complete() && survey.stale_keys.is_empty());
}

#[test]
fn garbage_after_the_head_is_left_out() {
    for garbage in [vec![0xA5; 1], vec![0; 500], b"1CLR".repeat(30), b"1COT".repeat(40), vec![0xFF; 70_000]] {
        let survey = changed(|dir| {
            file(dir, "branch.idx").extend_from_slice(&garbage);
            file(dir, "branch.dat").extend_from_slice(&garbage);
        });
        nothing_is_lost(&survey, &["beyond_head"]);
    }
}

#[test]
fn old_frames_copied_behind_the_head_do_not_come_back() {
    let ends = ends();
    for range in [0..ends[0], ends[0]..ends[1], ends[1]..ends[2], 0..ends[2]] {
        let survey = changed(|dir| {
            let copy = dir["branch.idx"][range.clone()].to_vec();
            file(dir, "branch.idx").extend_from_slice(&copy);
        });
        assert_eq!((ids(&survey), survey.is_complete()), (vec![1, 2, 3, 4], true));
        assert_eq!(survey.keys[&b"a"[..]].blake3, *blake3::hash(b"second").as_bytes());
        assert!(codes(&survey).iter().all(|code| ["beyond_head", "frame_repeated"].contains(code)));
    }
}

#[test]
fn an_old_frame_of_payloads_alone_does_not_come_back_either() {
    // Nothing in the copy says that it stands in another place: all of its records are in branch.dat.
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[chunk(b"key", 0, b"old", 3, 0)]);
    let copy = engine.dir["branch.idx"].clone();
    engine.commit(2, &[chunk(b"key", 0, b"new", 3, 0)]);
    let newest = survey(&engine.dir).keys[&b"key\x00"[..]];
    engine.dir.get_mut("branch.idx").unwrap().extend_from_slice(&copy);
    let survey = survey(&engine.dir);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2], vec!["frame_repeated"]));
    assert_eq!(survey.keys[&b"key\x00"[..]], newest);
}

#[test]
fn a_frame_that_is_whole_behind_the_head_is_not_thrown_away() {
    // No directory sync after the rename: the power cut brings the old head back.
    let mut engine = small(Checksum::Crc32);
    let old = engine.dir["branch.meta"].clone();
    let old_frames = engine.dir["branch.frames"].clone();
    engine.commit(61, &[plain(1, b"a", b"third")]);
    engine.dir.insert("branch.meta".to_owned(), old);
    let survey = self::survey(&engine.dir);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2, 3, 4, 5], vec!["frame_beyond_head"]));
    engine.dir.insert("branch.frames".to_owned(), old_frames);
    let survey = self::survey(&engine.dir);
    assert_eq!(codes(&survey), ["frame_beyond_head", "frame_unlisted"]);
    assert_eq!(survey.keys[&b"a"[..]].blake3, *blake3::hash(b"third").as_bytes());
    assert!(survey.is_complete());
}

#[test]
fn idx_or_dat_shorter_than_the_head_loses_only_the_frames_cut() {
    let ends = ends();
    for cut in [ends[2] + 17, ends[2] + 1, ends[2]] {
        let survey = changed(|dir| file(dir, "branch.idx").truncate(cut));
        assert_eq!(ids(&survey), [1, 2, 3], "cut at {cut}");
        assert!(codes(&survey).contains(&"idx_short") && !survey.is_complete(), "{:?}", codes(&survey));
    }
    let survey = changed(|dir| {
        file(dir, "branch.dat").pop();
    });
    assert_eq!(ids(&survey), [1, 2, 4]);
    assert!(has(&survey, S::Lost));
    assert_eq!(survey.keys[&b"a"[..]].blake3, *blake3::hash(b"first").as_bytes());
    let stale: Vec<_> = survey.stale_keys.iter().map(Vec::as_slice).collect();
    assert_eq!(stale, [&b"a"[..], b"q\x00"], "the lost frame had newer values of them");
    let survey = changed(|dir| file(dir, "branch.idx").clear());
    assert_eq!((ids(&survey).len(), has(&survey, S::Lost)), (0, true));
}

#[test]
fn a_head_that_lost_its_trailer_alone_is_whole() {
    let ends = ends();
    for cut in [ends[3] - 1, ends[3] - 24, ends[3] - 64] {
        let survey = changed(|dir| file(dir, "branch.idx").truncate(cut));
        nothing_is_lost(&survey, &["trailer_damaged"]);
        // Also behind damage: where it begins is in branch.meta.
        let survey = changed(|dir| {
            file(dir, "branch.idx").truncate(cut);
            file(dir, "branch.idx")[ends[1]..ends[2]].fill(0xEE);
        });
        assert_eq!(ids(&survey), [1, 2, 4], "cut at {cut}");
        // Nothing but branch.meta vouches for it.
        let survey = changed(|dir| {
            file(dir, "branch.idx").truncate(cut);
            file(dir, "branch.meta")[50] ^= 1;
        });
        assert_eq!(ids(&survey), [1, 2, 3], "cut at {cut}");
    }
    // A checkpoint has the table, if that is cut, too.
    let survey = changed(|dir| file(dir, "branch.idx").truncate(ends[3] - 65));
    nothing_is_lost(&survey, &["record_header", "toc_entry", "trailer_damaged"]);
    // It is imported like any other.
    let mut dir = small(Checksum::Crc32).dir;
    file(&mut dir, "branch.idx").truncate(ends[3] - 1);
    let survey = self::survey(&dir);
    let mut place = Place::new();
    let done =
        import_branch(&mut place.writer, &place.store, &dir, &survey, Durability::Durable, &Quiet).unwrap();
    assert_eq!((done.frames, place.verify().1), (4, vec![]));
    // And bound by the same limits.
    let limits = BranchLimits::default();
    let limits = BranchLimits { frame: Limits { frame_bytes: 4, ..limits.frame }, ..limits };
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[plain(1, b"key", b"value")]);
    file(&mut engine.dir, "branch.idx").pop();
    let error = BranchSurvey::read(&engine.dir, limits, &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn the_keys_of_a_frame_that_is_cut_off_are_named() {
    let ends = ends();
    let start = ends[2];
    let stale = |change: &dyn Fn(&mut Vec<u8>)| {
        let survey = changed(|dir| change(file(dir, "branch.idx")));
        assert_eq!(ids(&survey), [1, 2, 3]);
        assert!(codes(&survey).contains(&"idx_short"), "{:?}", codes(&survey));
        survey.stale_keys.into_iter().collect::<Vec<_>>()
    };
    // The value of the first record is damaged, and the trailer is gone.
    let both = stale(&|idx| {
        idx[start + 20] ^= 1;
        idx.pop();
    });
    assert_eq!(both, [b"c", b"h"]);
    // The end of the table is gone, too.
    let more = stale(&|idx| {
        idx[start + 20] ^= 1;
        idx.truncate(ends[3] - 65);
    });
    assert_eq!(more, [b"c"]);
}

#[test]
fn cps_s5_a_head_trailer_whose_digest_differs_is_not_adopted() {
    // The records are what branch.meta says: the trailer is wrong, not they.
    let end = ends()[3];
    let survey = changed(|dir| file(dir, "branch.idx")[end - 1] ^= 0x80);
    nothing_is_lost(&survey, &["trailer_damaged"]);
    // Records that no digest knows are not served, whatever the trailer says.
    let start = ends()[2];
    let survey = changed(|dir| {
        file(dir, "branch.idx")[start + 16] ^= 1;
        file(dir, "branch.idx")[end - 1] ^= 0x80;
    });
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2, 3], vec!["frame_damaged"]));
}

#[test]
fn cps_s5_a_bad_trailer_magic_drops_nothing() {
    for end in ends() {
        let survey = changed(|dir| file(dir, "branch.idx")[end - 64] ^= 1);
        nothing_is_lost(&survey, &["trailer_damaged"]);
    }
}

#[test]
fn cps_s5_one_bad_frame_does_not_take_the_others_with_it() {
    for (index, end) in ends().into_iter().enumerate() {
        let survey = changed(|dir| file(dir, "branch.idx")[end - 64..end].fill(0));
        let bad = index as u64 + 1;
        let rest: Vec<_> = (1..=4).filter(|id| *id != bad).collect();
        // The newest is known from branch.meta.
        if bad == 4 {
            nothing_is_lost(&survey, &["numbers_differ", "trailer_damaged"]);
        } else {
            assert_eq!(ids(&survey), rest, "{:?}", survey.findings.kept());
            assert!(has(&survey, S::Lost));
        }
    }
}

#[test]
fn cps_s5_a_damaged_head_destroys_nothing() {
    for (at, bit) in [(0, 1), (4, 1), (6, 1), (100, 4), (200, 128), (255, 1)] {
        let survey = changed(|dir| file(dir, "branch.meta")[at] ^= bit);
        nothing_is_lost(&survey, &["meta_damaged"]);
    }
    for len in [0, 1, 255] {
        let survey = changed(|dir| file(dir, "branch.meta").truncate(len));
        nothing_is_lost(&survey, &["meta_damaged"]);
    }
    let survey = changed(|dir| file(dir, "branch.meta").push(0));
    nothing_is_lost(&survey, &["meta_damaged"]);
    let survey = changed(|dir| drop(dir.remove("branch.meta")));
    nothing_is_lost(&survey, &["meta_missing"]);
}

#[test]
fn cps_s5_the_other_checksum_destroys_nothing() {
    let dir = small(Checksum::RawCastagnoli).dir;
    let other = survey(&dir);
    let intact = survey(&small(Checksum::Crc32).dir);
    assert_eq!((codes(&other), &other.keys), (vec![], &intact.keys));
    // A head rewritten by a process with the other environment.
    let mut dir = dir;
    dir.insert("branch.meta".to_owned(), small(Checksum::Crc32).dir["branch.meta"].clone());
    let mixed = survey(&dir);
    assert_eq!((&mixed.keys, ids(&mixed)), (&intact.keys, vec![1, 2, 3, 4]));
    assert!(codes(&mixed).contains(&"checksum_mixed"));
}

#[test]
fn cps_s5_a_partial_entry_of_branch_frames_is_stepped_over() {
    for keep in [1, 20, 47] {
        let survey = changed(|dir| file(dir, "branch.frames").truncate(3 * 48 + keep));
        nothing_is_lost(&survey, &["frame_unlisted", "frames_partial"]);
        // Entries that follow it, out of step for good.
        let survey = changed(|dir| {
            let frames = file(dir, "branch.frames");
            let torn = frames[..keep].to_vec();
            frames.splice(96..96, torn);
        });
        nothing_is_lost(&survey, &["frames_partial"]);
    }
    let survey = changed(|dir| file(dir, "branch.frames").clear());
    nothing_is_lost(&survey, &["frame_unlisted"]);
}

#[test]
fn cps_s5_entries_left_over_from_a_wipe_are_told_from_those_that_count() {
    // The original truncates to nothing and goes on; the directory of frames keeps the old entries.
    let old = small(Checksum::Crc32).dir["branch.frames"].clone();
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(7, &[plain(1, b"after", b"the wipe")]);
    let new = engine.dir["branch.frames"].clone();
    engine.dir.insert("branch.frames".to_owned(), [old, new].concat());
    let survey = survey(&engine.dir);
    assert_eq!(ids(&survey), [1]);
    assert!(
        codes(&survey).iter().any(|code| ["idx_short", "dat_short", "frame_lost"].contains(code)),
        "{:?}",
        codes(&survey)
    );
}

#[test]
fn cps_s5_a_partial_checkpoint_hinders_nothing() {
    for cut in [1, 39, 41, 79, 150] {
        let survey = changed(|dir| {
            let copies = file(dir, "branch.ckp");
            let len = copies.len();
            copies.truncate(len - cut);
        });
        nothing_is_lost(&survey, &["checkpoint_partial"]);
    }
    let survey = changed(|dir| file(dir, "branch.ckp")[0] ^= 1);
    nothing_is_lost(&survey, &["checkpoint_partial"]);
    let survey = changed(|dir| file(dir, "branch.ckp")[60] ^= 1);
    nothing_is_lost(&survey, &["checkpoint_differs"]);
    // Gone without a trace, but for the count in branch.meta.
    let survey = changed(|dir| file(dir, "branch.ckp").clear());
    nothing_is_lost(&survey, &["checkpoint_missing"]);
    let survey = changed(|dir| drop(dir.remove("branch.ckp")));
    nothing_is_lost(&survey, &["checkpoint_missing"]);
}

#[test]
fn cps_s5_a_short_or_empty_cas_manifest_does_not_block_anything() {
    let intact = survey(&small(Checksum::Crc32).dir).blobs;
    for len in [0, 3, 15, 16, 40, 64, 80] {
        let survey = changed(|dir| file(dir, "cas/manifest.bin").truncate(len));
        assert_eq!(survey.blobs, intact);
        let expected: &[&str] = &["blob_unlisted", "manifest_damaged"];
        nothing_is_lost(&survey, expected);
    }
    let survey = changed(|dir| drop(dir.remove("cas/manifest.bin")));
    assert_eq!(survey.blobs, intact);
    let survey = changed(|dir| file(dir, "cas/manifest.bin")[15] = 0xFF);
    assert_eq!((survey.blobs.clone(), codes(&survey)), (intact, vec!["manifest_damaged"]));
}

#[test]
fn cps_s5_a_flipped_value_byte_is_never_served() {
    let (ends, intact) = (ends(), survey(&small(Checksum::Crc32).dir));
    let survey = changed(|dir| file(dir, "branch.idx")[ends[1] + 17] ^= 0x10);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2, 4], vec!["frame_damaged", "gap"]));
    assert_ne!(survey.keys[&b"a"[..]], intact.keys[&b"a"[..]]);
    let stale: Vec<_> = survey.stale_keys.iter().map(Vec::as_slice).collect();
    assert_eq!(stale, [b"a".as_slice(), b"q\x00"], "what the lost frame had newer values of");
    let survey = changed(|dir| *file(dir, "branch.dat").last_mut().unwrap() ^= 1);
    assert_eq!((ids(&survey), has(&survey, S::Lost)), (vec![1, 2, 4], true));
}

#[test]
fn headers_and_tables_stand_in_for_each_other() {
    let (ends, intact) = (ends(), survey(&small(Checksum::Crc32).dir));
    let start = ends[0];
    // Length of the first record's value: the walk over the headers goes astray.
    for (at, bit) in [(0, 1), (4, 1), (8, 2), (10, 1), (11, 0x80), (13, 1)] {
        let survey = changed(|dir| file(dir, "branch.idx")[start + at] ^= bit);
        nothing_is_lost(&survey, &["record_header"]);
    }
    let dat = intact.frames[1].idx_at;
    assert_eq!(dat as usize, start);
    for at in [0, 4, 8, 12, 16, 24, 32, 40, 44, 48, 52] {
        let survey = changed(|dir| file(dir, "branch.dat")[at] ^= 1);
        nothing_is_lost(&survey, &["record_header"]);
    }
    let table = ends[1] - 64 - 4 * 40;
    for at in 0..40 {
        let survey = changed(|dir| file(dir, "branch.idx")[table + at] ^= 1);
        nothing_is_lost(&survey, &["toc_entry"]);
    }
    for at in 0..8 {
        let survey = changed(|dir| file(dir, "branch.idx")[table - 8 + at] ^= 1);
        nothing_is_lost(&survey, &["toc_header"]);
    }
    // Both at once: the copy of the table in the checkpoint of this frame.
    let survey = changed(|dir| {
        file(dir, "branch.idx")[start + 8] ^= 1;
        file(dir, "branch.idx")[table + 8] ^= 1;
    });
    nothing_is_lost(&survey, &["record_header", "toc_entry"]);
}

#[test]
fn cps_s5_leftover_stages_and_strangers_are_only_told() {
    let survey = changed(|dir| {
        dir.insert("tmp/frame_7_5/branch.idx.part".to_owned(), vec![1]);
        dir.insert("branch.meta.new".to_owned(), vec![1, 2, 3]);
        dir.insert("notes.txt".to_owned(), vec![]);
        dir.insert("cas/stray".to_owned(), vec![]);
        dir.insert("cas/ab/stray.blob".to_owned(), vec![]);
    });
    nothing_is_lost(&survey, &["leftover_meta", "leftover_stage", "unknown_file"]);
}

#[test]
fn cps_s4_bytes_of_a_failed_commit_between_frames_are_stepped_over() {
    // A failed commit leaves its bytes; later commits are appended after them.
    for garbage in [&b"half a record"[..], &[0; 300], &small(Checksum::Crc32).dir["branch.idx"][..100]] {
        let mut engine = small(Checksum::Crc32);
        engine.skip_id();
        engine.dir.get_mut("branch.idx").unwrap().extend_from_slice(garbage);
        engine.dir.get_mut("branch.dat").unwrap().extend_from_slice(garbage);
        engine.commit(80, &[plain(1, b"later", b"1")]);
        let survey = survey(&engine.dir);
        assert_eq!((ids(&survey), survey.is_complete()), (vec![1, 2, 3, 4, 6], true), "{:?}", codes(&survey));
        assert!(codes(&survey).contains(&"gap"));
    }
}

#[test]
fn a_blob_is_checked_against_its_name_whatever_the_manifest_says() {
    let names: Vec<String> =
        small(Checksum::Crc32).dir.keys().filter(|name| name.contains(".blob")).cloned().collect();
    for name in &names {
        let survey = changed(|dir| *file(dir, name).last_mut().unwrap() ^= 1);
        assert_eq!((survey.blobs.len(), has(&survey, S::Lost)), (1, true));
        let survey = changed(|dir| file(dir, name).clear());
        assert_eq!((survey.blobs.len(), has(&survey, S::Lost)), (1, true));
        let survey = changed(|dir| drop(dir.remove(name)));
        assert!(codes(&survey).contains(&"blob_missing"), "{:?}", codes(&survey));
    }
    // The original stores plaintext under the name of a deflated blob and can never read it again.
    let survey = changed(|dir| {
        let name = blake3::hash(&[8; 300]).to_hex();
        dir.insert(format!("cas/{}/{name}.blob", &name[..2]), vec![8; 300]);
    });
    assert_eq!((survey.blobs.len(), codes(&survey)), (2, vec!["manifest_entry"]));
}

#[test]
fn a_blob_that_inflates_without_end_is_stopped() {
    let mut engine = small(Checksum::Crc32);
    let bomb = persist_frame::cas::deflate_blob(&vec![0; 64 << 20]).unwrap();
    engine.blob(b"something else", &bomb, 1);
    let limits = persist_cps::branch::BranchLimits { blob_bytes: 1 << 20, ..Default::default() };
    let survey = BranchSurvey::read(&engine.dir, limits, &persist_api::Quiet).unwrap();
    assert_eq!((survey.blobs.len(), codes(&survey)), (2, vec!["blob_damaged"]));
}

#[test]
fn a_damaged_entry_does_not_say_that_no_frame_was_there() {
    let (start, entry) = (ends()[1], 2 * 48);
    // Number, place and length of the third frame, in turn; its first record's header in each case.
    for (at, bit) in [(8, 4), (16, 1), (17, 1), (24, 1), (25, 2)] {
        let survey = changed(|dir| {
            file(dir, "branch.idx")[start + 8..start + 12].fill(0xFF);
            file(dir, "branch.idx")[start + 16] ^= 1;
            file(dir, "branch.frames")[entry + at] ^= bit;
        });
        assert_eq!(ids(&survey), [1, 2, 4], "{at}");
        assert!(!survey.is_complete(), "{at}: {:?}", survey.findings.kept());
    }
}
