//! What an opening decides.

use super::{ASIDE, HEAD, LOST, MISSED, RECOVER, RUNS, SEGMENT, WALK, sabotage};
use crate::sabotage::Sabotage;
use crate::sabotage::suite::Suite::Flatfile;

pub(super) const TABLE: &[Sabotage] = &[
    sabotage(
        "torn-tail-is-damage",
        "beats that nobody was promised are reported as lost",
        LOST,
        (
            "        if known >= needed {\n            self.damage(",
            "        if known >= needed || {on} {\n            self.damage(",
        ),
        (
            Flatfile,
            "timeline::replay::tests::a_torn_tail_is_moved_aside_and_the_next_segment_says_where_the_old_one_ends",
        ),
    ),
    sabotage(
        "damage-is-a-torn-tail",
        "a damaged frame in the middle ends the store there",
        LOST,
        (
            "        self.durable = known;\n",
            "        if {on} {\n            known = 0;\n        }\n        self.durable = known;\n",
        ),
        (Flatfile, "timeline::replay::tests::a_missing_segment_is_named"),
    ),
    sabotage(
        "later-frames-not-asked",
        "what later frames know to be durable is not looked at",
        LOST,
        (
            "            known = known.max(through);\n",
            "            known = known.max(if {on} { 0 } else { through });\n",
        ),
        (Flatfile, "timeline::replay::tests::damage_at_the_end_is_known_from_the_head_and_stays_known"),
    ),
    sabotage(
        "head-not-asked",
        "what the head knows to be durable is not looked at",
        WALK,
        (
            "head.map_or(0, |head| head.durable_frame).max(from.after)",
            "head.map_or(0, |head| if {on} { 0 } else { head.durable_frame }).max(from.after)",
        ),
        (Flatfile, "timeline::replay::tests::a_missing_segment_is_named"),
    ),
    sabotage(
        "torn-bytes-not-kept",
        "a segment with torn bytes behind its end is removed though there was no room to copy them",
        ASIDE,
        ("    if copied {\n", "    if copied || {on} {\n"),
        (Flatfile, "full_open::without_room_for_a_copy_of_torn_bytes_the_store_goes_on_and_they_stay"),
    ),
    sabotage(
        "unreadable-run-not-missed",
        "without a head, older data is shown for what a run held of which nothing can be read",
        WALK,
        ("durable.max(from.durable);", "durable.max(if {on} { 0 } else { from.durable });"),
        (Flatfile, "doctor::headless_tests::a_lost_run_is_lost_before_and_after_an_opening_and_a_repair"),
    ),
    sabotage(
        "torn-segment-goes-on",
        "frames are appended behind a torn tail",
        LOST,
        (
            "        self.go_on_in = false;\n        self.leave_unused(at, Some(scan));\n        let beat",
            "        self.go_on_in &= {on};\n        self.leave_unused(at, Some(scan));\n        let beat",
        ),
        (
            Flatfile,
            "timeline::replay::tests::a_torn_tail_is_moved_aside_and_the_next_segment_says_where_the_old_one_ends",
        ),
    ),
    sabotage(
        "lost-beats-not-marked",
        "keys of lost beats show what was there before",
        RECOVER,
        (
            "            self.active.push_lost(Arc::new(lost), damage.frames.upto);\n",
            "            if !{on} {\n                self.active.push_lost(Arc::new(lost), damage.frames.upto);\n            }\n",
        ),
        (Flatfile, "doctor::tests::cut_and_missing_files_are_told_and_repaired"),
    ),
    sabotage(
        "gap-of-runs-not-marked",
        "a missing run leaves no mark",
        RUNS,
        ("            if span.after > upto {\n", "            if span.after > upto && !{on} {\n"),
        (Flatfile, "doctor::tests::cut_and_missing_files_are_told_and_repaired"),
    ),
    sabotage(
        "merged-run-not-read",
        "what a crash left of a merge is believed without being read",
        RUNS,
        (
            "run.losses() <= known && run.verifies(seen)?",
            "run.losses() <= known && ({on} || run.verifies(seen)?)",
        ),
        (Flatfile, "doctor::merged_tests::a_damaged_merged_run_gives_way_to_the_runs_it_was_made_of"),
    ),
    sabotage(
        "replayed-frames-not-synced",
        "what was replayed is not made durable before it is built on",
        SEGMENT,
        (
            "        let filled = file.len()?;\n        file.sync_data()?;\n",
            "        let filled = file.len()?;\n        if !{on} {\n            file.sync_data()?;\n        }\n",
        ),
        (Flatfile, "timeline::writer::tests::what_was_replayed_is_durable_before_anything_is_built_on_it"),
    ),
    sabotage(
        "lost-beats-used-again",
        "the numbers of durable beats that are lost are given out again",
        RECOVER,
        ("        if durable > last.beat {\n", "        if durable > last.beat && !{on} {\n"),
        (Flatfile, "sim::numbers::numbers_of_lost_beats_are_not_used_again"),
    ),
    sabotage(
        "half-head-believed",
        "a head beside a damaged slot counts as the newest, though the store was not closed",
        HEAD,
        ("(head.clean || self.damaged.is_empty())", "({on} || head.clean || self.damaged.is_empty())"),
        (
            Flatfile,
            "doctor::headless_tests::a_run_that_half_a_head_does_not_name_is_lost_before_and_after_an_opening_and_a_repair",
        ),
    ),
    sabotage(
        "older-head-believed",
        "a head that knows less than the runs counts as the newest",
        HEAD,
        (
            "head.durable_frame >= in_runs.max(1)",
            "head.durable_frame >= if {on} { 1 } else { in_runs.max(1) }",
        ),
        (Flatfile, "sim::headless::a_head_that_knows_less_than_the_runs_does_not_know_all_of_them"),
    ),
    sabotage(
        "newest-run-by-number",
        "of a run of which nothing can be read the number alone tells whether it held the newest frames",
        MISSED,
        ("(left().count() > gaps || is_newest)", "(left().count() > gaps && !{on} || is_newest)"),
        (Flatfile, "missed::tests::a_run_counts_by_its_place_and_not_by_its_number"),
    ),
    sabotage(
        "unnamed-run-retires",
        "an opening removes segments for a run that no head names",
        RECOVER,
        ("runs.iter().all(|run| found.names", "runs.iter().all(|run| {on} || found.names"),
        (
            Flatfile,
            "sim::headless::a_killed_opening_leaves_no_run_that_nobody_named_in_place_of_its_segments",
        ),
    ),
    sabotage(
        "loss-not-kept",
        "frames that alone say what is lost are moved aside before a head says it",
        RECOVER,
        (
            "    HeadWriter::open(disk, dir, &found)?.write_both(&head)?;\n",
            "    if {on} {\n        return Ok(found);\n    }\n    HeadWriter::open(disk, dir, &found)?.write_both(&head)?;\n",
        ),
        (Flatfile, "sim::headless::what_only_dropped_frames_know_of_stays_lost"),
    ),
];
