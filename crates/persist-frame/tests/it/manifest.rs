//! The vectors and what their manifests say about them.

use std::path::PathBuf;

use serde_json::Value;

/// One vector: the file, its manifest entry, its bytes.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) entry: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Vector {
    pub(crate) fn accepted(&self) -> bool {
        match self.entry["expect"].as_str() {
            Some("accept") => true,
            Some("reject") => false,
            other => panic!("{}: expect {other:?}", self.name),
        }
    }

    pub(crate) fn hex(&self, field: &str) -> Option<Vec<u8>> {
        self.entry[field].as_str().map(unhex)
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cps")
}

pub(crate) fn json(relative: &str) -> Value {
    let text = std::fs::read_to_string(root().join(relative)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every vector of both manifests; each must be the file that the manifest describes.
pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for folder in ["", "generated/"] {
        let manifest = json(&format!("{folder}manifest.json"));
        let frames = manifest["frames"].as_array().unwrap();
        assert_eq!(frames.len() as u64, manifest["count"].as_u64().unwrap());
        for entry in frames {
            let name = format!("{folder}{}", entry["file"].as_str().unwrap());
            let bytes = std::fs::read(root().join(&name)).unwrap();
            assert_eq!(blake3::hash(&bytes).to_string(), entry["blake3"].as_str().unwrap(), "{name}");
            vectors.push(Vector { name, entry: entry.clone(), bytes });
        }
    }
    assert!(vectors.len() >= 195);
    vectors
}

pub(crate) fn accepted() -> Vec<Vector> {
    vectors().into_iter().filter(Vector::accepted).collect()
}

/// The bytes of one vector of `generated/frames`.
pub(crate) fn generated(name: &str) -> Vec<u8> {
    std::fs::read(root().join(format!("generated/frames/{name}.frame"))).unwrap()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
