//! Benchmarks of persist beside the raw libraries, in one process and one run.
//!
//! `overhead` answers one question: what does our interface cost over calling the library by hand? Both sides hold the
//! same rows in the same kind of store with the same settings; rounds are interleaved and their order alternates; a
//! round taken under pressure is dropped and counted. With `--gate` no time is measured: callgrind counts
//! instructions, which do not depend on what else the machine does.

#![allow(
    clippy::indexing_slicing,
    reason = "a benchmark of our own fixed-size data; a panic is a fine failure"
)]

mod gate;
mod ours;
mod overhead;
mod pressure;
mod raw;
mod rows;
mod side;

use std::process::ExitCode;

const HELP: &str = "\
persist-bench overhead [--json] [--rounds N]   ratios ours / raw with spread; fails beyond the limits
persist-bench overhead --gate                  the same in instructions, by callgrind; deterministic
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["overhead", "--gate"] => gate::run(),
        ["overhead", rest @ ..] => overhead::run(rest),
        ["probe", engine, side, what, count] => gate::probe(engine, side, what, count),
        _ => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
