//! What of the unsynced survives a crash: the units that may be lost, and the ways to choose.

use super::Rng;
use super::node::SECTOR;
use super::tree::Ino;

/// One thing that was not synced and can survive or not by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// The operation that did it.
    pub op: u64,
    /// What it did.
    pub what: UnitKind,
}

/// What a unit is. Files are numbered; [`Cut::describe`](super::Cut::describe) has their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// A file became longer, to `len`, through a write. It stands before the sectors of that write.
    Growth {
        /// Which file.
        file: u64,
        /// New length.
        len: u64,
    },
    /// Bytes of one sector. What survives is the sector as it was in memory after the operation.
    Sector {
        /// Which file.
        file: u64,
        /// Number of the sector.
        sector: u64,
    },
    /// A file was cut or extended.
    Length {
        /// Which file.
        file: u64,
        /// New length.
        len: u64,
    },
    /// Names changed: a file was created, renamed or removed, or a directory. Lost too when an earlier change of the same
    /// name is lost.
    Names,
}

/// What is in the part of a torn sector that is not new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rest {
    /// What was there before.
    Old,
    /// Zeros, within the bytes that were written.
    Zeros,
    /// Garbage of this seed, within the bytes that were written.
    Garbage(u64),
}

/// A sector of which a part is new. Bytes outside of the write that tore keep their old value or get their new one; they
/// are never harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tear {
    /// Where in the sector the border is, 0 to 512.
    pub at: u16,
    /// The part behind the border is new, not the one before.
    pub back: bool,
    /// What the other part holds.
    pub rest: Rest,
}

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// As if it had not been done.
    Lost,
    /// It is on the disk.
    Kept,
    /// Of a sector: torn. Of anything else: lost.
    Torn(Tear),
    /// Of a growth: as far as sectors of its write survive. Of anything else: kept.
    Follow,
}

/// Which growths of files survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lengths {
    /// Those whose bytes survive, as far as these reach.
    Follow,
    /// All up to the write at which the prefix ends, also where its bytes are lost: these read as zeros.
    Kept,
    /// None.
    Lost,
}

/// Which of the unsynced units survive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Crash {
    /// None: only what was synced.
    Nothing,
    /// All, as when only the process was killed and then everything was written back.
    Everything,
    /// The first few in the order of their operations, growths not counted.
    Prefix {
        /// How many.
        units: usize,
        /// What happens to the next one.
        torn: Option<Tear>,
        /// What happens to growths.
        lengths: Lengths,
    },
    /// All but one, by its index.
    LoseOne(usize),
    /// One alone, by its index; a growth comes along as far as it reaches.
    KeepOne(usize),
    /// Some, chosen by this seed, some of them torn.
    Random(u64),
    /// Each as said; what is not said is lost.
    Each(Vec<Fate>),
}

impl Crash {
    /// The fate of each unit.
    #[must_use]
    pub fn fates(&self, units: &[Unit]) -> Vec<Fate> {
        match self {
            Self::Nothing => vec![Fate::Lost; units.len()],
            Self::Everything => vec![Fate::Kept; units.len()],
            Self::Prefix { units: kept, torn, lengths } => prefix(units, *kept, *torn, *lengths),
            Self::LoseOne(lost) => {
                fates(units, |index, _| if index == *lost { Fate::Lost } else { Fate::Kept })
            }
            Self::KeepOne(kept) => {
                let op = units.get(*kept).map(|unit| unit.op);
                fates(units, |index, unit| match unit.what {
                    _ if index == *kept => Fate::Kept,
                    UnitKind::Growth { .. } if Some(unit.op) == op => Fate::Follow,
                    _ => Fate::Lost,
                })
            }
            Self::Random(seed) => random(units, *seed),
            Self::Each(said) => {
                let mut fates = said.clone();
                fates.resize(units.len(), Fate::Lost);
                fates
            }
        }
    }
}

fn fates(units: &[Unit], fate: impl Fn(usize, &Unit) -> Fate) -> Vec<Fate> {
    units.iter().enumerate().map(|(index, unit)| fate(index, unit)).collect()
}

fn prefix(units: &[Unit], kept: usize, torn: Option<Tear>, lengths: Lengths) -> Vec<Fate> {
    let counted = |unit: &&Unit| !matches!(unit.what, UnitKind::Growth { .. });
    // Growths of operations up to the one at which the prefix ends.
    let last = units.iter().filter(counted).nth(kept).map_or(u64::MAX, |unit| unit.op);
    let mut place = 0;
    let each = units.iter().map(|unit| {
        if counted(&unit) {
            place += 1;
            return match torn {
                _ if place <= kept => Fate::Kept,
                Some(tear) if place == kept + 1 => Fate::Torn(tear),
                _ => Fate::Lost,
            };
        }
        match lengths {
            Lengths::Kept if unit.op <= last => Fate::Kept,
            Lengths::Follow => Fate::Follow,
            Lengths::Kept | Lengths::Lost => Fate::Lost,
        }
    });
    each.collect()
}

fn random(units: &[Unit], seed: u64) -> Vec<Fate> {
    let mut rng = Rng::new(seed);
    let lost_in_8 = [1, 4, 7].get(usize::try_from(rng.below(3)).unwrap_or(0)).copied().unwrap_or(4);
    let tears = rng.one_in(2);
    let mut fate = |unit: &Unit| {
        let lost = rng.below(8) < lost_in_8;
        match unit.what {
            UnitKind::Growth { .. } => match rng.below(3) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                _ => Fate::Follow,
            },
            UnitKind::Sector { .. } if tears && rng.one_in(4) => Fate::Torn(tear(&mut rng)),
            _ if lost => Fate::Lost,
            _ => Fate::Kept,
        }
    };
    units.iter().map(&mut fate).collect()
}

/// Any tear.
pub(super) fn tear(rng: &mut Rng) -> Tear {
    let at = u16::try_from(rng.below(SECTOR)).unwrap_or(0);
    let rest = match rng.below(3) {
        0 => Rest::Old,
        1 => Rest::Zeros,
        _ => Rest::Garbage(rng.next()),
    };
    Tear { at, back: rng.one_in(4), rest }
}

/// The choices that need no luck: nothing, everything, every prefix with each fate of the lengths, the same with the next
/// sector torn in a few ways, every single unit lost, every single one kept.
#[must_use]
pub fn every_choice(units: &[Unit], seed: u64) -> Vec<Crash> {
    let mut all = vec![Crash::Nothing, Crash::Everything];
    if units.is_empty() {
        all.truncate(1);
        return all;
    }
    let mut rng = Rng::new(seed);
    let counted = units.iter().filter(|unit| !matches!(unit.what, UnitKind::Growth { .. })).count();
    for units in 0..=counted {
        let torn = [Rest::Old, Rest::Zeros, Rest::Garbage(rng.next())].map(|rest| {
            let at = u16::try_from(rng.below(SECTOR)).unwrap_or(0);
            (Some(Tear { at, back: rng.one_in(4), rest }), Lengths::Kept)
        });
        let whole = [Lengths::Follow, Lengths::Kept, Lengths::Lost].map(|lengths| (None, lengths));
        let all_torn: &[_] = if units < counted { &torn } else { &[] };
        all.extend(whole.iter().chain(all_torn).map(|&(torn, lengths)| Crash::Prefix {
            units,
            torn,
            lengths,
        }));
    }
    all.extend((0..units.len()).map(Crash::LoseOne));
    all.extend((0..units.len()).map(Crash::KeepOne));
    all
}

/// The number of the file that a unit is about.
pub(super) const fn file_of(unit: &Unit) -> Option<Ino> {
    match unit.what {
        UnitKind::Growth { file, .. } | UnitKind::Sector { file, .. } | UnitKind::Length { file, .. } => {
            Some(file)
        }
        UnitKind::Names => None,
    }
}
