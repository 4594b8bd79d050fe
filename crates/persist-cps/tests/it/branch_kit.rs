//! Writes branch directories as the original engine does, byte for byte (a test compares with a real one), and damages them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use persist_api::Quiet;
use persist_cps::branch::{BranchLimits, BranchSeverity, BranchSource, BranchSurvey, DirSource};
use persist_frame::Checksum;
use persist_frame::aead::AeadMode;
use persist_frame::body::{CellDesc, PayloadChunk, PayloadCodec, PayloadRef, RefKind};
use serde_json::Value;

/// A branch in memory.
pub(crate) type Dir = BTreeMap<String, Vec<u8>>;

/// One record: type, key, value.
pub(crate) type Rec = (u32, Vec<u8>, Vec<u8>);

/// The engine's writing half.
pub(crate) struct Engine {
    pub(crate) dir: Dir,
    mode: Checksum,
    checkpoint_every: u64,
    branch_id: [u8; 16],
    generation: u32,
    pub(crate) next_id: u64,
    head: Option<(Entry48, [u8; 32])>,
}

type Entry48 = [u64; 6];

fn hash64(key: &[u8]) -> [u8; 8] {
    blake3::hash(key).as_bytes()[..8].try_into().unwrap()
}

impl Engine {
    pub(crate) fn new(path: &str, mode: Checksum, checkpoint_every: u64) -> Self {
        let branch_id = blake3::hash(path.as_bytes()).as_bytes()[..16].try_into().unwrap();
        let files = ["branch.idx", "branch.dat", "branch.frames", "branch.ckp"];
        let dir = files.into_iter().map(|name| (name.to_owned(), Vec::new())).collect();
        let mut engine =
            Self { dir, mode, checkpoint_every, branch_id, generation: 0, next_id: 1, head: None };
        engine.write_meta();
        engine
    }

    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        self.dir.get_mut(name).unwrap()
    }

    /// Begins a transaction that is never committed: its number is used up.
    pub(crate) fn skip_id(&mut self) {
        self.next_id += 1;
    }

    /// A commit that fails on its way: the last bytes of its part of `branch.idx` are not written, nor what comes after it. The
    /// program goes on.
    pub(crate) fn fail(&mut self, beat: u64, records: &[Rec], missing: usize) {
        let (before, generation, head) = (self.dir.clone(), self.generation, self.head);
        self.commit(beat, records);
        for name in ["branch.meta", "branch.frames", "branch.ckp"] {
            self.dir.insert(name.to_owned(), before[name].clone());
        }
        (self.generation, self.head) = (generation, head);
        let idx = self.file("branch.idx");
        let whole = idx.len();
        idx.truncate(whole - missing);
        assert!(idx.len() >= before["branch.idx"].len(), "more than the whole part");
    }

    pub(crate) fn commit(&mut self, beat: u64, records: &[Rec]) {
        let (idx_base, dat_base) =
            (self.file("branch.idx").len() as u64, self.file("branch.dat").len() as u64);
        let (mut idx, mut dat, mut toc) = (Vec::new(), Vec::new(), Vec::new());
        let mut digest = blake3::Hasher::new();
        for (rtype, key, value) in records {
            let payload = *rtype == 2;
            let bytes = self.record(*rtype, key, value);
            digest.update(&bytes);
            let (part, base) = if payload { (&mut dat, dat_base) } else { (&mut idx, idx_base) };
            let at = base + part.len() as u64;
            part.extend_from_slice(&bytes);
            let cas = *rtype == 1
                && CellDesc::decode(value)
                    .is_ok_and(|desc| desc.payload_ref.is_some_and(|it| it.kind == RefKind::Cas));
            toc.extend_from_slice(&hash64(key));
            toc.extend_from_slice(&at.to_le_bytes());
            toc.extend_from_slice(&(at + (bytes.len() - value.len()) as u64).to_le_bytes());
            for field in [key.len() as u32, value.len() as u32, *rtype, u32::from(cas)] {
                toc.extend_from_slice(&field.to_le_bytes());
            }
        }
        let (digest, count, id) = (*digest.finalize().as_bytes(), records.len() as u32, self.next_id);
        self.next_id += 1;
        let idx_len = (idx.len() + 8 + toc.len() + 64) as u64;
        let head = [beat, id, idx_base, idx_len, dat_base, dat.len() as u64];
        self.file("branch.dat").extend_from_slice(&dat);
        let tail = self.file("branch.idx");
        tail.extend_from_slice(&idx);
        tail.extend_from_slice(&0x544F_4331_u32.to_le_bytes());
        tail.extend_from_slice(&count.to_le_bytes());
        tail.extend_from_slice(&toc);
        tail.extend_from_slice(&0x5452_4C31_u64.to_le_bytes());
        tail.extend_from_slice(&beat.to_le_bytes());
        tail.extend_from_slice(&id.to_le_bytes());
        tail.extend_from_slice(&u64::from(count).to_le_bytes());
        tail.extend_from_slice(&digest);
        self.file("branch.frames").extend(head.iter().flat_map(|field| field.to_le_bytes()));
        if id.is_multiple_of(self.checkpoint_every) {
            let copy = self.file("branch.ckp");
            copy.extend_from_slice(&0x434B_5031_u32.to_le_bytes());
            copy.extend_from_slice(&count.to_le_bytes());
            copy.extend([beat, id, dat_base, idx_base].iter().flat_map(|field| field.to_le_bytes()));
            copy.extend_from_slice(&toc);
            self.generation += 1;
        }
        self.head = Some((head, digest));
        self.write_meta();
    }

    fn record(&self, rtype: u32, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut flags = 0;
        let mut extra = Vec::new();
        if rtype == 2 {
            let chunk = PayloadChunk::decode(value).unwrap();
            flags = u32::from(chunk.payload_kind.number()) | u32::from(chunk.aead_mode.number()) << 8;
            extra.extend_from_slice(&hash64(key));
            extra.extend_from_slice(&chunk.chunk_offset.to_le_bytes());
            extra.extend_from_slice(&chunk.total_size.to_le_bytes());
            let ordinal = u32::from(*key.last().unwrap());
            for field in [ordinal, chunk.chunk_size as u32, self.mode.of(chunk.data), 0] {
                extra.extend_from_slice(&field.to_le_bytes());
            }
        }
        let head = [rtype, key.len() as u32, value.len() as u32, flags];
        let head: Vec<u8> = head.iter().flat_map(|field| field.to_le_bytes()).collect();
        [&head[..], &extra, key, value].concat()
    }

    fn write_meta(&mut self) {
        let (head, digest) = self.head.unwrap_or_default();
        let mut meta = Vec::new();
        meta.extend_from_slice(&0x4350_5331_u32.to_le_bytes());
        meta.extend_from_slice(&[1, 0, 1, 0]);
        meta.extend_from_slice(&self.branch_id);
        let [beat, id, idx_at, idx_len, dat_at, dat_len] = head;
        meta.extend([idx_at, idx_len, dat_at, dat_len, beat, id].iter().flat_map(|it| it.to_le_bytes()));
        meta.extend_from_slice(&digest);
        meta.extend_from_slice(&self.generation.to_le_bytes());
        meta.resize(252, 0);
        meta.extend_from_slice(&self.mode.of(&meta).to_le_bytes());
        self.dir.insert("branch.meta".to_owned(), meta);
    }

    /// Adds a blob and writes the manifest anew.
    pub(crate) fn blob(&mut self, plaintext: &[u8], stored: &[u8], codec: u8) {
        let hash = blake3::hash(plaintext);
        let name = hash.to_hex();
        self.dir.insert(format!("cas/{}/{name}.blob", &name[..2]), stored.to_vec());
        let manifest = self
            .dir
            .entry("cas/manifest.bin".to_owned())
            .or_insert_with(|| [&0x4341_534D_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0; 8]].concat());
        manifest.extend_from_slice(hash.as_bytes());
        manifest.extend_from_slice(&(plaintext.len() as u64).to_le_bytes());
        manifest.extend_from_slice(&[codec, 3, 0, 0, 0, 0, 0, 0]);
        manifest[8] += 1;
    }
}

/// A chunk's record.
pub(crate) fn chunk(base: &[u8], ordinal: u8, data: &[u8], total: u64, offset: u64) -> Rec {
    let key = [base, &[ordinal]].concat();
    let aad = *blake3::hash(&key).as_bytes();
    let body = PayloadChunk {
        payload_kind: persist_frame::body::PayloadKind::Data,
        total_size: total,
        chunk_offset: offset,
        chunk_size: data.len() as u64,
        fingerprint: Some(7),
        aead_mode: persist_frame::aead::AeadMode::None,
        nonce: &[],
        aad_hash: &aad,
        data,
    };
    (2, key, body.encode())
}

/// A structural record.
pub(crate) fn plain(rtype: u32, key: &[u8], value: &[u8]) -> Rec {
    (rtype, key.to_vec(), value.to_vec())
}

/// The description of a cell whose payload is this blob.
pub(crate) fn refers_to(plaintext: &[u8], codec: PayloadCodec) -> Vec<u8> {
    refers_with(plaintext, codec, AeadMode::XChaCha20Poly1305, plaintext.len() as u64)
}

/// The same, with an encryption mode and a size.
pub(crate) fn refers_with(plaintext: &[u8], codec: PayloadCodec, aead_mode: AeadMode, size: u64) -> Vec<u8> {
    let hash = *blake3::hash(plaintext).as_bytes();
    let payload_ref =
        Some(PayloadRef { kind: RefKind::Cas, codec, aead_mode, payload_size: size, hash: &hash });
    CellDesc { payload_ref, ..CellDesc::default() }.encode()
}

/// Four small frames, with chunks, a key that is written twice, a checkpoint of every second frame, and two blobs.
pub(crate) fn small(mode: Checksum) -> Engine {
    let mut engine = Engine::new("root/small", mode, 2);
    let (plain_blob, packed_blob) = (&[9_u8; 40][..], &[8_u8; 300][..]);
    engine.commit(50, &[plain(1, b"a", b"first"), plain(5, b"n", b"name")]);
    engine.commit(
        40,
        &[
            plain(1, b"b", &refers_to(plain_blob, PayloadCodec::None)),
            chunk(b"p", 0, b"0123456789", 16, 0),
            plain(3, b"m", b"page"),
            chunk(b"p", 1, b"abcdef", 16, 10),
        ],
    );
    engine.commit(60, &[plain(1, b"a", b"second"), chunk(b"q", 0, b"zzzz", 4, 0)]);
    engine.commit(60, &[plain(1, b"c", &refers_to(packed_blob, PayloadCodec::Deflate)), plain(6, b"h", b"")]);
    engine.blob(plain_blob, plain_blob, 0);
    engine.blob(packed_blob, &persist_frame::cas::deflate_blob(packed_blob).unwrap(), 1);
    engine
}

/// Reads a branch that can be read.
pub(crate) fn survey(dir: &Dir) -> BranchSurvey {
    BranchSurvey::read(dir, BranchLimits::default(), &Quiet).unwrap()
}

/// Codes of the findings that are no part of every survey of these branches, in order, each once.
pub(crate) fn codes(survey: &BranchSurvey) -> Vec<&'static str> {
    let mut codes: Vec<_> = survey.findings.kept().iter().map(|finding| finding.code).collect();
    let usual = ["merkle_root_absent", "branch_id_unchecked", "key_repeated", "blob_in_clear"];
    codes.retain(|code| !usual.contains(code));
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Numbers of the frames that verified.
pub(crate) fn ids(survey: &BranchSurvey) -> Vec<u64> {
    survey.frames.iter().map(|frame| frame.frame_id).collect()
}

/// Whether some finding is of this severity.
pub(crate) fn has(survey: &BranchSurvey, severity: BranchSeverity) -> bool {
    survey.findings.count(severity) > 0
}

/// Where the real branches are.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cps/generated/branches")
}

/// Every real branch: what is known of it, and its directory.
pub(crate) fn real() -> Vec<(Value, PathBuf)> {
    let known: Value =
        serde_json::from_slice(&std::fs::read(fixtures().join("branches.json")).unwrap()).unwrap();
    let branches = known["branches"].as_array().unwrap().iter();
    let all: Vec<_> =
        branches.map(|it| (it.clone(), fixtures().join(it["name"].as_str().unwrap()))).collect();
    assert!(!all.is_empty());
    all
}

/// A directory with all its files in memory.
pub(crate) fn load(root: &std::path::Path) -> Dir {
    let source = DirSource::new(root);
    let mut dir = Dir::new();
    let mut todo = vec![String::new()];
    while let Some(below) = todo.pop() {
        for entry in source.list(&below).unwrap() {
            let name = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
            if entry.is_dir {
                todo.push(name);
            } else {
                dir.insert(name.clone(), std::fs::read(root.join(&name)).unwrap());
            }
        }
    }
    dir
}

/// Hexadecimal to bytes.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Bytes to hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap()).collect()
}
