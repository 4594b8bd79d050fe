//! Closing: the upkeep, then components, then stores, each in the order opposite to that of opening.

use std::time::Duration;

use persist_api::{ErrorKind, Result};

use super::report::{Closed, Step};
use super::{Event, Registry};

impl Registry {
    /// Closes everything and tells how each step went; a step that fails keeps none of the others from being done. A store
    /// that is `Busy`, as while somebody keeps a view, stays open, and so the call can be repeated. When nothing is left to
    /// close, the answer is empty.
    pub fn close(&mut self) -> Vec<Closed> {
        self.ready = false;
        let mut steps = Vec::new();
        let (began, running) = (self.now(), self.maintenance.is_running());
        let stopped = self.maintenance.stop();
        if running || stopped.is_err() {
            self.note(&mut steps, String::new(), Step::StopUpkeep, began, stopped);
        }
        let mut components = std::mem::take(&mut self.components);
        components.reverse();
        for component in &mut components {
            let began = self.now();
            let result = component.flush();
            self.note(&mut steps, component.name().to_owned(), Step::Flush, began, result);
        }
        for component in &mut components {
            let began = self.now();
            let result = component.close();
            self.note(&mut steps, component.name().to_owned(), Step::CloseComponent, began, result);
        }
        // What a component forgot to give back goes with it.
        drop(components);
        for name in self.stores.names().into_iter().rev() {
            let began = self.now();
            let result = self.close_store(&name);
            self.note(&mut steps, name, Step::CloseStore, began, result);
        }
        steps
    }

    fn close_store(&self, name: &str) -> Result<()> {
        let closed = match self.stores.get(name)?.close() {
            // Somebody else has closed it.
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            closed => closed,
        };
        if !closed.as_ref().is_err_and(|error| error.kind() == ErrorKind::Busy) {
            self.stores.remove(name);
        }
        closed
    }

    fn now(&self) -> Duration {
        self.options.clock.now()
    }

    fn note(&self, steps: &mut Vec<Closed>, name: String, step: Step, began: Duration, result: Result<()>) {
        let closed = Closed { name, step, result, took: self.now().saturating_sub(began) };
        (self.options.listener)(&Event::Closed(&closed));
        steps.push(closed);
    }
}
