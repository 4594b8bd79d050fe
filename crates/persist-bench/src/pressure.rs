//! Whether the machine was busy with something else.
//!
//! Linux' pressure figures say that somebody waited, not for whom. A workload with eight threads on two cores, or a
//! library that compacts in the background, makes pressure by itself. So a sample counts as disturbed only if there was
//! pressure and processes other than this one used the CPU.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// More pressure than this may disturb, in percent.
const PRESSURE_MAX: f64 = 10.0;
/// More of all CPUs than this in foreign hands is the reason, in percent.
const FOREIGN_MAX: f64 = 5.0;
/// Ticks of ten milliseconds need some time to say anything.
const WINDOW: Duration = Duration::from_millis(500);

/// What was seen around one sample.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Pressure {
    /// The share of the last ten seconds in which some task waited for a CPU, in percent.
    pub(crate) cpu: f64,
    /// The same for I/O. A benchmark that syncs makes this figure itself, so it is published but drops nothing.
    pub(crate) io: f64,
    /// The share of all CPUs that other processes and the hypervisor took, in percent.
    pub(crate) foreign: f64,
}

impl Pressure {
    /// True if the sample cannot be trusted.
    #[must_use]
    pub(crate) fn disturbs(&self) -> bool {
        self.cpu > PRESSURE_MAX && self.foreign > FOREIGN_MAX
    }

    /// The worse of both, figure by figure.
    #[must_use]
    pub(crate) fn worse(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            io: self.io.max(other.io),
            foreign: self.foreign.max(other.foreign),
        }
    }
}

/// Reads the figures again and again.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    past: VecDeque<(Instant, Ticks)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    busy: f64,
    all: f64,
    own: f64,
}

impl Meter {
    /// The figures now; the share of others since half a second ago or the oldest reading.
    pub(crate) fn read(&mut self) -> Pressure {
        let now = (Instant::now(), ticks());
        while self.past.get(1).is_some_and(|(then, _)| now.0 - *then >= WINDOW) {
            self.past.pop_front();
        }
        self.past.push_back(now);
        let then = self.past.front().map_or(now.1, |(_, ticks)| *ticks);
        let (busy, own, all) = (now.1.busy - then.busy, now.1.own - then.own, now.1.all - then.all);
        let foreign = if all > 0.0 { ((busy - own) / all * 100.0).clamp(0.0, 100.0) } else { 0.0 };
        Pressure { cpu: average("/proc/pressure/cpu"), io: average("/proc/pressure/io"), foreign }
    }
}

fn ticks() -> Ticks {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let cpu: Vec<f64> = stat.lines().next().map(numbers).unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guests are part of user. Interrupts belong to whoever reads and writes,
    // so a workload that syncs makes them itself, and they count for nobody.
    let all: f64 = cpu.iter().take(8).sum();
    let idle: f64 = cpu.iter().skip(3).take(4).sum();
    let own = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name in brackets: user and system time of this process and of the children it waited for.
    let own = own.rsplit_once(')').map_or(0.0, |(_, rest)| {
        rest.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<f64>().ok()).sum()
    });
    Ticks { busy: all - idle, all, own }
}

fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Runnable tasks of the last minute, on average.
#[must_use]
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    numbers(&text).first().copied().unwrap_or(0.0)
}

/// The CPU pressure of the last ten seconds, in percent; 0 where the system does not say.
#[must_use]
pub(crate) fn cpu() -> f64 {
    average("/proc/pressure/cpu")
}

fn average(path: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let some = text.lines().find(|line| line.starts_with("some")).unwrap_or_default();
    let value = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="));
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}
