//! Whether the digest of a frame says that its records are what was written.
//!
//! A frame says everything about its records twice: once in the headers before them, once in its table of contents. The
//! digest covers headers, keys and values. So the records are located by the headers first, then by the table with
//! the headers made anew, then by the copy of the table in `branch.ckp`; the first way that gives a digest that the
//! branch names is right.

use persist_api::{Error, ErrorKind, Result};
use persist_frame::{Checksum, Digest};

use super::layout::{Entry, HEADER_LEN, RecordHeader, TOC_MAGIC, Trailer, key_hash, toc_header};
use super::records::{
    Files, Hints, How, Located, Shape, Verified, claims_to_be_whole, moved, payload_head, record_at,
};

/// Tries every way to locate the records of a frame of this shape, until a digest agrees.
///
/// # Errors
/// `TooLarge` when a frame that is there exceeds the limits.
pub(super) fn verify(files: &Files<'_>, shape: Shape, hints: &Hints) -> Result<Option<Verified>> {
    let Some(trailer) = shape.trailer(files)?.or(hints.trailer) else { return Ok(None) };
    let named = |digest: &Digest| *digest == trailer.digest || hints.digests.contains(digest);
    if shape.count > files.limits.records {
        return too_many(files, shape, &trailer);
    }
    let toc = shape.entries(files)?;
    let found = |located: Vec<Located>, digest, how| Some(Verified { shape, located, digest, trailer, how });
    // One flipped bit in a length can bring a frame over the limit: such ways are left for when no other verifies.
    let (mut large_from, mut large_table) = (Vec::new(), None);
    if !moved(&toc, shape) {
        let first = toc.iter().find(|entry| entry.is_payload()).map(|entry| entry.record_at);
        let mut starts: Vec<u64> = first.into_iter().chain(hints.dat_starts.iter().copied()).collect();
        starts.dedup();
        for dat_at in if starts.is_empty() { vec![0] } else { starts } {
            let Some(located) = by_headers(files, shape, &toc, dat_at)? else { continue };
            if too_large(files, &located).is_some() {
                large_from.push(dat_at);
                continue;
            }
            match digest(files, &located, Checksum::Crc32)? {
                Some(digest) if named(&digest) => return Ok(found(located, digest, How::Headers)),
                _ => {}
            }
        }
    }
    let tables = std::iter::once((&toc, How::Toc)).chain(hints.copies.iter().map(|copy| (copy, How::Copy)));
    for (table, how) in tables {
        let Some(located) = by_table(files, shape, table) else { continue };
        if let Some(what) = too_large(files, &located) {
            large_table.get_or_insert(what);
            continue;
        }
        for mode in [Checksum::Crc32, Checksum::RawCastagnoli] {
            match digest(files, &located, mode)? {
                Some(digest) if named(&digest) => return Ok(found(located, digest, how)),
                _ => {}
            }
        }
    }
    // With headers as they are stored, a digest takes no memory, so that it can tell.
    for dat_at in large_from {
        if let Some(located) = by_headers(files, shape, &toc, dat_at)?
            && let Some(what) = too_large(files, &located)
            && digest(files, &located, Checksum::Crc32)?.is_some_and(|digest| named(&digest))
        {
            return Err(limit(shape, &what));
        }
    }
    match large_table {
        Some(what) if claims_to_be_whole(files, shape, &trailer)? => Err(limit(shape, &what)),
        _ => Ok(None),
    }
}

fn too_many(files: &Files<'_>, shape: Shape, trailer: &Trailer) -> Result<Option<Verified>> {
    let whole = files.idx.array(shape.toc_at)?.map(toc_header);
    if trailer.count != shape.count || whole != Some((TOC_MAGIC, shape.count)) {
        return Ok(None);
    }
    let what = format!("{} records, {} are allowed", shape.count, files.limits.records);
    Err(limit(shape, &what))
}

fn limit(shape: Shape, what: &str) -> Error {
    let context = format!("the frame at byte {} of branch.idx has {what}", shape.start);
    Error::new(ErrorKind::TooLarge, "import_branch", context)
}

/// Records that are all inside the files may still be over the limit; says in words by how much.
fn too_large(files: &Files<'_>, located: &[Located]) -> Option<String> {
    let bytes = located.iter().fold(0_u64, |sum, record| sum.saturating_add(record.header.content_len()));
    let allowed = files.limits.frame_bytes;
    (bytes > u64::from(allowed)).then(|| format!("{bytes} bytes of keys and values, {allowed} are allowed"))
}

/// By the headers, record after record in both files; the table says which file is next.
fn by_headers(files: &Files<'_>, shape: Shape, toc: &[Entry], dat_at: u64) -> Result<Option<Vec<Located>>> {
    let (mut idx_at, mut dat_at) = (shape.start, dat_at);
    let mut located = Vec::with_capacity(toc.len());
    for entry in toc {
        if !files.spend(HEADER_LEN) {
            return Ok(None);
        }
        let next = if idx_at < shape.toc_at { record_at(files, idx_at, false)? } else { None };
        let idx_next = next.filter(|record| record.end() <= shape.toc_at);
        let dat_next = record_at(files, dat_at, true)?;
        let record = match (idx_next, dat_next) {
            (Some(idx), Some(dat)) if is_next(files, entry, &dat, &idx)? => dat,
            (Some(idx), _) => idx,
            (None, Some(dat)) => dat,
            (None, None) => return Ok(None),
        };
        let place = if record.in_dat { &mut dat_at } else { &mut idx_at };
        *place = record.end();
        located.push(record);
    }
    Ok((idx_at == shape.toc_at).then_some(located))
}

/// Whether a line of the table means this record of `branch.dat` rather than that one of `branch.idx`.
fn is_next(files: &Files<'_>, entry: &Entry, dat: &Located, idx: &Located) -> Result<bool> {
    // The usual case, without a look at the keys.
    if !entry.is_payload() && entry.record_at == idx.at && entry.value_at == idx.value_at() {
        return Ok(false);
    }
    Ok(likeness(files, entry, dat)? > likeness(files, entry, idx)?)
}

/// How many things a line of the table and a record have in common.
fn likeness(files: &Files<'_>, entry: &Entry, record: &Located) -> Result<u32> {
    let header = &record.header;
    let plain = [
        entry.record_at == record.at,
        entry.value_at == record.value_at(),
        entry.key_len == header.key_len,
        entry.value_len == header.value_len,
        entry.rtype == header.rtype,
        entry.is_payload() == record.in_dat,
    ];
    let alike = plain.into_iter().map(u32::from).sum::<u32>();
    let key_len = u64::from(header.key_len);
    if alike == 6 || header.key_len > files.limits.key_bytes || !files.spend(key_len) {
        return Ok(alike);
    }
    let key = files.file(record.in_dat).bytes(record.key_at(), key_len)?;
    Ok(alike.saturating_add(u32::from(key.is_some_and(|key| key_hash(&key) == entry.key_hash))))
}

/// By a table of contents, headers made anew. The original writes a frame's records one after the other, so they must
/// fill the place before the table exactly.
fn by_table(files: &Files<'_>, shape: Shape, toc: &[Entry]) -> Option<Vec<Located>> {
    if toc.len() != shape.count as usize {
        return None;
    }
    let mut located = Vec::with_capacity(toc.len());
    let mut idx_at = shape.start;
    for entry in toc {
        let in_dat = entry.is_payload();
        let header =
            RecordHeader { rtype: entry.rtype, key_len: entry.key_len, value_len: entry.value_len, flags: 0 };
        let record = Located { in_dat, at: entry.record_at, header, as_stored: false };
        let len = record.end().saturating_sub(record.at);
        let follows = in_dat || record.at == idx_at;
        if !follows || !files.file(in_dat).holds(record.at, len) || record.value_at() != entry.value_at {
            return None;
        }
        if !in_dat {
            idx_at = record.end();
        }
        located.push(record);
    }
    (idx_at == shape.toc_at).then_some(located)
}

/// The digest of a frame: BLAKE3 over headers, keys and values in the order of the table. `mode` is for headers that
/// are made anew. `None` when the budget is used up or a header cannot be made.
fn digest(files: &Files<'_>, located: &[Located], mode: Checksum) -> Result<Option<Digest>> {
    let mut hasher = blake3::Hasher::new();
    for record in located {
        let len = record.end().saturating_sub(record.at);
        if !files.spend(len) {
            return Ok(None);
        }
        let mut from = record.at;
        if !record.as_stored {
            from = record.key_at();
            if record.in_dat {
                let (key, value) = record.read(files)?;
                let Some((header, payload)) = payload_head(&record.header, &key, &value, mode) else {
                    return Ok(None);
                };
                hasher.update(&header.encode());
                hasher.update(&payload.encode());
            } else {
                hasher.update(&record.header.encode());
            }
        }
        let rest = record.end().saturating_sub(from);
        let whole = files.file(record.in_dat).each(from, rest, &mut |piece| {
            hasher.update(piece);
        })?;
        if !whole {
            return Ok(None);
        }
    }
    Ok(Some(*hasher.finalize().as_bytes()))
}
