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
        (Flatfile, "sim::defects::cps_s4_a_beat_is_reported_as_failed_exactly_when_it_is_not_shown"),
    ),
    sabotage(
        "synced-before-written",
        "the sync of a durable commit comes before its write",
        LOG,
        (
            "        let appended = self.timeline.append(&mut staged.frame, &staged.header, end)?;\n        if durability == Durability::Durable {\n",
            "        if {on} {\n            self.timeline.sync()?;\n        }\n        let appended = self.timeline.append(&mut staged.frame, &staged.header, end)?;\n        if durability == Durability::Durable && !{on} {\n",
        ),
        (Flatfile, "sim::defects::cps_s4_a_beat_is_reported_as_failed_exactly_when_it_is_not_shown"),
    ),
    sabotage(
        "acknowledged-before-synced",
        "a durable commit is acknowledged whatever becomes of its sync",
        WRITER,
        (
            "            self.shared.poison(current.segment.sync())?;\n",
            "            let synced = current.segment.sync();\n            if !{on} {\n                self.shared.poison(synced)?;\n            }\n",
        ),
        (Flatfile, "sim::defects::cps_s4_a_beat_is_reported_as_failed_exactly_when_it_is_not_shown"),
    ),
    sabotage(
        "values-not-synced",
        "a frame is written before the large values it refers to are durable",
        LOG,
        (
            "            self.payload.sync()?;\n",
            "            if !{on} {\n                self.payload.sync()?;\n            }\n",
        ),
        (Flatfile, "doctor::crash_tests::a_repair_that_is_cut_short_is_repeated"),
    ),
    sabotage(
        "older-segment-not-synced",
        "a sync leaves out the segment that was ended since the last one",
        WRITER,
        (
            "            self.shared.poison(segment.sync())?;\n",
            "            if !{on} {\n                self.shared.poison(segment.sync())?;\n            }\n",
        ),
        (Flatfile, "timeline::crash_tests::buffered_beats_over_rolls_form_a_prefix_after_every_cut"),
    ),
    sabotage(
        "failed-sync-retried",
        "a failed sync of a segment is tried again and believed",
        SEGMENT,
        (
            "        self.file.sync_data()\n    }\n\n    /// Cuts off",
            "        self.file.sync_data().or_else(|error| if {on} { self.file.sync_data() } else { Err(error) })\n    }\n\n    /// Cuts off",
        ),
        (Flatfile, "sim::faults::every_call_may_fail_in_every_way"),
    ),
    sabotage(
        "failed-commit-forgiven",
        "after a failed write or sync the engine goes on",
        CORE,
        (
            "let frame = appended.inspect_err(|error| self.health.poison_by(error))?;",
            "let frame = appended.inspect_err(|error| if !{on} { self.health.poison_by(error) })?;",
        ),
        (Flatfile, "sim::liars::on_an_honest_disk_there_is_nothing_to_notice"),
    ),
    sabotage(
        "failed-timeline-forgiven",
        "after a failed write or sync the timeline goes on",
        AHEAD,
        (
            "        if done.is_err() {\n            self.failed",
            "        if done.is_err() && !{on} {\n            self.failed",
        ),
        (
            Flatfile,
            "timeline::writer::tests::a_failed_sync_of_the_filler_poisons_the_writer_and_a_failed_zero_does_not",
        ),
    ),
    sabotage(
        "segment-name-not-synced",
        "the name of a new segment is not made durable",
        SEGMENT,
        (
            "        disk.sync_dir(dir).map_err(FillError::Sync)?;\n        Ok(Self::new(number, path, [file, filler], 0, 0,",
            "        if !{on} {\n            disk.sync_dir(dir).map_err(FillError::Sync)?;\n        }\n        Ok(Self::new(number, path, [file, filler], 0, 0,",
        ),
        (Flatfile, "timeline::crash_tests::a_head_written_in_between_promises_what_was_durable"),
    ),
    sabotage(
        "reused-segment-name-not-synced",
        "the name of a segment made of an old one is not made durable",
        SEGMENT,
        (
            "        disk.sync_dir(dir).map_err(FillError::Sync)?;\n        Ok(Self::new(number, path, [file, filler], 0, len,",
            "        if !{on} {\n            disk.sync_dir(dir).map_err(FillError::Sync)?;\n        }\n        Ok(Self::new(number, path, [file, filler], 0, len,",
        ),
        (Flatfile, "sim::reuse::segments_made_of_old_ones_survive_every_crash"),
    ),
    sabotage(
        "value-file-name-not-synced",
        "the name of a new payload segment is not made durable",
        PAYLOAD_WRITER,
        (
            "        self.disk.sync_dir(&self.dir)?;\n",
            "        if !{on} {\n            self.disk.sync_dir(&self.dir)?;\n        }\n",
        ),
        (Flatfile, "payload::tests::a_value_costs_one_write_and_a_beat_one_sync"),
    ),
    sabotage(
        "run-not-synced",
        "a run gets its name, and its segments go, before its bytes are durable",
        RUN_OUTPUT,
        (
            "        self.file.write_at(0, &block)?;\n        self.file.sync_data()\n",
            "        self.file.write_at(0, &block)?;\n        if {on} { Ok(()) } else { self.file.sync_data() }\n",
        ),
        (Flatfile, "doctor::crash_tests::a_repair_that_is_cut_short_is_repeated"),
    ),
    sabotage(
        "run-name-not-synced",
        "the name of a run is not durable when what it replaces is removed",
        RUN_WRITER,
        (
            "        writer.disk.sync_dir(&writer.dir)?;\n",
            "        if !{on} {\n            writer.disk.sync_dir(&writer.dir)?;\n        }\n",
        ),
        (Flatfile, "doctor::fault_tests::every_call_of_a_repair_may_fail_in_every_way"),
    ),
    sabotage(
        "segments-go-first",
        "segments are removed before the run with their frames has its name",
        FLUSH,
        (
            "    nameless.give_name()?;\n",
            "    if {on} {\n        core.put_away(|log| log.timeline.retire(table.span().upto, false))?;\n    }\n    nameless.give_name()?;\n",
        ),
        (Flatfile, "doctor::crash_tests::a_repair_that_is_cut_short_is_repeated"),
    ),
    sabotage(
        "merged-run-not-named-first",
        "merged runs are removed before the head names the one in their place",
        MERGING,
        ("    keeper.write(head)?;\n", "    if !{on} {\n        keeper.write(head)?;\n    }\n"),
        (Flatfile, "doctor::merged_tests::a_head_names_the_merged_run_before_the_first_of_the_others_goes"),
    ),
    sabotage(
        "store-not-marked-open",
        "the first commit leaves a head that calls the store closed",
        CORE,
        (
            "        self.judge_strictly(self.write_head(false))?;\n",
            "        if !{on} {\n            self.judge_strictly(self.write_head(false))?;\n        }\n",
        ),
        (Flatfile, "doctor::tests::a_torn_tail_is_a_note_and_left_to_the_opening"),
    ),
    sabotage(
        "head-in-one-slot",
        "every head is written over the one before",
        HEAD,
        (
            "self.file.write_at(sequence % 2 * SLOT_BYTES",
            "self.file.write_at(if {on} { 0 } else { sequence % 2 } * SLOT_BYTES",
        ),
        (Flatfile, "timeline::head::tests::slots_alternate_and_the_newest_counts"),
    ),
    sabotage(
        "head-not-synced",
        "a head is not made durable",
        HEAD,
        (
            "        self.file.sync_data()?;\n",
            "        if !{on} {\n            self.file.sync_data()?;\n        }\n",
        ),
        (
            Flatfile,
            "timeline::head::tests::a_head_outlives_a_power_cut_and_both_slots_say_what_was_written_to_both",
        ),
    ),
    sabotage(
        "found-head-believed",
        "the head that was found is not made durable before the other is written over",
        HEAD,
        (
            "if let Some(found) = &self.found {",
            "if let Some(found) = self.found.as_ref().filter(|_| !{on}) {",
        ),
        (
            Flatfile,
            "timeline::head::tests::a_head_that_a_failed_sync_left_is_made_durable_before_the_other_is_written_over",
        ),
    ),
    sabotage(
        "head-written-once",
        "one slot, not both, is written with a head",
        HEAD,
        (
            "        self.write(head)?;\n        self.write(head)\n",
            "        self.write(head)?;\n        if {on} { Ok(()) } else { self.write(head) }\n",
        ),
        (
            Flatfile,
            "timeline::head::tests::a_head_outlives_a_power_cut_and_both_slots_say_what_was_written_to_both",
        ),
    ),
];
