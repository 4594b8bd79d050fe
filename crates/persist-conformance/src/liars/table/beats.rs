//! Lies about numbers, headers, the gate and giving up.

use persist_api::{Beat, BeatHeader, BeatReceipt, CommitNo, Durability, Error, ErrorKind, Result};

use super::help::{ROOT, fault, lenient, liars, rekind};
use crate::liars::nothing::NullBeat;
use crate::liars::wrap::{LyingBeat, Op};

/// A beat that swallows everything, instead of `Busy`.
fn null_if_busy<'e>(
    begun: Result<Box<dyn Beat + 'e>>,
    header: BeatHeader,
    lets_pass: bool,
) -> Result<Box<dyn Beat + 'e>> {
    match begun {
        Err(error) if error.kind() == ErrorKind::Busy && lets_pass => Ok(Box::new(NullBeat(header))),
        other => other,
    }
}

/// Commits again what the rule picks of a beat that was given up.
fn commit_part(beat: LyingBeat<'_>, part: fn(&Op) -> bool) {
    let ctx = std::sync::Arc::clone(&beat.ctx);
    for op in beat.ops.iter().filter(|op| part(op)) {
        if let Op::Range(range) = op {
            ctx.notes().ranges.push((beat.header.beat.0, range.clone()));
        }
    }
    beat.abort();
}

liars! { BEATS:
    every_third_receipt_is_late "The receipt of every third beat names the one before."
        ["numbers::count_from_one" "reopen::continues_the_numbers" "views::writer_does_not_wait_for_a_scan"] Full
        { commit: |beat| {
            let mut receipt = beat.commit()?;
            receipt.header.beat.0 -= u64::from(receipt.header.beat.0 % 3 == 0 && receipt.header.beat.0 < 10);
            Ok(receipt)
        } }
    one_number_may_be_skipped "A beat may leave out one number."
        ["numbers::skipped_number_conflicts"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |last, next| next.beat.0 == last.beat.0 + 2) }
    many_numbers_may_be_skipped "A beat far ahead is taken for the next."
        ["numbers::greatest_number_conflicts" "numbers::importing_ends_with_reopening" "numbers::importing_may_skip" "numbers::importing_never_goes_back" "errors::conflict_speaks"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |last, next| next.beat.0 > last.beat.0 + 2) }
    numbers_may_be_repeated "The last number is taken again."
        ["numbers::importing_again_is_shown" "numbers::importing_ends_with_reopening" "numbers::importing_may_repeat" "numbers::repeated_number_conflicts"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |last, next| next.beat == last.beat && next.beat.0 > 0) }
    numbers_may_go_back "An earlier number is taken."
        ["numbers::earlier_number_conflicts" "numbers::importing_never_goes_back"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |last, next| next.beat < last.beat && next.beat.0 > 0) }
    beat_zero_is_taken "Beat 0 is taken."
        ["numbers::beat_zero_conflicts"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |_, next| next.beat.0 == 0) }
    commits_may_leave_holes "A beat may leave out commit numbers."
        ["numbers::commit_hole_conflicts"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |last, next| {
            next.beat.0 == last.beat.0 + 1 && next.first_commit.0 == last.first_commit.0 + last.commits + 1
        }) }
    commits_may_overlap "A beat may use commit numbers again."
        ["numbers::commit_overlap_conflicts" "limits::odd_arguments_break_nothing"] Full
        { begin: |ctx, inner, header| lenient(ctx, inner, header, |last, next| {
            next.beat.0 == last.beat.0 + 1 && next.first_commit.0 + 1 == last.first_commit.0 + last.commits
        }) }
    every_beat_counts_one_commit "The header says one commit whatever the beat carried."
        ["backup::holds_the_header" "headers::counts_many_commits" "history::shows_the_header_of_the_beat" "numbers::commits_adjoin" "reopen::finds_the_header"] Full
        { header: |_, header| BeatHeader { commits: header.commits.min(1), ..header } }
    a_beat_must_have_commits "A beat without commits is refused."
        ["numbers::beat_without_commits"] Full
        { begin: |_, inner, header| if header.commits == 0 { Err(fault(ErrorKind::Invalid, "begin_beat")) } else { inner.begin_beat(header) } }
    a_conflict_closes_the_gate "After a header that does not follow, every beat is Busy."
        ["beats::refused_begin_leaves_the_gate_open" "limits::odd_arguments_break_nothing"] Full
        { begin: |ctx, inner, header| {
            if ctx.notes().flag { return Err(fault(ErrorKind::Busy, "begin_beat")); }
            inner.begin_beat(header).inspect_err(|error| ctx.notes().flag |= error.kind() == ErrorKind::Conflict && !ctx.elsewhere())
        } }
    importing_may_not_repeat "While importing, a number may not come twice."
        ["numbers::importing_again_is_shown" "numbers::importing_may_repeat"] Full
        { begin: |ctx, inner, header| {
            let again = ctx.options.importing && ctx.notes().newest.beat == header.beat;
            if again { Err(fault(ErrorKind::Conflict, "begin_beat")) } else { inner.begin_beat(header) }
        } }
    importing_may_not_skip "While importing, no number may be left out."
        ["numbers::importing_ends_with_reopening" "numbers::importing_may_skip" "numbers::importing_never_goes_back"] Full
        { begin: |ctx, inner, header| {
            let ahead = ctx.options.importing && header.beat.0 > ctx.notes().newest.beat.0 + 1;
            if ahead { Err(fault(ErrorKind::Conflict, "begin_beat")) } else { inner.begin_beat(header) }
        } }
    views_go_by_their_number "What a view of some beat did not find, no later view of that number finds."
        ["numbers::importing_again_is_shown"] Full
        { get: |view, key| {
            let mark = [&view.own.to_be_bytes()[..], key].concat();
            match view.inner().get_record(key)? {
                None => { view.ctx.notes().keys.insert(mark); Ok(None) }
                Some(_) if view.ctx.notes().keys.contains(&mark) => Ok(None),
                found => Ok(found),
            }
        } }
    importing_may_go_back "While importing, a number may go back."
        ["numbers::importing_never_goes_back"] Full
        { begin: |ctx, inner, header| {
            let newest = ctx.notes().newest;
            let back = ctx.options.importing && header.beat < newest.beat;
            inner.begin_beat(if back { BeatHeader { beat: newest.beat, ..header } } else { header })
        } }
    importing_never_ends "What was imported once may repeat numbers for ever."
        ["numbers::importing_ends_with_reopening"] Full
        { open: |shared, inner, home, options, seen| {
            if options.importing { shared.home(home, |notes| notes.flag = true); }
            let importing = shared.home(home, |notes| notes.flag);
            inner.open(home, &persist_api::OpenOptions { importing, ..options.clone() }, seen)
        } }
    commit_numbers_have_32_bits "The number of a commit is cut to 32 bits."
        ["numbers::importing_may_skip"] Full
        { header: |_, header| BeatHeader { first_commit: CommitNo(header.first_commit.0 & 0xFFFF_FFFF), ..header } }
    headers_have_no_root "A view's header never has a root."
        ["backup::holds_the_header" "headers::comes_back_with_root" "headers::root_of_zeros_is_a_root" "history::shows_the_header_of_the_beat" "reopen::finds_the_header"] Full
        { header: |_, header| BeatHeader { root: None, ..header } }
    a_root_of_zeros_is_none "A root of zeros is taken for none."
        ["headers::root_of_zeros_is_a_root"] Full
        { header: |_, header| BeatHeader { root: header.root.filter(|root| *root != [0; 32]), ..header } }
    no_root_becomes_zeros "A header of two commits or more without root gets a root of zeros."
        ["headers::counts_many_commits"] Full
        { header: |_, header| BeatHeader { root: header.root.or((header.commits > 1).then_some([0; 32])), ..header } }
    no_root_becomes_zeros_in_later_beats "The header of an empty second beat without root gets a root of zeros."
        ["headers::comes_back_without_root" "headers::counts_many_commits" "headers::root_does_not_linger"] Full
        { header: |ctx, header| {
            let gains = header.beat.0 == 2 && ctx.notes().last_ops == 0;
            BeatHeader { root: header.root.or(gains.then_some([0; 32])), ..header }
        } }
    commits_have_16_bits "The count of commits is cut to 16 bits."
        ["headers::counts_many_commits"] Full
        { header: |_, header| BeatHeader { commits: header.commits & 0xFFFF, ..header } }
    roots_linger "A header without root shows the root of an earlier beat."
        ["headers::root_does_not_linger"] Full
        { commit: |beat| {
            let root = beat.header.root;
            if let Some(root) = root { beat.ctx.notes().values.insert(b"root".to_vec(), root.to_vec()); }
            beat.commit()
        }, header: |ctx, header| {
            let lingering = ctx.notes().values.get(b"root".as_slice()).and_then(|root| root.as_slice().try_into().ok());
            BeatHeader { root: header.root.or(lingering), ..header }
        } }
    the_header_is_a_row "A store whose beats were empty shows its header as a row."
        ["headers::is_outside_the_key_space"] Full
        { scan: |view, scan, visit| {
            if view.own > 0 && view.ctx.notes().history.is_empty() && !view.ctx.reopened {
                let _ = visit(b"\0header", b"");
            }
            view.inner().scan(scan, visit)
        } }
    a_key_of_zeros_hits_the_header "Deleting a key of 16 zero bytes damages the header."
        ["headers::is_out_of_reach"] Full
        { delete: |beat, key| {
            if key == [0; 16] { beat.ctx.notes().flag = true; }
            beat.inner()?.delete_record(key)
        }, header: |ctx, header| BeatHeader { root: if ctx.notes().flag { Some(ROOT) } else { header.root }, ..header } }
    a_second_beat_is_a_conflict "A second beat is refused as a conflict."
        ["beats::second_beat_is_busy"] Full
        { begin: |ctx, inner, header| {
            if ctx.elsewhere() { inner.begin_beat(header) } else { rekind(inner.begin_beat(header), ErrorKind::Busy, ErrorKind::Conflict) }
        } }
    a_second_beat_elsewhere_is_locked "A second beat beside one of the engine's own thread is refused as Locked."
        ["beats::second_beat_elsewhere_is_busy"] Full
        { begin: |ctx, inner, header| {
            if ctx.elsewhere() && ctx.notes().beat_opener == Some(ctx.opener) { rekind(inner.begin_beat(header), ErrorKind::Busy, ErrorKind::Locked) } else { inner.begin_beat(header) }
        } }
    a_second_beat_is_let_in "On its own thread, a second beat is let in and lost."
        ["beats::busy_holds_for_any_header" "beats::second_beat_is_busy" "errors::busy_beat_speaks"] Full
        { begin: |ctx, inner, header| null_if_busy(inner.begin_beat(header), header, !ctx.elsewhere()) }
    a_second_beat_elsewhere_is_let_in "A second beat from another thread is let in and lost."
        ["beats::second_beat_elsewhere_is_busy" "concurrency::one_of_two_gets_the_beat"] Full
        { begin: |ctx, inner, header| {
            let first = ctx.notes().views_ever == 1;
            null_if_busy(inner.begin_beat(header), header, ctx.elsewhere() && first)
        } }
    a_refused_beat_disturbs_the_open_one "After a refused second beat, the open one loses what follows."
        ["beats::busy_leaves_the_open_beat_alone"] Full
        { begin: |ctx, inner, header| inner.begin_beat(header).inspect_err(|error| ctx.notes().flag |= error.kind() == ErrorKind::Busy),
        put: |beat, key, value| if beat.ctx.notes().flag { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    the_next_but_one_is_let_in "While a beat is open, the one after it is let in and lost."
        ["beats::busy_holds_for_any_header"] Full
        { begin: |ctx, inner, header| {
            // Where threads compete, that would be met by chance.
            let after = header.beat.0 == ctx.notes().newest.beat.0 + 2 && !ctx.elsewhere();
            null_if_busy(inner.begin_beat(header), header, after && ctx.notes().beat_opener.is_some())
        } }
    aborting_commits "An aborted beat is committed."
        ["beats::abort_does_not_leak_into_the_next_beat" "beats::aborted_beat_changes_nothing" "beats::aborted_number_is_free" "reopen::forgets_an_aborted_beat" "delete_range::is_undone_by_abort"] Full
        { abort: |beat| drop(beat.commit()) }
    aborting_keeps_ranges "Aborting does not bring deleted ranges back."
        ["delete_range::is_undone_by_abort" "history::knows_deleted_ranges" "views::does_not_see_a_later_delete_range"] Full
        { abort: |beat| commit_part(beat, |op| matches!(op, Op::Range(_))),
        get: |view, key| {
            let gone = view.ctx.notes().ranges.iter().any(|(beat, range)| *beat > view.own && range.contains(key));
            if gone { Ok(None) } else { view.inner().get_record(key) }
        } }
    aborted_records_come_with_the_next_beat "What an aborted beat staged comes with the next."
        ["beats::abort_does_not_leak_into_the_next_beat"] Full
        { abort: |beat| {
            for op in &beat.ops { if let Op::Put(key, value) = op { beat.ctx.notes().values.insert(key.clone(), value.clone()); } }
            beat.abort();
        }, commit: |mut beat| {
            let leaked = std::mem::take(&mut beat.ctx.notes().values);
            for (key, value) in leaked { beat.inner()?.put_record(&key, &value)?; }
            beat.commit()
        } }
    aborted_numbers_are_used_up "The number of an aborted beat can not be used again."
        ["beats::abort_does_not_leak_into_the_next_beat" "beats::aborted_number_is_free"] Full
        { abort: |beat| { beat.ctx.notes().n = beat.header.beat.0; beat.abort(); },
        begin: |ctx, inner, header| if ctx.notes().n == header.beat.0 && header.beat.0 > 0 { Err(fault(ErrorKind::Conflict, "begin_beat")) } else { inner.begin_beat(header) } }
    dropped_numbers_are_used_up "The number of a beat that was dropped empty can not be used again."
        ["beats::dropped_number_is_free" "durability::beyond_the_offer_is_refused"] Full
        { drop_beat: |beat| if beat.ops.is_empty() && !beat.failed { beat.ctx.notes().n = beat.header.beat.0; },
        begin: |ctx, inner, header| if ctx.notes().n == header.beat.0 && header.beat.0 > 0 { Err(fault(ErrorKind::Conflict, "begin_beat")) } else { inner.begin_beat(header) } }
    open_beats_can_be_seen "Views see new records of the beat that is open."
        ["beats::open_beat_is_invisible"] Full
        { put: |beat, key, value| {
            beat.ctx.notes().values.insert(key.to_vec(), value.to_vec());
            beat.inner()?.put_record(key, value)
        }, get: |view, key| match view.inner().get_record(key)? {
            None if view.ctx.notes().staged > 0 && !view.ctx.elsewhere() => {
                let staged = view.ctx.notes().values.get(key).cloned();
                Ok(staged.map(persist_api::Value::owned))
            }
            other => Ok(other),
        } }
    large_beats_lose_their_deletes "A beat of 200 operations forgets what it deleted one by one."
        ["beats::commit_shows_all_of_the_beat"] Full
        { put: |beat, key, value| {
            if beat.ops.len() == 200 {
                let lost: Vec<_> = beat.ops.iter().filter_map(|op| match op { Op::Delete(key) => Some(key.clone()), _ => None }).collect();
                for key in lost { beat.inner()?.put_record(&key, b"back")?; }
            }
            beat.inner()?.put_record(key, value)
        } }
    beats_hold_2000_records "What a beat puts beyond two thousand records is lost."
        ["beats::three_thousand_records"] Full
        { put: |beat, key, value| if beat.ops.len() >= 2000 { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    empty_beats_have_empty_receipts "The receipt of an empty beat has no header."
        ["beats::empty_beat_is_ordinary" "beats::receipt_carries_the_header"] Full
        { commit: |beat| {
            let empty = beat.ops.is_empty();
            let receipt = beat.commit()?;
            Ok(if empty { BeatReceipt { header: BeatHeader::default(), ..receipt } } else { receipt })
        } }
    empty_beats_hide_the_records "After an empty beat that follows another, records are gone."
        ["beats::empty_beat_keeps_the_records"] Full
        { get: |view, key| {
            let hidden = { let notes = view.ctx.notes(); notes.last_ops == 0 && notes.commits == 2 };
            if hidden { Ok(None) } else { view.inner().get_record(key) }
        } }
    receipts_have_no_root "The receipt does not carry the root."
        ["beats::receipt_carries_the_header"] Full
        { commit: |beat| {
            let mut receipt = beat.commit()?;
            receipt.header.root = None;
            Ok(receipt)
        } }
    volatile_is_refused "A beat that asks for no durability is refused."
        ["beats::volatile_is_always_accepted" "durability::beyond_the_offer_is_refused"] Full
        { begin: |_, inner, header| if header.durability == Durability::Volatile { Err(Error::unsupported("begin_beat", "BUFFERED")) } else { inner.begin_beat(header) } }
    old_records_fade "After 48 beats the records of the first are gone."
        ["numbers::fifty_in_a_row"] Full
        { get: |view, key| {
            let first = view.ctx.notes().history.get(key).is_some_and(|beats| beats.last().is_some_and(|(beat, _)| *beat == 1));
            if first && view.own >= 48 { Ok(None) } else { view.inner().get_record(key) }
        } }
}
