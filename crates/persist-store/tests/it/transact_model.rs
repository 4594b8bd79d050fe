//! Transactions against a model.

use std::ops::{Bound, ControlFlow};

use persist_api::{Direction, KeyRange, Result, Scan};
use persist_store::Transaction;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::kit::{Content, content, memory, put};
use crate::transact::LEVEL;

/// One step of a transaction, over few short keys.
#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    DeleteRange(KeyRange<'static>),
    Get(Vec<u8>),
    Scan(Scan<'static>, usize),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(0_u8..3, 0..3)
}

fn range() -> impl Strategy<Value = KeyRange<'static>> {
    let bound = || {
        (key(), 0..3).prop_map(|(key, kind)| match kind {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        })
    };
    (bound(), bound()).prop_map(|(start, end)| KeyRange::owned(start, end))
}

fn step() -> impl Strategy<Value = Step> {
    let scan = (range(), any::<bool>(), 0_u64..8, any::<bool>(), 1_usize..9).prop_map(
        |(range, reverse, limit, keys_only, stop)| {
            let direction = if reverse { Direction::Reverse } else { Direction::Forward };
            let limit = if limit == 7 { u64::MAX } else { limit };
            Step::Scan(Scan { range, direction, limit, keys_only, ..Scan::all() }, stop)
        },
    );
    prop_oneof![
        (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        key().prop_map(Step::Delete),
        range().prop_map(Step::DeleteRange),
        key().prop_map(Step::Get),
        scan,
    ]
}

/// What a scan shows of a model, and the part of the range that it has looked at.
fn scan_model(model: &Content, scan: &Scan<'_>, stop: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = model.iter().filter(|(key, _)| scan.range.contains(key));
    let mut rows: Vec<_> = inside.map(|(key, value)| (key.clone(), value.clone())).collect();
    if scan.direction == Direction::Reverse {
        rows.reverse();
    }
    rows.truncate(stop.min(usize::try_from(scan.limit).unwrap_or(usize::MAX)));
    if scan.keys_only {
        for (_, value) in &mut rows {
            value.clear();
        }
    }
    rows
}

/// Applies a step to a model; what it reads.
fn apply(model: &mut Content, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    match step {
        Step::Put(key, value) => drop(model.insert(key.clone(), vec![*value])),
        Step::Delete(key) => drop(model.remove(key)),
        Step::DeleteRange(range) => model.retain(|key, _| !range.contains(key)),
        Step::Get(key) => {
            return model.get_key_value(key).map(|(k, v)| (k.clone(), v.clone())).into_iter().collect();
        }
        Step::Scan(scan, stop) => return scan_model(model, scan, *stop),
    }
    Vec::new()
}

fn run(tx: &mut Transaction, step: &Step) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut read = Vec::new();
    match step {
        Step::Put(key, value) => tx.put(key, &[*value])?,
        Step::Delete(key) => tx.delete(key)?,
        Step::DeleteRange(range) => tx.delete_range(range)?,
        Step::Get(key) => read.extend(tx.get(key)?.map(|value| (key.clone(), value.into_vec()))),
        Step::Scan(scan, stop) => tx.scan(scan, |key, value| {
            read.push((key.to_vec(), value.to_vec()));
            if read.len() == *stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?,
    }
    Ok(read)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A transaction shows what a copy of the store would show, and commits the same.
    #[test]
    fn it_sees_what_a_model_sees(
        base in proptest::collection::btree_map(key(), vec(any::<u8>(), 0..3), 0..10),
        steps in vec(step(), 0..20),
    ) {
        let (mut writer, store) = memory();
        let records: Vec<(&[u8], &[u8])> = base.iter().map(|(key, value)| (&**key, &**value)).collect();
        put(&mut writer, &records);
        let mut model = base.clone();
        store.transact(LEVEL, |tx| {
            for step in &steps {
                assert_eq!(run(tx, step)?, apply(&mut model, step), "{step:?}");
            }
            Ok(())
        })?.into_value()?;
        prop_assert_eq!(content(&store.view()?), model);
    }

    /// Whatever others do to it: it runs again unless running it now would show it the same.
    #[test]
    fn what_it_has_read_still_holds_when_it_commits(
        base in proptest::collection::btree_map(key(), vec(any::<u8>(), 0..2), 0..8),
        steps in vec(step(), 1..8),
        others in vec(vec(step(), 1..4), 1..4),
    ) {
        let (mut writer, store) = memory();
        let records: Vec<(&[u8], &[u8])> = base.iter().map(|(key, value)| (&**key, &**value)).collect();
        put(&mut writer, &records);
        let mut model = base.clone();
        let mut reads = Vec::new();
        let mut runs = 0;
        store.transact(LEVEL, |tx| {
            reads = steps.iter().map(|step| run(tx, step)).collect::<Result<Vec<_>>>()?;
            runs += 1;
            for other in others.iter().filter(|_| runs == 1) {
                store.transact(LEVEL, |tx| other.iter().try_for_each(|step| run(tx, step).map(drop)))?.into_value()?;
                for step in other {
                    apply(&mut model, step);
                }
            }
            tx.put(b"end", b"")
        })?.into_value()?;
        let now: Vec<_> = steps.iter().map(|step| apply(&mut model, step)).collect();
        model.insert(b"end".to_vec(), Vec::new());
        prop_assert_eq!(reads, now);
        prop_assert_eq!(content(&store.view()?), model);
    }
}
