//! How an open is asked for: modes and knobs.

use persist_api::{ErrorKind, OpenMode, OpenOptions, Probe};

#[test]
fn modes_go_with_what_is_there() {
    use OpenMode::{MustCreate, MustExist, OpenOrCreate};
    let table = [
        (OpenOrCreate, true, Ok(true)),
        (OpenOrCreate, false, Ok(false)),
        (MustExist, true, Ok(true)),
        (MustExist, false, Err(ErrorKind::Invalid)),
        (MustCreate, true, Err(ErrorKind::Conflict)),
        (MustCreate, false, Ok(false)),
    ];
    for (mode, exists, expected) in table {
        assert_eq!(mode.check(exists).map_err(|error| error.kind()), expected, "{mode:?} {exists}");
        let found = if exists { Probe::Mine { needs_recovery: true } } else { Probe::Empty };
        assert_eq!(mode.check_probe(found).map_err(|error| error.kind()), expected, "{mode:?} {exists}");
        let foreign = mode.check_probe(Probe::Foreign { what: "a cat".to_owned() }).unwrap_err();
        assert_eq!(foreign.kind(), ErrorKind::Mismatch, "{mode:?}");
        assert!(foreign.context().contains("a cat"), "{foreign}");
    }
}

fn with(value: &str) -> OpenOptions {
    OpenOptions { knobs: [("wheels".to_owned(), value.to_owned())].into(), ..OpenOptions::default() }
}

#[test]
fn numbers_are_read_within_their_bounds() {
    let number = |value: &str| with(value).knob_number("wheels", 4, 2..=8);
    assert_eq!(number("2").unwrap(), 2);
    assert_eq!(number("8").unwrap(), 8);
    assert_eq!(OpenOptions::default().knob_number("wheels", 4, 2..=8).unwrap(), 4);
    for wrong in ["1", "9", "-2", "", "four", "2.0", " 2", "99999999999999999999999"] {
        let error = number(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        assert!(error.context().contains("wheels"), "{error}");
        assert!(error.context().contains("from 2 to 8"), "{error}");
    }
    let unbounded = with("x").knob_number("wheels", 0, 0..=u64::MAX).unwrap_err();
    assert!(unbounded.context().ends_with("it takes a whole number"), "{unbounded}");
    let bounded_below = with("0").knob_number("wheels", 1, 1..=u64::MAX).unwrap_err();
    assert!(bounded_below.context().ends_with("a whole number from 1"), "{bounded_below}");
}

#[test]
fn switches_are_on_or_off() {
    let switch = |value: &str| with(value).knob_switch("wheels", true);
    assert!(switch("on").unwrap());
    assert!(!switch("off").unwrap());
    assert!(OpenOptions::default().knob_switch("wheels", true).unwrap());
    assert!(!OpenOptions::default().knob_switch("wheels", false).unwrap());
    for wrong in ["", "ON", "true", "1"] {
        let error = switch(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        assert!(error.context().contains("wheels") && error.context().contains("on or off"), "{error}");
    }
}
