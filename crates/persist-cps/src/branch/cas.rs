//! The blobs below `cas/`: each is checked against its name, whatever the manifest says.

use std::collections::{BTreeMap, BTreeSet};

use persist_api::{Progress, Result};
use persist_frame::Digest;
use persist_frame::aead::AeadMode;
use persist_frame::body::PayloadCodec;
use persist_frame::cas::open_by_hash;

use super::finding::{BranchSeverity as S, Findings};
use super::layout::{CAS_ENTRY_LEN, CAS_HEADER_LEN, CasEntry, cas_header};
use super::source::{BranchSource, File};
use super::survey::{BlobRef, hex};
use super::watch::Watch;

/// A blob that is what its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// BLAKE3 of the plaintext.
    pub hash: Digest,
    /// Bytes of the plaintext.
    pub bytes: u64,
    /// Whether the file holds a zlib stream.
    pub deflated: bool,
}

/// Hashes that differ in so few bits were the same hash once.
const NEARLY: u32 = 8;

const MANIFEST: &str = "cas/manifest.bin";

/// The file of a blob below the branch.
fn file_name(hash: &Digest) -> String {
    let name = hex(hash);
    format!("cas/{}/{name}.blob", name.get(..2).unwrap_or_default())
}

/// Reads a blob and checks it: the plaintext and whether it was deflated. `Err` says in words what is wrong.
pub(super) fn read(
    source: &dyn BranchSource,
    hash: &Digest,
    limit: u32,
) -> Result<Result<(Vec<u8>, bool), String>> {
    let Some(file) = source.open(&file_name(hash))? else {
        return Ok(Err("there is no such file".to_owned()));
    };
    if file.len() > u64::from(limit) {
        return Ok(Err(format!("{} bytes, {limit} are allowed", file.len())));
    }
    let mut stored = vec![0; usize::try_from(file.len()).unwrap_or(0)];
    file.read_at(0, &mut stored)?;
    Ok(match open_by_hash(hash, stored, limit) {
        Ok((plaintext, codec)) => Ok((plaintext, codec == PayloadCodec::Deflate)),
        Err(error) => Err(error.message().to_owned()),
    })
}

/// Checks all blobs, and the manifest and the references of the records against them.
pub(super) fn survey(
    source: &dyn BranchSource,
    limit: u32,
    references: &BTreeMap<Digest, BlobRef>,
    findings: &mut Findings,
    seen: &Watch<'_>,
) -> Result<Vec<Blob>> {
    let listed = manifest(source, findings, seen)?;
    let (mut blobs, mut damaged) = (BTreeMap::new(), BTreeSet::new());
    for hash in files(source, findings)? {
        let done = blobs.len() as u64;
        seen.step(Progress { phase: "verify blobs", done, total: None, unit: "blobs" })?;
        let name = file_name(&hash);
        match read(source, &hash, limit)? {
            Ok((plaintext, deflated)) => {
                blobs.insert(hash, Blob { hash, bytes: plaintext.len() as u64, deflated });
            }
            Err(why) => {
                let what = format!("the blob is not what its name says: {why}");
                findings.add(S::Lost, "blob_damaged", (&name, None, None), what);
                damaged.insert(hash);
                continue;
            }
        }
        if !listed.contains_key(&hash) {
            let what = "the manifest does not list this blob";
            findings.add(S::Repaired, "blob_unlisted", (&name, None, None), what);
        }
    }
    for (hash, entry) in listed.iter().filter(|(hash, _)| !damaged.contains(*hash)) {
        compare(hash, entry, &blobs, references.get(hash), findings);
    }
    for (hash, reference) in references {
        refers(hash, reference, blobs.get(hash), findings);
    }
    in_clear(&blobs, references, findings);
    Ok(blobs.into_values().collect())
}

/// What the cells say of a blob against the blob.
fn refers(hash: &Digest, reference: &BlobRef, blob: Option<&Blob>, findings: &mut Findings) {
    let (low, high) = reference.sizes;
    let name = file_name(hash);
    let Some(blob) = blob else {
        // The cache holds what was asked for; the rest was in the memory of the original program only.
        let what = format!("a cell refers to this blob of {high} bytes, and the cache has no good copy");
        findings.add(S::Unchecked, "blob_absent", (&name, None, None), what);
        return;
    };
    if let Some(said) = [low, high].into_iter().find(|size| *size != blob.bytes) {
        let what = format!(
            "a cell says {said} bytes of this blob, which has {}; each is what its digest says, and kept",
            blob.bytes
        );
        findings.add(S::Note, "reference_differs", (&name, None, None), what);
    }
}

/// Tells of blobs that cells refer to as encrypted: the cache has the plaintext of all of them.
fn in_clear(blobs: &BTreeMap<Digest, Blob>, references: &BTreeMap<Digest, BlobRef>, findings: &mut Findings) {
    let encrypted = |reference: &BlobRef| reference.modes().any(|mode| mode != AeadMode::None.number());
    let mut told = references
        .iter()
        .filter(|(hash, it)| blobs.contains_key(*hash) && encrypted(it))
        .map(|(hash, _)| hash);
    let Some(first) = told.next() else { return };
    let what = format!(
        "{} blobs that cells refer to as encrypted lie in clear, this one first; a store keeps them as it keeps all values: encrypted \
         if that was asked of it, else in clear",
        told.count().saturating_add(1)
    );
    findings.add(S::Note, "blob_in_clear", (&file_name(first), None, None), what);
}

/// The manifest as far as it can be read, by hash.
fn manifest(
    source: &dyn BranchSource,
    findings: &mut Findings,
    seen: &Watch<'_>,
) -> Result<BTreeMap<Digest, CasEntry>> {
    let file = File::open(source, MANIFEST, seen)?;
    let mut listed = BTreeMap::new();
    if file.is_missing() {
        return Ok(listed);
    }
    let mut damaged = |at, what: String| {
        findings.add(S::Repaired, "manifest_damaged", (MANIFEST, Some(at), None), what);
    };
    let inside = file.len.saturating_sub(CAS_HEADER_LEN);
    let (whole, rest) = (inside.checked_div(CAS_ENTRY_LEN), inside.checked_rem(CAS_ENTRY_LEN));
    match file.array(0)?.map(|bytes| cas_header(&bytes)) {
        None => {
            damaged(0, format!("{} bytes are no header", file.len));
            return Ok(listed);
        }
        Some(Err(why)) => damaged(0, why),
        Some(Ok(count)) if Some(count) != whole || rest != Some(0) => {
            damaged(8, format!("{count} entries are announced, {inside} bytes follow"));
        }
        Some(Ok(_)) => {}
    }
    let mut at = CAS_HEADER_LEN;
    while let Some(bytes) = file.array(at)? {
        let entry = CasEntry::parse(&bytes);
        if entry.odd || entry.codec > 1 || AeadMode::from_number(entry.aead).is_none() {
            damaged(at, "an entry with fields that the original never writes".to_owned());
        }
        if listed.insert(entry.hash, entry).is_some() {
            damaged(at, "a blob is listed twice".to_owned());
        }
        at = at.saturating_add(CAS_ENTRY_LEN);
    }
    Ok(listed)
}

/// The hashes in the names of the blob files; everything else below `cas/` is reported.
fn files(source: &dyn BranchSource, findings: &mut Findings) -> Result<Vec<Digest>> {
    let mut hashes = Vec::new();
    for bucket in source.list("cas")? {
        let dir = format!("cas/{}", bucket.name);
        if dir == MANIFEST {
            continue;
        }
        if !bucket.is_dir {
            findings.add(S::Note, "unknown_file", (&dir, None, None), "not a file of a branch");
            continue;
        }
        for entry in source.list(&dir)? {
            let name = format!("{dir}/{}", entry.name);
            let hash = entry.name.strip_suffix(".blob").and_then(|text| blake3::Hash::from_hex(text).ok());
            if let Some(hash) = hash.filter(|hash| !entry.is_dir && file_name(hash.as_bytes()) == name) {
                hashes.push(*hash.as_bytes());
            } else {
                let what = "not named as a blob is";
                findings.add(S::Note, "unknown_file", (&name, None, None), what);
            }
        }
    }
    Ok(hashes)
}

/// One line of the manifest against the blob, unless that is damaged and was told, and against the reference of a cell.
fn compare(
    hash: &Digest,
    entry: &CasEntry,
    blobs: &BTreeMap<Digest, Blob>,
    reference: Option<&BlobRef>,
    findings: &mut Findings,
) {
    let Some(blob) = blobs.get(hash) else {
        // A damaged line names a blob that nobody knows, next to one that nobody lists.
        let nearly = |other: &&Digest| {
            let bits = hash.iter().zip(other.iter()).map(|(left, right)| (left ^ right).count_ones());
            bits.sum::<u32>() <= NEARLY
        };
        if blobs.keys().find(nearly).is_some() {
            let what = "an entry whose hash differs from that of a good blob in a few bits";
            findings.add(S::Repaired, "manifest_entry", (MANIFEST, None, None), what);
        } else {
            let what = "the manifest lists a blob that is not in its directory";
            findings.add(S::Lost, "blob_missing", (&file_name(hash), None, None), what);
        }
        return;
    };
    let mut differs = Vec::new();
    if entry.size != blob.bytes {
        differs.push(format!("{} bytes instead of {}", entry.size, blob.bytes));
    }
    if (entry.codec == 1) != blob.deflated {
        let [says, is] = [entry.codec == 1, blob.deflated].map(|it| if it { "deflated" } else { "plain" });
        differs.push(format!("{says}, but the file is {is}"));
    }
    // Cells may refer to one blob in more than one mode, and the manifest has room for one.
    let modes: Vec<_> = reference.into_iter().flat_map(|reference| reference.modes()).collect();
    if !modes.is_empty() && !modes.contains(&entry.aead) {
        let modes: Vec<_> = modes.iter().map(u8::to_string).collect();
        differs.push(format!("encryption mode {}, in cells {}", entry.aead, modes.join(" and ")));
    }
    if !differs.is_empty() {
        let what = format!("the manifest says of a good blob: {}", differs.join("; "));
        findings.add(S::Repaired, "manifest_entry", (MANIFEST, None, None), what);
    }
}
