//! Open files of a simulated disk.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use persist_api::Result;
use rustix::io::Errno;

use super::content::FILE_BYTES_MAX;
use super::fault::{Code, Fault, Forgot};
use super::node::FileNode;
use super::trace::Op;
use super::tree::Ino;
use super::world::{Begun, World};
use super::{Rng, locked};
use crate::disk::{mapped_end, usize_of};
use crate::{DiskFile, Mapping, fully};

/// An open file.
pub(super) struct SimFile {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) ino: Ino,
    pub(super) path: Arc<Path>,
    pub(super) writable: bool,
    pub(super) locked: bool,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        locked(&self.world).closed(self.ino, self.locked);
    }
}

/// A code that comes once, as the first answer of an interrupted call.
fn interruption(fault: Option<Fault>) -> Option<Code> {
    match fault {
        Some(Fault::Error { code: Code::Interrupted, applied: false }) => Some(Code::Interrupted),
        _ => None,
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::Read, &self.path, offset, into.len() as u64)?;
        let file = world.file(&begun, self.ino)?;
        let mut once = interruption(begun.fault);
        let mut short = match begun.fault {
            Some(Fault::ShortRead { bytes }) => Some(usize::try_from(bytes.max(1)).unwrap_or(usize::MAX)),
            _ => None,
        };
        let raw = |at: u64, into: &mut [u8]| -> io::Result<usize> {
            if let Some(code) = once.take() {
                return Err(code.errno().into());
            }
            let there = usize::try_from(file.live.len.saturating_sub(at)).unwrap_or(usize::MAX);
            let n = into.len().min(there).min(short.take().unwrap_or(usize::MAX));
            file.live.read(at, into.get_mut(..n).unwrap_or_default());
            Ok(n)
        };
        let got = fully::read(offset, into, raw).map_err(|error| begun.fail(error))?;
        let into = into.get_mut(..got).unwrap_or_default();
        misread(&begun, file, offset, into);
        world.end(&begun)?;
        Ok(got)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::Write, &self.path, offset, bytes.len() as u64)?;
        if !self.writable {
            return Err(begun.fail(Errno::BADF));
        }
        let mut once = interruption(begun.fault);
        let (mut short, mut then) = match begun.fault {
            Some(Fault::ShortWrite { bytes, then }) => (Some(bytes), then),
            _ => (None, None),
        };
        let raw = |at: u64, bytes: &[u8]| -> io::Result<usize> {
            if let Some(code) = once.take() {
                return Err(code.errno().into());
            }
            let first = short.take();
            let limit = match first {
                Some(limit) if limit > 0 => limit,
                _ => match then.take() {
                    Some(code) => return Err(code.errno().into()),
                    None => u64::MAX,
                },
            };
            self.write_some(&mut world, &begun, at, bytes, limit)
        };
        fully::write(offset, bytes, raw).map_err(|error| begun.fail(error))?;
        world.end(&begun)
    }

    fn len(&self) -> Result<u64> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::Len, &self.path, 0, 0)?;
        let len = world.file(&begun, self.ino)?.live.len;
        world.end(&begun)?;
        Ok(len)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::Truncate, &self.path, len, 0)?;
        let now = world.file(&begun, self.ino)?.live.len;
        if !self.writable {
            return Err(begun.fail(Errno::BADF));
        }
        if len > FILE_BYTES_MAX {
            return Err(begun.fail(Errno::FBIG));
        }
        if len.saturating_sub(now) > world.room() {
            return Err(begun.fail(Errno::NOSPC));
        }
        world.mapped.check(self.ino, &self.path, len..now);
        world.file_mut(&begun, self.ino)?.set_len(begun.n, len);
        world.end(&begun)
    }

    fn sync_data(&self) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::SyncFile, &self.path, 0, 0)?;
        let file = world.file_mut(&begun, self.ino)?;
        match begun.fault {
            Some(Fault::SyncLies) => {}
            Some(Fault::SyncForgets(forgot)) => {
                match forgot {
                    Forgot::All => file.sync_fails(|_| false),
                    Forgot::Some(seed) => {
                        let mut rng = Rng::new(seed);
                        file.sync_fails(|_| rng.one_in(2));
                    }
                }
                return Err(begun.fail(Errno::IO));
            }
            _ => file.sync(),
        }
        world.end(&begun)
    }

    fn map(&self, offset: u64, len: u64) -> Result<Mapping> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::Map, &self.path, offset, len)?;
        let file = world.file(&begun, self.ino)?;
        let end = mapped_end(offset, len, file.live.len).map_err(|error| error.with_path(&*self.path))?;
        let mut bytes = vec![0; usize_of(len)?];
        file.live.read(offset, &mut bytes);
        misread(&begun, file, offset, &mut bytes);
        world.end(&begun)?;
        let (mapping, held) = Mapping::watched(bytes);
        world.mapped.add(self.ino, offset..end, held);
        Ok(mapping)
    }

    fn drop_cache(&self) -> Result<()> {
        let mut world = locked(&self.world);
        let begun = world.begin(Op::DropCache, &self.path, 0, 0)?;
        world.file_mut(&begun, self.ino)?.drop_cache();
        world.end(&begun)
    }
}

impl SimFile {
    /// Writes what fits on the disk, `limit` bytes at most.
    fn write_some(
        &self,
        world: &mut World,
        begun: &Begun,
        at: u64,
        bytes: &[u8],
        limit: u64,
    ) -> io::Result<usize> {
        let now = world.tree.files.get(&self.ino).map_or(0, |file| file.live.len);
        let end = at.saturating_add(bytes.len() as u64);
        if end > FILE_BYTES_MAX {
            return Err(Errno::FBIG.into());
        }
        // A gap before the first byte has to fit too; what lies within the file needs no room.
        let fits = if end <= now { u64::MAX } else { now.saturating_add(world.room()).saturating_sub(at) };
        let n = bytes.len().min(usize::try_from(fits.min(limit)).unwrap_or(usize::MAX));
        if n == 0 {
            return Err(Errno::NOSPC.into());
        }
        let lands = match begun.fault {
            Some(Fault::Misdirect { by }) => {
                at.checked_add_signed(by).filter(|lands| lands.saturating_add(n as u64) <= now.max(end))
            }
            Some(Fault::LoseWrite) => None,
            _ => Some(at),
        };
        world.mapped.check(self.ino, &self.path, at..at.saturating_add(n as u64));
        let file = world.tree.file_mut(self.ino).ok_or(Errno::STALE)?;
        file.write(begun.n, at, bytes.get(..n).unwrap_or_default(), lands);
        Ok(n)
    }
}

/// What a read gives instead of what is there.
fn misread(begun: &Begun, file: &FileNode, offset: u64, bytes: &mut [u8]) {
    match begun.fault {
        Some(Fault::StaleRead { only }) => file.read_stale(offset, bytes, only),
        Some(Fault::FlipRead { bit }) => {
            let bits = (bytes.len() as u64).saturating_mul(8);
            let bit = bit.checked_rem(bits).unwrap_or(0);
            if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (bit % 8);
            }
        }
        _ => {}
    }
}
