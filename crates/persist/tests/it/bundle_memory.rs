//! Bundles stream: a store that is larger by far than what export and import may take of memory.
//!
//! What lies in files that are mapped is not counted: it is the system's cache, as for files that are read.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use persist::{BundleLimits, Durability, OpenOptions, Options, Quiet, default_request, read_bundle};

use crate::kit::{Place, durable_places};

/// The promise.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// Of values, unless `PERSIST_BUNDLE_RECORDS` says how many there are.
const BYTES: u64 = 270_000_000;
/// `PERSIST_BUNDLE_VALUE_BYTES` makes it another size.
const VALUE_BYTES: u64 = 15_000;
/// Bytes of values in a beat.
const BEAT_BYTES: u64 = 1_500_000;
/// What a child is to do: verb, address, bundle.
const ASKED: &str = "PERSIST_TEST_BUNDLE_MEMORY";

/// The most anonymous memory that the process had, and how often that was looked at.
#[derive(Default)]
struct Peak {
    looks: u64,
    bytes: u64,
}

impl Peak {
    fn look(&mut self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let kibibytes: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        self.bytes = self.bytes.max(kibibytes << 10);
        self.looks += 1;
    }

    /// Looks all the time, from a thread of its own: memory may be there for a moment only.
    fn during(work: impl FnOnce()) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let watch = thread::spawn(move || {
            let mut peak = Self::default();
            while !over.load(Ordering::Relaxed) {
                peak.look();
                thread::sleep(Duration::from_millis(1));
            }
            peak.look();
            peak
        });
        work();
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap()
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// A store that was closed, larger by far than what may be taken of memory.
fn fill(url: &str) {
    let value_bytes = number("PERSIST_BUNDLE_VALUE_BYTES").unwrap_or(VALUE_BYTES);
    let records = number("PERSIST_BUNDLE_RECORDS").unwrap_or(BYTES / value_bytes);
    let (mut writer, store) = persist::open(url).unwrap().negotiate(&default_request()).unwrap();
    let mut value = vec![0; usize::try_from(value_bytes).unwrap()];
    let each = (BEAT_BYTES / value_bytes).max(1);
    for first in (0..records).step_by(usize::try_from(each).unwrap()) {
        let mut beat = writer.begin(Durability::Buffered).unwrap();
        for n in first..records.min(first + each) {
            blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut value);
            beat.put(&n.to_be_bytes(), &value).unwrap();
        }
        beat.commit().unwrap();
    }
    store.checkpoint().unwrap();
}

/// What a child does, in a process of its own.
fn act(asked: &str) {
    let mut words = asked.split(' ');
    let (verb, url, bundle) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let bundle = Path::new(bundle);
    let peak = Peak::during(|| {
        if verb == "import" {
            let opened = persist::open(url).unwrap();
            opened.import(bundle, &default_request(), &BundleLimits::default(), &Quiet).unwrap();
        } else {
            // The caches of the engine are what the store was opened with.
            let engine = OpenOptions { memory_bytes: Some(32 << 20), ..OpenOptions::default() };
            let opened = persist::open_with(url, &Options::default().engine(engine)).unwrap();
            let (_writer, store) = opened.negotiate(&default_request()).unwrap();
            store.export(bundle, &Quiet).unwrap();
        }
    });
    println!("looks {} peak {}", peak.looks, peak.bytes);
}

fn take(verb: &str, place: &Place, bundle: &Path) {
    let name = "bundle_memory::exports_and_imports_take_little_memory";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ASKED, format!("{verb} {} {}", place.url(), bundle.display()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{verb} {}: {text}{}",
        place.scheme,
        String::from_utf8_lossy(&output.stderr)
    );
    let told = text.lines().find(|line| line.starts_with("looks ")).unwrap();
    let numbers: Vec<u64> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
    println!("{verb} {}: {} KiB in {} looks", place.scheme, numbers[1] >> 10, numbers[0]);
    assert!(numbers[0] > 50, "{verb} {}: {told}", place.scheme);
    assert!(numbers[1] < MEMORY_BYTES_MAX, "{verb} {}: {told}", place.scheme);
}

#[test]
fn exports_and_imports_take_little_memory() {
    if let Ok(asked) = std::env::var(ASKED) {
        return act(&asked);
    }
    let places = durable_places();
    let Some(first) = places.first() else { return };
    let bundle = first.dir.path().join("bundle");
    let source =
        Place { dir: tempfile::tempdir().unwrap(), scheme: first.scheme, options: Options::default() };
    fill(&source.url());
    take("export", &source, &bundle);
    assert!(std::fs::metadata(&bundle).unwrap().len() > 4 * MEMORY_BYTES_MAX);
    for place in &places {
        take("import", place, &bundle);
        let again = place.dir.path().join("again");
        take("export", place, &again);
        let ids = [&bundle, &again]
            .map(|file| read_bundle(&persist::RealDisk, file, &BundleLimits::default(), &Quiet).unwrap().id);
        assert_eq!(ids[0], ids[1], "{}", place.scheme);
        std::fs::remove_file(again).unwrap();
    }
}
