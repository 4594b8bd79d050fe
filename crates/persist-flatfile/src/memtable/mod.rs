//! The beats that no run holds yet, in memory.
