//! Sizes at, and one beyond, what is offered; and the ceiling.
//!
//! Up to [`AFFORDABLE`] an edge is tried from both sides. Beyond it, one byte too many is tried with zeros that nobody
//! touches, up to [`UNTOUCHED`]. An edge beyond that, or no edge at all, is no test of these cases: their twin runs and
//! shows that sizes above [`AFFORDABLE`] work.

use persist_api::{Beat, Engine, Error, ErrorKind, Limits, Scan};

use crate::kit::{Stand, begin, commit, dense, get, next_header, pattern, put, put_keys, rows};
use crate::registry::CEILING;
use crate::{CaseResult, Failure, Fixture, check, check_eq, refused};

/// Limits up to this many bytes are tested at their very edge.
pub(crate) const AFFORDABLE: u64 = 16 << 20;

/// The system gives zeros up to this length for nothing, as long as nobody touches them; an engine refuses before it does.
const UNTOUCHED: u64 = 1 << 32;

/// The limit as a length, where both sides of its edge can be tried.
fn edge(limit: u64) -> Option<usize> {
    usize::try_from(limit).ok().filter(|_| limit <= AFFORDABLE)
}

/// True if a value one byte too long can be had.
pub(crate) fn value_edge_is_in_reach(limits: &Limits) -> bool {
    limits.value_bytes_max < UNTOUCHED
}

/// True if a beat one byte too large can be had.
pub(crate) fn beat_edge_is_in_reach(limits: &Limits) -> bool {
    edge(limits.beat_bytes_max).is_some() || one_over_a_beat(limits).is_some()
}

/// The lengths of a key and a value, each within its limit, that are together one byte more than a beat may stage.
fn one_over_a_beat(limits: &Limits) -> Option<(u64, u64)> {
    let both = limits.beat_bytes_max.checked_add(1).filter(|both| *both <= UNTOUCHED)?;
    let key = both.saturating_sub(limits.value_bytes_max).max(1);
    (key <= limits.key_bytes_max.min(AFFORDABLE)).then(|| (key, both.saturating_sub(key)))
}

/// So many zeros.
fn zeros(length: u64) -> Result<Vec<u8>, Failure> {
    let lacking = || Failure::new(format!("this machine has no room for {length} bytes that nobody touches"));
    let length = usize::try_from(length).map_err(|_| lacking())?;
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| lacking())?;
    Ok(vec![0; length])
}

/// The length of the longest key.
fn longest_key(engine: &dyn Engine) -> Result<usize, Failure> {
    let most = engine.offer().limits.key_bytes_max;
    edge(most)
        .ok_or_else(|| Failure::new(format!("keys up to {most} bytes are on offer: {AFFORDABLE} are enough")))
}

/// The longest key that is offered works: put, read, scanned, deleted.
pub(crate) fn longest_key_works(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = longest_key(&*engine)?;
    let key = vec![b'k'; length];
    put(&*engine, [(&key, "long")])?;
    check_eq!(get(&*engine, &key)?, Some(b"long".to_vec()), "the record with a key of {length} bytes");
    commit(&*engine, |beat| beat.delete_record(&key))?;
    check_eq!(get(&*engine, &key)?, None, "the same after its delete");
    Ok(())
}

/// A key of the longest length is scanned whole.
pub(crate) fn longest_key_is_scanned_whole(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = longest_key(&*engine)?;
    let one = vec![b'k'; length];
    let two = [&vec![b'k'; length.saturating_sub(1)], b"l".as_slice()].concat();
    put(&*engine, [(&one, "1"), (&two, "2")])?;
    let found: Vec<_> = rows(&*engine.view()?, Scan::all())?.into_iter().map(|row| row.0).collect();
    check!(found == [one, two], "two keys of {length} bytes that differ in the last do not come back");
    Ok(())
}

/// Tries one operation in a beat of its own, that must be refused as `TooLarge`.
fn too_large(
    engine: &dyn Engine,
    what: &str,
    work: impl FnOnce(&mut dyn Beat) -> Result<(), Error>,
) -> Result<Error, Failure> {
    let mut beat = begin(engine)?;
    refused(work(&mut *beat), ErrorKind::TooLarge, what)
}

/// One byte more than the longest key is `TooLarge`.
pub(crate) fn longer_key_is_too_large(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = longest_key(&*engine)?;
    too_large(&*engine, "a key one byte too long", |beat| beat.put_record(&vec![1; length + 1], b"v"))?;
    Ok(())
}

/// Also where it is to be deleted.
pub(crate) fn longer_key_is_too_large_to_delete(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = longest_key(&*engine)?;
    too_large(&*engine, "a key one byte too long to delete", |beat| {
        beat.delete_record(&vec![1; length + 1])
    })?;
    Ok(())
}

/// The refusal names the limit.
pub(crate) fn too_large_names_the_limit(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = longest_key(&*engine)?;
    let mut beat = begin(&*engine)?;
    let put = beat.put_record(&vec![1; length + 1], b"v");
    let error = refused(put, ErrorKind::TooLarge, "a key one byte too long")?;
    check!(error.context().contains(&length.to_string()), "the error does not name {length}: {error}");
    Ok(())
}

/// A key that is too long poisons its beat, and harms no other.
pub(crate) fn too_large_poisons_its_beat_only(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let length = longest_key(&*engine)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"first", b"1")?;
    check!(beat.put_record(&vec![1; length + 1], b"v").is_err(), "a key that is too long was taken");
    refused(beat.commit_beat(), ErrorKind::Poisoned, "the commit after a key that was too long")?;
    check_eq!(get(&*engine, "first")?, None, "a record of the poisoned beat");
    put_keys(&*engine, ["after"])?;
    Ok(())
}

/// The empty key can not be put.
pub(crate) fn empty_key_can_not_be_put(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    refused(beat.put_record(b"", b"value"), ErrorKind::Invalid, "a put of the empty key")?;
    Ok(())
}

/// Nor deleted.
pub(crate) fn empty_key_can_not_be_deleted(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    refused(beat.delete_record(b""), ErrorKind::Invalid, "a delete of the empty key")?;
    Ok(())
}

/// With LONG_KEYS, keys of 65,535 bytes are ordinary.
pub(crate) fn long_keys_are_ordinary(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let key = |last: u8| [vec![b'L'; 65_534], vec![last]].concat();
    put(&*engine, [(key(1), "one"), (key(2), "two")])?;
    check_eq!(get(&*engine, key(1))?, Some(b"one".to_vec()), "a key of 65,535 bytes");
    check_eq!(get(&*engine, key(2))?, Some(b"two".to_vec()), "another that differs in the last");
    check_eq!(get(&*engine, key(3))?, None, "a third that was never put");
    Ok(())
}

/// The longest value works; where it is out of reach, one of eight megabytes does.
pub(crate) fn longest_value_works(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let limits = engine.offer().limits;
    let room = limits.beat_bytes_max.saturating_sub(1).min(limits.store_bytes_max / 4);
    let length = edge(limits.value_bytes_max.min(room)).unwrap_or(8 << 20);
    let value = pattern(length, 247);
    put(&*engine, [("v", &value)])?;
    check!(get(&*engine, "v")?.as_ref() == Some(&value), "the value of {length} bytes differs");
    Ok(())
}

/// One byte more than the longest value is `TooLarge`.
pub(crate) fn longer_value_is_too_large(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let value = zeros(engine.offer().limits.value_bytes_max.saturating_add(1))?;
    too_large(&*engine, "a value one byte too long", |beat| beat.put_record(b"v", &value))?;
    put_keys(&*engine, ["after"])?;
    Ok(())
}

/// A beat just as large as allowed commits, where that is affordable, and one byte more is `TooLarge`.
pub(crate) fn beat_of_the_largest_size(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let limits = engine.offer().limits;
    if let Some(most) = edge(limits.beat_bytes_max) {
        return both_sides_of_a_beat(&*engine, most);
    }
    let (key, value) =
        one_over_a_beat(&limits).ok_or_else(|| Failure::new("no edge of beats is in reach"))?;
    let (key, value) = (zeros(key)?, zeros(value)?);
    too_large(&*engine, "a beat one byte too large", |beat| beat.put_record(&key, &value))?;
    put_keys(&*engine, ["after"])?;
    Ok(())
}

fn both_sides_of_a_beat(engine: &dyn Engine, most: usize) -> CaseResult {
    let limits = engine.offer().limits;
    let piece = edge(limits.value_bytes_max).unwrap_or(most).min(most / 2);
    for (spare, fits) in [(0, true), (1, false)] {
        let mut beat = begin(engine)?;
        let (mut left, mut turn, mut staged) = (most + spare, 0_u32, Ok(()));
        while left > 4 && staged.is_ok() {
            let length = piece.min(left - 4);
            staged = beat.put_record(&turn.to_be_bytes(), &vec![7; length]);
            (left, turn) = (left - 4 - length, turn + 1);
        }
        if staged.is_ok() && left > 0 {
            staged = beat.delete_record(&vec![0xEE; left]);
        }
        if fits {
            staged?;
            beat.commit_beat()?;
        } else {
            refused(staged, ErrorKind::TooLarge, "a beat one byte too large")?;
        }
    }
    Ok(())
}

fn ceiled(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    at.open_with(|options| options.store_bytes_max = Some(CEILING))
}

/// Fills the store until it says `Full`; the error, and how many beats went in.
fn fill(engine: &dyn Engine) -> Result<(Error, u64), Failure> {
    let length = usize::try_from(engine.offer().limits.value_bytes_max.min(200_000)).unwrap_or(1);
    for turn in 0..200_u64 {
        let value = dense(length, turn);
        let mut beat = begin(engine)?;
        let put = (0..2_u8).try_for_each(|half| {
            beat.put_record(&[&[b'f', half], turn.to_be_bytes().as_slice()].concat(), &value)
        });
        let done = put.and_then(|()| beat.commit_beat());
        if let Err(error) = done {
            return refused::<()>(Err(error), ErrorKind::Full, "the beat at the ceiling").map(|e| (e, turn));
        }
    }
    Err(Failure::new(format!("80 MB went into a store with a ceiling of {CEILING} bytes")))
}

/// The ceiling is what the offer says, not a byte more.
pub(crate) fn ceiling_is_offered(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = ceiled(&at)?;
    let offered = engine.offer().limits.store_bytes_max;
    check!(offered <= CEILING, "a ceiling of {CEILING} bytes was asked for, {offered} is offered");
    Ok(())
}

/// At the ceiling: `Full`, and not before there is any content.
pub(crate) fn ceiling_is_full(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = ceiled(&at)?;
    let (_, beats) = fill(&*engine)?;
    check!(beats > 0, "not one beat of 400 KB fits below a ceiling of {CEILING} bytes");
    Ok(())
}

/// Nothing of the beat that met the ceiling is visible.
pub(crate) fn full_beat_is_invisible(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = ceiled(&at)?;
    let (_, beats) = fill(&*engine)?;
    let view = engine.view()?;
    check_eq!(view.header().beat.0, beats, "the newest beat after Full");
    for half in 0..2_u8 {
        let key = [&[b'f', half], beats.to_be_bytes().as_slice()].concat();
        check!(view.get_record(&key)?.is_none(), "half {half} of the beat that met the ceiling is visible");
    }
    Ok(())
}

/// Reads go on at the ceiling.
pub(crate) fn full_store_reads_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = ceiled(&at)?;
    put_keys(&*engine, ["readable"])?;
    fill(&*engine)?;
    check_eq!(get(&*engine, "readable")?, Some(b"=readable".to_vec()), "a record in a full store");
    Ok(())
}

/// A full store can be opened again.
pub(crate) fn full_store_reopens(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = ceiled(&at)?;
    put_keys(&*engine, ["reopened"])?;
    fill(&*engine)?;
    drop(engine);
    check_eq!(get(&*ceiled(&at)?, "reopened")?, Some(b"=reopened".to_vec()), "a record of a full store");
    Ok(())
}

/// Deleting makes room: a full store takes records again.
pub(crate) fn deleting_makes_room(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = ceiled(&at)?;
    let (_, beats) = fill(&*engine)?;
    for turn in 0..beats {
        let deleted = commit(&*engine, |beat| {
            (0..2_u8).try_for_each(|half| {
                beat.delete_record(&[&[b'f', half], turn.to_be_bytes().as_slice()].concat())
            })
        });
        check!(deleted.is_ok(), "a delete in a full store: {:?}", deleted.err());
    }
    let again = put(&*engine, [("room", vec![1; 200_000])]);
    check!(again.is_ok(), "a record after everything was deleted: {:?}", again.err());
    Ok(())
}

/// Odd arguments in every verb: refused or not, nothing panics and nothing breaks.
pub(crate) fn odd_arguments_break_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["sound"])?;
    let header = next_header(&*engine)?;
    for number in [0, 1, 3, u64::MAX] {
        let odd = persist_api::BeatHeader {
            commits: number,
            first_commit: persist_api::CommitNo(number),
            ..header
        };
        drop(engine.begin_beat(odd));
    }
    let mut beat = engine.begin_beat(header)?;
    let _ = beat.delete_range(persist_api::KeyRange::prefix(&[0xFF; 3]));
    let _ = beat.peek_record(&[]);
    let _ = beat.put_record(&[], &[]);
    let _ = beat.delete_record(&[]);
    drop(beat);
    let _ = engine.view_at(persist_api::BeatNo(u64::MAX)).map(drop);
    let _ = engine.sync();
    check_eq!(get(&*engine, "sound")?, Some(b"=sound".to_vec()), "the record after all that");
    put_keys(&*engine, ["after"])?;
    Ok(())
}
