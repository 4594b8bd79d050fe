//! The manifest of a bundle: ASCII lines `key = value` in a fixed order.

use std::fmt::Write as _;

use persist_api::{BeatHeader, BeatNo, CommitNo, Durability, Error, ErrorKind, Result};

use crate::StoreDigest;

const VERSION: &str = "1";
/// The longest manifest, without the lines of its parts.
pub(super) const HEAD_BYTES_MAX: usize = 1024;
/// The line with which the manifest's head ends: those of the parts follow.
const LAST_KEY: &str = "parts";

/// The content of a bundle that holds a whole store, and of one that holds what came after a base.
const STORE: &str = "store";
const INCREMENT: &str = "increment";
/// What stands for a hash that there is not.
const NONE: &str = "none";

/// The state that an increment goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleBase {
    /// Its newest beat.
    pub beat: BeatNo,
    /// Its newest commit.
    pub commit: CommitNo,
    /// BLAKE3 of its records, as the store digest says; `None` where nobody knew it any more.
    pub digest: Option<[u8; 32]>,
}

/// What a bundle says about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleManifest {
    /// The state that it goes on from; `None` for a whole store.
    pub base: Option<BundleBase>,
    /// The newest beat of the store; 0 for a store without beats.
    pub beat: BeatNo,
    /// First commit of that beat.
    pub first_commit: CommitNo,
    /// How many commits it carries.
    pub commits: u64,
    /// Its Merkle root, where the store has them.
    pub root: Option<[u8; 32]>,
    /// The digest of all records, their number and bytes: of an increment, those of the store to which it was applied.
    pub digest: StoreDigest,
    /// Bytes of the longest key that it holds, deleted ones included; 0 without any.
    pub key_bytes_max: u64,
    /// Bytes of the longest value that it holds; 0 without any.
    pub value_bytes_max: u64,
    /// How many parts the bundle has.
    pub parts: u64,
}

impl BundleManifest {
    /// The header of the beat, at a durability that bundles do not know.
    #[must_use]
    pub const fn header(&self, durability: Durability) -> BeatHeader {
        let Self { beat, first_commit, commits, root, .. } = *self;
        BeatHeader { beat, first_commit, commits, durability, root }
    }

    /// What a later increment goes on from.
    #[must_use]
    pub fn as_base(&self) -> BundleBase {
        let commit = self.header(Durability::Volatile).last_commit();
        BundleBase { beat: self.beat, commit, digest: Some(self.digest.blake3) }
    }

    /// The text, without the lines of its parts.
    pub(super) fn head_text(&self) -> String {
        let hex = |hash: Option<[u8; 32]>| {
            hash.map_or_else(|| NONE.to_owned(), |hash| blake3::Hash::from(hash).to_hex().to_string())
        };
        let root = hex(self.root);
        let mut lines: Vec<(&str, &dyn std::fmt::Display)> = vec![("persist-bundle", &VERSION)];
        let base_digest = self.base.map(|base| hex(base.digest));
        match (&self.base, &base_digest) {
            (Some(base), Some(digest)) => lines.extend([
                ("content", &INCREMENT as _),
                ("base-beat", &base.beat as _),
                ("base-commit", &base.commit as _),
                ("base-digest", digest as _),
            ]),
            _ => lines.push(("content", &STORE)),
        }
        let rest: [(&str, &dyn std::fmt::Display); 10] = [
            ("beat", &self.beat),
            ("first-commit", &self.first_commit),
            ("commits", &self.commits),
            ("root", &root),
            ("digest", &self.digest),
            ("records", &self.digest.records),
            ("bytes", &self.digest.bytes),
            ("key-bytes-max", &self.key_bytes_max),
            ("value-bytes-max", &self.value_bytes_max),
            (LAST_KEY, &self.parts),
        ];
        lines.into_iter().chain(rest).fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key} = {value}");
            text
        })
    }

    /// Where in these bytes the lines of parts begin; `None` when that is still to come.
    pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
        let last = format!("\n{LAST_KEY} = ");
        let at = bytes.windows(last.len()).position(|window| window == last.as_bytes())?;
        let line = bytes.get(at.checked_add(1)?..)?;
        let newline = line.iter().position(|byte| *byte == b'\n')?;
        at.checked_add(newline)?.checked_add(2)
    }

    /// Reads a head back. Anything but the exact bytes that [`head_text`](Self::head_text) gives is refused.
    ///
    /// # Errors
    /// `Corrupt` naming the line; `Mismatch` for another version.
    pub(super) fn parse_head(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| corrupt("not text"))?;
        let mut lines = Lines(text.lines());
        let version = lines.value("persist-bundle")?;
        if version != VERSION {
            let context = format!("the bundle has format {version}; this build reads {VERSION}");
            return Err(Error::new(ErrorKind::Mismatch, "read_bundle", context));
        }
        let manifest = Self {
            base: lines.base()?,
            beat: BeatNo(lines.number("beat")?),
            first_commit: CommitNo(lines.number("first-commit")?),
            commits: lines.number("commits")?,
            root: lines.hash_or_none("root")?,
            digest: StoreDigest {
                blake3: lines.hash("digest")?,
                records: lines.number("records")?,
                bytes: lines.number("bytes")?,
            },
            key_bytes_max: lines.number("key-bytes-max")?,
            value_bytes_max: lines.number("value-bytes-max")?,
            parts: lines.number(LAST_KEY)?,
        };
        if manifest.head_text() != text {
            return Err(corrupt("not in canonical form"));
        }
        if manifest.beat.0 == 0 && manifest.header(Durability::Volatile) != BeatHeader::default() {
            return Err(corrupt("a store without beats has no commits and no root"));
        }
        if manifest.first_commit.0.checked_add(manifest.commits).is_none() {
            return Err(corrupt("more commits than there are numbers"));
        }
        Ok(manifest)
    }
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read_bundle", format!("manifest: {what}"))
}

struct Lines<'t>(std::str::Lines<'t>);

impl<'t> Lines<'t> {
    fn value(&mut self, key: &str) -> Result<&'t str> {
        let line = self.0.next().unwrap_or_default();
        let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(" = "));
        value.ok_or_else(|| corrupt(&format!("{key:?} expected in line {line:?}")))
    }

    fn number(&mut self, key: &str) -> Result<u64> {
        let value = self.value(key)?;
        value.parse().map_err(|_| corrupt(&format!("{key} cannot be {value:?}")))
    }

    fn hash(&mut self, key: &str) -> Result<[u8; 32]> {
        let value = self.value(key)?;
        read_hash(value).ok_or_else(|| corrupt(&format!("{key} cannot be {value:?}")))
    }

    fn base(&mut self) -> Result<Option<BundleBase>> {
        match self.value("content")? {
            STORE => Ok(None),
            INCREMENT => Ok(Some(BundleBase {
                beat: BeatNo(self.number("base-beat")?),
                commit: CommitNo(self.number("base-commit")?),
                digest: self.hash_or_none("base-digest")?,
            })),
            value => Err(corrupt(&format!("content cannot be {value:?}"))),
        }
    }

    fn hash_or_none(&mut self, key: &str) -> Result<Option<[u8; 32]>> {
        match self.value(key)? {
            NONE => Ok(None),
            value => read_hash(value).map(Some).ok_or_else(|| corrupt(&format!("{key} cannot be {value:?}"))),
        }
    }
}

fn read_hash(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(Into::into)
}
