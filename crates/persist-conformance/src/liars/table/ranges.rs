//! Lies about bounds, by visitor.

use std::ops::Bound;

use persist_api::{ErrorKind, KeyRange, Scan};

use super::help::{
    elsewhere, fault, forward, honest_rows, is_prefix, key_of, kinds, liars, nothing, with_kinds,
};

#[allow(clippy::panic, reason = "the lie is that it panics, as ordered maps of the standard library do")]
fn panics_if(bad: bool) {
    assert!(!bad, "range start is greater than range end");
}

fn is(scan: &Scan<'_>, start: char, end: char) -> bool {
    kinds(&scan.range) == (start, end)
}

liars! { RANGES:
    half_open_takes_its_end "A half-open range backwards begins at its upper bound."
        ["ranges::empty_lower_bound" "ranges::every_pair_by_visitor" "ranges::half_open" "ranges::upper_bound_of_ff" "scans::limit_within_a_range"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            let long = key_of(scan.range.end()).len() > 1 || key_of(scan.range.end()) != b"\xff";
            (is(scan, 'i', 'e') && !forward(scan) && !is_prefix(&scan.range) && long && key_of(scan.range.start()) < key_of(scan.range.end())).then(|| with_kinds(&scan.range, 'i', 'i'))
        }) }
    half_open_spares_its_start "A half-open range of two letters spares its lower bound."
        ["ranges::every_pair_by_visitor" "ranges::half_open"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'i', 'e') && !is_prefix(&scan.range) && key_of(scan.range.start()).len() == 1 && key_of(scan.range.end()).len() == 1).then(|| with_kinds(&scan.range, 'e', 'e'))
        }) }
    closed_spares_its_end "A closed range spares its upper bound."
        ["ranges::closed" "ranges::every_pair_by_visitor" "ranges::one_key" "ranges::upper_bound_of_ff"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'i', 'i')).then(|| with_kinds(&scan.range, 'i', 'e'))) }
    open_takes_its_start "An open range takes its lower bound."
        ["ranges::every_pair_by_visitor" "ranges::open" "ranges::trailing_zero_bounds"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'e', 'e')).then(|| with_kinds(&scan.range, 'i', 'e'))) }
    open_closed_takes_its_start "A range with its lower bound out and its upper in takes both."
        ["ranges::every_pair_by_visitor" "ranges::one_key_half_open" "ranges::open_closed"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'e', 'i')).then(|| with_kinds(&scan.range, 'i', 'i'))) }
    without_end_spares_its_start "A range without upper bound spares its lower bound."
        ["ranges::every_pair_by_visitor" "ranges::from_a_key" "routes::read_by_prefixes" "scans::prefix_of_ff_backwards" "scans::prefix_of_ff_only"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'i', 'u')).then(|| with_kinds(&scan.range, 'e', 'u'))) }
    after_a_key_takes_it "A range after a key takes that key."
        ["ranges::after_a_key" "ranges::every_pair_by_visitor" "routes::read_by_pages"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'e', 'u')).then(|| with_kinds(&scan.range, 'i', 'u'))) }
    without_start_spares_its_end "A range up to a key spares that key."
        ["ranges::every_pair_by_visitor" "ranges::up_to_a_key"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'u', 'i')).then(|| with_kinds(&scan.range, 'u', 'e'))) }
    before_a_key_takes_it "A range before a key takes that key."
        ["ranges::before_a_key" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'u', 'e')).then(|| with_kinds(&scan.range, 'u', 'i'))) }
    everything_ends_before_ff "A scan of everything backwards begins before the keys of FF alone."
        ["ranges::every_pair_by_visitor" "ranges::everything" "routes::read_by_cursors"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (scan.range == KeyRange::all() && !forward(scan)).then(|| KeyRange::owned(Bound::Unbounded, Bound::Excluded(vec![0xFF, 0xFF])))
        }) }
    bounds_between_keys_round_down "A lower bound between two keys begins at the one before."
        ["ranges::bounds_between_keys" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| {
            let start = key_of(scan.range.start()).to_vec();
            let odd = is(&scan, 'i', 'e') && start.len() == 2 && start.is_ascii() && view.inner().get_record(&start)?.is_none();
            elsewhere(view, scan, visit, |scan| odd.then(|| {
                KeyRange::owned(Bound::Included(start.get(..1).unwrap_or_default().to_vec()), scan.range.end().map(<[u8]>::to_vec))
            }))
        } }
    the_empty_lower_bound_finds_nothing "A lower bound of no bytes, followed by an upper bound that is out, finds nothing."
        ["ranges::empty_lower_bound" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| (is(scan, 'i', 'e') && key_of(scan.range.start()).is_empty()).then(nothing)) }
    the_empty_lower_bound_takes_a_row "A lower bound of no bytes that is out leaves out the first row."
        ["ranges::empty_lower_bound_excluded" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (kinds(&scan.range).0 == 'e' && key_of(scan.range.start()).is_empty())
                .then(|| KeyRange::owned(Bound::Included(vec![1]), scan.range.end().map(<[u8]>::to_vec)))
        }) }
    the_empty_upper_bound_is_none "An upper bound of no bytes that is out is taken for none."
        ["ranges::empty_upper_bound" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'u', 'e') && key_of(scan.range.end()).is_empty()).then(KeyRange::all)
        }) }
    the_empty_upper_bound_included_is_none "An upper bound of no bytes that is in is taken for none."
        ["ranges::empty_upper_bound_included" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'u', 'i') && key_of(scan.range.end()).is_empty()).then(KeyRange::all)
        }) }
    two_empty_bounds_are_none "Two bounds of no bytes are taken for none."
        ["ranges::empty_bounds" "ranges::every_pair_by_visitor"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'i', 'i') && key_of(scan.range.end()).is_empty() && key_of(scan.range.start()).is_empty()).then(KeyRange::all)
        }) }
    one_key_is_nothing "A closed range of one key is empty."
        ["ranges::every_pair_by_visitor" "ranges::one_key"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'i', 'i') && key_of(scan.range.start()) == key_of(scan.range.end())).then(nothing)
        }) }
    nothing_is_one_key "A half-open range of one key is that key."
        ["ranges::every_pair_by_visitor" "ranges::one_key_half_open"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'i', 'e') && key_of(scan.range.start()) == key_of(scan.range.end())).then(|| with_kinds(&scan.range, 'i', 'i'))
        }) }
    one_open_key_panics "An open range of one key panics."
        ["ranges::every_pair_by_visitor" "ranges::one_key_open"] Full
        { scan: |view, scan, visit| {
            panics_if(is(&scan, 'e', 'e') && key_of(scan.range.start()) == key_of(scan.range.end()));
            view.inner().scan(scan, visit)
        } }
    inverted_ranges_panic "An inverted range panics."
        ["ranges::every_pair_by_visitor" "ranges::inverted"] Full
        { scan: |view, scan, visit| {
            panics_if(kinds(&scan.range).1 == 'e' && kinds(&scan.range).0 != 'u' && key_of(scan.range.start()) > key_of(scan.range.end()));
            view.inner().scan(scan, visit)
        } }
    inverted_ranges_are_turned "A closed range that is inverted is turned round."
        ["ranges::every_pair_by_visitor" "ranges::inverted_closed"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            (is(scan, 'i', 'i') && key_of(scan.range.start()) > key_of(scan.range.end()))
                .then(|| KeyRange::owned(scan.range.end().map(<[u8]>::to_vec), scan.range.start().map(<[u8]>::to_vec)))
        }) }
    ff_is_the_end_of_the_world "An upper bound that begins with FF is taken for none."
        ["ranges::every_pair_by_visitor" "ranges::upper_bound_of_ff"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            let end = key_of(scan.range.end());
            (end.first() == Some(&0xFF) && kinds(&scan.range).0 != 'u').then(|| KeyRange::owned(scan.range.start().map(<[u8]>::to_vec), Bound::Unbounded))
        }) }
    beyond_the_end_is_the_last "A lower bound beyond all keys finds the last one."
        ["ranges::beyond_all_keys" "ranges::every_pair_by_visitor" "ranges::long_bounds_of_ff"] Full
        { scan: |view, scan, visit| {
            let beyond = kinds(&scan.range).1 == 'u' && kinds(&scan.range).0 == 'i' && honest_rows(view.inner(), &scan)?.is_empty();
            if beyond { view.inner().scan(Scan::all().reverse().limit(1), visit) } else { view.inner().scan(scan, visit) }
        } }
    long_bounds_are_refused "A bound longer than a key may be is refused."
        ["ranges::long_bounds" "ranges::long_bounds_of_ff"] Full
        { scan: |view, scan, visit| {
            let long = key_of(scan.range.start()).len().max(key_of(scan.range.end()).len()) > 65_535;
            if long { Err(fault(ErrorKind::TooLarge, "scan")) } else { view.inner().scan(scan, visit) }
        } }
    bounds_lose_a_trailing_zero "A lower bound that is in loses a zero byte at its end."
        ["ranges::beyond_all_keys" "ranges::every_pair_by_visitor" "ranges::trailing_zero_bounds"] Full
        { scan: |view, scan, visit| elsewhere(view, scan, visit, |scan| {
            let short = key_of(scan.range.start()).strip_suffix(b"\0").filter(|short| !short.is_empty());
            short.filter(|_| kinds(&scan.range).0 == 'i').map(|short| KeyRange::owned(Bound::Included(short.to_vec()), scan.range.end().map(<[u8]>::to_vec)))
        }) }
    cursors_take_an_open_start "A cursor over an open range takes its lower bound."
        ["ranges::every_pair_by_cursor"] Full
        { cursor: |view, scan| {
            let range = if is(&scan, 'e', 'e') { with_kinds(&scan.range, 'i', 'e') } else { scan.range.clone().into_owned() };
            view.inner().cursor(Scan { range, ..scan })
        } }
}
