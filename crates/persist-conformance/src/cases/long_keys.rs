//! Keys of 65,535 bytes in the verbs that take more than one.

use std::ops::Bound;

use persist_api::{Engine, Error, KeyRange};

use crate::kit::{Stand, close, commit, get, put};
use crate::{CaseResult, Fixture, check_eq};

/// Keys that differ in their last byte.
fn key(last: u8) -> Vec<u8> {
    [vec![b'L'; 65_534], vec![last]].concat()
}

fn with_four(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    let engine = at.open()?;
    let short = (b"short".to_vec(), [0; 3]);
    put(&*engine, std::iter::once(short).chain((1..=4).map(|last| (key(last), [last; 3]))))?;
    Ok(engine)
}

#[track_caller]
fn left(engine: &dyn Engine, expected: &[u8], when: &str) -> CaseResult {
    for last in 1..=4_u8 {
        let value = expected.contains(&last).then(|| vec![last; 3]);
        check_eq!(get(engine, key(last))?, value, "the long key that ends in {last} {when}");
    }
    Ok(())
}

/// Deleting one takes that one.
pub(crate) fn are_deleted(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_four(&at)?;
    commit(&*engine, |beat| beat.delete_record(&key(2)))?;
    left(&*engine, &[1, 3, 4], "after one was deleted")
}

/// They bound a range to the byte.
pub(crate) fn bound_deleted_ranges(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_four(&at)?;
    let (one, three) = (key(1), key(3));
    commit(&*engine, |beat| {
        beat.delete_range(KeyRange::new(Bound::Excluded(&one), Bound::Included(&three)))
    })?;
    left(&*engine, &[1, 4], "after a range was deleted")
}

/// They are found again by the next open.
pub(crate) fn are_kept_over_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(with_four(&at)?)?;
    left(&*at.open()?, &[1, 2, 3, 4], "after reopening")
}
