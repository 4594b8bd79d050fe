//! The header: stored with its beat, and out of reach of its records.

use persist_api::Scan;

use crate::kit::{Stand, begin, commit, get, keys, level, put_keys};
use crate::{CaseResult, Fixture, check_eq};

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
pub(crate) fn comes_back_with_root(fx: &dyn Fixture) -> CaseResult {
    let mut root = [0; 32];
    for (byte, n) in root.iter_mut().zip(0xD0..) {
        *byte = n;
    }
    header_comes_back(fx, Some(root), 1)
}

/// A header without root comes back without.
pub(crate) fn comes_back_without_root(fx: &dyn Fixture) -> CaseResult {
    header_comes_back(fx, None, 1)
}

/// A root of zeros is a root.
pub(crate) fn root_of_zeros_is_a_root(fx: &dyn Fixture) -> CaseResult {
    header_comes_back(fx, Some([0; 32]), 1)
}

/// Many commits in one beat are counted.
pub(crate) fn counts_many_commits(fx: &dyn Fixture) -> CaseResult {
    header_comes_back(fx, None, 70_000)
}

/// A root belongs to its beat: the next header without one has none.
pub(crate) fn root_does_not_linger(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(1, level(&*engine), Some([9; 32]))?;
    engine.begin_beat(header)?.commit_beat()?;
    begin(&*engine)?.commit_beat()?;
    check_eq!(engine.view()?.header().root, None, "the root of a beat without one");
    Ok(())
}

/// The header is no record: a store of empty beats has no rows.
pub(crate) fn is_outside_the_key_space(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for _ in 0..2 {
        begin(&*engine)?.commit_beat()?;
    }
    check_eq!(keys(&*engine.view()?, Scan::all())?, Vec::<String>::new(), "keys after empty beats");
    Ok(())
}

/// No record can hide or change the header: keys of every length, all zeros and all `FF`.
pub(crate) fn is_out_of_reach(fx: &dyn Fixture) -> CaseResult {
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
