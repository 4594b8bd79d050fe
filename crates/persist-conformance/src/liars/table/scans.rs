//! Lies about the visitor.

use std::ops::{Bound, ControlFlow};

use persist_api::{ErrorKind, KeyRange, Scan, prefix_successor};

use super::help::{
    altered, elsewhere, emit, fault, forward, honest_rows, is_prefix, key_of, kinds, liars, with_kinds,
};

fn is_all(scan: &Scan<'_>) -> bool {
    scan.range == KeyRange::all()
}

liars! { SCANS:
    bytes_are_signed "Keys of one length are ordered by signed bytes."
        ["scans::a_thousand_rows" "scans::bytes_are_unsigned"] Full
        { scan: |view, scan, visit| {
            let sort = is_all(&scan) && forward(&scan);
            altered(view, &scan, visit, |rows| {
                let length = rows.first().map_or(0, |row| row.0.len());
                if sort && rows.len() > 3 && rows.iter().all(|row| row.0.len() == length) {
                    rows.sort_by_key(|row| row.0.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>());
                }
            })
        } }
    a_trailing_zero_comes_first "A key comes after the same with a zero byte."
        ["scans::shorter_comes_first"] Full
        { scan: |view, scan, visit| {
            let sort = forward(&scan);
            altered(view, &scan, visit, |rows| if sort {
                for at in 1..rows.len() {
                    let swap = matches!(rows.get(at - 1..=at), Some([one, two]) if one.0.len() > 1 && two.0.strip_suffix(b"\0") == Some(&one.0));
                    if swap { rows.swap(at - 1, at); }
                }
            })
        } }
    digits_are_numbers "Keys of digits are ordered as numbers."
        ["scans::order_is_not_by_length"] Full
        { scan: |view, scan, visit| altered(view, &scan, visit, |rows| {
            if rows.iter().all(|row| row.0.iter().all(u8::is_ascii_digit)) { rows.sort_by_key(|row| row.0.len()); }
        }) }
    letters_are_ordered_without_case "Keys of one letter are ordered as in a dictionary."
        ["scans::order_is_not_by_letters"] Full
        { scan: |view, scan, visit| {
            let sort = forward(&scan);
            altered(view, &scan, visit, |rows| {
                if sort && rows.iter().all(|row| row.0.len() == 1 && row.0.is_ascii()) { rows.sort_by_key(|row| row.0.to_ascii_lowercase()); }
            })
        } }
    an_empty_store_can_not_be_scanned "Scanning a store without beats is an error."
        ["scans::empty_store_has_no_rows"] Full
        { scan: |view, scan, visit| if view.own == 0 { Err(fault(ErrorKind::Stale, "scan")) } else { view.inner().scan(scan, visit) } }
    backwards_begins_after_a_zero "A scan backwards over everything skips a last key that ends in a zero byte."
        ["ranges::every_pair_by_visitor" "scans::reverse_turns_round"] Full
        { scan: |view, scan, visit| {
            let skip = !forward(&scan);
            altered(view, &scan, visit, |rows| if skip && rows.first().is_some_and(|row| row.0.ends_with(b"\0")) { rows.remove(0); })
        } }
    limits_count_from_zero "A scan over everything shows one row more than its limit."
        ["routes::read_by_prefixes" "scans::limit_of_zero_is_none" "scans::limit_takes_the_first"] Full
        { scan: |view, scan, visit| {
            let limit = if is_all(&scan) && forward(&scan) { scan.limit.saturating_add(1) } else { scan.limit };
            view.inner().scan(Scan { limit, ..scan }, visit)
        } }
    limits_backwards_count_from_zero "A scan backwards shows one row more than its limit."
        ["scans::limit_backwards_takes_the_last" "scans::limit_within_a_range"] Full
        { scan: |view, scan, visit| {
            let limit = if forward(&scan) { scan.limit } else { scan.limit.saturating_add(1) };
            view.inner().scan(Scan { limit, ..scan }, visit)
        } }
    a_limit_of_zero_is_none "A limit of 0 is taken for no limit."
        ["scans::limit_of_zero_is_none"] Full
        { scan: |view, scan, visit| {
            let limit = if scan.limit == 0 { u64::MAX } else { scan.limit };
            view.inner().scan(Scan { limit, ..scan }, visit)
        } }
    a_limit_that_fits_is_short "A limit of just the number of rows shows one row less."
        ["scans::limit_that_fits_exactly"] Full
        { scan: |view, scan, visit| {
            let all = is_all(&scan) && honest_rows(view.inner(), &scan)?.len() as u64 == scan.limit;
            let limit = if all { scan.limit.saturating_sub(1) } else { scan.limit };
            view.inner().scan(Scan { limit, ..scan }, visit)
        } }
    limits_are_signed "A limit beyond 2^63 is negative, which is none."
        ["scans::limit_beyond_the_rows"] Full
        { scan: |view, scan, visit| {
            let limit = if scan.limit > i64::MAX as u64 && scan.limit < u64::MAX { 0 } else { scan.limit };
            view.inner().scan(Scan { limit, ..scan }, visit)
        } }
    limits_do_not_hold_in_ranges "A scan with both bounds has no limit."
        ["routes::read_by_prefixes" "scans::limit_within_a_range"] Full
        { scan: |view, scan, visit| {
            let limit = if kinds(&scan.range) == ('i', 'e') { u64::MAX } else { scan.limit };
            view.inner().scan(Scan { limit, ..scan }, visit)
        } }
    break_comes_one_row_late "After Break, one more row is shown."
        ["scans::break_ends_at_once"] Full
        { scan: |view, scan, visit| {
            let mut late = forward(&scan);
            let mut broken = false;
            view.inner().scan(scan, &mut |key, value| {
                if broken { late = false; }
                broken |= visit(key, value).is_break();
                if broken && !late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        } }
    break_backwards_comes_one_row_late "After Break in a scan backwards, one more row is shown."
        ["scans::break_ends_backwards"] Full
        { scan: |view, scan, visit| {
            let mut late = !forward(&scan);
            let mut broken = false;
            view.inner().scan(scan, &mut |key, value| {
                if broken { late = false; }
                broken |= visit(key, value).is_break();
                if broken && !late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        } }
    break_is_an_error "A scan that its visitor ended fails."
        ["scans::break_ends_at_once" "scans::break_ends_backwards"] Full
        { scan: |view, scan, visit| {
            let mut broken = false;
            view.inner().scan(scan, &mut |key, value| { let flow = visit(key, value); broken |= flow.is_break(); flow })?;
            if broken { Err(fault(ErrorKind::Cancelled, "scan")) } else { Ok(()) }
        } }
    keys_only_loses_the_last "A scan without values loses its last row."
        ["scans::keys_only_shows_the_keys"] Full
        { scan: |view, scan, visit| {
            let lose = scan.keys_only;
            altered(view, &scan, visit, |rows| if lose { rows.pop(); })
        } }
    keys_only_shows_the_key_as_value "A scan without values shows the key instead."
        ["scans::keys_only_shows_no_wrong_value"] Full
        { scan: |view, scan, visit| {
            let wrong = scan.keys_only;
            view.inner().scan(scan, &mut |key, value| visit(key, if wrong { key } else { value }))
        } }
    prefixes_exclude_themselves "A scan of a prefix leaves out the prefix itself."
        ["ranges::every_pair_by_visitor" "routes::read_by_prefixes" "scans::prefix_finds_its_keys" "scans::scan_prefix_is_a_scan"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (forward(scan) && is_prefix(&scan.range) && key_of(scan.range.start()).is_ascii() && kinds(&scan.range).1 == 'e').then(|| with_kinds(&scan.range, 'e', 'e'))
        }) }
    prefixes_wrap_at_ff "The end of a prefix that ends in FF wraps round."
        ["scans::prefix_that_ends_in_ff"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            let start = key_of(scan.range.start());
            (is_prefix(&scan.range) && start.ends_with(b"\xff") && kinds(&scan.range).1 == 'e').then(super::help::nothing)
        }) }
    prefixes_of_ff_are_empty "A prefix of FF bytes alone has no rows."
        ["ranges::every_pair_by_visitor" "routes::read_by_prefixes" "scans::prefix_of_ff_only"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (forward(scan) && is_prefix(&scan.range) && prefix_successor(key_of(scan.range.start())).is_none()).then(super::help::nothing)
        }) }
    prefixes_of_ff_are_empty_backwards "A prefix of FF bytes alone has no rows backwards."
        ["ranges::every_pair_by_visitor" "scans::prefix_of_ff_backwards"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (!forward(scan) && is_prefix(&scan.range) && prefix_successor(key_of(scan.range.start())).is_none()).then(super::help::nothing)
        }) }
    prefixes_without_keys_show_the_next "A prefix that no key has shows the row after it."
        ["routes::read_by_prefixes" "scans::prefix_beyond_the_keys"] Full
        { scan: |view, scan, visit| {
            let range = scan.range.clone();
            let rows = honest_rows(view.inner(), &scan)?;
            if rows.is_empty() && is_prefix(&range) {
                let next = Scan::range(KeyRange::new(range.start(), Bound::Unbounded)).limit(1);
                return view.inner().scan(next, visit);
            }
            emit(&rows, &scan, visit);
            Ok(())
        } }
    prefixes_backwards_begin_too_late "A prefix backwards begins with the key after it."
        ["ranges::every_pair_by_visitor" "scans::prefix_backwards"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (!forward(scan) && is_prefix(&scan.range) && kinds(&scan.range).1 == 'e').then(|| with_kinds(&scan.range, 'i', 'i'))
        }) }
    scan_prefix_loses_the_last "scan_prefix loses its last row."
        ["scans::scan_prefix_is_a_scan"] Full
        { scan_prefix: |view, prefix, visit| altered(view, &Scan::prefix(prefix), visit, |rows| { rows.pop(); }) }
    scans_do_not_nest "A scan inside a scan is Busy."
        ["scans::scans_nest"] Full
        { scan: |view, scan, visit| {
            if view.ctx.notes().n == 1 && !view.ctx.elsewhere() { return Err(fault(ErrorKind::Busy, "scan")); }
            view.ctx.notes().n = u64::from(!view.ctx.elsewhere());
            let done = view.inner().scan(scan, visit);
            view.ctx.notes().n = 0;
            done
        } }
    batches_overlap "The row where a batch of 512 ends is shown twice."
        ["scans::a_thousand_rows"] Full
        { scan: |view, scan, visit| altered(view, &scan, visit, |rows| {
            if let Some(row) = rows.get(512).cloned() { rows.insert(512, row); }
        }) }
    rows_are_cut_at_16k "Values longer than 16 KiB are cut in scans."
        ["scans::rows_with_large_values"] Full
        { scan: |view, scan, visit| view.inner().scan(scan, &mut |key, value| visit(key, value.get(..16_384).unwrap_or(value))) }
    rows_without_bytes_are_skipped "Rows with the empty value are skipped in scans."
        ["scans::rows_with_empty_values"] Full
        { scan: |view, scan, visit| {
            let keys_only = scan.keys_only;
            view.inner().scan(scan, &mut |key, value| {
                if value.is_empty() && !keys_only { ControlFlow::Continue(()) } else { visit(key, value) }
            })
        } }
    deleted_rows_show_backwards "A row that was deleted shows in scans backwards."
        ["history::shows_every_beat_by_scan" "scans::deleted_rows_are_skipped"] Full
        { scan: |view, scan, visit| {
            let ghosts: Vec<_> = view.ctx.notes().history.iter()
                .filter(|(_, beats)| matches!(beats.last(), Some((beat, None)) if *beat <= view.own))
                .filter(|(key, _)| scan.range.contains(key))
                .map(|(key, _)| (key.clone(), Vec::new())).collect();
            let back = !forward(&scan);
            altered(view, &scan, visit, |rows| if back { rows.extend(ghosts); rows.sort(); rows.reverse(); })
        } }
    old_runs_show_through "A row that was put again two beats later shows twice."
        ["scans::rows_of_many_beats_merge"] Full
        { scan: |view, scan, visit| {
            let twice: Vec<Vec<u8>> = view.ctx.notes().history.iter()
                .filter(|(_, beats)| matches!((beats.first(), beats.last()), (Some((one, _)), Some((two, _))) if *two == *one + 2))
                .map(|(key, _)| key.clone()).collect();
            // Beside beats of other threads, that would be met by chance.
            let here = !view.ctx.elsewhere();
            altered(view, &scan, visit, |rows| {
                if let Some(row) = rows.iter().find(|row| here && twice.contains(&row.0)).cloned() { rows.push(row); rows.sort(); }
            })
        } }
    a_successor_is_no_end "A range that ends one zero byte after its start is empty."
        ["ranges::every_pair_by_visitor" "scans::range_of_the_immediate_successor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            let (start, end) = (key_of(scan.range.start()), key_of(scan.range.end()));
            (kinds(&scan.range) == ('i', 'e') && end.strip_suffix(b"\0") == Some(start)).then(super::help::nothing)
        }) }
}
