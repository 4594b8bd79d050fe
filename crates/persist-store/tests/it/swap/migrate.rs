//! Offline migration, as `persist migrate` makes it: a store is opened, swapped to another engine and home, and closed; and every call
//! of that fails.

use persist_api::{Caps, Durability, ErrorKind, OpenMode, Quiet, Result};
use persist_io::sim::{Code, Crash, Fault, Forgot, Op, Rng, SimDisk, When};
use persist_store::{BeatLog, Stamp, StampState, Store, SwapOptions, SwapState, Writer, open_with};

use super::fails::FAILURES;
use super::stand::{
    HOME, OTHER, Stand, elsewhere, is_clean, is_signpost, options_of, put, raw_rows, request, swap_options,
};
use crate::kit::{Content, content, fails};

/// What fails beside what fails in a swap.
const MORE: [Fault; 4] = [
    Fault::Error { code: Code::NoSpace, applied: true },
    Fault::ShortRead { bytes: 5 },
    Fault::SyncForgets(Forgot::Some(3)),
    Fault::SyncForgets(Forgot::Some(11)),
];

/// So many calls are tried of each pair of engines and kind of fault, once and from then on; all with `PERSIST_SWAP_EVERY`.
const CALLS: usize = 4;

const BLOB: (&str, &[u8]) =
    ("cas/8e/8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e.blob", b"a blob");

fn may_lose() -> SwapOptions {
    SwapOptions { chunk_bytes: 300, may_lose: Caps::all(), ..swap_options() }
}

fn open(stand: &Stand, home: &str) -> Result<(Writer, Store)> {
    let stamp = Stamp::read(&stand.disk, home.as_ref())?;
    let engine = stamp.map(|stamp| stamp.engine);
    let mut options = options_of(engine.as_deref().unwrap_or("toy"));
    options.mode = OpenMode::MustExist;
    let disk = std::sync::Arc::new(stand.disk.clone());
    let opened = open_with(disk, &stand.drivers, home.as_ref(), engine.as_deref().or(Some("toy")), &options)?;
    Ok(opened.negotiate(&request())?)
}

/// What the command does: nothing of it is left open after an error.
fn migrate(stand: &Stand, to: &str) -> Result<()> {
    let (_writer, store) = open(stand, HOME)?;
    let done = store.swap(&elsewhere(to), &may_lose(), &Quiet).map(drop);
    done.and(store.close())
}

/// A store that was closed, what is in it, and under its layers.
struct Source {
    disk: SimDisk,
    content: Content,
    rows: Content,
}

fn source(from: &str) -> Source {
    let stand = Stand::new();
    let (writer, store) = stand.store(from);
    // More than one run, where there are runs.
    for n in 0..30 {
        put(&store, &format!("long{n:02}"), &"x".repeat(200));
    }
    let whole = content(&store.view().unwrap());
    store.close().unwrap();
    drop((writer, store));
    assert!(stand.disk.put(format!("{HOME}/{}", BLOB.0), BLOB.1));
    let rows = user_rows(&stand, HOME, from, 1);
    Source { disk: stand.disk.killed(), content: whole, rows }
}

/// What an engine holds of the user's, under the layers.
fn user_rows(stand: &Stand, home: &str, engine: &str, epoch: u64) -> Content {
    let mut rows = raw_rows(stand, home, engine, epoch);
    rows.retain(|key, _| key.starts_with(b"\x01"));
    rows
}

/// The whole store is there.
fn is_complete(stand: &Stand, home: &str, source: &Source, case: &str) -> (Writer, Store) {
    let (writer, store) = open(stand, home).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(content(&store.view().unwrap()) == source.content, "{case}: {home} is not what the source was");
    assert_eq!(stand.disk.bytes(format!("{home}/{}", BLOB.0)).as_deref(), Some(BLOB.1), "{case}");
    is_clean(&store);
    (writer, store)
}

/// The store has moved: it is whole where it went, the source says so, and what is kept of that is as it was.
fn has_moved(disk: &SimDisk, source: &Source, (from, to): (&str, &str), case: &str) {
    let stand = Stand::on(disk.killed());
    let (writer, store) = is_complete(&stand, OTHER, source, case);
    assert_eq!((store.engine_name(), store.swap_status().unwrap().state), (to, SwapState::Flipped), "{case}");
    fails(open(&stand, HOME).map(drop), ErrorKind::Mismatch, &["lives in /other now"]);
    assert!(user_rows(&stand, HOME, from, 1) == source.rows, "{case}: what is kept has changed");
    // Whoever relies on that is not deceived by what nobody had synced yet.
    put(&store, "since", "the migration");
    let cut = Stand::on(stand.disk.crash_image(&Crash::Nothing));
    let (_, there) = open(&cut, OTHER).unwrap_or_else(|error| panic!("{case}: after a power cut: {error}"));
    assert!(content(&there.view().unwrap()).contains_key(b"since".as_slice()), "{case}: a commit is lost");
    fails(open(&cut, HOME).map(drop), ErrorKind::Mismatch, &["lives in /other now"]);
    let mut gone = BeatLog::new();
    gone.delete(b"since").unwrap();
    store.commit(gone, Durability::Durable).unwrap().wait().unwrap();
    store.close().unwrap();
    drop((writer, store));
    let (_writer, store) = open(&stand, OTHER).unwrap();
    store.finish_swap().unwrap();
    is_signpost(&stand, HOME, OTHER);
    is_complete(&Stand::on(stand.disk.crash_image(&Crash::Nothing)), OTHER, source, case);
}

/// What a migration that ended in whatever way has left: the source or the target, whole, and never both. Then it is repeated.
fn judge(disk: SimDisk, source: &Source, pair: (&str, &str), case: &str, way: usize) {
    let stand = Stand::on(disk);
    let stamp = Stamp::read(&stand.disk, HOME.as_ref()).unwrap().unwrap();
    if stamp.state == StampState::Moved {
        return has_moved(&stand.disk, source, pair, case);
    }
    assert_eq!((stamp.state, stamp.engine.as_str(), stamp.epoch), (StampState::Ready, pair.0, 1), "{case}");
    // Before the source is opened, which may tidy up.
    let early = Stand::on(stand.disk.killed());
    assert!(user_rows(&early, HOME, pair.0, 1) == source.rows, "{case}: the source has changed");
    let refused = open(&early, OTHER).map(drop).expect_err(case);
    let kinds = [ErrorKind::Invalid, ErrorKind::Mismatch];
    assert!(kinds.contains(&refused.kind()), "{case}: half a target is taken for a store: {refused}");
    let (writer, store) = is_complete(&stand, HOME, source, case);
    let pending = store.swap_status();
    assert!(pending.as_ref().is_none_or(|status| status.state == SwapState::Copying), "{case}");
    if pending.is_some() && way.is_multiple_of(2) {
        let mut swap = store.resume_swap(&options_of(pair.1), &may_lose(), &Quiet).unwrap();
        swap.run(&Quiet).unwrap_or_else(|error| panic!("{case}: {error}"));
        drop(swap);
        store.close().unwrap();
        drop((writer, store));
    } else {
        if pending.is_some() {
            store.abort_swap().unwrap_or_else(|error| panic!("{case}: {error}"));
        }
        store.close().unwrap();
        drop((writer, store));
        migrate(&stand, pair.1).unwrap_or_else(|error| panic!("{case}: again: {error}"));
    }
    has_moved(&stand.disk, source, pair, case);
    has_moved(&stand.disk.crash_image(&Crash::Nothing), source, pair, case);
}

/// Migrates with a fault. Whether that failed.
fn fails_at(source: &Source, pair: (&str, &str), when: When, fault: Fault) -> bool {
    let stand = Stand::on(source.disk.killed());
    stand.disk.plan(when, fault);
    let done = migrate(&stand, pair.1);
    let met = stand.disk.met();
    stand.disk.unplan();
    let case = format!("{} to {}, {fault:?} {when:?}, {done:?}", pair.0, pair.1);
    match &done {
        // What was reported as done is durable.
        Ok(()) => has_moved(&stand.disk.crash_image(&Crash::Nothing), source, pair, &case),
        Err(error) => {
            let kinds = [ErrorKind::Io, ErrorKind::Full, ErrorKind::Poisoned];
            assert!(kinds.contains(&error.kind()), "{case}");
            assert!(met.iter().any(|(_, op, fault)| !fault.hidden(*op)), "{case}: nobody had to see it");
        }
    }
    let (When::At(n) | When::From(n)) = when;
    let crashes =
        [Crash::Nothing, Crash::Everything, Crash::Random(n)].map(|crash| stand.disk.crash_image(&crash));
    for (image, disk) in std::iter::once(stand.disk.killed()).chain(crashes).enumerate() {
        let way = image + usize::try_from(n).unwrap();
        judge(disk, source, pair, &format!("{case}, image {image}"), way);
    }
    done.is_err()
}

#[test]
fn every_call_of_a_migration_may_fail_in_every_way() {
    let begun = std::time::Instant::now();
    let every = std::env::var_os("PERSIST_SWAP_EVERY").is_some();
    let seed = std::env::var("PERSIST_SEED").map_or(1, |text| text.parse().expect("a number"));
    let mut rng = Rng::new(seed);
    let (mut runs, mut failures) = (0_u64, 0_u64);
    for pair in [("flatfile", "toy"), ("toy", "flatfile"), ("flatfile", "flatfile")] {
        let source = source(pair.0);
        let plain = Stand::on(source.disk.killed());
        migrate(&plain, pair.1).unwrap();
        has_moved(&plain.disk, &source, pair, "no fault");
        let calls: Vec<(u64, Op)> = plain.disk.trace().operations().collect();
        for fault in FAILURES.into_iter().chain(MORE) {
            let fits: Vec<(u64, Op)> = calls.iter().copied().filter(|(_, op)| fault.fits(*op)).collect();
            let seen = fits.iter().any(|(_, op)| !fault.hidden(*op));
            let mut failed = 0;
            for when in [When::At, When::From] {
                // Each sync counts by itself: what comes before it and after it is another state of both homes.
                let each = every || fault == Fault::SyncForgets(Forgot::All) && when(0) == When::At(0);
                let chosen = if each { fits.len() } else { CALLS.min(fits.len()) };
                for part in 0..chosen {
                    let (from, to) = (part * fits.len() / chosen, (part + 1) * fits.len() / chosen);
                    let at = from + usize::try_from(rng.below((to - from) as u64)).unwrap();
                    failed += u64::from(fails_at(&source, pair, when(fits[at].0), fault));
                    runs += 1;
                }
            }
            assert!(failed > 0 || !seen, "{pair:?}: no migration failed by {fault:?}");
            failures += failed;
        }
    }
    println!("{runs} migrations, {failures} failed, in {:.1} s", begun.elapsed().as_secs_f64());
    assert!(runs >= 3 * 12 * 2 * 3, "{runs}");
}
