//! Reading single records.

use std::ops::ControlFlow;

use persist_api::Scan;

use crate::kit::{Stand, get, pattern, put, put_keys, value_of};
use crate::{CaseResult, Fixture, check, check_eq};

/// What was put is found, what was not is not.
pub(crate) fn present_and_absent(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["b", "d"])?;
    for (key, there) in [("a", false), ("b", true), ("c", false), ("d", true), ("e", false)] {
        check_eq!(get(&*engine, key)?.is_some(), there, "presence of {key}");
    }
    Ok(())
}

/// An empty store has no records.
pub(crate) fn empty_store_has_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for key in ["a", "\0", "zz"] {
        check_eq!(get(&*engine, key)?, None, "a record of an empty store");
    }
    Ok(())
}

/// A key is not found by its beginning, nor by more than itself.
pub(crate) fn prefix_is_not_the_key(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["abc"])?;
    for key in ["ab", "abcd", "a", "abc\0"] {
        check_eq!(get(&*engine, key)?, None, "a key like abc: {key:?}");
    }
    Ok(())
}

/// Letters of either case are different keys.
pub(crate) fn case_matters(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("Key", "upper"), ("key", "lower")])?;
    check_eq!(get(&*engine, "Key")?, Some(b"upper".to_vec()), "Key");
    check_eq!(get(&*engine, "key")?, Some(b"lower".to_vec()), "key");
    check_eq!(get(&*engine, "KEY")?, None, "KEY");
    Ok(())
}

/// The empty value is a value.
pub(crate) fn empty_value_is_a_value(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("hollow", "")])?;
    check_eq!(get(&*engine, "hollow")?, Some(Vec::new()), "a record with the empty value");
    Ok(())
}

/// A zero byte inside or at the end of a key is a byte like any other.
pub(crate) fn zero_bytes_in_keys(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let all: [&[u8]; 6] = [b"z", b"z\0", b"z\0\0", b"z\0a", b"\0", b"\0z"];
    put_keys(&*engine, all)?;
    for key in all {
        check_eq!(get(&*engine, key)?, Some(value_of(key)), "key {key:?}");
    }
    Ok(())
}

/// Zero bytes in values are kept, in front, inside and at the end.
pub(crate) fn zero_bytes_in_values(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let all: [&[u8]; 4] = [b"\0a", b"a\0b", b"a\0", b"\0\0\0\0"];
    for (n, value) in all.into_iter().enumerate() {
        put(&*engine, [(format!("zv{n}"), value)])?;
        check_eq!(get(&*engine, format!("zv{n}"))?.as_deref(), Some(value), "value {n}");
    }
    Ok(())
}

/// Every byte is a key of its own.
pub(crate) fn every_byte_is_a_key(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, (0..=255_u8).map(|byte| [byte]))?;
    let view = engine.view()?;
    for byte in 0..=255_u8 {
        let found = view.get_record(&[byte])?;
        check_eq!(found.as_deref(), Some([b'=', byte].as_slice()), "the record of byte {byte:#x}");
    }
    Ok(())
}

/// Keys and values that are no UTF-8.
pub(crate) fn bytes_need_not_be_text(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let (key, value) = (b"\xc3\x28\xff\xfe".as_slice(), b"\xa0\xa1\xf8\x88".as_slice());
    put(&*engine, [(key, value)])?;
    check_eq!(get(&*engine, key)?.as_deref(), Some(value), "a record that is no text");
    Ok(())
}

/// Values of the lengths where pages, blocks and length fields turn over.
pub(crate) fn values_of_awkward_lengths(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let most = engine.offer().limits.value_bytes_max;
    let lengths = [1, 127, 128, 255, 256, 4095, 4096, 4097, 16_383, 16_384, 65_535, 65_536, 65_537];
    let lengths: Vec<usize> = lengths.into_iter().filter(|length| *length as u64 <= most).collect();
    let value = |length: usize| pattern(length, 253);
    put(&*engine, lengths.iter().map(|length| (format!("len{length}"), value(*length))))?;
    let view = engine.view()?;
    for length in lengths {
        let found = view.get_record(format!("len{length}").as_bytes())?;
        check!(found.as_deref() == Some(value(length).as_slice()), "the value of {length} bytes differs");
    }
    Ok(())
}

/// A value of a megabyte, or of the limit where that is less.
pub(crate) fn value_of_a_megabyte(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let limits = engine.offer().limits;
    let most = limits.value_bytes_max.min(limits.beat_bytes_max.saturating_sub(8));
    let length = usize::try_from(most.min(1 << 20)).unwrap_or(0);
    let value = pattern(length, 249);
    put(&*engine, [("mega", &value)])?;
    check!(get(&*engine, "mega")?.as_ref() == Some(&value), "the value of {length} bytes differs");
    Ok(())
}

/// The empty key holds nothing, and asking for it is no error.
pub(crate) fn empty_key_finds_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    check_eq!(get(&*engine, "")?, None, "the empty key");
    Ok(())
}

/// A key beyond the limit holds nothing, and asking for it is no error.
pub(crate) fn too_long_key_finds_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let longer = engine.offer().limits.key_bytes_max.saturating_add(1).min(1 << 22);
    let length = usize::try_from(longer).unwrap_or(1 << 22);
    put_keys(&*engine, ["zzz"])?;
    check_eq!(get(&*engine, vec![b'z'; length])?, None, "a key of {length} bytes");
    Ok(())
}

/// Asking again gives the same.
pub(crate) fn reading_twice_gives_the_same(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["again"])?;
    let view = engine.view()?;
    for turn in 0..3 {
        let found = view.get_record(b"again")?;
        check_eq!(found.as_deref(), Some(b"=again".as_slice()), "reading number {turn}");
    }
    Ok(())
}

/// Several values can be held at once; none changes when the next is read.
pub(crate) fn values_stay_while_held(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["h1", "h2", "h3"])?;
    let view = engine.view()?;
    let held = [view.get_record(b"h1")?, view.get_record(b"h2")?, view.get_record(b"h3")?];
    for (value, expected) in held.iter().zip(["=h1", "=h2", "=h3"]) {
        check_eq!(value.as_deref(), Some(expected.as_bytes()), "a value held while others were read");
    }
    Ok(())
}

/// A value that is held does not move when later beats overwrite and delete its record.
pub(crate) fn values_stay_while_beats_commit(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("pin", vec![1_u8; 5000])])?;
    let view = engine.view()?;
    let held = view.get_record(b"pin")?;
    for turn in 2..6_u8 {
        put(&*engine, [("pin", vec![turn; 5000])])?;
    }
    check!(held.as_deref() == Some([1; 5000].as_slice()), "a held value changed under later beats");
    Ok(())
}

/// Records can be read from inside a visitor.
pub(crate) fn reading_inside_a_scan(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["in1", "in2", "in3"])?;
    let view = engine.view()?;
    let mut wrong = Vec::new();
    let mut seen = 0;
    view.scan(Scan::all(), &mut |key, value| {
        seen += 1;
        match view.get_record(key) {
            Ok(Some(found)) if *found == *value => {}
            other => wrong.push(format!("{}: {other:?}", key.escape_ascii())),
        }
        ControlFlow::Continue(())
    })?;
    check!(wrong.is_empty(), "records read inside the visitor: {wrong:?}");
    check_eq!(seen, 3, "rows of the scan around it");
    Ok(())
}

/// Where ZERO_COPY is offered, a read copies nothing.
pub(crate) fn zero_copy_copies_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("small", vec![1_u8; 10]), ("page", vec![2; 5000]), ("pages", vec![3; 60_000])])?;
    let view = engine.view()?;
    for key in ["small", "page", "pages"] {
        let found = view.get_record(key.as_bytes())?;
        check!(found.is_some_and(|value| value.is_zero_copy()), "the value of {key} was copied");
    }
    Ok(())
}
