//! What can happen to files at rest.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::sim::{CutPoint, Rng, SECTOR, SimDisk};

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which file.
    pub path: PathBuf,
    /// Which bytes of it. What lies beyond its end is left out.
    pub bytes: Range<u64>,
}

/// Damage to files at rest. Where nothing is to be damaged, nothing happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// One bit turned over.
    Flip {
        /// Which file.
        path: PathBuf,
        /// Which bit of it.
        bit: u64,
    },
    /// The file cut.
    Cut {
        /// Which file.
        path: PathBuf,
        /// To how many bytes.
        len: u64,
    },
    /// Zeros in place of what was there.
    Zero(Place),
    /// Garbage of a seed in place of what was there.
    Garble(Place, u64),
    /// Bytes from elsewhere in the same or another file, written over what was there.
    Misplace {
        /// Where the bytes come from.
        from: Place,
        /// The file that they are written to.
        to: PathBuf,
        /// At which offset.
        at: u64,
    },
    /// Two stretches of the same length exchanged.
    Exchange(Place, Place),
    /// A stretch cut out: what is behind it moves up.
    TakeOut(Place),
    /// A stretch doubled: what is behind it moves back.
    Double(Place),
    /// The file as it was after so many operations of the run, also one that was removed since.
    Older {
        /// Which file.
        path: PathBuf,
        /// Operations that were done.
        after: u64,
    },
    /// The file gone.
    Remove(PathBuf),
    /// Two files under each other's names.
    ExchangeFiles(PathBuf, PathBuf),
}

/// The part of the bytes that a place names, as far as they reach.
fn part<'b>(bytes: &'b mut [u8], place: &Range<u64>) -> &'b mut [u8] {
    let within = inside(bytes, place);
    bytes.get_mut(within).unwrap_or_default()
}

/// A place as indices, cut to the length of the bytes.
fn inside(bytes: &[u8], place: &Range<u64>) -> Range<usize> {
    let end = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    end(place.start)..end(place.end).max(end(place.start))
}

fn edit(disk: &SimDisk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> bool {
    let Some(mut bytes) = disk.bytes(path) else { return false };
    change(&mut bytes);
    disk.put(path, &bytes)
}

fn read(disk: &SimDisk, place: &Place) -> Vec<u8> {
    let mut bytes = disk.bytes(&place.path).unwrap_or_default();
    part(&mut bytes, &place.bytes).to_vec()
}

/// Writes over what is there; nothing grows.
fn write(disk: &SimDisk, path: &Path, at: u64, new: &[u8]) -> bool {
    edit(disk, path, |bytes| {
        let into = part(bytes, &(at..at.saturating_add(new.len() as u64)));
        if let Some(new) = new.get(..into.len()) {
            into.copy_from_slice(new);
        }
    })
}

impl Damage {
    /// Does it; `moments` are those of the run that made the files. False when there is nothing to damage.
    pub(super) fn apply(&self, disk: &SimDisk, moments: &[CutPoint]) -> bool {
        match self {
            Self::Flip { path, bit } => disk.flip(path, *bit),
            Self::Cut { path, len } => disk.cut_file(path, *len),
            Self::Zero(place) => edit(disk, &place.path, |bytes| part(bytes, &place.bytes).fill(0)),
            Self::Garble(place, seed) => edit(disk, &place.path, |bytes| {
                let mut rng = Rng::new(*seed);
                part(bytes, &place.bytes).fill_with(|| rng.next().to_le_bytes()[0]);
            }),
            Self::Misplace { from, to, at } => write(disk, to, *at, &read(disk, from)),
            Self::Exchange(one, other) => {
                let (first, second) = (read(disk, one), read(disk, other));
                write(disk, &one.path, one.bytes.start, &second)
                    && write(disk, &other.path, other.bytes.start, &first)
            }
            Self::TakeOut(place) => edit(disk, &place.path, |bytes| {
                bytes.drain(inside(bytes, &place.bytes));
            }),
            Self::Double(place) => edit(disk, &place.path, |bytes| {
                let within = inside(bytes, &place.bytes);
                let (end, twice) = (within.end, bytes.get(within).map(<[u8]>::to_vec));
                bytes.splice(end..end, twice.unwrap_or_default());
            }),
            Self::Older { path, after } => {
                let moment = moments.iter().find(|moment| moment.after == *after);
                let old = moment.and_then(|moment| moment.killed(0).bytes(path));
                old.is_some_and(|old| disk.put(path, &old))
            }
            Self::Remove(path) => disk.take_away(path),
            Self::ExchangeFiles(one, other) => match (disk.bytes(one), disk.bytes(other)) {
                (Some(first), Some(second)) => disk.put(one, &second) && disk.put(other, &first),
                _ => false,
            },
        }
    }
}

/// What a random damage is chosen from.
pub(super) struct Chances<'c> {
    /// The files, none of them empty, with their lengths.
    pub(super) files: &'c [(PathBuf, u64)],
    /// Moments of the run that made them.
    pub(super) moments: &'c [CutPoint],
}

impl Chances<'_> {
    /// Each file as likely as the others, however long.
    fn file(&self, rng: &mut Rng) -> Option<(PathBuf, u64)> {
        let number = rng.below(self.files.len() as u64);
        self.files.get(usize::try_from(number).ok()?).cloned()
    }

    /// A sector, or now and then a stretch that begins and ends anywhere within two.
    fn place(&self, rng: &mut Rng) -> Option<Place> {
        let (path, len) = self.file(rng)?;
        let sector = rng.below(len.div_ceil(SECTOR)).saturating_mul(SECTOR);
        let (from, bytes) =
            if rng.one_in(3) { (rng.below(len), 1 + rng.below(2 * SECTOR)) } else { (sector, SECTOR) };
        Some(Place { path, bytes: from..from.saturating_add(bytes).min(len) })
    }

    /// One of two: the same file as a place lies in, or any.
    fn near(&self, place: &Place, rng: &mut Rng) -> Option<Place> {
        let other = self.place(rng)?;
        let here = self.files.iter().find(|(path, _)| *path == place.path);
        let Some((path, len)) = here.filter(|_| rng.one_in(2)) else { return Some(other) };
        let from = rng.below(len.div_ceil(SECTOR)).saturating_mul(SECTOR);
        Some(Place { path: path.clone(), bytes: from..from.saturating_add(SECTOR).min(*len) })
    }

    fn older(&self, rng: &mut Rng) -> Option<Damage> {
        let number = rng.below(self.moments.len() as u64);
        let moment = self.moments.get(usize::try_from(number).ok()?)?;
        let files = moment.killed(0).files();
        let (path, _) = files.get(usize::try_from(rng.below(files.len() as u64)).ok()?)?;
        Some(Damage::Older { path: path.clone(), after: moment.after })
    }

    /// Any damage.
    pub(super) fn damage(&self, rng: &mut Rng) -> Option<Damage> {
        Some(match rng.below(14) {
            0..=2 => {
                let (path, len) = self.file(rng)?;
                Damage::Flip { path, bit: rng.below(len.saturating_mul(8)) }
            }
            3 => {
                let (path, len) = self.file(rng)?;
                Damage::Cut { path, len: rng.below(len) }
            }
            4 | 5 => Damage::Zero(self.place(rng)?),
            6 | 7 => Damage::Garble(self.place(rng)?, rng.next()),
            8 => {
                let from = self.place(rng)?;
                let to = self.near(&from, rng)?;
                Damage::Misplace { from, to: to.path, at: to.bytes.start }
            }
            9 => {
                let one = self.place(rng)?;
                let other = self.near(&one, rng)?;
                let len = (one.bytes.end - one.bytes.start).min(other.bytes.end - other.bytes.start);
                let shorter = |place: Place| Place {
                    bytes: place.bytes.start..place.bytes.start.saturating_add(len),
                    ..place
                };
                Damage::Exchange(shorter(one), shorter(other))
            }
            10 => {
                let place = self.place(rng)?;
                if rng.one_in(2) { Damage::TakeOut(place) } else { Damage::Double(place) }
            }
            11 => self.older(rng)?,
            12 => Damage::Remove(self.file(rng)?.0),
            _ => Damage::ExchangeFiles(self.file(rng)?.0, self.file(rng)?.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(damage: &Damage) -> [Option<Vec<u8>>; 2] {
        let disk = SimDisk::new(1);
        assert!(disk.put("/a", b"abcdef") && disk.put("/b", b"0123"));
        let earlier = disk.killed();
        assert!(earlier.put("/a", b"old"));
        assert!(damage.apply(&disk, &earlier.cut_points()), "{damage:?}");
        ["/a", "/b"].map(|path| disk.bytes(path))
    }

    fn place(path: &str, bytes: Range<u64>) -> Place {
        Place { path: path.into(), bytes }
    }

    #[test]
    fn each_damage_does_what_it_says_and_no_more() {
        let (a, b): (PathBuf, PathBuf) = ("/a".into(), "/b".into());
        let misplaced = |from, at| Damage::Misplace { from, to: b.clone(), at };
        for (damage, first, second) in [
            (Damage::Flip { path: a.clone(), bit: 9 }, Some("a`cdef"), Some("0123")),
            (Damage::Cut { path: a.clone(), len: 2 }, Some("ab"), Some("0123")),
            (Damage::Zero(place("/a", 4..9)), Some("abcd\0\0"), Some("0123")),
            (misplaced(place("/a", 1..4), 2), Some("abcdef"), Some("01bc")),
            (Damage::Exchange(place("/a", 0..2), place("/b", 2..4)), Some("23cdef"), Some("01ab")),
            (Damage::Exchange(place("/a", 0..2), place("/a", 4..6)), Some("efcdab"), Some("0123")),
            (Damage::TakeOut(place("/a", 1..3)), Some("adef"), Some("0123")),
            (Damage::Double(place("/a", 1..3)), Some("abcbcdef"), Some("0123")),
            (Damage::Older { path: a.clone(), after: 0 }, Some("old"), Some("0123")),
            (Damage::Remove(a.clone()), None, Some("0123")),
            (Damage::ExchangeFiles(a, b.clone()), Some("0123"), Some("abcdef")),
        ] {
            let expected = [first, second].map(|text| text.map(|text| text.as_bytes().to_vec()));
            assert_eq!(after(&damage), expected, "{damage:?}");
        }
        let [garbled, other] = after(&Damage::Garble(place("/a", 2..4), 5)).map(Option::unwrap);
        assert!(
            garbled != b"abcdef" && garbled.starts_with(b"ab") && garbled.ends_with(b"ef"),
            "{garbled:?}"
        );
        assert_eq!(other, b"0123");
    }

    #[test]
    fn chance_comes_to_every_kind_and_to_every_file() {
        let disk = SimDisk::new(1);
        assert!(disk.put("/a", &[1; 2000]) && disk.put("/b", &[2; 100]));
        let (files, moments) = (disk.files(), disk.cut_points());
        let chances = Chances { files: &files, moments: &moments };
        let mut rng = Rng::new(7);
        let drawn: Vec<String> =
            (0..400).map(|_| format!("{:?}", chances.damage(&mut rng).unwrap())).collect();
        let kinds = [
            "Flip",
            "Cut",
            "Zero",
            "Garble",
            "Misplace",
            "Exchange(",
            "TakeOut",
            "Double",
            "Older",
            "Remove",
        ];
        for kind in kinds.into_iter().chain(["ExchangeFiles"]) {
            for path in ["/a", "/b"] {
                let meant = |text: &&String| text.starts_with(kind) && text.contains(path);
                assert!(drawn.iter().filter(meant).count() > 2, "{kind} of {path}");
            }
        }
    }
}
