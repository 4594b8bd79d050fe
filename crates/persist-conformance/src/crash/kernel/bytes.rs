//! Calls that change bytes and lengths, and those that move an offset.

use super::super::event::{Act, FileChange};
use super::super::sparse::Sparse;
use super::super::trace::{number, string, vector};
use super::super::words::Word;
use super::{Args, Done, Kernel, Place};

impl Kernel {
    pub(super) fn moved(&mut self, args: &Args<'_>) -> Done {
        let (seek, ret) = (args.0.name == "lseek", args.count() as u64);
        if let Some(opened) = self.opened_mut(args.number(0)?) {
            opened.offset = if seek { ret } else { opened.offset.saturating_add(ret) };
        }
        Ok(())
    }

    pub(super) fn write(&mut self, args: &Args<'_>) -> Done {
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

    pub(super) fn said(&mut self, args: &Args<'_>, fd: i64) -> Done {
        if fd == 1
            && let Some(bytes) = string(args.text(1)?)
        {
            for word in String::from_utf8_lossy(&bytes).lines().filter_map(Word::parse) {
                self.push(args.0, Act::Say(word));
            }
        }
        Ok(())
    }

    pub(super) fn copy(&mut self, args: &Args<'_>) -> Done {
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

    pub(super) fn lengths(&mut self, args: &Args<'_>) -> Done {
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

    pub(super) fn map(&mut self, args: &Args<'_>) -> Done {
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
}
