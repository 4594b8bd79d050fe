//! Lies about what the next open finds.

use persist_api::{BeatHeader, BeatNo, Durability, ErrorKind};

use super::help::{altered, fault, forward, found, liars};
use crate::liars::filed::{State, inspect};
use crate::liars::wrap::Op;

liars! { REOPEN:
    empty_values_are_lost_by_closing "After reopening, records with the empty value are gone."
        ["reopen::finds_every_record"] Full
        { get: |view, key| Ok(view.inner().get_record(key)?.filter(|value| !view.ctx.reopened || !value.is_empty())) }
    roots_are_lost_by_closing "After reopening, the header has no root."
        ["reopen::finds_the_header"] Full
        { header: |ctx, header| BeatHeader { root: header.root.filter(|_| !ctx.reopened || ctx.home(|n| n.backup_of.is_some())), ..header } }
    deletes_are_lost_by_closing "After reopening, records that were deleted one by one are back."
        ["checkpoint::then_reopen" "compact::revives_nothing" "compact::stops_when_asked" "compact::then_reopen" "reopen::finds_no_deleted_record"] Full
        { delete: |beat, key| {
            beat.ctx.home(|notes| notes.keys.insert(key.to_vec()));
            beat.inner()?.delete_record(key)
        }, get: |view, key| {
            let ghost = view.ctx.reopened && view.ctx.home(|notes| notes.keys.contains(key));
            match view.inner().get_record(key)? { None if ghost => found("ghost"), other => Ok(other) }
        } }
    deleted_ranges_are_lost_by_closing "After reopening, records of deleted ranges are back."
        ["compact::revives_nothing" "reopen::finds_no_deleted_range"] Full
        { range: |beat, range| {
            beat.ctx.home(|notes| notes.ranges.push(range.clone().into_owned()));
            beat.inner()?.delete_range(range)
        }, get: |view, key| {
            let ghost = view.ctx.reopened && view.ctx.home(|notes| notes.ranges.iter().any(|range| range.contains(key)));
            match view.inner().get_record(key)? { None if ghost => found("ghost"), other => Ok(other) }
        } }
    overwrites_are_lost_by_closing "After reopening, a record that was overwritten in later beats shows its first value."
        ["history::is_kept_over_reopening" "reopen::finds_no_deleted_record" "reopen::finds_the_last_overwrite" "routes::through_a_checkpoint"] Full
        { commit: |beat| {
            for op in &beat.ops {
                if let Op::Put(key, value) = op && key.len() > 2 {
                    beat.ctx.home(|notes| { notes.values.entry(key.clone()).or_insert_with(|| value.clone()); });
                }
            }
            beat.commit()
        }, get: |view, key| match view.ctx.home(|notes| notes.values.get(key).cloned()) {
            Some(first) if view.ctx.reopened => found(first),
            _ => view.inner().get_record(key),
        } }
    dropping_loses_the_last_beat "Dropping the engine without closing it loses a last beat that was not durable."
        ["checkpoint::after_every_beat" "open::open_after_a_beat_was_left_open" "reopen::finds_all_after_a_drop"] Full
        { commit: |beat| {
            if beat.header.durability == Durability::Durable { beat.ctx.home(|notes| notes.keys.clear()); } else {
                let last = beat.ops.iter().filter_map(|op| match op { Op::Put(key, _) => Some(key.clone()), _ => None }).collect();
                beat.ctx.home(|notes| notes.keys = last);
            }
            beat.commit()
        }, sync: |ctx, inner| { ctx.home(|notes| notes.keys.clear()); inner.sync() },
        drop_engine: |ctx, inner| { if !ctx.notes().closed { ctx.home(|notes| notes.flag = true); } drop(inner); },
        get: |view, key| {
            let lost = view.ctx.reopened && view.ctx.home(|notes| notes.flag && notes.keys.contains(key));
            if lost { Ok(None) } else { view.inner().get_record(key) }
        } }
    receipts_run_ahead_after_reopening "After reopening, receipts name the beat after the one that was committed."
        ["numbers::importing_ends_with_reopening" "backup::continues_the_numbers" "reopen::continues_the_numbers"] Full
        { commit: |beat| {
            let ahead = u64::from(beat.ctx.reopened);
            let mut receipt = beat.commit()?;
            receipt.header.beat.0 += ahead;
            Ok(receipt)
        } }
    every_fourth_opening_loses_a_record "From the fourth opening on, a record of the first is gone."
        ["reopen::many_times" "routes::reopened_between_beats"] Full
        { commit: |beat| {
            if let Some(Op::Put(key, _)) = beat.ops.first() {
                let key = key.clone();
                beat.ctx.home(|notes| if notes.opens == 1 { notes.keys.insert(key); });
            }
            beat.commit()
        }, get: |view, key| {
            let lost = view.ctx.home(|notes| notes.opens >= 4 && notes.keys.contains(key));
            if lost { Ok(None) } else { view.inner().get_record(key) }
        } }
    empty_beats_are_lost_by_closing "After reopening, an empty last beat is forgotten."
        ["reopen::finds_an_empty_last_beat" "reopen::finds_the_header"] Full
        { commit: |beat| { let empty = beat.ops.is_empty(); beat.ctx.home(|notes| notes.flag = empty); beat.commit() },
        header: |ctx, header| {
            let forget = ctx.reopened && ctx.home(|notes| notes.flag) && header.beat.0 > 0 && ctx.notes().commits == 0;
            if forget { BeatHeader { beat: BeatNo(header.beat.0 - 1), ..header } } else { header }
        } }
    aborted_beats_come_back_with_reopening "After reopening, records of aborted beats are there."
        ["reopen::forgets_an_aborted_beat"] Full
        { abort: |beat| {
            for op in &beat.ops { if let Op::Put(key, _) = op { beat.ctx.home(|notes| notes.keys.insert(key.clone())); } }
            beat.abort();
        }, get: |view, key| {
            let ghost = view.ctx.reopened && view.ctx.home(|notes| notes.keys.contains(key));
            match view.inner().get_record(key)? { None if ghost => found("ghost"), other => Ok(other) }
        } }
    large_values_are_cut_by_closing "After reopening, values are cut at 128 KiB."
        ["reopen::finds_a_large_value"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) if view.ctx.reopened && value.len() > 1 << 17 => found(value.get(..1 << 17).unwrap_or_default()),
            other => Ok(other),
        } }
    cursors_skip_the_first_row_after_reopening "After reopening, a cursor over everything skips the first row."
        ["reopen::finds_rows_in_order"] Full
        { advance: |cursor| {
            let first = !std::mem::replace(&mut cursor.ended, true) && cursor.steps == 0 && !cursor.sought;
            if first && cursor.view.ctx.reopened { cursor.inner.advance()?; }
            cursor.inner.advance()
        } }
    rows_run_backwards_after_reopening "After reopening, a scan backwards runs forwards."
        ["reopen::finds_rows_in_order"] Full
        { scan: |view, scan, visit| {
            let turned = view.ctx.reopened && !forward(&scan);
            altered(view, &scan, visit, |rows| if turned { rows.reverse(); })
        } }
    stores_know_their_place "A store does not open at another path than it was made at."
        ["backup::opens_by_itself" "reopen::a_copied_directory_opens"] Full
        { open: |shared, inner, home, options, seen| {
            let known = shared.home(home, |notes| notes.opens > 0 || notes.backup_of.is_some());
            let whole = inspect(home) == State::Whole;
            if whole && !known { return Err(fault(ErrorKind::Mismatch, "open")); }
            inner.open(home, options, seen)
        } }
}
