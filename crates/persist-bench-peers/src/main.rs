//! The benchmarks of persist with its rivals.
//!
//! Raw RocksDB, SQLite and LMDB come from `persist-bench`; redb, fjall and sled are opened here and nowhere else. Outside
//! the default members, because nobody who builds persist needs them.

mod fjall;
mod redb;
mod sled;

use std::process::ExitCode;

use persist_bench::contender::{Entrant, Settings};
use persist_bench::{cli, entrants};

/// The rivals that only this program opens.
const RIVALS: [Entrant; 3] = [
    Entrant {
        name: "redb",
        settings: "redb 4.4, durability Immediate, one table; bulk: durability None and one empty Immediate commit at \
                   the end",
        ours: false,
        durable: true,
        open: |home, settings| Ok(Box::new(redb::Redb::open(home, settings)?)),
    },
    Entrant {
        name: "fjall",
        settings: "fjall 3.1, one keyspace, no compression, batches with PersistMode::SyncData; bulk: batches without, and \
                   one persist at the end; at rest: memtable rotated, fully compacted",
        ours: false,
        durable: true,
        open: |home, settings| Ok(Box::new(fjall::Fjall::open(home, settings)?)),
    },
    Entrant {
        name: "sled",
        settings: "sled 0.34, batch and flush. **Not power-safe:** its flush is sync_file_range, which does not reach the \
                   device (counted below); shown for completeness, never compared",
        ours: false,
        durable: true,
        open: |home, settings: &Settings| Ok(Box::new(sled::Sled::open(home, settings)?)),
    },
];

fn main() -> ExitCode {
    let mut all = entrants::engines();
    all.extend(entrants::libraries());
    all.extend(RIVALS);
    cli::main(&all, |entrant| !entrant.name.starts_with("persist-") && !entrant.name.starts_with("store-"))
}
