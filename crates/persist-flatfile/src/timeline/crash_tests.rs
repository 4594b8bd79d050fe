//! Power cuts: every point of a workload, with what was not synced lost, kept, cut off anywhere, or kept out of order.

use std::collections::BTreeSet;
use std::path::Path;

use super::test_disk::{DIR, Done, Image, TestDisk, apply};
use super::test_rig::{Expected, Rig, SMALL, read};

/// What was promised when the log had a length.
struct Promise {
    at: usize,
    durable: usize,
    written: usize,
}

struct Workload {
    log: Vec<Done>,
    promises: Vec<Promise>,
    written: Vec<Expected>,
}

impl Workload {
    fn run(steps: impl FnOnce(&mut Rig, &mut dyn FnMut(&Rig))) -> Self {
        let mut rig = Rig::new();
        let mut promises = Vec::new();
        steps(&mut rig, &mut |rig| {
            promises.push(Promise {
                at: rig.disk.done_len(),
                durable: usize::try_from(rig.timeline.durable()).unwrap(),
                written: rig.written.len(),
            });
        });
        Self { log: rig.disk.take_done(), promises, written: rig.written }
    }

    /// At least this many frames must be there after a cut at `at`, and at most that many.
    fn bounds(&self, at: usize) -> (usize, usize) {
        let least =
            self.promises.iter().rfind(|promise| promise.at <= at).map_or(0, |promise| promise.durable);
        let most =
            self.promises.iter().find(|promise| promise.at >= at).map_or(self.written.len(), |p| p.written);
        (least, most)
    }

    /// Writes before `at` that were not synced.
    fn unsynced(&self, at: usize) -> Vec<usize> {
        let before = &self.log[..at];
        let synced =
            |n: usize, path: &Path| before[n..].iter().any(|done| matches!(done, Done::Sync(p) if p == path));
        let unsynced = |&n: &usize| matches!(&before[n], Done::Write(path, ..) if !synced(n, path));
        (0..at).filter(unsynced).collect()
    }

    /// What is on the disk after a cut at `at` when of the unsynced writes only `kept` got there, the last of them cut off
    /// behind `torn` bytes. Names that were not synced are there or not.
    fn image(&self, at: usize, kept: &BTreeSet<usize>, torn: Option<usize>, names: bool) -> Image {
        let unsynced: BTreeSet<usize> = self.unsynced(at).into_iter().collect();
        let named = |n: usize| names || self.log[n..at].iter().any(|done| matches!(done, Done::SyncDir(_)));
        let mut image = Image::new();
        let mut nameless = BTreeSet::new();
        for (n, done) in self.log[..at].iter().enumerate() {
            match done {
                Done::Create(path) if !named(n) => {
                    nameless.insert(path.clone());
                }
                Done::Remove(_) | Done::Rename(..) if !named(n) => {}
                Done::Write(path, ..)
                    if nameless.contains(path) || unsynced.contains(&n) && !kept.contains(&n) => {}
                Done::Write(path, offset, bytes) if torn.is_some() && kept.last() == Some(&n) => {
                    let bytes = bytes[..torn.unwrap().min(bytes.len())].to_vec();
                    apply(&mut image, &Done::Write(path.clone(), *offset, bytes));
                }
                done => apply(&mut image, done),
            }
        }
        image
    }

    fn check(&self, at: usize, image: &Image, what: &dyn Fn() -> String) {
        let (least, most) = self.bounds(at);
        let found = read(&TestDisk::of(image)).unwrap();
        assert!(found.damage.is_empty(), "{}: nothing was damaged, but {:?}", what(), found.damage);
        let n = found.frames.len();
        assert!(found.frames == self.written[..n], "{}: not a prefix: {:?}", what(), found.frames);
        assert!(least <= n && n <= most, "{}: {n} frames, promised {least}..={most}", what());
        // Opened, continued and cut again at any point of that: the same frames, and what was added.
        let (mut rig, _) = Rig::reopen(TestDisk::of(image));
        rig.commit(2);
        let log = rig.disk.take_done();
        assert_eq!(read(&rig.disk).unwrap().frames, rig.written, "{}", what());
        let mut image = image.clone();
        for done in &log {
            apply(&mut image, done);
            let again = read(&TestDisk::of(&image)).unwrap();
            assert!(again.damage.is_empty(), "{}: after {done:?}: {:?}", what(), again.damage);
            let m = again.frames.len();
            assert!(m >= n && again.frames == rig.written[..m], "{}: after {done:?}: {m} of {n}", what());
        }
    }

    fn every_cut(&self) {
        let cut = |at: usize, kept: &[usize], torn: Option<usize>, names: bool| {
            let kept = kept.iter().copied().collect();
            let image = self.image(at, &kept, torn, names);
            self.check(at, &image, &|| {
                format!("cut at {at}, of the unsynced {kept:?} kept, torn {torn:?}, names {names}")
            });
        };
        for at in 0..=self.log.len() {
            let unsynced = self.unsynced(at);
            for names in [false, true] {
                for upto in 0..=unsynced.len() {
                    cut(at, &unsynced[..upto], None, names);
                }
            }
            for (n, &write) in unsynced.iter().enumerate() {
                cut(at, &[write], None, true);
                let but: Vec<usize> = unsynced.iter().copied().filter(|&other| other != write).collect();
                cut(at, &but, None, true);
                let Done::Write(_, _, bytes) = &self.log[write] else { continue };
                // Zeros that are cut off are zeros.
                if bytes.iter().any(|&byte| byte != 0) && n + 1 == unsynced.len() {
                    for torn in (0..bytes.len()).step_by(3) {
                        cut(at, &unsynced, Some(torn), true);
                    }
                }
            }
        }
    }
}

#[test]
fn durable_beats_survive_every_cut() {
    Workload::run(|rig, promised| {
        for n in 0..4 {
            rig.commit(n);
            promised(rig);
        }
    })
    .every_cut();
}

#[test]
fn buffered_beats_over_rolls_form_a_prefix_after_every_cut() {
    Workload::run(|rig, promised| {
        rig.timeline.open_segment().unwrap();
        rig.timeline.ahead().work(true).unwrap();
        for n in 0..9 {
            rig.append(n % 3).unwrap();
            promised(rig);
            if n == 4 {
                rig.timeline.ahead().prepare(true, SMALL.step).unwrap();
            }
            if n == 2 || n == 5 {
                rig.timeline.roll().unwrap();
            }
            if n == 6 {
                rig.timeline.sync().unwrap();
                promised(rig);
            }
        }
    })
    .every_cut();
}

#[test]
fn a_head_written_in_between_promises_what_was_durable() {
    Workload::run(|rig, promised| {
        rig.write_head(false);
        promised(rig);
        for n in 0..5 {
            rig.append(1).unwrap();
            promised(rig);
            if n == 1 {
                rig.timeline.sync().unwrap();
                promised(rig);
                rig.timeline.roll().unwrap();
                rig.write_head(false);
            }
        }
        rig.timeline.sync().unwrap();
        rig.write_head(true);
        promised(rig);
    })
    .every_cut();
}

#[test]
fn a_cut_while_a_torn_tail_is_cleared_up_changes_nothing() {
    let mut rig = Rig::new();
    rig.commit(1);
    for n in 0..6 {
        rig.append(2).unwrap();
        if n % 2 == 0 {
            rig.timeline.roll().unwrap();
        }
    }
    let mut image = rig.disk.image();
    let first = image.first_entry().unwrap();
    let bytes = first.into_mut();
    let middle = bytes.len() - 200;
    bytes[middle] ^= 1;
    let (mut again, found) = Rig::reopen(TestDisk::of(&image));
    assert_eq!((found.frames.len(), found.torn[0].frames), (1, 5));
    again.commit(1);
    let log = again.disk.take_done();
    let aside =
        |image: &Image| image.keys().filter(|path| path.starts_with(Path::new(DIR).join("damaged"))).count();
    let copy = log.iter().position(
        |done| matches!(done, Done::Write(path, ..) if path.starts_with(Path::new(DIR).join("damaged"))),
    );
    let next = log.iter().rposition(|done| matches!(done, Done::Write(..))).unwrap();
    let durable =
        log[copy.unwrap()..next].windows(2).any(|pair| matches!(pair, [Done::Sync(_), Done::SyncDir(_)]));
    assert!(durable, "what is moved aside is durable before the timeline goes on: {log:?}");
    for done in &log {
        apply(&mut image, done);
        let read = read(&TestDisk::of(&image)).unwrap();
        assert_eq!(read.frames, again.written[..read.frames.len()], "after {done:?}");
        let (recovered, _) = Rig::reopen(TestDisk::of(&image));
        assert_eq!(aside(&recovered.disk.image()), 4, "after {done:?}");
    }
    assert_eq!(read(&again.disk).unwrap().frames.len(), 2);
}
