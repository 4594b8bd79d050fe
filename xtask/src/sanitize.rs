//! `cargo xtask sanitize`: the tests of the storage engine under the address sanitizer, and what else this machine lacks
//! (R11 of `docs/testing.md`).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::shell::{Outcome, root, run as shown};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs what can be run, and says what cannot and why.
pub(crate) fn run() -> Outcome {
    let has = |arguments: &[&str]| {
        let mut ask = Command::new("rustup");
        ask.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        ask.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    if !has(&["toolchain", "list"]).contains("nightly") {
        println!("R11: nothing is run: no nightly toolchain is installed (rustup toolchain install nightly)");
        return Ok(());
    }
    let components = has(&["component", "list", "--toolchain", "nightly", "--installed"]);
    for (component, what) in
        [("miri", "Miri"), ("rust-src", "the thread and memory sanitizers, which need a std of their own")]
    {
        let state = if components.lines().any(|line| line.starts_with(component)) {
            "installed, and no check is built on it: these crates map files and call the system"
        } else {
            "not installed for nightly"
        };
        println!("R11: not run: {what} (component {component}: {state})");
    }
    println!("R11: run: the address and leak sanitizers, unit tests of persist-io and persist-flatfile");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    // Not the cargo that runs this: it would keep its own toolchain.
    let mut test = Command::new("cargo");
    test.args([
        "+nightly",
        "test",
        "-p",
        "persist-flatfile",
        "-p",
        "persist-io",
        "--target",
        TARGET,
        "--lib",
    ]);
    test.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    test.env("CARGO_TARGET_DIR", target.join("sanitize")).env("RUSTFLAGS", "-Zsanitizer=address");
    shown(&mut test)
}
