//! Calls that open, name and unname files, and those that copy descriptors.

use super::super::event::{Act, FileChange, NameChange, ROOT};
use super::super::sparse::Sparse;
use super::{Args, Done, Kernel, Opened, Place};

impl Kernel {
    pub(super) fn open(&mut self, args: &Args<'_>) -> Done {
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

    pub(super) fn descriptor(&mut self, args: &Args<'_>) -> Done {
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

    pub(super) fn rename(&mut self, args: &Args<'_>) -> Done {
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

    pub(super) fn unlink(&mut self, args: &Args<'_>) -> Done {
        let at = (args.0.name == "unlinkat").then_some(0);
        if let Place::Inside { dir, name } = self.place(args, at, usize::from(at.is_some()))? {
            self.names(args.0, vec![NameChange { dir, name, to: None }]);
        }
        Ok(())
    }

    pub(super) fn mkdir(&mut self, args: &Args<'_>) -> Done {
        let at = (args.0.name == "mkdirat").then_some(0);
        if let Place::Inside { dir, name } = self.place(args, at, usize::from(at.is_some()))? {
            let ino = self.tree.add_dir();
            self.push(args.0, Act::NewDir(ino));
            self.names(args.0, vec![NameChange { dir, name, to: Some(ino) }]);
        }
        Ok(())
    }

    pub(super) fn link(&mut self, args: &Args<'_>) -> Done {
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
}
