//! Our interface beside the raw libraries.

use crate::shell::{Outcome, cargo, run};

/// `--gate` counts instructions and fails beyond the limits; without it, times are measured and printed with spread.
pub(crate) fn overhead(arguments: &[&str]) -> Outcome {
    run(cargo(&["run", "--release", "--package", "persist-bench", "--all-features", "--"])
        .arg("overhead")
        .args(arguments))
}
