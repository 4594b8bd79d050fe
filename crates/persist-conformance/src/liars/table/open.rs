//! Lies about probing, opening, locks and offers.

use std::sync::atomic::Ordering;

use persist_api::{
    Caps, Driver, Engine, Error, ErrorKind, Limits, OpenMode, OpenOptions, Probe, Quiet, Result,
};

use super::help::{fault, liars, rekind};
use crate::files;
use crate::liars::filed::{LOG, State, inspect};
use crate::liars::hooks::load;

fn exists_bare(home: &std::path::Path) -> bool {
    home.is_dir() && files::listing(home).is_ok_and(|found| found.is_empty())
}

#[allow(clippy::unnecessary_wraps, reason = "it stands where a probe's result stands")]
fn foreign() -> Result<Probe> {
    Ok(Probe::Foreign { what: "nothing that I like".to_owned() })
}

/// An engine on a private copy of a place that is locked.
fn private_copy(
    inner: &dyn Driver,
    home: &std::path::Path,
    options: &OpenOptions,
) -> Result<Box<dyn Engine>> {
    let copy = home.with_extension(format!("copy-{}", home.exists()));
    files::copy_dir(home, &copy).map_err(|error| Error::io("open", home, error))?;
    let _ = files::remove(&copy.join("filed.lock"));
    inner.open(&copy, options, &Quiet)
}

liars! { OPEN:
    probe_takes_missing_for_foreign "A directory that does not exist probes as foreign."
        ["probe::missing_home_probes_empty" "open::must_exist_creates_nothing" "open::unknown_knob_creates_nothing"] Full
        { probe: |_, inner, home| if home.exists() { inner.probe(home) } else { foreign() } }
    probe_takes_bare_for_foreign "A directory without entries probes as foreign."
        ["probe::bare_home_probes_empty"] Full
        { probe: |_, inner, home| if exists_bare(home) { foreign() } else { inner.probe(home) } }
    probe_forgets_stores_without_beats "A store that never saw a beat probes as empty."
        ["probe::own_home_without_beats_probes_mine"] Full
        { probe: |_, inner, home| {
            let fresh = std::fs::metadata(home.join(LOG)).is_ok_and(|log| log.len() == 8);
            if fresh { Ok(Probe::Empty) } else { inner.probe(home) }
        } }
    probe_takes_own_for_foreign "A store with beats probes as foreign."
        ["probe::own_home_probes_mine" "probe::of_an_open_store_is_harmless"] Full
        { probe: |_, inner, home| {
            let own = std::fs::metadata(home.join(LOG)).is_ok_and(|log| log.len() > 8);
            if own { foreign() } else { inner.probe(home) }
        } }
    probe_overlooks_files "Files that it does not know count for nothing in a probe."
        ["probe::foreign_file_probes_foreign"] Full
        { probe: |_, inner, home| match inner.probe(home)? {
            Probe::Foreign { .. } if home.is_dir() && !home.join("photos").exists() => Ok(Probe::Empty),
            other => Ok(other),
        } }
    probe_overlooks_folders "Folders count for nothing in a probe."
        ["probe::foreign_folder_probes_foreign"] Full
        { probe: |_, inner, home| match inner.probe(home)? {
            Probe::Foreign { .. } if home.join("photos").is_dir() => Ok(Probe::Empty),
            other => Ok(other),
        } }
    probe_creates_the_home "Probing a missing directory creates it."
        ["probe::creates_nothing"] Full
        { probe: |_, inner, home| {
            let found = inner.probe(home);
            if matches!(found, Ok(Probe::Empty)) { let _ = files::make_dir(home); }
            found
        } }
    probe_leaves_a_mark "Probing writes to the lock file."
        ["damage::files_short_of_a_byte_are_noticed" "damage::halved_files_are_noticed" "probe::writes_nothing"] Full
        { probe: |_, inner, home| {
            let found = inner.probe(home)?;
            if matches!(found, Probe::Mine { .. }) { let _ = files::append(&home.join("filed.lock"), b"."); }
            Ok(found)
        } }
    probe_needs_the_lock "Probing a store that is open fails."
        ["probe::of_an_open_store_is_harmless"] Full
        { probe: |_, inner, home| {
            let found = inner.probe(home)?;
            if matches!(found, Probe::Mine { .. }) { drop(inner.open(home, &OpenOptions::default(), &Quiet)?); }
            Ok(found)
        } }
    probe_keeps_the_lock "A probe holds the lock until the next one."
        ["probe::locks_nothing" "probe::writes_nothing"] Full
        { probe: |shared, inner, home| {
            let found = inner.probe(home)?;
            if let Ok(engine) = inner.open(home, &OpenOptions { mode: OpenMode::MustExist, ..OpenOptions::default() }, &Quiet) {
                shared.keep(engine);
            }
            Ok(found)
        } }
    foreign_directories_are_opened "A foreign directory is opened; the store goes into a folder of it."
        ["errors::foreign_directory_speaks" "open::foreign_open_is_mismatch" "open::foreign_open_touches_nothing"] Full
        { open: |_, inner, home, options, seen| {
            inner.open(home, options, seen).or_else(|error| match error.kind() {
                ErrorKind::Mismatch if home.is_dir() => inner.open(&home.join("store"), options, seen),
                _ => Err(error),
            })
        } }
    foreign_directories_get_a_lock_file "A foreign directory is refused after a lock file was laid there."
        ["open::foreign_open_touches_nothing"] Full
        { open: |_, inner, home, options, seen| {
            inner.open(home, options, seen).inspect_err(|error| {
                if error.kind() == ErrorKind::Mismatch && home.is_dir() { let _ = files::lay(&home.join("filed.lock"), b""); }
            })
        } }
    foreign_directories_are_invalid "A foreign directory is refused as a wrong argument."
        ["errors::foreign_directory_speaks" "open::foreign_open_is_mismatch"] Full
        { open: |_, inner, home, options, seen| rekind(inner.open(home, options, seen), ErrorKind::Mismatch, ErrorKind::Invalid) }
    a_file_is_replaced_by_a_home "A file in the way is removed."
        ["open::home_that_is_a_file_is_refused"] Full
        { open: |_, inner, home, options, seen| {
            if home.is_file() { let _ = files::remove(home); }
            inner.open(home, options, seen)
        } }
    names_end_at_a_question_mark "The name of the directory is cut at a question mark."
        ["open::home_name_may_hold_odd_characters"] Full
        { open: |_, inner, home, options, seen| {
            let name = home.to_string_lossy().into_owned();
            let cut = name.split('?').next().unwrap_or_default();
            inner.open(std::path::Path::new(cut), options, seen)
        } }
    bare_directories_are_not_used "An empty directory that exists is refused."
        ["open::open_or_create_uses_a_bare_directory"] Full
        { open: |_, inner, home, options, seen| {
            if exists_bare(home) && options.mode == OpenMode::OpenOrCreate { return Err(fault(ErrorKind::Mismatch, "open")); }
            inner.open(home, options, seen)
        } }
    must_exist_creates "MustExist creates where there is nothing."
        ["errors::missing_store_speaks" "open::must_exist_creates_nothing" "open::must_exist_refuses_a_bare_directory" "open::must_exist_refuses_nothing"] Full
        { open: |_, inner, home, options, seen| {
            let mode = if options.mode == OpenMode::MustExist { OpenMode::OpenOrCreate } else { options.mode };
            inner.open(home, &OpenOptions { mode, ..options.clone() }, seen)
        } }
    must_exist_makes_the_directory "MustExist refuses and leaves an empty directory."
        ["open::must_exist_creates_nothing"] Full
        { open: |_, inner, home, options, seen| {
            let opened = inner.open(home, options, seen);
            if opened.is_err() && options.mode == OpenMode::MustExist { let _ = files::make_dir(home); }
            opened
        } }
    must_exist_is_content_with_a_directory "MustExist takes an empty directory for a store."
        ["open::must_exist_refuses_a_bare_directory"] Full
        { open: |_, inner, home, options, seen| {
            let mode = if exists_bare(home) { OpenMode::OpenOrCreate } else { options.mode };
            inner.open(home, &OpenOptions { mode, ..options.clone() }, seen)
        } }
    must_exist_fails_as_io "MustExist reports a missing store as an I/O failure."
        ["errors::missing_store_speaks" "open::must_exist_refuses_a_bare_directory" "open::must_exist_refuses_nothing"] Full
        { open: |_, inner, home, options, seen| {
            let opened = inner.open(home, options, seen);
            if options.mode == OpenMode::MustExist { rekind(opened, ErrorKind::Invalid, ErrorKind::Io) } else { opened }
        } }
    must_exist_wants_beats "MustExist refuses a store without beats."
        ["open::must_exist_opens_a_store"] Full
        { open: |_, inner, home, options, seen| {
            let fresh = std::fs::metadata(home.join(LOG)).is_ok_and(|log| log.len() == 8);
            if fresh && options.mode == OpenMode::MustExist { return Err(fault(ErrorKind::Invalid, "open")); }
            inner.open(home, options, seen)
        } }
    must_create_never_does "MustCreate refuses even where there is nothing."
        ["open::must_create_creates"] Full
        { open: |_, inner, home, options, seen| {
            if options.mode == OpenMode::MustCreate && !home.exists() { return Err(fault(ErrorKind::Conflict, "open")); }
            inner.open(home, options, seen)
        } }
    must_create_opens "MustCreate opens a store that exists."
        ["errors::existing_store_speaks" "open::must_create_conflict_keeps_the_store" "open::must_create_conflicts_with_a_store"] Full
        { open: |_, inner, home, options, seen| {
            let mode = if options.mode == OpenMode::MustCreate { OpenMode::OpenOrCreate } else { options.mode };
            inner.open(home, &OpenOptions { mode, ..options.clone() }, seen)
        } }
    must_create_clears_first "MustCreate clears the store before it refuses."
        ["open::must_create_conflict_keeps_the_store"] Full
        { open: |_, inner, home, options, seen| {
            let opened = inner.open(home, options, seen);
            if opened.is_err() && options.mode == OpenMode::MustCreate { let _ = files::cut(&home.join(LOG), 8); }
            opened
        } }
    nothing_is_locked "A second open gets a private copy."
        ["locks::lock_stays_with_a_view" "locks::second_open_is_locked" "locks::third_open_is_locked_too"] Full
        { open: |_, inner, home, options, seen| {
            inner.open(home, options, seen).or_else(|error| match error.kind() {
                ErrorKind::Locked => private_copy(inner, home, options),
                _ => Err(error),
            })
        } }
    locked_is_called_busy "A directory that is held is Busy instead of Locked."
        ["errors::locked_store_speaks" "locks::lock_stays_with_a_view" "locks::second_open_is_locked" "locks::third_open_is_locked_too"] Full
        { open: |_, inner, home, options, seen| rekind(inner.open(home, options, seen), ErrorKind::Locked, ErrorKind::Busy) }
    refusal_takes_the_lock_away "A refused open takes the lock away from its holder."
        ["locks::third_open_is_locked_too"] Full
        { open: |shared, inner, home, options, seen| {
            inner.open(home, options, seen).or_else(|error| {
                let before = shared.home(home, |notes| std::mem::replace(&mut notes.flag, true));
                if error.kind() == ErrorKind::Locked && before { private_copy(inner, home, options) } else { Err(error) }
            })
        } }
    refusal_disturbs_the_holder "After a refused open its holder cannot write."
        ["locks::second_open_disturbs_nothing"] Full
        { open: |shared, inner, home, options, seen| {
            inner.open(home, options, seen).inspect_err(|error| {
                if error.kind() == ErrorKind::Locked { shared.home(home, |notes| notes.flag = true); }
            })
        }, begin: |ctx, inner, header| {
            if ctx.home(|notes| notes.flag) { return Err(fault(ErrorKind::Poisoned, "begin_beat")); }
            inner.begin_beat(header)
        } }
    lock_survives_close "Closing a store without beats keeps its lock."
        ["locks::lock_goes_with_close" "open::must_exist_opens_a_store" "probe::locks_nothing" "locks::refused_open_leaves_no_lock"] Full
        { close: |ctx, inner| {
            let fresh = ctx.notes().newest.beat.0 == 0;
            inner.close()?;
            if fresh && let Ok(engine) = crate::liars::base(crate::liars::Base::Full).open(&ctx.path, &OpenOptions::default(), &Quiet) {
                ctx.shared.keep(engine);
            }
            Ok(())
        } }
    lock_survives_drop "Dropping an engine that never committed keeps its lock."
        ["locks::lock_goes_with_drop" "locks::lock_goes_with_the_last_view"] Full
        { drop_engine: |ctx, inner| if ctx.notes().commits == 0 { ctx.shared.keep(inner); } }
    views_do_not_hold_the_lock "Once its engine is dropped, a view does not keep the directory locked."
        ["locks::lock_stays_with_a_view"] Full
        { open: |shared, inner, home, options, seen| {
            inner.open(home, options, seen).or_else(|error| match error.kind() {
                ErrorKind::Locked if load(&shared.alive) == 0 => private_copy(inner, home, options),
                _ => Err(error),
            })
        } }
    last_view_keeps_the_lock "The last view of a dropped engine leaves the lock behind."
        ["locks::lock_goes_with_the_last_view" "views::outlives_its_engine_elsewhere"] Full
        { drop_view: |ctx, inner| if ctx.notes().gone { std::mem::forget(inner); } }
    refused_open_keeps_the_lock "An open that is refused for a knob keeps the lock."
        ["locks::refused_open_leaves_no_lock"] Full
        { open: |shared, inner, home, options, seen| {
            inner.open(home, options, seen).inspect_err(|error| {
                if error.kind() == ErrorKind::Invalid && inspect(home) == State::Whole
                    && let Ok(engine) = inner.open(home, &OpenOptions::default(), &Quiet) {
                    shared.keep(engine);
                }
            })
        } }
    unknown_knobs_are_ignored "A knob that it does not know is ignored."
        ["open::unknown_knob_is_invalid"] Full
        { open: |_, inner, home, options, seen| {
            inner.open(home, &OpenOptions { knobs: std::collections::BTreeMap::new(), ..options.clone() }, seen)
        } }
    unknown_knobs_are_not_named "The error about a knob does not say which."
        ["open::unknown_knob_is_named"] Full
        { open: |_, inner, home, options, seen| {
            let opened = inner.open(home, options, seen);
            if options.knobs.is_empty() { opened } else { opened.map_err(|_| fault(ErrorKind::Invalid, "open")) }
        } }
    unknown_knobs_come_too_late "A knob is looked at after the directory was created."
        ["open::unknown_knob_creates_nothing"] Full
        { open: |_, inner, home, options, seen| {
            if !options.knobs.is_empty() { let _ = files::make_dir(home); }
            inner.open(home, options, seen)
        } }
    offer_depends_on_the_moment "Every other offer has a lower limit."
        ["offers::offer_is_pure" "offers::open_engine_offers_what_its_driver_does" "offers::open_offer_follows_the_options"] Full
        { offer: |shared, offer| {
            let odd = shared.calls.fetch_add(1, Ordering::AcqRel) % 2;
            persist_api::Offer { limits: Limits { store_bytes_max: offer.limits.store_bytes_max - odd, ..offer.limits }, ..offer }
        } }
    open_handle_offers_something_else "The open engine offers other limits than its driver."
        ["offers::open_engine_offers_what_its_driver_does" "offers::open_offer_follows_the_options" "views::limit_is_offered"] Full
        { open_offer: |_, offer| persist_api::Offer {
            limits: Limits { views_max: offer.limits.views_max + 1, ..offer.limits }, ..offer
        } }
    open_handle_ignores_the_options "The open engine offers its default limits whatever was asked for."
        ["offers::open_offer_follows_the_options" "views::limit_is_offered"] Full
        { open_offer: |_, offer| persist_api::Offer { limits: Limits { views_max: 64, ..offer.limits }, ..offer } }
    offer_changes_with_a_commit "After its first commit the handle offers less."
        ["offers::open_offer_is_constant"] Full
        { later_offer: |_, offer| persist_api::Offer {
            limits: Limits { value_bytes_max: offer.limits.value_bytes_max - 1, ..offer.limits }, ..offer
        } }
    offers_a_layer "It offers a Merkle root, which only a layer can give."
        ["offers::offer_holds_only_engine_bits"] Full
        { offer: |_, offer| persist_api::Offer { caps: offer.caps | Caps::MERKLE, ..offer } }
    offers_no_views "SNAPSHOT is missing from its offer."
        ["offers::offer_holds_the_floor"] Full
        { offer: |_, offer| persist_api::Offer { caps: offer.caps - Caps::SNAPSHOT, ..offer } }
    offers_shorter_keys_than_it_takes "It offers LONG_KEYS, keys up to 511 bytes, and takes longer ones."
        ["limits::longer_key_is_too_large" "limits::longer_key_is_too_large_to_delete" "limits::too_large_names_the_limit" "limits::too_large_poisons_its_beat_only" "offers::offer_limits_make_sense"] Full
        { offer: |_, offer| persist_api::Offer { limits: Limits { key_bytes_max: 511, ..offer.limits }, ..offer } }
    offer_names_another_engine "The offer names the engine in another way than its driver."
        ["offers::offer_names_its_engine"] Full
        { offer: |_, offer| persist_api::Offer { engine: "Filed", ..offer } }
    dropped_beats_are_committed_at_the_end "A beat that is dropped with operations in it is committed."
        ["beats::dropped_beat_changes_nothing" "open::open_after_a_beat_was_left_open"] Full
        { drop_beat: |beat| if !beat.ops.is_empty() && let Some(inner) = beat.take_inner() { let _ = inner.commit_beat(); } }
}
