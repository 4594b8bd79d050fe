//! Lies about reading single records.

use std::sync::Arc;

use persist_api::{ErrorKind, KeyRange, Scan, Value};

use super::help::{fault, found, liars};
use crate::liars::hooks::Ctx;

/// Bytes in a buffer that the next use of the engine takes away.
struct Borrowed {
    bytes: Vec<u8>,
    ctx: Arc<Ctx>,
    /// The generation of the buffer when it was filled.
    filled: u64,
}

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        if self.ctx.elsewhere() || self.ctx.notes().generation == self.filled { &self.bytes } else { &[] }
    }
}

/// A value in such a buffer.
pub(super) fn lent<'v>(bytes: Vec<u8>, ctx: &Arc<Ctx>, filled: u64) -> Value<'v> {
    Value::pinned(Borrowed { bytes, ctx: Arc::clone(ctx), filled })
}

liars! { READS:
    absent_letters_give_the_next "A key of one letter that is absent gives the next letter's record."
        ["history::shows_every_beat_by_key" "reads::present_and_absent"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            None if key.len() == 1 && key.is_ascii() => {
                let next = crate::kit::rows(view.inner(), Scan::range(KeyRange::of(key..)).limit(1))?;
                Ok(next.into_iter().find(|(next, _)| next.len() == 1).map(|(_, value)| Value::owned(value)))
            }
            other => Ok(other),
        } }
    an_empty_store_can_not_be_read "Reading a store without beats is an error."
        ["history::before_the_first_beat" "limits::too_large_poisons_its_beat_only" "open::home_name_may_hold_odd_characters" "reads::empty_store_has_nothing" "views::is_pinned_before_its_first_read"] Full
        { get: |view, key| if view.own == 0 { Err(fault(ErrorKind::Stale, "get_record")) } else { view.inner().get_record(key) } }
    keys_may_be_one_letter_short "A key short of its last letter is found."
        ["reads::prefix_is_not_the_key" "staging::delete_takes_one_key"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            None if key.len() == 2 && key.is_ascii() => {
                let next = crate::kit::rows(view.inner(), Scan::range(KeyRange::prefix(key)).limit(1))?;
                Ok(next.into_iter().find(|(next, _)| next.len() == 3).map(|(_, value)| Value::owned(value)))
            }
            other => Ok(other),
        } }
    trailing_zeros_are_ignored "A key that ends in a zero byte is taken for the one without it where that exists."
        ["reads::prefix_is_not_the_key" "reads::zero_bytes_in_keys"] Full
        { get: |view, key| match key.strip_suffix(b"\0") {
            Some(short) if view.inner().get_record(short)?.is_some() => view.inner().get_record(short),
            _ => view.inner().get_record(key),
        } }
    letters_have_no_case "A key that is absent is looked up in lower case."
        ["reads::case_matters"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            None => view.inner().get_record(&key.to_ascii_lowercase()),
            other => Ok(other),
        } }
    empty_values_are_absent "A record with the empty value is not found."
        ["cursors::shows_what_get_finds" "reads::empty_value_is_a_value" "reopen::finds_every_record" "staging::empty_value_replaces"] Full
        { get: |view, key| Ok(view.inner().get_record(key)?.filter(|value| !value.is_empty())) }
    text_ends_at_a_zero "A value of letters loses the zero byte at its end."
        ["reads::zero_bytes_in_values"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) => match value.strip_suffix(b"\0") {
                Some(text) if !text.is_empty() && text.iter().all(u8::is_ascii_alphabetic) => found(text),
                _ => Ok(Some(value)),
            },
            None => Ok(None),
        } }
    white_space_is_no_key "Keys of one blank or line end are not found."
        ["reads::every_byte_is_a_key"] Full
        { get: |view, key| match key { [one] if one.is_ascii_whitespace() => Ok(None), _ => view.inner().get_record(key) } }
    values_must_be_text "A value of four bytes that is no UTF-8 is not found."
        ["reads::bytes_need_not_be_text"] Full
        { get: |view, key| Ok(view.inner().get_record(key)?.filter(|value| {
            value.len() != 4 || value.first() == Some(&0) || std::str::from_utf8(value).is_ok()
        })) }
    length_65536_overflows "A value of 65,536 bytes loses one."
        ["reads::values_of_awkward_lengths"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) if value.len() == 65_536 => found(value.get(1..).unwrap_or_default()),
            other => Ok(other),
        } }
    length_127_overflows "A value of 128 bytes comes back with 127."
        ["reads::values_of_awkward_lengths"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) if value.len() == 128 => found(value.get(1..).unwrap_or_default()),
            other => Ok(other),
        } }
    values_end_at_a_megabyte "A value of a megabyte loses its last byte."
        ["limits::longest_value_works" "reads::value_of_a_megabyte"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) if value.len() >= 1 << 20 => found(value.get(1..).unwrap_or_default()),
            other => Ok(other),
        } }
    the_empty_key_is_an_error "Reading the empty key is an error."
        ["reads::empty_key_finds_nothing"] Full
        { get: |view, key| if key.is_empty() { Err(fault(ErrorKind::Invalid, "get_record")) } else { view.inner().get_record(key) } }
    a_long_key_is_an_error "Reading a key beyond the limit is an error."
        ["reads::too_long_key_finds_nothing"] Full
        { get: |view, key| if key.len() > 65_535 { Err(fault(ErrorKind::TooLarge, "get_record")) } else { view.inner().get_record(key) } }
    a_record_is_found_twice "Reading a key for the third time in one view finds nothing."
        ["reads::reading_twice_gives_the_same"] Full
        { get: |view, key| {
            let often = view.reads.borrow().get(key).is_some_and(|reads| *reads >= 3);
            if often { Ok(None) } else { view.inner().get_record(key) }
        } }
    one_buffer_for_all_values "A value that is held changes when the next is read."
        ["reads::values_stay_while_beats_commit" "reads::values_stay_while_held"] Full
        { get: |view, key| {
            view.ctx.notes().generation += 1;
            let filled = view.ctx.notes().generation;
            Ok(view.inner().get_record(key)?.map(|value| {
                lent(value.into_vec(), &view.ctx, filled)
            }))
        } }
    values_do_not_outlast_a_commit "A value that is held changes when a beat commits."
        ["reads::values_stay_while_beats_commit"] Full
        { get: |view, key| {
            let filled = view.ctx.notes().generation;
            Ok(view.inner().get_record(key)?.map(|value| {
                lent(value.into_vec(), &view.ctx, filled)
            }))
        } }
    no_reads_inside_a_scan "Reading a record inside a visitor is Busy."
        ["reads::reading_inside_a_scan"] Full
        { get: |view, key| {
            if view.ctx.notes().scanning == Some(std::thread::current().id()) { return Err(fault(ErrorKind::Busy, "get_record")); }
            view.inner().get_record(key)
        } }
    large_values_are_copied "Values of many pages are copied though ZERO_COPY is offered."
        ["reads::zero_copy_copies_nothing"] Full
        { get: |view, key| match view.inner().get_record(key)? {
            Some(value) if value.len() > 50_000 => found(value.into_vec()),
            other => Ok(other),
        } }
}
