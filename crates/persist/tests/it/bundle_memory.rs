//! Bundles stream: a store that is larger by far than what export and import may take of memory.
//!
//! What lies in files that are mapped is not counted: it is the system's cache, as for files that are read.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use persist::{
    BundleLimits, Durability, Observer, OpenOptions, Options, Progress, Quiet, default_request, read_bundle,
};

use crate::kit::{Place, durable_places};

/// The promise.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// 0.27 GB; `PERSIST_BUNDLE_RECORDS=70000` makes it 1.05.
const RECORDS: u64 = 18_000;
const VALUE_BYTES: usize = 15_000;
/// What a child is to do: verb, address, bundle.
const ASKED: &str = "PERSIST_TEST_BUNDLE_MEMORY";

/// Looks how much anonymous memory the process has, as the work goes on.
#[derive(Default)]
struct Peak {
    looks: AtomicU64,
    bytes: AtomicU64,
}

impl Peak {
    fn look(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let kibibytes: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        self.bytes.fetch_max(kibibytes << 10, Ordering::Relaxed);
    }
}

impl Observer for Peak {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        if self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) {
            self.look();
        }
        ControlFlow::Continue(())
    }
}

fn records() -> u64 {
    std::env::var("PERSIST_BUNDLE_RECORDS").ok().and_then(|records| records.parse().ok()).unwrap_or(RECORDS)
}

/// A store that was closed, larger by far than what may be taken of memory.
fn fill(url: &str) {
    let (mut writer, store) = persist::open(url).unwrap().negotiate(&default_request()).unwrap();
    let mut value = vec![0; VALUE_BYTES];
    for first in (0..records()).step_by(100) {
        let mut beat = writer.begin(Durability::Buffered).unwrap();
        for n in first..first + 100 {
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
    let (peak, bundle) = (Peak::default(), Path::new(bundle));
    if verb == "import" {
        let opened = persist::open(url).unwrap();
        opened.import(bundle, &default_request(), &BundleLimits::default(), &peak).unwrap();
    } else {
        // The caches of the engine are what the store was opened with.
        let engine = OpenOptions { memory_bytes: Some(32 << 20), ..OpenOptions::default() };
        let opened = persist::open_with(url, &Options::default().engine(engine)).unwrap();
        let (_writer, store) = opened.negotiate(&default_request()).unwrap();
        store.export(bundle, &peak).unwrap();
    }
    peak.look();
    println!("looks {} peak {}", peak.looks.into_inner(), peak.bytes.into_inner());
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
    println!("{verb} {}: {} KiB", place.scheme, numbers[1] >> 10);
    assert!(numbers[0] > 500, "{verb} {}: {told}", place.scheme);
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
