//! An ext4 on a disk whose every write is logged: file, storage daemon of QEMU with `blklogwrites`, FUSE, loop, ext4.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use persist_io::{Disk as _, FileMode, RealDisk};

use super::super::report::CrashError;
use super::super::sparse::Sparse;
use super::log::{self, Log};
use super::tool::{self, Mounted};

/// The size of the disk, in bytes: room for an engine that reserves its logs ahead. Most of it is a hole in a file.
pub(super) const DISK: u64 = 256 << 20;
/// A log that is longer, in bytes, is not read.
const LOG_MAX: u64 = 1 << 30;
const DAEMON: &str = "qemu-storage-daemon";
/// How long the daemon may take to begin and to end. Generous: it only ends a run that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mounted ext4 whose disk is logged. Dropping it takes everything down.
pub(super) struct Medium {
    // In the order in which they must end.
    mounted: Mounted,
    daemon: Daemon,
    root: PathBuf,
    log: PathBuf,
}

impl Medium {
    /// Makes it in a new directory `dir`, mounted on `root`.
    pub(super) fn start(dir: &Path, root: &Path) -> Result<Self, CrashError> {
        RealDisk.create_dir(dir)?;
        for (name, len) in [("disk", DISK), ("log", 0), ("export", 0)] {
            RealDisk.open(&dir.join(name), FileMode::CreateNew)?.truncate(len)?;
        }
        let daemon = Daemon::start(dir)?;
        make_ext4(&daemon.export)?;
        let mounted = Mounted::new(&daemon.export, root)?;
        Ok(Self { mounted, daemon, root: root.to_owned(), log: dir.join("log") })
    }

    /// Where files can be put.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// How much the disk was asked for until now, in entries of the log.
    pub(super) fn position(&self) -> Result<usize, CrashError> {
        let mut head = [0; log::HEAD_LEN];
        RealDisk.open(&self.log, FileMode::Read)?.read_at(0, &mut head)?;
        Ok(usize::try_from(log::entries(&head)?).unwrap_or(usize::MAX))
    }

    /// Unmounts it and gives the whole log.
    pub(super) fn end(self) -> Result<Log, CrashError> {
        self.mounted.end()?;
        self.daemon.end()?;
        let bytes = persist_io::read_file(&RealDisk, &self.log, LOG_MAX)?.unwrap_or_default();
        Ok(Log::parse(bytes, DISK)?)
    }
}

/// Small blocks of inodes and a small journal, so that little is written that is not about the store.
fn make_ext4(file: &Path) -> Result<(), CrashError> {
    let words =
        ["-q", "-F", "-b", "4096", "-N", "1024", "-J", "size=4", "-E", "nodiscard,lazy_itable_init=0"];
    let mut args: Vec<_> = words.map(std::ffi::OsStr::new).to_vec();
    args.push(file.as_os_str());
    tool::run("mkfs.ext4", &args)
}

/// Puts a disk into a new file.
pub(super) fn write(disk: &Sparse, file: &Path) -> Result<(), CrashError> {
    let file = RealDisk.open(file, FileMode::CreateNew)?;
    file.truncate(disk.len())?;
    for (offset, bytes) in disk.runs().filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)) {
        file.write_at(offset, bytes)?;
    }
    Ok(())
}

/// The process between the file of the disk and its export. Dropping it ends it.
struct Daemon {
    child: Child,
    /// What it says; disconnected when it has ended.
    lines: Receiver<String>,
    export: PathBuf,
}

impl Daemon {
    fn start(dir: &Path) -> Result<Self, CrashError> {
        let failed = |why: String| CrashError::Device { tool: DAEMON, why };
        let mut errors = tempfile::tempfile().map_err(|error| failed(error.to_string()))?;
        let stderr = errors.try_clone().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(DAEMON)
            .args(["--blockdev", "driver=file,node-name=disk,filename=disk"])
            .args(["--blockdev", "driver=file,node-name=log,filename=log"])
            // The position must be right at every moment, and not after every so many writes.
            .args([
                "--blockdev",
                "driver=blklogwrites,node-name=logged,file=disk,log=log,log-super-update-interval=1",
            ])
            .args(["--export", "type=fuse,id=export,node-name=logged,mountpoint=export,writable=on"])
            .args(["--chardev", "stdio,id=words", "--monitor", "chardev=words"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(stderr))
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (sender, lines) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        let daemon = Self { child, lines, export: dir.join("export") };
        // It greets when everything is set up.
        match daemon.lines.recv_timeout(PATIENCE) {
            Ok(_) => Ok(daemon),
            Err(RecvTimeoutError::Timeout) => {
                Err(failed(format!("not ready after {} s", PATIENCE.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let mut said = String::new();
                let read = errors.rewind().and_then(|()| errors.read_to_string(&mut said));
                Err(failed(read.map_or_else(|error| error.to_string(), |_| said.trim().replace('\n', "; "))))
            }
        }
    }

    /// Ends it, with everything written.
    fn end(mut self) -> Result<(), CrashError> {
        if self.stop() {
            return Ok(());
        }
        Err(CrashError::Device { tool: DAEMON, why: "it did not end when it was told to".to_owned() })
    }

    /// Asks it to end, and kills it otherwise; false if it had to. Its export is gone afterwards.
    fn stop(&mut self) -> bool {
        let Some(mut stdin) = self.child.stdin.take() else { return true };
        let asked = stdin.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n");
        let ended = asked.is_ok() && self.silent() && self.child.wait().is_ok_and(|status| status.success());
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
            tool::detach(&self.export);
        }
        ended
    }

    /// Waits until it has nothing more to say; false when it goes on for too long.
    fn silent(&self) -> bool {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}
