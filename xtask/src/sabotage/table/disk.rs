//! The disk below the engine.

use super::{FULLY, WHOLE, sabotage};
use crate::sabotage::Sabotage;
use crate::sabotage::suite::Suite::Io;

pub(super) const TABLE: &[Sabotage] = &[
    sabotage(
        "short-write-believed",
        "a write that did less counts as whole",
        FULLY,
        (
            "    let mut done = 0;\n    while let Some(rest) = bytes.get(done..)",
            "    let mut done = 0;\n    while let Some(rest) = bytes.get(if {on} && done > 0 { bytes.len() } else { done }..)",
        ),
        (Io, "explore::a_journal_that_is_right_passes_everything"),
    ),
    sabotage(
        "replacement-not-synced",
        "a file is replaced by one whose bytes are not durable",
        WHOLE,
        (
            "    file.sync_data()?;\n    drop(file);",
            "    if !{on} {\n        file.sync_data()?;\n    }\n    drop(file);",
        ),
        (Io, "explore::a_journal_that_is_right_passes_everything"),
    ),
    sabotage(
        "replacement-name-not-synced",
        "the new name of a replacement is not made durable",
        WHOLE,
        (
            "    disk.rename(&temporary, path)?;\n",
            "    disk.rename(&temporary, path)?;\n    if {on} {\n        return Ok(());\n    }\n",
        ),
        (Io, "replace_syncs_before_and_after_the_rename"),
    ),
    sabotage(
        "directory-name-not-synced",
        "the name of a new directory is not made durable",
        WHOLE,
        (
            "    disk.create_dir(path)?;\n",
            "    disk.create_dir(path)?;\n    if {on} {\n        return Ok(());\n    }\n",
        ),
        (Io, "explore::a_journal_that_is_right_passes_everything"),
    ),
];
