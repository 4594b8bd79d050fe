//! Progress bars on a terminal, and the way to stop: Ctrl-C asks the running verb to end, a second one ends the process.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use persist_api::{Error, ErrorKind, Observer, Progress};

use crate::fail::exit_code;

static STOP: AtomicBool = AtomicBool::new(false);
/// Set while the process only waits for input: then there is nothing to end first.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Shows how a long verb comes on, and stops it on Ctrl-C. Nothing is left half done: the verb ends as cancelled.
pub(crate) struct Watch {
    bar: ProgressBar,
    phase: Cell<&'static str>,
    total: Cell<Option<u64>>,
    /// There is a second line.
    noted: Cell<bool>,
}

impl Watch {
    /// Starts to watch. The bar goes to standard error, and only if that is a terminal and `quiet` is not set.
    pub(crate) fn new(quiet: bool) -> Self {
        // A second handler in the same process is refused; the first one does all that is needed.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) || WAITING.load(Ordering::SeqCst) {
                std::process::exit(i32::from(exit_code(ErrorKind::Cancelled)));
            }
        });
        let bar = ProgressBar::with_draw_target(
            None,
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() },
        );
        Self { bar, phase: Cell::new(""), total: Cell::new(None), noted: Cell::new(false) }
    }

    /// Fails when the user asked to stop.
    pub(crate) fn check(op: &'static str) -> persist_api::Result<()> {
        if STOP.load(Ordering::SeqCst) { Err(Error::cancelled(op)) } else { Ok(()) }
    }

    /// Does something that writes to the terminal, with the bar out of its way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        // Before the first report there is no bar, and suspending would draw one.
        if self.phase.get().is_empty() { write() } else { self.bar.suspend(write) }
    }

    /// Shows a second line below the bar, from the next report on.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.noted.set(true);
            self.bar.set_prefix(line());
        }
    }

    fn show(&self, progress: Progress) {
        let new_phase = self.phase.replace(progress.phase) != progress.phase;
        let new_total = self.total.replace(progress.total) != progress.total;
        if new_phase {
            self.bar.reset();
            self.bar.enable_steady_tick(Duration::from_millis(200));
            self.bar.set_message(format!("{} ({})", progress.phase, progress.unit));
        }
        if new_phase || new_total {
            let template = match progress.total {
                Some(_) => "{spinner} {msg} [{bar:30}] {human_pos}/{human_len}, {rate}, {eta} left",
                None => "{spinner} {msg} {human_pos}",
            };
            let note = if self.noted.get() { "\n  {prefix}" } else { "" };
            if let Ok(style) = ProgressStyle::with_template(&format!("{template}{note}")) {
                let rate = |state: &ProgressState, into: &mut dyn fmt::Write| {
                    let _ = write!(into, "{:.0} a second", state.per_sec());
                };
                self.bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
            }
            self.bar.set_length(progress.total.unwrap_or_default());
        }
        self.bar.set_position(progress.done);
    }
}

/// Reads from somebody who may never write. Ctrl-C meanwhile ends the process at once.
pub(crate) fn waiting<T>(op: &'static str, read: impl FnOnce() -> T) -> persist_api::Result<T> {
    WAITING.store(true, Ordering::SeqCst);
    // Whoever pressed before the line above is noticed here, whoever presses after it ends the process.
    let done = Watch::check(op).map(|()| read());
    WAITING.store(false, Ordering::SeqCst);
    done
}

/// Opens a file and reads it. What is no regular file, as a named pipe, may never give anything, and is [`waiting`] for.
pub(crate) fn opened<T>(
    op: &'static str,
    path: &Path,
    read: impl FnOnce(File) -> io::Result<T>,
) -> persist_api::Result<io::Result<T>> {
    let read = || File::open(path).and_then(read);
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) { waiting(op, read) } else { Ok(read()) }
}

impl Observer for Watch {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        if STOP.load(Ordering::SeqCst) {
            return ControlFlow::Break(());
        }
        if !self.bar.is_hidden() {
            self.show(progress);
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
