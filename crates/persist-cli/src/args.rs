//! The command line: what all commands share, and which commands there are.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::fail::Failure;
use crate::target::Target;

/// One durable substrate, many engines: an ordered key space with numbered, atomic, verified commits ("beats").
#[derive(Debug, Parser)]
#[command(name = "persist", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 2 wrong command line, 8 no such key; others are error codes without their \
                        sign (docs/errors.md).\nThe JSON of every command is described in docs/cli.md."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What all commands share.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For all commands")]
pub(crate) struct Global {
    /// Where the store lies, or @NAME for one of a configuration; the engine is needed only to create one [default: the
    /// only store of --config, else ./store]
    #[arg(long, short, global = true, env = "PERSIST_STORE", value_name = "[ENGINE:]DIR|@NAME")]
    pub(crate) store: Option<String>,
    /// The configuration that names stores (docs/configuration.md)
    #[arg(long, global = true, env = "PERSIST_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The keys of an encrypted store (docs/layers.md); nobody but its owner may be able to read the file
    #[arg(long, global = true, env = "PERSIST_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// A setting of the engine (docs/engines), may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = knob)]
    pub(crate) knob: Vec<(String, String)>,
    /// Print JSON, one object a line; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    /// The same about a store that is named as an argument of the command.
    ///
    /// # Errors
    /// Usage, when it is named twice.
    pub(crate) fn about(&self, store: Option<&str>) -> Result<Self, Failure> {
        match store {
            Some(_) if self.is_store_typed() => {
                Err(Failure::Usage("the store is named twice: as an argument and with --store".to_owned()))
            }
            Some(store) => Ok(Self { store: Some(store.to_owned()), ..self.clone() }),
            None => Ok(self.clone()),
        }
    }

    /// True if `--store` was typed. The variable is meant for whatever command has a use for it.
    pub(crate) fn is_store_typed(&self) -> bool {
        self.store
            .as_ref()
            .is_some_and(|store| std::env::var_os("PERSIST_STORE").is_none_or(|var| var != store.as_str()))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: ingest real frames and generated records, read back, verify, reopen
    Demo(commands::demo::Args),
    /// What the engines of this build offer
    Engines(commands::engines::Args),
    /// Create a store
    Init(commands::init::Args),
    /// Set a record
    Put(commands::put::Args),
    /// Print a record
    Get(commands::get::Args),
    /// Remove records
    Del(commands::del::Args),
    /// Print records in key order
    Scan(commands::scan::Args),
    /// Print commits as they come
    Tail(commands::tail::Args),
    /// Check CEP frames completely and store each as one beat
    Ingest(commands::ingest::Args),
    /// Check a branch directory of the original engine completely and import it
    ImportBranch(commands::import_branch::Args),
    /// Give an ingested frame back, byte for byte as it came
    Emit(commands::emit::Args),
    /// Look into CEP frames without a store
    #[command(subcommand)]
    Frame(Frame),
    /// Figures of a store and what was granted
    Stats(commands::stats::Args),
    /// Read everything back and check all that can be checked
    Verify(commands::verify::Args),
    /// Say what is wrong with a store that is damaged, and repair it on request (flatfile)
    Doctor(commands::doctor::Args),
    /// Bound the work of the next open
    Checkpoint(commands::checkpoint::Args),
    /// Write a consistent copy that opens by itself
    Backup(commands::backup::Args),
    /// Put another engine under the store: swap, resume, abort, roll back, finish
    Swap(commands::swap::Args),
    /// Move a store to another engine and directory
    Migrate(commands::migrate::Args),
    /// Write the store into one file that every engine can import
    Export(commands::export::Args),
    /// Make a store of such a file, after checking every byte of it
    Import(commands::import::Args),
    /// Give unused space back
    Compact(commands::compact::Args),
    /// Open the stores of a configuration in their order, do their upkeep, and close them
    Maintain(commands::maintain::Args),
    /// Check or print a configuration
    #[command(subcommand)]
    Config(Config),
    /// Run the conformance suite on engines of this build
    #[cfg(feature = "conformance")]
    Conformance(commands::conformance::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// Print a manual page
    Man(commands::man::Args),
}

/// What to do with frames.
#[derive(Debug, Subcommand)]
pub(crate) enum Frame {
    /// Check frames by the rules of the format
    Verify(commands::frame_verify::Args),
    /// Print what a frame holds
    Show(commands::frame_show::Args),
}

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say all that is wrong with it
    Check(commands::config::Args),
    /// Print what is in effect, overrides of the environment included
    Show(commands::config::Args),
    /// Print a file to begin with: every key, its meaning and its default
    Default(commands::config::DefaultArgs),
}

/// How durable a beat shall be.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Level {
    /// Survive a killed process only, not power loss
    #[arg(long)]
    buffered: bool,
}

impl Level {
    pub(crate) fn durability(self) -> persist::Durability {
        if self.buffered { persist::Durability::Buffered } else { persist::Durability::Durable }
    }
}

/// What a new store does with its values.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Layers {
    /// Compress values
    #[arg(long)]
    compress: bool,
    /// Encrypt values with the newest key of --key-file; the store cannot be opened without it
    #[arg(long)]
    encrypt: bool,
}

impl Layers {
    /// Adds them to what is asked for.
    pub(crate) fn ask(self, mut target: Target) -> Result<Target, Failure> {
        if self.encrypt && !target.has_keys() {
            let what = "--encrypt needs a key: --key-file FILE (docs/layers.md)";
            return Err(Failure::Usage(what.to_owned()));
        }
        if self.compress {
            target.request = persist::compressed(target.request);
        }
        if self.encrypt {
            target.request = persist::encrypted(target.request);
        }
        Ok(target)
    }
}

pub(crate) fn knob(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
