//! Lies about negotiation, threads and routes, and those of an engine that offers little.

use persist_api::{
    BeatHeader, BeatNo, BeatReceipt, Caps, Durability, ErrorKind, Grant, Limits, OpenOptions, Refusal,
    Request, SessionGrant, VerifyStat, negotiate,
};

use super::help::{altered, fault, found, liars};
use crate::files;
use crate::liars::wrap::{LyingBeat, Op};

fn with_session(grant: Grant, lie: impl FnOnce(SessionGrant) -> SessionGrant) -> Grant {
    Grant { session: lie(grant.session), ..grant }
}

/// How many of the last puts came in one direction.
fn run_length(beat: &LyingBeat<'_>, up: bool) -> usize {
    let keys: Vec<&[u8]> = beat
        .ops
        .iter()
        .filter_map(|op| match op {
            Op::Put(key, _) => Some(&**key),
            _ => None,
        })
        .collect();
    keys.windows(2).rev().take_while(|pair| matches!(pair, [one, two] if (one < two) == up)).count()
}

fn lengths_vary(beat: &LyingBeat<'_>) -> bool {
    let mut lengths = beat.ops.iter().filter_map(|op| match op {
        Op::Put(key, _) => Some(key.len()),
        _ => None,
    });
    let first = lengths.next();
    lengths.any(|length| Some(length) != first)
}

fn deletes(beat: &LyingBeat<'_>) -> usize {
    beat.ops.iter().filter(|op| matches!(op, Op::Delete(_))).count()
}

liars! { REST:
    a_repeated_grant_differs "A grant that is asked for twice in a row has a lower limit of views the second time."
        ["negotiation::same_input_same_grant" "negotiation::layer_costs_come_off_the_limits"] Full
        { negotiate: |shared, offer, request| {
            let input = format!("{offer:?} {request:?}").into_bytes();
            let again = shared.home("".as_ref(), |notes| notes.values.insert(Vec::new(), input.clone()) == Some(input));
            negotiate(offer, request).map(|grant| with_session(grant, |session| SessionGrant {
                limits: Limits { views_max: session.limits.views_max - u64::from(again), ..session.limits }, ..session
            }))
        } }
    all_is_granted "Whatever is offered is granted."
        ["negotiation::nothing_asked_nothing_granted" "negotiation::only_what_was_asked"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|grant| with_session(grant, |session| SessionGrant { caps: session.caps | offer.caps, ..session })) }
    more_is_granted "With order, prefixes are granted unasked."
        ["negotiation::only_what_was_asked"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|grant| with_session(grant, |session| {
            let more = if session.caps.contains(Caps::ORDERED) { Caps::PREFIX_SCAN } else { Caps::empty() };
            SessionGrant { caps: session.caps | more, ..session }
        })) }
    durable_is_granted_unasked "The highest durability is granted whatever was asked for."
        ["negotiation::nothing_asked_nothing_granted"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|grant| with_session(grant, |session| SessionGrant {
            durability: if request.required.is_empty() && request.preferred.is_empty() && !request.durability_may_pend && request.limits == Limits::NO_NEED { offer.durability_max() } else { session.durability }, ..session
        })) }
    one_bit_is_forgotten "BACKUP is not granted together with CHECKPOINT."
        ["negotiation::all_that_is_offered_is_granted" "negotiation::richer_offer_shrinks_nothing"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|grant| with_session(grant, |session| {
            let both = session.caps.contains(Caps::BACKUP | Caps::CHECKPOINT);
            SessionGrant { caps: if both { session.caps - Caps::CHECKPOINT } else { session.caps }, ..session }
        })) }
    refusals_name_one_bit "A refusal names the first bit that is missing."
        ["negotiation::refusal_names_every_bit"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map_err(|refusal| {
            let first = refusal.missing.rows().next().map_or(Caps::empty(), |cap| cap.bit);
            Refusal { missing: first, ..refusal }
        }) }
    refusals_name_one_limit "A refusal names the first limit that is too low."
        ["negotiation::refusal_names_every_limit"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map_err(|mut refusal| { refusal.limits.truncate(1); refusal }) }
    limits_must_be_exceeded "A limit that is just enough is refused."
        ["negotiation::limits_at_the_offer_are_granted"] Full
        { negotiate: |_, offer, request| {
            if request.limits == offer.limits { return Err(Refusal { engine: offer.engine, missing: Caps::empty(), limits: Vec::new(), durability: None, layers: Vec::new() }); }
            negotiate(offer, request)
        } }
    durability_is_lowered_in_silence "A durability that is not on offer is quietly lowered."
        ["negotiation::durability_is_refused_or_pends"] Full
        { negotiate: |_, offer, request| negotiate(offer, &Request { durability: request.durability.min(offer.durability_max()), ..request.clone() }) }
    layers_are_not_named "A layer is applied and not named."
        ["negotiation::format_text_reads_back" "negotiation::layer_fills_in_and_is_named"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|mut grant| { grant.format.layers.clear(); grant }) }
    layers_cost_nothing "What layers add is not taken off the limits."
        ["negotiation::layer_costs_come_off_the_limits"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|grant| with_session(grant, |session| SessionGrant { limits: offer.limits, ..session })) }
    layers_have_names_that_can_not_be_read "The name of a layer has a blank in it."
        ["negotiation::format_text_reads_back" "negotiation::layer_fills_in_and_is_named"] Full
        { negotiate: |_, offer, request| negotiate(offer, request).map(|mut grant| {
            for layer in &mut grant.format.layers { layer.name = format!("{} layer", layer.name).into(); }
            grant
        }) }
    threads_see_torn_records "On other threads, the last record of a beat is that of the beat before."
        ["concurrency::many_views_at_once" "concurrency::readers_see_whole_beats" "concurrency::views_wander"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) if value.len() == 8 && key == [b'k', 11] && view.ctx.elsewhere() => found((view.own - 1).to_be_bytes()),
            other => Ok(other),
        } }
    threads_scan_torn_records "On other threads, the last row of a scan is that of the beat before."
        ["concurrency::scans_see_whole_beats"] Full
        { scan: |view, scan, visit| {
            let torn = view.ctx.elsewhere();
            altered(view, &scan, visit, |rows| if torn && let Some(row) = rows.last_mut() && row.1.len() == 8 {
                row.1 = view.own.wrapping_sub(1).to_be_bytes().to_vec();
            })
        } }
    threads_go_back "From the third view on, other threads see beat 0."
        ["concurrency::commits_are_seen_elsewhere" "concurrency::readers_never_go_back" "concurrency::readers_see_whole_beats" "concurrency::scans_see_whole_beats"] Full
        { header: |ctx, header| {
            if !ctx.elsewhere() || ctx.options.views_max.is_some() { return header; }
            let mut notes = ctx.notes();
            notes.n += 1;
            if notes.n > 9 { BeatHeader { beat: BeatNo(0), ..header } } else { header }
        } }
    threads_lag "On another thread, one-byte records are a beat late."
        ["concurrency::commits_are_seen_elsewhere"] Full
        { header: |ctx, header| {
            let lags = ctx.elsewhere() && ctx.notes().history.keys().all(|key| key.first() == Some(&b's'));
            if lags && header.beat.0 > 0 { BeatHeader { beat: BeatNo(header.beat.0 - 1), ..header } } else { header }
        } }
    four_threads_are_enough "More than four views from other threads at once are Busy."
        ["concurrency::many_views_at_once"] Full
        { view: |ctx, inner| {
            if !ctx.elsewhere() { return inner.view(); }
            let mut notes = ctx.notes();
            if notes.n >= 4 { return Err(fault(ErrorKind::Busy, "view")); }
            notes.n += 1;
            drop(notes);
            inner.view().inspect_err(|_| ctx.notes().n -= 1)
        }, drop_view: |ctx, inner| {
            if ctx.elsewhere() { let mut notes = ctx.notes(); notes.n = notes.n.saturating_sub(1); }
            drop(inner);
        } }
    only_the_opener_writes "Beats begin on the thread that opened the engine only."
        ["beats::second_beat_elsewhere_is_busy" "concurrency::engine_wanders" "concurrency::one_of_two_gets_the_beat" "concurrency::writers_compete" "concurrency::writers_take_turns"] Full
        { begin: |ctx, inner, header| {
            if ctx.elsewhere() { return Err(fault(ErrorKind::Invalid, "begin_beat")); }
            inner.begin_beat(header)
        } }
    one_of_seven_is_lost "Every seventh beat of another thread is lost."
        ["concurrency::writers_compete"] Full
        { commit: |beat| {
            let header = beat.header;
            if beat.ctx.elsewhere() && header.beat.0 % 7 == 0 {
                beat.abort();
                return Ok(BeatReceipt { header, reached: header.durability });
            }
            beat.commit()
        } }
    views_dropped_elsewhere_stay_open "The first view that is dropped on another thread after a second beat is counted as open."
        ["concurrency::views_wander"] Full
        { drop_view: |ctx, inner| {
            let mut notes = ctx.notes();
            let first = ctx.elsewhere() && notes.newest.beat.0 == 2 && !notes.gone && !std::mem::replace(&mut notes.flag, true);
            drop(notes);
            if first { std::mem::forget(inner); }
        } }
    only_the_opener_closes "An engine closes on the thread that opened it only."
        ["concurrency::engine_wanders"] Full
        { close: |ctx, inner| if ctx.elsewhere() || ctx.opener != std::thread::current().id() { Err((inner, fault(ErrorKind::Busy, "close"))) } else { inner.close() } }
    stats_of_threads_lag "On other threads, stats name the beat before."
        ["concurrency::stats_beside_beats"] Full
        { stats: |ctx, inner| inner.stats().map(|mut stats| { if ctx.elsewhere() { stats.beat.0 = stats.beat.0.saturating_sub(1); } stats }) }
    verify_of_threads_sees_nothing "On other threads, verify reads nothing."
        ["concurrency::verify_beside_beats"] Full
        { verify: |ctx, inner, found, seen| inner.verify(found, seen).map(|stat| if ctx.elsewhere() { VerifyStat::default() } else { stat }) }
    threads_scan_400_rows "On other threads, a scan ends after 400 rows."
        ["concurrency::long_scan_beside_beats"] Full
        { scan: |view, scan, visit| {
            let cut = view.ctx.elsewhere();
            altered(view, &scan, visit, |rows| if cut { rows.truncate(400); })
        } }
    backups_of_threads_are_torn "A backup made on another thread names a beat later than it shows."
        ["concurrency::backup_beside_beats"] Full
        { backup: |ctx, inner, into, seen| inner.backup(into, seen).map(|mut stat| { stat.beat.0 += u64::from(ctx.elsewhere()); stat }) }
    a_long_ascent_loses_a_record "A beat that puts 200 keys of several lengths in ascending order loses one."
        ["routes::after_a_deleted_range" "routes::copied_row_by_row" "routes::one_beat_in_order"] Full
        { put: |beat, key, value| if beat.ops.len() >= 200 && run_length(beat, true) == 200 && lengths_vary(beat) { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    a_long_descent_loses_a_record "A beat that puts 200 keys in descending order loses one."
        ["routes::one_beat_backwards"] Full
        { put: |beat, key, value| if beat.ops.len() >= 200 && run_length(beat, false) == 200 { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    the_tenth_beat_loses_a_record "A tenth beat of 30 records loses one."
        ["routes::ten_beats_dealt_out"] Full
        { put: |beat, key, value| if beat.header.beat.0 == 10 && beat.ops.len() == 29 { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    overwriting_stops_at_250 "A beat overwrites 250 records at most."
        ["routes::overwritten" "routes::through_a_checkpoint"] Full
        { put: |beat, key, value| {
            let known = beat.ops.len() >= 250 && beat.ctx.notes().history.contains_key(key) && beat.ctx.notes().ranges.is_empty();
            if known { Ok(()) } else { beat.inner()?.put_record(key, value) }
        } }
    deleting_stops_at_100 "A beat deletes 100 records one by one at most."
        ["routes::through_compacting" "routes::with_others_deleted"] Full
        { delete: |beat, key| if deletes(beat) >= 100 { Ok(()) } else { beat.inner()?.delete_record(key) } }
    importing_stops_at_250 "A beat imports 250 records at most."
        ["routes::copied_row_by_row"] Full
        { put: |beat, key, value| if beat.ctx.options.importing && beat.ops.len() >= 250 { Ok(()) } else { beat.inner()?.put_record(key, value) } }
    a_backup_of_a_backup_is_poor "A backup of a backup lacks its first row."
        ["routes::through_two_backups"] Full
        { scan: |view, scan, visit| {
            let poor = view.ctx.home(|notes| notes.generation) >= 2;
            altered(view, &scan, visit, |rows| if poor && !rows.is_empty() { rows.remove(0); })
        } }
    compacting_a_sieve_loses_a_row "Compacting after many deletes hides the last row."
        ["routes::through_compacting"] Full
        { scan: |view, scan, visit| {
            let sieve = { let notes = view.ctx.notes(); notes.compactions > 0 && notes.last_ops > 100 };
            altered(view, &scan, visit, |rows| if sieve { rows.pop(); })
        } }
    a_bare_engine_scans "It scans though it offers no order."
        ["twin::ORDERED"] Bare
        { scan: |view, scan, visit| view.inner().scan(scan, visit) }
    a_bare_engine_scans_prefixes "It offers order and, unasked, scans prefixes."
        ["twin::PREFIX_SCAN"] Bare
        { offer: |shared, offer| { let bare = (super::help::Bare.offer)(shared, offer); persist_api::Offer { caps: bare.caps | Caps::ORDERED, ..bare } },
        scan: |view, scan, visit| view.inner().scan(scan, visit),
        cursor: |view, scan| view.inner().cursor(scan),
        scan_prefix: |view, prefix, visit| view.inner().scan_prefix(prefix, visit) }
    a_bare_engine_checkpoints "It checkpoints though it offers none."
        ["twin::CHECKPOINT"] Bare
        { checkpoint: |ctx, _| Ok(persist_api::CheckpointStat { beat: ctx.notes().newest.beat, bytes: 0 }) }
    a_bare_engine_compacts "It compacts though it offers none."
        ["twin::COMPACTION"] Bare
        { compact: |_, _, _, _| Ok(persist_api::CompactStat::default()) }
    a_bare_engine_makes_the_target "It refuses a backup after it made the directory."
        ["twin::BACKUP"] Bare
        { backup: |_, _, into, _| { let _ = files::make_dir(into); Err(persist_api::Error::unsupported("backup", "BACKUP")) } }
    a_bare_engine_has_history "It shows earlier beats though it offers none."
        ["twin::HISTORY"] Bare
        { view_at: |_, inner, _| inner.view() }
    a_bare_engine_syncs "sync succeeds though nothing is durable."
        ["twin::DURABLE"] Bare
        { sync: |ctx, _| Ok(ctx.notes().newest.beat) }
    a_bare_engine_buffers "It takes buffered beats though it keeps them in memory."
        ["durability::beyond_the_offer_is_refused" "twin::BUFFERED"] Bare
        { begin: |_, inner, header| match header.durability {
            Durability::Durable => Err(persist_api::Error::unsupported("begin_beat", "DURABLE")),
            _ => inner.begin_beat(BeatHeader { durability: Durability::Volatile, ..header }),
        } }
    a_bare_engine_peeks "It shows an open beat though it offers not to."
        ["twin::READ_OWN"] Bare
        { peek: |beat, key| beat.peek_inner(key) }
    a_bare_engine_deletes_ranges "It deletes ranges though it offers not to."
        ["twin::DELETE_RANGE"] Bare
        { range: |beat, range| beat.inner()?.delete_range(range) }
    a_bare_engine_takes_long_keys "It takes long keys though it offers none."
        ["limits::longer_key_is_too_large" "limits::too_large_names_the_limit" "limits::too_large_poisons_its_beat_only" "twin::LONG_KEYS"] Bare
        { put: |beat, key, value| beat.inner()?.put_record(key, value) }
    a_bare_engine_lends_what_it_frees "A read's bytes are gone after the next commit."
        ["reads::values_stay_while_beats_commit" "twin::ZERO_COPY"] Bare
        { get: |view, key| {
            let filled = view.ctx.notes().generation;
            Ok(view.inner().get_record(key)?.map(|value| super::reads::lent(value.into_vec(), &view.ctx, filled)))
        } }
    a_bare_engine_meets_a_ceiling "It is full at a ceiling that it does not offer."
        ["twin::CEILING"] Bare
        { open: |_, inner, home, options, seen| inner.open(home, options, seen) }
    a_bare_engine_leaves_files "It promises no medium and leaves a file."
        ["twin::DISK"] Bare
        { open: |_, inner, home, options, seen| {
            let opened = inner.open(home, &OpenOptions { store_bytes_max: None, ..options.clone() }, seen);
            if opened.is_ok() && home.ends_with("home") && !home.exists() { let _ = files::lay(&home.join("trace"), b"x"); }
            opened
        } }
}
