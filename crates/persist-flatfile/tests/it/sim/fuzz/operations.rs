//! Any operations, and a map that does the same.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use persist_api::{
    BeatNo, CompactScope, Direction, Durability, Engine, ErrorKind, KeyRange, Quiet, Scan, View,
};
use persist_io::Disk as _;
use persist_io::sim::{Crash, SimDisk};

use super::super::acts::Rows;
use super::super::store::{HISTORY, HOME, close, open_at, read_all};
use super::input::Input;

const COPY: &str = "/copy";
/// Steps of one input, so that none takes long.
const STEPS_MAX: usize = 64;
/// Views that stay open.
const VIEWS: usize = 3;

/// The input is a sequence of operations, closed and opened again at its end.
pub(crate) fn operations(input: &[u8]) {
    let mut input = Input::of(input);
    let mut session = Session::new();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        session.step(&mut input);
    }
    session.reopen();
}

struct Session {
    disk: SimDisk,
    engine: Option<Box<dyn Engine>>,
    /// The records after each beat.
    beats: Vec<Arc<Rows>>,
    /// The newest beat that must survive a power cut.
    durable: usize,
    /// Beats before this one need not be kept.
    floor: usize,
    /// Old views, which show the same as long as they live.
    views: Vec<Box<dyn View>>,
}

/// How a power cut is chosen.
fn any_crash(input: &mut Input<'_>) -> Crash {
    match input.byte() {
        0..64 => Crash::Nothing,
        64..96 => Crash::Everything,
        seed => Crash::Random(u64::from(seed)),
    }
}

/// One of a few keys, short or long.
fn any_key(input: &mut Input<'_>) -> Vec<u8> {
    let byte = input.byte();
    let letter = *[0, b'a', b'b', 0x7f, 0xff].get(usize::from(byte >> 2) % 5).unwrap();
    match byte % 4 {
        0 => vec![letter],
        1 => vec![b'k', byte >> 2],
        2 => vec![b'k', letter, byte >> 5],
        _ => [vec![b'k'; usize::from(input.byte())], vec![letter]].concat(),
    }
}

fn any_bound(input: &mut Input<'_>) -> Bound<Vec<u8>> {
    match input.byte() % 4 {
        0 => Bound::Unbounded,
        1 => Bound::Excluded(any_key(input)),
        _ => Bound::Included(any_key(input)),
    }
}

/// A value that says which beat wrote it; some are long enough to lie in a payload segment.
fn any_value(beat: usize, input: &mut Input<'_>) -> Vec<u8> {
    let byte = input.byte();
    let len = match byte {
        0..160 => usize::from(byte) % 40,
        160..220 => 200 + usize::from(byte),
        _ => 60 * usize::from(byte - 219),
    };
    let says = format!("b{beat} {byte} ");
    says.bytes().cycle().take(len).collect()
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// What a view must show of a scan.
fn expected(rows: &Rows, scan: &Scan<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = rows.0.iter().filter(|(key, _)| scan.range.contains(key));
    let mut all: Vec<_> = within.map(|(key, value)| (key.clone(), value.clone())).collect();
    if scan.direction == Direction::Reverse {
        all.reverse();
    }
    all.truncate(usize::try_from(scan.limit).unwrap_or(usize::MAX));
    all
}

fn scanned(view: &dyn View, scan: Scan<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let done = view.scan(scan, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    done.unwrap();
    rows
}

impl Session {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        let engine = Some(open_at(disk.clone(), HOME).unwrap());
        Self { disk, engine, beats: vec![Arc::default()], durable: 0, floor: 0, views: Vec::new() }
    }

    fn engine(&self) -> &dyn Engine {
        self.engine.as_deref().unwrap()
    }

    fn newest(&self) -> usize {
        self.beats.len() - 1
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        match what % 32 {
            0..12 => self.beat(what >> 5, input),
            12 => self.large_beat(input),
            13 => {
                assert_eq!(self.engine().sync().unwrap().0, self.newest() as u64);
                self.durable = self.newest();
            }
            14 | 15 => {
                self.engine().checkpoint().unwrap();
                self.durable = self.newest();
            }
            16 => self.compact(u64::from(what >> 5)),
            17 => self.reopen(),
            18 | 19 => self.crash(&any_crash(input)),
            20 => self.kill(),
            21 => self.crash_within(input),
            22 | 23 => self.get(input),
            24..27 => self.scan(input),
            27 => self.cursor(input),
            28 => self.past(usize::from(what >> 5)),
            29 => {
                if self.views.len() == VIEWS {
                    self.views.remove(0);
                }
                self.views.push(self.engine().view().unwrap());
            }
            30 => self.verify(),
            _ => self.backup(),
        }
        if what % 32 < 22 {
            self.check();
        }
    }

    /// All that is shown is what it must be; after every step that does more than read.
    fn check(&self) {
        let view = self.engine().view().unwrap();
        assert_eq!(view.header().beat.0, self.newest() as u64, "the newest beat");
        for view in self.views.iter().chain([&view]) {
            let beat = usize::try_from(view.header().beat.0).unwrap();
            assert_eq!(read_all(&**view).unwrap(), *self.beats[beat], "beat {beat}");
        }
    }

    /// A beat of a few operations, committed or given up.
    fn beat(&mut self, how: u8, input: &mut Input<'_>) {
        let durability = if how & 1 == 0 { Durability::Durable } else { Durability::Buffered };
        let header = self.engine().view().unwrap().header().next(1, durability, None).unwrap();
        let mut rows = Rows(self.beats[self.newest()].0.clone());
        let number = self.beats.len();
        let mut beat = self.engine.as_deref().unwrap().begin_beat(header).unwrap();
        for _ in 0..=input.byte() % 6 {
            match input.byte() % 8 {
                0..4 => {
                    let (key, value) = (any_key(input), any_value(number, input));
                    beat.put_record(&key, &value).unwrap();
                    rows.0.insert(key, value);
                }
                4 | 5 => {
                    let key = any_key(input);
                    beat.delete_record(&key).unwrap();
                    rows.0.remove(&key);
                }
                6 => {
                    let (start, end) = (any_bound(input), any_bound(input));
                    let range = KeyRange::new(borrowed(&start), borrowed(&end));
                    beat.delete_range(range.borrowed()).unwrap();
                    rows.0.retain(|key, _| !range.contains(key));
                }
                _ => {
                    let key = any_key(input);
                    let seen = beat.peek_record(&key).unwrap().map(|value| value.to_vec());
                    assert_eq!(seen.as_ref(), rows.0.get(&key), "{} in its beat", key.escape_ascii());
                }
            }
        }
        if how & 6 == 6 {
            beat.abort_beat();
            return;
        }
        assert_eq!(beat.commit_beat().unwrap().reached, durability);
        self.committed(rows, durability);
    }

    /// As much as a memtable takes.
    fn large_beat(&mut self, input: &mut Input<'_>) {
        let (durability, first, step) = (Durability::Buffered, input.byte(), input.byte());
        let header = self.engine().view().unwrap().header().next(1, durability, None).unwrap();
        let mut rows = Rows(self.beats[self.newest()].0.clone());
        let value: Vec<u8> = format!("b{} ", self.beats.len()).bytes().cycle().take(250).collect();
        let mut beat = self.engine.as_deref().unwrap().begin_beat(header).unwrap();
        for n in 0..18 {
            let key = vec![b'k', first.wrapping_add(step.wrapping_mul(n)) >> 2];
            beat.put_record(&key, &value).unwrap();
            rows.0.insert(key, value.clone());
        }
        beat.commit_beat().unwrap();
        self.committed(rows, durability);
    }

    fn committed(&mut self, rows: Rows, durability: Durability) {
        self.beats.push(Arc::new(rows));
        if durability == Durability::Durable {
            self.durable = self.newest();
        }
    }

    fn compact(&mut self, keep_beats: u64) {
        self.engine().compact(CompactScope { keep_beats }, &Quiet).unwrap();
        self.durable = self.newest();
        self.floor = self.floor.max(self.newest().saturating_sub(usize::try_from(keep_beats).unwrap()));
    }

    fn reopen(&mut self) {
        self.views.clear();
        close(self.engine.take().unwrap()).unwrap();
        self.durable = self.newest();
        self.engine = Some(open_at(self.disk.clone(), HOME).unwrap());
        self.check();
    }

    /// Goes on with what is left of the disk: the first beats, all that were durable among them.
    fn go_on_with(&mut self, disk: SimDisk) {
        self.views.clear();
        self.engine = None;
        self.disk = disk;
        self.engine = Some(open_at(self.disk.clone(), HOME).unwrap());
        let newest = usize::try_from(self.engine().view().unwrap().header().beat.0).unwrap();
        assert!((self.durable..self.beats.len()).contains(&newest), "beat {newest}");
        self.beats.truncate(newest + 1);
        let stats = self.engine().stats().unwrap();
        assert!(stats.engine.contains(&("recovered_damaged_spans", 0)), "{stats:?}");
        self.check();
    }

    /// The power is cut. What survives is on the disk.
    fn crash(&mut self, crash: &Crash) {
        self.go_on_with(self.disk.crash_image(crash));
        self.durable = self.newest();
    }

    /// The process is killed: no beat is gone, and none safer than it was.
    fn kill(&mut self) {
        let newest = self.newest();
        self.go_on_with(self.disk.killed());
        assert_eq!(self.newest(), newest, "beats outlive the process");
    }

    /// The power is cut somewhere in the next step.
    fn crash_within(&mut self, input: &mut Input<'_>) {
        let (place, crash) = (usize::from(input.byte()), any_crash(input));
        let durable = self.durable;
        self.disk.keep_cut_points();
        match input.byte() % 8 {
            0 => self.reopen(),
            1 | 2 => self.compact(0),
            3 | 4 => {
                self.engine().checkpoint().unwrap();
            }
            5 => self.large_beat(input),
            how => self.beat(how << 1, input),
        }
        let points = self.disk.cut_points();
        self.durable = durable;
        self.go_on_with(points[place % points.len()].cut(1).image(&crash));
        self.durable = self.newest();
    }

    /// So many beats back, and what must be there; none of what need not be kept any more.
    fn view_back(&self, back: usize) -> Option<(Box<dyn View>, &Rows)> {
        let beat = self.newest().checked_sub(back)?;
        match self.engine().view_at(BeatNo(beat as u64)) {
            Ok(view) => Some((view, &self.beats[beat])),
            Err(error) => {
                let may_be_gone = beat < self.floor || back as u64 > HISTORY || beat == 0;
                assert!(error.kind() == ErrorKind::Stale && may_be_gone, "beat {beat}: {error}");
                None
            }
        }
    }

    /// A view, mostly of the newest beat.
    fn any_view(&self, input: &mut Input<'_>) -> (Box<dyn View>, &Rows) {
        let back = usize::from(input.byte() >> 5);
        let newest = || (self.engine().view().unwrap(), &*self.beats[self.newest()]);
        self.view_back(back).filter(|_| back > 0).unwrap_or_else(newest)
    }

    fn get(&self, input: &mut Input<'_>) {
        let (view, rows) = self.any_view(input);
        let key = any_key(input);
        let seen = view.get_record(&key).unwrap().map(|value| value.to_vec());
        assert_eq!(seen.as_ref(), rows.0.get(&key), "{}", key.escape_ascii());
    }

    fn scan(&self, input: &mut Input<'_>) {
        let (view, rows) = self.any_view(input);
        let (start, end) = (any_bound(input), any_bound(input));
        let scan = any_scan(KeyRange::new(borrowed(&start), borrowed(&end)), input);
        assert_eq!(scanned(&*view, scan.clone()), expected(rows, &scan), "{scan:?}");
    }

    /// Steps and jumps.
    fn cursor(&self, input: &mut Input<'_>) {
        let (view, rows) = self.any_view(input);
        let scan = any_scan(KeyRange::all(), input).limit(u64::MAX);
        let all = expected(rows, &scan);
        let mut cursor = view.cursor(scan.clone()).unwrap();
        let mut next = 0;
        for _ in 0..=input.byte() % 12 {
            let found = if input.byte().is_multiple_of(3) {
                let key = any_key(input);
                next = all.partition_point(|(other, _)| match scan.direction {
                    Direction::Forward => *other < key,
                    Direction::Reverse => *other > key,
                });
                cursor.seek(&key).unwrap()
            } else {
                cursor.advance().unwrap()
            };
            assert_eq!(found, next < all.len(), "{scan:?}");
            if let Some((key, value)) = all.get(next) {
                assert_eq!((cursor.key(), cursor.value()), (key.as_slice(), value.as_slice()), "{scan:?}");
                next += 1;
            }
        }
    }

    /// Earlier beats, as far as they are kept, are as they were.
    fn past(&self, back: usize) {
        if let Some((view, rows)) = self.view_back(back) {
            assert_eq!(read_all(&*view).unwrap(), *rows, "{back} beats back");
        }
    }

    fn verify(&self) {
        let mut found = Vec::new();
        let stat = self.engine().verify(&mut |finding| found.push(finding), &Quiet).unwrap();
        let rows = self.beats[self.newest()].0.len() as u64;
        assert!(stat.damaged == 0 && stat.records == rows, "{stat:?} of {rows}: {found:?}");
    }

    fn backup(&self) {
        for (path, _) in self.disk.files().iter().filter(|(path, _)| path.starts_with(COPY)) {
            self.disk.remove_file(path).unwrap();
        }
        let done = self.engine().backup(COPY.as_ref(), &Quiet).unwrap();
        assert_eq!(done.beat.0, self.newest() as u64);
        let copy = open_at(self.disk.clone(), COPY).unwrap();
        assert_eq!(read_all(&*copy.view().unwrap()).unwrap(), *self.beats[self.newest()], "the copy");
        close(copy).unwrap();
    }
}

fn any_scan<'k>(range: KeyRange<'k>, input: &mut Input<'_>) -> Scan<'k> {
    let how = input.byte();
    let scan = if how & 1 == 0 { Scan::range(range) } else { Scan::range(range).reverse() };
    if how & 6 == 6 { scan.limit(u64::from(how >> 3)) } else { scan }
}
