//! Sizes and times as text: whole numbers with a unit.

use std::fmt;
use std::time::Duration;

/// A number of bytes, written as a whole number or with a unit, as `"64 MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u128); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// In nanoseconds.
const TIME_UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * NANOS),
    ("h", 3_600 * NANOS),
    ("min", 60 * NANOS),
    ("s", NANOS),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
const NANOS: u128 = 1_000_000_000;
/// The longest time that is read and written.
const TIME_MAX: Duration = Duration::from_millis(u64::MAX);

impl Bytes {
    /// So many mebibytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// A whole number with a unit.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        of_unit(text, &BYTE_UNITS)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_unit(self.0.into(), &BYTE_UNITS))
    }
}

/// The number in the largest unit that gives a whole one.
fn with_unit(number: u128, units: &[(&str, u128)]) -> String {
    let exact = units.iter().find(|(_, unit)| number > 0 && number.is_multiple_of(*unit));
    let (name, unit) = exact.or(units.last()).copied().unwrap_or(("", 1));
    format!("{} {name}", number / unit.max(1))
}

/// A whole number and a unit, with or without a space between them.
fn of_unit(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, name) = text.split_at_checked(digits)?;
    let name = name.strip_prefix(' ').unwrap_or(name);
    let (_, unit) = units.iter().find(|(unit, _)| *unit == name)?;
    number.parse::<u128>().ok()?.checked_mul(*unit)
}

/// A whole number with a unit.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let nanos = of_unit(text, &TIME_UNITS).filter(|nanos| *nanos <= TIME_MAX.as_nanos())?;
    Some(Duration::new(u64::try_from(nanos / NANOS).ok()?, u32::try_from(nanos % NANOS).ok()?))
}

/// In the largest unit that gives a whole number.
pub(crate) fn time_text(time: Duration) -> String {
    if time.is_zero() { "0 s".to_owned() } else { with_unit(time.min(TIME_MAX).as_nanos(), &TIME_UNITS) }
}
