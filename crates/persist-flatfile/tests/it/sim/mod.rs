//! The engine on a disk that lies, loses and tears.
//!
//! Rounds are few here; `PERSIST_SIM_ROUNDS=24` makes them all that is asked for, `PERSIST_SEED` makes them others. `docs/testing.md` has the
//! figures of long runs.

mod acts;
mod damage;
mod defects;
mod faults;
pub(crate) mod fuzz;
mod headless;
mod known;
mod liars;
mod look;
mod numbers;
mod random;
mod restart;
mod reuse;
pub(crate) mod rounds;
mod same;
mod several;
mod short;
mod store;
mod told;
