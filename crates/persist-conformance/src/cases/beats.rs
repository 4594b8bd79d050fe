//! Numbers, headers, receipts, the gate, and giving a beat up.

use persist_api::{BeatHeader, BeatNo, CommitNo, Durability, Engine, ErrorKind, Scan};

use crate::kit::{Stand, begin, commit, get, joined, keys, level, next_header, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// Beats count 1, 2, 3.
pub(crate) fn numbers_count_from_one(fx: &dyn Fixture) -> CaseResult {
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

/// A refused beginning leaves the gate open.
pub(crate) fn refused_begin_leaves_the_gate_open(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let _ = engine.begin_beat(BeatHeader { beat: BeatNo(7), ..header }).map(drop);
    let beat = engine.begin_beat(header);
    check!(beat.is_ok(), "the right beat after a refused one: {:?}", beat.err());
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

fn header_comes_back(fx: &dyn Fixture, root: Option<[u8; 32]>, commits: u64) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["before"])?;
    let header = engine.view()?.header().next(commits, level(&*engine), root)?;
    engine.begin_beat(header)?.commit_beat()?;
    check_eq!(*engine.view()?.header(), header, "the header of a view");
    Ok(())
}

/// A header with root comes back whole.
pub(crate) fn header_comes_back_with_root(fx: &dyn Fixture) -> CaseResult {
    let mut root = [0; 32];
    for (byte, n) in root.iter_mut().zip(0xD0..) {
        *byte = n;
    }
    header_comes_back(fx, Some(root), 1)
}

/// A header without root comes back without.
pub(crate) fn header_comes_back_without_root(fx: &dyn Fixture) -> CaseResult {
    header_comes_back(fx, None, 1)
}

/// A root of zeros is a root.
pub(crate) fn header_root_of_zeros_is_a_root(fx: &dyn Fixture) -> CaseResult {
    header_comes_back(fx, Some([0; 32]), 1)
}

/// Many commits in one beat are counted.
pub(crate) fn header_counts_many_commits(fx: &dyn Fixture) -> CaseResult {
    header_comes_back(fx, None, 70_000)
}

/// A root belongs to its beat: the next header without one has none.
pub(crate) fn header_root_does_not_linger(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(1, level(&*engine), Some([9; 32]))?;
    engine.begin_beat(header)?.commit_beat()?;
    begin(&*engine)?.commit_beat()?;
    check_eq!(engine.view()?.header().root, None, "the root of a beat without one");
    Ok(())
}

/// The header is no record: a store of empty beats has no rows.
pub(crate) fn header_is_outside_the_key_space(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for _ in 0..2 {
        begin(&*engine)?.commit_beat()?;
    }
    check_eq!(keys(&*engine.view()?, Scan::all())?, Vec::<String>::new(), "keys after empty beats");
    Ok(())
}

/// No record can hide or change the header: keys of every length, all zeros and all `FF`.
pub(crate) fn header_is_out_of_reach(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let longest = usize::try_from(engine.offer().limits.key_bytes_max.min(72)).unwrap_or(1);
    let receipt = commit(&*engine, |beat| {
        for length in 1..=longest {
            beat.put_record(&vec![0; length], b"low")?;
            beat.put_record(&vec![0xFF; length], b"high")?;
        }
        for length in 1..=longest {
            beat.delete_record(&vec![0; length])?;
        }
        Ok(())
    })?;
    check_eq!(*engine.view()?.header(), receipt.header, "the header after extreme keys");
    check_eq!(get(&*engine, [0xFF])?, Some(b"high".to_vec()), "the record FF");
    Ok(())
}

/// On one thread, a second beat is `Busy` instead of a deadlock.
pub(crate) fn second_beat_is_busy(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let first = engine.begin_beat(header)?;
    refused(engine.begin_beat(header).map(drop), ErrorKind::Busy, "a second beat on this thread")?;
    drop(first);
    Ok(())
}

/// On another thread as well.
pub(crate) fn second_beat_elsewhere_is_busy(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let first = engine.begin_beat(header)?;
    let other = &*engine;
    std::thread::scope(|scope| {
        joined(scope.spawn(move || {
            let second = other.begin_beat(header).map(drop);
            refused(second, ErrorKind::Busy, "a second beat on another thread")
        }))
    })?;
    drop(first);
    Ok(())
}

/// The beat that is open does not notice the refused one.
pub(crate) fn busy_leaves_the_open_beat_alone(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let mut first = engine.begin_beat(header)?;
    first.put_record(b"before", b"1")?;
    let _ = engine.begin_beat(header).map(drop);
    first.put_record(b"after", b"2")?;
    first.commit_beat()?;
    check_eq!(get(&*engine, "before")?, Some(b"1".to_vec()), "the record before the refusal");
    check_eq!(get(&*engine, "after")?, Some(b"2".to_vec()), "the record after it");
    Ok(())
}

/// Asked wrongly while a beat is open, an engine may name either fault, but lets no second beat in.
pub(crate) fn busy_holds_for_any_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let first = engine.begin_beat(header)?;
    let after = header.next(1, level(&*engine), None)?;
    check!(engine.begin_beat(after).is_err(), "the beat after an open one was let in");
    first.commit_beat()?;
    let next = engine.begin_beat(after);
    check!(next.is_ok(), "the next beat after the commit: {:?}", next.err());
    Ok(())
}

/// A dropped beat changes nothing.
pub(crate) fn dropped_beat_changes_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("drop", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"drop", b"new")?;
    drop(beat);
    check_eq!(get(&*engine, "drop")?, Some(b"old".to_vec()), "the record after the drop");
    Ok(())
}

/// An aborted beat changes nothing.
pub(crate) fn aborted_beat_changes_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("abort", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"abort", b"new")?;
    beat.delete_record(b"abort")?;
    beat.abort_beat();
    check_eq!(get(&*engine, "abort")?, Some(b"old".to_vec()), "the record after the abort");
    Ok(())
}

/// The number of an aborted beat is free again.
pub(crate) fn aborted_number_is_free(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    engine.begin_beat(header)?.abort_beat();
    let again = engine.begin_beat(header);
    check!(again.is_ok(), "the same number after an abort: {:?}", again.err());
    Ok(())
}

/// The number of a dropped beat is free again.
pub(crate) fn dropped_number_is_free(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    drop(engine.begin_beat(header)?);
    let again = engine.begin_beat(header);
    check!(again.is_ok(), "the same number after a drop: {:?}", again.err());
    Ok(())
}

/// What an aborted beat staged does not appear with the next.
pub(crate) fn abort_does_not_leak_into_the_next_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"leak", b"1")?;
    beat.abort_beat();
    put(&*engine, [("kept", "2")])?;
    check_eq!(get(&*engine, "leak")?, None, "the aborted record after the next beat");
    Ok(())
}

/// While a beat is open, nobody sees anything of it.
pub(crate) fn open_beat_is_invisible(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("seen", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"seen", b"new")?;
    beat.put_record(b"unseen", b"new")?;
    let view = engine.view()?;
    check_eq!(view.get_record(b"seen")?.as_deref(), Some(b"old".as_slice()), "an overwritten record");
    check!(view.get_record(b"unseen")?.is_none(), "a record of an open beat is visible");
    Ok(())
}

/// All records of a beat appear with its commit, as does the removal of others.
pub(crate) fn commit_shows_all_of_the_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["w-dead"])?;
    let wanted: Vec<String> = (0..300).map(|n| format!("w{n:03}")).collect();
    commit(&*engine, |beat| {
        beat.delete_record(b"w-dead")?;
        wanted.iter().try_for_each(|key| beat.put_record(key.as_bytes(), b"1"))
    })?;
    let view = engine.view()?;
    for key in &wanted {
        check!(view.get_record(key.as_bytes())?.is_some(), "record {key} of the beat is missing");
    }
    check!(view.get_record(b"w-dead")?.is_none(), "the deleted record is still there");
    Ok(())
}

/// An empty beat has a number and a receipt.
pub(crate) fn empty_beat_is_ordinary(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let receipt = engine.begin_beat(header)?.commit_beat()?;
    check_eq!(receipt.header, header, "the header of the receipt");
    check_eq!(engine.view()?.header().beat, BeatNo(1), "the beat after an empty one");
    Ok(())
}

/// An empty beat after others keeps their records.
pub(crate) fn empty_beat_keeps_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["stay"])?;
    begin(&*engine)?.commit_beat()?;
    check_eq!(get(&*engine, "stay")?, Some(b"=stay".to_vec()), "the record after an empty beat");
    Ok(())
}

/// The receipt repeats the header, root and all.
pub(crate) fn receipt_carries_the_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(2, level(&*engine), Some([0x5A; 32]))?;
    let receipt = engine.begin_beat(header)?.commit_beat()?;
    check_eq!(receipt.header, header, "the header of the receipt");
    Ok(())
}

/// A beat that asks for no durability is not refused, and the receipt names some.
pub(crate) fn volatile_is_always_accepted(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(1, Durability::Volatile, None)?;
    let receipt = engine.begin_beat(header)?.commit_beat()?;
    check_eq!(receipt.header.durability, Durability::Volatile, "the durability asked for, in the receipt");
    let most = engine.offer().durability_max();
    check!(receipt.reached <= most, "reached {} where {most} is the most on offer", receipt.reached);
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

/// Three thousand records in one beat.
pub(crate) fn three_thousand_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let key = |n: u32| (n.wrapping_mul(2_654_435_761)).to_be_bytes();
    put(&*engine, (0..3000_u32).map(|n| (key(n), n.to_be_bytes())))?;
    let view = engine.view()?;
    for n in 0..3000_u32 {
        let found = view.get_record(&key(n))?;
        check_eq!(found.as_deref(), Some(n.to_be_bytes().as_slice()), "record {n} of 3000");
    }
    Ok(())
}
