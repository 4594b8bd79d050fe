//! Lies about damage: engines that trip over it, and engines that keep it to themselves.

use std::path::Path;

use persist_api::{Caps, Driver, Engine, Error, Observer, Offer, OpenMode, OpenOptions, Result, VerifyStat};

use super::help::liars;
use crate::liars::filed::{LOCK, LOG, State, drop_unsound, inspect};

#[allow(clippy::panic, reason = "the lie is that it panics")]
fn panics_if(bad: bool) {
    assert!(!bad, "an engine that does not look before it reads");
}

/// An error of the disk under a lie.
fn undone(home: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |error| Error::io("open", home, error)
}

fn silently_drop(home: &Path) -> Result<()> {
    drop_unsound(home).map_err(undone(home))
}

#[allow(clippy::disallowed_methods, reason = "the lie is about an engine's own files")]
fn begin_anew(
    inner: &dyn Driver,
    home: &Path,
    options: &OpenOptions,
    seen: &dyn Observer,
) -> Result<Box<dyn Engine>> {
    for name in [LOG, LOCK].map(|name| home.join(name)).iter().filter(|name| name.exists()) {
        std::fs::remove_file(name).map_err(undone(home))?;
    }
    inner.open(home, &OpenOptions { mode: OpenMode::OpenOrCreate, ..options.clone() }, seen)
}

liars! { DAMAGE:
    panics_on_an_empty_log "An empty file makes it panic."
        ["damage::emptied_files_are_noticed"] Full
        { open: |_, inner, home, options, seen| { panics_if(inspect(home) == State::NoMagic); inner.open(home, options, seen) } }
    panics_on_a_torn_log "A file that ends in the middle of a record makes it panic."
        ["damage::files_short_of_a_byte_are_noticed" "damage::halved_files_are_noticed"] Full
        { open: |_, inner, home, options, seen| { panics_if(inspect(home) == State::Torn); inner.open(home, options, seen) } }
    panics_on_a_flipped_byte "A record that does not match its checksum makes it panic."
        ["damage::flipped_bytes_are_noticed" "damage::flipped_bytes_never_panic"] Full
        { open: |_, inner, home, options, seen| { panics_if(inspect(home) == State::Damaged); inner.open(home, options, seen) } }
    panics_on_garbage "A record that claims to be huge makes it panic."
        ["damage::trailing_garbage_never_panics"] Full
        { open: |_, inner, home, options, seen| { panics_if(inspect(home) == State::Endless); inner.open(home, options, seen) } }
    panics_on_a_missing_log "A directory without the log makes it panic."
        ["damage::missing_files_are_noticed"] Full
        { open: |_, inner, home, options, seen| {
            panics_if(home.join(LOCK).exists() && inspect(home) == State::Missing);
            inner.open(home, options, seen)
        } }
    missing_logs_begin_anew "A store whose log is missing opens as an empty one where one must exist."
        ["damage::missing_files_are_noticed"] Full
        { open: |_, inner, home, options, seen| {
            let lost = home.join(LOCK).exists() && inspect(home) == State::Missing;
            if lost { begin_anew(inner, home, options, seen) } else { inner.open(home, options, seen) }
        } }
    empty_logs_begin_anew "A store whose log is empty opens as an empty one."
        ["damage::emptied_files_are_noticed"] Full
        { open: |_, inner, home, options, seen| {
            let lost = home.join(LOG).metadata().is_ok_and(|log| log.len() == 0);
            if lost { begin_anew(inner, home, options, seen) } else { inner.open(home, options, seen) }
        } }
    cut_logs_are_shorter "What a log has lost that was cut is gone without a word."
        ["damage::files_short_of_a_byte_are_noticed" "damage::halved_files_are_noticed"] Full
        { open: |_, inner, home, options, seen| {
            if inspect(home) == State::Torn { silently_drop(home)?; }
            inner.open(home, options, seen)
        } }
    damaged_logs_end_early "Records from a damaged one on are gone without a word."
        ["damage::flipped_bytes_are_noticed"] Full
        { open: |_, inner, home, options, seen| {
            if inspect(home) == State::Damaged { silently_drop(home)?; }
            inner.open(home, options, seen)
        } }
    verify_finds_nothing "verify keeps damage to itself."
        ["damage::beneath_an_open_store_is_found"] Full
        { verify: |_, inner, _, seen| inner.verify(&mut |_| (), seen).map(|stat| VerifyStat { damaged: 0, ..stat }) }
    verify_only_counts_damage "verify counts damage and reports none."
        ["damage::beneath_an_open_store_is_found"] Full
        { verify: |_, inner, _, seen| inner.verify(&mut |_| (), seen) }
    checksums_are_granted_for_nothing "Who requires checksums is granted them by an engine that has none."
        ["twin::CRC32C"] Bare
        { negotiate: |_, offer, request| {
            let only = if request.required == Caps::CRC32C && request.layers.is_empty() { Caps::CRC32C } else { Caps::empty() };
            persist_api::negotiate(&Offer { caps: offer.caps | only, ..offer.clone() }, request)
        } }
}
