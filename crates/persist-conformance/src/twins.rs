//! Negative twins: what must happen where a case's need is not on offer. The call is refused, typed, and nothing changes.

use std::ops::ControlFlow;

use persist_api::{
    BeatNo, Caps, CompactScope, Durability, Engine, Error, ErrorKind, KeyRange, Quiet, Request, Scan,
};

use crate::kit::{Stand, begin, commit, get, offer, pattern, put_keys};
use crate::registry::{CEILING, Need};
use crate::{CaseResult, Failure, Fixture, check, check_eq, files, refused};

/// Runs the twin of a need.
pub(crate) fn run(need: Need, fx: &dyn Fixture) -> CaseResult {
    match need {
        Need::Disk => no_disk(fx),
        Need::Ceiling => no_ceiling(fx),
        Need::ValueEdge => beyond_the_affordable(fx, 1),
        Need::BeatEdge => beyond_the_affordable(fx, 20),
        Need::Cap(Caps::ORDERED) => unordered(fx),
        Need::Cap(Caps::PREFIX_SCAN) => no_prefix_scan(fx),
        Need::Cap(Caps::CHECKPOINT) => verb(fx, "checkpoint", |engine, _| engine.checkpoint().map(drop)),
        Need::Cap(Caps::COMPACTION) => {
            verb(fx, "compact", |engine, _| engine.compact(CompactScope::default(), &Quiet).map(drop))
        }
        Need::Cap(Caps::BACKUP) => no_backup(fx),
        Need::Cap(Caps::HISTORY) => verb(fx, "view_at", |engine, _| engine.view_at(BeatNo(1)).map(drop)),
        Need::Cap(Caps::FEED) => verb(fx, "feed", |engine, _| {
            refused_too(engine.keep_feed(None).map(drop))?;
            engine.feed(BeatNo(0), &mut |_| ControlFlow::Continue(()))
        }),
        Need::Cap(Caps::DURABLE) => not_durable(fx),
        Need::Cap(Caps::BUFFERED) => not_buffered(fx),
        Need::Cap(Caps::READ_OWN) => no_read_own(fx),
        Need::Cap(Caps::DELETE_RANGE) => no_delete_range(fx),
        Need::Cap(Caps::CRC32C) => no_checksums(fx),
        Need::Cap(Caps::LONG_KEYS) => no_long_keys(fx),
        Need::Cap(Caps::ZERO_COPY) => no_zero_copy(fx),
        Need::Cap(other) => Err(Failure::new(format!("no twin is written for {}", other.names()))),
    }
}

/// A store with one record; the call must be refused; the record and the next beat must be as if nothing was asked.
fn verb(
    fx: &dyn Fixture,
    what: &str,
    call: impl FnOnce(&dyn Engine, &Stand<'_>) -> Result<(), Error>,
) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["twin"])?;
    refused(call(&*engine, &at), ErrorKind::Unsupported, &format!("{what}, which is not on offer,"))?;
    unchanged(&*engine)
}

/// The first of two calls: goes on to the second when it was refused as it should be.
fn refused_too(first: Result<(), Error>) -> Result<(), Error> {
    match first {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        other => other.and(Err(Error::new(ErrorKind::Invalid, "keep_feed", "not refused"))),
    }
}

fn unchanged(engine: &dyn Engine) -> CaseResult {
    check_eq!(get(engine, "twin")?, Some(b"=twin".to_vec()), "the record after the refusal");
    check_eq!(engine.view()?.header().beat, BeatNo(1), "the beat after the refusal");
    let next = put_keys(engine, ["next"]);
    check!(next.is_ok(), "the beat after the refusal: {:?}", next.err());
    Ok(())
}

fn no_disk(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["twin"])?;
    check_eq!(
        engine.offer().durability_max(),
        Durability::Volatile,
        "the durability of an engine without disk"
    );
    let found = files::listing(at.path())?;
    check!(found.is_empty(), "an engine that promises no medium left {} entries", found.len());
    unchanged(&*engine)
}

/// Where no ceiling is promised, none is met where one was asked for.
fn no_ceiling(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open_with(|options| options.store_bytes_max = Some(CEILING))?;
    let value = vec![7; usize::try_from(engine.offer().limits.value_bytes_max.min(CEILING / 4)).unwrap_or(1)];
    for turn in 0..8_u8 {
        let done = commit(&*engine, |beat| beat.put_record(&[turn], &value));
        check!(done.is_ok(), "no ceiling is promised, and one is met: {:?}", done.err());
    }
    Ok(())
}

/// Where no edge is in reach, 20 MiB in so many records of one beat are ordinary.
fn beyond_the_affordable(fx: &dyn Fixture, records: u32) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let value = pattern((20 << 20) / records as usize, 241);
    commit(&*engine, |beat| (0..records).try_for_each(|n| beat.put_record(&n.to_be_bytes(), &value)))?;
    let view = engine.view()?;
    for n in 0..records {
        let same = view.get_record(&n.to_be_bytes())?.is_some_and(|found| *found == *value);
        check!(same, "record {n} of a beat of 20 MiB differs");
    }
    Ok(())
}

fn unordered(fx: &dyn Fixture) -> CaseResult {
    verb(fx, "scan", |engine, _| {
        engine.view()?.scan(Scan::all(), &mut |_, _| std::ops::ControlFlow::Continue(()))
    })?;
    verb(fx, "cursor", |engine, _| engine.view()?.cursor(Scan::all()).map(drop))
}

fn no_prefix_scan(fx: &dyn Fixture) -> CaseResult {
    verb(fx, "scan_prefix", |engine, _| {
        engine.view()?.scan_prefix(b"t", &mut |_, _| std::ops::ControlFlow::Continue(()))
    })
}

fn no_backup(fx: &dyn Fixture) -> CaseResult {
    verb(fx, "backup", |engine, at| {
        let into = at.home.beside("backup");
        let refusal = engine.backup(&into, &Quiet).map(drop);
        if into.exists() {
            return Err(Error::new(ErrorKind::Conflict, "backup", "the refused backup created its target"));
        }
        refusal
    })
}

fn not_durable(fx: &dyn Fixture) -> CaseResult {
    verb(fx, "a durable beat", |engine, _| {
        let header = engine.view()?.header().next(1, Durability::Durable, None)?;
        engine.begin_beat(header).map(drop)
    })?;
    verb(fx, "sync", |engine, _| engine.sync().map(drop))
}

/// A buffered beat is refused, or becomes durable.
fn not_buffered(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["twin"])?;
    let header = engine.view()?.header().next(1, Durability::Buffered, None)?;
    match engine.begin_beat(header) {
        Err(error) => {
            refused::<()>(Err(error), ErrorKind::Unsupported, "a buffered beat")?;
            unchanged(&*engine)
        }
        Ok(beat) => {
            check_eq!(beat.commit_beat()?.reached, Durability::Durable, "what a buffered beat became");
            Ok(())
        }
    }
}

fn no_read_own(fx: &dyn Fixture) -> CaseResult {
    verb(fx, "peek_record", |engine, _| begin(engine)?.peek_record(b"twin").map(drop))
}

fn no_delete_range(fx: &dyn Fixture) -> CaseResult {
    verb(fx, "delete_range", |engine, _| begin(engine)?.delete_range(KeyRange::all()))
}

fn no_long_keys(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["twin"])?;
    let most = offer(fx).limits.key_bytes_max;
    check!(most < 65_535, "keys up to {most} bytes without LONG_KEYS");
    let mut beat = begin(&*engine)?;
    refused(beat.put_record(&vec![b'L'; 65_535], b"v"), ErrorKind::TooLarge, "a long key")?;
    drop(beat);
    unchanged(&*engine)
}

/// Who requires checksums is told that there are none, and nothing is granted in their place.
fn no_checksums(fx: &dyn Fixture) -> CaseResult {
    let request = Request { required: Caps::CRC32C, durability: Durability::Volatile, ..Request::default() };
    match fx.negotiate(&offer(fx), &request) {
        Ok(grant) => Err(Failure::new(format!("granted without checksums: {}", grant.canonical_text()))),
        Err(refusal) => {
            check_eq!(refusal.missing, Caps::CRC32C, "what the refusal names as missing");
            Ok(())
        }
    }
}

/// Reads copy, and give the right bytes.
fn no_zero_copy(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["twin"])?;
    let view = engine.view()?;
    let held = view.get_record(b"twin")?;
    put_keys(&*engine, ["other"])?;
    check_eq!(held.as_deref(), Some(b"=twin".as_slice()), "a value that was copied");
    Ok(())
}
