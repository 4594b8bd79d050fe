//! The anonymous memory of this process, sampled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of anonymous memory now: what is the process' own and no file's.
#[must_use]
pub(crate) fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Watches for the peak in a thread.
pub(crate) struct Peak {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    over: AtomicBool,
    peak: AtomicU64,
}

impl Peak {
    /// Begins to look every five milliseconds.
    #[must_use]
    pub(crate) fn watch() -> Self {
        let shared = Arc::new(Shared { over: AtomicBool::new(false), peak: AtomicU64::new(anonymous()) });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !theirs.over.load(Ordering::Acquire) {
                theirs.peak.fetch_max(anonymous(), Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Ends and answers the peak in bytes.
    #[must_use]
    pub(crate) fn end(mut self) -> u64 {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // The thread does not panic; if it did, the figure until then stands.
            let _ = thread.join();
        }
        self.shared.peak.load(Ordering::Acquire).max(anonymous())
    }
}
