//! Many threads. Nothing here depends on timing: loops are bounded and threads meet at barriers.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use persist_api::{BeatNo, Engine, ErrorKind, Quiet, Scan, View};

use crate::kit::{Stand, close, get_in, joined, keys, level, next_header, put, put_keys, rows};
use crate::{CaseResult, Failure, Fixture, check, check_eq};

const KEYS: u8 = 12;

/// A beat that sets all keys to its own number.
fn march(engine: &dyn Engine, turn: u64) -> CaseResult {
    put(engine, (0..KEYS).map(|n| ([b'k', n], turn.to_be_bytes())))?;
    Ok(())
}

/// Checks that a view shows one beat whole.
fn whole(view: &dyn View) -> CaseResult {
    let beat = view.header().beat.0;
    for n in 0..KEYS {
        let found = get_in(view, [b'k', n])?;
        check_eq!(found, Some(beat.to_be_bytes().to_vec()), "record {n} in a view at beat {beat}");
    }
    Ok(())
}

/// Runs beats on this thread while `read` runs on three others, at least six times and once after the last beat.
fn beside_beats(
    engine: &dyn Engine,
    beats: u64,
    read: impl Fn(&dyn Engine) -> CaseResult + Sync,
) -> CaseResult {
    march(engine, 1)?;
    let done = AtomicBool::new(false);
    let (read, done_seen) = (&read, &done);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    for turn in 0..10_000 {
                        let last = done_seen.load(Ordering::Acquire);
                        read(engine)?;
                        if last && turn >= 5 {
                            break;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let wrote = (2..=beats).try_for_each(|turn| march(engine, turn));
        done.store(true, Ordering::Release);
        let read: CaseResult = readers.into_iter().try_for_each(joined);
        wrote.and(read)
    })
}

/// Readers see whole beats while beats commit.
pub(crate) fn readers_see_whole_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    beside_beats(&*engine, 40, |engine| whole(&*engine.view()?))
}

/// Scans beside beats show whole beats, too.
pub(crate) fn scans_see_whole_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    beside_beats(&*engine, 40, |engine| {
        let view = engine.view()?;
        let beat = view.header().beat.0.to_be_bytes();
        let found = rows(&*view, Scan::prefix(b"k"))?;
        check_eq!(found.len(), usize::from(KEYS), "rows of a scan beside beats");
        check!(found.iter().all(|(_, value)| *value == beat), "a scan mixes beats");
        Ok(())
    })
}

/// A reader never sees an older beat than the one that it saw before.
pub(crate) fn readers_never_go_back(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let newest = AtomicU64::new(0);
    beside_beats(&*engine, 40, |engine| {
        let before = newest.load(Ordering::Acquire);
        let seen = engine.view()?.header().beat.0;
        check!(seen >= before, "a view at beat {seen} after one at beat {before}");
        newest.fetch_max(seen, Ordering::AcqRel);
        Ok(())
    })
}

/// A commit that has returned is seen on every other thread.
pub(crate) fn commits_are_seen_elsewhere(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let engine = &*engine;
    let (tell, told) = std::sync::mpsc::channel::<BeatNo>();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            for beat in told {
                let seen = engine.view()?.header().beat;
                check!(seen >= beat, "another thread sees beat {seen} after {beat} was committed");
            }
            Ok(())
        });
        let wrote = (0..30_u8).try_for_each(|turn| {
            let receipt = put_keys(engine, [[b's', turn]])?;
            let _ = tell.send(receipt.header.beat);
            Ok::<_, Failure>(())
        });
        drop(tell);
        wrote.and(joined(reader))
    })
}

/// Views on several threads at once, without `Busy`.
pub(crate) fn many_views_at_once(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    march(&*engine, 1)?;
    let most = engine.offer().limits.views_max.min(8);
    let (engine, all) = (&*engine, Barrier::new(usize::try_from(most).unwrap_or(1)));
    let all = &all;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..most)
            .map(|_| {
                scope.spawn(move || {
                    let view = engine.view();
                    all.wait();
                    whole(&*view?)
                })
            })
            .collect();
        readers.into_iter().try_for_each(joined)
    })
}

/// Of two threads that begin a beat, one gets it; the other is `Busy`.
pub(crate) fn one_of_two_gets_the_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let (engine, begun) = (&*engine, Barrier::new(2));
    let begun = &begun;
    let got: Vec<bool> = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let beat = engine.begin_beat(header);
                    begun.wait();
                    match beat {
                        Ok(_) => Ok(true),
                        Err(error) if error.kind() == ErrorKind::Busy => Ok(false),
                        Err(error) => Err(Failure::from(error)),
                    }
                })
            })
            .collect();
        both.into_iter().map(joined).collect::<Result<_, _>>()
    })?;
    check_eq!(got.iter().filter(|got| **got).count(), 1, "threads that got the beat");
    Ok(())
}

/// Threads take turns writing.
pub(crate) fn writers_take_turns(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let shared = &*engine;
    for turn in 0..6_u8 {
        std::thread::scope(|scope| {
            joined(scope.spawn(move || put_keys(shared, [[b't', turn]]).map_err(Failure::from)))
        })?;
    }
    let view = engine.view()?;
    check_eq!(view.header().beat, BeatNo(6), "the beat after six writers");
    for turn in 0..6_u8 {
        check!(view.get_record(&[b't', turn])?.is_some(), "the record of writer {turn} is missing");
    }
    Ok(())
}

/// Four threads write as fast as they can; `Busy` and `Conflict` are the only refusals, and nothing is lost.
pub(crate) fn writers_compete(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let shared = &*engine;
    let written: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u8).map(|who| scope.spawn(move || compete(shared, who))).collect();
        writers.into_iter().map(joined).sum::<Result<_, _>>()
    })?;
    let view = engine.view()?;
    check_eq!(view.header().beat.0, written, "beats in the store and beats committed");
    check_eq!(view.header().last_commit().0, written, "commits in the store");
    Ok(())
}

fn compete(engine: &dyn Engine, who: u8) -> Result<u64, Failure> {
    let mut written = 0;
    for turn in 0..30_u8 {
        let begun = engine.view()?.header().next(1, level(engine), None).and_then(|h| engine.begin_beat(h));
        match begun {
            Ok(mut beat) => {
                beat.put_record(&[b'w', who, turn], b"1")?;
                beat.commit_beat()?;
                written += 1;
            }
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Conflict) => {
                std::thread::yield_now();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

/// A view opened here, read there, dropped elsewhere.
pub(crate) fn views_wander(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    march(&*engine, 1)?;
    let view = engine.view()?;
    let view = std::thread::scope(|scope| {
        joined(scope.spawn(move || {
            whole(&*view)?;
            Ok(view)
        }))
    })?;
    march(&*engine, 2)?;
    std::thread::scope(|scope| {
        joined(scope.spawn(move || {
            whole(&*view)?;
            drop(view);
            Ok(())
        }))
    })?;
    check_eq!(engine.stats()?.views_open, 0, "open views after it was dropped elsewhere");
    Ok(())
}

/// An engine opened on one thread is used and closed on others.
pub(crate) fn engine_wanders(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let at_ref = &at;
    let engine =
        std::thread::scope(|scope| joined(scope.spawn(move || at_ref.open().map_err(Failure::from))))?;
    put_keys(&*engine, ["wandering"])?;
    std::thread::scope(|scope| joined(scope.spawn(move || close(engine).map_err(Failure::from))))?;
    check_eq!(get_in(&*at.open()?.view()?, "wandering")?, Some(b"=wandering".to_vec()), "the record");
    Ok(())
}

/// Figures can be asked for while beats commit.
pub(crate) fn stats_beside_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    beside_beats(&*engine, 20, |engine| {
        let least = engine.view()?.header().beat;
        let seen = engine.stats()?.beat;
        check!(seen >= least, "stats name beat {seen} after a view at beat {least}");
        Ok(())
    })
}

/// A backup made while beats commit shows one of them whole.
pub(crate) fn backup_beside_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let shared = &*engine;
    march(shared, 1)?;
    let into = at.home.beside("backup");
    let target = &into;
    let stat = std::thread::scope(|scope| {
        let copying = scope.spawn(move || shared.backup(target, &Quiet).map_err(Failure::from));
        let wrote = (2..=15).try_for_each(|turn| march(shared, turn));
        let stat = joined(copying);
        wrote.and(stat)
    })?;
    check_eq!(engine.view()?.header().beat, BeatNo(15), "the beats beside the backup");
    let copy = at.open_at(&into)?;
    let view = copy.view()?;
    check_eq!(view.header().beat, stat.beat, "the beat of the backup and the one it names");
    whole(&*view)
}

/// `verify` runs while beats commit.
pub(crate) fn verify_beside_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let shared = &*engine;
    march(shared, 1)?;
    std::thread::scope(|scope| {
        let checking = scope.spawn(move || {
            let stat = shared.verify(&mut |_| (), &Quiet)?;
            check_eq!(stat.records, u64::from(KEYS), "records that verify read beside beats");
            Ok(())
        });
        let wrote = (2..=15).try_for_each(|turn| march(shared, turn));
        wrote.and(joined(checking))
    })
}

/// A long scan on one thread and beats on another do not stop each other.
pub(crate) fn long_scan_beside_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, (0..500_u16).map(|n| (n.to_be_bytes(), [1; 40])))?;
    let view = engine.view()?;
    let shared = &*engine;
    let found = std::thread::scope(|scope| {
        let scanning = scope.spawn(move || keys(&*view, Scan::all()).map_err(Failure::from));
        let wrote: CaseResult = (0..10_u8).try_for_each(|turn| {
            put(shared, [(vec![0xEE, turn, 1], vec![2; 10])])?;
            Ok(())
        });
        wrote.and(joined(scanning))
    })?;
    check_eq!(found.len(), 500, "rows of a scan beside beats");
    Ok(())
}
