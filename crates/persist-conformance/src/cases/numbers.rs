//! Numbers of beats and commits.

use persist_api::{BeatHeader, BeatNo, CommitNo, Engine, ErrorKind};

use crate::kit::{Stand, get, level, next_header, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// Beats count 1, 2, 3.
pub(crate) fn count_from_one(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for number in 1..=3 {
        let receipt = put_keys(&*engine, ["n"])?;
        check_eq!(receipt.header.beat, BeatNo(number), "the beat of the receipt");
        check_eq!(engine.view()?.header().beat, BeatNo(number), "the beat of a view after it");
    }
    Ok(())
}

/// Tries a header that does not follow and checks the refusal.
fn does_not_follow(engine: &dyn Engine, change: impl FnOnce(&mut BeatHeader), what: &str) -> CaseResult {
    let mut header = next_header(engine)?;
    change(&mut header);
    refused(engine.begin_beat(header).map(drop), ErrorKind::Conflict, what)?;
    Ok(())
}

/// A number left out is a conflict.
pub(crate) fn skipped_number_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    does_not_follow(&*engine, |header| header.beat.0 += 1, "beat 3 after beat 1")
}

/// The last number again is a conflict.
pub(crate) fn repeated_number_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    does_not_follow(&*engine, |header| header.beat.0 -= 1, "beat 1 after beat 1")
}

/// An earlier number is a conflict.
pub(crate) fn earlier_number_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for _ in 0..3 {
        put_keys(&*engine, ["a"])?;
    }
    does_not_follow(&*engine, |header| header.beat.0 -= 2, "beat 2 after beat 3")
}

/// Beat 0 can not be written, not even first.
pub(crate) fn beat_zero_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    does_not_follow(&*engine, |header| header.beat.0 = 0, "beat 0 in a new store")
}

/// The greatest number there is does not follow either, and overflows nothing.
pub(crate) fn greatest_number_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    does_not_follow(&*engine, |header| header.beat.0 = u64::MAX, "beat 2^64-1 after beat 1")
}

/// A hole between commits is a conflict.
pub(crate) fn commit_hole_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    does_not_follow(&*engine, |header| header.first_commit.0 += 1, "a hole between commits")
}

/// A commit number used twice is a conflict.
pub(crate) fn commit_overlap_conflicts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    does_not_follow(&*engine, |header| header.first_commit.0 -= 1, "a commit number used twice")
}

/// After a beat of three commits the next begins three further.
pub(crate) fn commits_adjoin(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    engine.begin_beat(BeatHeader { commits: 3, ..header })?.commit_beat()?;
    let after = engine.view()?.header().next(1, level(&*engine), None)?;
    check_eq!(after.first_commit, CommitNo(4), "the first commit after a beat of three");
    engine.begin_beat(after)?.commit_beat()?;
    Ok(())
}

/// A beat of no commits moves the beats on and the commits not.
pub(crate) fn beat_without_commits(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    engine.begin_beat(BeatHeader { commits: 0, ..header })?.commit_beat()?;
    let receipt = put_keys(&*engine, ["a"])?;
    check_eq!(receipt.header.beat, BeatNo(2), "the beat after a beat without commits");
    check_eq!(receipt.header.first_commit, CommitNo(1), "its first commit");
    Ok(())
}

fn importing(at: &Stand<'_>) -> Result<Box<dyn Engine>, persist_api::Error> {
    at.open_with(|options| options.importing = true)
}

fn import(engine: &dyn Engine, beat: u64, first: u64, key: &str) -> Result<(), persist_api::Error> {
    let (beat, first_commit) = (BeatNo(beat), CommitNo(first));
    let header = BeatHeader { beat, first_commit, commits: 1, durability: level(engine), root: None };
    let mut beat = engine.begin_beat(header)?;
    beat.put_record(key.as_bytes(), b"imported")?;
    beat.commit_beat().map(drop)
}

/// While importing, a number may come twice.
pub(crate) fn importing_may_repeat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = importing(&at)?;
    import(&*engine, 1, 1, "i1")?;
    import(&*engine, 1, 1, "i2")?;
    check_eq!(engine.view()?.header().beat, BeatNo(1), "the beat after importing 1 twice");
    check!(get(&*engine, "i1")?.is_some() && get(&*engine, "i2")?.is_some(), "a record is missing");
    Ok(())
}

/// A view that outlives a beat of its own number leaves nothing old to the next.
pub(crate) fn importing_again_is_shown(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = importing(&at)?;
    import(&*engine, 1, 1, "i1")?;
    for key in ["i2", "i3", "i4"] {
        let before = engine.view()?;
        check!(before.get_record(key.as_bytes())?.is_none(), "{key} is there before it was imported");
        import(&*engine, 1, 1, key)?;
        check!(before.get_record(key.as_bytes())?.is_none(), "a view shows what was imported after it");
        drop(before);
        check!(
            get(&*engine, key)?.is_some(),
            "{key} was imported under a number that was there, and is not shown"
        );
    }
    Ok(())
}

/// While importing, numbers may be left out.
pub(crate) fn importing_may_skip(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = importing(&at)?;
    import(&*engine, 5_000_000_000, 9_000_000_000, "i")?;
    let header = *engine.view()?.header();
    check_eq!(header.beat, BeatNo(5_000_000_000), "the beat after importing");
    check_eq!(header.first_commit, CommitNo(9_000_000_000), "its first commit");
    Ok(())
}

/// Not even while importing does a number go back.
pub(crate) fn importing_never_goes_back(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = importing(&at)?;
    import(&*engine, 5, 5, "i")?;
    refused(import(&*engine, 4, 4, "back"), ErrorKind::Conflict, "importing beat 4 after beat 5")?;
    Ok(())
}

/// After importing, an ordinary open goes on from the imported number.
pub(crate) fn importing_ends_with_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = importing(&at)?;
    import(&*engine, 40, 90, "i")?;
    drop(engine);
    let engine = at.open()?;
    let receipt = put_keys(&*engine, ["next"])?;
    check_eq!(receipt.header.beat, BeatNo(41), "the beat after the imported one");
    let again = engine.begin_beat(receipt.header).map(drop);
    refused(again, ErrorKind::Conflict, "a repeated number after importing ended")?;
    Ok(())
}

/// Fifty beats in a row.
pub(crate) fn fifty_in_a_row(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..50_u32 {
        put(&*engine, [(format!("t{turn}"), turn.to_be_bytes())])?;
    }
    let view = engine.view()?;
    check_eq!(view.header().beat, BeatNo(50), "the beat after fifty");
    for turn in 0..50_u32 {
        let found = view.get_record(format!("t{turn}").as_bytes())?;
        check_eq!(found.as_deref(), Some(turn.to_be_bytes().as_slice()), "the record of beat {}", turn + 1);
    }
    Ok(())
}
