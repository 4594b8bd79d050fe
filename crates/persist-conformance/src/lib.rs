//! The conformance suite of persist engines. It says whether an engine keeps the contract of `docs/contract.md`, and it
//! is itself tested: by engines that lie.
//!
//! - **Cases** ([`CASES`]): functions that each check one thing of one engine and cite the clauses that ask for it. What
//!   an engine does not offer is tested as well: the *negative twin* of a case runs in its place and checks that the call
//!   is refused, typed, and changes nothing. Nothing is ever skipped.
//! - **Model** ([`model`]): random sequences of steps on the engine and on `persist-memory` at once; a difference is shrunk
//!   to a trace that can be replayed.
//! - **Liars** ([`liars`]): engines each broken in one subtle way, and the table of the cases that must catch them.
//! - **Crashes** ([`crash`]): killed processes, and power cut over what was really synced, and below a real ext4.
//!
//! An engine needs a [`Fixture`], and then one line: [`conformance!`] in a test module gives one `#[test]` for each case;
//! [`main`] makes a program of the suite, for `harness = false`; [`run`] gives a [`Report`] to other programs.
//!
//! ```
//! use persist_api::Driver;
//! use persist_conformance::{Filter, Fixture, run};
//! use persist_memory::MemoryDriver;
//!
//! struct Mine(MemoryDriver);
//!
//! impl Fixture for Mine {
//!     fn driver(&self) -> &dyn Driver {
//!         &self.0
//!     }
//! }
//!
//! let filter = Filter { pattern: Some("beats::".into()), ..Filter::default() };
//! let report = run(&Mine(MemoryDriver::new()), &filter);
//! assert!(report.is_ok(), "{}", report.failures());
//! ```
//!
//! This crate must never know an engine by name but the reference engine; engines depend on it in their tests, never the
//! other way round.

mod cases;
mod command;
pub mod crash;
mod failure;
mod files;
mod fixture;
mod kit;
pub mod liars;
pub mod model;
mod registry;
mod report;
mod rng;
mod run;
mod twins;

pub use command::main;
pub use failure::{CaseResult, Failure, failure_text, refused};
pub use files::listing;
pub use fixture::{Fixture, Home};
pub use registry::{Body, CASES, CHECKED_ELSEWHERE, Case, Class, Need};
pub use report::{CaseReport, Outcome, Report};
pub use run::{Filter, assert_case, run, run_case, run_with};
