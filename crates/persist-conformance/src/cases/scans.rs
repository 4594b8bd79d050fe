//! The visitor: order, direction, limits, prefixes.

use std::ops::{Bound, ControlFlow};

use persist_api::{KeyRange, Scan};

use crate::kit::{Stand, keys, put, put_keys, rows, value_of};
use crate::{CaseResult, Fixture, check, check_eq};

/// Puts the keys and scans; the keys that come back, escaped.
fn scanned<K: AsRef<[u8]>>(
    fx: &dyn Fixture,
    records: impl IntoIterator<Item = K>,
    scan: Scan<'_>,
) -> Result<Vec<String>, crate::Failure> {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, records)?;
    Ok(keys(&*engine.view()?, scan)?)
}

/// Bytes compare unsigned: `7F` before `80`.
pub(crate) fn bytes_are_unsigned(fx: &dyn Fixture) -> CaseResult {
    let found = scanned(fx, [b"\x80", b"\x7f", b"\xff", b"\x00", b"\x01"], Scan::all())?;
    check_eq!(found, ["\\x00", "\\x01", "\\x7f", "\\x80", "\\xff"], "order of single bytes");
    Ok(())
}

/// A key comes before those that begin with it.
pub(crate) fn shorter_comes_first(fx: &dyn Fixture) -> CaseResult {
    let found = scanned(fx, ["aa\0", "aab", "aa", "a", "b"], Scan::all())?;
    check_eq!(found, ["a", "aa", "aa\\x00", "aab", "b"], "order of keys that begin alike");
    Ok(())
}

/// Length does not matter before content: `10` comes before `9`.
pub(crate) fn order_is_not_by_length(fx: &dyn Fixture) -> CaseResult {
    let found = scanned(fx, ["9", "10", "100", "2"], Scan::all())?;
    check_eq!(found, ["10", "100", "2", "9"], "order of digits");
    Ok(())
}

/// Order is by bytes, not by letters.
pub(crate) fn order_is_not_by_letters(fx: &dyn Fixture) -> CaseResult {
    let found = scanned(fx, ["b", "B", "a", "A", "_"], Scan::all())?;
    check_eq!(found, ["A", "B", "_", "a", "b"], "order of letters");
    Ok(())
}

/// An empty store has no rows, either way.
pub(crate) fn empty_store_has_no_rows(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let view = engine.view()?;
    check_eq!(keys(&*view, Scan::all())?.len(), 0, "rows of an empty store");
    check_eq!(keys(&*view, Scan::all().reverse())?.len(), 0, "rows of an empty store, backwards");
    Ok(())
}

/// Backwards is forwards turned round.
pub(crate) fn reverse_turns_round(fx: &dyn Fixture) -> CaseResult {
    let found = scanned(fx, ["a", "ab", "b", "c\0", "c"], Scan::all().reverse())?;
    check_eq!(found, ["c\\x00", "c", "b", "ab", "a"], "keys backwards");
    Ok(())
}

const FIVE: [&str; 5] = ["l1", "l2", "l3", "l4", "l5"];

/// At most `limit` rows, the first ones.
pub(crate) fn limit_takes_the_first(fx: &dyn Fixture) -> CaseResult {
    check_eq!(scanned(fx, FIVE, Scan::all().limit(2))?, ["l1", "l2"], "two rows");
    Ok(())
}

/// Backwards, the last ones.
pub(crate) fn limit_backwards_takes_the_last(fx: &dyn Fixture) -> CaseResult {
    check_eq!(scanned(fx, FIVE, Scan::all().reverse().limit(2))?, ["l5", "l4"], "two rows backwards");
    Ok(())
}

/// A limit of 0 is no rows, not all.
pub(crate) fn limit_of_zero_is_none(fx: &dyn Fixture) -> CaseResult {
    let none: [&str; 0] = [];
    check_eq!(scanned(fx, FIVE, Scan::all().limit(0))?, none, "a limit of 0");
    Ok(())
}

/// A limit that is just the number of rows.
pub(crate) fn limit_that_fits_exactly(fx: &dyn Fixture) -> CaseResult {
    check_eq!(scanned(fx, FIVE, Scan::all().limit(5))?, FIVE, "a limit of the number of rows");
    Ok(())
}

/// A limit beyond the rows, and beyond what signed numbers hold.
pub(crate) fn limit_beyond_the_rows(fx: &dyn Fixture) -> CaseResult {
    check_eq!(scanned(fx, FIVE, Scan::all().limit(u64::MAX - 1))?, FIVE, "a limit of 2^64-2");
    check_eq!(scanned(fx, FIVE, Scan::all().limit(1 << 63))?, FIVE, "a limit of 2^63");
    Ok(())
}

/// Limit and range together.
pub(crate) fn limit_within_a_range(fx: &dyn Fixture) -> CaseResult {
    let range = KeyRange::of(b"l2".as_slice()..b"l5".as_slice());
    check_eq!(scanned(fx, FIVE, Scan::range(range.clone()).limit(2))?, ["l2", "l3"], "two of l2..l5");
    let back = Scan::range(range).reverse().limit(2);
    check_eq!(scanned(fx, FIVE, back)?, ["l4", "l3"], "two of l2..l5 backwards");
    Ok(())
}

/// `Break` ends the scan at that row, without an error.
pub(crate) fn break_ends_at_once(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, FIVE)?;
    let mut seen = 0;
    let ended = engine.view()?.scan(Scan::all(), &mut |_, _| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    check!(ended.is_ok(), "a scan ended by its visitor: {:?}", ended.err());
    check_eq!(seen, 2, "rows seen before and with the break");
    Ok(())
}

/// `Break` backwards.
pub(crate) fn break_ends_backwards(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, FIVE)?;
    let mut seen = Vec::new();
    engine.view()?.scan(Scan::all().reverse(), &mut |key, _| {
        seen.push(key.to_vec());
        if key == b"l3" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    check_eq!(seen, [b"l5", b"l4", b"l3"], "rows seen backwards");
    Ok(())
}

/// A scan without values shows the same keys.
pub(crate) fn keys_only_shows_the_keys(fx: &dyn Fixture) -> CaseResult {
    check_eq!(scanned(fx, FIVE, Scan::all().keys_only())?, FIVE, "keys of a scan without values");
    Ok(())
}

/// A scan without values shows none, or the right one.
pub(crate) fn keys_only_shows_no_wrong_value(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, FIVE)?;
    for (key, value) in rows(&*engine.view()?, Scan::all().keys_only())? {
        check!(value.is_empty() || value == value_of(&key), "a wrong value in a scan without: {value:?}");
    }
    Ok(())
}

/// A prefix finds the keys that begin with it, itself included.
pub(crate) fn prefix_finds_its_keys(fx: &dyn Fixture) -> CaseResult {
    let records = ["o", "p", "pa", "paz", "pb", "q"];
    check_eq!(scanned(fx, records, Scan::prefix(b"pa"))?, ["pa", "paz"], "prefix pa");
    check_eq!(scanned(fx, records, Scan::prefix(b"p"))?, ["p", "pa", "paz", "pb"], "prefix p");
    Ok(())
}

/// A prefix that ends in `FF` ends where its shorter successor begins.
pub(crate) fn prefix_that_ends_in_ff(fx: &dyn Fixture) -> CaseResult {
    let records: [&[u8]; 5] = [b"a\xfe", b"a\xff", b"a\xff\xff", b"b", b"b\0"];
    let found = scanned(fx, records, Scan::prefix(b"a\xff"))?;
    check_eq!(found, ["a\\xff", "a\\xff\\xff"], "prefix 61 FF");
    Ok(())
}

/// A prefix of `FF` alone has no successor: it ends with the store.
pub(crate) fn prefix_of_ff_only(fx: &dyn Fixture) -> CaseResult {
    let records: [&[u8]; 5] = [b"\xfe\xff", b"\xff", b"\xff\xff", b"\xff\xff\x01", b"\xff\xff\xff"];
    let found = scanned(fx, records, Scan::prefix(b"\xff\xff"))?;
    check_eq!(found, ["\\xff\\xff", "\\xff\\xff\\x01", "\\xff\\xff\\xff"], "prefix FF FF");
    Ok(())
}

/// A prefix beyond all keys finds none, and one before all neither.
pub(crate) fn prefix_beyond_the_keys(fx: &dyn Fixture) -> CaseResult {
    let none: [&str; 0] = [];
    check_eq!(scanned(fx, FIVE, Scan::prefix(b"m"))?, none, "a prefix after all keys");
    check_eq!(scanned(fx, FIVE, Scan::prefix(b"k"))?, none, "a prefix before all keys");
    Ok(())
}

/// A prefix backwards.
pub(crate) fn prefix_backwards(fx: &dyn Fixture) -> CaseResult {
    let records = ["o", "p", "pa", "pb", "q"];
    check_eq!(scanned(fx, records, Scan::prefix(b"p").reverse())?, ["pb", "pa", "p"], "prefix p backwards");
    Ok(())
}

/// A prefix of `FF` backwards begins at the end of the store.
pub(crate) fn prefix_of_ff_backwards(fx: &dyn Fixture) -> CaseResult {
    let records: [&[u8]; 4] = [b"\xfe", b"\xff", b"\xff\x01", b"\xff\xff\xff"];
    let found = scanned(fx, records, Scan::prefix(b"\xff").reverse())?;
    check_eq!(found, ["\\xff\\xff\\xff", "\\xff\\x01", "\\xff"], "prefix FF backwards");
    Ok(())
}

/// `scan_prefix` does what a scan of the prefix does.
pub(crate) fn scan_prefix_is_a_scan(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["x", "xy", "xyz", "y"])?;
    let view = engine.view()?;
    let mut found = Vec::new();
    view.scan_prefix(b"xy", &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    check_eq!(found, rows(&*view, Scan::prefix(b"xy"))?, "rows of scan_prefix");
    check_eq!(found.len(), 2, "how many rows");
    Ok(())
}

/// Scans can be nested in one view.
pub(crate) fn scans_nest(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["n1", "n2", "n3"])?;
    let view = engine.view()?;
    let (mut pairs, mut failed) = (0, None);
    view.scan(Scan::all(), &mut |_, _| {
        let inner = view.scan(Scan::all().reverse(), &mut |_, _| {
            pairs += 1;
            ControlFlow::Continue(())
        });
        failed = failed.take().or(inner.err());
        ControlFlow::Continue(())
    })?;
    check!(failed.is_none(), "a scan inside a scan: {failed:?}");
    check_eq!(pairs, 9, "rows of three scans inside a scan of three");
    Ok(())
}

/// A thousand rows come in order, each once.
pub(crate) fn a_thousand_rows(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let key = |n: u32| n.wrapping_mul(40_503).to_be_bytes();
    put(&*engine, (0..1000_u32).map(|n| (key(n), n.to_be_bytes())))?;
    let mut expected: Vec<_> = (0..1000_u32).map(|n| (key(n).to_vec(), n.to_be_bytes().to_vec())).collect();
    expected.sort();
    let view = engine.view()?;
    check!(rows(&*view, Scan::all())? == expected, "a thousand rows differ");
    expected.reverse();
    check!(rows(&*view, Scan::all().reverse())? == expected, "a thousand rows backwards differ");
    Ok(())
}

/// Rows with values larger than a page are whole.
pub(crate) fn rows_with_large_values(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let value = |n: u8| vec![n; 20_000 + usize::from(n)];
    put(&*engine, (1..6_u8).map(|n| (vec![n], value(n))))?;
    let found = rows(&*engine.view()?, Scan::all())?;
    check_eq!(found.len(), 5, "rows");
    for (key, bytes) in found {
        let n = key.first().copied().unwrap_or(0);
        check!(bytes == value(n), "the large value of row {n} differs");
    }
    Ok(())
}

/// Rows with empty values are rows.
pub(crate) fn rows_with_empty_values(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("ev1", ""), ("ev2", "x"), ("ev3", "")])?;
    let found = rows(&*engine.view()?, Scan::all())?;
    let lengths: Vec<usize> = found.iter().map(|(_, value)| value.len()).collect();
    check_eq!(lengths, [0, 1, 0], "lengths of the values of three rows");
    Ok(())
}

/// A deleted row is skipped, both ways.
pub(crate) fn deleted_rows_are_skipped(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["d1", "d2", "d3"])?;
    crate::kit::commit(&*engine, |beat| beat.delete_record(b"d2"))?;
    let view = engine.view()?;
    check_eq!(keys(&*view, Scan::all())?, ["d1", "d3"], "rows after a delete");
    check_eq!(keys(&*view, Scan::all().reverse())?, ["d3", "d1"], "rows after a delete, backwards");
    Ok(())
}

/// Rows of several beats come in one order.
pub(crate) fn rows_of_many_beats_merge(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for batch in [["m5", "m1"], ["m3", "m9"], ["m1", "m7"]] {
        put_keys(&*engine, batch)?;
    }
    check_eq!(keys(&*engine.view()?, Scan::all())?, ["m1", "m3", "m5", "m7", "m9"], "rows of three beats");
    Ok(())
}

/// A range of exactly one zero byte more than its start holds one key at most.
pub(crate) fn range_of_the_immediate_successor(fx: &dyn Fixture) -> CaseResult {
    let range = KeyRange::new(Bound::Included(b"s"), Bound::Excluded(b"s\0"));
    check_eq!(scanned(fx, ["r", "s", "s\0", "t"], Scan::range(range))?, ["s"], "s..s\\0");
    Ok(())
}
