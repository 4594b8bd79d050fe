//! What a store shows: its rows by every way of reading, and its history.

use std::ops::ControlFlow;
use std::sync::Arc;

use persist_api::{BeatNo, Engine, Error, ErrorKind, Result, Scan, View};

use super::acts::Rows;
use super::store::{HISTORY, State, Store};

impl Store {
    /// Reads a view in every way. Damage is noted; any other failure is an error, and a contradiction a panic.
    pub(super) fn look(&self, view: &dyn View, damage: &mut Vec<String>) -> Result<State> {
        let mut broken = false;
        let mut bad = |error: Error| match error.kind() {
            ErrorKind::Corrupt => {
                assert!(error.path().is_some(), "damage in no file: {error}");
                damage.push(error.to_string());
                broken = true;
                Ok(())
            }
            _ => Err(error),
        };
        let mut rows = Rows::default();
        view.scan(Scan::all(), &mut |key, value| {
            rows.0.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })
        .or_else(&mut bad)?;
        let mut back = Vec::new();
        view.scan(Scan::all().reverse(), &mut |key, value| {
            back.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .or_else(&mut bad)?;
        let newest = &self.states[self.states.len() - 1];
        let mut known = Vec::new();
        for key in newest.0.keys().chain(self.states.iter().flat_map(|rows| rows.0.keys()).take(40)) {
            match view.get_record(key) {
                Ok(value) => known.push((key.clone(), value.map(|value| value.to_vec()))),
                Err(error) => bad(error)?,
            }
        }
        if broken {
            known.extend(back.into_iter().map(|(key, value)| (key, Some(value))));
            return Ok(State { rows: Arc::new(rows), known, broken });
        }
        back.reverse();
        assert!(rows.0.clone().into_iter().eq(back), "scans in both directions");
        for (key, value) in &known {
            assert_eq!(rows.0.get(key), value.as_ref(), "get and scan of {}", key.escape_ascii());
        }
        Ok(State { rows: Arc::new(rows), ..State::default() })
    }

    /// Earlier beats, as far as they are kept, are as they were.
    pub(super) fn history(&self, engine: &dyn Engine, newest: BeatNo) -> Result<()> {
        for beat in newest.0.saturating_sub(HISTORY)..newest.0 {
            match engine.view_at(BeatNo(beat)) {
                Ok(view) => {
                    assert_eq!(view.header().beat.0, beat);
                    self.check_view(&*view)?;
                }
                Err(error) if error.kind() == ErrorKind::Stale && self.compacts() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
