//! The search for damage at rest that is not noticed.

use std::path::PathBuf;

use super::damage::Chances;
use super::judge::{Bounds, Word};
use super::search::{Search, Stop};
use super::{Case, Damage, Explorer, Failure, Place, Report, Restart, Workload};
use crate::sim::{CutPoint, SimDisk};

/// Most places that are damaged at once.
const SEVERAL_MAX: u64 = 6;

/// Which of the numbers below `total`, evenly spread, at most `most`; others for another seed.
fn spread(total: u64, most: u64, seed: u64) -> impl Iterator<Item = u64> {
    let count = total.min(most);
    let first = seed % total.checked_div(count).unwrap_or(1).max(1);
    (0..count).map(move |place| {
        let number = u128::from(place) * u128::from(total) / u128::from(count);
        u64::try_from(number).unwrap_or(u64::MAX).saturating_add(first)
    })
}

/// The file and the place in it of a number that counts through all files.
fn pick(files: &[(PathBuf, u64)], mut number: u64, unit: u64) -> Option<(PathBuf, u64)> {
    for (path, len) in files {
        let size = len.saturating_mul(unit);
        if number < size {
            return Some((path.clone(), number));
        }
        number -= size;
    }
    None
}

/// The bit of a number that counts through the bits of all places.
fn bit_of(places: &[Place], mut number: u64) -> Option<Damage> {
    for Place { path, bytes } in places {
        let bits = bytes.end.saturating_sub(bytes.start).saturating_mul(8);
        if number < bits {
            let bit = bytes.start.saturating_mul(8).saturating_add(number);
            return Some(Damage::Flip { path: path.clone(), bit });
        }
        number -= bits;
    }
    None
}

/// The pair of a number: (0, 1), (0, 2), (1, 2), (0, 3) and so on.
fn pair(number: u64) -> (u64, u64) {
    let number = u128::from(number);
    let second = (1 + 8 * number).isqrt().div_ceil(2);
    let first = number - second * (second - 1) / 2;
    (u64::try_from(first).unwrap_or(u64::MAX), u64::try_from(second).unwrap_or(u64::MAX))
}

/// A store at rest, and how it came about.
#[derive(Debug, Clone)]
struct Rest {
    base: SimDisk,
    moments: Vec<CutPoint>,
    bounds: Bounds,
}

/// A store that was made once, to be damaged again and again; see [`Explorer::at_rest`].
#[derive(Debug, Clone)]
pub struct AtRest<W> {
    explorer: Explorer,
    workload: W,
    rest: Rest,
}

impl<W: Workload> AtRest<W> {
    /// A disk with its files, undamaged.
    #[must_use]
    pub fn disk(&self) -> SimDisk {
        self.rest.base.killed()
    }

    /// The moments of the run: before every operation that changed something, and the end. [`Damage::Older`] takes files from there.
    #[must_use]
    pub fn moments(&self) -> &[CutPoint] {
        &self.rest.moments
    }

    /// Damages a copy, one place after the other, and recovers it twice. Answers whether anything was reported.
    ///
    /// # Errors
    /// The violation, as it was found and not made smaller.
    pub fn hurt(&self, damage: &[Damage]) -> Result<bool, Box<Failure>> {
        let mut search = Search::new(&self.explorer, &self.workload);
        match search.try_damage(&self.rest, damage.to_vec()) {
            Ok(()) => Ok(search.report.reported > 0),
            Err(stop) => {
                let (violation, case) = *stop;
                let again = self.explorer.replay(&self.workload, &case);
                Err(Box::new(
                    again.unwrap_or_else(|| self.explorer.only_once(&self.workload, violation, case)),
                ))
            }
        }
    }
}

impl<W: Workload> Search<'_, W> {
    fn at_rest(&mut self) -> Result<Rest, Stop> {
        let (_, ran) = self.plain_run()?;
        let bounds = ran.said.bounds(u64::MAX, false, ran.word);
        Ok(Rest { base: ran.disk.killed(), moments: ran.disk.cut_points(), bounds })
    }

    fn try_damage(&mut self, rest: &Rest, damage: Vec<Damage>) -> Result<(), Stop> {
        let disk = rest.base.killed();
        let bounds = self.explorer.hurt(self.workload, &disk, &rest.moments, &damage, rest.bounds);
        self.check(disk, bounds, Case { damage, ..Case::new(Restart::AtEnd) })
    }

    fn each(&mut self) -> Result<(), Stop> {
        let rest = self.at_rest()?;
        let files = rest.base.files();
        let bytes = files.iter().map(|(_, len)| *len).fold(0, u64::saturating_add);
        let (most, seed) = (self.explorer.damages_max, self.explorer.seed);
        let bits = spread(bytes.saturating_mul(8), most, seed);
        let flips = bits.filter_map(|bit| pick(&files, bit, 8)).map(|(path, bit)| Damage::Flip { path, bit });
        let cuts = spread(bytes, most, seed).filter_map(|at| pick(&files, at, 1));
        let cuts = cuts.map(|(path, len)| Damage::Cut { path, len });
        for damage in flips.chain(cuts) {
            if self.is_over() {
                return Ok(());
            }
            self.try_damage(&rest, vec![damage])?;
        }
        Ok(())
    }

    fn pairs(&mut self, groups: &[Vec<Place>]) -> Result<(), Stop> {
        let rest = self.at_rest()?;
        for places in groups {
            let bytes = places.iter().map(|place| place.bytes.end.saturating_sub(place.bytes.start));
            let bits = bytes.fold(0, u64::saturating_add).saturating_mul(8);
            let pairs = bits.saturating_mul(bits.saturating_sub(1)) / 2;
            for (one, other) in spread(pairs, self.explorer.damages_max, self.explorer.seed).map(pair) {
                if self.is_over() {
                    return Ok(());
                }
                let both = [one, other].into_iter().filter_map(|bit| bit_of(places, bit)).collect();
                self.try_damage(&rest, both)?;
            }
        }
        Ok(())
    }

    fn several(&mut self) -> Result<(), Stop> {
        let rest = self.at_rest()?;
        let files: Vec<_> = rest.base.files().into_iter().filter(|(_, len)| *len > 0).collect();
        let chances = Chances { files: &files, moments: &rest.moments };
        for _ in 0..self.explorer.damages_max {
            if self.is_over() {
                return Ok(());
            }
            let places = 1 + self.rng.below(SEVERAL_MAX);
            let damage = (0..places).filter_map(|_| chances.damage(&mut self.rng)).collect();
            self.try_damage(&rest, damage)?;
        }
        Ok(())
    }
}

impl Explorer {
    /// Damages a store at rest. Answers what must hold of it then.
    pub(super) fn hurt<W: Workload>(
        &self,
        workload: &W,
        disk: &SimDisk,
        moments: &[CutPoint],
        damage: &[Damage],
        bounds: Bounds,
    ) -> Bounds {
        let whole = disk.killed();
        for damage in damage {
            damage.apply(disk, moments);
        }
        let word = if self.damage_is_always_seen { Word::Damaged } else { Word::Lost };
        Bounds { word, least: workload.still_known(&whole, disk, bounds.least), ..bounds }
    }

    /// The same, without interrupted recoveries.
    fn shallow(&self) -> Self {
        Self { depth: 0, ..self.clone() }
    }

    /// Runs a workload and keeps what it leaves, for any damage of the caller's own choice.
    ///
    /// # Errors
    /// The workload does not run as it should.
    pub fn at_rest<W: Workload>(&self, workload: W) -> Result<AtRest<W>, Box<Failure>> {
        let explorer = self.shallow();
        let rest = Search::new(&explorer, &workload).at_rest();
        match rest {
            Ok(rest) => Ok(AtRest { explorer, workload, rest }),
            Err(stop) => {
                let (violation, case) = *stop;
                Err(Box::new(self.smallest(&workload, violation, case)))
            }
        }
    }

    /// Flips every bit, and cuts to every length, of every file that the workload leaves.
    ///
    /// # Errors
    /// The first violation.
    pub fn damage<W: Workload>(&self, workload: &W) -> Result<Report, Box<Failure>> {
        let shallow = self.shallow();
        let mut search = Search::new(&shallow, workload);
        let done = search.each();
        self.finish(workload, done, search.report)
    }

    /// Flips every pair of bits of each group of places in the files that the workload leaves.
    ///
    /// # Errors
    /// The first violation.
    pub fn pairs<W: Workload>(&self, workload: &W, groups: &[Vec<Place>]) -> Result<Report, Box<Failure>> {
        let shallow = self.shallow();
        let mut search = Search::new(&shallow, workload);
        let done = search.pairs(groups);
        self.finish(workload, done, search.report)
    }

    /// Damages one to six places at once, chosen by chance, in any files that the workload leaves and in any of the ways of
    /// [`Damage`].
    ///
    /// # Errors
    /// The first violation, made smaller.
    pub fn damage_several<W: Workload>(&self, workload: &W) -> Result<Report, Box<Failure>> {
        let shallow = self.shallow();
        let mut search = Search::new(&shallow, workload);
        let done = search.several();
        self.finish(workload, done, search.report)
    }
}

#[cfg(test)]
mod tests {
    use persist_api::Result;

    use super::super::Recovered;
    use super::*;
    use crate::sim::Mark;
    use crate::{Disk as _, FileMode};

    /// One byte in a file, and whether it is looked at.
    struct Byte {
        looks: bool,
    }

    impl Workload for Byte {
        type State = Option<u8>;

        fn run(&self, disk: &SimDisk) -> Result<()> {
            disk.mark(Mark::Submitted(1));
            let file = disk.open("/byte".as_ref(), FileMode::CreateNew)?;
            file.write_at(0, &[1])?;
            file.sync_data()?;
            disk.sync_dir("/".as_ref())?;
            disk.mark(Mark::Acknowledged(1));
            Ok(())
        }

        fn recover(&self, disk: &SimDisk) -> Result<Recovered<Option<u8>>> {
            let state = disk.bytes("/byte").and_then(|bytes| bytes.first().copied());
            let wrong = self.looks && state != Some(1);
            let damage = if wrong { vec!["not the byte".to_owned()] } else { Vec::new() };
            Ok(Recovered { steps: 1, state, damage })
        }

        fn state_after(&self, steps: u64) -> Option<u8> {
            (steps > 0).then_some(1)
        }
    }

    #[test]
    fn chosen_damage_is_judged_and_leaves_the_store_as_it_was() {
        let damage = [Damage::Flip { path: "/byte".into(), bit: 3 }];
        let rest = Explorer::default().at_rest(Byte { looks: true }).unwrap();
        assert!(rest.moments().len() > 2, "{:?}", rest.moments());
        assert!(rest.hurt(&damage).unwrap());
        assert!(!rest.hurt(&[]).unwrap(), "what was hurt is a copy");
        let silent = Explorer::default().at_rest(Byte { looks: false }).unwrap();
        let failure = silent.hurt(&damage).unwrap_err();
        assert_eq!(failure.oracle, super::super::Oracle::DamageReported);
        assert_eq!(failure.case.damage, damage);
        assert_eq!(silent.disk().bytes("/byte").as_deref(), Some([1].as_slice()));
    }

    #[test]
    fn numbers_of_pairs_come_to_every_pair_once() {
        let all: Vec<_> = (0..45).map(pair).collect();
        let expected: Vec<_> =
            (0..10).flat_map(|second| (0..second).map(move |first| (first, second))).collect();
        assert_eq!(all, expected);
        let total = (1_u64 << 20) * ((1 << 20) - 1) / 2;
        assert_eq!(pair(total - 1), ((1 << 20) - 2, (1 << 20) - 1));
    }
}
