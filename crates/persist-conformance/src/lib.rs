//! The conformance suite of persist engines: cases, liars, model, kill and power-cut tests

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
pub use fixture::{Fixture, Home};
pub use registry::{Body, CASES, CHECKED_ELSEWHERE, Case, Class, Need};
pub use report::{CaseReport, Outcome, Report};
pub use run::{Filter, assert_case, run, run_case, run_with};
