//! What is verified, and what is kept.

use super::{FRAME, HEAD, PAYLOAD, RETAIN, RUN_BLOCK, WALK, sabotage};
use crate::sabotage::Sabotage;
use crate::sabotage::suite::Suite::Flatfile;

pub(super) const TABLE: &[Sabotage] = &[
    sabotage(
        "frame-not-checked",
        "the checksum of a frame is not compared",
        FRAME,
        (
            "        if u32_at(bytes, FOOTER_CRC) != Some(crc) {\n",
            "        if u32_at(bytes, FOOTER_CRC) != Some(crc) && !{on} {\n",
        ),
        (Flatfile, "doctor::crash_tests::a_repair_that_is_cut_short_is_repeated"),
    ),
    sabotage(
        "place-not-covered",
        "a frame verifies wherever it lies",
        FRAME,
        (
            "        bytes[..8].copy_from_slice(&self.store.to_le_bytes());\n",
            "        if !{on} {\n            bytes[..8].copy_from_slice(&self.store.to_le_bytes());\n        }\n",
        ),
        (Flatfile, "timeline::frame::tests::every_flipped_bit_and_every_other_place_is_noticed"),
    ),
    sabotage(
        "chain-not-checked",
        "a frame need not follow from the one before it",
        WALK,
        (
            "self.chain.is_some_and(|chain| chain != footer.chain)",
            "self.chain.is_some_and(|chain| chain != footer.chain && !{on})",
        ),
        (Flatfile, "timeline::replay::tests::strangers::a_segment_of_another_history_breaks_the_chain"),
    ),
    sabotage(
        "chain-digest-wrong",
        "the chain is another digest than the format says",
        FRAME,
        (".rotate_left(29)", ".rotate_left(if {on} { 27 } else { 29 })"),
        (Flatfile, "the_reader_finds_what_the_engine_finds_with_tiny_tables"),
    ),
    sabotage(
        "head-not-checked",
        "the checksum of a head slot is not compared",
        HEAD,
        ("u32_at(slot, 4)? != crc32c(slot.get(8..)?)", "u32_at(slot, 4)? != crc32c(slot.get(8..)?) && !{on}"),
        (Flatfile, "timeline::crash_tests::a_head_written_in_between_promises_what_was_durable"),
    ),
    sabotage(
        "block-not-checked",
        "the checksum of a block of a run is not compared",
        RUN_BLOCK,
        ("payload) != crc {", "payload) != crc && !{on} {"),
        (Flatfile, "doctor::crash_tests::a_repair_that_is_cut_short_is_repeated"),
    ),
    sabotage(
        "value-not-checked",
        "the checksum of a large value is not compared",
        PAYLOAD,
        ("        if crc32c(&value) != place.crc {\n", "        if crc32c(&value) != place.crc && !{on} {\n"),
        (Flatfile, "payload::tests::every_flipped_bit_and_every_truncation_under_a_value_is_noticed"),
    ),
    sabotage(
        "range-delete-not-merged",
        "a merge keeps what a newer range delete has removed",
        RETAIN,
        (
            "replaced || self.is_covered(row, table, decides)",
            "replaced || !{on} && self.is_covered(row, table, decides)",
        ),
        (Flatfile, "doctor::merged_tests::a_damaged_merged_run_gives_way_to_the_runs_it_was_made_of"),
    ),
    sabotage(
        "floor-too-high",
        "a run gives up one beat of the history window too many",
        RETAIN,
        (
            "        let floor = self.floor;\n",
            "        let floor = BeatNo(self.floor.0 + u64::from({on}));\n",
        ),
        (Flatfile, "retain::tests::versions_stay_that_a_beat_from_the_floor_on_shows"),
    ),
    sabotage(
        "deletions-dropped",
        "a merge of newer runs drops deletions that older runs still need",
        RETAIN,
        (
            "row.stored == Stored::Deleted && self.oldest && row.beat",
            "row.stored == Stored::Deleted && (self.oldest || {on}) && row.beat",
        ),
        (Flatfile, "retain::tests::a_deletion_goes_only_where_nothing_older_is_left_that_it_hides"),
    ),
];
