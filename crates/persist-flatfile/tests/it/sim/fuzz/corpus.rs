//! What the fuzzer has found to be different, tried again, and more of its kind by chance.

use std::fs;
use std::path::Path;

use persist_io::sim::Rng;

use super::super::rounds::seed;
use super::super::several::memory_is_bounded;
use super::{open, operations, run};

/// Changed inputs for each target, unless `PERSIST_FUZZ_ROUNDS` says otherwise.
const ROUNDS: u64 = 300;
/// One of these is worth so many of those rounds: it opens a store several times.
const WORTH: u64 = 20;
/// Numbers at which lengths and counts break.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, u32::MAX as u64, 1 << 60, u64::MAX];

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/flatfile/fuzz");
    let files = fs::read_dir(root.join(target)).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect();
    all.sort();
    all
}

/// Changes one to four places.
fn changed(all: &[(String, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    let below = |rng: &mut Rng, limit: usize| usize::try_from(rng.below(limit as u64)).unwrap();
    let any = |rng: &mut Rng| &all[below(rng, all.len())].1;
    let mut bytes = any(rng).clone();
    for _ in 0..=rng.below(4) {
        let at = below(rng, bytes.len());
        match rng.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            1 if !bytes.is_empty() => bytes[at] = rng.next().to_le_bytes()[0],
            2 => bytes.truncate(at),
            3 => {
                let end = (at + below(rng, 40)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let other = any(rng);
                let from = below(rng, other.len());
                let to = (from + below(rng, 60)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let edge = EDGES[below(rng, EDGES.len())].to_le_bytes();
                bytes.iter_mut().skip(at).zip(edge).for_each(|(to, from)| *to = from);
            }
        }
    }
    bytes
}

/// Says which input it was when one of them fails.
struct Trying<'i>(String, &'i [u8]);

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("input {}: {:02x?}", self.0, self.1);
        }
    }
}

fn replayed(target: &str, call: fn(&[u8])) {
    let all = corpus(target);
    assert!(all.len() > 10, "{target}: {} files", all.len());
    for (name, bytes) in &all {
        let _trying = Trying(name.clone(), bytes);
        call(bytes);
    }
    let asked = std::env::var("PERSIST_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds = asked.map_or(ROUNDS, |rounds: u64| rounds / WORTH);
    let mut rng = Rng::new(seed());
    for round in 0..rounds {
        let bytes = changed(&all, &mut rng);
        let _trying = Trying(format!("{round} of seed {}", seed()), &bytes);
        call(&bytes);
    }
    println!("{target}: {} files, {rounds} changed", all.len());
    memory_is_bounded();
}

#[test]
fn any_files_never_panic_and_what_they_show_is_right_or_told() {
    replayed("open", open);
}

#[test]
fn any_run_never_panics() {
    replayed("run", run);
}

#[test]
fn any_operations_never_panic_and_leave_what_a_map_leaves() {
    replayed("operations", operations);
}
