//! Random sequences of steps; see [`crate::model`].

use crate::{CaseResult, Fixture, model};

/// No random sequence tells the engine from the reference engine.
pub(crate) fn agrees_with_memory(fx: &dyn Fixture) -> CaseResult {
    model::agrees(fx)
}
