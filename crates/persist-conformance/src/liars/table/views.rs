//! Lies about isolation, lifetime and number of views.

use std::time::Duration;

use persist_api::{BeatNo, ErrorKind, OpenOptions, Quiet};

use super::help::{altered, fault, found, liars};

liars! { VIEWS:
    later_overwrites_show "A view sees later overwrites of another length."
        ["checkpoint::beside_a_view" "compact::beside_a_view" "history::shows_every_beat_by_key" "views::does_not_see_later_overwrites"] Full
        { get: |view, key| match (view.inner().get_record(key)?, view.later(key)) {
            (Some(own), Some(Some(later))) if own.len() != later.len() && own.len() < 100 => found(later),
            (own, _) => Ok(own),
        } }
    later_deletes_show "A view sees later deletes."
        ["compact::beside_a_view" "history::shows_every_beat_by_key" "views::does_not_see_later_deletes"] Full
        { get: |view, key| match view.later(key) { Some(None) => Ok(None), _ => view.inner().get_record(key) } }
    later_records_show "A view of the newest beat sees later records where it had none."
        ["views::does_not_see_later_records" "views::is_pinned_before_its_first_read" "views::readers_do_not_wait_for_the_writer"] Full
        { get: |view, key| match (view.inner().get_record(key)?, view.later(key)) {
            (None, Some(Some(later))) if !view.past => found(later),
            (own, _) => Ok(own),
        } }
    views_wear_out "After thirty beats the scans of a view are empty."
        ["views::stays_over_many_beats"] Full
        { scan: |view, scan, visit| {
            let worn = view.ctx.notes().newest.beat.0 > view.own + 30 && !view.ctx.elsewhere();
            altered(view, &scan, visit, |rows| if worn { rows.clear(); })
        } }
    later_rows_show_in_scans "A scan shows rows of a later beat that also deleted some."
        ["history::shows_every_beat_by_scan" "views::scans_stay_at_their_beat"] Full
        { scan: |view, scan, visit| {
            let later: Vec<_> = {
                let notes = view.ctx.notes();
                let deletes = |beat: u64| notes.history.values().any(|beats| beats.iter().any(|(at, value)| *at == beat && value.is_none()));
                notes.history.iter().filter_map(|(key, beats)| {
                    let (beat, value) = beats.first()?;
                    (*beat > view.own && deletes(*beat)).then(|| Some((key.clone(), value.clone()?)))?
                }).collect()
            };
            altered(view, &scan, visit, |rows| rows.extend(later))
        } }
    later_ranges_show "A view sees that a range was deleted later."
        ["history::knows_deleted_ranges" "views::does_not_see_a_later_delete_range"] Full
        { get: |view, key| {
            let gone = view.ctx.notes().ranges.iter().any(|(beat, range)| *beat > view.own && range.contains(key));
            if gone { Ok(None) } else { view.inner().get_record(key) }
        } }
    headers_move_on "A view that is asked for its header again gives the newest."
        ["views::header_stays"] Full
        { header_moves: true }
    headers_come_late "A view takes its header when it is first asked."
        ["history::at_an_earlier_beat" "history::shows_the_header_of_the_beat" "views::header_and_records_agree" "views::is_pinned_before_its_first_read" "views::opened_beside_a_beat_stays_before_it"] Full
        { header_is_late: true }
    views_share_a_cache "What an earlier view read of a key of one byte, a later view shows."
        ["views::is_not_one_that_was_dropped" "views::many_at_different_beats" "views::older_views_do_not_hold_back_newer" "views::shows_the_newest_beat"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(own) if own.len() == 1 => {
                let mut notes = view.ctx.notes();
                let cached = notes.values.entry(key.to_vec()).or_insert_with(|| own.to_vec()).clone();
                drop(notes);
                found(cached)
            }
            other => Ok(other),
        } }
    new_views_show_what_open_ones_do "While an older view is open, a new one shows its one-byte values."
        ["views::older_views_do_not_hold_back_newer"] Full
        { get: |view, key| {
            let mut notes = view.ctx.notes();
            let held = notes.views_open == 2 && !view.ctx.elsewhere();
            let old = notes.history.get(key).and_then(|beats| beats.first().cloned()).and_then(|(_, value)| value);
            notes.n += 1;
            drop(notes);
            match (view.inner().get_record(key)?, old) {
                (Some(own), Some(old)) if held && own.len() == 1 && old.len() == 1 => found(old),
                (own, _) => Ok(own),
            }
        } }
    the_fifth_view_is_blind "With five views open, records are not found."
        ["concurrency::many_views_at_once" "views::header_and_records_agree" "views::many_at_different_beats"] Full
        { get: |view, key| if view.ctx.notes().views_open >= 5 { Ok(None) } else { view.inner().get_record(key) } }
    views_close_with_the_engine "A view can not be read once its engine was dropped."
        ["views::outlives_its_engine" "views::outlives_its_engine_elsewhere"] Full
        { get: |view, key| if view.ctx.notes().gone { Err(fault(ErrorKind::Closed, "get_record")) } else { view.inner().get_record(key) } }
    views_are_bound_to_a_thread "A view is bound to the thread that opened it."
        ["concurrency::views_wander" "closing::waits_for_a_view" "views::moves_to_another_thread" "views::outlives_its_engine_elsewhere"] Full
        { get: |view, key| {
            let moved = view.opened_on != std::thread::current().id();
            if moved { Err(fault(ErrorKind::Invalid, "get_record")) } else { view.inner().get_record(key) }
        } }
    one_view_too_many "One view more than allowed is let in."
        ["errors::busy_view_speaks" "views::beyond_the_limit_is_busy"] Full
        { open: |_, inner, home, options, seen| {
            inner.open(home, &OpenOptions { views_max: options.views_max.map(|most| most + 1), ..options.clone() }, seen)
        } }
    dropped_views_are_counted "A limit on views counts those that were dropped."
        ["views::dropping_makes_room" "views::refused_view_does_not_count"] Full
        { drop_view: |ctx, inner| if ctx.options.views_max == Some(2) { std::mem::forget(inner); } }
    refused_views_are_counted "A view that was refused counts as open for ever."
        ["views::refused_view_does_not_count"] Full
        { view: |ctx, inner| {
            if ctx.notes().n >= 5 { return Err(fault(ErrorKind::Busy, "view")); }
            inner.view().inspect_err(|_| ctx.notes().n += 1)
        } }
    beats_take_a_view "A beat needs room for a view."
        ["views::taken_views_do_not_stop_beats"] Full
        { begin: |ctx, inner, header| {
            let taken = ctx.options.views_max.is_some_and(|most| ctx.notes().views_open >= most);
            if taken { Err(fault(ErrorKind::Busy, "begin_beat")) } else { inner.begin_beat(header) }
        } }
    close_forgets_views "An engine closes although views are open."
        ["closing::is_busy_with_a_view"] Full
        { close: |_, inner| match inner.close() { Err((inner, _)) => { drop(inner); Ok(()) } Ok(()) => Ok(()) } }
    a_refused_close_is_half_a_close "After a refused close no beat begins."
        ["closing::hands_the_engine_back"] Full
        { close: |ctx, inner| inner.close().inspect_err(|_| ctx.notes().flag = true),
        begin: |ctx, inner, header| if ctx.notes().flag { Err(fault(ErrorKind::Closed, "begin_beat")) } else { inner.begin_beat(header) } }
    close_without_waiting_fails "An engine that may not wait does not close after it had views."
        ["errors::busy_close_speaks" "closing::hands_the_engine_back" "closing::without_views"] Full
        { close: |ctx, inner| {
            if ctx.options.close_wait == Duration::ZERO && ctx.notes().views_ever > 0 { return Err((inner, fault(ErrorKind::Busy, "close"))); }
            inner.close()
        } }
    long_waits_overflow "A wait of a minute before closing overflows and is refused."
        ["closing::leaves_the_directory_free" "closing::waits_for_a_view"] Full
        { close: |ctx, inner| {
            if ctx.options.close_wait > Duration::from_secs(30) { return Err((inner, fault(ErrorKind::Busy, "close"))); }
            inner.close()
        } }
    patient_closes_keep_the_lock "An engine that had views and may wait a minute for them keeps its directory locked when it closes."
        ["closing::leaves_the_directory_free"] Full
        { close: |ctx, inner| {
            let waits = ctx.options.close_wait > Duration::from_secs(30) && ctx.notes().views_ever > 0;
            inner.close()?;
            if waits && let Ok(engine) = crate::liars::base(crate::liars::Base::Full).open(&ctx.path, &OpenOptions::default(), &Quiet) {
                ctx.shared.keep(engine);
            }
            Ok(())
        } }
    scans_stop_the_writer "While a scan runs, no beat begins."
        ["views::writer_does_not_wait_for_a_scan"] Full
        { begin: |ctx, inner, header| {
            let scanning = ctx.notes().scanning == Some(std::thread::current().id());
            if scanning { Err(fault(ErrorKind::Busy, "begin_beat")) } else { inner.begin_beat(header) }
        } }
    the_writer_stops_readers "While a beat with operations is open, no view opens."
        ["beats::open_beat_is_invisible" "views::readers_do_not_wait_for_the_writer"] Full
        { view: |ctx, inner| {
            let writing = { let notes = ctx.notes(); notes.staged > 0 && notes.beat_opener == Some(std::thread::current().id()) };
            if writing { Err(fault(ErrorKind::Busy, "view")) } else { inner.view() }
        } }
    history_shows_the_newest "view_at shows the newest beat of a store that ever had one key, whatever was asked for."
        ["history::at_an_earlier_beat"] Full
        { view_at: |ctx, inner, beat| {
            let alone = { let notes = ctx.notes(); notes.history.len() == 1 && beat <= notes.newest.beat };
            if alone { inner.view() } else { inner.view_at(beat) }
        } }
    history_lacks_the_newest "view_at does not know the newest beat."
        ["history::at_the_newest_beat"] Full
        { view_at: |ctx, inner, beat| if beat == ctx.notes().newest.beat { Err(fault(ErrorKind::Stale, "view_at")) } else { inner.view_at(beat) } }
    history_shows_the_future "view_at a beat to come shows the newest."
        ["history::at_a_beat_that_is_not_kept"] Full
        { view_at: |ctx, inner, beat| if beat > ctx.notes().newest.beat && beat != BeatNo(u64::MAX) { inner.view() } else { inner.view_at(beat) } }
}
