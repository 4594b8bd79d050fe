//! More than one branch in one store, also where their frames look alike.

use persist_api::{Durability, ErrorKind, Quiet, Result};
use persist_cps::branch::{BranchImported, import_branch};
use persist_cps::{Cell, branch_key, cell_value};
use persist_frame::Checksum;

use crate::branch_kit::{Dir, Engine, Rec, plain, survey};
use crate::kit::Place;

fn import(place: &mut Place, dir: &Dir) -> Result<BranchImported> {
    import_branch(&mut place.writer, &place.store, dir, &survey(dir), Durability::Durable, &Quiet)
}

fn value(place: &Place, key: &[u8]) -> Vec<u8> {
    let view = place.store.view().unwrap();
    let value = cell_value(&view, key).unwrap().unwrap();
    Cell::decode(&value).unwrap().record.body.to_vec()
}

fn branch(path: &str, mode: Checksum, frames: &[&[Rec]]) -> Dir {
    let mut engine = Engine::new(path, mode, 9);
    for (beat, records) in (1..).zip(frames) {
        engine.commit(beat, records);
    }
    engine.dir
}

fn one() -> Vec<Rec> {
    vec![plain(1, b"k", b"one")]
}

fn two() -> Vec<Rec> {
    vec![plain(1, b"k", b"two")]
}

#[test]
fn twins_with_different_checksums_go_into_one_store() {
    let twin = |path, mode| branch(path, mode, &[&one(), &two()]);
    let (first, second) = (twin("r/a", Checksum::Crc32), twin("r/b", Checksum::RawCastagnoli));
    let mut place = Place::new();
    for dir in [&first, &second] {
        let done = import(&mut place, dir).unwrap();
        assert_eq!((done.frames, done.frames_present), (2, 0));
    }
    for dir in [&first, &second] {
        let again = import(&mut place, dir).unwrap();
        assert_eq!((again.frames, again.frames_present), (0, 2));
    }
    let (stat, findings) = place.verify();
    assert_eq!((stat.imported, findings), (4, vec![]));
}

#[test]
fn a_branch_that_began_like_another_is_imported_all_the_same() {
    let mut place = Place::new();
    import(&mut place, &branch("r/a", Checksum::Crc32, &[&one(), &two()])).unwrap();
    let done = import(&mut place, &branch("r/b", Checksum::Crc32, &[&one()])).unwrap();
    assert_eq!((done.frames, done.frames_present), (1, 0));
    assert_eq!(value(&place, b"k"), b"one", "what was imported last is newer");
    // In the other order, too.
    let mut place = Place::new();
    import(&mut place, &branch("r/b", Checksum::Crc32, &[&one()])).unwrap();
    let done = import(&mut place, &branch("r/a", Checksum::Crc32, &[&one(), &two()])).unwrap();
    assert_eq!((done.frames, done.frames_present), (2, 0));
    assert_eq!(place.verify().1, []);
}

/// Moves the marks to where earlier versions put them.
fn with_old_marks(place: &mut Place, dir: &Dir) {
    let survey = survey(dir);
    for frame in &survey.frames {
        let mark = branch_key(survey.branch_id, frame.idx_at, &frame.digest);
        let beat = place.store.view().unwrap().get(&mark).unwrap().unwrap().into_vec();
        let hash = crate::branch_kit::hex(&frame.digest);
        place.put(format!("branch/{:020}/{hash}", frame.idx_at).as_bytes(), &beat);
        place.delete(&mark);
    }
}

#[test]
fn marks_of_earlier_versions_count_for_their_own_branch_only() {
    let (first, second) = (
        branch("r/a", Checksum::Crc32, &[&one(), &two()]),
        branch("r/b", Checksum::RawCastagnoli, &[&one(), &two()]),
    );
    let mut place = Place::new();
    import(&mut place, &first).unwrap();
    with_old_marks(&mut place, &first);
    assert_eq!(place.verify().1, []);
    let again = import(&mut place, &first).unwrap();
    assert_eq!((again.frames, again.frames_present), (0, 2));
    let done = import(&mut place, &second).unwrap();
    assert_eq!((done.frames, done.frames_present), (2, 0));
    assert_eq!(place.verify().1, []);
}

#[test]
fn a_branch_without_an_id_is_never_taken_for_another() {
    let known = branch("r/a", Checksum::Crc32, &[&one(), &two()]);
    let mut unknown = known.clone();
    unknown.remove("branch.meta");
    for old in [false, true] {
        for (first, second) in [(&known, &unknown), (&unknown, &known)] {
            let mut place = Place::new();
            import(&mut place, first).unwrap();
            if old {
                with_old_marks(&mut place, first);
            }
            let before = place.state();
            assert_eq!(import(&mut place, first).unwrap().frames_present, 2);
            let error = import(&mut place, second).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            assert!(error.context().contains("like frame 1"), "{error}");
            assert_eq!(place.state(), before);
        }
    }
    // Nothing in common: nothing is unclear.
    let mut place = Place::new();
    import(&mut place, &known).unwrap();
    let mut other = branch("r/c", Checksum::Crc32, &[&two()]);
    other.remove("branch.meta");
    assert_eq!(import(&mut place, &other).unwrap().frames, 1);
}

#[test]
fn two_branches_without_an_id_that_began_alike_are_told_apart() {
    let unknown = |frames: &[&[Rec]]| {
        let mut dir = branch("r/a", Checksum::Crc32, frames);
        dir.remove("branch.meta");
        dir
    };
    let three = [plain(1, b"k", b"three")];
    let (long, short) = (unknown(&[&one(), &two()]), unknown(&[&one()]));
    // Shorter, going on with another frame of the same length, and with a longer one.
    for other in [&short, &unknown(&[&one(), &[plain(1, b"k", b"2nd")]]), &unknown(&[&one(), &three])] {
        let mut place = Place::new();
        import(&mut place, &long).unwrap();
        let before = place.state();
        let error = import(&mut place, other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(
            error.context().contains("after frame 1") && error.context().contains("another store"),
            "{error}"
        );
        assert_eq!(place.state(), before);
    }
    // The same again, one that has grown, and one beside another that has nothing in common.
    let mut place = Place::new();
    assert_eq!(import(&mut place, &short).unwrap().frames, 1);
    let done = import(&mut place, &long).unwrap();
    assert_eq!((done.frames, done.frames_present), (1, 1));
    assert_eq!(import(&mut place, &unknown(&[&three])).unwrap().frames, 1);
    let again = import(&mut place, &long).unwrap();
    assert_eq!((again.frames, again.frames_present), (0, 2));
    let done = import(&mut place, &unknown(&[&one(), &two(), &three])).unwrap();
    assert_eq!((done.frames, done.frames_present), (1, 2));
    assert_eq!(value(&place, b"k"), b"three");
    assert_eq!(place.verify().1, []);
}

/// What a store goes on with is not always in the next beat: blobs, other users and other branches have beats, too.
#[test]
fn a_branch_without_an_id_that_goes_on_otherwise_is_a_conflict_whatever_came_between() {
    let three = [plain(1, b"k", b"three")];
    let (mine, theirs) = ([plain(1, b"k", b"mine")], [plain(1, b"k", b"theirs")]);
    let unknown = |frames: &[&[Rec]], blob: bool| {
        let mut engine = Engine::new("r/a", Checksum::Crc32, 9);
        for (beat, records) in (1..).zip(frames) {
            engine.commit(beat, records);
        }
        if blob {
            engine.blob(&[9; 40], &[9; 40], 0);
        }
        engine.dir.remove("branch.meta");
        engine.dir
    };
    let begun = unknown(&[&one(), &two(), &three], true);
    let grown = unknown(&[&one(), &two(), &three, &mine], true);
    let other = unknown(&[&one(), &two(), &three, &theirs], false);
    for old in [false, true] {
        for between in ["a blob", "a user", "a branch"] {
            let mut place = Place::new();
            import(&mut place, &begun).unwrap();
            match between {
                "a user" => place.put(b"app/x", b"1"),
                "a branch" => drop(import(&mut place, &branch("r/c", Checksum::Crc32, &[&mine])).unwrap()),
                _ => {}
            }
            let done = import(&mut place, &grown).unwrap();
            assert_eq!((done.frames, done.frames_present), (1, 3), "{between}");
            if old {
                with_old_marks(&mut place, &grown);
            }
            let before = place.state();
            for late in [&other, &begun] {
                let error = import(&mut place, late).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{between}: {error}");
                assert!(error.context().contains("after frame 3"), "{between}: {error}");
            }
            assert_eq!((place.state(), value(&place, b"k")), (before, b"mine".to_vec()), "{between}");
            let again = import(&mut place, &grown).unwrap();
            assert_eq!((again.frames, again.frames_present), (0, 4), "{between}");
        }
    }
    // A longer one that was there before these frames came does not go on with them. One that came later may, for all that is known.
    let longer = unknown(&[&two(), &one(), &one(), &one(), &one()], false);
    let mut place = Place::new();
    import(&mut place, &longer).unwrap();
    assert_eq!(import(&mut place, &begun).unwrap().frames, 3);
    assert_eq!(import(&mut place, &grown).unwrap().frames, 1);
    assert_eq!(place.verify().1, []);
    let mut place = Place::new();
    import(&mut place, &begun).unwrap();
    import(&mut place, &longer).unwrap();
    assert_eq!(import(&mut place, &grown).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn nothing_is_written_over_where_the_frames_of_a_branch_go() {
    let dir = branch("r/a", Checksum::Crc32, &[&one(), &two()]);
    // The second frame would be in the way: then the first is not written either.
    let mut place = Place::new();
    place.put(b"frame/00000000000000000003/0000000000", b"theirs");
    let before = place.state();
    let error = import(&mut place, &dir).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.context().contains("frame/00000000000000000003/0000000000"), "{error}");
    assert_eq!(place.state(), before);
    let mut place = Place::new();
    place.put(b"frame/00000000000000000004", b"behind the last");
    assert_eq!(import(&mut place, &dir).unwrap().frames, 2);
}
