//! Where a branch directory is read from. Nothing here can write.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};

use super::watch::Watch;

/// A branch directory, read-only.
pub trait BranchSource {
    /// Opens a regular file by its name below the branch, as `branch.idx` or `cas/ab/….blob`; `None` when there is none.
    ///
    /// # Errors
    /// `Io`.
    fn open(&self, name: &str) -> Result<Option<Box<dyn BranchFile + '_>>>;

    /// What a directory below the branch holds, by name; `""` is the branch itself. Empty when there is no such
    /// directory.
    ///
    /// # Errors
    /// `Io`.
    fn list(&self, dir: &str) -> Result<Vec<SourceEntry>>;
}

/// One open file.
pub trait BranchFile {
    /// Its length in bytes when it was opened.
    fn len(&self) -> u64;

    /// True when it was empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `into` from this offset.
    ///
    /// # Errors
    /// `Io`, also when the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()>;
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceEntry {
    /// Its plain name; what is not UTF-8 is replaced.
    pub name: String,
    /// Whether it is a directory, or a link to one.
    pub is_dir: bool,
}

/// A branch directory on a file system. Files are opened for reading only.
#[derive(Debug, Clone)]
pub struct DirSource {
    root: PathBuf,
}

impl DirSource {
    /// A source for the directory that holds `branch.meta`. A relative one starts from where the process is now, wherever it goes
    /// later.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }
}

const OP: &str = "import_branch";

impl BranchSource for DirSource {
    fn open(&self, name: &str) -> Result<Option<Box<dyn BranchFile + '_>>> {
        let path = self.root.join(name);
        let failed = |error: io::Error| Error::io(OP, &path, error);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        }
        let file = fs::File::open(&path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        Ok(Some(Box::new(DiskFile { file, len, path })))
    }

    fn list(&self, dir: &str) -> Result<Vec<SourceEntry>> {
        let path = if dir.is_empty() { self.root.clone() } else { self.root.join(dir) };
        let failed = |error: io::Error| Error::io(OP, &path, error);
        let read = match fs::read_dir(&path) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory && !dir.is_empty() => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        for entry in read {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            // `open` follows links, so this does; one that leads nowhere is no directory.
            let linked =
                kind.is_symlink().then(|| fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir()));
            let is_dir = linked.unwrap_or_else(|| kind.is_dir());
            entries.push(SourceEntry { name: entry.file_name().to_string_lossy().into_owned(), is_dir });
        }
        entries.sort_unstable();
        Ok(entries)
    }
}

struct DiskFile {
    file: fs::File,
    len: u64,
    path: PathBuf,
}

impl BranchFile for DiskFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(into))
            .map_err(|error| Error::io(OP, &self.path, error))
    }
}

/// A branch in memory: file names to bytes.
impl BranchSource for BTreeMap<String, Vec<u8>> {
    fn open(&self, name: &str) -> Result<Option<Box<dyn BranchFile + '_>>> {
        Ok(self.get(name).map(|bytes| Box::new(bytes.as_slice()) as Box<dyn BranchFile>))
    }

    fn list(&self, dir: &str) -> Result<Vec<SourceEntry>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let below = self.keys().filter_map(|name| name.strip_prefix(&prefix));
        let mut entries: Vec<_> = below
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => SourceEntry { name: name.to_owned(), is_dir: true },
                None => SourceEntry { name: rest.to_owned(), is_dir: false },
            })
            .collect();
        entries.dedup();
        Ok(entries)
    }
}

impl BranchFile for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let end_early = || Error::new(ErrorKind::Io, OP, "read beyond the end of a file");
        let start = usize::try_from(offset).map_err(|_| end_early())?;
        let end = start.checked_add(into.len()).ok_or_else(end_early)?;
        into.copy_from_slice(self.get(start..end).ok_or_else(end_early)?);
        Ok(())
    }
}

/// Bytes read at once, from a multiple of this.
const WINDOW: u64 = 64 << 10;
/// Windows that are kept: a frame's beginning, its table, its trailer and a key are looked at in turn.
const WINDOWS: usize = 4;

/// What was read last: where each window begins, and its bytes; the latest first.
type Windows = Vec<(u64, Vec<u8>)>;

/// One file of a branch, read through windows, every length checked against that of the file. A missing file is empty.
pub(super) struct File<'s> {
    pub(super) name: &'static str,
    pub(super) len: u64,
    inner: Option<Box<dyn BranchFile + 's>>,
    windows: RefCell<Windows>,
    watch: &'s Watch<'s>,
}

impl<'s> File<'s> {
    pub(super) fn open(
        source: &'s dyn BranchSource,
        name: &'static str,
        watch: &'s Watch<'s>,
    ) -> Result<Self> {
        let inner = source.open(name)?;
        let len = inner.as_ref().map_or(0, |file| file.len());
        Ok(Self { name, len, inner, windows: RefCell::default(), watch })
    }

    pub(super) fn is_missing(&self) -> bool {
        self.inner.is_none()
    }

    /// True when so many bytes from there are inside the file.
    pub(super) fn holds(&self, at: u64, len: u64) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// Shows these bytes in pieces; `false`, and nothing shown, when they are not all inside the file.
    pub(super) fn each(&self, at: u64, len: u64, show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.each_until(at, len, &mut |piece| {
            show(piece);
            ControlFlow::Continue(())
        })
    }

    /// As [`each`](Self::each), but stops when told to.
    fn each_until(&self, at: u64, len: u64, show: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<bool> {
        let Some(end) = at.checked_add(len).filter(|end| *end <= self.len) else { return Ok(false) };
        let Some(file) = &self.inner else { return Ok(len == 0) };
        let mut windows = self.windows.borrow_mut();
        let mut at = at;
        while at < end {
            let begin = at.saturating_sub(at % WINDOW);
            let bytes = self.window(file.as_ref(), &mut windows, begin)?;
            let from = usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
            let until = usize::try_from(end.saturating_sub(begin)).unwrap_or(usize::MAX).min(bytes.len());
            // Never empty: the window reaches beyond `at`, which lies before the end of the file.
            let Some(piece) = bytes.get(from..until).filter(|piece| !piece.is_empty()) else { break };
            if show(piece).is_break() {
                break;
            }
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(true)
    }

    /// The window that begins here, read if it is not kept.
    fn window<'w>(&self, file: &dyn BranchFile, windows: &'w mut Windows, begin: u64) -> Result<&'w [u8]> {
        match windows.iter().position(|(at, _)| *at == begin) {
            Some(0) => {}
            Some(place) => windows.get_mut(..=place).unwrap_or_default().rotate_right(1),
            None => {
                let spare = if windows.len() < WINDOWS { None } else { windows.pop() };
                let mut bytes = spare.map(|(_, bytes)| bytes).unwrap_or_default();
                let size = WINDOW.min(self.len.saturating_sub(begin));
                self.watch.read(size)?;
                bytes.resize(usize::try_from(size).unwrap_or(0), 0);
                // Kept only after the read, so that a failed one leaves no bytes that were never read.
                file.read_at(begin, &mut bytes)?;
                windows.insert(0, (begin, bytes));
            }
        }
        Ok(windows.first().map_or(&[], |(_, bytes)| bytes))
    }

    /// As [`array`](Self::array), for a place that is looked at once: no window is read for it.
    pub(super) fn peek<const N: usize>(&self, at: u64) -> Result<Option<[u8; N]>> {
        let Some(file) = self.inner.as_ref().filter(|_| self.holds(at, N as u64)) else { return Ok(None) };
        let mut array = [0; N];
        file.read_at(at, &mut array)?;
        Ok(Some(array))
    }

    /// A structure of known length; `None` when it is not all inside the file.
    pub(super) fn array<const N: usize>(&self, at: u64) -> Result<Option<[u8; N]>> {
        let mut array = [0; N];
        let mut filled = 0_usize;
        let whole = self.each(at, N as u64, &mut |piece| {
            let end = filled.saturating_add(piece.len());
            if let Some(place) = array.get_mut(filled..end) {
                place.copy_from_slice(piece);
            }
            filled = end;
        })?;
        Ok(whole.then_some(array))
    }

    /// Bytes of a checked length; `None` when they are not all inside the file.
    pub(super) fn bytes(&self, at: u64, len: u64) -> Result<Option<Vec<u8>>> {
        if !self.holds(at, len) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let room = usize::try_from(len).ok().filter(|len| bytes.try_reserve_exact(*len).is_ok());
        if room.is_none() {
            let what = format!("no memory for {len} bytes of {}", self.name);
            return Err(Error::new(ErrorKind::TooLarge, OP, what));
        }
        self.each(at, len, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(Some(bytes))
    }

    /// The next place from `at` on where these four bytes stand. Looks no further.
    pub(super) fn find(&self, at: u64, word: u32) -> Result<Option<u64>> {
        let (mut tail, mut seen) = (0_u32, 0_u64);
        let mut found = None;
        self.each_until(at, self.len.saturating_sub(at), &mut |piece| {
            for byte in piece {
                tail = tail >> 8 | u32::from(*byte) << 24;
                seen = seen.saturating_add(1);
                if tail == word && seen >= 4 {
                    found = at.checked_add(seen).and_then(|end| end.checked_sub(4));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

/// The path of a source, for messages.
impl AsRef<Path> for DirSource {
    fn as_ref(&self) -> &Path {
        &self.root
    }
}
