//! Where and when a run took place.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::contender::Entrant;
use crate::disk::file_system;
use crate::pressure;
use crate::record::Run;
use crate::session::Plan;

/// Describes this run.
pub(crate) fn run(plan: &Plan, dir: &Path, entrants: &[Entrant]) -> Run {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown CPU");
    let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let machine = format!(
        "{cpus} × {}, Linux {}, {}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        file_system(dir)
    );
    let source = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let source = source.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned());
    let named = |entrant: &Entrant| (entrant.name.to_owned(), entrant.settings.to_owned());
    Run {
        started: now(),
        plan: format!("{}{}", plan.name, if plan.gated { "" } else { ", **ungated: says nothing**" }),
        source: source.ok().filter(|source| !source.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
        machine,
        load: pressure::load(),
        entrants: entrants.iter().map(named).collect(),
        versions: versions(include_str!("../../../Cargo.lock")),
    }
}

/// The packages of contenders that are not ours.
const LIBRARIES: [&str; 9] = [
    "fjall",
    "heed",
    "librocksdb-sys",
    "libsqlite3-sys",
    "lmdb-master-sys",
    "redb",
    "rocksdb",
    "rusqlite",
    "sled",
];

/// What a lock file says about them.
fn versions(lock: &str) -> Vec<(String, String)> {
    let value = |line: Option<&str>, key: &str| {
        line?.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned)
    };
    let package = |text: &str| {
        let mut lines = text.trim_start().lines();
        Some((value(lines.next(), "name")?, value(lines.next(), "version")?))
    };
    let found = lock.split("[[package]]").filter_map(package);
    found.filter(|(name, _)| LIBRARIES.contains(&name.as_str())).collect()
}

/// Date and time in UTC.
pub(crate) fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 3_600, of_day / 60 % 60)
}

/// The date so many days after 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::date(0), (1970, 1, 1));
        assert_eq!(super::date(11_016), (2000, 2, 29));
        assert_eq!(super::date(19_723), (2024, 1, 1));
        assert_eq!(super::date(20_088), (2024, 12, 31));
    }

    #[test]
    fn every_library_of_a_contender_has_a_version() {
        let found = super::versions(include_str!("../../../Cargo.lock"));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, super::LIBRARIES);
        assert!(
            found.iter().all(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit())),
            "{found:?}"
        );
    }
}
