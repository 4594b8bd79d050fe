//! Lies about the operations of a beat.

use std::ops::Bound;

use persist_api::{BeatReceipt, ErrorKind, KeyRange, Result, Value, prefix_successor};

use super::help::{altered, fault, forward, found, is_prefix, key_of, kinds, liars, with_kinds};
use crate::liars::hooks::Notes;
use crate::liars::wrap::{LyingBeat, LyingView, Op};

/// Deletes another range than was asked for.
fn other_range(
    beat: &mut LyingBeat<'_>,
    range: KeyRange<'_>,
    lie: impl FnOnce(&KeyRange<'_>) -> Option<KeyRange<'static>>,
) -> Result<()> {
    match lie(&range) {
        None => beat.inner()?.delete_range(range),
        Some(other) => beat.inner()?.delete_range(other),
    }
}

/// The newest value of a key that is committed.
fn committed(notes: &Notes, key: &[u8]) -> Option<Vec<u8>> {
    notes.history.get(key)?.last()?.1.clone()
}

/// What a key held before the last of its beats.
fn value_before(view: &LyingView, key: &[u8]) -> Option<Vec<u8>> {
    let notes = view.ctx.notes();
    let beats = notes.history.get(key)?;
    beats.iter().rev().find(|(beat, _)| *beat < view.own)?.1.clone()
}

#[allow(clippy::unnecessary_wraps, reason = "it stands where a commit's result stands")]
fn fake_receipt(beat: LyingBeat<'_>) -> Result<BeatReceipt> {
    let header = beat.header;
    beat.abort();
    Ok(BeatReceipt { header, reached: header.durability })
}

liars! { STAGING:
    the_first_put_wins "Of two puts of a key in one beat, the first wins."
        ["staging::last_put_wins" "peek::sees_the_last_put" "feed::shows_operations_as_staged"] Full
        { put: |beat, key, value| if beat.has_put(key) { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    own_puts_can_not_be_deleted "A delete does not reach what its own beat put."
        ["staging::delete_after_put" "feed::shows_operations_as_staged"] Full
        { delete: |beat, key| if beat.has_put(key) { Ok(()) } else { beat.inner()?.delete_record(key) } }
    deleted_keys_stay_deleted "A key deleted in a beat can not be put again in it."
        ["staging::put_after_delete"] Full
        { put: |beat, key, value| if beat.has_deleted(key) { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    deleting_nothing_is_an_error "Deleting a key that was never put is an error."
        ["staging::delete_of_nothing"] Full
        { delete: |beat, key| {
            let known = key.len() != 9 || beat.peek_inner(key)?.is_some();
            if known { beat.inner()?.delete_record(key) } else { Err(fault(ErrorKind::Invalid, "delete_record")) }
        } }
    deleting_twice_is_an_error "Deleting a key twice in a beat is an error."
        ["staging::delete_twice"] Full
        { delete: |beat, key| if beat.has_deleted(key) { Err(fault(ErrorKind::Invalid, "delete_record")) } else { beat.inner()?.delete_record(key) } }
    deletes_take_what_begins_alike "A delete takes all keys that begin with its key."
        ["errors::poisoned_operation_speaks" "limits::longer_key_is_too_large_to_delete" "routes::through_compacting" "staging::delete_takes_one_key" "feed::shows_operations_as_staged"] Full
        { delete: |beat, key| {
            if key.is_ascii() && !key.is_empty() { beat.inner()?.delete_range(KeyRange::prefix(key)) } else { beat.inner()?.delete_record(key) }
        } }
    shorter_values_keep_a_tail "A value that is a little shorter than the one it replaces keeps its tail."
        ["checkpoint::beside_a_view" "staging::empty_value_replaces" "delete_range::spares_later_puts" "staging::shorter_value_replaces"] Full
        { get: |view, key| match (view.inner().get_record(key)?, value_before(view, key)) {
            (Some(new), Some(old)) if new.len() < old.len() && old.len() - new.len() < 16 => {
                found([&*new, old.get(new.len()..).unwrap_or_default()].concat())
            }
            (other, _) => Ok(other),
        } }
    longer_values_are_cut "A value that replaces a much shorter one is cut at 8 KiB."
        ["staging::longer_value_replaces"] Full
        { get: |view, key| match (view.inner().get_record(key)?, value_before(view, key)) {
            (Some(new), Some(old)) if new.len() > 8192 && old.len() < 10 => found(new.get(..8192).unwrap_or_default()),
            (other, _) => Ok(other),
        } }
    empty_values_replace_nothing "An empty value does not replace another."
        ["staging::empty_value_replaces"] Full
        { put: |beat, key, value| {
            let there = committed(&beat.ctx.notes(), key).is_some();
            if value.is_empty() && there { Ok(()) } else { beat.inner()?.put_record(key, value) }
        } }
    same_values_are_no_beat "A beat that only repeats values is not counted."
        ["staging::same_value_again"] Full
        { commit: |beat| {
            let same = !beat.ops.is_empty() && beat.ops.iter().all(|op| match op {
                Op::Put(key, value) => key.len() == value.len() && committed(&beat.ctx.notes(), key).as_ref() == Some(value),
                _ => false,
            });
            if same { fake_receipt(beat) } else { beat.commit() }
        } }
    puts_go_on_after_a_failure "In a poisoned beat, puts succeed."
        ["poison::refuses_puts"] Full
        { put: |beat, key, value| if beat.failed { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    deletes_go_on_after_a_failure "In a poisoned beat, deletes succeed."
        ["errors::poisoned_operation_speaks" "poison::refuses_deletes"] Full
        { delete: |beat, key| if beat.failed { Ok(()) } else { beat.inner()?.delete_record(key) } }
    ranges_go_on_after_a_failure "In a poisoned beat, ranges can be deleted."
        ["poison::refuses_ranges"] Full
        { range: |beat, range| if beat.failed { Ok(()) } else { beat.inner()?.delete_range(range) } }
    poisoned_beats_are_read "In a poisoned beat, a peek finds what was there before."
        ["poison::refuses_peeks"] Full
        { peek: |beat, key| match beat.peek_inner(key) { Err(_) if beat.failed => found("old"), other => other } }
    poisoned_beats_commit "A poisoned beat commits nothing and says it did."
        ["errors::poisoned_commit_speaks" "limits::too_large_poisons_its_beat_only" "poison::failed_delete_poisons" "poison::refuses_commit"] Full
        { commit: |beat| if beat.failed { fake_receipt(beat) } else { beat.commit() } }
    half_a_beat_is_committed "A beat whose second operation fails keeps its first."
        ["poison::changes_nothing"] Full
        { put: |beat, key, value| {
            if key.is_empty() && beat.ops.len() == 1 { return Err(fault(ErrorKind::Invalid, "put_record")); }
            beat.inner()?.put_record(key, value)
        } }
    failed_deletes_do_not_poison "A delete that fails does not poison its beat."
        ["poison::failed_delete_poisons"] Full
        { delete: |beat, key| {
            if key.is_empty() { return Err(fault(ErrorKind::Invalid, "delete_record")); }
            beat.inner()?.delete_record(key)
        } }
    poison_spreads "After a poisoned beat, the next is poisoned as well."
        ["limits::deleting_makes_room" "limits::longer_value_is_too_large" "limits::odd_arguments_break_nothing" "poison::poison_ends_with_the_beat"] Full
        { drop_beat: |beat| if beat.failed { beat.ctx.notes().flag = true; },
        begin: |ctx, inner, header| {
            if std::mem::take(&mut ctx.notes().flag) { return Err(fault(ErrorKind::Poisoned, "begin_beat")); }
            inner.begin_beat(header)
        } }
    range_spares_its_first_key "The lower bound of a half-open range is spared where it is a key."
        ["reopen::finds_no_deleted_range" "delete_range::after_range" "delete_range::half_open" "delete_range::is_gone_from_scans"] Full
        { range: |beat, range| other_range(beat, range, |range| {
            (kinds(range) == ('i', 'e') && !is_prefix(range)).then(|| with_kinds(range, 'e', 'e'))
        }) }
    range_spares_its_last_key "The upper bound of a closed range is spared."
        ["delete_range::closed" "delete_range::of_one"] Full
        { range: |beat, range| other_range(beat, range, |range| (kinds(range) == ('i', 'i')).then(|| with_kinds(range, 'i', 'e'))) }
    range_takes_its_open_start "A lower bound that is out is deleted."
        ["delete_range::open"] Full
        { range: |beat, range| other_range(beat, range, |range| (kinds(range) == ('e', 'e')).then(|| with_kinds(range, 'i', 'e'))) }
    range_without_start_needs_one "A range without lower bound begins at the letter l."
        ["delete_range::to_the_start"] Full
        { range: |beat, range| other_range(beat, range, |range| {
            (range.start() == Bound::Unbounded && !key_of(range.end()).is_empty())
                .then(|| KeyRange::owned(Bound::Included(b"l".to_vec()), range.end().map(<[u8]>::to_vec)))
        }) }
    range_without_end_stops_early "A range with lower and without upper bound spares keys that end in 9."
        ["delete_range::of_an_ff_prefix" "delete_range::to_the_end"] Full
        { range: |beat, range| other_range(beat, range, |range| {
            (kinds(range) == ('i', 'u')).then(|| KeyRange::owned(range.start().map(<[u8]>::to_vec), Bound::Excluded(b"k9".to_vec())))
        }) }
    range_of_all_is_refused "Deleting everything is quietly not done."
        ["routes::after_a_deleted_range" "delete_range::of_all" "views::does_not_see_a_later_delete_range"] Full
        { range: |beat, range| if range == KeyRange::all() { Ok(()) } else { beat.inner()?.delete_range(range) } }
    range_bounds_are_rounded "A lower bound is cut to two bytes."
        ["delete_range::between_keys"] Full
        { range: |beat, range| other_range(beat, range, |range| match range.start() {
            Bound::Included(start) if start.len() == 3 && kinds(range) == ('i', 'i') => {
                Some(KeyRange::owned(Bound::Included(start.get(..2).unwrap_or_default().to_vec()), range.end().map(<[u8]>::to_vec)))
            }
            _ => None,
        }) }
    range_of_nothing_takes_one "A range of no keys takes the key at its bound."
        ["delete_range::empty"] Full
        { range: |beat, range| other_range(beat, range, |range| {
            let one = kinds(range) == ('i', 'e') && key_of(range.start()) == key_of(range.end());
            one.then(|| with_kinds(range, 'i', 'i'))
        }) }
    range_is_turned_round "An inverted range is turned round."
        ["delete_range::inverted"] Full
        { range: |beat, range| other_range(beat, range, |range| {
            let inverted = kinds(range) == ('i', 'e') && key_of(range.start()) > key_of(range.end()) && !key_of(range.end()).is_empty();
            inverted.then(|| KeyRange::owned(range.end().map(<[u8]>::to_vec), range.start().map(<[u8]>::to_vec)))
        }) }
    range_from_the_empty_key_is_nothing "A lower bound of no bytes makes a range of nothing."
        ["delete_range::from_the_empty_key"] Full
        { range: |beat, range| if kinds(&range).0 == 'i' && key_of(range.start()).is_empty() { Ok(()) } else { beat.inner()?.delete_range(range) } }
    range_to_the_empty_key_is_all "An upper bound of no bytes makes a range of everything."
        ["delete_range::up_to_the_empty_key"] Full
        { range: |beat, range| other_range(beat, range, |range| (kinds(range).1 == 'e' && key_of(range.end()).is_empty()).then(KeyRange::all)) }
    range_bounds_have_a_limit "Bounds longer than a key may be are refused."
        ["delete_range::with_long_bounds"] Full
        { range: |beat, range| {
            if key_of(range.end()).len() > 65_535 { return Err(fault(ErrorKind::TooLarge, "delete_range")); }
            beat.inner()?.delete_range(range)
        } }
    range_of_ff_has_no_end "A prefix of FF bytes is a range of nothing."
        ["delete_range::of_an_ff_prefix"] Full
        { range: |beat, range| {
            let ff = is_prefix(&range) && prefix_successor(key_of(range.start())).is_none();
            if ff { Ok(()) } else { beat.inner()?.delete_range(range) }
        } }
    range_spares_own_puts "A range does not reach what its own beat put."
        ["peek::sees_deleted_range" "delete_range::takes_own_puts"] Full
        { range: |beat, range| {
            let own: Vec<_> = beat.ops.iter().filter_map(|op| match op {
                Op::Put(key, value) if range.contains(key) && is_prefix(&range) => Some((key.clone(), value.clone())),
                _ => None,
            }).collect();
            beat.inner()?.delete_range(range)?;
            own.iter().try_for_each(|(key, value)| beat.inner()?.put_record(key, value))
        } }
    range_takes_later_puts "A deleted range swallows what its beat puts into it later."
        ["routes::after_a_deleted_range" "delete_range::after_range" "delete_range::spares_later_puts" "feed::shows_deleted_ranges"] Full
        { put: |beat, key, value| {
            let gone = beat.ops.iter().any(|op| matches!(op, Op::Range(range) if range.contains(key)));
            if gone { Ok(()) } else { beat.inner()?.put_record(key, value) }
        } }
    one_range_a_beat "A second range in a beat is not deleted."
        ["delete_range::after_range"] Full
        { range: |beat, range| if beat.ops.iter().any(|op| matches!(op, Op::Range(_))) { Ok(()) } else { beat.inner()?.delete_range(range) } }
    range_takes_500_keys "A range of letters gives up at the middle of a thousand keys."
        ["delete_range::of_a_thousand"] Full
        { range: |beat, range| other_range(beat, range, |range| {
            (key_of(range.start()) == b"m").then(|| KeyRange::owned(range.start().map(<[u8]>::to_vec), Bound::Excluded(b"m0500".to_vec())))
        }) }
    deleted_ranges_haunt_scans "Rows of a deleted range still show in scans of everything."
        ["delete_range::is_gone_from_scans"] Full
        { scan: |view, scan, visit| {
            let ghosts: Vec<_> = {
                let notes = view.ctx.notes();
                let in_range = |key: &[u8]| notes.ranges.iter().any(|(beat, range)| *beat <= view.own && kinds(range) == ('i', 'e') && range.contains(key));
                notes.history.iter().filter(|(key, _)| in_range(key)).filter_map(|(key, beats)| Some((key.clone(), beats.first()?.1.clone()?))).collect()
            };
            let back = !forward(&scan);
            let all = scan.range == KeyRange::all();
            altered(view, &scan, visit, |rows| if all && !ghosts.is_empty() {
                rows.extend(ghosts);
                rows.sort();
                rows.dedup();
                if back { rows.reverse(); }
            })
        } }
    peek_misses_own_puts "Peeking does not see new records of its beat."
        ["peek::sees_own_put"] Full
        { peek: |beat, key| {
            let old = committed(&beat.ctx.notes(), key).is_some();
            if old { beat.peek_inner(key) } else { Ok(None) }
        } }
    peek_sees_the_first_put "Peeking sees the first of several puts."
        ["peek::sees_the_last_put"] Full
        { peek: |beat, key| {
            let first = beat.ops.iter().find_map(|op| match op { Op::Put(put, value) if put == key => Some(value.clone()), _ => None });
            match (beat.peek_inner(key)?, first) { (Some(_), Some(first)) => found(first), (other, _) => Ok(other) }
        } }
    peek_misses_own_deletes "Peeking does not see the deletes of its beat."
        ["peek::sees_own_delete"] Full
        { peek: |beat, key| {
            let old = committed(&beat.ctx.notes(), key);
            if beat.has_deleted(key) { Ok(old.map(Value::owned)) } else { beat.peek_inner(key) }
        } }
    peek_sees_own_puts_only "Peeking sees nothing but the puts of its beat."
        ["peek::sees_deleted_range" "peek::sees_the_state_before" "poison::refuses_peeks"] Full
        { peek: |beat, key| if beat.has_put(key) { beat.peek_inner(key) } else { Ok(None) } }
    peek_misses_deleted_ranges "Peeking does not see that a range was deleted."
        ["peek::sees_deleted_range"] Full
        { peek: |beat, key| {
            let old = committed(&beat.ctx.notes(), key);
            let in_range = beat.ops.iter().any(|op| matches!(op, Op::Range(range) if range.contains(key)));
            if in_range { Ok(old.map(Value::owned)) } else { beat.peek_inner(key) }
        } }
    peek_refuses_impossible_keys "Peeking at the empty key is an error."
        ["peek::of_impossible_keys"] Full
        { peek: |beat, key| if key.is_empty() { Err(fault(ErrorKind::Invalid, "peek_record")) } else { beat.peek_inner(key) } }
    peek_leaves_a_record "Peeking at a key that is nowhere puts an empty record there."
        ["peek::leaves_no_trace"] Full
        { peek: |beat, key| {
            let seen = beat.peek_inner(key)?;
            if seen.is_none() && !key.is_empty() && key.len() < 1000 { beat.peeked.borrow_mut().push(key.to_vec()); }
            Ok(seen)
        }, commit: |mut beat| {
            let peeked = beat.peeked.take();
            for key in peeked { beat.inner()?.put_record(&key, b"")?; }
            beat.commit()
        } }
}
