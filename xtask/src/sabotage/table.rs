//! The sabotages, each with `{on}` where it asks whether it is switched on: what makes a commit durable, what recovery decides, and what is verified.

use super::Sabotage;
use super::suite::Suite::{self, Flatfile, Io};

const fn sabotage(
    name: &'static str,
    breaks: &'static str,
    file: &'static str,
    (text, instead): (&'static str, &'static str),
    suite: Suite,
) -> Sabotage {
    Sabotage { name, breaks, file, text, instead, suite }
}

const LOG: &str = "crates/persist-flatfile/src/log.rs";
const WRITER: &str = "crates/persist-flatfile/src/timeline/writer.rs";
const AHEAD: &str = "crates/persist-flatfile/src/timeline/ahead.rs";
const SEGMENT: &str = "crates/persist-flatfile/src/timeline/segment.rs";
const FRAME: &str = "crates/persist-flatfile/src/timeline/frame.rs";
const HEAD: &str = "crates/persist-flatfile/src/timeline/head.rs";
const WALK: &str = "crates/persist-flatfile/src/timeline/replay/walk.rs";
const LOST: &str = "crates/persist-flatfile/src/timeline/replay/lost.rs";
const ASIDE: &str = "crates/persist-flatfile/src/timeline/aside.rs";
const CORE: &str = "crates/persist-flatfile/src/core.rs";
const FLUSH: &str = "crates/persist-flatfile/src/flush.rs";
const MERGING: &str = "crates/persist-flatfile/src/merging.rs";
const RETAIN: &str = "crates/persist-flatfile/src/retain.rs";
const RUNS: &str = "crates/persist-flatfile/src/runs.rs";
const RECOVER: &str = "crates/persist-flatfile/src/recover.rs";
const PAYLOAD: &str = "crates/persist-flatfile/src/payload/mod.rs";
const PAYLOAD_WRITER: &str = "crates/persist-flatfile/src/payload/writer.rs";
const RUN_OUTPUT: &str = "crates/persist-flatfile/src/run/output.rs";
const RUN_WRITER: &str = "crates/persist-flatfile/src/run/writer.rs";
const RUN_BLOCK: &str = "crates/persist-flatfile/src/run/block.rs";
const FULLY: &str = "crates/persist-io/src/fully.rs";
const WHOLE: &str = "crates/persist-io/src/whole.rs";

pub(super) const TABLE: &[Sabotage] = &[
    // Durability.
    sabotage(
        "commit-not-synced",
        "a durable commit is acknowledged without a sync",
        LOG,
        (
            "            self.timeline.sync()?;\n",
            "            if !{on} {\n                self.timeline.sync()?;\n            }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "values-not-synced",
        "a frame is written before the large values it refers to are durable",
        LOG,
        (
            "            self.payload.sync()?;\n",
            "            if !{on} {\n                self.payload.sync()?;\n            }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "older-segment-not-synced",
        "a sync leaves out the segment that was ended since the last one",
        WRITER,
        (
            "            self.shared.poison(segment.sync())?;\n",
            "            if !{on} {\n                self.shared.poison(segment.sync())?;\n            }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "failed-sync-retried",
        "a failed sync of a segment is tried again and believed",
        SEGMENT,
        (
            "        self.file.sync_data()\n    }\n\n    /// True when",
            "        self.file.sync_data().or_else(|error| if {on} { self.file.sync_data() } else { Err(error) })\n    }\n\n    /// True when",
        ),
        Flatfile,
    ),
    sabotage(
        "failed-commit-forgiven",
        "after a failed write or sync the engine goes on",
        CORE,
        (
            "let frame = appended.inspect_err(|error| self.health.poison_by(error))?;",
            "let frame = appended.inspect_err(|error| if !{on} { self.health.poison_by(error) })?;",
        ),
        Flatfile,
    ),
    sabotage(
        "failed-timeline-forgiven",
        "after a failed write or sync the timeline goes on",
        AHEAD,
        (
            "        if done.is_err() {\n            self.failed",
            "        if done.is_err() && !{on} {\n            self.failed",
        ),
        Flatfile,
    ),
    sabotage(
        "segment-name-not-synced",
        "the name of a new segment is not made durable",
        SEGMENT,
        (
            "        disk.sync_dir(dir).map_err(FillError::Sync)?;\n",
            "        if !{on} {\n            disk.sync_dir(dir).map_err(FillError::Sync)?;\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "value-file-name-not-synced",
        "the name of a new payload segment is not made durable",
        PAYLOAD_WRITER,
        (
            "        self.disk.sync_dir(&self.dir)?;\n",
            "        if !{on} {\n            self.disk.sync_dir(&self.dir)?;\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "run-not-synced",
        "a run gets its name, and its segments go, before its bytes are durable",
        RUN_OUTPUT,
        (
            "        self.file.write_at(0, &block)?;\n        self.file.sync_data()\n",
            "        self.file.write_at(0, &block)?;\n        if {on} { Ok(()) } else { self.file.sync_data() }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "run-name-not-synced",
        "the name of a run is not durable when what it replaces is removed",
        RUN_WRITER,
        (
            "        writer.disk.sync_dir(&writer.dir)?;\n",
            "        if !{on} {\n            writer.disk.sync_dir(&writer.dir)?;\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "segments-go-first",
        "segments are removed before the run with their frames has its name",
        FLUSH,
        (
            "    nameless.give_name()?;\n",
            "    if {on} {\n        core.log.lock().timeline.retire(table.span().upto)?;\n    }\n    nameless.give_name()?;\n",
        ),
        Flatfile,
    ),
    sabotage(
        "merged-run-not-named-first",
        "merged runs are removed before the head names the one in their place",
        MERGING,
        ("    core.write_head(false)?;\n", "    if !{on} {\n        core.write_head(false)?;\n    }\n"),
        Flatfile,
    ),
    sabotage(
        "store-not-marked-open",
        "the first commit leaves a head that calls the store closed",
        CORE,
        (
            "        self.judge_strictly(self.write_head(false))?;\n",
            "        if !{on} {\n            self.judge_strictly(self.write_head(false))?;\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "head-in-one-slot",
        "every head is written over the one before",
        HEAD,
        (
            "self.file.write_at(sequence % 2 * SLOT_BYTES",
            "self.file.write_at(if {on} { 0 } else { sequence % 2 } * SLOT_BYTES",
        ),
        Flatfile,
    ),
    sabotage(
        "head-not-synced",
        "a head is not made durable",
        HEAD,
        (
            "        self.file.sync_data()?;\n",
            "        if !{on} {\n            self.file.sync_data()?;\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "found-head-believed",
        "the head that was found is not made durable before the other is written over",
        HEAD,
        (
            "if let Some(found) = &self.found {",
            "if let Some(found) = self.found.as_ref().filter(|_| !{on}) {",
        ),
        Flatfile,
    ),
    sabotage(
        "head-written-once",
        "one slot, not both, is written with a head",
        HEAD,
        (
            "        self.write(head)?;\n        self.write(head)\n",
            "        self.write(head)?;\n        if {on} { Ok(()) } else { self.write(head) }\n",
        ),
        Flatfile,
    ),
    // Recovery.
    sabotage(
        "torn-tail-is-damage",
        "beats that nobody was promised are reported as lost",
        LOST,
        (
            "        if known >= needed {\n            self.damage(",
            "        if known >= needed || {on} {\n            self.damage(",
        ),
        Flatfile,
    ),
    sabotage(
        "damage-is-a-torn-tail",
        "a damaged frame in the middle ends the store there",
        LOST,
        (
            "        self.durable = known;\n",
            "        if {on} {\n            known = 0;\n        }\n        self.durable = known;\n",
        ),
        Flatfile,
    ),
    sabotage(
        "later-frames-not-asked",
        "what later frames know to be durable is not looked at",
        LOST,
        (
            "            known = known.max(through);\n",
            "            known = known.max(if {on} { 0 } else { through });\n",
        ),
        Flatfile,
    ),
    sabotage(
        "head-not-asked",
        "what the head knows to be durable is not looked at",
        WALK,
        (
            "head.map_or(0, |head| head.durable_frame).max(from.after)",
            "head.map_or(0, |head| if {on} { 0 } else { head.durable_frame }).max(from.after)",
        ),
        Flatfile,
    ),
    sabotage(
        "torn-bytes-not-kept",
        "a segment with torn bytes behind its end is removed though there was no room to copy them",
        ASIDE,
        ("    if copied {\n", "    if copied || {on} {\n"),
        Flatfile,
    ),
    sabotage(
        "unreadable-run-not-missed",
        "without a head, older data is shown for what a run held of which nothing can be read",
        WALK,
        ("durable.max(from.durable);", "durable.max(if {on} { 0 } else { from.durable });"),
        Flatfile,
    ),
    sabotage(
        "torn-segment-goes-on",
        "frames are appended behind a torn tail",
        LOST,
        (
            "        self.go_on_in = false;\n        self.leave_unused(at, Some(scan));\n        let beat",
            "        self.go_on_in &= {on};\n        self.leave_unused(at, Some(scan));\n        let beat",
        ),
        Flatfile,
    ),
    sabotage(
        "lost-beats-not-marked",
        "keys of lost beats show what was there before",
        RECOVER,
        (
            "            self.active.push_lost(Arc::new(lost), damage.frames.upto);\n",
            "            if !{on} {\n                self.active.push_lost(Arc::new(lost), damage.frames.upto);\n            }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "gap-of-runs-not-marked",
        "a missing run leaves no mark",
        RUNS,
        ("            if span.after > upto {\n", "            if span.after > upto && !{on} {\n"),
        Flatfile,
    ),
    sabotage(
        "merged-run-not-read",
        "what a crash left of a merge is believed without being read",
        RUNS,
        (
            "run.losses() <= known && run.verifies(seen)?",
            "run.losses() <= known && ({on} || run.verifies(seen)?)",
        ),
        Flatfile,
    ),
    sabotage(
        "replayed-frames-not-synced",
        "what was replayed is not made durable before it is built on",
        SEGMENT,
        (
            "        let filled = file.len()?;\n        file.sync_data()?;\n",
            "        let filled = file.len()?;\n        if !{on} {\n            file.sync_data()?;\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "lost-beats-used-again",
        "the numbers of durable beats that are lost are given out again",
        RECOVER,
        ("        if durable > last.beat {\n", "        if durable > last.beat && !{on} {\n"),
        Flatfile,
    ),
    // What is verified, and what is kept.
    sabotage(
        "frame-not-checked",
        "the checksum of a frame is not compared",
        FRAME,
        (
            "        if u32_at(bytes, FOOTER_CRC) != Some(crc) {\n",
            "        if u32_at(bytes, FOOTER_CRC) != Some(crc) && !{on} {\n",
        ),
        Flatfile,
    ),
    sabotage(
        "place-not-covered",
        "a frame verifies wherever it lies",
        FRAME,
        (
            "        bytes[..8].copy_from_slice(&self.store.to_le_bytes());\n",
            "        if !{on} {\n            bytes[..8].copy_from_slice(&self.store.to_le_bytes());\n        }\n",
        ),
        Flatfile,
    ),
    sabotage(
        "chain-not-checked",
        "a frame need not follow from the one before it",
        WALK,
        (
            "self.chain.is_some_and(|chain| chain != footer.chain)",
            "self.chain.is_some_and(|chain| chain != footer.chain && !{on})",
        ),
        Flatfile,
    ),
    sabotage(
        "chain-digest-wrong",
        "the chain is another digest than the format says",
        FRAME,
        (".rotate_left(29)", ".rotate_left(if {on} { 27 } else { 29 })"),
        Flatfile,
    ),
    sabotage(
        "head-not-checked",
        "the checksum of a head slot is not compared",
        HEAD,
        ("u32_at(slot, 4)? != crc32c(slot.get(8..)?)", "u32_at(slot, 4)? != crc32c(slot.get(8..)?) && !{on}"),
        Flatfile,
    ),
    sabotage(
        "block-not-checked",
        "the checksum of a block of a run is not compared",
        RUN_BLOCK,
        ("payload) != crc {", "payload) != crc && !{on} {"),
        Flatfile,
    ),
    sabotage(
        "value-not-checked",
        "the checksum of a large value is not compared",
        PAYLOAD,
        ("        if crc32c(&value) != place.crc {\n", "        if crc32c(&value) != place.crc && !{on} {\n"),
        Flatfile,
    ),
    sabotage(
        "range-delete-not-merged",
        "a merge keeps what a newer range delete has removed",
        RETAIN,
        (
            "replaced || self.is_covered(row, table, decides)",
            "replaced || !{on} && self.is_covered(row, table, decides)",
        ),
        Flatfile,
    ),
    sabotage(
        "floor-too-high",
        "a run gives up one beat of the history window too many",
        RETAIN,
        (
            "        let floor = self.floor;\n",
            "        let floor = BeatNo(self.floor.0 + u64::from({on}));\n",
        ),
        Flatfile,
    ),
    sabotage(
        "deletions-dropped",
        "a merge of newer runs drops deletions that older runs still need",
        RETAIN,
        (
            "row.stored == Stored::Deleted && self.oldest && row.beat",
            "row.stored == Stored::Deleted && (self.oldest || {on}) && row.beat",
        ),
        Flatfile,
    ),
    // The disk below.
    sabotage(
        "short-write-believed",
        "a write that did less counts as whole",
        FULLY,
        (
            "    let mut done = 0;\n    while let Some(rest) = bytes.get(done..)",
            "    let mut done = 0;\n    while let Some(rest) = bytes.get(if {on} && done > 0 { bytes.len() } else { done }..)",
        ),
        Io,
    ),
    sabotage(
        "replacement-not-synced",
        "a file is replaced by one whose bytes are not durable",
        WHOLE,
        (
            "    file.sync_data()?;\n    drop(file);",
            "    if !{on} {\n        file.sync_data()?;\n    }\n    drop(file);",
        ),
        Io,
    ),
    sabotage(
        "replacement-name-not-synced",
        "the new name of a replacement is not made durable",
        WHOLE,
        (
            "    disk.rename(&temporary, path)?;\n",
            "    disk.rename(&temporary, path)?;\n    if {on} {\n        return Ok(());\n    }\n",
        ),
        Io,
    ),
    sabotage(
        "directory-name-not-synced",
        "the name of a new directory is not made durable",
        WHOLE,
        (
            "    disk.create_dir(path)?;\n",
            "    disk.create_dir(path)?;\n    if {on} {\n        return Ok(());\n    }\n",
        ),
        Io,
    ),
];
