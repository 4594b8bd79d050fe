//! The `persist` command. `docs/cli.md` describes its output and its exit codes.

mod args;
mod commands;
mod configured;
mod fail;
mod frames;
mod home;
mod out;
mod target;
mod text;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, Config, Frame, Global};
use crate::fail::Result;
use crate::out::Out;

fn main() -> ExitCode {
    #[cfg(feature = "conformance")]
    commands::conformance::child_if_asked();
    let cli = Cli::parse();
    let mut out = Out::new(cli.global.json);
    let done = run(&cli.command, &cli.global, &mut out);
    // What was written before a failure is shown before its message, and the failure says more than a pipe that is closed.
    let flushed = out.flush();
    let done = done.and(flushed);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(cli.global.json);
            failure.exit()
        }
    }
}

fn run(command: &Command, global: &Global, out: &mut Out) -> Result<()> {
    match command {
        Command::Demo(args) => commands::demo::run(args, global, out),
        Command::Engines(args) => commands::engines::run(args, out),
        Command::Init(args) => commands::init::run(args, global, out),
        Command::Put(args) => commands::put::run(args, global, out),
        Command::Get(args) => commands::get::run(args, global, out),
        Command::Del(args) => commands::del::run(args, global, out),
        Command::Scan(args) => commands::scan::run(args, global, out),
        Command::Tail(args) => commands::tail::run(args, global, out),
        Command::Ingest(args) => commands::ingest::run(args, global, out),
        Command::ImportBranch(args) => commands::import_branch::run(args, global, out),
        Command::Emit(args) => commands::emit::run(args, global, out),
        Command::Frame(Frame::Verify(args)) => commands::frame_verify::run(args, global, out),
        Command::Frame(Frame::Show(args)) => commands::frame_show::run(args, out),
        Command::Stats(args) => commands::stats::run(args, global, out),
        Command::Verify(args) => commands::verify::run(args, global, out),
        Command::Doctor(args) => commands::doctor::run(args, global, out),
        Command::Checkpoint(args) => commands::checkpoint::run(args, global, out),
        Command::Swap(args) => commands::swap::run(args, global, out),
        Command::Migrate(args) => commands::migrate::run(args, global, out),
        Command::Backup(args) => commands::backup::run(args, global, out),
        Command::Export(args) => commands::export::run(args, global, out),
        Command::Import(args) => commands::import::run(args, global, out),
        Command::Compact(args) => commands::compact::run(args, global, out),
        Command::Maintain(args) => commands::maintain::run(args, global, out),
        Command::Config(Config::Check(args)) => commands::config::check(args, global, out),
        Command::Config(Config::Show(args)) => commands::config::show(args, global, out),
        Command::Config(Config::Default(_)) => commands::config::default(out),
        #[cfg(feature = "conformance")]
        Command::Conformance(args) => commands::conformance::run(args, global, out),
        Command::Completions(args) => commands::completions::run(args, out),
        Command::Man(args) => commands::man::run(args, out),
    }
}
