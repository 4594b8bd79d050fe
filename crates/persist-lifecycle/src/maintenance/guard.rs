//! Engines and listeners are code of others. One that panics must not end the upkeep of all stores.

use std::panic::{AssertUnwindSafe, catch_unwind};

use persist_api::{Error, ErrorKind, Result};

/// Calls an engine. A panic becomes `Poisoned` with its words.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(Error::new(ErrorKind::Poisoned, "maintain", format!("it panicked: {words}")))
    })
}

/// Calls who is told. The hook of the panic has told whose fault it is; the upkeep has no part in it.
pub(super) fn told(call: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(call));
}
