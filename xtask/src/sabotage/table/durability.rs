//! What makes a commit durable.

use super::{
    AHEAD, CORE, FLUSH, HEAD, LOG, MERGING, PAYLOAD_WRITER, RUN_OUTPUT, RUN_WRITER, SEGMENT, WRITER, sabotage,
};
use crate::sabotage::Sabotage;
use crate::sabotage::suite::Suite::Flatfile;

pub(super) const TABLE: &[Sabotage] = &[
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
];
