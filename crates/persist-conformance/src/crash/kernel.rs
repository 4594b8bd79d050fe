//! Follows the calls of a trace the way a kernel would: descriptors, offsets, names; and says what each call did to
//! files below one directory. What it cannot follow it names, for a promise that cannot be judged is no pass.

mod bytes;
mod names;

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use super::event::{Act, Event, FileChange, Ino, NameChange, ROOT, Tree};
use super::report::CrashError;
use super::trace::{Call, number, string};

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
        tree: base,
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

#[cfg(test)]
mod tests {
    use super::super::trace;
    use super::*;

    fn text(bytes: &str) -> String {
        use std::fmt::Write as _;
        let hex = bytes.bytes().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "\\x{byte:02x}");
            out
        });
        format!("\"{hex}\"")
    }

    /// Follows lines in which `'...'` stands for a string of the tracer.
    fn follow_lines(lines: &[&str]) -> Recording {
        let mut out = String::new();
        for line in lines {
            let parts: Vec<_> = line.split('\'').collect();
            let coded = parts.iter().enumerate();
            let line: String =
                coded.map(|(at, part)| if at % 2 == 1 { text(part) } else { (*part).to_owned() }).collect();
            out += &["1 ", line.as_str(), "\n"].concat();
        }
        follow(Tree::default(), Path::new("/r"), &trace::read(out.as_bytes()).unwrap()).unwrap()
    }

    fn file(recording: &Recording, name: &str) -> Vec<u8> {
        recording.last.files[&recording.last.dirs[&ROOT][name.as_bytes()]].read(0, 1 << 16)
    }

    #[test]
    fn offsets_follow_reads_seeks_and_duplicates() {
        let got = follow_lines(&[
            "openat(AT_FDCWD, '/r/a', O_RDWR|O_CREAT, 0644) = 3",
            "write(3, 'hello world', 11) = 11",
            "lseek(3, 0, SEEK_SET) = 0",
            "read(0x3, 0x7f00, 0x6) = 0x6",
            "dup(3) = 4",
            "write(4, 'W', 1) = 1",
            "pwrite64(3, 'H', 1, 0) = 1",
            "write(3, 'O!', 2) = 1",
            "writev(3, [{iov_base='R', iov_len=1}, {iov_base='LD', iov_len=2}], 2) = 3",
        ]);
        assert_eq!(file(&got, "a"), b"Hello WORLD");
        assert_eq!(got.unseen, Vec::<String>::new());
    }

    #[test]
    fn appending_and_cutting() {
        let got = follow_lines(&[
            "openat(AT_FDCWD, '/r/a', O_WRONLY|O_CREAT|O_APPEND, 0644) = 3",
            "write(3, 'one', 3) = 3",
            "lseek(3, 0, SEEK_SET) = 0",
            "write(3, 'two', 3) = 3",
            "ftruncate(3, 4) = 0",
            "close(3) = 0",
            "openat(AT_FDCWD, '/r/b', O_WRONLY|O_CREAT, 0644) = 3",
            "write(3, 'gone', 4) = 4",
            "openat(AT_FDCWD, '/r/b', O_WRONLY|O_TRUNC) = 5",
        ]);
        assert_eq!((file(&got, "a"), file(&got, "b")), (b"onet".to_vec(), Vec::new()));
    }

    #[test]
    fn synced_descriptors_sync_what_they_write() {
        let got = follow_lines(&[
            "openat(AT_FDCWD, '/r/a', O_RDWR|O_CREAT|O_DSYNC, 0644) = 3",
            "pwrite64(3, 'x', 1, 7) = 1",
            "openat(AT_FDCWD, '/r/a', O_RDWR) = 4",
            "pwritev2(4, [{iov_base='y', iov_len=1}], 1, 9, RWF_DSYNC) = 1",
            "pwrite64(4, 'z', 1, 7) = 1",
        ]);
        let syncs: Vec<_> =
            got.events.iter().filter(|event| event.act.is_sync()).map(|event| &event.act).collect();
        let ino = got.last.dirs[&ROOT][b"a".as_slice()];
        assert_eq!(syncs, [&Act::SyncRange(ino, 7, 8), &Act::SyncRange(ino, 9, 10)]);
    }

    #[test]
    fn names_by_path_and_by_directory() {
        let got = follow_lines(&[
            "mkdir('/r/d', 0777) = 0",
            "openat(AT_FDCWD, '/r/d', O_RDONLY|O_DIRECTORY) = 3",
            "openat(3, 'a', O_RDWR|O_CREAT, 0644) = 4",
            "renameat2(3, 'a', AT_FDCWD, '/r/b', 0) = 0",
            "openat(AT_FDCWD, '/r/c', O_RDWR|O_CREAT, 0644) = 5",
            "unlinkat(AT_FDCWD, '/r/c', 0) = 0",
            "fsync(3) = 0",
            "openat(AT_FDCWD, '/elsewhere', O_RDWR|O_CREAT, 0644) = 6",
            "write(6, 'x', 1) = 1",
            "rename('/r/b', '/r/never') = -1 EACCES (Permission denied)",
        ]);
        let names: Vec<_> = got.last.dirs[&ROOT].keys().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, ["b", "d"]);
        assert_eq!(got.unseen, Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let got = follow_lines(&[
            "vfork() = 9",
            "io_uring_setup(8, {flags=0}) = 7",
            "rename('/elsewhere', '/r/a') = 0",
            "openat(AT_FDCWD, '/r/from_nowhere', O_RDWR) = 3",
            "clone3({flags=CLONE_VM|CLONE_FILES, exit_signal=0}, 88) = 11",
        ]);
        assert_eq!(got.unseen.len(), 4, "{:?}", got.unseen);
    }

    #[test]
    fn shared_writable_maps_are_noted() {
        let got = follow_lines(&[
            "openat(AT_FDCWD, '/r/a', O_RDWR|O_CREAT, 0644) = 3",
            "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x7f0000000000",
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = 0x7f0000000000",
        ]);
        assert!(got.scratch.is_empty());
        let got = follow_lines(&[
            "openat(AT_FDCWD, '/r/a', O_RDWR|O_CREAT, 0644) = 3",
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000",
        ]);
        assert_eq!(got.scratch.values().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_buffer_that_was_not_shown_whole_is_an_error() {
        let lines = "1 openat(AT_FDCWD, \"\\x2f\\x72\\x2f\\x61\", O_RDWR|O_CREAT, 0644) = 3\n\
                     1 write(3, \"\\x61\"..., 9) = 9\n";
        let calls = trace::read(lines.as_bytes()).unwrap();
        let got = follow(Tree::default(), Path::new("/r"), &calls);
        assert!(matches!(got, Err(CrashError::Trace { line: 2, .. })), "{got:?}");
    }
}
