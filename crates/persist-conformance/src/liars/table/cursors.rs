//! Lies of cursors.

use std::ops::Bound;

use persist_api::{Direction, ErrorKind, KeyRange, Scan};

use super::help::{fault, key_of, kinds, liars};
use crate::liars::cursor::LyingCursor;

fn forward(cursor: &LyingCursor<'_>) -> bool {
    cursor.scan.direction == Direction::Forward
}

fn over_all(cursor: &LyingCursor<'_>) -> bool {
    cursor.scan.range == KeyRange::all()
}

fn fresh(cursor: &LyingCursor<'_>) -> bool {
    cursor.steps == 0 && !cursor.sought && !cursor.ended
}

/// Seeks without regard for the range.
fn seek_anywhere(cursor: &mut LyingCursor<'_>, key: &[u8]) -> persist_api::Result<bool> {
    let scan = Scan { range: KeyRange::all(), ..cursor.scan.clone() };
    cursor.inner = cursor.view.inner_of_cursor(scan)?;
    cursor.inner.seek(key)
}

#[allow(clippy::panic, reason = "the lie is that it panics")]
fn panics_if(bad: bool) {
    assert!(!bad, "range start is greater than range end");
}

liars! { CURSORS:
    shows_a_row_before_the_first "A cursor shows bytes before its first step."
        ["cursors::starts_before_the_first_row"] Full
        { key: |cursor| if fresh(cursor) && forward(cursor) { b"early" } else { cursor.inner.key() } }
    shows_a_row_before_the_last "A cursor backwards shows bytes before its first step."
        ["cursors::starts_after_the_last_row_backwards"] Full
        { value: |cursor| if fresh(cursor) && !forward(cursor) { b"early" } else { cursor.inner.value() } }
    loses_the_sixth_row "A cursor loses the sixth row."
        ["cursors::a_thousand_rows" "cursors::keys_only_shows_no_wrong_value" "cursors::shows_what_the_visitor_shows" "ranges::every_pair_by_cursor" "routes::read_by_cursors"] Full
        { advance: |cursor| {
            if cursor.steps == 5 && forward(cursor) && !cursor.sought { cursor.inner.advance()?; }
            cursor.inner.advance()
        } }
    loses_the_sixth_row_backwards "A cursor backwards loses the sixth row."
        ["cursors::shows_what_the_visitor_shows_backwards" "ranges::every_pair_by_cursor" "routes::read_by_cursors"] Full
        { advance: |cursor| {
            if cursor.steps == 5 && !forward(cursor) && !cursor.sought { cursor.inner.advance()?; }
            cursor.inner.advance()
        } }
    cuts_values_at_8k "A cursor cuts values at 8 KiB."
        ["cursors::shows_what_get_finds"] Full
        { value: |cursor| { let value = cursor.inner.value(); value.get(..8192).unwrap_or(value) } }
    begins_again_at_the_end "A cursor that is asked again at its end begins anew."
        ["cursors::stays_at_the_end"] Full
        { advance: |cursor| {
            if cursor.ended && !cursor.sought && forward(cursor) && cursor.steps > 0 {
                let first = cursor.scan.range.start();
                let first = key_of(first).to_vec();
                return cursor.inner.seek(&first);
            }
            cursor.inner.advance()
        } }
    begins_again_at_the_end_backwards "A cursor backwards that is asked again at its end begins anew."
        ["cursors::stays_at_the_end_backwards"] Full
        { advance: |cursor| {
            if cursor.ended && !cursor.sought && !forward(cursor) && cursor.steps > 0 { return cursor.inner.seek(&[0xFF; 9]); }
            cursor.inner.advance()
        } }
    keeps_showing_the_last_row "At its end a cursor still shows the last row's key."
        ["cursors::shows_nothing_at_the_end"] Full
        { key: |cursor| if cursor.ended && !cursor.sought { &cursor.last } else { cursor.inner.key() } }
    goes_on_after_a_failed_seek "After a seek that found nothing, a cursor over everything begins anew."
        ["seek::beyond_all_keys"] Full
        { advance: |cursor| {
            if cursor.ended && cursor.sought && over_all(cursor) && forward(cursor) && cursor.steps == 0 && cursor.scan.limit > 0 { return cursor.inner.seek(b"\0"); }
            cursor.inner.advance()
        } }
    goes_on_after_a_failed_seek_backwards "After a seek backwards that found nothing, a cursor begins anew."
        ["seek::before_all_keys_backwards" "seek::the_empty_key_backwards"] Full
        { advance: |cursor| {
            if cursor.ended && cursor.sought && over_all(cursor) && !forward(cursor) && cursor.steps == 0 { return cursor.inner.seek(&[0xFF; 9]); }
            cursor.inner.advance()
        } }
    finds_rows_where_there_are_none "A cursor over a prefix that no key has finds the row after it."
        ["cursors::over_nothing" "ranges::every_pair_by_cursor"] Full
        { advance: |cursor| {
            let found = cursor.inner.advance()?;
            let start = key_of(cursor.scan.range.start()).to_vec();
            if found || cursor.steps > 0 || cursor.sought || start.len() < 2 || cursor.scan.range != KeyRange::prefix(&start) { return Ok(found); }
            seek_anywhere(cursor, &start)
        } }
    panics_on_inverted_ranges "A cursor over an inverted range panics."
        ["cursors::over_an_inverted_range" "ranges::every_pair_by_cursor"] Full
        { cursor: |view, scan| {
            let (start, end) = (key_of(scan.range.start()), key_of(scan.range.end()));
            panics_if(kinds(&scan.range) == ('e', 'e') && start > end);
            view.inner().cursor(scan)
        } }
    seek_steps_over_the_key_once "A seek to a key that is there finds the next, on a fresh cursor over everything."
        ["cursors::a_thousand_rows" "cursors::beats_do_not_move_it" "seek::goes_on_after_seek" "cursors::reads_do_not_move_it" "seek::a_key"] Full
        { seek: |cursor, key| {
            let over = fresh(cursor) && forward(cursor) && over_all(cursor) && cursor.scan.limit == u64::MAX;
            let found = cursor.inner.seek(key)?;
            if found && over && cursor.inner.key() == key { cursor.inner.advance() } else { Ok(found) }
        } }
    seek_backwards_steps_over_the_key "A seek backwards to a key that is there finds the one before."
        ["seek::goes_on_after_seek_backwards" "seek::a_key_backwards"] Full
        { seek: |cursor, key| {
            let found = cursor.inner.seek(key)?;
            if found && !forward(cursor) && cursor.inner.key() == key { cursor.inner.advance() } else { Ok(found) }
        } }
    seek_between_keys_goes_back "A seek between keys finds the one before."
        ["seek::a_long_key" "seek::between_keys"] Full
        { seek: |cursor, key| {
            let found = cursor.inner.seek(key)?;
            if !found || !forward(cursor) || cursor.inner.key() == key || key.len() < 2 || !over_all(cursor) { return Ok(found); }
            let scan = Scan::range(KeyRange::of(..key)).reverse();
            let before = crate::kit::rows(cursor.view.inner(), scan.limit(1))?;
            match before.first() { Some((before, _)) => { let before = before.clone(); cursor.inner.seek(&before) } None => Ok(found) }
        } }
    seek_backwards_between_keys_goes_on "A seek backwards between keys finds the one after."
        ["seek::a_long_key_backwards" "seek::between_keys_backwards"] Full
        { seek: |cursor, key| {
            let found = cursor.inner.seek(key)?;
            if !found || forward(cursor) || cursor.inner.key() == key || !over_all(cursor) { return Ok(found); }
            let scan = Scan::range(KeyRange::of(key..));
            let after = crate::kit::rows(cursor.view.inner(), scan.limit(1))?;
            match after.first() { Some((after, _)) => { let after = after.clone(); cursor.inner.seek(&after) } None => Ok(found) }
        } }
    seek_before_all_fails "A seek to a letter before all keys finds nothing."
        ["seek::before_all_keys"] Full
        { seek: |cursor, key| if forward(cursor) && key.len() == 1 && key < b"c" { cursor.inner.seek(&[0xFF; 9]) } else { cursor.inner.seek(key) } }
    seek_beyond_all_finds_the_last "A seek beyond all keys finds the last."
        ["seek::beyond_all_keys"] Full
        { seek: |cursor, key| {
            let found = cursor.inner.seek(key)?;
            if found || !forward(cursor) || !over_all(cursor) || cursor.scan.limit == 0 { return Ok(found); }
            cursor.inner.seek(b"c7")
        } }
    seek_backwards_beyond_all_fails "A seek backwards beyond all keys finds nothing."
        ["seek::beyond_all_keys_backwards"] Full
        { seek: |cursor, key| if !forward(cursor) && key.len() == 1 && key > b"c" { cursor.inner.seek(b"") } else { cursor.inner.seek(key) } }
    seek_backwards_before_all_finds_the_first "A seek backwards before all keys finds the first."
        ["seek::before_all_keys_backwards"] Full
        { seek: |cursor, key| {
            let found = cursor.inner.seek(key)?;
            if found || forward(cursor) || !over_all(cursor) || key.is_empty() { return Ok(found); }
            cursor.inner.seek(b"c1")
        } }
    seek_leaves_the_range_at_the_start "A seek before the range leaves it."
        ["cursors::over_nothing" "seek::before_the_range"] Full
        { seek: |cursor, key| {
            if forward(cursor) && cursor.scan.range.is_before_start(key) && kinds(&cursor.scan.range) == ('i', 'e') && !cursor.scan.range.is_empty() && cursor.view.inner().get_record(key)?.is_some() {
                return seek_anywhere(cursor, key);
            }
            cursor.inner.seek(key)
        } }
    seek_leaves_the_range_at_the_end "A seek beyond the range leaves it."
        ["cursors::over_an_inverted_range" "seek::beyond_the_range"] Full
        { seek: |cursor, key| {
            if forward(cursor) && cursor.scan.range.is_after_end(key) { return seek_anywhere(cursor, key); }
            cursor.inner.seek(key)
        } }
    seek_backwards_leaves_the_range_at_the_end "A seek backwards beyond the range leaves it."
        ["cursors::over_an_inverted_range" "seek::beyond_the_range_backwards"] Full
        { seek: |cursor, key| {
            if !forward(cursor) && cursor.scan.range.is_after_end(key) && key != key_of(cursor.scan.range.end()) { return seek_anywhere(cursor, key); }
            cursor.inner.seek(key)
        } }
    seek_backwards_leaves_the_range_at_the_start "A seek backwards before the range leaves it."
        ["cursors::over_an_inverted_range" "seek::before_the_range_backwards"] Full
        { seek: |cursor, key| {
            if !forward(cursor) && cursor.scan.range.is_before_start(key) { return seek_anywhere(cursor, key); }
            cursor.inner.seek(key)
        } }
    seek_finds_an_excluded_start "A seek to a lower bound that is out finds it."
        ["seek::an_excluded_start"] Full
        { seek: |cursor, key| {
            if forward(cursor) && cursor.scan.range.start() == Bound::Excluded(key) && kinds(&cursor.scan.range).1 == 'u' { return seek_anywhere(cursor, key); }
            cursor.inner.seek(key)
        } }
    seek_backwards_finds_an_excluded_end "A seek backwards to an upper bound that is out finds it."
        ["seek::an_excluded_end_backwards"] Full
        { seek: |cursor, key| {
            if !forward(cursor) && cursor.scan.range.end() == Bound::Excluded(key) { return seek_anywhere(cursor, key); }
            cursor.inner.seek(key)
        } }
    seek_of_the_empty_key_fails "A seek to the empty key finds nothing."
        ["seek::the_empty_key"] Full
        { seek: |cursor, key| if key.is_empty() && forward(cursor) { cursor.inner.seek(&[0xFF; 9]) } else { cursor.inner.seek(key) } }
    seek_backwards_of_the_empty_key_finds_the_last "A seek backwards to the empty key finds the last row."
        ["seek::the_empty_key_backwards"] Full
        { seek: |cursor, key| if key.is_empty() && !forward(cursor) { cursor.inner.seek(&[0xFF; 9]) } else { cursor.inner.seek(key) } }
    seek_refuses_long_keys "A seek to a key longer than may be is refused."
        ["seek::a_long_key" "seek::a_long_key_backwards"] Full
        { seek: |cursor, key| if key.len() > 65_535 { Err(fault(ErrorKind::TooLarge, "seek")) } else { cursor.inner.seek(key) } }
    seek_ignores_a_limit_of_zero "A seek under a limit of 0 finds a row."
        ["seek::under_a_limit_of_zero"] Full
        { seek: |cursor, key| {
            if cursor.scan.limit == 0 { cursor.inner = cursor.view.inner_of_cursor(Scan { limit: 1, ..cursor.scan.clone() })?; }
            cursor.inner.seek(key)
        } }
    a_step_after_seek_stays "The first step after a seek on a fresh cursor stays at its row."
        ["cursors::beats_do_not_move_it" "seek::goes_on_after_seek" "cursors::reads_do_not_move_it"] Full
        { seek: |cursor, key| { cursor.n = u64::from(fresh(cursor) && forward(cursor)); cursor.inner.seek(key) },
        advance: |cursor| if std::mem::take(&mut cursor.n) == 1 && !cursor.ended { Ok(true) } else { cursor.inner.advance() } }
    a_step_after_seek_backwards_stays "The first step after a seek backwards stays at its row."
        ["seek::goes_on_after_seek_backwards"] Full
        { seek: |cursor, key| { cursor.n = u64::from(!forward(cursor)); cursor.inner.seek(key) },
        advance: |cursor| if std::mem::take(&mut cursor.n) == 1 && !cursor.ended { Ok(true) } else { cursor.inner.advance() } }
    seek_only_goes_on "A seek does not go back."
        ["seek::goes_back"] Full
        { seek: |cursor, key| {
            let back = forward(cursor) && cursor.sought && !cursor.ended && key < cursor.inner.key() && cursor.steps == 0;
            if back { Ok(true) } else { cursor.inner.seek(key) }
        } }
    the_end_is_final "A seek from the end finds nothing."
        ["seek::limit_counts_anew_after_seek" "seek::leads_back_from_the_end"] Full
        { seek: |cursor, key| if cursor.ended && cursor.steps > 0 { cursor.inner.seek(&[0xFF; 9]) } else { cursor.inner.seek(key) } }
    cursors_have_no_limit "A cursor ignores its limit until it is sought."
        ["seek::limit_counts_anew_after_seek" "cursors::limit_ends_it" "seek::under_a_limit_of_zero"] Full
        { cursor: |view, scan| view.inner().cursor(Scan { limit: scan.limit.max(9), ..scan }) }
    the_limit_goes_on_counting "After a seek the limit goes on where it was."
        ["seek::limit_counts_anew_after_seek"] Full
        { seek: |cursor, key| if cursor.ended && cursor.scan.limit == 2 { Ok(false) } else { cursor.inner.seek(key) } }
    keys_only_cursors_show_the_key_as_value "A cursor without values shows the key instead."
        ["cursors::keys_only_shows_no_wrong_value"] Full
        { value: |cursor| if cursor.scan.keys_only { cursor.inner.key() } else { cursor.inner.value() } }
    a_second_cursor_moves_the_first "A second cursor of a view moves the first back."
        ["cursors::two_do_not_disturb_each_other"] Full
        { advance: |cursor| {
            if cursor.number == 1 && cursor.view.cursors.get() == 2 && cursor.steps == 1 && !cursor.sought { return Ok(true); }
            cursor.inner.advance()
        } }
    reads_move_cursors "Reading a record moves the cursors of its view."
        ["cursors::reads_do_not_move_it"] Full
        { advance: |cursor| {
            let read = cursor.view.gets.get() > 0 && cursor.sought && cursor.steps == 0;
            if read { cursor.inner.advance()?; }
            cursor.inner.advance()
        } }
    beats_move_cursors "A later beat moves the cursors of older views."
        ["cursors::beats_do_not_move_it"] Full
        { advance: |cursor| {
            let later = cursor.view.ctx.notes().newest.beat.0 > cursor.view.own && cursor.sought;
            if later { cursor.inner.advance()?; }
            cursor.inner.advance()
        } }
    cursors_stop_at_512 "A cursor ends after 512 rows."
        ["cursors::a_thousand_rows"] Full
        { advance: |cursor| if cursor.steps >= 512 { Ok(false) } else { cursor.inner.advance() } }
}
