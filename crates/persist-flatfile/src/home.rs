//! What lies in a directory, told from names and a few bytes.

use std::path::Path;

use persist_api::{Probe, Result};
use persist_io::{Disk, EntryKind, FileMode, LOCK_FILE};

use crate::names::{DAMAGED, HEAD, Kind, UNFINISHED, parse, parse_kept};
use crate::timeline::aside::used_end;
use crate::timeline::head::{HeadFound, read_head};

/// What a directory holds.
pub(crate) struct Home {
    /// The files of ours.
    pub(crate) files: Vec<(Kind, u32)>,
    /// Plain names of files that were never finished.
    pub(crate) unfinished: Vec<String>,
    /// Somebody else's file.
    pub(crate) foreign: Option<String>,
    pub(crate) has_head: bool,
}

impl Home {
    /// Looks at the names in a directory.
    pub(crate) fn look(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let mut home = Self { files: Vec::new(), unfinished: Vec::new(), foreign: None, has_head: false };
        for entry in disk.list(dir)?.unwrap_or_default() {
            let name = entry.name.to_string_lossy().into_owned();
            let kept = parse_kept(&entry.name).is_some();
            let finished = name.strip_suffix(UNFINISHED).filter(|name| parse(name.as_ref()).is_some());
            match (entry.kind, parse(&entry.name)) {
                (EntryKind::File, Some(file)) => home.files.push(file),
                (EntryKind::File, None) if name == HEAD => home.has_head = true,
                (EntryKind::File, None) if name == LOCK_FILE || kept => {}
                (EntryKind::File, None) if finished.is_some() => home.unfinished.push(name),
                (EntryKind::Dir, _) if name == DAMAGED => {}
                _ => {
                    home.foreign.get_or_insert_with(|| format!("{name} is not of this engine"));
                }
            }
        }
        Ok(home)
    }

    /// The numbers of files of a kind, ascending.
    pub(crate) fn numbers(&self, kind: Kind) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.files.iter().filter(|(of, _)| *of == kind).map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// True if there is nothing but what an unfinished creation leaves: no head that verifies, no run, no payloads, no frame.
    pub(crate) fn is_unborn(&self, disk: &dyn Disk, dir: &Path) -> Result<bool> {
        if self.has_head && read_head(disk, dir)?.head.is_some() {
            return Ok(false);
        }
        for (kind, number) in &self.files {
            if *kind != Kind::Timeline {
                return Ok(false);
            }
            // All of it: where a header was, zeros may have come.
            if used_end(&*disk.open(&dir.join(kind.name(*number)), FileMode::Read)?, 0)? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a driver's probe says.
pub(crate) fn probe(disk: &dyn Disk, dir: &Path) -> Result<Probe> {
    let home = Home::look(disk, dir)?;
    if let Some(what) = home.foreign {
        return Ok(Probe::Foreign { what });
    }
    if home.is_unborn(disk, dir)? {
        return Ok(Probe::Empty);
    }
    let HeadFound { head, damaged, .. } = read_head(disk, dir)?;
    let closed = head.is_some_and(|head| head.clean);
    let needs_recovery = !closed || !damaged.is_empty() || !home.unfinished.is_empty();
    Ok(Probe::Mine { needs_recovery })
}
