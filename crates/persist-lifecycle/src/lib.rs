//! From a configuration to open stores, kept in shape, and back to closed ones.
//!
//! [`config`] reads and checks what an operator writes: TOML or JSON, strict, with overrides from the environment. A
//! [`Registry`] opens the stores of a configuration in a declared order, with the [`Component`]s that stand on them, says what
//! each replayed, and closes all in the opposite order. [`maintenance`] makes checkpoints and compactions when they are due.
//! Time comes from a [`Clock`] that is given.
//!
//! It must never know an engine by name; drivers are given to it. It must never know a facet or a service either.
//!
//! ```
//! use persist_lifecycle::config::{Config, Format};
//!
//! let config = Config::parse("[stores.orders]\nengine = 'flatfile'\ncache_bytes = '8 MiB'", Format::Toml)?;
//! assert_eq!(config.stores["orders"].open_options().cache_bytes, Some(8 << 20));
//!
//! let wrong = Config::parse("[stores.orders]\nengin = 'flatfile'", Format::Toml).unwrap_err();
//! assert_eq!(wrong.to_string(), "line 2: stores.orders.engin: unknown key; did you mean engine?");
//! # Ok::<(), persist_lifecycle::config::ConfigError>(())
//! ```

mod clock;
pub mod config;
mod keys;
pub mod maintenance;
mod order;
mod registry;

pub use clock::{Clock, SystemClock};
pub use keys::read_key_file;
pub use maintenance::Maintenance;
pub use registry::{
    Closed, Component, ComponentOpened, Event, OpenFailed, Registry, RegistryOptions, Replayed, Step,
    StoreOpened, Stores,
};
