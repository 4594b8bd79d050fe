//! The format as `docs/format-flatfile.md` describes it: a reader of a few lines of Python, which knows nothing but that page,
//! finds in a store what the engine finds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test damages files")]

use std::fmt::Write as _;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use persist_api::{BeatHeader, CompactScope, Driver, Durability, Engine, KeyRange, OpenOptions, Quiet, Scan};
use persist_flatfile::FlatfileDriver;

/// Runs the reader on a home.
fn run(home: &Path) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reader/flatfile_reader.py");
    let run = Command::new("python3").arg("-B").arg(script).arg(home).output();
    run.expect("python3 cannot be run; `cargo xtask setup` installs it")
}

fn hex(into: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(into, "{byte:02x}").unwrap();
    }
}

/// What the engine finds, in the reader's words.
fn told(engine: &dyn Engine) -> String {
    let view = engine.view().unwrap();
    let mut text = format!("beat {}\n", view.header().beat);
    view.scan(Scan::all(), &mut |key, value| {
        hex(&mut text, key);
        text.push(' ');
        hex(&mut text, value);
        text.push('\n');
        ControlFlow::Continue(())
    })
    .unwrap();
    text
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn key(&mut self) -> Vec<u8> {
        match self.roll(40) {
            0 => vec![0xff; usize::try_from(self.roll(300)).unwrap() + 1],
            1 => vec![0; usize::try_from(self.roll(3)).unwrap() + 1],
            _ => format!("key/{:03}", self.roll(300)).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.roll(20) {
            0 => 5000,
            1..=3 => 300,
            4 => 0,
            _ => self.roll(90),
        };
        (0..len).map(|_| self.roll(256).to_le_bytes()[0]).collect()
    }
}

/// A store that is written to, closed, read by the reader, and opened again.
struct Written {
    dir: tempfile::TempDir,
    options: OpenOptions,
    engine: Option<Box<dyn Engine>>,
    header: BeatHeader,
    dice: Dice,
}

impl Written {
    fn new(seed: u64, knobs: &[(&str, &str)]) -> Self {
        let knobs = knobs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = OpenOptions { knobs, ..OpenOptions::default() };
        let dir = tempfile::tempdir().unwrap();
        Self { dir, options, engine: None, header: BeatHeader::default(), dice: Dice(seed) }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn engine(&mut self) -> &dyn Engine {
        if self.engine.is_none() {
            let home = self.home();
            self.engine = Some(FlatfileDriver::default().open(&home, &self.options, &Quiet).unwrap());
        }
        self.engine.as_deref().unwrap()
    }

    fn beats(&mut self, beats: usize) {
        for _ in 0..beats {
            let durability = [Durability::Durable, Durability::Buffered][usize::from(self.dice.roll(9) > 0)];
            self.header = self.header.next(1, durability, None).unwrap();
            let mut dice = Dice(self.dice.roll(u64::MAX) | 1);
            let header = self.header;
            let mut beat = self.engine().begin_beat(header).unwrap();
            for _ in 0..dice.roll(12) {
                let key = dice.key();
                match dice.roll(12) {
                    0..=1 => beat.delete_record(&key).unwrap(),
                    2 if dice.roll(3) == 0 => {
                        let bounds = [Bound::Included(&*key), Bound::Excluded(&*key), Bound::Unbounded];
                        let other = dice.key();
                        let end = [Bound::Included(&*other), Bound::Excluded(&*other)];
                        let start = bounds[usize::try_from(dice.roll(2)).unwrap()];
                        let end = if dice.roll(200) == 0 {
                            bounds[2]
                        } else {
                            end[usize::try_from(dice.roll(2)).unwrap()]
                        };
                        beat.delete_range(KeyRange::new(start, end)).unwrap();
                    }
                    _ => beat.put_record(&key, &dice.value()).unwrap(),
                }
            }
            beat.commit_beat().unwrap();
        }
    }

    /// Ends the engine, cleanly or as a killed process would, and compares.
    #[track_caller]
    fn compare(&mut self, cleanly: bool) {
        let expected = told(self.engine());
        let engine = self.engine.take().unwrap();
        if cleanly {
            engine.close().map_err(|(_, error)| error).unwrap();
        } else {
            drop(engine);
        }
        let output = run(&self.home());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = String::from_utf8(output.stdout).unwrap();
        assert!(expected.lines().count() > 1, "nothing to compare");
        for (expected, found) in expected.lines().zip(found.lines()) {
            assert_eq!(expected, found);
        }
        assert_eq!(expected.lines().count(), found.lines().count());
    }
}

const TINY: [(&str, &str); 4] = [
    ("maintenance", "inline"),
    ("memtable_bytes", "8192"),
    ("large_value_bytes", "256"),
    ("segment_step_bytes", "4096"),
];

fn live_through(mut store: Written) {
    store.beats(30);
    store.compare(true);
    store.beats(200);
    store.compare(false);
    store.beats(40);
    store.engine().checkpoint().unwrap();
    store.compare(true);
    store.beats(3);
    store.compare(false);
    store.engine().compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    store.compare(true);
    store.beats(100);
    store.engine().compact(CompactScope { keep_beats: 20 }, &Quiet).unwrap();
    store.beats(5);
    store.compare(false);
}

#[test]
fn the_reader_finds_what_the_engine_finds_with_tiny_tables() {
    for seed in [1, 77, 4242] {
        live_through(Written::new(seed, &TINY));
    }
    let without_history = [TINY.as_slice(), &[("history_beats", "0")]].concat();
    live_through(Written::new(9, &without_history));
}

#[test]
fn the_reader_finds_what_the_engine_finds_with_defaults() {
    live_through(Written::new(5, &[]));
}

#[test]
fn the_reader_goes_on_behind_a_torn_tail() {
    let mut store = Written::new(3, &[]);
    store.beats(20);
    store.header = BeatHeader { durability: Durability::Durable, ..store.header };
    store.engine().sync().unwrap();
    drop(store.engine.take());
    let segment = store.home().join("branch.idx.00000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 8 * 8 + 8;
    // There may be no zeros behind it yet.
    bytes.truncate(end);
    bytes.extend_from_slice(&[0x5a; 40]);
    std::fs::write(&segment, &bytes).unwrap();
    store.compare(false);
    store.beats(20);
    store.compare(true);
    assert!(store.home().join("branch.idx.00000002").exists(), "writing went on in a new segment");
}

/// The head is a hint: without one, or with neither slot whole, the other files tell all that is there.
#[test]
fn the_reader_needs_no_head() {
    for (checkpoint, damaged) in [(false, false), (false, true), (true, false)] {
        let mut store = Written::new(6, &TINY);
        store.beats(120);
        if checkpoint {
            store.engine().checkpoint().unwrap();
        }
        let expected = told(store.engine());
        store.compare(true);
        let head = store.home().join("branch.meta");
        if damaged {
            std::fs::write(head, [0x5a; 8192]).unwrap();
        } else {
            std::fs::remove_file(head).unwrap();
        }
        let output = run(&store.home());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8(output.stdout).unwrap() == expected, "{checkpoint} {damaged}");
    }
}

#[test]
fn the_reader_says_what_does_not_verify() {
    let mut store = Written::new(8, &TINY);
    store.beats(120);
    // Then every value in a payload segment is one that somebody refers to.
    store.engine().compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    store.beats(1);
    store.compare(true);
    let mut seen = [0; 3];
    for entry in std::fs::read_dir(store.home()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let kind =
            ["branch.idx.", "branch.ckp.", "branch.dat."].iter().position(|stem| name.starts_with(stem));
        let Some(kind) = kind else { continue };
        let whole = std::fs::read(&path).unwrap();
        let Some(last) = whole.iter().rposition(|byte| *byte != 0) else { continue };
        let mut bytes = whole.clone();
        bytes[last / 2 + 32] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
        let output = run(&store.home());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{name}");
        assert!(error.starts_with(store.home().to_str().unwrap()), "{name}: {error}");
        seen[kind] += 1;
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
    store.compare(true);
}
