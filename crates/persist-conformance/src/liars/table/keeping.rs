//! Lies about durability, limits, the ceiling, and in errors.

use persist_api::{BeatHeader, BeatNo, Durability, Error, ErrorKind, Limits, Offer, OpenMode, OpenOptions};

use super::help::{Bare, fault, found, liars, mute, reverb, unplaced};
use crate::liars::wrap::Op;

fn was_full(error: &Error) -> bool {
    error.kind() == ErrorKind::Full
}

#[allow(clippy::panic, reason = "the lie is that it panics")]
fn panics_if(bad: bool) {
    assert!(!bad, "attempt to add with overflow");
}

liars! { KEEPING:
    durable_says_buffered "The receipt of a durable beat says buffered."
        ["durability::durable_is_reached" "durability::highest_on_offer_is_reached" "durability::levels_may_alternate"] Full
        { commit: |beat| {
            let mut receipt = beat.commit()?;
            receipt.reached = receipt.reached.min(Durability::Buffered);
            Ok(receipt)
        } }
    buffered_says_volatile "The receipt of a buffered beat says volatile."
        ["durability::buffered_is_reached" "durability::levels_may_alternate"] Full
        { commit: |beat| {
            let mut receipt = beat.commit()?;
            if receipt.reached == Durability::Buffered { receipt.reached = Durability::Volatile; }
            Ok(receipt)
        } }
    headers_forget_durable "The header of a durable beat says buffered."
        ["durability::durable_is_reached"] Full
        { header: |_, header| BeatHeader { durability: header.durability.min(Durability::Buffered), ..header } }
    no_way_down_from_durable "After a durable beat, buffered ones are refused."
        ["durability::levels_may_alternate"] Full
        { begin: |ctx, inner, header| {
            let down = ctx.notes().newest.durability == Durability::Durable && header.durability == Durability::Buffered;
            if down { Err(Error::unsupported("begin_beat", "BUFFERED")) } else { inner.begin_beat(header) }
        } }
    the_first_beat_can_not_be_durable "The first beat of a store can not be durable."
        ["durability::beyond_the_offer_is_refused" "durability::durable_is_reached" "durability::highest_on_offer_is_reached" "durability::levels_may_alternate" "negotiation::granted_durability_is_taken"] Full
        { begin: |_, inner, header| {
            if header.beat.0 == 1 && header.durability == Durability::Durable { return Err(Error::unsupported("begin_beat", "DURABLE")); }
            inner.begin_beat(header)
        } }
    sync_lags "sync names the beat before the last."
        ["durability::sync_after_reopening" "durability::sync_names_the_last_beat"] Full
        { sync: |_, inner| inner.sync().map(|beat| BeatNo(beat.0.saturating_sub(1))) }
    sync_needs_a_beat "sync of a new store is an error."
        ["durability::sync_of_a_new_store"] Full
        { sync: |_, inner| inner.sync().and_then(|beat| if beat.0 == 0 { Err(fault(ErrorKind::Invalid, "sync")) } else { Ok(beat) }) }
    sync_works_once "A second sync names no beat."
        ["durability::sync_twice"] Full
        { sync: |ctx, inner| {
            let again = std::mem::replace(&mut ctx.notes().flag, true);
            inner.sync().map(|beat| if again { BeatNo(0) } else { beat })
        } }
    sync_forgets_by_closing "After reopening, sync names beat 0 until a beat commits."
        ["durability::sync_after_reopening"] Full
        { sync: |ctx, inner| inner.sync().map(|beat| if ctx.reopened && ctx.notes().commits == 0 { BeatNo(0) } else { beat }) }
    durable_covers_itself_only "Buffered beats before a durable one are lost by closing."
        ["durability::durable_after_buffered"] Full
        { commit: |beat| {
            let durable = beat.header.durability == Durability::Durable;
            let mut buffered = std::mem::take(&mut beat.ctx.notes().keys);
            if durable { beat.ctx.home(|notes| notes.keys.extend(std::mem::take(&mut buffered))); }
            else { buffered.extend(beat.ops.iter().filter_map(|op| match op { Op::Put(key, _) => Some(key.clone()), _ => None })); }
            beat.ctx.notes().keys = buffered;
            beat.commit()
        }, get: |view, key| {
            let lost = view.ctx.reopened && view.ctx.home(|notes| notes.keys.contains(key));
            if lost { Ok(None) } else { view.inner().get_record(key) }
        } }
    sync_covers_the_last_beat_only "Beats before the last are lost by sync and closing."
        ["durability::sync_after_buffered"] Full
        { commit: |beat| {
            beat.ctx.home(|notes| notes.ranges.clear());
            let keys: Vec<_> = beat.ops.iter().filter_map(|op| match op { Op::Put(key, _) => Some(key.clone()), _ => None }).collect();
            beat.ctx.notes().keys.extend(keys);
            beat.commit()
        }, sync: |ctx, inner| {
            let keys = std::mem::take(&mut ctx.notes().keys);
            ctx.home(|notes| notes.keys = keys);
            inner.sync()
        }, get: |view, key| {
            let lost = view.ctx.reopened && view.ctx.home(|notes| notes.keys.contains(key));
            if lost { Ok(None) } else { view.inner().get_record(key) }
        } }
    the_longest_key_is_too_long "A key of the longest length is refused as the first of a beat."
        ["limits::long_keys_are_ordinary" "limits::longest_key_is_scanned_whole" "limits::longest_key_works"] Full
        { put: |beat, key, value| if key.len() == 65_535 && beat.ops.is_empty() { Err(fault(ErrorKind::TooLarge, "put_record")) } else { beat.inner()?.put_record(key, value) } }
    long_keys_are_cut_in_scans "Scans cut keys by their last byte at the limit."
        ["limits::longest_key_is_scanned_whole"] Full
        { scan: |view, scan, visit| view.inner().scan(scan, &mut |key, value| visit(key.get(..65_534).unwrap_or(key), value)) }
    too_long_keys_are_cut "A key beyond the limit is cut and put."
        ["limits::longer_key_is_too_large" "limits::too_large_names_the_limit" "limits::too_large_poisons_its_beat_only"] Full
        { put: |beat, key, value| { let key = key.get(..65_535).unwrap_or(key); beat.inner()?.put_record(key, value) } }
    too_long_keys_are_not_there "Deleting a key beyond the limit deletes nothing."
        ["limits::longer_key_is_too_large_to_delete"] Full
        { delete: |beat, key| if key.len() > 65_535 { Ok(()) } else { beat.inner()?.delete_record(key) } }
    the_limit_is_not_named "The error about a key that is too long does not name the limit."
        ["limits::too_large_names_the_limit"] Full
        { put: |beat, key, value| beat.inner()?.put_record(key, value).map_err(|error| match error.kind() {
            ErrorKind::TooLarge => Error::new(ErrorKind::TooLarge, "put_record", "the key is longer than it may be"),
            _ => error,
        }) }
    too_long_keys_do_not_poison "A key that is too long does not poison its beat."
        ["limits::too_large_poisons_its_beat_only"] Full
        { put: |beat, key, value| if key.len() > 65_535 { Err(Error::new(ErrorKind::TooLarge, "put_record", "more than 65535 bytes")) } else { beat.inner()?.put_record(key, value) } }
    the_empty_key_can_be_put "A put of the empty key with a real value is swallowed."
        ["limits::empty_key_can_not_be_put"] Full
        { put: |beat, key, value| if key.is_empty() && value.len() > 1 { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    the_empty_key_can_be_deleted "A delete of the empty key is swallowed."
        ["errors::invalid_delete_speaks" "limits::empty_key_can_not_be_deleted" "poison::failed_delete_poisons"] Full
        { delete: |beat, key| if key.is_empty() { Ok(()) } else { beat.inner()?.delete_record(key) } }
    long_keys_count_65534_bytes "Keys that differ in byte 65,535 are the same to a read."
        ["limits::long_keys_are_ordinary" "long_keys::are_deleted" "long_keys::bound_deleted_ranges"] Full
        { get: |view, key| match (view.inner().get_record(key)?, key.split_last()) {
            (None, Some((_, rest))) if key.len() == 65_535 => view.inner().get_record(&[rest, &[1]].concat()),
            (other, _) => Ok(other),
        } }
    the_longest_value_is_too_long "A value of the longest length is refused."
        ["limits::beat_of_the_largest_size" "limits::longest_value_works" "reads::value_of_a_megabyte"] Full
        { put: |beat, key, value| if value.len() == 1 << 20 { Err(fault(ErrorKind::TooLarge, "put_record")) } else { beat.inner()?.put_record(key, value) } }
    too_long_values_are_cut "A value beyond the limit is cut and put."
        ["limits::longer_value_is_too_large"] Full
        { put: |beat, key, value| { let value = value.get(..1 << 20).unwrap_or(value); beat.inner()?.put_record(key, value) } }
    values_end_somewhere "Values are said to have no limit, and end at 16 MiB."
        ["twin::VALUE_EDGE"] Bare
        { put: |beat, key, value| if value.len() > 16 << 20 { Err(fault(ErrorKind::TooLarge, "put_record")) } else { (Bare.put)(beat, key, value) } }
    beats_end_somewhere "Beats are said to have no limit, and end at sixteen large values."
        ["twin::BEAT_EDGE"] Bare
        { put: |beat, key, value| {
            let full = value.len() == 1 << 20 && beat.ops.len() >= 16;
            if full { Err(fault(ErrorKind::TooLarge, "put_record")) } else { (Bare.put)(beat, key, value) }
        } }
    beats_may_be_smaller_than_offered "A beat of the largest size that is offered is refused."
        ["limits::beat_of_the_largest_size"] Full
        { offer: |_, offer| Offer { limits: Limits { beat_bytes_max: offer.limits.beat_bytes_max + 1, ..offer.limits }, ..offer } }
    the_ceiling_is_doubled "The offer names twice the ceiling that was asked for."
        ["limits::ceiling_is_offered"] Full
        { offer: |_, offer| Offer { limits: Limits { store_bytes_max: offer.limits.store_bytes_max.saturating_mul(2), ..offer.limits }, ..offer } }
    the_ceiling_is_too_low "A store is full at a tenth of its ceiling."
        ["limits::ceiling_is_full"] Full
        { open: |_, inner, home, options, seen| {
            inner.open(home, &OpenOptions { store_bytes_max: options.store_bytes_max.map(|most| most / 10), ..options.clone() }, seen)
        } }
    full_is_called_too_large "A full store says that the record is too large."
        ["limits::ceiling_is_full" "limits::deleting_makes_room" "limits::full_beat_is_invisible" "limits::full_store_reads_on" "limits::full_store_reopens"] Full
        { put: |beat, key, value| super::help::rekind(beat.inner()?.put_record(key, value), ErrorKind::Full, ErrorKind::TooLarge) }
    half_of_a_full_beat_stays "What a beat put before it met the ceiling can be seen."
        ["limits::full_beat_is_invisible"] Full
        { put: |beat, key, value| {
            let done = beat.inner()?.put_record(key, value);
            if done.as_ref().is_err_and(was_full) { beat.ctx.notes().keys.insert(key.to_vec()); }
            done
        }, get: |view, key| {
            let half = view.ctx.notes().keys.contains(key);
            match view.inner().get_record(key)? { None if half => found("half"), other => Ok(other) }
        } }
    full_stores_can_not_be_read "A full store can not be read."
        ["limits::full_beat_is_invisible" "limits::full_store_reads_on"] Full
        { put: |beat, key, value| {
            let done = beat.inner()?.put_record(key, value);
            beat.ctx.notes().flag |= done.as_ref().is_err_and(was_full);
            done
        }, get: |view, key| if view.ctx.notes().flag { Err(fault(ErrorKind::Full, "get_record")) } else { view.inner().get_record(key) } }
    full_stores_do_not_open "A full store does not open again."
        ["limits::full_store_reopens"] Full
        { put: |beat, key, value| {
            let done = beat.inner()?.put_record(key, value);
            if done.as_ref().is_err_and(was_full) { beat.ctx.home(|notes| notes.flag = true); }
            done
        }, open: |shared, inner, home, options, seen| {
            if shared.home(home, |notes| notes.flag) { return Err(fault(ErrorKind::Full, "open")); }
            inner.open(home, options, seen)
        } }
    full_stores_can_not_be_emptied "Deleting in a full store is Full as well."
        ["limits::deleting_makes_room"] Full
        { put: |beat, key, value| {
            let done = beat.inner()?.put_record(key, value);
            beat.ctx.notes().flag |= done.as_ref().is_err_and(was_full);
            done
        }, delete: |beat, key| if beat.ctx.notes().flag { Err(fault(ErrorKind::Full, "delete_record")) } else { beat.inner()?.delete_record(key) } }
    odd_numbers_panic "A header with 2^64-1 commits panics."
        ["limits::odd_arguments_break_nothing"] Full
        { begin: |_, inner, header| { panics_if(header.commits == u64::MAX); inner.begin_beat(header) } }
    conflicts_name_another_verb "A conflict says that it happened in open."
        ["errors::conflict_speaks"] Full
        { begin: |_, inner, header| reverb(inner.begin_beat(header), ErrorKind::Conflict, "open") }
    busy_beats_say_nothing "The error about a second beat has no sentence."
        ["errors::busy_beat_speaks"] Full
        { begin: |_, inner, header| mute(inner.begin_beat(header), ErrorKind::Busy) }
    invalid_puts_say_nothing "The error about a put without key has no sentence."
        ["errors::invalid_put_speaks"] Full
        { put: |beat, key, value| mute(beat.inner()?.put_record(key, value), ErrorKind::Invalid) }
    invalid_deletes_name_another_verb "The error about a delete without key names a put."
        ["errors::invalid_delete_speaks"] Full
        { delete: |beat, key| reverb(beat.inner()?.delete_record(key), ErrorKind::Invalid, "put_record") }
    poisoned_commits_name_another_verb "The refused commit of a poisoned beat names the operation that failed."
        ["errors::poisoned_commit_speaks"] Full
        { commit: |beat| reverb(beat.commit(), ErrorKind::Poisoned, "put_record") }
    poisoned_operations_name_another_verb "A delete in a poisoned beat names the put that failed."
        ["errors::poisoned_operation_speaks"] Full
        { delete: |beat, key| reverb(beat.inner()?.delete_record(key), ErrorKind::Poisoned, "put_record") }
    busy_views_do_not_name_the_limit "The error about one view too many names no number."
        ["errors::busy_view_speaks"] Full
        { view: |_, inner| inner.view().map_err(|_| Error::new(ErrorKind::Busy, "view", "there are too many of them")) }
    busy_closes_say_nothing "The error about views that are open when closing has no sentence."
        ["errors::busy_close_speaks"] Full
        { close: |_, inner| inner.close().map_err(|(inner, _)| (inner, Error::new(ErrorKind::Busy, "close", "not now"))) }
    missing_stores_have_no_place "The error about a missing store does not say where."
        ["errors::missing_store_speaks"] Full
        { open: |_, inner, home, options, seen| {
            let opened = inner.open(home, options, seen);
            if options.mode == OpenMode::MustExist { unplaced(opened, ErrorKind::Invalid) } else { opened }
        } }
    existing_stores_have_no_place "The error about a store that exists does not say where."
        ["errors::existing_store_speaks"] Full
        { open: |_, inner, home, options, seen| unplaced(inner.open(home, options, seen), ErrorKind::Conflict) }
    locked_stores_have_no_place "The error about a store that is held does not say where."
        ["errors::locked_store_speaks"] Full
        { open: |_, inner, home, options, seen| unplaced(inner.open(home, options, seen), ErrorKind::Locked) }
    foreign_directories_have_no_place "The error about a foreign directory does not say where."
        ["errors::foreign_directory_speaks"] Full
        { open: |_, inner, home, options, seen| unplaced(inner.open(home, options, seen), ErrorKind::Mismatch) }
    missing_verbs_name_no_capability "The error about sync does not name a capability."
        ["errors::unsupported_speaks"] Bare
        { sync: |_, _| Err(Error::new(ErrorKind::Unsupported, "sync", "this can not be done")) }
    durable_in_memory "It takes durable beats though it offers none."
        ["durability::beyond_the_offer_is_refused" "twin::BUFFERED" "twin::DURABLE"] Bare
        { begin: |_, inner, header| inner.begin_beat(BeatHeader { durability: Durability::Volatile, ..header }) }
}
