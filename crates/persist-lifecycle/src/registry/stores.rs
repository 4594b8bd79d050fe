//! Open stores, by their names.

use std::sync::Arc;

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind, Result, nearest};
use persist_store::{Store, Writer};

/// The stores of a registry that are open. To be cloned and shared.
#[derive(Clone, Default)]
pub struct Stores(Arc<Mutex<Vec<Held>>>);

/// An open store, and its exclusive lane until somebody takes it.
struct Held {
    name: String,
    store: Store,
    writer: Option<Writer>,
}

impl Stores {
    /// The store with this name.
    ///
    /// # Errors
    /// `Invalid` naming those that there are.
    pub fn get(&self, name: &str) -> Result<Store> {
        self.with(name, |held| Ok(held.store.clone()))
    }

    /// The exclusive lane of a store. Only one can have it.
    ///
    /// # Errors
    /// `Invalid` for an unknown name, `Busy` when somebody has taken it.
    pub fn take_writer(&self, name: &str) -> Result<Writer> {
        let taken = || Error::new(ErrorKind::Busy, "open", format!("the writer of store {name} is taken"));
        self.with(name, |held| held.writer.take().ok_or_else(taken))
    }

    /// Their names, in the order in which they were opened.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.lock().iter().map(|held| held.name.clone()).collect()
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Held) -> Result<T>) -> Result<T> {
        let mut all = self.0.lock();
        if let Some(held) = all.iter_mut().find(|held| held.name == name) {
            return work(held);
        }
        let names: Vec<&str> = all.iter().map(|held| held.name.as_str()).collect();
        let near = nearest(name, names.iter().copied());
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        let what = format!("there is no open store {name}; {near}open are: {}", names.join(", "));
        Err(Error::new(ErrorKind::Invalid, "open", what))
    }

    pub(super) fn push(&self, name: &str, writer: Writer, store: Store) {
        self.0.lock().push(Held { name: name.to_owned(), store, writer: Some(writer) });
    }

    /// Lets a store go that was closed.
    pub(super) fn remove(&self, name: &str) {
        self.0.lock().retain(|held| held.name != name);
    }
}
