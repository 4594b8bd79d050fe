//! What the options of an open mean for LMDB.

use persist_api::{Caps, Error, ErrorKind, Limits, Offer, OpenOptions, Result};

use crate::bounds::KEY_BYTES_MAX;
use crate::driver::SCHEME;

/// Ceilings are kept in these steps, a multiple of every page size in use.
const STEP: u64 = 64 << 10;
/// Default ceiling: address space only, which is plentiful on 64 bit.
const CEILING: u64 = if usize::BITS >= 64 { 1 << 40 } else { 1 << 30 };
/// A map that was not asked for by size is not made smaller than this.
const MAP_MIN: u64 = 1 << 20;
/// Default of `views_max`; LMDB keeps a table with one line of 64 bytes for each.
const VIEWS_MAX: u64 = 1024;
/// Most that can be asked for, so that the table stays below 64 MiB.
const VIEWS_CEILING: u64 = 1 << 20;
/// Reader slots for the engine's own use beside those of views: copies, figures, checks.
const OWN_READERS: u64 = 16;
/// Longest value that LMDB's page format can describe.
const VALUE_BYTES_MAX: u64 = 0xffff_ffff;
/// Default of `check_bytes`.
const CHECK_BYTES: u64 = 16 << 20;

const KNOBS: [&str; 2] = ["check_bytes", "readahead"];

/// Checked options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Bytes of the map to reserve.
    pub(crate) map_bytes: u64,
    /// The size was asked for, so that a smaller one will not do.
    pub(crate) map_is_fixed: bool,
    /// Lines of the table of readers.
    pub(crate) readers_max: u32,
    /// Data files up to this many bytes are checked page by page when opened.
    pub(crate) check_bytes: u64,
    /// Whether the system may read ahead of page faults.
    pub(crate) readahead: bool,
}

impl Settings {
    pub(crate) fn of(options: &OpenOptions) -> Result<Self> {
        options.check_knobs(&KNOBS).map_err(|error| error.with_engine(SCHEME))?;
        let invalid = |what: String| Error::new(ErrorKind::Invalid, "open", what).with_engine(SCHEME);
        if let Some(bytes) = options.store_bytes_max.filter(|bytes| *bytes < STEP) {
            return Err(invalid(format!("store_bytes_max is {bytes}; the least is {STEP}")));
        }
        let check_bytes = options.knob_number("check_bytes", CHECK_BYTES, 0..=u64::MAX);
        let readahead = options.knob_switch("readahead", true);
        let limits = limits(options);
        Ok(Self {
            map_bytes: limits.store_bytes_max,
            map_is_fixed: options.store_bytes_max.is_some(),
            readers_max: u32::try_from(limits.views_max.saturating_add(OWN_READERS)).unwrap_or(u32::MAX),
            check_bytes: check_bytes.map_err(|error| error.with_engine(SCHEME))?,
            readahead: readahead.map_err(|error| error.with_engine(SCHEME))?,
        })
    }

    /// The sizes of map to try, largest first.
    pub(crate) fn maps(&self) -> impl Iterator<Item = u64> + use<> {
        let least = if self.map_is_fixed { self.map_bytes } else { MAP_MIN };
        std::iter::successors(Some(self.map_bytes), |bytes| Some(bytes / 2))
            .take_while(move |bytes| *bytes >= least)
    }
}

fn limits(options: &OpenOptions) -> Limits {
    let address_space = (usize::MAX as u64) / 2;
    let ceiling = options.store_bytes_max.unwrap_or(CEILING).min(address_space);
    Limits {
        key_bytes_max: KEY_BYTES_MAX as u64,
        value_bytes_max: VALUE_BYTES_MAX,
        beat_bytes_max: u64::MAX,
        views_max: options.views_max.unwrap_or(VIEWS_MAX).min(VIEWS_CEILING),
        store_bytes_max: ceiling / STEP * STEP,
    }
}

pub(crate) fn offer(options: &OpenOptions) -> Offer {
    let version = heed::lmdb_version();
    Offer {
        engine: SCHEME,
        library: format!("LMDB {}.{}.{}", version.major, version.minor, version.patch),
        format: 1,
        caps: Caps::BEAT_ATOMIC
            | Caps::PREFIX_SCAN
            | Caps::CHECKPOINT
            | Caps::COMPACTION
            | Caps::ORDERED
            | Caps::SNAPSHOT
            | Caps::DURABLE
            | Caps::BUFFERED
            | Caps::ZERO_COPY
            | Caps::READ_OWN
            | Caps::DELETE_RANGE
            | Caps::BACKUP,
        limits: limits(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_kept_and_the_default_gives_way() {
        let asked = OpenOptions { store_bytes_max: Some(10_000_000), ..OpenOptions::default() };
        let settings = Settings::of(&asked).unwrap();
        assert_eq!(settings.maps().collect::<Vec<_>>(), [152 * STEP]);
        assert_eq!(offer(&asked).limits.store_bytes_max, 152 * STEP);
        let maps: Vec<u64> = Settings::of(&OpenOptions::default()).unwrap().maps().collect();
        assert_eq!((maps[0], *maps.last().unwrap()), (CEILING, MAP_MIN));
        assert!(maps.iter().all(|bytes| bytes.is_multiple_of(STEP)));
    }

    #[test]
    fn wrong_options_are_named() {
        let with = |name: &str, value: &str| {
            let knobs = [(name.to_owned(), value.to_owned())].into();
            Settings::of(&OpenOptions { knobs, ..OpenOptions::default() })
        };
        assert_eq!(with("check_bytes", "0").unwrap().check_bytes, 0);
        assert!(!with("readahead", "off").unwrap().readahead);
        for (name, value) in [("check_bytes", "-1"), ("readahead", "maybe"), ("map_async", "1")] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.context().contains(name), "{error}");
        }
        let tiny = OpenOptions { store_bytes_max: Some(STEP - 1), ..OpenOptions::default() };
        assert_eq!(Settings::of(&tiny).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn views_beyond_the_table_are_not_promised() {
        let many = OpenOptions { views_max: Some(u64::MAX), ..OpenOptions::default() };
        assert_eq!(offer(&many).limits.views_max, VIEWS_CEILING);
        assert_eq!(u64::from(Settings::of(&many).unwrap().readers_max), VIEWS_CEILING + OWN_READERS);
    }
}
