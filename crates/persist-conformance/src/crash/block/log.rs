//! The log of a disk, as dm-log-writes and the `blklogwrites` driver of QEMU write it: every write, discard and flush that
//! the disk was asked for, in the order in which they were done.
//!
//! Little-endian numbers. The first sector begins with magic, version, number of entries (8 bytes each) and the size of a
//! sector (4 bytes). Each entry begins a sector with its own head of four numbers of 8 bytes: first sector, number of
//! sectors, flags, length of a mark. The sectors of a write follow their head; nothing follows a flush, a discard or a mark.

use std::ops::Range;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// Bytes of the first sector that mean something.
pub(super) const HEAD_LEN: usize = 28;
const ENTRY_LEN: usize = 32;
/// Flags of an entry.
pub(super) const FLUSH: u64 = 1;
pub(super) const THROUGH: u64 = 2;
pub(super) const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// Why a log of a disk cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It does not begin as such a log does.
    #[error("the log of the disk begins with {found:#018x} instead of {MAGIC:#018x}")]
    Magic {
        /// Its first eight bytes.
        found: u64,
    },
    /// Its form is another one.
    #[error("the log of the disk has version {found}, not {VERSION}")]
    Version {
        /// The version it names.
        found: u64,
    },
    /// The size of its sectors is no power of two from 512 to 65,536.
    #[error("the log of the disk has sectors of {found} bytes")]
    SectorSize {
        /// The size it names.
        found: u32,
    },
    /// It ends before what it says it holds.
    #[error("the log of the disk ends at byte {len}; entry {entry} goes on to byte {need}")]
    Truncated {
        /// The entry, from 0.
        entry: u64,
        /// Where the entry ends.
        need: u64,
        /// Where the log ends.
        len: u64,
    },
    /// It is too short for its head.
    #[error("the log of the disk has only {len} bytes")]
    Headless {
        /// Its length.
        len: u64,
    },
    /// An entry writes where the disk has ended.
    #[error("entry {entry} of the log writes up to byte {end} of a disk of {disk}")]
    Beyond {
        /// The entry, from 0.
        entry: u64,
        /// Where its write ends.
        end: u64,
        /// Where the disk ends.
        disk: u64,
    },
}

/// What the disk was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    flags: u64,
    /// First byte of the disk.
    pub(super) offset: u64,
    /// Bytes written or discarded; 0 for a plain flush or mark.
    pub(super) len: u64,
    data: Range<usize>,
}

impl Entry {
    /// Everything before it is durable once it is done.
    pub(super) fn flushes(&self) -> bool {
        self.flags & FLUSH != 0
    }

    /// It is durable itself once it is done.
    pub(super) fn goes_through(&self) -> bool {
        self.flags & THROUGH != 0
    }

    pub(super) fn discards(&self) -> bool {
        self.flags & DISCARD != 0
    }
}

/// A whole log, checked.
#[derive(Debug)]
pub(super) struct Log {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// The first sector.
struct Head {
    entries: u64,
    sector: u64,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let headless = LogError::Headless { len: bytes.len() as u64 };
        let found = number(bytes, 0).ok_or(headless)?;
        if found != MAGIC {
            return Err(LogError::Magic { found });
        }
        let version = number(bytes, 8).ok_or(headless)?;
        if version != VERSION {
            return Err(LogError::Version { found: version });
        }
        let entries = number(bytes, 16).ok_or(headless)?;
        let size = bytes.get(24..HEAD_LEN).and_then(|size| <[u8; 4]>::try_from(size).ok());
        let size = u32::from_le_bytes(size.ok_or(headless)?);
        if !size.is_power_of_two() || !(512..=65_536).contains(&size) {
            return Err(LogError::SectorSize { found: size });
        }
        Ok(Self { entries, sector: u64::from(size) })
    }
}

/// How many entries a log has, by its first sector.
pub(super) fn entries(head: &[u8]) -> Result<u64, LogError> {
    Head::parse(head).map(|head| head.entries)
}

impl Log {
    /// Reads the log of a disk of `disk` bytes.
    pub(super) fn parse(bytes: Vec<u8>, disk: u64) -> Result<Self, LogError> {
        let head = Head::parse(&bytes)?;
        let len = bytes.len() as u64;
        let (mut entries, mut at) = (Vec::new(), head.sector);
        for entry in 0..head.entries {
            let cut = |need| LogError::Truncated { entry, need, len };
            let start = usize::try_from(at).map_err(|_| cut(at))?;
            let field = |index: usize| start.checked_add(index).and_then(|from| number(&bytes, from));
            let (Some(first), Some(sectors), Some(flags)) = (field(0), field(8), field(16)) else {
                return Err(cut(at.saturating_add(ENTRY_LEN as u64)));
            };
            at = at.saturating_add(head.sector);
            let (offset, size) = (first.saturating_mul(head.sector), sectors.saturating_mul(head.sector));
            let size = if flags & MARK == 0 { size } else { 0 };
            let end = offset.saturating_add(size);
            if size > 0 && end > disk {
                return Err(LogError::Beyond { entry, end, disk });
            }
            let follows = if flags & DISCARD == 0 { size } else { 0 };
            let need = at.saturating_add(follows);
            if need > len {
                return Err(cut(need));
            }
            let data = usize::try_from(at).unwrap_or(0)..usize::try_from(need).unwrap_or(0);
            at = need;
            entries.push(Entry { flags, offset, len: size, data });
        }
        Ok(Self { bytes, entries })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What an entry writes; nothing for a flush or a discard.
    pub(super) fn data(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.data.clone()).unwrap_or_default()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    <[u8; 8]>::try_from(field).ok().map(u64::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const PLAIN: u64 = 0;

    /// One entry for [`log_of`]: first sector, flags, number of sectors, and the byte that they are filled with.
    pub(crate) type Wanted = (u64, u64, u64, u8);

    /// A log with sectors of 512 bytes.
    pub(crate) fn log_of(wanted: &[Wanted]) -> Vec<u8> {
        let mut log = Vec::new();
        for number in [MAGIC, VERSION, wanted.len() as u64] {
            log.extend(number.to_le_bytes());
        }
        log.extend(512_u32.to_le_bytes());
        log.resize(512, 0);
        for (first, flags, sectors, fill) in wanted {
            let start = log.len();
            for number in [*first, *sectors, *flags, 0] {
                log.extend(number.to_le_bytes());
            }
            log.resize(start + 512, 0);
            if flags & DISCARD == 0 {
                log.resize(log.len() + usize::try_from(*sectors).unwrap() * 512, *fill);
            }
        }
        log
    }

    #[test]
    fn reads_what_was_logged() {
        let bytes = log_of(&[(2, PLAIN, 3, 7), (0, FLUSH, 0, 0), (4, DISCARD, 2, 0), (1, THROUGH, 1, 9)]);
        assert_eq!(entries(&bytes[..HEAD_LEN]), Ok(4));
        let log = Log::parse(bytes, 8 * 512).unwrap();
        assert_eq!(log.len(), 4);
        let shape: Vec<_> = log
            .entries()
            .iter()
            .map(|entry| (entry.offset, entry.len, log.data(entry).len(), entry.flushes(), entry.discards()))
            .collect();
        let wanted = [
            (1024, 1536, 1536, false, false),
            (0, 0, 0, true, false),
            (2048, 1024, 0, false, true),
            (512, 512, 512, false, false),
        ];
        assert_eq!(shape, wanted);
        assert!(log.data(&log.entries()[0]).iter().all(|byte| *byte == 7));
        assert!(log.entries()[3].goes_through() && !log.entries()[0].goes_through());
    }

    #[test]
    fn what_is_no_log_is_named() {
        let good = log_of(&[(0, PLAIN, 1, 1)]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Log::parse(bytes, 4096).unwrap_err()
        };
        assert!(matches!(with(0, 0), LogError::Magic { found } if found != MAGIC));
        assert_eq!(with(8, 2), LogError::Version { found: 2 });
        assert_eq!(with(24, 1), LogError::SectorSize { found: 513 });
        for len in 0..HEAD_LEN {
            let error = Log::parse(good[..len].to_vec(), 4096).unwrap_err();
            assert_eq!(error, LogError::Headless { len: len as u64 });
        }
    }

    #[test]
    fn a_log_that_ends_too_early_is_named_with_its_entry() {
        let good = log_of(&[(0, PLAIN, 1, 1), (1, PLAIN, 2, 2)]);
        assert!(Log::parse(good.clone(), 4096).is_ok());
        let len = good.len() as u64;
        for missing in 1..=1024 {
            let error = Log::parse(good[..good.len() - missing].to_vec(), 4096).unwrap_err();
            assert_eq!(error, LogError::Truncated { entry: 1, need: len, len: len - missing as u64 });
        }
        let mut boasting = good;
        boasting[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(Log::parse(boasting, 4096), Err(LogError::Truncated { entry: 2, .. })));
    }

    #[test]
    fn an_entry_beyond_the_disk_is_named() {
        let at = |first, sectors| Log::parse(log_of(&[(0, PLAIN, 1, 1), (first, DISCARD, sectors, 0)]), 4096);
        assert!(at(6, 2).is_ok());
        let beyond = at(7, 2).unwrap_err();
        assert_eq!(beyond, LogError::Beyond { entry: 1, end: 9 * 512, disk: 4096 });
        for (first, sectors) in [(u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert!(matches!(at(first, sectors), Err(LogError::Beyond { entry: 1, .. })));
        }
        let marked = Log::parse(log_of(&[(u64::MAX, MARK | DISCARD, u64::MAX, 0)]), 4096).unwrap();
        assert_eq!((marked.entries()[0].len, marked.data(&marked.entries()[0]).len()), (0, 0));
    }
}
