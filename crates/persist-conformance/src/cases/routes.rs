//! One scenario by every route: the same content must come out, however it came in and however it is read.

use std::collections::BTreeMap;

use persist_api::{CompactScope, Engine, Error, KeyRange, Quiet, Scan};

use super::laid;
use crate::kit::{Row, Stand, close, commit, cursor_rows, get_in, put, rows};
use crate::rng::Rng;
use crate::{CaseResult, Failure, Fixture, check, check_eq};

/// Three hundred random records over a small alphabet, so that keys share beginnings.
fn content(seed: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rng = Rng::new(seed ^ 0x7275_7465);
    let mut records = BTreeMap::new();
    while records.len() < 300 {
        let length = 1 + rng.below(12);
        let key = (0..length).map(|_| rng.pick(&[1, b'a', b'b', 0x7f, 0x80, 0xff], 1)).collect();
        let value = vec![rng.next().to_le_bytes()[0]; usize::try_from(20 + rng.below(60)).unwrap_or(20)];
        records.insert(key, value);
    }
    records
}

/// The records in an order that is none.
fn shuffled(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<(&Vec<u8>, &Vec<u8>)> {
    let mut all: Vec<_> = records.iter().collect();
    all.sort_by_key(|(key, _)| crc32c::crc32c(key));
    all
}

fn sorted(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Row> {
    records.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

type Way = fn(&dyn Engine, &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error>;

/// Writes the content in some way and reads it back in every way.
fn by(fx: &dyn Fixture, write: Way) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed());
    write(&*engine, &records)?;
    shows(&*engine, &sorted(&records))
}

#[track_caller]
fn shows(engine: &dyn Engine, expected: &[Row]) -> Result<(), Failure> {
    let view = engine.view()?;
    check!(rows(&*view, Scan::all())? == expected, "the rows of the visitor differ");
    for (key, value) in expected {
        check!(get_in(&*view, key)?.as_ref() == Some(value), "record {} differs", key.escape_ascii());
    }
    Ok(())
}

/// In one beat, in order.
pub(crate) fn one_beat_in_order(fx: &dyn Fixture) -> CaseResult {
    by(fx, |engine, records| put(engine, records).map(drop))
}

/// In one beat, backwards.
pub(crate) fn one_beat_backwards(fx: &dyn Fixture) -> CaseResult {
    by(fx, |engine, records| put(engine, records.iter().rev()).map(drop))
}

/// In ten beats, dealt out like cards.
pub(crate) fn ten_beats_dealt_out(fx: &dyn Fixture) -> CaseResult {
    by(fx, |engine, records| {
        (0..10).try_for_each(|hand| put(engine, records.iter().skip(hand).step_by(10)).map(drop))
    })
}

/// Each record first wrong, then right.
pub(crate) fn overwritten(fx: &dyn Fixture) -> CaseResult {
    by(fx, |engine, records| {
        put(engine, records.keys().map(|key| (key, b"wrong")))?;
        put(engine, shuffled(records)).map(drop)
    })
}

/// With as many others that are deleted again, one by one.
pub(crate) fn with_others_deleted(fx: &dyn Fixture) -> CaseResult {
    by(fx, |engine, records| {
        let others: Vec<Vec<u8>> = records.keys().map(|key| [key.as_slice(), b"~other"].concat()).collect();
        put(engine, others.iter().map(|key| (key, b"other")))?;
        put(engine, shuffled(records))?;
        commit(engine, |beat| others.iter().try_for_each(|key| beat.delete_record(key))).map(drop)
    })
}

/// After a whole earlier content was deleted as one range.
pub(crate) fn after_a_deleted_range(fx: &dyn Fixture) -> CaseResult {
    by(fx, |engine, records| {
        put(engine, records.keys().map(|key| ([b"a", key.as_slice()].concat(), b"earlier")))?;
        commit(engine, |beat| {
            beat.delete_range(KeyRange::all())?;
            records.iter().try_for_each(|(key, value)| beat.put_record(key, value))
        })
        .map(drop)
    })
}

/// Read by cursors, both ways.
pub(crate) fn read_by_cursors(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed().wrapping_add(1));
    put(&*engine, shuffled(&records))?;
    let view = engine.view()?;
    let mut expected = sorted(&records);
    check!(cursor_rows(&*view, Scan::all())? == expected, "the rows of a cursor differ");
    expected.reverse();
    check!(cursor_rows(&*view, Scan::all().reverse())? == expected, "the rows of a cursor backwards differ");
    check!(rows(&*view, Scan::all().reverse())? == expected, "the rows backwards differ");
    Ok(())
}

/// Read by the prefixes that share beginnings.
pub(crate) fn read_by_prefixes(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed().wrapping_add(2));
    put(&*engine, shuffled(&records))?;
    let view = engine.view()?;
    for prefix in [b"".as_slice(), b"a", b"ab", b"\xff", b"\xff\xff", b"\0", b"\x7f\x80"] {
        let expected: Vec<Row> =
            sorted(&records).into_iter().filter(|row| row.0.starts_with(prefix)).collect();
        check_eq!(rows(&*view, Scan::prefix(prefix))?, expected, "rows of prefix {prefix:x?}");
        let page = expected.iter().take(3).cloned().collect::<Vec<_>>();
        check_eq!(rows(&*view, Scan::prefix(prefix).limit(3))?, page, "three rows of prefix {prefix:x?}");
    }
    Ok(())
}

/// Read page by page: each page begins after the last key of the one before.
pub(crate) fn read_by_pages(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed().wrapping_add(3));
    put(&*engine, shuffled(&records))?;
    let view = engine.view()?;
    let (mut found, mut after): (Vec<Row>, Option<Vec<u8>>) = (Vec::new(), None);
    for _ in 0..50 {
        let start = after.as_deref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = KeyRange::new(start, std::ops::Bound::Unbounded);
        let page = rows(&*view, Scan::range(range).limit(7))?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page);
    }
    check!(found == sorted(&records), "the rows of all pages differ");
    Ok(())
}

/// Closed and opened between any two beats.
pub(crate) fn reopened_between_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let records = content(fx.seed().wrapping_add(4));
    for hand in 0..4 {
        let engine = at.open()?;
        put(&*engine, records.iter().skip(hand).step_by(4))?;
        close(engine)?;
    }
    shows(&*at.open()?, &sorted(&records))
}

/// Through a checkpoint in the middle and a reopening.
pub(crate) fn through_a_checkpoint(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed().wrapping_add(5));
    put(&*engine, records.keys().map(|key| (key, b"before the checkpoint")))?;
    engine.checkpoint()?;
    put(&*engine, shuffled(&records))?;
    close(engine)?;
    shows(&*at.open()?, &sorted(&records))
}

/// Through compacting after half was deleted.
pub(crate) fn through_compacting(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut records = content(fx.seed().wrapping_add(6));
    put(&*engine, shuffled(&records))?;
    let doomed: Vec<Vec<u8>> = records.keys().step_by(2).cloned().collect();
    commit(&*engine, |beat| doomed.iter().try_for_each(|key| beat.delete_record(key)))?;
    records.retain(|key, _| doomed.binary_search(key).is_err());
    engine.compact(CompactScope::default(), &Quiet)?;
    shows(&*engine, &sorted(&records))
}

/// Through a backup of a backup.
pub(crate) fn through_two_backups(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed().wrapping_add(7));
    put(&*engine, shuffled(&records))?;
    let (one, two) = (at.home.beside("one"), at.home.beside("two"));
    engine.backup(&one, &Quiet)?;
    at.open_at(&one)?.backup(&two, &Quiet)?;
    shows(&*at.open_at(&two)?, &sorted(&records))
}

/// Copied row by row into another store of the same engine, as a migration would.
pub(crate) fn copied_row_by_row(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records = content(fx.seed().wrapping_add(8));
    put(&*engine, shuffled(&records))?;
    let options = at.options_with(|options| options.importing = true);
    let other = at.driver().open(&at.home.beside("other"), &options, &Quiet)?;
    let view = engine.view()?;
    let mut beat = other.begin_beat(*view.header())?;
    let mut copied = Ok(());
    view.scan(Scan::all(), &mut |key, value| {
        copied = beat.put_record(key, value);
        if copied.is_ok() { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
    })?;
    copied?;
    beat.commit_beat()?;
    check_eq!(*other.view()?.header(), *view.header(), "the header of the copy");
    shows(&*other, &sorted(&records))
}

/// All of maintenance in a row, and the rows are the same.
pub(crate) fn through_everything(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid::laid(&at)?;
    let into = at.home.beside("backup");
    engine.checkpoint()?;
    engine.compact(CompactScope::default(), &Quiet)?;
    engine.backup(&into, &Quiet)?;
    engine.verify(&mut |_| (), &Quiet)?;
    check_eq!(rows(&*engine.view()?, Scan::all())?, laid::expected(), "rows after all verbs");
    check_eq!(rows(&*at.open_at(&into)?.view()?, Scan::all())?, laid::expected(), "rows of the backup");
    Ok(())
}
