//! Immutable sorted runs.
