//! `persist completions`: a completion script.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::fail::Result;
use crate::out::Out;

/// For which shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "persist", &mut script);
    out.bytes(&script)
}
