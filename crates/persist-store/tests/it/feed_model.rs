//! The feed against a model: whatever is done, each follower gets every commit once, or is told that it cannot.

use std::path::Path;

use persist_api::{CommitNo, Durability, ErrorKind};
use persist_store::{BeatLog, Feed, FeedCommit, Hold, HoldOptions, Store, Writer, default_request};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::feed::{drain, own_keys};
use crate::group::log;
use crate::kit::{memory, open, place};
use crate::toy::Toy;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    /// Commits of one beat, each with a value of so many bytes.
    Group(Vec<usize>),
    Queue(Vec<usize>),
    Hold(usize, HoldOptions),
    Release(usize),
    /// So many commits further.
    Advance(usize, u64),
    Flush(usize),
    Pull(usize, usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..NAMES.len();
    let sizes = || vec(0_usize..400, 1..6);
    let options = (any::<bool>(), 1_u64..30, 200_u64..6000).prop_map(|(bounded, commits_max, bytes_max)| {
        if bounded { HoldOptions { bytes_max, commits_max } } else { HoldOptions::default() }
    });
    prop_oneof![
        3 => sizes().prop_map(Step::Group),
        3 => sizes().prop_map(Step::Queue),
        2 => (who.clone(), options).prop_map(|(who, options)| Step::Hold(who, options)),
        1 => who.clone().prop_map(Step::Release),
        3 => (who.clone(), 0_u64..12).prop_map(|(who, by)| Step::Advance(who, by)),
        1 => who.clone().prop_map(Step::Flush),
        3 => (who, 1_usize..9).prop_map(|(who, count)| Step::Pull(who, count)),
        1 => Just(Step::Reopen),
    ]
}

/// A store on disk, every log that was committed, and who follows.
struct World<'p> {
    toy: Toy,
    home: &'p Path,
    handles: Option<(Writer, Store)>,
    logs: Vec<BeatLog>,
    feeds: [Option<Feed>; 3],
}

impl World<'_> {
    fn store(&self) -> &Store {
        &self.handles.as_ref().unwrap().1
    }

    fn hold(&self, who: usize) -> Option<Hold> {
        self.store().find_hold(NAMES[who]).unwrap()
    }

    /// Empty commits that holds have made come between the others.
    fn note(&mut self, commit: CommitNo, log: BeatLog) {
        self.logs.resize(commit.0 as usize - 1, BeatLog::new());
        self.logs.push(log);
    }

    fn run(&mut self, step: &Step) {
        let made = |sizes: &[usize]| -> Vec<_> {
            let key = self.logs.len() as u8;
            sizes.iter().map(|size| log(&[(&[key], &vec![key; *size])])).collect()
        };
        match step {
            Step::Group(sizes) => {
                let logs = made(sizes);
                let receipts =
                    self.handles.as_mut().unwrap().0.commit_group(&logs, Durability::Durable).unwrap();
                for (log, receipt) in logs.into_iter().zip(receipts) {
                    self.note(receipt.unwrap().commit, log);
                }
            }
            Step::Queue(sizes) => {
                let logs = made(sizes);
                let store = self.store();
                let queue = |log: &BeatLog| store.commit(log.clone(), Durability::Durable).unwrap();
                let pending: Vec<_> = logs.iter().map(queue).collect();
                let commits: Vec<_> =
                    pending.into_iter().map(|pending| pending.wait().unwrap().commit).collect();
                for (log, commit) in logs.into_iter().zip(commits) {
                    self.note(commit, log);
                }
            }
            Step::Hold(who, options) => match self.store().hold(NAMES[*who], *options) {
                Ok(hold) => self.feeds[*who] = Some(hold.feed().unwrap()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
                    self.hold(*who).unwrap().release().unwrap();
                }
            },
            Step::Release(who) => self.hold(*who).map_or((), |hold| hold.release().unwrap()),
            Step::Advance(who, by) => {
                let Some(hold) = self.hold(*who) else { return };
                let stat = hold.stat().unwrap();
                let to = CommitNo(stat.position.0 + by);
                let expected = if stat.stale { ErrorKind::Stale } else { ErrorKind::Invalid };
                match hold.advance(to) {
                    Ok(()) => assert!(!stat.stale && *by <= stat.commits),
                    Err(error) => {
                        assert_eq!(error.kind(), expected, "{error}");
                        assert!(stat.stale || *by > stat.commits);
                    }
                }
            }
            Step::Flush(who) => self.hold(*who).map_or((), |hold| hold.flush().unwrap()),
            Step::Pull(who, count) => {
                for _ in 0..*count {
                    self.pull(*who);
                }
            }
            Step::Reopen => {
                self.feeds = [const { None }; 3];
                self.handles = None;
                self.handles = Some(open(&self.toy, self.home, &default_request()).unwrap());
            }
        }
        self.check();
    }

    fn pull(&mut self, who: usize) {
        let position = self.hold(who).map(|hold| hold.stat().unwrap());
        let Some(feed) = &mut self.feeds[who] else { return };
        let next = feed.position().0 + 1;
        match feed.pull() {
            Ok(Some(FeedCommit { commit, log, header })) => {
                assert_eq!(commit.0, next, "no gap and no repeat");
                let expected = self.logs.get(next as usize - 1).cloned().unwrap_or_default();
                assert_eq!(log, expected);
                assert!(header.first_commit <= commit && commit <= header.last_commit());
            }
            Ok(None) => assert_eq!(self.handles.as_ref().unwrap().1.stats().unwrap().commit.0, next - 1),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
                // What its own hold keeps is there.
                assert!(position.is_none_or(|stat| stat.stale || stat.position.0 >= next));
                self.feeds[who] = None;
            }
        }
    }

    /// What is true at any time.
    fn check(&self) {
        let last = self.store().stats().unwrap().commit;
        for stat in self.store().holds().unwrap() {
            assert_eq!(stat.commits, last.0 - stat.position.0);
            if stat.stale {
                continue;
            }
            assert!(
                stat.commits <= stat.options.commits_max && stat.bytes <= stat.options.bytes_max,
                "{stat:?}"
            );
            let kept = drain(&mut self.store().feed(stat.position).unwrap());
            assert_eq!(kept.len() as u64, stat.commits, "all that is held is there");
        }
        let view = self.store().view().unwrap();
        let users = crate::kit::content(&view).len() as u64;
        assert_eq!(self.store().stats().unwrap().engine.records, Some(users), "users' records only");
    }
}

fn run(steps: &[Step], value_bytes_max: u64) {
    let place = place();
    let mut toy = crate::kit::toy();
    toy.limits.value_bytes_max = value_bytes_max;
    let handles = Some(open(&toy, &place.home, &default_request()).unwrap());
    let feeds = [const { None }; 3];
    let mut world = World { toy, home: &place.home, handles, logs: Vec::new(), feeds };
    for step in steps {
        world.run(step);
    }
    let mut damaged = 0;
    let mut found = |finding: persist_api::Finding| {
        damaged += u32::from(finding.severity == persist_api::Severity::Damage);
        assert_ne!(finding.code, persist_api::FindingCode::Unknown, "nothing is left over: {finding:?}");
    };
    world.store().verify(&mut found, &persist_api::Quiet).unwrap();
    assert_eq!(damaged, 0);
    for name in NAMES {
        if let Some(hold) = world.store().find_hold(name).unwrap() {
            hold.release().unwrap();
        }
    }
    // Each beat frees 64 commits and more.
    for _ in 0..=world.logs.len() / 64 {
        world.run(&Step::Group(vec![0]));
    }
    world.feeds = [const { None }; 3];
    world.handles = None;
    assert_eq!(own_keys(&world.toy, world.home), [b"\x00format".to_vec()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_done_each_commit_comes_once(steps in vec(step(), 1..40)) {
        run(&steps, 1 << 20);
    }

    #[test]
    fn whatever_is_done_in_pieces_each_commit_comes_once(steps in vec(step(), 1..40)) {
        run(&steps, 450);
    }

    /// Everything replayed, grouped by the headers, gives the same content under the same roots.
    #[test]
    fn replayed_it_is_the_same_store(steps in vec(step(), 1..20)) {
        let place = place();
        let toy = crate::kit::toy();
        let (writer, store) = open(&toy, &place.home, &default_request()).unwrap();
        let mirrored = store.hold("mirror", HoldOptions::default()).unwrap();
        let feeds = [const { None }; 3];
        let handles = Some((writer, store));
        drop(mirrored);
        let mut world = World { toy, home: &place.home, handles, logs: Vec::new(), feeds };
        for step in &steps {
            world.run(step);
        }
        let (mut copy, into) = memory();
        // The hold's own commit, which is not in the feed.
        copy.commit(&BeatLog::new(), Durability::Durable).unwrap();
        let mut beat = Vec::new();
        for commit in drain(&mut world.store().find_hold("mirror").unwrap().unwrap().feed().unwrap()) {
            let ends = commit.ends_beat();
            beat.push(commit.log);
            if ends {
                let made = copy.commit_group(&beat, Durability::Durable).unwrap().remove(0).unwrap();
                prop_assert_eq!((made.beat, made.root), (commit.header.beat, commit.header.root));
                beat.clear();
            }
        }
        prop_assert!(beat.is_empty(), "beats are whole");
        let digest = |store: &Store| store.digest(&store.view().unwrap()).unwrap();
        prop_assert_eq!(digest(world.store()), digest(&into));
    }
}
