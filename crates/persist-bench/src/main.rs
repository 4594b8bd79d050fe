//! Benchmarks of our engines and of the libraries that our light engines stand on.

use std::process::ExitCode;

use persist_bench::{cli, entrants};

fn main() -> ExitCode {
    let mut all = entrants::engines();
    all.extend(entrants::libraries());
    cli::main(&all, |entrant| entrant.ours && entrant.name != "persist-rocksdb")
}
