//! What each verified frame says about itself a second and a third time, compared.

use std::collections::BTreeMap;

use persist_api::Result;
use persist_frame::body::{CellDesc, RefKind};
use persist_frame::{Checksum, RecordKind};

use super::finding::{BranchSeverity as S, Findings};
use super::fits::cell_key_len;
use super::hints::Beside;
use super::layout::{CAS_REF, COPY_HEADER_LEN, Entry, TOC_MAGIC, TRAILER_LEN, TRAILER_MAGIC, toc_header};
use super::records::{self, Files, How, Located, Verified, payload_head, stored_payload_head};
use super::source::File;
use super::survey::{BlobRef, BranchFrame, Gathered, Newest};

const IDX: &str = "branch.idx";

pub(super) const MODES: [Checksum; 2] = [Checksum::Crc32, Checksum::RawCastagnoli];

/// Compares everything that is said of a verified frame, and takes its records in.
pub(super) fn frame(
    files: &Files<'_>,
    beside: &Beside,
    copies: &File<'_>,
    verified: &Verified,
    gathered: &mut Gathered,
) -> Result<()> {
    let shape = verified.shape;
    let start = shape.start;
    let (beat, frame_id) = numbers(beside, verified, &mut gathered.findings);
    brackets(files, verified, frame_id, &mut gathered.findings)?;
    let expected = take_in(files, verified, frame_id, gathered)?;
    let place = |at| (IDX, Some(at), Some(frame_id));
    if verified.how == How::Headers {
        let toc = shape.entries(files)?;
        let wrong = expected.iter().zip(&toc).filter(|(expected, entry)| !says(entry, expected)).count();
        let untold =
            expected.iter().zip(&toc).filter(|((_, flags), entry)| flags.is_none() && entry.flags > 0);
        if untold.count() > 0 {
            let what =
                "the table says that a cell refers to a blob, and the cell's description cannot be decoded";
            gathered.findings.add(S::Unchecked, "reference_undecoded", place(shape.toc_at), what);
        }
        if wrong > 0 {
            let what = format!("{wrong} lines of the table of contents are not those of the records");
            gathered.findings.add(S::Repaired, "toc_entry", place(shape.toc_at), what);
        }
    } else {
        let by = if verified.how == How::Copy { "its copy in branch.ckp" } else { "the table of contents" };
        let what = format!("a header is damaged; {by} has what it said");
        gathered.findings.add(S::Repaired, "record_header", place(start), what);
        if verified.how == How::Copy {
            let what = "the table of contents is damaged; its copy in branch.ckp is good";
            gathered.findings.add(S::Repaired, "toc_entry", place(shape.toc_at), what);
        }
    }
    for (at, header) in beside.copies_at(start) {
        let table = records::entries(files, copies, at.saturating_add(COPY_HEADER_LEN), header.count)?;
        let same = table.len() == expected.len()
            && expected.iter().zip(&table).all(|(expected, entry)| says(entry, expected))
            && (header.beat, header.frame_id) == (beat, frame_id)
            && extent(verified).is_none_or(|(from, _)| from == header.dat_at);
        if !same {
            let what = "a checkpoint that is not the table of contents of its frame";
            let place = ("branch.ckp", Some(*at), Some(frame_id));
            gathered.findings.add(S::Repaired, "checkpoint_differs", place, what);
        }
    }
    listed(beside, verified, (beat, frame_id), &mut gathered.findings);
    let content = |record: &Located| record.header.content_len();
    gathered.frames.push(BranchFrame {
        beat,
        frame_id,
        idx_at: start,
        idx_len: shape.end().saturating_sub(start),
        records: shape.count,
        digest: verified.digest,
        content_bytes: verified.located.iter().map(content).fold(0, u64::saturating_add),
        record_bytes_max: verified.located.iter().map(content).max().unwrap_or(0),
        cell_key_bytes: expected
            .iter()
            .map(|(entry, _)| cell_key_len(entry.key_len))
            .fold(0, u64::saturating_add),
        shape,
        dat: extent(verified),
    });
    gathered.records = gathered.records.saturating_add(u64::from(shape.count));
    Ok(())
}

/// Where the frame's records in `branch.dat` begin and end.
fn extent(verified: &Verified) -> Option<(u64, u64)> {
    let payloads = || verified.located.iter().filter(|record| record.in_dat);
    let from = payloads().map(|record| record.at).min()?;
    Some((from, payloads().map(Located::end).max()?))
}

/// Flags of a table are compared only where it is known what they must be.
fn says(entry: &Entry, expected: &(Entry, Option<u32>)) -> bool {
    let (expected, flags) = expected;
    Entry { flags: 0, ..*entry } == *expected
        && flags.map_or(entry.flags <= CAS_REF, |flags| flags == entry.flags)
}

/// Beat and number of a frame. The digest does not cover them, so all who know them are asked.
fn numbers(beside: &Beside, verified: &Verified, findings: &mut Findings) -> (u64, u64) {
    let start = verified.shape.start;
    let own = (verified.trailer.beat, verified.trailer.frame_id);
    let mut said = vec![own];
    // What ends elsewhere is no entry of this frame: zeros begin where the first one does.
    let listed = beside.frames.get(&start).into_iter().flatten().map(|(_, it)| it);
    let listed = listed.filter(|it| it.idx_end() == verified.shape.end());
    said.extend(listed.map(|it| (it.beat, it.frame_id)));
    said.extend(beside.copies_at(start).map(|(_, it)| (it.beat, it.frame_id)));
    let head = beside.meta.filter(|meta| !meta.is_empty() && meta.head.idx_at == start);
    if said.iter().all(|it| *it == own) && head.is_none_or(|meta| (meta.head.beat, meta.head.frame_id) == own)
    {
        return own;
    }
    // Only branch.meta has a checksum. Without it the most frequent answer counts, of equals the frame's own.
    let (chosen, sure) = if let Some(meta) = head {
        ((meta.head.beat, meta.head.frame_id), true)
    } else {
        let mut votes = BTreeMap::<_, u64>::new();
        for it in &said {
            let count = votes.entry(it).or_default();
            *count = count.saturating_add(1);
        }
        let best = votes.values().max().copied().unwrap_or(0);
        let chosen = said.iter().find(|it| votes.get(it) == Some(&best)).copied().unwrap_or(own);
        (chosen, best >= 2)
    };
    let severity = if sure { S::Repaired } else { S::Unchecked };
    let what = format!(
        "beat and number of the frame are not the same everywhere; {} and {} are taken",
        chosen.0, chosen.1
    );
    findings.add(severity, "numbers_differ", (IDX, Some(verified.shape.trailer_at()), Some(chosen.1)), what);
    chosen
}

/// Table header and trailer.
fn brackets(files: &Files<'_>, verified: &Verified, frame_id: u64, findings: &mut Findings) -> Result<()> {
    let (shape, trailer) = (verified.shape, &verified.trailer);
    let head = files.idx.array(shape.toc_at)?.map(toc_header);
    if head != Some((TOC_MAGIC, shape.count)) {
        let what =
            "magic or count of the table of contents is damaged; the frame's digest is right without it";
        findings.add(S::Repaired, "toc_header", (IDX, Some(shape.toc_at), Some(frame_id)), what);
    }
    if !files.idx.holds(shape.trailer_at(), TRAILER_LEN) {
        let what = "the end of the file cuts the trailer off; the records are what branch.meta says";
        let place = (IDX, Some(shape.trailer_at()), Some(frame_id));
        findings.add(S::Repaired, "trailer_damaged", place, what);
        return Ok(());
    }
    let mut wrong = Vec::new();
    if trailer.magic != TRAILER_MAGIC {
        wrong.push("magic");
    }
    if (trailer.reserved, trailer.flags) != (0, 0) {
        wrong.push("reserved fields");
    }
    if trailer.count != shape.count {
        wrong.push("count");
    }
    if trailer.digest != verified.digest {
        wrong.push("digest");
    }
    if !wrong.is_empty() {
        let what = format!("in the trailer, wrong: {}; the records are what a digest says", wrong.join(", "));
        let place = (IDX, Some(shape.trailer_at()), Some(frame_id));
        findings.add(S::Repaired, "trailer_damaged", place, what);
    }
    Ok(())
}

/// Reads every record once: keys, newest values, chunks, references. Gives back the table as it should be.
fn take_in(
    files: &Files<'_>,
    verified: &Verified,
    frame_id: u64,
    gathered: &mut Gathered,
) -> Result<Vec<(Entry, Option<u32>)>> {
    let index = gathered.frames.len();
    let mut table = Vec::with_capacity(verified.located.len());
    for record in &verified.located {
        let (key, value) = record.read(files)?;
        let place = (files.file(record.in_dat).name, Some(record.at), Some(frame_id));
        let mut flags = Some(0);
        if record.in_dat {
            chunk(files, record, (&key, &value), (verified.how, place), gathered)?;
        } else if record.header.rtype == u32::from(RecordKind::CELL_DESC.0) {
            flags = reference(&value, gathered);
        }
        table.push((record.entry(&key), flags));
        if record.kind().is_none() {
            let what =
                format!("a record of type {:#x}, which no frame can hold, is left out", record.header.rtype);
            gathered.findings.add(S::Lost, "record_type", place, what);
            gathered.left_out.push((key, index));
            continue;
        }
        let blake3 = *blake3::hash(&value).as_bytes();
        let newest =
            gathered.keys.entry(key).or_insert(Newest { blake3, frame: usize::MAX, repeated: false });
        newest.repeated |= newest.frame == index;
        (newest.blake3, newest.frame) = (blake3, index);
    }
    let repeated = verified.located.len().saturating_sub(distinct(&table));
    if repeated > 0 {
        let what = format!(
            "{repeated} records repeat a key of the frame; the last counts, the original served the first"
        );
        gathered.findings.add(
            S::Note,
            "key_repeated",
            (IDX, Some(verified.shape.start), Some(frame_id)),
            what,
        );
    }
    Ok(table)
}

fn distinct(table: &[(Entry, Option<u32>)]) -> usize {
    let mut hashes: Vec<_> = table.iter().map(|(entry, _)| (entry.key_hash, entry.key_len)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.len()
}

/// A payload record against the headers that the original makes from it; counts which checksum it has.
fn chunk(
    files: &Files<'_>,
    record: &Located,
    (key, value): (&[u8], &[u8]),
    (how, place): (How, (&str, Option<u64>, Option<u64>)),
    gathered: &mut Gathered,
) -> Result<()> {
    let stored = stored_payload_head(files, record)?;
    let made = MODES.map(|mode| payload_head(&record.header, key, value, mode));
    let (Some(stored), [Some(first), Some(second)]) = (stored, made) else {
        let what = "a payload whose body cannot be decoded; it is what the digest says, and kept";
        gathered.findings.add(S::Unchecked, "chunk_undecoded", place, what);
        return Ok(());
    };
    // Both can fit only if the bytes are such that the sums are equal.
    let fits = [stored.1.checksum == first.1.checksum, stored.1.checksum == second.1.checksum];
    for (count, fits) in gathered.modes.iter_mut().zip(fits) {
        *count = count.saturating_add(u64::from(fits));
    }
    // Otherwise the header was found damaged already.
    if how != How::Headers {
        return Ok(());
    }
    if fits == [false, false] {
        let what = "the checksum of a chunk fits in neither of its two forms; the frame's digest is right";
        gathered.findings.add(S::Repaired, "chunk_checksum", place, what);
    }
    let plain = |(header, payload): (_, super::layout::PayloadHeader)| {
        (header, super::layout::PayloadHeader { checksum: 0, ..payload })
    };
    if plain(stored) != plain(first) {
        let what = "the header of a chunk is not what its body says; the frame's digest is right";
        gathered.findings.add(S::Repaired, "chunk_header", place, what);
    }
    Ok(())
}

/// The flags that the table must show for a cell, and the blob it refers to.
fn reference(value: &[u8], gathered: &mut Gathered) -> Option<u32> {
    let description = CellDesc::decode(value).ok()?;
    match description.payload_ref {
        Some(reference) if reference.kind == RefKind::Cas => {
            let blob = BlobRef::new(reference.payload_size, reference.aead_mode.number());
            let known = gathered.references.entry(*reference.hash).or_insert(blob);
            *known = known.and(blob);
            Some(CAS_REF)
        }
        _ => Some(0),
    }
}

/// The frame's line in `branch.frames`.
fn listed(beside: &Beside, verified: &Verified, (beat, frame_id): (u64, u64), findings: &mut Findings) {
    let shape = verified.shape;
    let extent = extent(verified);
    for (at, entry) in beside.frames.get(&shape.start).into_iter().flatten() {
        let dat = extent.map_or((entry.dat_at, entry.dat_at), |extent| extent);
        let same = (entry.beat, entry.frame_id, entry.idx_end()) == (beat, frame_id, shape.end())
            && (entry.dat_at, entry.dat_end()) == dat;
        if !same {
            let what = "an entry that does not describe the frame that begins where it says";
            findings.add(S::Repaired, "frames_entry", ("branch.frames", Some(*at), Some(frame_id)), what);
        }
    }
}
