//! R9: what changes no record changes no record, wherever it comes; and a full disk is no broken one.

use std::collections::VecDeque;

use persist_api::{BeatHeader, CompactScope, Durability, ErrorKind, OpenOptions, Quiet};
use persist_io::sim::explore::Workload;
use persist_io::sim::{Rng, SimDisk};

use super::acts::{Act, Rows, any};
use super::rounds::{rounds, seed};
use super::store::{HOME, Store, close, open_at, open_with, options, read_all};

/// The records at the end.
fn end(acts: &[Act]) -> Rows {
    let (store, disk) = (Store::new(&[], acts), SimDisk::new(1));
    store.run(&disk).unwrap_or_else(|error| panic!("{acts:?}: {error}"));
    let engine = open_at(disk, HOME).unwrap();
    read_all(&*engine.view().unwrap()).unwrap()
}

#[test]
fn what_changes_no_record_may_come_anywhere() {
    let mut rng = Rng::new(seed());
    for _ in 0..rounds(500, 250) {
        let beats: Vec<Act> = any(&mut rng, 24).into_iter().filter(|act| act.is_beat()).collect();
        let plain = end(&beats);
        let extra =
            [Act::Reopen, Act::Compact, Act::Checkpoint, Act::Sync, Act::Verify, Act::Backup, Act::Abort(3)];
        let mut acts = beats.clone();
        for _ in 0..rng.below(10) {
            let at = usize::try_from(rng.below(acts.len() as u64 + 1)).unwrap();
            acts.insert(at, extra[usize::try_from(rng.below(extra.len() as u64)).unwrap()]);
        }
        assert_eq!(end(&acts), plain, "{acts:?}");
    }
}

#[test]
fn several_beats_and_one_of_all_their_records_leave_the_same() {
    let mut rng = Rng::new(seed());
    for _ in 0..rounds(500, 250) {
        let rows: Vec<(u8, Vec<u8>)> = (0..40)
            .map(|n| {
                let len = usize::try_from(rng.below(600)).unwrap();
                (u8::try_from(rng.below(12)).unwrap(), vec![n; len])
            })
            .collect();
        let in_beats_of = |size: usize| {
            let engine = open_at(SimDisk::new(1), HOME).unwrap();
            let mut last = BeatHeader::default();
            for rows in rows.chunks(size) {
                last = last.next(1, Durability::Durable, None).unwrap();
                let mut beat = engine.begin_beat(last).unwrap();
                for (key, value) in rows {
                    match value.len() % 7 {
                        0 => beat.delete_record(&[*key]).unwrap(),
                        _ => beat.put_record(&[*key], value).unwrap(),
                    }
                }
                beat.commit_beat().unwrap();
            }
            read_all(&*engine.view().unwrap()).unwrap()
        };
        let one = in_beats_of(rows.len());
        let size = 1 + usize::try_from(rng.below(9)).unwrap();
        assert_eq!(in_beats_of(size), one, "beats of {size}");
    }
}

/// Operations on different keys may come in any order, within a beat and over beats; those on one key keep theirs.
#[test]
fn independent_operations_in_another_order_leave_the_same() {
    let mut rng = Rng::new(seed());
    for _ in 0..rounds(500, 250) {
        let below = |rng: &mut Rng, most: usize| usize::try_from(rng.below(most as u64)).unwrap();
        let rows: Vec<(u8, usize)> =
            (0..40).map(|_| (u8::try_from(rng.below(12)).unwrap(), below(&mut rng, 600))).collect();
        // Each key's operations in their order, the keys dealt anew.
        let mut queues: Vec<VecDeque<(usize, u8, usize)>> = vec![VecDeque::new(); 12];
        for (n, (key, len)) in rows.iter().enumerate() {
            queues[usize::from(*key)].push_back((n, *key, *len));
        }
        let straight: Vec<_> = rows.iter().enumerate().map(|(n, (key, len))| (n, *key, *len)).collect();
        let mut other = Vec::new();
        while other.len() < rows.len() {
            let at = below(&mut rng, queues.len());
            other.extend(queues[at].pop_front());
        }
        assert_ne!(straight, other);
        let end_of = |rows: &[(usize, u8, usize)], rng: &mut Rng| {
            let engine = open_at(SimDisk::new(1), HOME).unwrap();
            let (mut last, mut rest) = (BeatHeader::default(), rows);
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(1 + below(rng, 9)));
                last = last.next(1, Durability::Durable, None).unwrap();
                let mut beat = engine.begin_beat(last).unwrap();
                for (n, key, len) in now {
                    match len % 7 {
                        0 => beat.delete_record(&[*key]).unwrap(),
                        _ => beat.put_record(&[*key], &vec![u8::try_from(*n).unwrap(); *len]).unwrap(),
                    }
                }
                beat.commit_beat().unwrap();
                rest = later;
            }
            read_all(&*engine.view().unwrap()).unwrap()
        };
        assert_eq!(end_of(&straight, &mut rng), end_of(&other, &mut rng), "{rows:?}");
    }
}

#[test]
fn a_full_disk_goes_on_reading_and_with_room_it_goes_on() {
    full_disk(&options());
}

#[test]
fn a_full_disk_goes_on_reading_while_threads_flush_and_merge() {
    let mut options = options();
    options.knobs.remove("maintenance");
    full_disk(&options);
}

fn full_disk(options: &OpenOptions) {
    for room in (0..40_000).step_by(1_111) {
        let disk = SimDisk::new(1);
        let engine = open_with(disk.clone(), HOME, options).unwrap();
        let used = disk.files().iter().map(|(_, len)| len).sum::<u64>();
        disk.limit_space(Some(used + room));
        let (mut last, mut rows, mut full) = (BeatHeader::default(), Rows::default(), false);
        for n in 0..40_u8 {
            let next = last.next(1, Durability::Durable, None).unwrap();
            let value = vec![n; 150 * usize::from(1 + n % 12)];
            let put = || {
                let mut beat = engine.begin_beat(next)?;
                beat.put_record(&[n], &value)?;
                beat.commit_beat()
            };
            match put() {
                Ok(_) => {
                    rows.0.insert(vec![n], value);
                    last = next;
                }
                Err(error) => {
                    // It is said by the beat that does not fit, or by the one behind work that did not.
                    let said = matches!(error.kind(), ErrorKind::Full | ErrorKind::Poisoned);
                    assert!(said, "room {room}: {error}");
                    full = true;
                }
            }
        }
        assert!(full, "room {room}");
        assert_eq!(read_all(&*engine.view().unwrap()).unwrap(), rows, "full, room {room}");
        drop(engine);
        let disk = still_full(&disk.killed(), options, &rows, room);
        disk.limit_space(None);
        let engine = open_with(disk, HOME, options).unwrap();
        let view = engine.view().unwrap();
        let (found, header) = (read_all(&*view).unwrap(), *view.header());
        drop(view);
        // The beat that failed may be there or not.
        assert!(header.beat == last.beat || header.beat.0 == last.beat.0 + 1, "room {room}");
        assert!(rows.0.iter().all(|(key, value)| found.0.get(key) == Some(value)), "room {room}");
        let mut beat = engine.begin_beat(header.next(1, Durability::Durable, None).unwrap()).unwrap();
        beat.put_record(b"more", b"room").unwrap();
        beat.commit_beat().unwrap();
        close(engine).unwrap();
    }
}

/// The disk is as full as before, with what the beat that failed has left: the store opens all the same, time and again.
fn still_full(disk: &SimDisk, options: &OpenOptions, rows: &Rows, room: u64) -> SimDisk {
    for _ in 0..2 {
        let opened = open_with(disk.clone(), HOME, options);
        let engine = opened.unwrap_or_else(|error| panic!("room {room}: {error}"));
        let found = read_all(&*engine.view().unwrap()).unwrap();
        assert!(rows.0.iter().all(|(key, value)| found.0.get(key) == Some(value)), "room {room}");
        if let Err(error) = engine.compact(CompactScope { keep_beats: 0 }, &Quiet) {
            let said = matches!(error.kind(), ErrorKind::Full | ErrorKind::Poisoned);
            assert!(said, "room {room}: {error}");
        }
        assert_eq!(read_all(&*engine.view().unwrap()).unwrap(), found, "room {room}");
    }
    disk.killed()
}
