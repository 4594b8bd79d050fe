//! Follows the calls of a trace the way a kernel would: descriptors, offsets, names; and says what each call did to
//! files below one directory. What it cannot follow it names, for a promise that cannot be judged is no pass.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use super::event::{Act, Event, FileChange, Ino, NameChange, ROOT, Tree};
use super::report::CrashError;
use super::sparse::Sparse;
use super::trace::{Call, number, string, vector};
use super::words::Word;

/// The calls that are traced; `?` marks those that not every architecture has.
pub(crate) const TRACED: &str = "?open,openat,?openat2,?creat,close,?close_range,dup,?dup2,dup3,fcntl,lseek,read,\
readv,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,?truncate,ftruncate,fallocate,?rename,\
?renameat,renameat2,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?link,linkat,?symlink,symlinkat,mmap,sendfile,\
copy_file_range,splice,?io_uring_setup,io_submit,clone,?clone3,?fork,?vfork,chdir,fchdir";

/// Calls whose buffers are not needed: only the returned count moves an offset.
pub(crate) const RAW: &str = "read,readv";

/// A trace as events.
#[derive(Debug)]
pub(crate) struct Recording {
    /// What was there before, all of it durable.
    pub(crate) base: Tree,
    pub(crate) events: Vec<Event>,
    /// Calls that concern the store.
    pub(crate) calls: u64,
    /// What could not be followed.
    pub(crate) unseen: Vec<String>,
    /// Files written through shared memory, and their paths.
    pub(crate) scratch: BTreeMap<Ino, String>,
    /// The state at the end; for names in messages.
    pub(crate) last: Tree,
}

/// Turns calls into events.
///
/// # Errors
/// A call whose arguments cannot be read.
pub(crate) fn follow(base: Tree, root: &Path, calls: &[Call]) -> Result<Recording, CrashError> {
    let mut kernel = Kernel {
        root: root.to_owned(),
        tree: base.clone(),
        fds: HashMap::new(),
        opened: Vec::new(),
        events: Vec::new(),
        unseen: Vec::new(),
        scratch: BTreeMap::new(),
    };
    let mut concerned = 0_u64;
    for call in calls.iter().filter(|call| call.ret.is_some_and(|ret| ret >= 0)) {
        let before = kernel.events.len();
        kernel
            .call(call)
            .map_err(|why| CrashError::Trace { line: call.end, why: format!("{}: {why}", call.name) })?;
        concerned += u64::from(kernel.events.len() > before);
    }
    kernel.unseen.dedup();
    Ok(Recording {
        base,
        events: kernel.events,
        calls: concerned,
        unseen: kernel.unseen,
        scratch: kernel.scratch,
        last: kernel.tree,
    })
}

/// An open file description: descriptors that were duplicated share it.
struct Opened {
    /// `None` outside of the directory that is followed.
    ino: Option<Ino>,
    offset: u64,
    append: bool,
    syncs: bool,
}

struct Kernel {
    root: PathBuf,
    tree: Tree,
    fds: HashMap<i64, usize>,
    opened: Vec<Opened>,
    events: Vec<Event>,
    unseen: Vec<String>,
    scratch: BTreeMap<Ino, String>,
}

/// Where a path leads.
enum Place {
    Outside,
    Root,
    Inside { dir: Ino, name: Vec<u8> },
}

type Done<T = ()> = Result<T, String>;

/// The arguments of a call, by place.
struct Args<'c>(&'c Call);

impl<'c> Args<'c> {
    fn text(&self, at: usize) -> Done<&'c str> {
        self.0.args.get(at).map(String::as_str).ok_or_else(|| format!("argument {at} is missing"))
    }

    fn number(&self, at: usize) -> Done<i64> {
        number(self.text(at)?).ok_or_else(|| format!("argument {at} is no number"))
    }

    fn offset(&self, at: usize) -> Done<u64> {
        u64::try_from(self.number(at)?).map_err(|_| format!("argument {at} is negative"))
    }

    fn has(&self, at: usize, flag: &str) -> bool {
        self.0.args.get(at).is_some_and(|text| text.split(['|', ' ', ',', '=']).any(|part| part == flag))
    }

    fn ret(&self) -> i64 {
        self.0.ret.unwrap_or(0)
    }

    fn count(&self) -> usize {
        usize::try_from(self.ret()).unwrap_or(0)
    }
}

impl Kernel {
    fn call(&mut self, call: &Call) -> Done {
        let args = Args(call);
        match call.name.as_str() {
            "open" | "creat" | "openat" | "openat2" => self.open(&args),
            "close" | "close_range" | "dup" | "dup2" | "dup3" | "fcntl" => self.descriptor(&args),
            "lseek" | "read" | "readv" => self.moved(&args),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.write(&args),
            "copy_file_range" | "sendfile" => self.copy(&args),
            "fsync" | "fdatasync" => {
                if let Some(ino) = self.ino(args.number(0)?) {
                    self.push(call, Act::Sync(ino));
                }
                Ok(())
            }
            "sync" | "syncfs" => {
                self.push(call, Act::SyncAll);
                Ok(())
            }
            "ftruncate" | "truncate" | "fallocate" => self.lengths(&args),
            "mmap" => self.map(&args),
            "rename" | "renameat" | "renameat2" => self.rename(&args),
            "unlink" | "rmdir" | "unlinkat" => self.unlink(&args),
            "mkdir" | "mkdirat" => self.mkdir(&args),
            "link" | "linkat" => self.link(&args),
            _ => self.others(&args),
        }
    }

    fn push(&mut self, call: &Call, act: Act) {
        self.events.push(Event { begin: call.begin, end: call.end, act });
    }

    fn cannot(&mut self, call: &Call, why: &str) {
        self.unseen.push(format!("{}: {why}", call.name));
    }

    fn ino(&self, fd: i64) -> Option<Ino> {
        self.opened(fd)?.ino
    }

    fn opened(&self, fd: i64) -> Option<&Opened> {
        self.opened.get(*self.fds.get(&fd)?)
    }

    fn opened_mut(&mut self, fd: i64) -> Option<&mut Opened> {
        self.opened.get_mut(*self.fds.get(&fd)?)
    }

    /// Resolves a path, relative to a descriptor where `at` names its argument.
    fn place(&self, args: &Args<'_>, at: Option<usize>, path: usize) -> Done<Place> {
        let bytes = string(args.text(path)?).ok_or("a path that cannot be read")?;
        let path = PathBuf::from(String::from_utf8(bytes).map_err(|_| "a path that is not UTF-8")?);
        let mut dir = ROOT;
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let below = if path.is_absolute() {
            match path.strip_prefix(&self.root) {
                Ok(below) => below,
                Err(_) => return Ok(Place::Outside),
            }
        } else {
            let fd = at.map(|at| args.text(at)).transpose()?.and_then(number);
            match fd.and_then(|fd| self.ino(fd)) {
                Some(ino) => dir = ino,
                None => return Ok(Place::Outside),
            }
            &path
        };
        for part in below.components() {
            match part {
                Component::Normal(name) => parts.push(name.as_encoded_bytes().to_vec()),
                Component::CurDir => {}
                _ => return Err(format!("{} goes upwards", path.display())),
            }
        }
        let Some(name) = parts.pop() else { return Ok(Place::Root) };
        for part in parts {
            let next = self.tree.dirs.get(&dir).and_then(|entries| entries.get(&part));
            dir = *next.ok_or_else(|| format!("{} leads through an unknown directory", path.display()))?;
        }
        Ok(Place::Inside { dir, name })
    }

    fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        self.tree.dirs.get(&dir)?.get(name).copied()
    }

    fn names(&mut self, call: &Call, changes: Vec<NameChange>) {
        self.tree.rename(&changes);
        self.push(call, Act::Names(changes));
    }

    fn change(&mut self, call: &Call, ino: Ino, change: FileChange) {
        change.apply(self.tree.files.entry(ino).or_default());
        self.push(call, Act::Change(ino, change));
    }

    fn open(&mut self, args: &Args<'_>) -> Done {
        let call = args.0;
        let at = call.name.starts_with("openat").then_some(0);
        let path = usize::from(at.is_some());
        let flags = path + 1;
        let creat = call.name == "creat";
        let ino = match self.place(args, at, path)? {
            Place::Outside => None,
            Place::Root => Some(ROOT),
            Place::Inside { .. } if args.has(flags, "O_TMPFILE") => {
                self.cannot(call, "files without a name (O_TMPFILE) are not followed");
                None
            }
            Place::Inside { dir, name } => match self.lookup(dir, &name) {
                Some(ino) => {
                    let cut = creat || args.has(flags, "O_TRUNC");
                    if cut && self.tree.files.get(&ino).is_some_and(|file| file.len() > 0) {
                        self.change(call, ino, FileChange::SetLen(0));
                    }
                    Some(ino)
                }
                None if creat || args.has(flags, "O_CREAT") => {
                    let ino = self.tree.add_file(Sparse::default());
                    self.push(call, Act::NewFile(ino));
                    self.names(call, vec![NameChange { dir, name, to: Some(ino) }]);
                    Some(ino)
                }
                None => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    self.cannot(call, &format!("{name} appeared from nowhere"));
                    None
                }
            },
        };
        self.opened.push(Opened {
            ino,
            offset: 0,
            append: args.has(flags, "O_APPEND"),
            syncs: args.has(flags, "O_DSYNC") || args.has(flags, "O_SYNC"),
        });
        self.fds.insert(args.ret(), self.opened.len() - 1);
        Ok(())
    }

    fn descriptor(&mut self, args: &Args<'_>) -> Done {
        let fd = args.number(0)?;
        match args.0.name.as_str() {
            "close" => {
                self.fds.remove(&fd);
            }
            "close_range" if !args.has(2, "CLOSE_RANGE_CLOEXEC") => {
                let last = args.number(1)?;
                self.fds.retain(|open, _| *open < fd || *open > last);
            }
            "fcntl" if args.has(1, "F_SETFL") => {
                let append = args.has(2, "O_APPEND");
                if let Some(opened) = self.opened_mut(fd) {
                    opened.append = append;
                }
            }
            "fcntl" if !args.text(1)?.starts_with("F_DUPFD") => {}
            "close_range" => {}
            _ => match self.fds.get(&fd).copied() {
                Some(opened) => {
                    self.fds.insert(args.ret(), opened);
                }
                None => {
                    self.fds.remove(&args.ret());
                }
            },
        }
        Ok(())
    }

    fn moved(&mut self, args: &Args<'_>) -> Done {
        let (seek, ret) = (args.0.name == "lseek", args.count() as u64);
        if let Some(opened) = self.opened_mut(args.number(0)?) {
            opened.offset = if seek { ret } else { opened.offset.saturating_add(ret) };
        }
        Ok(())
    }

    fn write(&mut self, args: &Args<'_>) -> Done {
        let (call, fd) = (args.0, args.number(0)?);
        let Some(ino) = self.ino(fd) else { return self.said(args, fd) };
        let text = args.text(1)?;
        let vectored = call.name.ends_with('v') || call.name.ends_with('2');
        let bytes = if vectored { vector(text) } else { string(text) };
        let mut bytes = bytes.ok_or("a buffer longer than the tracer shows")?;
        bytes.truncate(args.count());
        let mut syncs = call.name == "pwritev2" && (args.has(4, "RWF_DSYNC") || args.has(4, "RWF_SYNC"));
        let end = self.tree.files.get(&ino).map_or(0, Sparse::len);
        let given = if call.name.starts_with('p') { Some(args.number(3)?) } else { None };
        let Some(opened) = self.opened_mut(fd) else { return Ok(()) };
        syncs |= opened.syncs;
        let offset = match given.map(u64::try_from) {
            _ if opened.append => end,
            Some(Ok(offset)) => offset,
            // No offset, or -1: where the descriptor stands.
            Some(Err(_)) | None => opened.offset,
        };
        let after = offset.saturating_add(bytes.len() as u64);
        if !matches!(given, Some(0..)) {
            opened.offset = after;
        }
        self.change(call, ino, FileChange::Write { offset, bytes: bytes.into() });
        if syncs {
            self.push(call, Act::SyncRange(ino, offset, after));
        }
        Ok(())
    }

    fn said(&mut self, args: &Args<'_>, fd: i64) -> Done {
        if fd == 1
            && let Some(bytes) = string(args.text(1)?)
        {
            for word in String::from_utf8_lossy(&bytes).lines().filter_map(Word::parse) {
                self.push(args.0, Act::Say(word));
            }
        }
        Ok(())
    }

    fn copy(&mut self, args: &Args<'_>) -> Done {
        let call = args.0;
        let ranged = call.name == "copy_file_range";
        let (from, from_at, to, to_at) = if ranged { (0, 1, 2, Some(3)) } else { (1, 2, 0, None) };
        let (from, to) = (args.number(from)?, args.number(to)?);
        let Some(ino) = self.ino(to) else { return Ok(()) };
        let explicit = |at: usize| -> Done<Option<u64>> {
            let text = args.text(at)?;
            let inner = text.strip_prefix('[').and_then(|text| text.split(']').next());
            Ok(inner.and_then(number).and_then(|offset| u64::try_from(offset).ok()))
        };
        let read_at = explicit(from_at)?;
        let write_at = to_at.map(explicit).transpose()?.flatten();
        let source = self.opened(from).and_then(|opened| Some((opened.ino?, opened.offset)));
        let Some((source, source_offset)) = source else {
            self.cannot(call, "copies from a file that is not followed");
            return Ok(());
        };
        let content = self.tree.files.get(&source);
        let bytes = content.map(|file| file.read(read_at.unwrap_or(source_offset), args.count()));
        let bytes = bytes.unwrap_or_default();
        let after = bytes.len() as u64;
        if let Some(opened) = self.opened_mut(from).filter(|_| read_at.is_none()) {
            opened.offset = opened.offset.saturating_add(after);
        }
        let mut offset = write_at.unwrap_or(0);
        let mut syncs = false;
        if let Some(opened) = self.opened_mut(to) {
            syncs = opened.syncs;
            if write_at.is_none() {
                offset = opened.offset;
                opened.offset = offset.saturating_add(after);
            }
        }
        self.change(call, ino, FileChange::Write { offset, bytes: bytes.into() });
        if syncs {
            self.push(call, Act::SyncRange(ino, offset, offset.saturating_add(after)));
        }
        Ok(())
    }

    fn lengths(&mut self, args: &Args<'_>) -> Done {
        let call = args.0;
        let ino = match call.name.as_str() {
            "truncate" => match self.place(args, None, 0)? {
                Place::Inside { dir, name } => self.lookup(dir, &name),
                _ => None,
            },
            _ => self.ino(args.number(0)?),
        };
        let Some(ino) = ino else { return Ok(()) };
        if call.name != "fallocate" {
            self.change(call, ino, FileChange::SetLen(args.offset(1)?));
            return Ok(());
        }
        let (from, len) = (args.offset(2)?, args.offset(3)?);
        let to = from.saturating_add(len);
        let keeps = args.has(1, "FALLOC_FL_KEEP_SIZE");
        if args.has(1, "FALLOC_FL_COLLAPSE_RANGE") || args.has(1, "FALLOC_FL_INSERT_RANGE") {
            self.cannot(call, "moving ranges of a file is not followed");
        }
        if args.has(1, "FALLOC_FL_PUNCH_HOLE") || args.has(1, "FALLOC_FL_ZERO_RANGE") {
            self.change(call, ino, FileChange::Zero { from, to });
        }
        if !keeps && self.tree.files.get(&ino).is_some_and(|file| file.len() < to) {
            self.change(call, ino, FileChange::SetLen(to));
        }
        Ok(())
    }

    fn map(&mut self, args: &Args<'_>) -> Done {
        let shared = args.has(3, "MAP_SHARED") || args.has(3, "MAP_SHARED_VALIDATE");
        if shared
            && args.has(2, "PROT_WRITE")
            && let Some(ino) = self.ino(args.number(4)?)
        {
            self.scratch.insert(ino, self.tree.path_of(ino));
            self.push(args.0, Act::Scratch(ino));
        }
        Ok(())
    }

    fn rename(&mut self, args: &Args<'_>) -> Done {
        let call = args.0;
        let (from, to) = if call.name == "rename" {
            (self.place(args, None, 0)?, self.place(args, None, 1)?)
        } else {
            (self.place(args, Some(0), 1)?, self.place(args, Some(2), 3)?)
        };
        let (Place::Inside { dir, name }, Place::Inside { dir: to_dir, name: to_name }) = (&from, &to) else {
            if matches!((from, to), (Place::Inside { .. }, _) | (_, Place::Inside { .. })) {
                self.cannot(call, "moves a file into or out of the directory that is followed");
            }
            return Ok(());
        };
        let moved = self.lookup(*dir, name);
        let other = if args.has(4, "RENAME_EXCHANGE") { self.lookup(*to_dir, to_name) } else { None };
        if moved.is_none() {
            self.cannot(call, "moves a file that is not known");
        }
        let changes = vec![
            NameChange { dir: *dir, name: name.clone(), to: other },
            NameChange { dir: *to_dir, name: to_name.clone(), to: moved },
        ];
        self.names(call, changes);
        Ok(())
    }

    fn unlink(&mut self, args: &Args<'_>) -> Done {
        let at = (args.0.name == "unlinkat").then_some(0);
        if let Place::Inside { dir, name } = self.place(args, at, usize::from(at.is_some()))? {
            self.names(args.0, vec![NameChange { dir, name, to: None }]);
        }
        Ok(())
    }

    fn mkdir(&mut self, args: &Args<'_>) -> Done {
        let at = (args.0.name == "mkdirat").then_some(0);
        if let Place::Inside { dir, name } = self.place(args, at, usize::from(at.is_some()))? {
            let ino = self.tree.add_dir();
            self.push(args.0, Act::NewDir(ino));
            self.names(args.0, vec![NameChange { dir, name, to: Some(ino) }]);
        }
        Ok(())
    }

    fn link(&mut self, args: &Args<'_>) -> Done {
        let (from, to) = if args.0.name == "link" {
            (self.place(args, None, 0)?, self.place(args, None, 1)?)
        } else {
            (self.place(args, Some(0), 1)?, self.place(args, Some(2), 3)?)
        };
        let Place::Inside { dir, name } = to else { return Ok(()) };
        let source = match from {
            Place::Inside { dir, name } => self.lookup(dir, &name),
            _ => None,
        };
        match source {
            Some(ino) => self.names(args.0, vec![NameChange { dir, name, to: Some(ino) }]),
            None => self.cannot(args.0, "links a file that is not followed"),
        }
        Ok(())
    }

    fn others(&mut self, args: &Args<'_>) -> Done {
        let call = args.0;
        match call.name.as_str() {
            "clone" | "clone3" if call.args.iter().any(|arg| arg.contains("CLONE_FILES")) => {}
            "clone" | "clone3" | "fork" | "vfork" => {
                self.cannot(call, "another process is not followed");
            }
            "io_uring_setup" | "io_submit" => {
                self.cannot(call, "asynchronous input and output is not followed");
            }
            "chdir" | "fchdir" => self.cannot(call, "relative paths after it are not followed"),
            "splice" if self.ino(args.number(2)?).is_some() => {
                self.cannot(call, "its bytes cannot be seen");
            }
            "symlink" | "symlinkat" => {
                let at = (call.name == "symlinkat").then_some(1);
                if !matches!(self.place(args, at, 1 + usize::from(at.is_some()))?, Place::Outside) {
                    self.cannot(call, "symbolic links are not followed");
                }
            }
            _ => {}
        }
        Ok(())
    }
}
