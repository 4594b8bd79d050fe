//! What can go wrong, and when.

use rustix::io::Errno;

use super::Op;

/// What the operating system says when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The medium failed (EIO).
    Io,
    /// No space is left (ENOSPC).
    NoSpace,
    /// A signal came (EINTR). Where it is legal to try again the seam does, once per fault, and nothing is seen of it.
    Interrupted,
}

impl Code {
    pub(super) const fn errno(self) -> Errno {
        match self {
            Self::Io => Errno::IO,
            Self::NoSpace => Errno::NOSPC,
            Self::Interrupted => Errno::INTR,
        }
    }
}

/// What a failed sync did with the bytes it had to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forgot {
    /// None arrived and all count as written: readers see them, the disk does not have them, the next sync succeeds.
    All,
    /// Some sectors arrived, chosen by this seed; the rest as with `All`.
    Some(u64),
}

/// One thing that goes wrong at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The machine stops before the operation has any effect.
    CrashBefore,
    /// The machine stops after its effect, before its answer.
    CrashAfter,
    /// It fails; with its effect or without.
    Error {
        /// What the operating system says.
        code: Code,
        /// Whether it had its effect all the same.
        applied: bool,
    },
    /// A write takes only this many bytes at once. With a code the rest fails with it; without, the seam writes the rest.
    ShortWrite {
        /// Bytes that are taken.
        bytes: u64,
        /// How the rest fails.
        then: Option<Code>,
    },
    /// A read gives only this many bytes at once; the seam reads the rest.
    ShortRead {
        /// Bytes that are given.
        bytes: u64,
    },
    /// A sync of a file fails and what it had to write counts as written. Of a directory: it fails without effect.
    SyncForgets(Forgot),
    /// A sync says that all is well and does nothing.
    SyncLies,
    /// A read or mapping gets one bit turned over (counted in what is read; modulo its length). The disk is right.
    FlipRead {
        /// Which bit.
        bit: u64,
    },
    /// A read or mapping gets what its sectors held before the last write to each of them. The disk is right.
    StaleRead {
        /// Only this sector (counted in what is read; modulo their number). Without it all of them.
        only: Option<u64>,
    },
    /// The bytes of a write arrive this many bytes further on the disk, within the file, or nowhere if that is outside.
    Misdirect {
        /// How far.
        by: i64,
    },
    /// The bytes of a write never arrive on the disk, though a sync says so.
    LoseWrite,
}

impl Fault {
    /// True when it means something for this kind of operation; where it does not, nothing happens.
    #[must_use]
    pub const fn fits(self, op: Op) -> bool {
        match self {
            Self::CrashBefore | Self::CrashAfter => true,
            Self::Error { code: Code::NoSpace, .. } => op.changes(),
            Self::Error { code: Code::Io | Code::Interrupted, applied } => !applied || op.changes(),
            Self::ShortWrite { .. } | Self::Misdirect { .. } | Self::LoseWrite => matches!(op, Op::Write),
            Self::ShortRead { .. } => matches!(op, Op::Read),
            Self::FlipRead { .. } | Self::StaleRead { .. } => matches!(op, Op::Read | Op::Map),
            Self::SyncForgets(_) | Self::SyncLies => op.syncs(),
        }
    }

    /// True when the seam hides it, so that nothing may come of it.
    #[must_use]
    pub const fn hidden(self, op: Op) -> bool {
        match self {
            Self::Error { code: Code::Interrupted, applied: false } => !op.syncs() && !op.names(),
            Self::ShortWrite { then: None | Some(Code::Interrupted), .. } | Self::ShortRead { .. } => true,
            _ => false,
        }
    }

    /// True when the disk breaks its word, so that what was acknowledged may be lost: then only silence is wrong.
    #[must_use]
    pub const fn breaks_the_disk(self) -> bool {
        matches!(
            self,
            Self::SyncLies
                | Self::FlipRead { .. }
                | Self::StaleRead { .. }
                | Self::Misdirect { .. }
                | Self::LoseWrite
        )
    }
}

/// Which operations meet a fault. Operations that it does not fit are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Operation `n`, counted from 1.
    At(u64),
    /// Operation `n` and all later ones.
    From(u64),
}

impl When {
    pub(super) const fn meets(self, n: u64) -> bool {
        match self {
            Self::At(at) => n == at,
            Self::From(from) => n >= from,
        }
    }
}
