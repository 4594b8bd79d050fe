//! Commits of the original that failed on their way: their bytes stay, and later commits are appended after them. What was
//! committed is never lost to them.

use persist_cps::branch::BranchSurvey;
use persist_frame::Checksum;

use crate::branch_kit::{Engine, Rec, chunk, codes, ids, plain, survey};

/// Two frames.
fn engine() -> Engine {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.commit(1, &[plain(1, b"a", b"1"), chunk(b"p", 0, &[7; 30], 30, 0)]);
    engine.commit(2, &[plain(1, b"b", b"2")]);
    engine
}

/// What a commit that fails had.
fn failed() -> Vec<Rec> {
    vec![plain(1, b"x", &[1; 20]), plain(3, b"y", &[2; 50]), chunk(b"o", 0, &[3; 33], 33, 0)]
}

/// Table and trailer of so many records.
fn bracket(records: usize) -> usize {
    8 + 40 * records + 64
}

/// Frames 4 and 5 are committed after the failed one.
fn go_on(mut engine: Engine, next: &[Rec]) -> BranchSurvey {
    engine.commit(4, next);
    engine.commit(5, &[plain(1, b"d", b"4")]);
    survey(&engine.dir)
}

#[track_caller]
fn all_is_there(survey: &BranchSurvey, frames: &[u64]) {
    assert_eq!(ids(survey), frames, "{:?}", survey.findings.kept());
    assert_eq!(codes(survey), ["gap"], "{:?}", survey.findings.kept());
    assert!(survey.is_complete() && survey.stale_keys.is_empty());
    assert!(!survey.keys.contains_key(&b"x"[..]), "what was never committed");
}

#[test]
fn records_without_a_table_do_not_swallow_the_next_frame() {
    let many: Vec<_> = (0..20).map(|n: u8| plain(1, &[b'm', n], &[n])).collect();
    let nexts = [vec![plain(1, b"c", b"3")], vec![chunk(b"q", 0, &[4; 30], 30, 0)], failed(), vec![], many];
    for next in nexts {
        let mut engine = engine();
        engine.fail(3, &failed(), bracket(3));
        let shared = next == failed();
        let survey = go_on(engine, &next);
        if shared {
            assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2, 4, 5], vec!["gap"]));
        } else {
            all_is_there(&survey, &[1, 2, 4, 5]);
        }
    }
}

#[test]
fn zeros_that_parse_as_records_do_not_swallow_the_next_frame() {
    for zeros in [16, 4096] {
        let mut engine = engine();
        engine.dir.get_mut("branch.idx").unwrap().extend(vec![0; zeros]);
        engine.skip_id();
        all_is_there(&go_on(engine, &[plain(1, b"c", b"3")]), &[1, 2, 4, 5]);
    }
}

#[test]
fn a_torn_trailer_does_not_swallow_the_next_frame() {
    for missing in [1, 20, 31, 32, 33, 63] {
        for next in [vec![plain(1, b"c", b"3")], vec![chunk(b"q", 0, &[4; 30], 30, 0)], vec![]] {
            let mut engine = engine();
            engine.fail(3, &failed(), missing);
            all_is_there(&go_on(engine, &next), &[1, 2, 4, 5]);
        }
    }
}

#[test]
fn a_frame_behind_a_torn_trailer_is_found_by_its_entry_where_its_table_is_damaged() {
    let mut engine = engine();
    engine.fail(3, &failed(), 20);
    let start = engine.dir["branch.idx"].len();
    engine.commit(4, &[plain(1, b"c", b"3")]);
    // Place of the record, in the only line of the table: it says to begin behind the torn trailer's end.
    engine.dir.get_mut("branch.idx").unwrap()[start + 18 + 8 + 8 + 1] ^= 0x40;
    let survey = survey(&engine.dir);
    assert_eq!((ids(&survey), codes(&survey)), (vec![1, 2, 4], vec!["gap", "toc_entry"]));
}

#[test]
fn many_damaged_frames_are_each_told_and_the_good_ones_stay() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 999);
    for beat in 0..300 {
        engine.commit(beat, &[plain(1, &beat.to_be_bytes(), b"value")]);
    }
    let whole = survey(&engine.dir);
    for frame in whole.frames.iter().filter(|frame| frame.frame_id % 3 > 0) {
        engine.dir.get_mut("branch.idx").unwrap()[frame.idx_at as usize + 25] ^= 1;
    }
    let survey = survey(&engine.dir);
    let good: Vec<_> = (1..=300).filter(|id| id % 3 == 0).collect();
    assert_eq!(ids(&survey), good);
    assert_eq!(survey.stale_keys.len(), 200);
    assert!(!codes(&survey).contains(&"search_cut_short"));
}

#[test]
fn what_a_second_writer_wrote_anew_is_no_copy() {
    let first = |value: u8| vec![plain(1, b"k", &[value])];
    let payload = |value: u8| vec![chunk(b"p", 0, &[value; 4], 4, 0)];
    for (one, two) in [(first(1), first(2)), (payload(1), payload(2)), (vec![], first(2))] {
        for listed in [true, false] {
            let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
            engine.commit(1, &one);
            engine.commit(2, &two);
            engine.next_id = 1;
            engine.commit(3, &one);
            engine.commit(4, &[plain(1, b"z", b"z")]);
            if !listed {
                engine.dir.get_mut("branch.frames").unwrap().drain(96..144);
            }
            let survey = survey(&engine.dir);
            if listed || !one.is_empty() {
                assert_eq!(
                    (ids(&survey), survey.is_complete()),
                    (vec![1, 2, 1, 2], true),
                    "{:?}",
                    codes(&survey)
                );
                assert!(!codes(&survey).contains(&"frame_repeated"));
                assert!(one.iter().all(|(_, key, _)| survey.keys[key].frame == 2));
            } else {
                assert_eq!(ids(&survey), [1, 2, 2], "an empty frame that nobody names");
            }
        }
    }
}

#[test]
fn a_damaged_frame_beyond_the_head_was_never_committed() {
    let mut engine = engine();
    let (intact, start) = (survey(&engine.dir), engine.dir["branch.idx"].len());
    engine.fail(3, &failed(), 0);
    engine.dir.get_mut("branch.idx").unwrap()[start + 20] ^= 1;
    let cut_short = survey(&engine.dir);
    assert_eq!((ids(&cut_short), codes(&cut_short)), (vec![1, 2], vec!["beyond_head"]));
    assert!(cut_short.is_complete() && cut_short.stale_keys.is_empty());
    assert_eq!(cut_short.keys, intact.keys);
    // Somebody names it, or nothing says where the head is: then it may have been.
    let entry = [3, 3, start as u64, 300, 0, 0].map(u64::to_le_bytes).concat();
    let mut listed = engine.dir.clone();
    listed.get_mut("branch.frames").unwrap().extend(entry);
    let mut headless = engine.dir.clone();
    headless.remove("branch.meta");
    for dir in [listed, headless] {
        let survey = survey(&dir);
        assert!(codes(&survey).contains(&"frame_damaged"), "{:?}", codes(&survey));
        assert_eq!(survey.stale_keys.len(), 3);
    }
}

#[test]
fn a_whole_frame_that_may_never_have_been_committed_is_imported_and_told() {
    let mut engine = engine();
    engine.fail(3, &failed(), 0);
    engine.commit(4, &[plain(1, b"c", b"3")]);
    let told = |survey: &BranchSurvey| {
        let all = survey.findings.kept().iter().filter(|finding| finding.code == "frame_unlisted");
        all.map(|finding| (finding.frame_id, finding.what.contains("never have been committed")))
            .collect::<Vec<_>>()
    };
    let whole = survey(&engine.dir);
    assert_eq!((ids(&whole), codes(&whole)), (vec![1, 2, 3, 4], vec!["frame_unlisted"]));
    assert_eq!(told(&whole), [(Some(3), true)]);
    // The head was committed for certain, and an empty file says nothing of any frame.
    engine.dir.get_mut("branch.frames").unwrap().truncate(96);
    assert_eq!(told(&survey(&engine.dir)), [(Some(3), true), (Some(4), false)]);
    engine.dir.get_mut("branch.frames").unwrap().clear();
    assert_eq!(told(&survey(&engine.dir)).iter().filter(|(_, doubt)| *doubt).count(), 0);
}

#[test]
fn a_piece_of_an_entry_says_which_frame_it_is_of() {
    // The second commit fails, and the entry of the third is written in part.
    for (keep, sure) in [(47, true), (20, true), (16, true), (15, true), (9, true), (8, false), (1, false)] {
        let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
        engine.commit(1, &[plain(1, b"a", b"1")]);
        engine.fail(2, &failed(), 70);
        engine.commit(3, &[plain(1, b"c", b"3")]);
        engine.dir.get_mut("branch.frames").unwrap().truncate(48 + keep);
        engine.commit(4, &[plain(1, b"d", b"4")]);
        let whole = survey(&engine.dir);
        assert_eq!((ids(&whole), whole.is_complete()), (vec![1, 3, 4], true), "{keep}: {:?}", codes(&whole));
        // The original lists its head once more when it opens again, behind the piece.
        let mut again = engine.dir.clone();
        let entry =
            [3, 3, whole.frames[1].idx_at, whole.frames[1].idx_len, 0, 0].map(u64::to_le_bytes).concat();
        again.get_mut("branch.frames").unwrap().splice(48 + keep..48 + keep, entry);
        assert_eq!(survey(&again).is_complete(), sure, "{keep}, listed again");
        // At the end, where nothing was appended since.
        let mut last = engine.dir.clone();
        last.get_mut("branch.frames").unwrap().truncate(48 + keep);
        assert!(survey(&last).is_complete(), "{keep}, at the end");
        // A piece of the entry of the frame that is not there.
        engine.dir.get_mut("branch.frames").unwrap()[48 + 8] = 2;
        assert!(keep <= 8 || !survey(&engine.dir).is_complete(), "{keep}");
    }
}

#[test]
fn a_very_first_commit_that_was_cut_short_is_no_loss() {
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.fail(1, &failed(), 0);
    let whole = engine.dir["branch.idx"].len();
    let cut = |len: usize| {
        let mut dir = engine.dir.clone();
        dir.get_mut("branch.idx").unwrap().truncate(len);
        dir
    };
    for len in 1..whole {
        // The head says that nothing was committed; there is none yet; there is a file without a byte.
        let (headed, mut headless, mut empty) = (cut(len), cut(len), cut(len));
        headless.remove("branch.meta");
        empty.get_mut("branch.meta").unwrap().clear();
        for dir in [headed, headless, empty] {
            let survey = survey(&dir);
            assert!(survey.is_complete() && survey.frames.is_empty(), "{len}: {:?}", survey.findings.kept());
            assert!(codes(&survey).contains(&"beyond_head"), "{len}: {:?}", codes(&survey));
        }
    }
    let doubtful = |change: &dyn Fn(&mut crate::branch_kit::Dir)| {
        let mut dir = cut(whole - 1);
        dir.remove("branch.meta");
        change(&mut dir);
        let survey = survey(&dir);
        assert!(!survey.is_complete(), "{:?}", codes(&survey));
    };
    doubtful(&|dir| drop(dir.remove("branch.frames")));
    doubtful(&|dir| dir.get_mut("branch.frames").unwrap().extend([1, 0, 0]));
    doubtful(&|dir| dir.get_mut("branch.ckp").unwrap().extend([1, 0, 0]));
    doubtful(&|dir| drop(dir.insert("branch.meta".to_owned(), vec![7; 256])));
    doubtful(&|dir| dir.get_mut("branch.idx").unwrap()[1] = 1);
    doubtful(&|dir| dir.get_mut("branch.idx").unwrap().extend([0; 200]));
}

#[test]
fn the_only_entry_in_part_tells_that_a_first_commit_failed() {
    for keep in [0, 1, 8, 9, 47] {
        let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
        engine.fail(1, &failed(), 70);
        engine.commit(2, &[plain(1, b"b", b"2")]);
        engine.dir.get_mut("branch.frames").unwrap().truncate(keep);
        let survey = survey(&engine.dir);
        // An empty directory of frames says nothing.
        assert_eq!((ids(&survey), survey.is_complete()), (vec![2], keep > 0), "{keep}: {:?}", codes(&survey));
    }
}
