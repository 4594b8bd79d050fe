//! The reference engine of persist: in memory, strictest semantics, the oracle of the test-suite
