//! Record bodies in one line.

use std::fmt::Write as _;

use persist_frame::Record;
use persist_frame::body::{Body, CellDesc, Manifest, PayloadChunk};

use crate::text::{hex, show, size};

/// What a record's body says, or that it cannot be read.
pub(crate) fn describe(record: &Record<'_>) -> String {
    match Body::decode(record) {
        Ok(body) => words(&body),
        Err(error) => format!("{} of bytes that do not decode: {}", size(record.body().len() as u64), error),
    }
}

fn words(body: &Body<'_>) -> String {
    match body {
        Body::CellDesc(cell) => cell_words(cell),
        Body::PayloadChunk(chunk) => chunk_words(chunk),
        Body::ManifestDelta(page) | Body::ManifestHistory(page) => manifest_words(page),
        Body::OrderDelta(page) => {
            format!("epoch {}, {} entries from rank {}", page.epoch, page.entries().count(), page.rank_min)
        }
        Body::NamepoolDelta(name) => format!("text \"{}\"", show(name.text, false)),
        Body::PayloadHistory(past) => format!("at {}: {}", past.beat, chunk_words(&past.chunk)),
        _ => "a kind that this command does not describe".to_owned(),
    }
}

fn cell_words(cell: &CellDesc<'_>) -> String {
    let mut text = format!("{:?} cell, created {}, latest {}", cell.cell_type, cell.created, cell.latest);
    if !cell.inline.is_empty() {
        let _ = write!(text, ", inline {}", show(cell.inline, false));
    }
    if let Some(payload) = &cell.payload_ref {
        let hash = hex(payload.hash.get(..8).unwrap_or_default());
        let _ = write!(text, ", payload of {} {hash}… {:?}", size(payload.payload_size), payload.kind);
    }
    if cell.marks.tombstone {
        text.push_str(", tombstone");
    }
    if cell.marks.veiled {
        text.push_str(", veiled");
    }
    text
}

fn chunk_words(chunk: &PayloadChunk<'_>) -> String {
    let end = chunk.chunk_offset.saturating_add(chunk.chunk_size);
    format!("bytes {}..{end} of {}, encryption {:?}", chunk.chunk_offset, chunk.total_size, chunk.aead_mode)
}

fn manifest_words(page: &Manifest<'_>) -> String {
    format!("epoch {}, {} children", page.epoch, page.entries().len())
}
