//! What stands on the stores and goes through the same life.

use persist_api::{Observer, Result};

use super::Stores;

/// A service that stands on stores of a registry. The registry calls the steps of its life in this order, each once, on the
/// thread that opens or closes the registry:
///
/// 1. `open` and `replay`, one component after the other in the order in which they were given, when all stores are open;
/// 2. `ready`, in the same order, when every component has replayed;
/// 3. `flush`, in the opposite order, while everything still runs;
/// 4. `close`, in the opposite order, before any store is closed.
///
/// When a step of the opening fails, those that were opened are flushed and closed, the failing one included unless it was
/// its `open` that failed.
pub trait Component: Send {
    /// Its name in reports and errors.
    fn name(&self) -> &str;

    /// The stores that it needs. A name that the configuration does not have, or has not enabled, is an error before anything
    /// is opened.
    fn stores(&self) -> Vec<String>;

    /// Takes what it needs.
    ///
    /// # Errors
    /// Any; the registry is then closed.
    fn open(&mut self, stores: &Stores) -> Result<()>;

    /// Brings back what it was before the last end of the process, and says how much that was.
    ///
    /// # Errors
    /// Any, `Cancelled` when the observer asked to stop; the registry is then closed.
    fn replay(&mut self, seen: &dyn Observer) -> Result<Replayed> {
        let _ = seen;
        Ok(Replayed::default())
    }

    /// May begin to serve: everything else has replayed.
    ///
    /// # Errors
    /// Any; the registry is then closed.
    fn ready(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes durable what it has not yet, and begins nothing new.
    ///
    /// # Errors
    /// Any; they are told, and closing goes on.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Gives back what it took. Views and feeds that it keeps would hold up the closing of their store.
    ///
    /// # Errors
    /// Any; they are told, and closing goes on.
    fn close(&mut self) -> Result<()>;
}

/// What a component brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Things of its own kind: messages, entries, keys.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}
