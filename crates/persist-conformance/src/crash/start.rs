//! What a recorded session leaves for others to begin with: after a power cut, and where its process would have been killed.

use persist_api::Durability;

use super::cuts::{Bounds, Runner};
use super::disk::{Disk, NameRules};
use super::event::{Act, Event, Tree};
use super::image::{Fate, Kind};
use super::power::{After, SESSIONS};
use super::report::CrashError;
use super::rng::Rng;
use super::words::Word;

/// What lies on the disk when a session begins.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// What its process sees.
    pub(crate) tree: Tree,
    /// The same, with what of it is not durable.
    pub(crate) disk: Disk,
    pub(crate) bounds: Bounds,
}

impl Start {
    /// An empty disk.
    pub(crate) fn nothing(rules: NameRules) -> Self {
        Self { tree: Tree::default(), disk: Disk::new(Tree::default(), rules), bounds: Bounds::default() }
    }

    /// A disk that was left by a power cut, and shows this beat: all of it is durable.
    fn whole(tree: Tree, beat: u64, rules: NameRules) -> Self {
        let bounds = Bounds { created: true, floor: beat, found: 0, ceiling: beat };
        Self { disk: Disk::new(tree.clone(), rules), tree, bounds }
    }

    /// What there is when the process that began with this is killed after so many events: everything that it wrote, of
    /// which a power cut may still take what it had not synced.
    fn killed(&self, events: &[Event], moment: usize) -> Self {
        let (mut disk, mut bounds) = (self.disk.clone(), self.bounds);
        for event in events.iter().take(moment) {
            disk.step(event);
            bounds.note(&event.act);
        }
        let tree = disk.seen(&Fate { kind: Kind::Everything, seed: 0, chosen: 0 });
        Self { tree, disk: disk.of_the_dead(), bounds }
    }

    /// What a power cut leaves of it for certain.
    fn bare(&self) -> Tree {
        self.disk.image(&Fate { kind: Kind::Nothing, seed: 0, chosen: 0 })
    }
}

/// What others can begin with.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) power_cut: Option<Start>,
    /// Killed with a durable beat written and not synced: it looks durable to who opens the store next, and is not.
    pub(crate) in_commit: Vec<Start>,
    /// Killed right before any sync at all.
    pub(crate) anywhere: Option<Start>,
}

impl Left {
    /// What a session leaves that was cut already.
    pub(crate) fn of(runner: &mut Runner<'_>) -> Result<Self, CrashError> {
        let (begin, events) = (&runner.session.start, runner.recording.events.as_slice());
        let rules = runner.options.rules;
        let mut rng = Rng::new(&[runner.options.seed, 0x6b69_6c6c]);
        let mut left = Self {
            power_cut: runner.fine.take().map(|(tree, beat)| Start::whole(tree, beat, rules)),
            ..Self::default()
        };
        let mut moments = in_commits(events);
        let wanted = SESSIONS.iter().filter(|(_, after)| *after == After::KillInCommit).count();
        while left.in_commit.len() < wanted && !moments.is_empty() {
            let (moment, beat) = moments.swap_remove(rng.index(moments.len()));
            let start = begin.killed(events, moment);
            if runner.shows(&start.tree)? >= Some(beat) && runner.shows(&start.bare())? < Some(beat) {
                left.in_commit.push(start);
            }
        }
        let syncs: Vec<usize> =
            events.iter().enumerate().filter(|(_, event)| event.act.is_sync()).map(|(at, _)| at).collect();
        left.anywhere = syncs.get(rng.index(syncs.len())).map(|moment| begin.killed(events, *moment));
        Ok(left)
    }
}

/// Right before each sync, by whomever, while a beat is committed that becomes durable; and that beat.
fn in_commits(events: &[Event]) -> Vec<(usize, u64)> {
    let mut syncs = Vec::new();
    let mut moments = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match &event.act {
            act if act.is_sync() => syncs.push(at),
            Act::Say(Word::Ack(beat, Durability::Durable)) => {
                moments.extend(syncs.drain(..).map(|at| (at, *beat)));
            }
            Act::Say(_) => syncs.clear(),
            _ => {}
        }
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::super::event::{FileChange, NameChange, ROOT};
    use super::*;

    const FILE: usize = 1;

    /// A file whose name is durable, and four beats of a byte each: two that are synced, one that is not asked to be, and
    /// one whose sync is another's.
    fn events() -> Vec<Event> {
        let byte = |at: u64| Act::Change(FILE, FileChange::Write { offset: at, bytes: [b'x'].into() });
        let acts = [
            Act::NewFile(FILE),
            Act::Names(vec![NameChange { dir: ROOT, name: b"f".to_vec(), to: Some(FILE) }]),
            Act::Sync(ROOT),
            Act::Say(Word::Open(0, Durability::Volatile)),
            Act::Say(Word::Try(1)),
            byte(0),
            Act::Sync(ROOT),
            Act::Sync(FILE),
            Act::Say(Word::Ack(1, Durability::Durable)),
            Act::Say(Word::Try(2)),
            byte(1),
            Act::Say(Word::Ack(2, Durability::Buffered)),
            Act::Sync(ROOT),
            Act::Say(Word::Try(3)),
            byte(2),
            Act::Say(Word::Ack(3, Durability::Durable)),
            Act::Say(Word::Try(4)),
            byte(3),
            Act::Sync(FILE),
            Act::Say(Word::Ack(4, Durability::Durable)),
        ];
        acts.into_iter().zip(1..).map(|(act, line)| Event { begin: line, end: line, act }).collect()
    }

    #[test]
    fn a_start_shows_what_was_written_and_knows_what_is_durable() {
        let events = events();
        assert_eq!(in_commits(&events), [(6, 1), (7, 1), (18, 4)]);
        let begin = Start::nothing(NameRules::Strict);
        let content = |tree: &Tree| tree.files[&FILE].read(0, 9);
        let look = |moment| {
            let start = begin.killed(&events, moment);
            let bounds = (start.bounds.created, start.bounds.floor, start.bounds.ceiling);
            (content(&start.tree), content(&start.bare()), bounds)
        };
        assert_eq!(look(7), (b"x".to_vec(), b"".to_vec(), (true, 0, 1)));
        assert_eq!(look(18), (b"xxxx".to_vec(), b"x".to_vec(), (true, 3, 4)));
        // The next process makes durable what the dead one wrote, however early its calls come in its own trace.
        let sync = Event { begin: 1, end: 1, act: Act::Sync(FILE) };
        let second = begin.killed(&events, 18).killed(&[sync], 1);
        assert_eq!((content(&second.bare()), second.bounds.floor), (b"xxxx".to_vec(), 3));
    }
}
