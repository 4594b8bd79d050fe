//! What a killed process leaves: everything that it wrote, of which a power cut may still take what was not synced.

use persist_api::Durability;

use super::cuts::Bounds;
use super::disk::{Disk, NameRules};
use super::event::{Act, Event, Tree};
use super::image::{Fate, Kind};
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
    pub(crate) fn whole(tree: Tree, beat: u64, rules: NameRules) -> Self {
        let bounds = Bounds { created: true, floor: beat, found: 0, ceiling: beat };
        Self { disk: Disk::new(tree.clone(), rules), tree, bounds }
    }
}

/// Of a recorded session, what there would be had its process been killed right before a sync that made a beat durable, for
/// so many such syncs at most. Such a beat looks durable to who opens the store next, and is not.
pub(crate) fn starts(events: &[Event], mut disk: Disk, seed: u64, count: usize) -> Vec<Start> {
    let mut moments = unsynced_beats(events);
    let mut rng = Rng::new(&[seed, 0x6b69_6c6c]);
    while moments.len() > count {
        moments.remove(rng.index(moments.len()));
    }
    let (mut bounds, mut done) = (Bounds::default(), 0);
    let mut start_at = |moment: usize| {
        for event in events.get(done..moment).unwrap_or_default() {
            disk.step(event);
            bounds.note(&event.act);
        }
        done = moment;
        let tree = disk.seen(&Fate { kind: Kind::Everything, seed, chosen: 0 });
        Start { tree, disk: disk.of_the_dead(), bounds }
    };
    moments.into_iter().map(&mut start_at).collect()
}

/// Where the last sync lies before each acknowledgement of a durable beat.
fn unsynced_beats(events: &[Event]) -> Vec<usize> {
    let mut last = None;
    let mut moments = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match &event.act {
            act if act.is_sync() => last = Some(at),
            Act::Say(Word::Ack(_, Durability::Durable)) => moments.extend(last.take()),
            Act::Say(_) => last = None,
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
        assert_eq!(unsynced_beats(&events), [7, 18]);
        let starts = starts(&events, Disk::new(Tree::default(), NameRules::Strict), 1, 2);
        let content = |tree: &Tree| tree.files[&FILE].read(0, 9);
        let lost = |start: &Start| start.disk.image(&Fate { kind: Kind::Nothing, seed: 0, chosen: 0 });
        let seen: Vec<_> = starts.iter().map(|start| (content(&start.tree), content(&lost(start)))).collect();
        assert_eq!(seen, [(b"x".to_vec(), b"".to_vec()), (b"xxxx".to_vec(), b"x".to_vec())]);
        let bounds: Vec<_> = starts.iter().map(|start| (start.bounds.floor, start.bounds.ceiling)).collect();
        assert_eq!(bounds, [(0, 1), (3, 4)]);
        // The next process makes durable what the dead one wrote, however early its calls come in its own trace.
        let mut disk = starts[1].disk.clone();
        disk.step(&Event { begin: 1, end: 1, act: Act::Sync(FILE) });
        assert_eq!(content(&disk.image(&Fate { kind: Kind::Nothing, seed: 0, chosen: 0 })), b"xxxx");
    }

    #[test]
    fn no_more_starts_than_wanted() {
        let count = |count| starts(&events(), Disk::new(Tree::default(), NameRules::Strict), 1, count).len();
        assert_eq!([0, 1, 2, 9].map(count), [0, 1, 2, 2]);
    }
}
