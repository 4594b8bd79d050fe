//! Checks a whole run: every block, the padding between blocks, the order of records, filters, fences and counts.

use persist_api::{BeatNo, Finding, FindingCode, Observer, Progress, Result, VerifyStat};

use super::block::{self, Block, HEADER, Kind, aligned};
use super::data::DataBlock;
use super::fences::{Fences, INDEX_VALUE};
use super::filter::{LINE, hash, may_hold, tag};
use super::head::{SUMMARY_BLOCK, Summary};
use super::reader::{GroupAt, Index, Run};
use super::version::Stored;

/// A place in a run that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flaw<'w> {
    /// Where in the file.
    pub(crate) offset: u64,
    /// What it is about.
    pub(crate) code: FindingCode,
    /// What does not fit.
    pub(crate) what: &'w str,
}

impl Run {
    /// Reads all of the file again and reports what does not fit. What large values point to is not read.
    ///
    /// # Errors
    /// `Cancelled`. Damage is no error here.
    pub(crate) fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let (path, beats) = (self.path().display(), self.head());
        let mut tell = |flaw: Flaw<'_>| {
            let Flaw { offset, code, what } = flaw;
            let (first, last) = (beats.first_beat, beats.last_beat);
            let place = format!("{path} at offset {offset}, beats {first} to {last}");
            found(Finding::damage(code, what, place));
        };
        self.check_all(&mut tell, seen)
    }

    /// As [`verify`](Self::verify), with offsets for those who act on them.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn check_all(
        &self,
        found: &mut dyn FnMut(Flaw<'_>),
        seen: &dyn Observer,
    ) -> Result<VerifyStat> {
        let mut check = Check {
            run: self,
            found,
            stat: VerifyStat::default(),
            at: 0,
            blocks: Some(0),
            records: 0,
            lost: false,
            keys: 0,
            last: None,
            before: None,
            first: None,
            hashes: Vec::new(),
        };
        check.summary(0, Kind::Head);
        if let Ok(top) = self.top() {
            for group in 0..top.count {
                let total = Some(self.file().len() as u64);
                let progress = Progress { phase: "verify", done: check.at, total, unit: "bytes" };
                seen.step("verify", progress)?;
                match GroupAt::of(&top, group) {
                    Some(at) => check.group(&top, group, at),
                    None => check.report(self.summary.sections.top, "top index block: malformed"),
                }
            }
        }
        check.tail();
        check.counts();
        Ok(check.stat)
    }
}

/// A record: key and beat.
type Place = (Vec<u8>, BeatNo);

const fn code_of(kind: Kind) -> FindingCode {
    match kind {
        Kind::Data | Kind::Ranges => FindingCode::Record,
        Kind::Headers => FindingCode::Header,
        Kind::Head | Kind::Filter | Kind::Index | Kind::Top | Kind::Foot => FindingCode::Structure,
    }
}

struct Check<'r, 'f> {
    run: &'r Run,
    found: &'f mut dyn FnMut(Flaw<'_>),
    stat: VerifyStat,
    /// Everything before is checked.
    at: u64,
    /// Data blocks so far; `None` behind an index that could not be read.
    blocks: Option<u64>,
    /// Records so far, those that could not be read included.
    records: u64,
    /// True right behind damage, when it is not known how many records it hit.
    lost: bool,
    keys: u64,
    /// The last record; `None` behind damage.
    last: Option<Place>,
    /// The last record before the block that was read last, and the first record of that block.
    before: Option<Place>,
    first: Option<Place>,
    hashes: Vec<u64>,
}

impl<'r> Check<'r, '_> {
    fn report(&mut self, offset: u64, what: &str) {
        self.tell(FindingCode::Structure, offset, what);
    }

    fn tell(&mut self, code: FindingCode, offset: u64, what: &str) {
        self.stat.damaged += 1;
        (self.found)(Flaw { offset, code, what });
    }

    /// Checks that nothing but zeros lies between what was checked and `offset`.
    fn reach(&mut self, offset: u64) {
        let range =
            usize::try_from(self.at).unwrap_or(usize::MAX)..usize::try_from(offset).unwrap_or(usize::MAX);
        match self.run.file().get(range) {
            Some(padding) if padding.iter().all(|byte| *byte == 0) && padding.len() < 64 => {}
            _ => self.report(self.at, "the bytes between two blocks are not the padding that belongs there"),
        }
        self.at = offset;
    }

    /// Reads the block that must be at `offset`.
    fn block(&mut self, offset: u64, kind: Kind) -> Option<Block<'r>> {
        self.reach(offset);
        let read = block::read(self.run.file(), self.run.head().number, offset);
        match read {
            Ok(block) if block.header.kind == kind => {
                self.at = block.end;
                if std::mem::take(&mut self.lost) {
                    self.records = block.header.before;
                }
                if block.header.before != self.records {
                    let what = format!("{}: records are missing before it", kind.name());
                    self.report(offset, &what);
                }
                Some(block)
            }
            Ok(block) => {
                self.tell(
                    code_of(kind),
                    offset,
                    &format!("{}: a {} is here", kind.name(), block.header.kind.name()),
                );
                None
            }
            Err(what) => {
                self.tell(code_of(kind), offset, &format!("{}: {what}", kind.name()));
                None
            }
        }
    }

    fn summary(&mut self, offset: u64, kind: Kind) {
        if let Some(block) = self.block(offset, kind)
            && Summary::decode(block.payload).ok() != Some(self.run.summary)
        {
            self.report(offset, "head and foot differ");
        }
    }

    fn group(&mut self, top: &Fences<'r>, group: usize, at: GroupAt) {
        let (number, file) = (self.run.head().number, self.run.file());
        let block = block::read(file, number, at.index).ok().filter(|block| block.header.kind == Kind::Index);
        let parsed = block.and_then(|block| Fences::parse(block.payload, INDEX_VALUE, self.run.floor()));
        let index = parsed.map(|(fences, _)| Index { fences, offset: at.index });
        self.hashes.clear();
        match &index {
            Some(index) => self.children(top, group, index),
            None => self.unguided(at.filter),
        }
        if let Some(block) = self.block(at.filter, Kind::Filter) {
            let holds = self.hashes.iter().all(|hash| may_hold(block.payload, *hash));
            if !holds || block.payload.len() != at.filter_len {
                self.report(at.filter, "filter block: a key is missing");
            }
        }
        self.at = at.index;
        self.block(at.index, Kind::Index);
        self.at = at.index.saturating_add((at.index_len.saturating_add(HEADER)) as u64);
    }

    /// Checks the data blocks that an index names.
    fn children(&mut self, top: &Fences<'r>, group: usize, index: &Index<'r>) {
        let count = index.fences.count as u64;
        if self
            .blocks
            .replace(index.fences.first.saturating_add(count))
            .is_some_and(|blocks| blocks != index.fences.first)
        {
            self.report(index.offset, "index block: it counts the data blocks before it wrongly");
        }
        for child in 0..index.fences.count {
            let Some((offset, len)) = index.child(child) else {
                self.report(index.offset, "index block: malformed, though its checksum fits");
                return;
            };
            let end = offset.saturating_add((len.saturating_add(HEADER)) as u64);
            if self.data(offset) {
                let (fences, entry) = if child == 0 { (top, group) } else { (&index.fences, child) };
                self.fence(fences, entry, offset);
                if self.at != end {
                    self.report(index.offset, "index block: a data block has another length");
                }
            } else {
                self.lose(end);
            }
        }
    }

    /// Checks the data blocks of a group without an index, as far as one follows the other.
    fn unguided(&mut self, filter: u64) {
        self.blocks = None;
        loop {
            let offset = aligned(self.at);
            let block = block::read(self.run.file(), self.run.head().number, offset);
            if offset >= filter || block.is_ok_and(|block| block.header.kind != Kind::Data) {
                return;
            }
            if !self.data(offset) {
                return self.lose(filter);
            }
            if aligned(self.at).next_multiple_of(LINE as u64) > filter {
                return;
            }
        }
    }

    /// Goes on behind damage.
    fn lose(&mut self, offset: u64) {
        self.at = offset;
        self.last = None;
        self.lost = true;
    }

    /// Checks a fence against the records on both of its sides.
    fn fence(&mut self, fences: &Fences<'_>, entry: usize, offset: u64) {
        if entry == 0 {
            return;
        }
        let Some(((last, _), (first, beat))) = self.before.as_ref().zip(self.first.as_ref()) else { return };
        let fits = match fences.fence(entry) {
            Some((fence, None)) => *last < fence && fence <= *first,
            Some((fence, Some(at))) => *last == fence && fence == *first && at == *beat,
            None => false,
        };
        if !fits {
            self.report(offset, "the fence before this data block is in the wrong place");
        }
    }

    /// Checks a data block; false when it does not verify.
    fn data(&mut self, offset: u64) -> bool {
        let Some(block) = self.block(offset, Kind::Data) else { return false };
        self.records = self.records.saturating_add(u64::from(block.header.count));
        let Some(data) = DataBlock::parse(block.payload, self.run.floor()) else {
            self.tell(FindingCode::Record, offset, "data block: malformed, though its checksum fits");
            return true;
        };
        self.before = self.last.take();
        let mut last: Option<(&[u8], BeatNo)> = None;
        let mut fits = data.count as u64 == u64::from(block.header.count);
        let mut rows = data.rows_from(0);
        for row in 0..data.count {
            let begins = rows.at();
            let Some((key, version)) = rows.next() else { break };
            let before = last.or(self.before.as_ref().map(|(key, beat)| (key.as_slice(), *beat)));
            fits &= before.is_none_or(|(last, beat)| last < key || last == key && beat > version.beat);
            self.keys += u64::from(before.is_none_or(|(last, _)| last != key));
            let hash = hash(key);
            fits &= data.tag(row) == Some(tag(hash)) && data.begins_at(row, begins);
            self.hashes.push(hash);
            self.stat.records += 1;
            let value = if let Stored::Inline(value) = version.stored { value.len() } else { 0 };
            self.stat.bytes = self.stat.bytes.saturating_add((key.len().saturating_add(value)) as u64);
            if last.is_none() {
                self.first = Some((key.to_vec(), version.beat));
            }
            last = Some((key, version.beat));
        }
        if !fits || !rows.is_at_end() {
            self.tell(
                FindingCode::Record,
                offset,
                "data block: order, tags or table are wrong, though its checksum fits",
            );
        }
        self.last = last.map(|(key, beat)| (key.to_vec(), beat));
        true
    }

    /// Checks what lies behind the groups.
    fn tail(&mut self) {
        let sections = self.run.summary.sections;
        for (kind, start, count) in [
            (Kind::Ranges, sections.ranges, self.run.stat().ranges),
            (Kind::Headers, sections.headers, self.run.stat().headers),
        ] {
            let mut left = count;
            let mut offset = start;
            while left > 0 {
                let Some(block) = self.block(offset, kind) else {
                    self.at = if kind == Kind::Ranges { sections.headers } else { sections.top };
                    break;
                };
                offset = aligned(block.end);
                left = left.saturating_sub(u64::from(block.header.count).max(1));
            }
        }
        if let Err(error) = self.run.headers() {
            self.tell(FindingCode::Header, sections.headers, error.context());
        }
        self.block(sections.top, Kind::Top);
        self.at = sections.top.saturating_add(sections.top_len).saturating_add(HEADER as u64);
        let end = self.run.file().len() as u64;
        self.summary(end.saturating_sub(SUMMARY_BLOCK), Kind::Foot);
    }

    fn counts(&mut self) {
        let told = self.run.stat();
        let bytes = told.key_bytes.saturating_add(told.value_bytes);
        let whole = self.stat.damaged == 0;
        if whole && (told.records, told.keys, bytes) != (self.stat.records, self.keys, self.stat.bytes) {
            let what = format!(
                "{} records of {} keys, not {} of {}",
                self.stat.records, self.keys, told.records, told.keys
            );
            self.tell(FindingCode::Count, 0, &what);
        }
    }
}
