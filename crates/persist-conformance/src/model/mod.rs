//! The differential test: random sequences of steps, on the engine under test and on the reference engine at once. Where
//! they differ, the sequence is made as short as it can be and written down as a trace that can be replayed.
//!
//! ```
//! use persist_conformance::model::Trace;
//!
//! let trace: Trace = "persist-trace 1\nput 6b 3 7\ncommit\nview\nget 0 6b\n".parse()?;
//! assert_eq!(trace.steps().len(), 4);
//! # Ok::<(), persist_conformance::Failure>(())
//! ```

mod exec;
mod generate;
mod shrink;
mod step;
mod text;

pub use step::{End, Move, ScanSpec, Step};
pub use text::Trace;

use crate::files;
use crate::rng::Rng;
use crate::run::caught;
use crate::{CaseResult, Failure, Fixture};

/// How many sequences a run tries unless `PERSIST_MODEL_ROUNDS` says otherwise.
pub const ROUNDS: u64 = 20;
/// How many steps a sequence has.
pub const STEPS: usize = 200;

/// A sequence on which the engine and the reference differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The seed of the sequence.
    pub seed: u64,
    /// How many steps it had when it was found.
    pub found_in: usize,
    /// What is left of it.
    pub trace: Trace,
    /// How they differ, on what is left.
    pub failure: Failure,
}

/// Tries `rounds` sequences and shrinks the first that shows a difference.
#[must_use]
pub fn search(fixture: &dyn Fixture, seed: u64, rounds: u64) -> Option<Difference> {
    (0..rounds).find_map(|round| {
        let seed = Rng::new(seed.wrapping_add(round)).next();
        let trace = generate::sequence(fixture, seed, STEPS);
        let found_in = trace.steps().len();
        replay(fixture, &trace).err()?;
        let (trace, failure) = shrink::shrink(trace, &|trace| replay(fixture, trace).err())?;
        Some(Difference { seed, found_in, trace, failure })
    })
}

/// Runs a trace on the engine and on the reference, in a fresh place.
///
/// # Errors
/// How they differ.
pub fn replay(fixture: &dyn Fixture, trace: &Trace) -> CaseResult {
    caught(|| exec::run(fixture, trace.steps()))
}

/// The case of the registry: no difference in so many rounds. A difference is written to a file next to the temporary
/// directories, or to `PERSIST_TRACE_DIR`.
pub(crate) fn agrees(fixture: &dyn Fixture) -> CaseResult {
    let rounds =
        std::env::var("PERSIST_MODEL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let Some(found) = search(fixture, fixture.seed(), rounds) else { return Ok(()) };
    let dir = std::env::var_os("PERSIST_TRACE_DIR").map_or_else(std::env::temp_dir, Into::into);
    let path = dir.join(format!("{}-{:016x}.trace", fixture.driver().scheme(), found.seed));
    let text = found.trace.to_string();
    let kept = files::lay(&path, text.as_bytes())
        .map_or_else(|error| format!("could not be written: {error}"), |()| format!("in {}", path.display()));
    Err(Failure::new(format!(
        "{}; {} of {} steps left, {kept}:\n{text}",
        found.failure,
        found.trace.steps().len(),
        found.found_in
    )))
}
