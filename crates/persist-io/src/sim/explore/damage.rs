//! Damage to a store at rest.

use std::path::PathBuf;

use super::judge::{Bounds, Word};
use super::search::{Search, Stop};
use super::{Case, Damage, Explorer, Failure, Report, Restart, Workload};
use crate::sim::SimDisk;

impl Damage {
    /// Does it. False when there is nothing to damage.
    pub(super) fn apply(&self, disk: &SimDisk) -> bool {
        match self {
            Self::Flip { path, bit } => disk.flip(path, *bit),
            Self::Cut { path, len } => disk.cut_file(path, *len),
        }
    }
}

/// Which of the numbers below `total`, evenly spread, at most `most`.
fn spread(total: u64, most: u64) -> impl Iterator<Item = u64> {
    (0..total.min(most)).map(move |place| {
        let number = u128::from(place) * u128::from(total) / u128::from(total.min(most).max(1));
        u64::try_from(number).unwrap_or(u64::MAX)
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

impl<W: Workload> Search<'_, W> {
    fn damage(&mut self) -> Result<(), Stop> {
        let (_, ran) = self.plain_run()?;
        let base = ran.disk.killed();
        let said = ran.said.bounds(u64::MAX, false, ran.word);
        let word = if self.explorer.damage_is_always_seen { Word::Damaged } else { Word::Lost };
        let bounds = Bounds { word, ..said };
        let files = base.files();
        let bytes = files.iter().map(|(_, len)| *len).fold(0, u64::saturating_add);
        let most = self.explorer.damages_max;
        let bits = spread(bytes.saturating_mul(8), most);
        let flips = bits.filter_map(|bit| pick(&files, bit, 8)).map(|(path, bit)| Damage::Flip { path, bit });
        let cuts = spread(bytes, most).filter_map(|at| pick(&files, at, 1));
        let cuts = cuts.map(|(path, len)| Damage::Cut { path, len });
        for damage in flips.chain(cuts) {
            if self.is_over() {
                return Ok(());
            }
            let disk = base.killed();
            damage.apply(&disk);
            self.check(disk, bounds, Case { damage: Some(damage), ..Case::new(Restart::AtEnd) })?;
        }
        Ok(())
    }
}

impl Explorer {
    /// Flips every bit, and cuts to every length, of every file that the workload leaves.
    ///
    /// # Errors
    /// The first violation.
    pub fn damage<W: Workload>(&self, workload: &W) -> Result<Report, Box<Failure>> {
        let shallow = Explorer { depth: 0, ..self.clone() };
        let mut search = Search::new(&shallow, workload);
        let done = search.damage();
        let report = search.report;
        self.finish(workload, done, report)
    }
}
