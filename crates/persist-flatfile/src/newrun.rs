//! Making a run of older tables.

use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, Result};
use persist_io::Disk;

use crate::cover::{Cover, Covering, Mark};
use crate::lost::Lost;
use crate::payload_ref::PayloadRef;
use crate::retain::Retained;
use crate::run::{Nameless, RangeDelete, RangeKind, Run, RunHead, RunWriter, Stored};

/// Records between two reports of progress.
const STEP: u64 = 4096;

/// Moves large values.
pub(crate) trait Relocate {
    /// Puts a value somewhere else, or answers where it is.
    fn place(&mut self, payload: &PayloadRef) -> Result<PayloadRef>;

    /// Makes what was moved durable.
    fn finish(&mut self) -> Result<()>;
}

/// What goes into a new run.
pub(crate) struct Plan<'t> {
    pub(crate) head: RunHead,
    pub(crate) rows: Retained<'t>,
    pub(crate) ranges: Vec<RangeDelete>,
    /// Oldest first.
    pub(crate) headers: Vec<BeatHeader>,
}

impl Plan<'_> {
    /// Writes the run and opens it; it is durable then. `step` is called now and then with how many versions were read.
    ///
    /// # Errors
    /// `Io`, `Full`, `Corrupt` in an old table, and what `step` and `relocate` say. The unfinished run is then removed.
    pub(crate) fn write(
        self,
        disk: &dyn Disk,
        dir: &Path,
        relocate: Option<&mut dyn Relocate>,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Arc<Run>> {
        let number = self.head.number;
        self.write_nameless(disk, dir, relocate, step)?.give_name()?;
        Run::open(disk, dir, number)
    }

    /// Writes the run; its name is missing then.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn write_nameless<'d>(
        mut self,
        disk: &'d dyn Disk,
        dir: &Path,
        mut relocate: Option<&mut dyn Relocate>,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Nameless<'d>> {
        let mut writer = RunWriter::create(disk, dir, self.head)?;
        let mut due = 0;
        while let Some(row) = self.rows.next()? {
            if self.rows.read >= due {
                step(self.rows.read)?;
                due = self.rows.read.saturating_add(STEP);
            }
            let stored = match (&row.stored, &mut relocate) {
                (Stored::Large(payload), Some(relocate)) => Stored::Large(relocate.place(payload)?),
                (stored, _) => *stored,
            };
            writer.add(row.key, row.beat, &stored)?;
        }
        self.ranges.iter().for_each(|range| writer.range(range));
        self.headers.iter().for_each(|header| writer.header(header));
        // A run that is found must find its values.
        relocate.map_or(Ok(()), Relocate::finish)?;
        writer.complete()
    }
}

/// The marks of several tables, newest table first, that a run with a certain floor keeps: losses, the deletes of each beat above
/// the floor, and over each key the newest delete at or below it, unless there is nothing older to hide.
pub(crate) fn kept_ranges(tables: &[Vec<Covering>], floor: BeatNo, oldest: bool) -> Vec<RangeDelete> {
    let is_below = |range: &&Covering| range.mark.lost.is_none() && range.mark.beat <= floor;
    let is_kept = |range: &&Covering| range.start < range.end && !is_below(range);
    let mut kept: Vec<Covering> = tables.iter().flatten().filter(is_kept).cloned().collect();
    if !oldest {
        // Number them all through, the oldest first.
        let mut below = Vec::new();
        for table in tables.iter().rev() {
            let mut marks: Vec<&Covering> = table.iter().filter(is_below).collect();
            marks.sort_by_key(|range| range.mark.order);
            for range in marks {
                let mark = Mark { order: below.len() as u64, ..range.mark.clone() };
                below.push(Covering { mark, start: range.start.clone(), end: range.end.clone() });
            }
        }
        kept.extend(Cover::of(&below, |_| 0).newest());
    }
    join(&mut kept);
    kept.iter().filter_map(range_delete).collect()
}

/// Makes one of those that say the same and touch; orders them by where they begin, the newest first.
fn join(ranges: &mut Vec<Covering>) {
    ranges.sort_by(|one, two| {
        let key = |range: &Covering| (range.mark.beat, range.mark.lost.clone());
        key(one).cmp(&key(two)).then_with(|| one.start.cmp(&two.start))
    });
    ranges.dedup_by(|next, before| {
        let goes_on = is_same(&before.mark, &next.mark) && next.start <= before.end;
        if goes_on && before.end < next.end {
            std::mem::swap(&mut before.end, &mut next.end);
        }
        goes_on
    });
    let newness = |range: &Covering| (range.mark.beat, range.mark.lost.is_some());
    ranges.sort_by(|one, two| one.start.cmp(&two.start).then_with(|| newness(two).cmp(&newness(one))));
}

fn is_same(one: &Mark, two: &Mark) -> bool {
    one.beat == two.beat && one.lost == two.lost
}

fn range_delete(range: &Covering) -> Option<RangeDelete> {
    Some(RangeDelete {
        start: range.start.as_start()?.map(<[u8]>::to_vec),
        end: range.end.as_end()?.map(<[u8]>::to_vec),
        beat: range.mark.beat,
        kind: range.mark.lost.as_deref().map_or(RangeKind::Deleted, Lost::kind),
    })
}

/// Of headers in the order of their frames, those that views in the window need: the last one of each beat, from the
/// newest at or below the floor on.
pub(crate) fn kept_headers(headers: impl Iterator<Item = BeatHeader>, floor: BeatNo) -> Vec<BeatHeader> {
    let mut kept: Vec<BeatHeader> = Vec::new();
    for header in headers {
        let replaced = |last: &mut BeatHeader| last.beat == header.beat || header.beat <= floor;
        while kept.pop_if(replaced).is_some() {}
        kept.push(header);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cover::Cut;

    fn covering(start: &[u8], end: &[u8], order: u64, beat: u64) -> Covering {
        Covering {
            start: Cut::At(start.to_vec(), false),
            end: Cut::At(end.to_vec(), false),
            mark: Mark { order, beat: BeatNo(beat), lost: None },
        }
    }

    fn ranges(tables: &[Vec<Covering>], floor: u64, oldest: bool) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
        let key = |bound: std::ops::Bound<Vec<u8>>| match bound {
            std::ops::Bound::Included(key) | std::ops::Bound::Excluded(key) => key,
            std::ops::Bound::Unbounded => panic!("unbounded"),
        };
        let kept = kept_ranges(tables, BeatNo(floor), oldest);
        kept.into_iter().map(|range| (key(range.start), key(range.end), range.beat.0)).collect()
    }

    #[test]
    fn ranges_at_the_floor_are_joined_and_go_with_the_oldest_table() {
        let newer = vec![covering(b"c", b"m", 9, 5)];
        let older = vec![covering(b"a", b"z", 1, 2), covering(b"d", b"e", 2, 3)];
        let tables = [newer, older];
        let all = ranges(&tables, 0, false);
        assert_eq!(
            all,
            [
                (b"a".to_vec(), b"z".to_vec(), 2),
                (b"c".to_vec(), b"m".to_vec(), 5),
                (b"d".to_vec(), b"e".to_vec(), 3)
            ]
        );
        assert_eq!(
            ranges(&tables, 4, true),
            [(b"c".to_vec(), b"m".to_vec(), 5)],
            "what lies below the floor has nothing to hide"
        );
        let below = ranges(&tables, 5, false);
        assert_eq!(
            below,
            [
                (b"a".to_vec(), b"c".to_vec(), 2),
                (b"c".to_vec(), b"m".to_vec(), 5),
                (b"m".to_vec(), b"z".to_vec(), 2)
            ]
        );
        assert_eq!(ranges(&tables, 5, true), []);
    }

    #[test]
    fn deletes_of_a_beat_over_each_other_or_side_by_side_are_one() {
        let keys: Vec<[u8; 2]> = (1..=1000_u16).map(u16::to_be_bytes).collect();
        let beat = |beat| -> Vec<Covering> {
            keys.iter().zip(0..).map(|(key, n)| covering(&[0], key, beat * 1000 + n, beat)).collect()
        };
        let last = keys.last().unwrap().to_vec();
        let mut tables = [beat(3), [beat(1), beat(2)].concat()];
        let of = |beat| (vec![0], last.clone(), beat);
        assert_eq!(ranges(&tables, 0, false), [of(3), of(2), of(1)]);
        assert_eq!(ranges(&tables, 2, false), [of(3), of(2)]);
        assert_eq!(ranges(&tables, 3, false), [of(3)]);
        tables[0].push(covering(&last, &[9], 9000, 3));
        assert_eq!(ranges(&tables, 2, true), [(vec![0], vec![9], 3)]);
    }

    #[test]
    fn many_ranges_over_each_other_are_kept_in_little_memory_and_time() {
        let beats = 1..=20_000_u16;
        let nested = |beat: u16| {
            covering(&beat.to_be_bytes(), &(u16::MAX - beat).to_be_bytes(), beat.into(), beat.into())
        };
        let tables = [beats.clone().map(nested).collect()];
        let kept = ranges(&tables, 0, false);
        let wanted = |beat: u16| {
            (beat.to_be_bytes().to_vec(), (u16::MAX - beat).to_be_bytes().to_vec(), u64::from(beat))
        };
        assert!(kept == beats.map(wanted).collect::<Vec<_>>());
        // Of what lies at or below the floor, each key needs one.
        assert_eq!(ranges(&tables, 20_000, false).len(), 2 * 20_000 - 1);
    }

    #[test]
    fn headers_of_the_window_stay() {
        let header =
            |beat: u64, commits: u64| BeatHeader { beat: BeatNo(beat), commits, ..BeatHeader::default() };
        let all = [header(1, 1), header(2, 1), header(2, 2), header(3, 1), header(4, 1)];
        let beats = |floor: u64| {
            let kept = kept_headers(all.into_iter(), BeatNo(floor));
            kept.iter().map(|header| (header.beat.0, header.commits)).collect::<Vec<_>>()
        };
        assert_eq!(beats(0), [(1, 1), (2, 2), (3, 1), (4, 1)]);
        assert_eq!(beats(2), [(2, 2), (3, 1), (4, 1)]);
        assert_eq!(beats(9), [(4, 1)]);
    }
}
