//! The sabotages, each with `{on}` where it asks whether it is switched on, by what they break.

mod disk;
mod durability;
mod recovery;
mod verification;

use super::Sabotage;
use super::suite::Suite;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Sabotage> {
    [durability::TABLE, recovery::TABLE, verification::TABLE, disk::TABLE].into_iter().flatten()
}

const fn sabotage(
    name: &'static str,
    breaks: &'static str,
    file: &'static str,
    (text, instead): (&'static str, &'static str),
    (suite, seen_by): (Suite, &'static str),
) -> Sabotage {
    Sabotage { name, breaks, file, text, instead, suite, seen_by }
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
const MISSED: &str = "crates/persist-flatfile/src/missed.rs";
const RECOVER: &str = "crates/persist-flatfile/src/recover.rs";
const PAYLOAD: &str = "crates/persist-flatfile/src/payload/mod.rs";
const PAYLOAD_WRITER: &str = "crates/persist-flatfile/src/payload/writer.rs";
const RUN_OUTPUT: &str = "crates/persist-flatfile/src/run/output.rs";
const RUN_WRITER: &str = "crates/persist-flatfile/src/run/writer.rs";
const RUN_BLOCK: &str = "crates/persist-flatfile/src/run/block.rs";
const FULLY: &str = "crates/persist-io/src/fully.rs";
const WHOLE: &str = "crates/persist-io/src/whole.rs";
