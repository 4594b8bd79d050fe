//! Bundles written by the book (`docs/format-bundle.md`), without the code that is tested, and with any lie in them.

use crate::kit::Content;

pub const CHUNK: usize = 256 * 1024;

/// A bundle to be written.
#[derive(Clone)]
pub struct Forge {
    pub magic: Vec<u8>,
    /// The lines of the manifest's head, without the last, which counts the parts.
    pub head: Vec<(&'static str, String)>,
    /// Names and bytes.
    pub parts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Lines of parts that are not those of the parts.
    pub part_lines: Option<Vec<String>>,
    /// The payload of a chunk that is full.
    pub chunk: usize,
}

pub fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The bytes of the part `records`.
pub fn records<'r>(records: impl IntoIterator<Item = (&'r [u8], &'r [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        for part in [key, value] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
    }
    bytes
}

pub fn blob_name(bytes: &[u8]) -> Vec<u8> {
    let hex = hex(bytes);
    format!("cas/{}/{hex}.blob", &hex[..2]).into_bytes()
}

impl Forge {
    /// A true bundle of one commit a beat, without roots.
    pub fn of(content: &Content, beat: u64, blobs: &[&[u8]]) -> Self {
        let rows = || content.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let part = records(rows());
        let longest = |lens: &mut dyn Iterator<Item = usize>| lens.max().unwrap_or_default().to_string();
        let head = vec![
            ("persist-bundle", "1".to_owned()),
            ("content", "store".to_owned()),
            ("beat", beat.to_string()),
            ("first-commit", beat.max(1).to_string()),
            ("commits", beat.min(1).to_string()),
            ("root", "none".to_owned()),
            ("digest", hex(&part)),
            ("records", content.len().to_string()),
            ("bytes", rows().map(|(key, value)| key.len() + value.len()).sum::<usize>().to_string()),
            ("key-bytes-max", longest(&mut content.keys().map(Vec::len))),
            ("value-bytes-max", longest(&mut content.values().map(Vec::len))),
        ];
        let mut parts: Vec<_> = blobs.iter().map(|blob| (blob_name(blob), blob.to_vec())).collect();
        parts.sort();
        parts.push((b"records".to_vec(), part));
        Self { magic: b"persist-bundle 1\n".to_vec(), head, parts, part_lines: None, chunk: CHUNK }
    }

    /// The same with one line of the head changed.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        let line = self.head.iter_mut().find(|(name, _)| *name == key).unwrap();
        value.clone_into(&mut line.1);
        self
    }

    /// The same with other bytes as records, and the head made to fit them but for what the records add up to.
    pub fn with_records(mut self, bytes: Vec<u8>) -> Self {
        let digest = hex(&bytes);
        self.parts.last_mut().unwrap().1 = bytes;
        self.with("digest", &digest)
    }

    pub fn manifest(&self) -> String {
        let line = |(key, value): &(&str, String)| format!("{key} = {value}\n");
        let head: Vec<_> = self.head.iter().map(line).collect();
        let count = format!("parts = {}\n", self.parts.len());
        let line = |(name, bytes): &(Vec<u8>, Vec<u8>)| {
            format!("part = {} {} {}\n", String::from_utf8_lossy(name), bytes.len(), hex(bytes))
        };
        let own = self.parts.iter().map(line).collect();
        head.concat() + &count + &self.part_lines.clone().unwrap_or(own).concat()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.magic.clone();
        for (name, bytes) in &self.parts {
            chunk(&mut file, 1, name);
            for payload in bytes.chunks(self.chunk) {
                chunk(&mut file, 2, payload);
            }
        }
        let manifest = self.manifest();
        for payload in manifest.as_bytes().chunks(self.chunk) {
            chunk(&mut file, 3, payload);
        }
        chunk(&mut file, 4, blake3::hash(manifest.as_bytes()).as_bytes());
        file
    }
}

/// Adds a chunk.
pub fn chunk(file: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let start = file.len();
    file.push(kind);
    file.extend((payload.len() as u32).to_le_bytes());
    file.extend(payload);
    let crc = crc32c::crc32c(&file[start..]);
    file.extend(crc.to_le_bytes());
}
