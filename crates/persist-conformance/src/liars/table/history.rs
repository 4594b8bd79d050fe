//! Lies about earlier beats.

use persist_api::{BeatHeader, BeatNo, CompactScope, ErrorKind};

use super::help::{altered, fault, liars};

liars! { HISTORY:
    history_forgets_what_was_deleted "In a view of history, a record that was deleted later is not there."
        ["history::shows_every_beat_by_key"] Full
        { get: |view, key| {
            let gone = view.past && view.later(key) == Some(None);
            if gone { Ok(None) } else { view.inner().get_record(key) }
        } }
    history_scans_leave_out_what_changed "The scans of a view of history leave out what was overwritten later."
        ["history::shows_every_beat_by_scan"] Full
        { scan: |view, scan, visit| {
            altered(view, &scan, visit, |rows| if view.past { rows.retain(|(key, _)| view.later(key).is_none()); })
        } }
    history_has_no_roots "The header of an earlier beat has lost its root."
        ["history::shows_the_header_of_the_beat"] Full
        { header: |ctx, header| if header.beat < ctx.notes().newest.beat { BeatHeader { root: None, ..header } } else { header } }
    history_knows_later_ranges "In a view of history, what a later range took is gone, unless it was put again."
        ["history::knows_deleted_ranges"] Full
        { get: |view, key| {
            let gone = view.past && {
                let notes = view.ctx.notes();
                let again = notes.history.get(key).is_some_and(|beats| beats.len() > 1);
                !again && notes.ranges.iter().any(|(beat, range)| *beat > view.own && range.contains(key))
            };
            if gone { Ok(None) } else { view.inner().get_record(key) }
        } }
    history_waits_for_the_writer "While a beat with operations is open, no view of history opens."
        ["history::goes_on_beside_beats"] Full
        { view_at: |ctx, inner, beat| {
            let writing = { let notes = ctx.notes(); notes.staged > 0 && notes.beat_opener.is_some() };
            if writing { Err(fault(ErrorKind::Busy, "view_at")) } else { inner.view_at(beat) }
        } }
    history_begins_with_the_open "After reopening, there are no earlier beats."
        ["history::is_kept_over_reopening"] Full
        { view_at: |ctx, inner, beat| {
            if ctx.reopened && beat < ctx.notes().newest.beat { Err(fault(ErrorKind::Stale, "view_at")) } else { inner.view_at(beat) }
        } }
    history_ends_with_a_checkpoint "After a checkpoint, there are no earlier beats."
        ["history::is_kept_by_a_checkpoint"] Full
        { view_at: |ctx, inner, beat| {
            let gone = { let notes = ctx.notes(); notes.checkpoints > 0 && beat < notes.newest.beat };
            if gone { Err(fault(ErrorKind::Stale, "view_at")) } else { inner.view_at(beat) }
        } }
    compact_keeps_one_beat_less "compact keeps one beat less than it was told to."
        ["history::is_kept_by_compact_as_asked"] Full
        { compact: |_, inner, scope, seen| inner.compact(CompactScope { keep_beats: scope.keep_beats.saturating_sub(1) }, seen) }
    compact_leaves_wrong_history "What compact gave up shows the newest beat."
        ["history::is_right_or_stale_after_compact"] Full
        { view_at: |ctx, inner, beat| {
            let shown = inner.view_at(beat);
            let wrong = shown.is_err() && { let notes = ctx.notes(); notes.compactions > 0 && beat < notes.newest.beat };
            if wrong { inner.view() } else { shown }
        } }
    compact_pulls_views_of_history "compact takes a beat away from an open view of history."
        ["history::views_of_it_outlive_compact"] Full
        { get: |view, key| {
            let gone = view.past && { let notes = view.ctx.notes(); notes.compactions > 0 && notes.views_open == 1 && view.own == 2 };
            if gone { Err(fault(ErrorKind::Stale, "get_record")) } else { view.inner().get_record(key) }
        } }
    history_ends_softly "Beats more than forty back show the oldest of the forty."
        ["history::ends_somewhere_and_stays_ended"] Full
        { view_at: |ctx, inner, beat| {
            let oldest = ctx.notes().newest.beat.0.saturating_sub(40);
            inner.view_at(if beat.0 > 0 { BeatNo(beat.0.max(oldest)) } else { beat })
        } }
    history_begins_with_the_end "Beat 0 shows the newest."
        ["history::before_the_first_beat"] Full
        { view_at: |_, inner, beat| if beat.0 == 0 { inner.view() } else { inner.view_at(beat) } }
    long_keys_stay "A delete of a key of 65,535 bytes that lay there before the beat is ignored."
        ["long_keys::are_deleted"] Full
        { delete: |beat, key| {
            if key.len() == 65_535 && key.last() == Some(&2) { return Ok(()); }
            beat.inner()?.delete_record(key)
        } }
    long_bounds_are_cut "A range to delete is bounded by the first 65,534 bytes of a longer upper bound."
        ["long_keys::bound_deleted_ranges"] Full
        { range: |beat, range| {
            let end = super::help::key_of(range.end());
            if end.len() != 65_535 { return beat.inner()?.delete_range(range); }
            let cut = std::ops::Bound::Included(end.get(..65_534).unwrap_or_default());
            beat.inner()?.delete_range(persist_api::KeyRange::new(range.start(), cut))
        } }
    long_keys_are_lost "After reopening, keys of 65,535 bytes are not found."
        ["long_keys::are_kept_over_reopening"] Full
        { get: |view, key| if view.ctx.reopened && key.len() == 65_535 { Ok(None) } else { view.inner().get_record(key) } }
}
