use super::*;

fn covering(start: Bound<&[u8]>, end: Bound<&[u8]>, order: u64) -> Covering {
    Covering {
        start: Cut::start(start),
        end: Cut::end(end),
        mark: Mark { order, beat: BeatNo(order), lost: None },
    }
}

/// The same cover without a tree and with one.
fn both(ranges: &[Covering], step: impl Fn(u64) -> u64) -> (Arc<Cover>, Arc<Cover>) {
    let (lists, tree) = (Cover::listing(usize::MAX, ranges, &step), Cover::listing(0, ranges, &step));
    assert!(!lists.is_tree && tree.is_tree != tree.is_empty());
    (Arc::new(lists), Arc::new(tree))
}

fn held(cover: &Cover) -> usize {
    cover.lists.iter().map(Vec::capacity).sum()
}

fn orders(over: Over<'_>) -> Vec<u64> {
    over.map(|mark| mark.order).collect()
}

#[test]
fn every_key_finds_the_ranges_that_hold_it() {
    use Bound::{Excluded, Included, Unbounded};
    let bounds = |key: &'static [u8]| [Included(key), Excluded(key)];
    let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"b", b"c", b"cc"];
    let mut starts = vec![Unbounded];
    starts.extend(keys.iter().flat_map(|key| bounds(key)));
    let ranges: Vec<_> =
        starts.iter().flat_map(|start| starts.iter().map(move |end| (*start, *end))).collect();
    let coverings: Vec<Covering> =
        ranges.iter().zip(1..).map(|((start, end), order)| covering(*start, *end, order)).collect();
    let (lists, tree) = both(&coverings, |order| order);
    let mut cursor = CoverCursor::new(Arc::clone(&lists));
    let mut in_tree = CoverCursor::new(Arc::clone(&tree));
    for key in keys.iter().chain(keys.iter().rev()) {
        let mut wanted: Vec<u64> = (1..)
            .zip(&ranges)
            .filter(|(_, (start, end))| persist_api::KeyRange::new(*start, *end).contains(key))
            .map(|(order, _)| order)
            .collect();
        wanted.reverse();
        for found in [lists.over(key), tree.over(key), cursor.over(key), in_tree.over(key)] {
            assert_eq!(orders(found), wanted, "{key:?}");
        }
        for n in 0..=coverings.len() as u64 {
            let is_there = wanted.contains(&n);
            assert_eq!(tree.over(key).any(|mark| mark.order == n), is_there, "{key:?} {n}");
        }
    }
    let newest = |cover: &Cover| -> Vec<(Cut, Cut, u64)> {
        cover.newest().map(|range| (range.start, range.end, range.mark.order)).collect()
    };
    assert_eq!(newest(&tree), newest(&lists));
}

#[test]
fn of_one_step_the_newest_delete_is_enough_and_damage_stays() {
    let all = |order, beat, lost: bool| Covering {
        start: Cut::Begin,
        end: Cut::End,
        mark: Mark {
            order,
            beat: BeatNo(beat),
            lost: lost.then(|| {
                Arc::new(Lost { beat: BeatNo(beat), file: "x".into(), offset: 0, what: "?".into() })
            }),
        },
    };
    let cover =
        Cover::of(&[all(1, 1, false), all(3, 2, false), all(2, 2, false), all(4, 2, true)], |order| {
            order / 2
        });
    assert_eq!(orders(cover.over(b"k")), [4, 3, 1]);
}

#[test]
fn deletes_of_one_step_over_each_other_take_one_mark_a_fragment() {
    let keys: Vec<[u8; 2]> = (1..=2000_u16).map(u16::to_be_bytes).collect();
    let ranges: Vec<Covering> =
        keys.iter().zip(1..).map(|(key, n)| covering(Bound::Unbounded, Bound::Excluded(key), n)).collect();
    let (lists, tree) = both(&ranges, |order| order / 1000);
    for cover in [lists, tree] {
        let held = held(&cover);
        assert!(held <= 3 * keys.len(), "{held} marks for {} ranges in 3 steps", keys.len());
        let over = |n: u16| {
            let mut found = orders(cover.over(&n.to_be_bytes()));
            // Lists of a tree know nothing of each other.
            found.dedup_by_key(|order| *order / 1000);
            found
        };
        assert_eq!(over(0), [2000, 1999, 999]);
        assert_eq!(over(998), [2000, 1999, 999]);
        assert_eq!(over(999), [2000, 1999]);
        assert_eq!((over(1999), over(2000)), (vec![2000], vec![]));
    }
}

#[test]
fn nested_deletes_of_many_beats_take_little_memory() {
    let ranges: Vec<Covering> = (0..2000_u16)
        .map(|n| (n.to_be_bytes(), (u16::MAX - n).to_be_bytes(), u64::from(n)))
        .map(|(from, upto, order)| covering(Bound::Included(&from), Bound::Excluded(&upto), order))
        .collect();
    let cover = Cover::of(&ranges, |order| order);
    let (held, count) = (held(&cover), ranges.len());
    assert!(held <= 2 * count * 12, "{held} marks for {count} ranges in as many beats");
    assert!(cover.lists.len() <= 4 * count);
    for n in [0_u16, 1, 777, 1999] {
        let from_newest: Vec<u64> = (0..=u64::from(n)).rev().collect();
        assert_eq!(orders(cover.over(&n.to_be_bytes())), from_newest);
        assert_eq!(orders(cover.over(&(u16::MAX - n - 1).to_be_bytes())), from_newest);
    }
}

#[test]
fn what_is_lost_of_a_beat_comes_before_what_the_beat_deleted() {
    let delete = covering(Bound::Unbounded, Bound::Unbounded, 5);
    let lost = Lost { beat: BeatNo(5), file: "x".into(), offset: 0, what: "?".into() };
    let mut damage = delete.clone();
    damage.mark.lost = Some(Arc::new(lost));
    for ranges in [[delete.clone(), damage.clone()], [damage, delete]] {
        let cover = Cover::of(&ranges, |order| order);
        assert!(cover.over(b"k").next().is_some_and(|mark| mark.lost.is_some()));
    }
}

proptest::proptest! {
    #[test]
    fn what_a_reader_may_see_is_found_with_a_tree_and_without(
        parts in proptest::collection::vec((0..30_u8, 0..30_u8, 0..6_u64, 0..8_u8), 0..60),
    ) {
        const STEP: u64 = 1000;
        let range = |(n, (from, upto, step, lost)): (u64, (u8, u8, u64, u8))| {
            let mut range = covering(Bound::Included(&[from]), Bound::Excluded(&[upto]), step * STEP + n);
            let what = Lost { beat: BeatNo(n), file: "x".into(), offset: 0, what: "?".into() };
            range.mark.lost = (lost == 0).then(|| Arc::new(what));
            range
        };
        let ranges: Vec<Covering> = (0..).zip(parts).map(range).collect();
        let (lists, tree) = both(&ranges, |order| order / STEP);
        for key in 0..31_u8 {
            let holds = |range: &&Covering| range.start.is_before(&[key]) && !range.end.is_before(&[key]);
            let mut all: Vec<_> = ranges.iter().filter(holds).map(|range| range.mark.age()).collect();
            all.sort_by_key(|age| std::cmp::Reverse(*age));
            let lost: Vec<_> = all.iter().filter(|(_, lost)| *lost).collect();
            for cover in [&lists, &tree] {
                let found: Vec<_> = cover.over(&[key]).map(Mark::age).collect();
                proptest::prop_assert!(found.is_sorted_by(|newer, older| newer > older));
                proptest::prop_assert!(found.iter().all(|age| all.contains(age)));
                proptest::prop_assert_eq!(found.iter().filter(|(_, lost)| *lost).collect::<Vec<_>>(), lost.clone());
                for step in 0..6 {
                    let seen = |age: &&(u64, bool)| age.0 < (step + 1) * STEP;
                    let deleted = |age: &&(u64, bool)| seen(age) && !age.1;
                    proptest::prop_assert_eq!(found.iter().find(seen), all.iter().find(seen));
                    proptest::prop_assert_eq!(found.iter().find(deleted), all.iter().find(deleted));
                }
            }
        }
    }
}
