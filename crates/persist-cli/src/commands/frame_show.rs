//! `persist frame show`: what a frame holds.

use std::path::PathBuf;

use persist_api::{Advice, Error, ErrorKind};
use persist_frame::path::RecordKey;
use persist_frame::{Frame, Record};
use serde::Serialize;

use crate::fail::Result;
use crate::frames::{self, LimitArgs};
use crate::out::Out;
use crate::text::{hex, size};
use crate::watch::Watch;

use super::frame_body;

/// What to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A frame, bare or in a container; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print at most so many records
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Serialize)]
struct FrameJson {
    file: String,
    bytes: usize,
    bare_bytes: usize,
    container: bool,
    beat: String,
    apply_mode: u8,
    compression: &'static str,
    checksum: &'static str,
    caps: String,
    cap_names: Vec<&'static str>,
    payload_history_beats: u32,
    manifest_history_beats: u32,
    branch: Option<BranchJson>,
    record_count: u32,
    merkle_root: String,
    records_blake3: String,
}

#[derive(Serialize)]
struct BranchJson {
    glob: bool,
    domain: String,
    tag: String,
    frame_id: String,
}

#[derive(Serialize)]
struct RecordJson {
    index: usize,
    #[serde(rename = "type")]
    kind: String,
    version: u8,
    flags: u16,
    offset: u64,
    key_hex: String,
    path: Option<String>,
    body_len: usize,
    body: String,
    crc: String,
    leaf: String,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Result<()> {
    // For Ctrl-C: the frame may come from somebody who never writes.
    let _watch = Watch::new(true);
    let limits = args.limits.limits();
    let bytes =
        frames::read(&args.file, &limits)?.within(&limits).map_err(|long| long.into_error(&args.file))?;
    let frame = Frame::parse(&bytes, &limits).map_err(|error| {
        let kind = persist_cps::kind_of(error.class());
        let refused =
            Error::new(kind, "frame show", error.to_string()).with_path(&args.file).with_source(error);
        if kind == ErrorKind::Corrupt { refused.with_advice(Advice::FixPath) } else { refused }
    })?;
    out.needs_reader();
    if out.is_json() {
        out.object(&frame_json(args, &bytes, &frame))?;
    } else {
        header(args, &bytes, &frame, out)?;
    }
    for (index, record) in frame.records().enumerate().take(args.limit) {
        if out.is_json() {
            out.object(&record_json(index, &record))?;
        } else {
            let path = path_of(&record).unwrap_or_else(|| format!("0x{}", hex(record.key())));
            out.line(format_args!("{index:>5}  {:<16} {path}", record.kind().to_string()))?;
            out.line(format_args!("       {}", frame_body::describe(&record)))?;
        }
    }
    let left = frame.records().len().saturating_sub(args.limit);
    if left > 0 && !out.is_json() {
        out.line(format_args!("       and {left} more (--limit)"))?;
    }
    Ok(())
}

/// The cell that the record belongs to, where its key says so.
fn path_of(record: &Record<'_>) -> Option<String> {
    let key = RecordKey::decode(record.key()).ok().filter(|key| key.kind() == record.kind())?;
    Some(match key {
        RecordKey::CellDesc(path) => path.to_string(),
        RecordKey::PayloadChunk(path, ordinal) => format!("{path} chunk {ordinal}"),
        RecordKey::ManifestDelta(path, page) => format!("{path} page {page}"),
        RecordKey::OrderDelta(path, projection, page) => {
            format!("{path} projection {projection} page {page}")
        }
        RecordKey::NamepoolDelta(id) => format!("name {id:#x}"),
        RecordKey::PayloadHistory(path, revision, ordinal) => {
            format!("{path} revision {} chunk {ordinal}", hex(&revision))
        }
        RecordKey::ManifestHistory(path, page, revision) => {
            format!("{path} revision {} page {page}", hex(&revision))
        }
    })
}

fn frame_json(args: &Args, bytes: &[u8], frame: &Frame<'_>) -> FrameJson {
    let trailer = frame.trailer();
    let fields = trailer.fields;
    FrameJson {
        file: args.file.display().to_string(),
        bytes: bytes.len(),
        bare_bytes: frame.bare_bytes().len(),
        container: frame.came_in_container(),
        beat: fields.beat.to_string(),
        apply_mode: fields.apply_mode.number(),
        compression: fields.compression.name(),
        checksum: fields.checksum.name(),
        caps: fields.caps.to_string(),
        cap_names: fields.caps.names().collect(),
        payload_history_beats: fields.payload_history_beats,
        manifest_history_beats: fields.manifest_history_beats,
        branch: fields.branch.map(|branch| BranchJson {
            glob: branch.glob,
            domain: branch.domain.to_string(),
            tag: branch.tag.to_string(),
            frame_id: branch.frame_id.to_string(),
        }),
        record_count: trailer.record_count,
        merkle_root: hex(&trailer.merkle_root),
        records_blake3: hex(&frame.records_blake3()),
    }
}

fn record_json(index: usize, record: &Record<'_>) -> RecordJson {
    RecordJson {
        index,
        kind: record.kind().to_string(),
        version: record.version(),
        flags: record.flags(),
        offset: record.offset(),
        key_hex: hex(record.key()),
        path: path_of(record),
        body_len: record.body().len(),
        body: frame_body::describe(record),
        crc: format!("{:08x}", record.stored_checksum()),
        leaf: hex(&record.leaf()),
    }
}

fn header(args: &Args, bytes: &[u8], frame: &Frame<'_>, out: &mut Out) -> Result<()> {
    let trailer = frame.trailer();
    let fields = trailer.fields;
    out.field("frame", args.file.display())?;
    let bare = frame.bare_bytes().len() as u64;
    if frame.came_in_container() {
        let came = size(bytes.len() as u64);
        out.field("size", format_args!("{} in a container of {came}", size(bare)))?;
    } else {
        out.field("size", size(bare))?;
    }
    out.field("beat", fields.beat)?;
    out.field("apply mode", format_args!("{:?} ({})", fields.apply_mode, fields.apply_mode.number()))?;
    out.field("checksum", fields.checksum.name())?;
    let names: Vec<_> = fields.caps.names().collect();
    out.field("capabilities", format_args!("{} {}", fields.caps, names.join(" ")))?;
    if let Some(branch) = fields.branch {
        let glob = if branch.glob { " (glob)" } else { "" };
        let text = format!("{:#x}/{:#x}{glob} frame {}", branch.domain, branch.tag, branch.frame_id);
        out.field("branch", text)?;
    }
    out.field("Merkle root", hex(&trailer.merkle_root))?;
    out.field("records", trailer.record_count)?;
    if let Err(error) = frame.policy().into_result() {
        out.field("ingestion", format_args!("{} would be refused: {}", ErrorKind::Refused, error.message()))?;
    }
    Ok(())
}
