//! Lies of the long verbs.

use persist_api::{
    BackupStat, BeatHeader, BeatNo, CheckpointStat, CompactStat, ErrorKind, Finding, FindingCode, OpenMode,
    OpenOptions, Quiet, Stats, VerifyStat,
};

use super::help::{ROOT, altered, fault, found, liars, rekind};
use crate::files;
use crate::liars::hooks::Ctx;
use crate::liars::wrap::{LyingView, Op};

/// The value that a key had before it was deleted.
fn deleted(ctx: &Ctx, key: &[u8]) -> Option<Vec<u8>> {
    let notes = ctx.notes();
    let beats = notes.history.get(key)?;
    if beats.last()?.1.is_some() {
        return None;
    }
    beats.iter().rev().find_map(|(_, value)| value.clone())
}

fn remembered(view: &LyingView, key: &[u8], lost: bool) -> bool {
    lost && view.ctx.reopened && view.ctx.home(|notes| notes.keys.contains(key))
}

fn is_backup(ctx: &Ctx) -> bool {
    ctx.home(|notes| notes.backup_of.is_some())
}

liars! { MAINTENANCE:
    checkpoint_brings_deleted_back "After a checkpoint, deleted records are back."
        ["checkpoint::keeps_the_records"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            None if view.ctx.notes().checkpoints == 1 => Ok(deleted(&view.ctx, key).map(persist_api::Value::owned)),
            other => Ok(other),
        } }
    checkpoint_lags "A checkpoint names the beat before the newest."
        ["checkpoint::names_the_newest_beat"] Full
        { checkpoint: |_, inner| inner.checkpoint().map(|stat| CheckpointStat { beat: BeatNo(stat.beat.0.saturating_sub(1)), ..stat }) }
    checkpoint_changes_the_header "After a checkpoint, the header has a root."
        ["checkpoint::is_no_beat"] Full
        { header: |ctx, header| if ctx.notes().checkpoints > 0 { BeatHeader { root: Some(ROOT), ..header } } else { header } }
    checkpoint_needs_a_beat "A checkpoint of a new store fails."
        ["checkpoint::of_a_new_store"] Full
        { checkpoint: |ctx, inner| if ctx.notes().newest.beat.0 == 0 { Err(fault(ErrorKind::Invalid, "checkpoint")) } else { inner.checkpoint() } }
    what_follows_a_checkpoint_is_lost "Records put after a checkpoint are lost by closing."
        ["checkpoint::after_every_beat" "checkpoint::then_reopen" "routes::through_a_checkpoint"] Full
        { commit: |beat| {
            if beat.ctx.notes().checkpoints == 1 {
                for op in &beat.ops { if let Op::Put(key, _) = op { beat.ctx.home(|notes| notes.keys.insert(key.clone())); } }
            }
            beat.commit()
        }, get: |view, key| if remembered(view, key, true) { Ok(None) } else { view.inner().get_record(key) } }
    checkpoint_moves_views "After a checkpoint, older views show the newest values."
        ["checkpoint::beside_a_view" "history::is_kept_by_a_checkpoint"] Full
        { get: |view, key| match view.later(key) {
            Some(Some(later)) if view.ctx.notes().checkpoints > 0 => found(later),
            _ => view.inner().get_record(key),
        } }
    many_checkpoints_lose_a_record "After the third checkpoint a record of the first beat is lost by closing."
        ["checkpoint::after_every_beat"] Full
        { checkpoint: |ctx, inner| {
            if ctx.notes().checkpoints == 2 {
                let first = ctx.notes().history.iter().find(|(_, beats)| beats.first().is_some_and(|(beat, _)| *beat == 1)).map(|(key, _)| key.clone());
                ctx.home(|notes| notes.keys.extend(first));
            }
            inner.checkpoint()
        }, get: |view, key| if remembered(view, key, true) { Ok(None) } else { view.inner().get_record(key) } }
    backups_need_their_maker "A backup that was copied elsewhere does not open."
        ["backup::opens_by_itself"] Full
        { open: |shared, inner, home, options, seen| {
            let copied = home.ends_with("elsewhere") && shared.home(home, |notes| notes.backup_of.is_none() && notes.opens == 0);
            if copied { Err(fault(ErrorKind::Mismatch, "open")) } else { inner.open(home, options, seen) }
        } }
    backups_have_no_root "The header of a backup has no root."
        ["backup::holds_the_header"] Full
        { header: |ctx, header| if is_backup(ctx) { BeatHeader { root: None, ..header } } else { header } }
    backups_name_the_beat_before "A backup names the beat before the one that it shows."
        ["concurrency::backup_beside_beats" "backup::names_its_beat"] Full
        { backup: |_, inner, into, seen| inner.backup(into, seen).map(|stat| BackupStat { beat: BeatNo(stat.beat.0.saturating_sub(1)), ..stat }) }
    backups_weigh_nothing "A backup says that it wrote nothing."
        ["backup::names_its_beat"] Full
        { backup: |_, inner, into, seen| inner.backup(into, seen).map(|stat| BackupStat { bytes: 0, ..stat }) }
    backups_want_a_missing_directory "A backup into an empty directory is refused."
        ["backup::into_an_empty_directory"] Full
        { backup: |_, inner, into, seen| if into.exists() { Err(fault(ErrorKind::Mismatch, "backup")) } else { inner.backup(into, seen) } }
    backups_go_anywhere "A backup into a used directory goes into a folder of it."
        ["backup::into_a_used_directory_is_refused" "backup::into_the_store_is_refused" "backup::over_a_backup_is_refused" "backup::refused_touches_nothing"] Full
        { backup: |_, inner, into, seen| {
            inner.backup(into, seen).or_else(|error| if error.kind() == ErrorKind::Mismatch { inner.backup(&into.join("copy"), seen) } else { Err(error) })
        } }
    used_targets_are_invalid "A backup into a used directory is refused as a wrong argument."
        ["backup::into_a_used_directory_is_refused" "backup::into_the_store_is_refused" "backup::over_a_backup_is_refused"] Full
        { backup: |_, inner, into, seen| rekind(inner.backup(into, seen), ErrorKind::Mismatch, ErrorKind::Invalid) }
    used_targets_get_a_mark "A refused backup leaves a file in its target."
        ["backup::over_a_backup_is_refused" "backup::refused_touches_nothing"] Full
        { backup: |ctx, inner, into, seen| inner.backup(into, seen).inspect_err(|_| {
            if into.is_dir() && into != ctx.path { let _ = files::lay(&into.join("backup.lock"), b""); }
        }) }
    backups_replace_backups "A backup replaces an earlier one."
        ["backup::over_a_backup_is_refused"] Full
        { backup: |_, inner, into, seen| {
            if into.join("filed.log").exists() && !into.join("filed.lock").exists() { let _ = files::remove(&into.join("filed.log")); }
            inner.backup(into, seen)
        } }
    a_store_is_its_own_backup "A backup into the store itself succeeds without a copy."
        ["backup::into_the_store_is_refused"] Full
        { backup: |ctx, inner, into, seen| {
            if into == ctx.path { return Ok(BackupStat { beat: ctx.notes().newest.beat, bytes: 1 }); }
            inner.backup(into, seen)
        } }
    backups_share_with_the_store "A backup sees what its store does later."
        ["backup::beside_an_open_beat" "backup::is_apart_from_the_store"] Full
        { commit: |beat| {
            for op in &beat.ops { if let Op::Put(key, value) = op { beat.ctx.home(|notes| notes.values.insert(key.clone(), value.clone())); } }
            beat.commit()
        }, get: |view, key| match (view.inner().get_record(key)?, view.ctx.home(|notes| notes.backup_of.clone())) {
            (None, Some(source)) if key.len() > 9 => Ok(view.ctx.shared.home(&source, |notes| notes.values.get(key).cloned()).map(persist_api::Value::owned)),
            (own, _) => Ok(own),
        } }
    backups_lean_on_the_store "A backup does not open once its store is lost."
        ["backup::outlives_the_store"] Full
        { open: |shared, inner, home, options, seen| {
            let source = shared.home(home, |notes| notes.backup_of.clone());
            let lost = source.is_some_and(|source| std::fs::metadata(source.join("filed.log")).is_ok_and(|log| log.len() == 0));
            if lost { Err(fault(ErrorKind::Corrupt, "open")) } else { inner.open(home, options, seen) }
        } }
    backups_wait_for_the_beat "While a beat is open on its thread, a backup is Busy."
        ["backup::beside_an_open_beat"] Full
        { backup: |ctx, inner, into, seen| {
            let writing = ctx.notes().beat_opener == Some(std::thread::current().id());
            if writing { Err(fault(ErrorKind::Busy, "backup")) } else { inner.backup(into, seen) }
        } }
    backups_need_a_beat "A backup of a new store fails."
        ["backup::of_a_new_store"] Full
        { backup: |ctx, inner, into, seen| if ctx.notes().newest.beat.0 == 0 { Err(fault(ErrorKind::Invalid, "backup")) } else { inner.backup(into, seen) } }
    backups_count_anew "A beat written to a backup says that it is beat 1."
        ["backup::continues_the_numbers"] Full
        { commit: |beat| {
            let anew = is_backup(&beat.ctx);
            let mut receipt = beat.commit()?;
            if anew { receipt.header.beat = BeatNo(1); }
            Ok(receipt)
        } }
    backups_report_nothing "A backup does not report progress."
        ["backup::progress_goes_on" "backup::stops_when_asked"] Full
        { backup: |_, inner, into, _| inner.backup(into, &Quiet) }
    backups_do_not_stop "A backup reports progress and goes on when told to stop."
        ["backup::stops_when_asked"] Full
        { backup: |_, inner, into, seen| inner.backup(into, &|step| { let _ = seen.progress(step); std::ops::ControlFlow::Continue(()) }) }
    backups_count_down "A backup's progress goes back."
        ["backup::progress_goes_on"] Full
        { backup: |_, inner, into, seen| inner.backup(into, &|step: persist_api::Progress| {
            seen.progress(persist_api::Progress { done: 1_u64.saturating_sub(step.done), ..step })
        }) }
    stopped_backups_look_whole "A stopped backup leaves an empty store."
        ["backup::stopped_is_no_store"] Full
        { backup: |_, inner, into, seen| inner.backup(into, seen).inspect_err(|error| {
            if error.kind() == ErrorKind::Cancelled {
                drop(crate::liars::base(crate::liars::Base::Full).open(into, &OpenOptions { mode: OpenMode::MustCreate, ..OpenOptions::default() }, &Quiet));
            }
        }) }
    compact_brings_deleted_back "After compacting, deleted records are back."
        ["compact::keeps_the_records"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            None if view.ctx.notes().compactions == 1 => Ok(deleted(&view.ctx, key).map(persist_api::Value::owned)),
            other => Ok(other),
        } }
    compact_changes_the_header "After compacting, the header has a root."
        ["compact::is_no_beat"] Full
        { header: |ctx, header| if ctx.notes().compactions > 0 { BeatHeader { root: Some(ROOT), ..header } } else { header } }
    compact_grows_the_store "Compacting adds a byte."
        ["compact::does_not_grow_the_store"] Full
        { compact: |_, inner, scope, seen| inner.compact(scope, seen).map(|stat| CompactStat { bytes_after: stat.bytes_before + 1, ..stat }) }
    what_follows_compacting_is_lost "Records put after compacting are lost by closing."
        ["compact::then_reopen"] Full
        { commit: |beat| {
            if beat.ctx.notes().compactions > 0 {
                for op in &beat.ops { if let Op::Put(key, _) = op { beat.ctx.home(|notes| notes.keys.insert(key.clone())); } }
            }
            beat.commit()
        }, get: |view, key| if remembered(view, key, true) { Ok(None) } else { view.inner().get_record(key) } }
    compact_moves_views "After compacting, older views miss what was deleted later."
        ["compact::beside_a_view"] Full
        { get: |view, key| match view.later(key) {
            Some(None) if view.ctx.notes().compactions > 0 => Ok(None),
            _ => view.inner().get_record(key),
        } }
    compact_works_once "Compacting a store without beats a second time fails."
        ["compact::of_a_new_store"] Full
        { compact: |ctx, inner, scope, seen| {
            if ctx.notes().compactions > 0 && ctx.notes().commits == 0 { return Err(fault(ErrorKind::Invalid, "compact")); }
            inner.compact(scope, seen)
        } }
    compact_brings_ranges_back "After compacting and closing, deleted ranges are back."
        ["compact::revives_nothing"] Full
        { compact: |ctx, inner, scope, seen| {
            let ranges: Vec<_> = ctx.notes().ranges.iter().map(|(_, range)| range.clone()).collect();
            ctx.home(|notes| notes.ranges = ranges);
            inner.compact(scope, seen)
        }, get: |view, key| {
            let ghost = view.ctx.reopened && view.ctx.home(|notes| notes.ranges.iter().any(|range| range.contains(key)));
            match view.inner().get_record(key)? { None if ghost => found("ghost"), other => Ok(other) }
        } }
    compact_reports_nothing "Compacting does not report progress."
        ["compact::progress_goes_on" "compact::stops_when_asked"] Full
        { compact: |_, inner, scope, _| inner.compact(scope, &Quiet) }
    compact_leaves_a_mess_when_stopped "Compacting that was stopped loses a record."
        ["compact::stops_when_asked"] Full
        { compact: |ctx, inner, scope, seen| inner.compact(scope, seen).inspect_err(|_| ctx.notes().flag = true),
        get: |view, key| if view.ctx.notes().flag && key == [b'r', 7] { Ok(None) } else { view.inner().get_record(key) } }
    verify_counts_deleted "verify counts deleted records."
        ["verify::beside_an_open_beat" "verify::counts_the_records"] Full
        { verify: |ctx, inner, found, seen| {
            let dead = ctx.notes().history.values().filter(|beats| beats.last().is_some_and(|(_, value)| value.is_none())).count() as u64;
            inner.verify(found, seen).map(|stat| VerifyStat { records: stat.records + dead, ..stat })
        } }
    verify_counts_no_keys "verify leaves the keys out of the bytes."
        ["verify::counts_the_bytes"] Full
        { verify: |_, inner, found, seen| inner.verify(found, seen).map(|stat| VerifyStat { bytes: stat.bytes - stat.records, ..stat }) }
    verify_cries_wolf "verify finds damage after a beat that deleted."
        ["verify::finds_no_damage"] Full
        { verify: |ctx, inner, found, seen| {
            let stat = inner.verify(found, seen)?;
            if ctx.notes().last_ops == 10 && ctx.notes().beat_opener.is_none() {
                found(Finding::damage(FindingCode::Record, "something", "somewhere"));
            }
            Ok(stat)
        } }
    verify_counts_a_header "verify of a new store counts a record."
        ["verify::of_a_new_store"] Full
        { verify: |ctx, inner, found, seen| {
            let fresh = u64::from(ctx.notes().newest.beat.0 == 0);
            inner.verify(found, seen).map(|stat| VerifyStat { records: stat.records + fresh, ..stat })
        } }
    verify_closes_the_gate "After verify, no beat begins."
        ["verify::is_harmless" "verify::stops_when_asked"] Full
        { verify: |ctx, inner, found, seen| { ctx.notes().flag = !ctx.elsewhere(); inner.verify(found, seen) },
        begin: |ctx, inner, header| if ctx.notes().flag { Err(fault(ErrorKind::Busy, "begin_beat")) } else { inner.begin_beat(header) } }
    verify_counts_the_open_beat "verify counts what an open beat staged."
        ["verify::beside_an_open_beat"] Full
        { verify: |ctx, inner, found, seen| {
            let staged = if ctx.elsewhere() { 0 } else { ctx.notes().staged };
            inner.verify(found, seen).map(|stat| VerifyStat { records: stat.records + staged, ..stat })
        } }
    verify_trusts_what_it_opened "After reopening, verify reads nothing."
        ["damage::beneath_an_open_store_is_found" "verify::after_reopening"] Full
        { verify: |ctx, inner, found, seen| inner.verify(found, seen).map(|stat| if ctx.reopened { VerifyStat::default() } else { stat }) }
    verify_reports_nothing "verify does not report progress."
        ["verify::progress_goes_on" "verify::stops_when_asked"] Full
        { verify: |_, inner, found, _| inner.verify(found, &Quiet) }
    verify_does_not_stop "verify reports progress and goes on when told to stop."
        ["verify::stops_when_asked"] Full
        { verify: |_, inner, found, seen| inner.verify(found, &|step| { let _ = seen.progress(step); std::ops::ControlFlow::Continue(()) }) }
    stats_lag "stats name the beat before the newest."
        ["concurrency::stats_beside_beats" "stats::do_not_count_an_open_beat" "stats::name_the_newest_beat"] Full
        { stats: |_, inner| inner.stats().map(|stats| Stats { beat: BeatNo(stats.beat.0.saturating_sub(1)), ..stats }) }
    stats_count_deleted "stats count deleted records."
        ["stats::count_records"] Full
        { stats: |ctx, inner| {
            let dead = ctx.notes().history.values().filter(|beats| beats.last().is_some_and(|(_, value)| value.is_none())).count() as u64;
            inner.stats().map(|stats| Stats { records: stats.records.map(|records| records + dead), ..stats })
        } }
    stats_count_all_views "stats count views that were dropped."
        ["concurrency::views_wander" "stats::count_views"] Full
        { stats: |ctx, inner| inner.stats().map(|stats| Stats { views_open: ctx.notes().views_ever, ..stats }) }
    stats_take_the_newest_view "stats name the newest beat as that of the oldest view."
        ["stats::know_the_oldest_view"] Full
        { stats: |_, inner| inner.stats().map(|stats| Stats { oldest_view_beat: stats.oldest_view_beat.map(|_| stats.beat), ..stats }) }
    stats_weigh_nothing "stats say that nothing lies on the disk."
        ["stats::know_the_bytes_on_disk"] Full
        { stats: |_, inner| inner.stats().map(|stats| Stats { bytes_on_disk: 0, ..stats }) }
    stats_count_the_open_beat "stats count the beat that is open on their thread."
        ["stats::do_not_count_an_open_beat"] Full
        { stats: |ctx, inner| {
            let open = u64::from(ctx.notes().beat_opener == Some(std::thread::current().id()));
            inner.stats().map(|stats| Stats { beat: BeatNo(stats.beat.0 + open), ..stats })
        } }
    checkpoint_and_compact_lose_a_row "After checkpoint and compacting, scans lose their last row."
        ["routes::through_everything"] Full
        { scan: |view, scan, visit| {
            let both = { let notes = view.ctx.notes(); notes.checkpoints > 0 && notes.compactions > 0 };
            altered(view, &scan, visit, |rows| if both { rows.pop(); })
        } }
}
