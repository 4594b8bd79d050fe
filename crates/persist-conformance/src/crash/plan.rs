//! What the workload does in each beat: a pure function of seed and beat number, so that the complete state after any
//! beat can be computed again without asking anybody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::{Bound, ControlFlow};

use persist_api::{Beat, BeatHeader, Caps, Durability, KeyRange, Offer, Result, Scan, View};

use super::rng::Rng;

/// How durable the beats of a run are asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Every beat `Durable`.
    Durable,
    /// Every beat `Buffered`, with a `sync` now and then.
    Buffered,
    /// A few `Buffered` beats, then a `Durable` one, and so on; a `sync` now and then.
    Mixed,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Durable, Self::Mixed, Self::Buffered];

    /// The stable lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Buffered => "buffered",
            Self::Mixed => "mixed",
        }
    }

    /// The profile with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// One operation of a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl Op {
    pub(crate) fn apply(&self, beat: &mut dyn Beat) -> Result<()> {
        match self {
            Self::Put(key, value) => beat.put_record(key, value),
            Self::Delete(key) => beat.delete_record(key),
            Self::DeleteRange(from, to) => {
                beat.delete_range(KeyRange::new(Bound::Included(from), Bound::Excluded(to)))
            }
        }
    }
}

/// Something between two beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Sync,
    Checkpoint,
    Compact,
    /// Opens a view that is held for some beats.
    View,
}

/// One beat of the workload.
#[derive(Debug, Clone)]
pub(crate) struct BeatPlan {
    pub(crate) ops: Vec<Op>,
    pub(crate) commits: u64,
    pub(crate) durability: Durability,
    pub(crate) root: Option<[u8; 32]>,
    /// Operations of a beat that is aborted before this one; `true`: by `abort_beat`, else by dropping it.
    pub(crate) aborted: Option<(Vec<Op>, bool)>,
    /// What happens after it.
    pub(crate) then: Vec<Then>,
}

/// What the plan of a run depends on.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    seed: u64,
    profile: Profile,
    caps: Caps,
    key_max: usize,
    value_max: usize,
}

const KEYS: u64 = 160;
const BEAT_KEY: &[u8] = b"beat";

impl Rules {
    pub(crate) fn new(seed: u64, profile: Profile, offer: &Offer) -> Self {
        let small = |limit: u64, cap: usize| usize::try_from(limit).unwrap_or(cap).min(cap);
        Self {
            seed,
            profile,
            caps: offer.caps,
            key_max: small(offer.limits.key_bytes_max, 200),
            value_max: small(offer.limits.value_bytes_max, 20 << 10),
        }
    }

    pub(crate) fn plan(&self, beat: u64) -> BeatPlan {
        let mut rng = Rng::new(&[self.seed, beat]);
        let (durability, then_sync) = self.durability(&mut rng);
        let aborted = rng.one_in(8).then(|| (self.ops(&mut rng), rng.one_in(2)));
        let mut ops = self.ops(&mut rng);
        ops.push(Op::Put(BEAT_KEY.to_vec(), beat.to_string().into_bytes()));
        let then = [
            (Then::Sync, then_sync),
            (Then::Checkpoint, self.caps.contains(Caps::CHECKPOINT) && rng.one_in(9)),
            (Then::Compact, self.caps.contains(Caps::COMPACTION) && rng.one_in(17)),
            (Then::View, rng.one_in(5)),
        ];
        let mut root = [0_u8; 32];
        root.copy_from_slice(&rng.bytes(32));
        BeatPlan {
            ops,
            commits: 1 + rng.below(3),
            durability,
            root: rng.one_in(2).then_some(root),
            aborted,
            then: then.into_iter().filter_map(|(then, wanted)| wanted.then_some(then)).collect(),
        }
    }

    fn durability(&self, rng: &mut Rng) -> (Durability, bool) {
        let (durable, sync) = (rng.one_in(4), rng.one_in(7));
        let both = self.caps.contains(Caps::DURABLE | Caps::BUFFERED);
        match self.profile {
            Profile::Mixed if both => {
                (if durable { Durability::Durable } else { Durability::Buffered }, sync)
            }
            Profile::Buffered if self.caps.contains(Caps::BUFFERED) => {
                (Durability::Buffered, sync && self.caps.contains(Caps::DURABLE))
            }
            _ if self.caps.contains(Caps::DURABLE) => (Durability::Durable, false),
            _ => (Durability::Buffered, false),
        }
    }

    fn ops(&self, rng: &mut Rng) -> Vec<Op> {
        let count = 1 + rng.below(8);
        (0..count)
            .map(|_| match rng.below(20) {
                0..=2 => Op::Delete(self.key(rng.below(KEYS))),
                3 if self.caps.contains(Caps::DELETE_RANGE) => {
                    let from = rng.below(KEYS);
                    Op::DeleteRange(self.key(from), self.key(from.saturating_add(1 + rng.below(12))))
                }
                _ => Op::Put(self.key(rng.below(KEYS)), self.value(rng)),
            })
            .collect()
    }

    /// Keys come from a small pool, so that beats overwrite each other; some are long.
    fn key(&self, number: u64) -> Vec<u8> {
        let mut key = format!("k/{number:04}").into_bytes();
        if number.is_multiple_of(7) {
            key.resize(self.key_max.max(key.len()), b'x');
        }
        key.truncate(self.key_max);
        key
    }

    fn value(&self, rng: &mut Rng) -> Vec<u8> {
        let most = match rng.below(10) {
            0 => 0,
            1..=5 => 100,
            6..=8 => 2_000,
            _ => self.value_max,
        };
        let len = rng.index(most.saturating_add(1)).min(self.value_max);
        rng.bytes(len)
    }
}

/// The complete state after a beat.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) rules: Rules,
    pub(crate) header: BeatHeader,
    pub(crate) records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, header: BeatHeader::default(), records: BTreeMap::new() }
    }

    /// Moves to the state after beat `beat`, forward from here or from the beginning.
    ///
    /// # Errors
    /// `Invalid` when the numbers are used up.
    pub(crate) fn go_to(&mut self, beat: u64) -> Result<()> {
        if beat < self.header.beat.0 {
            *self = Self::new(self.rules.clone());
        }
        while self.header.beat.0 < beat {
            let plan = self.rules.plan(self.header.beat.0.saturating_add(1));
            self.header = self.header.next(plan.commits, plan.durability, plan.root)?;
            for op in plan.ops {
                self.apply(op);
            }
        }
        Ok(())
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Put(key, value) => {
                self.records.insert(key, value);
            }
            Op::Delete(key) => {
                self.records.remove(&key);
            }
            Op::DeleteRange(from, to) => {
                let range = KeyRange::new(Bound::Included(&from), Bound::Excluded(&to));
                self.records.retain(|key, _| !range.contains(key));
            }
        }
    }

    /// Compares a view with the state, header and every record; the answer names the first difference.
    ///
    /// # Errors
    /// Whatever reading the view gave.
    pub(crate) fn difference(&self, view: &dyn View) -> Result<Option<String>> {
        if *view.header() != self.header {
            let (got, want) = (view.header(), &self.header);
            return Ok(Some(if got.beat == want.beat {
                format!("header {got:?} instead of {want:?}")
            } else {
                format!("it shows beat {}", got.beat)
            }));
        }
        let mut wanted = self.records.iter();
        let mut found = None;
        view.scan(Scan::all(), &mut |key, value| {
            found = match wanted.next() {
                Some((want, _)) if want.as_slice() < key => Some(format!("record {} is missing", show(want))),
                Some((want, _)) if want != key => Some(format!("record {} is too much", show(key))),
                None => Some(format!("record {} is too much", show(key))),
                Some((_, want)) if want != value => Some(unlike(key, want, value)),
                Some(_) => None,
            };
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if found.is_none()
            && let Some((want, _)) = wanted.next()
        {
            found = Some(format!("record {} is missing", show(want)));
        }
        Ok(found)
    }
}

fn unlike(key: &[u8], want: &[u8], got: &[u8]) -> String {
    let same = want.iter().zip(got).take_while(|(a, b)| a == b).count();
    let (key, want, got) = (show(key), want.len(), got.len());
    format!("record {key} differs from byte {same} on ({got} bytes instead of {want})")
}

fn show(key: &[u8]) -> String {
    let mut out = String::new();
    for byte in key.iter().take(12) {
        if byte.is_ascii_graphic() {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}
