//! Stores and frames for the tests.

use std::path::PathBuf;
use std::sync::Arc;

use persist_api::{Durability, Finding, OpenOptions, Quiet, Result};
use persist_cps::{FrameVerifyStat, IngestOptions, Ingested, ingest};
use persist_frame::{FrameCaps, FrameWriter, NewRecord, TrailerFields};
use persist_store::{Store, Writer, open_with, volatile_request};
use serde_json::Value;

/// A fresh store in memory.
pub(crate) struct Place {
    pub(crate) writer: Writer,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let drivers: [Arc<dyn persist_api::Driver>; 1] = [Arc::new(persist_memory::MemoryDriver::new())];
        let disk = Arc::new(persist_io::RealDisk);
        let opened = open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default()).unwrap();
        let (writer, store) = opened.negotiate(&volatile_request()).unwrap();
        Self { writer, store }
    }

    pub(crate) fn ingest(&mut self, frame: &[u8]) -> Result<Ingested> {
        self.ingest_with(frame, &IngestOptions::default())
    }

    pub(crate) fn ingest_with(&mut self, frame: &[u8], options: &IngestOptions) -> Result<Ingested> {
        ingest(&mut self.writer, &self.store, frame, Durability::Durable, options)
    }

    /// What a refusal must leave as it was.
    pub(crate) fn state(&self) -> (u64, [u8; 32]) {
        let view = self.store.view().unwrap();
        (view.header().beat.0, self.store.digest(&view).unwrap().blake3)
    }

    pub(crate) fn verify(&self) -> (FrameVerifyStat, Vec<Finding>) {
        let mut findings = Vec::new();
        let view = self.store.view().unwrap();
        let limits = &self.store.grant().session.limits;
        let stat = persist_cps::verify(&view, limits, &mut |finding| findings.push(finding), &Quiet).unwrap();
        (stat, findings)
    }

    /// Writes past ingestion.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        let mut beat = self.writer.begin(Durability::Durable).unwrap();
        beat.put(key, value).unwrap();
        beat.commit().unwrap();
    }

    /// Deletes past ingestion.
    pub(crate) fn delete(&mut self, key: &[u8]) {
        let mut beat = self.writer.begin(Durability::Durable).unwrap();
        beat.delete(key).unwrap();
        beat.commit().unwrap();
    }
}

/// A bare frame of these records.
pub(crate) fn frame(fields: TrailerFields, records: &[NewRecord<'_>]) -> Vec<u8> {
    let caps = fields.caps.with(FrameCaps::FRAME_TOC);
    let mut writer = FrameWriter::new(TrailerFields { caps, ..fields });
    for record in records {
        writer.push(*record).unwrap();
    }
    writer.finish().unwrap()
}

/// One vector: its entry in the manifest and its bytes.
pub(crate) struct Vector {
    pub(crate) entry: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Vector {
    pub(crate) fn name(&self) -> &str {
        self.entry["file"].as_str().unwrap()
    }

    pub(crate) fn accepted(&self) -> bool {
        self.entry["expect"] == "accept"
    }

    /// What ingestion must answer, as an error class, or nothing.
    pub(crate) fn ingest_error(&self) -> Option<&str> {
        self.entry["ingest_error"].as_str()
    }
}

/// Every vector of both manifests.
pub(crate) fn vectors() -> Vec<Vector> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cps");
    let mut vectors = Vec::new();
    for place in [root.clone(), root.join("generated")] {
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(place.join("manifest.json")).unwrap()).unwrap();
        for entry in manifest["frames"].as_array().unwrap() {
            let bytes = std::fs::read(place.join(entry["file"].as_str().unwrap())).unwrap();
            vectors.push(Vector { entry: entry.clone(), bytes });
        }
    }
    assert!(vectors.len() >= 195, "{} vectors", vectors.len());
    vectors
}
