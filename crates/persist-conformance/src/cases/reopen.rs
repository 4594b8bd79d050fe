//! What a later open finds.

use persist_api::{BeatNo, CommitNo, KeyRange, Scan};

use crate::kit::{Stand, begin, close, commit, cursor_rows, get, level, pattern, put, put_keys, rows};
use crate::{CaseResult, Fixture, check, check_eq, files};

/// Every record is found again, byte for byte.
pub(crate) fn finds_every_record(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records: Vec<_> = (0..60_u8).map(|n| (vec![n, 255 - n], vec![n; usize::from(n) * 7])).collect();
    put(&*engine, records.iter().map(|(key, value)| (key, value)))?;
    close(engine)?;
    let engine = at.open()?;
    for (key, value) in &records {
        check_eq!(get(&*engine, key)?.as_ref(), Some(value), "record {key:?} after reopening");
    }
    Ok(())
}

/// The header of the last beat is found again whole.
pub(crate) fn finds_the_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(3, level(&*engine), Some([0xA5; 32]))?;
    engine.begin_beat(header)?.commit_beat()?;
    close(engine)?;
    check_eq!(*at.open()?.view()?.header(), header, "the header after reopening");
    Ok(())
}

/// A deleted record does not come back.
pub(crate) fn finds_no_deleted_record(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["dead", "live"])?;
    commit(&*engine, |beat| beat.delete_record(b"dead"))?;
    close(engine)?;
    let engine = at.open()?;
    check_eq!(get(&*engine, "dead")?, None, "the deleted record after reopening");
    check_eq!(get(&*engine, "live")?, Some(b"=live".to_vec()), "its neighbour");
    Ok(())
}

/// A deleted range does not come back.
pub(crate) fn finds_no_deleted_range(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["r0", "r1", "r2", "r3"])?;
    commit(&*engine, |beat| beat.delete_range(KeyRange::of(b"r1".as_slice()..b"r3".as_slice())))?;
    close(engine)?;
    let engine = at.open()?;
    for (key, stays) in [("r0", true), ("r1", false), ("r2", false), ("r3", true)] {
        check_eq!(get(&*engine, key)?.is_some(), stays, "presence of {key} after reopening");
    }
    Ok(())
}

/// Of several beats on one key, the last is found.
pub(crate) fn finds_the_last_overwrite(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in ["first", "second", "third"] {
        put(&*engine, [("turn", turn)])?;
    }
    close(engine)?;
    check_eq!(get(&*at.open()?, "turn")?, Some(b"third".to_vec()), "the record after reopening");
    Ok(())
}

/// Dropping the engine instead of closing it loses nothing.
pub(crate) fn finds_all_after_a_drop(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["d1"])?;
    put_keys(&*engine, ["d2"])?;
    drop(engine);
    let engine = at.open()?;
    check_eq!(get(&*engine, "d1")?, Some(b"=d1".to_vec()), "the first beat's record");
    check_eq!(get(&*engine, "d2")?, Some(b"=d2".to_vec()), "the second beat's record");
    Ok(())
}

/// Numbers go on where they stopped.
pub(crate) fn continues_the_numbers(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["n1"])?;
    put_keys(&*engine, ["n2"])?;
    close(engine)?;
    let engine = at.open()?;
    let receipt = put_keys(&*engine, ["n3"])?;
    check_eq!(receipt.header.beat, BeatNo(3), "the number of the third beat");
    check_eq!(receipt.header.first_commit, CommitNo(3), "the number of its commit");
    Ok(())
}

/// Five openings in a row, each adding a beat.
pub(crate) fn many_times(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    for turn in 1..=5_u8 {
        let engine = at.open()?;
        put_keys(&*engine, [[b'm', turn]])?;
        for earlier in 1..=turn {
            check!(get(&*engine, [b'm', earlier])?.is_some(), "record {earlier} is gone in opening {turn}");
        }
        close(engine)?;
    }
    Ok(())
}

/// An empty last beat is not forgotten.
pub(crate) fn finds_an_empty_last_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["e"])?;
    begin(&*engine)?.commit_beat()?;
    close(engine)?;
    check_eq!(at.open()?.view()?.header().beat, BeatNo(2), "the newest beat");
    Ok(())
}

/// An aborted last beat is forgotten.
pub(crate) fn forgets_an_aborted_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["here"])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"gone", b"1")?;
    beat.abort_beat();
    close(engine)?;
    let engine = at.open()?;
    check_eq!(engine.view()?.header().beat, BeatNo(1), "the newest beat");
    check_eq!(get(&*engine, "gone")?, None, "the aborted record");
    Ok(())
}

/// A value of several hundred kilobytes comes back.
pub(crate) fn finds_a_large_value(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = usize::try_from(engine.offer().limits.value_bytes_max.min(300_000)).unwrap_or(0);
    let value = pattern(length, 251);
    put(&*engine, [("large", &value)])?;
    close(engine)?;
    check!(get(&*at.open()?, "large")?.as_ref() == Some(&value), "the large value differs after reopening");
    Ok(())
}

/// Scans, both ways, and cursors agree after reopening with what they showed before.
pub(crate) fn finds_rows_in_order(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["o9", "o1", "o5"])?;
    put_keys(&*engine, ["o7", "o3"])?;
    let before = rows(&*engine.view()?, Scan::all())?;
    close(engine)?;
    let engine = at.open()?;
    let view = engine.view()?;
    check_eq!(rows(&*view, Scan::all())?, before, "rows after reopening");
    check_eq!(cursor_rows(&*view, Scan::all())?, before, "rows of a cursor after reopening");
    let mut back = rows(&*view, Scan::all().reverse())?;
    back.reverse();
    check_eq!(back, before, "rows backwards after reopening");
    Ok(())
}

/// The directory of a closed store can be copied and opened elsewhere.
pub(crate) fn a_copied_directory_opens(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["copied"])?;
    close(engine)?;
    let copy = at.home.beside("copy");
    files::copy_dir(at.path(), &copy)?;
    check_eq!(get(&*at.open_at(&copy)?, "copied")?, Some(b"=copied".to_vec()), "the record in the copy");
    Ok(())
}
