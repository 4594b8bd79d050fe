//! `cargo xtask outside`: faults that come from outside of the program (R6 of `docs/testing.md`), with the tools that are there.

mod block;
mod strace;

use std::path::{Path, PathBuf};

use crate::shell::{Outcome, cargo, on_path, root, run as shown};

/// A tool that makes faults below a program.
struct Tool {
    name: &'static str,
    present: fn() -> bool,
    /// What is done with it here.
    used: &'static str,
}

const TOOLS: [Tool; 5] = [
    Tool {
        name: "strace --inject",
        present: || on_path("strace"),
        used: "failing and killing system calls, below",
    },
    Tool {
        name: "blklogwrites of qemu-storage-daemon",
        present: || on_path("qemu-storage-daemon"),
        used: "cutting the power of a real ext4 at any write, below",
    },
    Tool {
        name: "dm-log-writes, dm-flakey",
        present: || Path::new("/dev/mapper/control").exists(),
        used: "no check is built on it: blklogwrites writes the same log without a block device of its own",
    },
    Tool {
        name: "LazyFS",
        present: || on_path("lazyfs"),
        used: "no check is built on it: the simulated disk and the power-cut class lose the same pages",
    },
    Tool {
        name: "libfiu",
        present: || on_path("fiu-run"),
        used: "no check is built on it: the simulated disk makes short reads and writes",
    },
];

/// Says which tools there are, and runs what can be run: every system call struck, and `moments` power cuts of each engine.
pub(crate) fn run(moments: u32) -> Outcome {
    for Tool { name, present, used } in TOOLS {
        println!("R6: {name}: {}", if present() { format!("present; {used}") } else { "absent".to_owned() });
    }
    let program = command()?;
    if on_path("strace") {
        strace::run(&program)?;
    }
    block::run(&program, moments)
}

/// Only the power cuts.
pub(crate) fn cut(moments: u32) -> Outcome {
    block::run(&command()?, moments)
}

/// Builds the command with every engine, and says where it is.
fn command() -> Result<PathBuf, String> {
    shown(&mut cargo(&["build", "--quiet", "--package", "persist-cli", "--all-features"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("debug/persist"))
}
