//! The physical limit: writing the same number of bytes into a zero-filled segment and syncing them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::contender::{Result, text};
use crate::rows::Random;

/// Bytes of the segment at least and at most, all written and synced before anything is measured.
const SEGMENT_BYTES: (u64, u64) = (8 << 20, 64 << 20);
/// A sync on the slow disk takes so much longer.
pub(crate) const SLOW: Duration = Duration::from_millis(1);

/// A segment as an engine would prepare it: every block written with zeros and synced, so that a commit changes no
/// metadata of the file system.
#[derive(Debug)]
pub(crate) struct RawSegment {
    file: File,
    at: u64,
    len: u64,
    noise: Vec<u8>,
    slow: bool,
}

impl RawSegment {
    /// Creates and fills the segment `raw` in `dir`, as long as the payload of a store or a sensible part of it; with
    /// `slow`, each sync takes [`SLOW`] longer.
    ///
    /// # Errors
    /// A sentence of the system.
    #[allow(clippy::disallowed_methods, reason = "the limit is the bare system call, under no seam")]
    pub(crate) fn create(dir: &Path, payload: u64, slow: bool) -> Result<Self> {
        let file = File::create_new(dir.join("raw")).map_err(text)?;
        let zeros = vec![0; 1 << 20];
        let len = payload.clamp(SEGMENT_BYTES.0, SEGMENT_BYTES.1) >> 20 << 20;
        for at in (0..len).step_by(zeros.len()) {
            file.write_all_at(&zeros, at).map_err(text)?;
        }
        file.sync_all().map_err(text)?;
        let mut noise = vec![0; 2 << 20];
        Random(9).fill(&mut noise);
        Ok(Self { file, at: 0, len, noise, slow })
    }

    /// Nanoseconds of each of `times` writes of `bytes` bytes (at most 1 MiB plus a few) with a sync after each.
    ///
    /// # Errors
    /// A sentence of the system.
    pub(crate) fn commits(&mut self, bytes: usize, times: usize) -> Result<Vec<f64>> {
        let bytes = bytes.min(self.noise.len() / 2);
        let mut spent = Vec::with_capacity(times);
        for turn in 0..times {
            if self.at + bytes as u64 > self.len {
                self.at = 0;
            }
            let start = turn % (self.noise.len() - bytes);
            let clock = Instant::now();
            self.file.write_all_at(&self.noise[start..start + bytes], self.at).map_err(text)?;
            self.file.sync_data().map_err(text)?;
            if self.slow {
                std::thread::sleep(SLOW);
            }
            spent.push(nanoseconds(clock.elapsed()));
            self.at += bytes as u64;
        }
        Ok(spent)
    }

    /// Nanoseconds to write `bytes` bytes in pieces of a mebibyte and sync once.
    ///
    /// # Errors
    /// A sentence of the system.
    pub(crate) fn stream(&mut self, bytes: u64) -> Result<f64> {
        let clock = Instant::now();
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(1 << 20);
            if self.at + piece > self.len {
                self.at = 0;
            }
            let piece_len = usize::try_from(piece).unwrap_or(self.noise.len());
            self.file.write_all_at(&self.noise[..piece_len], self.at).map_err(text)?;
            self.at += piece;
            left -= piece;
        }
        self.file.sync_data().map_err(text)?;
        Ok(nanoseconds(clock.elapsed()))
    }
}

/// A duration as a number for arithmetic.
#[must_use]
pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
