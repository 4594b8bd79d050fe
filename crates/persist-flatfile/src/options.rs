//! What the options of an open mean here.

use persist_api::{Caps, Error, ErrorKind, Limits, Offer, OpenOptions, Result};

use crate::error::SCHEME;
use crate::timeline::AheadOptions;

/// Longest key.
pub(crate) const KEY_BYTES_MAX: u64 = 1 << 17;
/// Longest value, and most that a beat may stage: its small records are kept in memory, with offsets of 32 bits.
pub(crate) const BEAT_BYTES_MAX: u64 = 1 << 30;
/// Default of `views_max`.
const VIEWS_MAX: u64 = 4096;
/// Least ceiling: room for the two head slots, a segment and a run.
const STORE_BYTES_MIN: u64 = 256 << 10;
/// Bounds and default of the knob `memtable_bytes`.
const MEMTABLE_BYTES: (u64, u64, u64) = (4096, 32 << 20, 1 << 31);

const KNOBS: [&str; 5] =
    ["history_beats", "large_value_bytes", "maintenance", "memtable_bytes", "segment_step_bytes"];

/// Who does what can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// Threads of the engine.
    Threads,
    /// The thread whose call makes it due. The same calls then make the same disk operations in the same order.
    Inline,
}

/// Checked options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Beats before the newest that stay readable.
    pub(crate) history_beats: u64,
    /// Values of more bytes lie in payload segments.
    pub(crate) large_value_bytes: u64,
    /// A memtable of so many bytes becomes a run.
    pub(crate) memtable_bytes: u64,
    /// How far a timeline segment is filled with zeros ahead, at first.
    pub(crate) segment_step_bytes: u64,
    pub(crate) upkeep: Upkeep,
    /// What the feed may need stays until somebody says what it does need.
    pub(crate) keep_feed: bool,
    /// Ceiling of the store.
    pub(crate) store_bytes_max: u64,
}

impl Settings {
    pub(crate) fn of(options: &OpenOptions) -> Result<Self> {
        options.check_knobs(&KNOBS).map_err(|error| error.with_engine(SCHEME))?;
        let named = |error: Error| error.with_engine(SCHEME);
        let invalid = |what: String| named(Error::new(ErrorKind::Invalid, "open", what));
        let number = |name: &str, default: u64, least: u64, most: u64| {
            options.knob_number(name, default, least..=most).map_err(named)
        };
        let upkeep = match options.knobs.get("maintenance").map(String::as_str) {
            None | Some("threads") => Upkeep::Threads,
            Some("inline") => Upkeep::Inline,
            Some(text) => {
                return Err(invalid(format!("knob maintenance is {text:?}; it takes threads or inline")));
            }
        };
        let store_bytes_max = limits(options).store_bytes_max;
        if store_bytes_max < STORE_BYTES_MIN {
            return Err(invalid(format!(
                "store_bytes_max is {store_bytes_max}; the least is {STORE_BYTES_MIN}"
            )));
        }
        // What is only prepared must leave the better part of a small store to its records.
        let step = number("segment_step_bytes", 1 << 20, 4096, 1 << 30)?.min(store_bytes_max / 32);
        let (least, memtable_default, most) = MEMTABLE_BYTES;
        // Four memtables, a buffer to come for one, and what a flush or a merge reads and writes.
        let memtable_default = options
            .memory_bytes
            .map_or(memtable_default, |memory| (memory / 8).clamp(least, memtable_default));
        Ok(Self {
            history_beats: number("history_beats", 64, 0, u64::MAX)?,
            large_value_bytes: number("large_value_bytes", 64 << 10, 64, 1 << 24)?,
            memtable_bytes: number("memtable_bytes", memtable_default, least, most)?.min(store_bytes_max / 8),
            segment_step_bytes: step.max(4096) / 4096 * 4096,
            upkeep,
            keep_feed: options.keep_feed,
            store_bytes_max,
        })
    }

    /// Where a payload segment is full: small enough for a small store to give some back.
    pub(crate) fn payload_segment_bytes(&self) -> u64 {
        (self.store_bytes_max / 8).clamp(1 << 20, 256 << 20)
    }

    /// How far the timeline is prepared ahead.
    pub(crate) fn ahead(&self) -> AheadOptions {
        let step = self.segment_step_bytes;
        let step_max = step.saturating_mul(8);
        let longest = self.memtable_bytes.saturating_add(step_max).saturating_mul(2);
        AheadOptions {
            step,
            step_max,
            // A segment ends when its memtable is full.
            prepare_after: self.memtable_bytes / 2,
            prepare_late: self.memtable_bytes / 8 * 7,
            // A segment has a memtable's frames and zeros ahead of them. Below a ceiling no room is kept for later.
            spare_max: if self.store_bytes_max == u64::MAX { longest } else { 0 },
        }
    }

    /// What only deletes may use below the ceiling.
    pub(crate) fn reserve(&self) -> u64 {
        (self.store_bytes_max / 16).min(64 << 20)
    }
}

fn limits(options: &OpenOptions) -> Limits {
    Limits {
        key_bytes_max: KEY_BYTES_MAX,
        value_bytes_max: BEAT_BYTES_MAX,
        beat_bytes_max: BEAT_BYTES_MAX,
        views_max: options.views_max.unwrap_or(VIEWS_MAX),
        store_bytes_max: options.store_bytes_max.unwrap_or(u64::MAX),
    }
}

pub(crate) fn offer(options: &OpenOptions) -> Offer {
    Offer {
        engine: SCHEME,
        library: concat!("persist-flatfile ", env!("CARGO_PKG_VERSION")).to_owned(),
        format: 1,
        caps: Caps::BEAT_ATOMIC
            | Caps::PREFIX_SCAN
            | Caps::CHECKPOINT
            | Caps::COMPACTION
            | Caps::CRC32C
            | Caps::ORDERED
            | Caps::SNAPSHOT
            | Caps::DURABLE
            | Caps::BUFFERED
            | Caps::ZERO_COPY
            | Caps::READ_OWN
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS
            | Caps::HISTORY
            | Caps::BACKUP
            | Caps::FEED,
        limits: limits(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings> {
        let knobs = [(name.to_owned(), value.to_owned())].into();
        Settings::of(&OpenOptions { knobs, ..OpenOptions::default() })
    }

    #[test]
    fn wrong_options_are_named() {
        assert_eq!(with("history_beats", "0").unwrap().history_beats, 0);
        assert_eq!(with("maintenance", "inline").unwrap().upkeep, Upkeep::Inline);
        for (name, value) in [
            ("history_beats", "-1"),
            ("large_value_bytes", "63"),
            ("maintenance", "sometimes"),
            ("memtable_bytes", "32M"),
            ("segment_step_bytes", ""),
            ("compression", "lz4"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.context().contains(name), "{error}");
        }
        let tiny = OpenOptions { store_bytes_max: Some(STORE_BYTES_MIN - 1), ..OpenOptions::default() };
        assert_eq!(Settings::of(&tiny).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn little_memory_makes_small_memtables() {
        let settings = |memory_bytes, knob: Option<&str>| {
            let knobs =
                knob.map(|value| ("memtable_bytes".to_owned(), value.to_owned())).into_iter().collect();
            Settings::of(&OpenOptions { memory_bytes, knobs, ..OpenOptions::default() })
                .unwrap()
                .memtable_bytes
        };
        assert_eq!(settings(None, None), 32 << 20);
        assert_eq!(settings(Some(32 << 20), None), 4 << 20);
        assert_eq!(settings(Some(u64::MAX), None), 32 << 20);
        assert_eq!(settings(Some(0), None), 4096);
        assert_eq!(settings(Some(32 << 20), Some("65536")), 65536, "the knob goes before");
    }

    #[test]
    fn a_small_store_prepares_little() {
        let small = OpenOptions { store_bytes_max: Some(3 << 20), ..OpenOptions::default() };
        let settings = Settings::of(&small).unwrap();
        assert!(settings.segment_step_bytes <= 96 << 10 && settings.segment_step_bytes.is_multiple_of(4096));
        assert!(settings.memtable_bytes <= 384 << 10);
    }
}
