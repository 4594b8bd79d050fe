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
    sabotage(
        "half-head-believed",
        "a head beside a damaged slot counts as the newest, though the store was not closed",
        HEAD,
        ("(head.clean || self.damaged.is_empty())", "({on} || head.clean || self.damaged.is_empty())"),
        Flatfile,
    ),
    sabotage(
        "older-head-believed",
        "a head that knows less than the runs counts as the newest",
        HEAD,
        (
            "head.durable_frame >= in_runs.max(1)",
            "head.durable_frame >= if {on} { 1 } else { in_runs.max(1) }",
        ),
        Flatfile,
    ),
    sabotage(
        "newest-run-by-number",
        "of a run of which nothing can be read the number alone tells whether it held the newest frames",
        MISSED,
        ("(left().count() > gaps || is_newest)", "(left().count() > gaps && !{on} || is_newest)"),
        Flatfile,
    ),
    sabotage(
        "unnamed-run-retires",
        "an opening removes segments for a run that no head names",
        RECOVER,
        ("!had_head || !runs.iter().all(", "!had_head || !{on} && !runs.iter().all("),
        Flatfile,
    ),
    sabotage(
        "loss-not-kept",
        "frames that alone say what is lost are moved aside before a head says it",
        RECOVER,
        (
            "    HeadWriter::open(disk, dir, &found)?.write_both(&head)?;\n",
            "    if {on} {\n        return Ok(found);\n    }\n    HeadWriter::open(disk, dir, &found)?.write_both(&head)?;\n",
        ),
        Flatfile,
    ),
];
