//! `persist man`: manual pages.

use clap::CommandFactory as _;
use clap_mangen::Man;
use persist::{Error, ErrorKind};

use crate::args::Cli;
use crate::fail::{Failure, Result};
use crate::out::Out;

/// Of what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A command, as `scan` or `frame verify`; without one, the page of persist itself
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    for name in &args.command {
        let sub = command.find_subcommand(name).cloned();
        command = sub.ok_or_else(|| Failure::Usage(format!("there is no command {name:?}")))?;
    }
    // "persist frame verify" is the page persist-frame-verify.
    let page = command.get_bin_name().unwrap_or("persist").replace(' ', "-");
    let mut text = Vec::new();
    let source = concat!("persist ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.display_name(page.clone())).title(page).source(source);
    let rendered = man.render(&mut text);
    rendered.map_err(|error| Error::new(ErrorKind::Io, "man", error.to_string()))?;
    out.bytes(&text)
}
