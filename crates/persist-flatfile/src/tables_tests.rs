//! Memtables, runs and their merges against a plain model: random beats, split over tables in every way.
#![allow(clippy::cast_possible_truncation, reason = "small numbers of our own")]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, CommitNo, Direction, KeyRange, Scan};
use persist_io::RealDisk;
use proptest::prelude::*;

use crate::lost::Lost;
use crate::memtable::{Memtable, Sight};
use crate::newrun::{Plan, kept_headers, kept_ranges};
use crate::payload::Payloads;
use crate::reader::Reader;
use crate::retain::Retained;
use crate::run::RunHead;
use crate::state::{LiveRun, Published, State};
use crate::timeline::{FrameBuilder, FrameSpan};
use crate::view::scan_rows;

#[derive(Debug, Clone)]
enum Change {
    Put(u8, u8),
    Delete(u8),
    Range(u8, u8),
    All,
}

/// In a table that gets no more beats every reader sees all slots there will ever be.
#[test]
fn a_get_takes_no_lock_of_a_table_that_is_indexed_whole() {
    let table = Arc::new(Memtable::new(0, &Arc::default()));
    push(&table, 1, 1, &[Change::Put(3, 4)]);
    let sight = Sight { below: u64::MAX, at: BeatNo(u64::MAX) };
    let has = move |table: &Memtable| {
        let found = table.get(&key(3), crate::run::hash(&key(3)), sight);
        matches!(found, crate::memtable::Found::Record(_))
    };
    assert!(has(&table));
    let (done, wait) = std::sync::mpsc::channel();
    let held = table.hold_indexing();
    let other = Arc::clone(&table);
    std::thread::spawn(move || done.send(has(&other)));
    assert_eq!(wait.recv_timeout(std::time::Duration::from_secs(60)), Ok(true));
    drop(held);
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(n: u8) -> Vec<u8> {
    // Some share their first eight bytes, one is a prefix of others.
    match n % 3 {
        0 => vec![n],
        1 => [b"shared--prefix".as_slice(), &[n]].concat(),
        _ => [b"shared-".as_slice(), &[n; 3]].concat(),
    }
}

fn apply(rows: &mut Rows, change: &Change) {
    match change {
        Change::Put(k, v) => {
            rows.insert(key(*k), vec![*v; usize::from(*v % 9)]);
        }
        Change::Delete(k) => {
            rows.remove(&key(*k));
        }
        Change::Range(from, upto) => {
            let range = KeyRange::owned(Bound::Included(key(*from)), Bound::Excluded(key(*upto)));
            rows.retain(|key, _| !range.contains(key));
        }
        Change::All => rows.clear(),
    }
}

fn header(beat: u64) -> BeatHeader {
    BeatHeader { beat: BeatNo(beat), first_commit: CommitNo(beat), commits: 1, ..BeatHeader::default() }
}

fn body(built: &FrameBuilder) -> (Vec<u8>, std::ops::Range<usize>) {
    (built.body().to_vec(), 0..built.body().len())
}

fn push(table: &Memtable, beat: u64, frame: u64, changes: &[Change]) {
    let mut built = FrameBuilder::default();
    let mut has_ranges = false;
    for change in changes {
        match change {
            Change::Put(k, v) => built.put(&key(*k), &vec![*v; usize::from(*v % 9)]),
            Change::Delete(k) => built.delete(&key(*k)),
            Change::Range(from, upto) => {
                let (from, upto) = (key(*from), key(*upto));
                if from < upto {
                    built.delete_range(Bound::Included(&from), Bound::Excluded(&upto));
                    has_ranges = true;
                }
            }
            Change::All => {
                built.delete_range(Bound::Unbounded, Bound::Unbounded);
                has_ranges = true;
            }
        }
    }
    assert!(table.push(header(beat), frame, body(&built), built.ops(), has_ranges));
}

/// Makes a run of tables, newest first.
fn run(
    dir: &std::path::Path,
    number: u32,
    floor: u64,
    oldest: bool,
    tables: &[Arc<Memtable>],
    runs: &[Arc<LiveRun>],
) -> Arc<LiveRun> {
    let mut rows = Retained::new(BeatNo(floor), oldest);
    let mut ranges = Vec::new();
    let mut headers = Vec::new();
    for table in tables {
        rows.add_table(table).unwrap();
        ranges.push(table.coverings().cloned().collect());
    }
    for run in runs {
        rows.add_run(&run.run, &run.cover).unwrap();
        ranges.push(run.coverings());
    }
    for run in runs.iter().rev() {
        headers.extend(run.run.headers().unwrap());
    }
    for table in tables.iter().rev() {
        headers.extend(table.slots().map(|slot| slot.header));
    }
    let (first, last) = (headers[0].beat, headers[headers.len() - 1].beat);
    let head = RunHead {
        number,
        span: FrameSpan { after: 0, upto: 1 },
        first_beat: first,
        last_beat: last,
        floor: BeatNo(floor),
    };
    let plan = Plan {
        head,
        rows,
        ranges: kept_ranges(&ranges, BeatNo(floor), oldest),
        headers: kept_headers(headers.into_iter(), BeatNo(floor)),
    };
    Arc::new(LiveRun::new(plan.write(&RealDisk, dir, None, &mut |_| Ok(())).unwrap()))
}

fn published(tables: &[Arc<Memtable>], runs: Vec<Arc<LiveRun>>, beat: u64) -> Published {
    let active = Arc::clone(&tables[0]);
    let slots = active.slots_len();
    let state = State { active, frozen: tables[1..].to_vec(), runs, payloads: Arc::new(Payloads::default()) };
    Published { state: Arc::new(state), slots, header: header(beat), frame: beat }
}

fn check(reader: &Reader, model: &Rows, what: &str) {
    for n in 0..=40_u8 {
        let found = reader.get("get", &key(n)).unwrap().map(persist_api::Value::into_vec);
        assert_eq!(found, model.get(&key(n)).cloned(), "{what}: key {n}");
    }
    let mut ranges = vec![KeyRange::all(), KeyRange::prefix(b"shared-")];
    for (from, upto) in [(3_u8, 30_u8), (7, 8), (1, 40), (20, 2)] {
        for (start, end) in [
            (Bound::Included(key(from)), Bound::Excluded(key(upto))),
            (Bound::Excluded(key(upto)), Bound::Included(key(from))),
        ] {
            ranges.push(KeyRange::owned(start, end));
        }
    }
    for range in ranges {
        let wanted: Vec<_> = model
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for direction in [Direction::Forward, Direction::Reverse] {
            let mut found = Vec::new();
            let scan = Scan { range: range.borrowed(), direction, ..Scan::all() };
            scan_rows(reader, &scan, &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
            if direction == Direction::Reverse {
                found.reverse();
            }
            assert_eq!(found, wanted, "{what}: {range:?} {direction:?}");
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (0..40_u8, any::<u8>()).prop_map(|(k, v)| Change::Put(k, v)),
        3 => (0..40_u8).prop_map(Change::Delete),
        2 => (0..40_u8, 0..40_u8).prop_map(|(from, upto)| Change::Range(from, upto)),
        1 => Just(Change::All),
    ];
    proptest::collection::vec(change, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn tables_show_what_a_model_shows_however_beats_are_spread(
        beats in proptest::collection::vec(changes(), 1..14),
        cuts in proptest::collection::vec(any::<bool>(), 14),
        memtables in 1..4_usize,
        merged in 0..4_usize,
        window in 0..6_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let newest = beats.len() as u64;
        let floor = newest.saturating_sub(window);
        let mut models = vec![Rows::new()];
        let mut tables = vec![Memtable::new(0, &Arc::default())];
        for (at, changes) in beats.iter().enumerate() {
            let mut rows = models[at].clone();
            for change in changes {
                apply(&mut rows, change);
            }
            models.push(rows);
            if cuts[at] && tables[tables.len() - 1].slots_len() > 0 {
                tables.push(Memtable::new(at as u64, &Arc::default()));
            }
            push(&tables[tables.len() - 1], at as u64 + 1, at as u64 + 1, changes);
        }
        // The oldest tables become runs, the oldest of those one run.
        let tables: Vec<Arc<Memtable>> = tables.into_iter().map(Arc::new).collect();
        let split = tables.len().saturating_sub(memtables);
        let mut runs: Vec<Arc<LiveRun>> = Vec::new();
        for (number, table) in tables[..split].iter().enumerate() {
            let oldest = number == 0;
            runs.push(run(dir.path(), number as u32, floor, oldest, std::slice::from_ref(table), &[]));
        }
        let merge = merged.min(runs.len());
        if merge > 1 {
            let mut inputs: Vec<_> = runs.drain(..merge).collect();
            inputs.reverse();
            runs.insert(0, run(dir.path(), 100, floor, true, &[], &inputs));
        }
        runs.reverse();
        let mut kept: Vec<_> = tables[split..].to_vec();
        kept.reverse();
        let published = published(&kept, runs, newest);
        check(&Reader::newest(&published), &models[models.len() - 1], "newest");
        for beat in 0..=newest {
            match Reader::earlier(&published, BeatNo(beat), window) {
                Ok(reader) => {
                    prop_assert!(beat >= floor);
                    prop_assert_eq!(reader.header().beat, BeatNo(beat));
                    check(&reader, &models[beat as usize], "earlier");
                }
                Err(error) => {
                    prop_assert!(beat < floor, "beat {} of {} with floor {}: {}", beat, newest, floor, error);
                    prop_assert_eq!(error.kind(), persist_api::ErrorKind::Stale);
                }
            }
        }
    }
}

fn lost(beat: u64) -> Arc<Lost> {
    Arc::new(Lost {
        beat: BeatNo(beat),
        file: "branch.idx.00000001".into(),
        offset: 64,
        what: "checksum".into(),
    })
}

/// Keys with what a get says: a value, nothing, or that it is lost.
fn answers(reader: &Reader) -> Vec<(u8, Result<Option<u8>, persist_api::ErrorKind>)> {
    (0..4)
        .map(|n| {
            let found = reader
                .get("get", &[n])
                .map(|value| value.map(|value| value[0]))
                .map_err(|error| error.kind());
            (n, found)
        })
        .collect()
}

#[test]
fn a_read_that_would_need_a_lost_beat_fails_and_others_do_not() {
    use persist_api::ErrorKind::Corrupt;
    let dir = tempfile::tempdir().unwrap();
    let table = Memtable::new(0, &Arc::default());
    let put = |beat: u64, keys: &[u8]| {
        let mut built = FrameBuilder::default();
        for n in keys {
            built.put(&[*n], &[beat as u8]);
        }
        table.push(header(beat), beat, body(&built), built.ops(), false);
    };
    put(1, &[0, 1]);
    table.push_lost(lost(2), 2);
    put(3, &[0]);
    let mut built = FrameBuilder::default();
    built.delete_range(Bound::Included(&[2]), Bound::Included(&[2]));
    table.push(header(4), 4, body(&built), 1, true);
    let wanted = vec![(0, Ok(Some(3))), (1, Err(Corrupt)), (2, Ok(None)), (3, Err(Corrupt))];
    let table = Arc::new(table);
    let in_memory = published(std::slice::from_ref(&table), Vec::new(), 4);
    let flushed = run(dir.path(), 1, 2, true, &[table], &[]);
    let again = run(dir.path(), 2, 2, true, &[], &[Arc::clone(&flushed)]);
    let empty = || [Arc::new(Memtable::new(4, &Arc::default()))];
    for (what, published) in [
        ("in memory", in_memory),
        ("in a run", published(&empty(), vec![flushed], 4)),
        ("in a merged run", published(&empty(), vec![again], 4)),
    ] {
        let reader = Reader::newest(&published);
        assert_eq!(answers(&reader), wanted, "{what}");
        let scan = |range: KeyRange<'static>| {
            let mut keys = Vec::new();
            let done = scan_rows(&reader, &Scan::range(range), &mut |key, _| {
                keys.push(key[0]);
                ControlFlow::Continue(())
            });
            (keys, done.map_err(|error| error.kind()))
        };
        assert_eq!(scan(KeyRange::all()), (vec![], Err(Corrupt)), "{what}");
        let only = |n: u8| KeyRange::owned(Bound::Included(vec![n]), Bound::Included(vec![n]));
        assert_eq!(scan(only(2)), (vec![], Ok(())), "{what}");
        assert_eq!(scan(only(3)), (vec![], Err(Corrupt)), "{what}");
    }
}
