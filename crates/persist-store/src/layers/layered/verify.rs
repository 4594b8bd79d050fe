//! Reading every value back through the layers.

use std::ops::ControlFlow;

use persist_api::{Error, ErrorKind, Finding, FindingCode, Observer, Progress, Result, Scan, VerifyStat};

use super::{Layered, Scratch};
use crate::digest::ROWS_PER_STEP;
use crate::layers::space::show_stored_key;

/// What follows the engine's own check, which gave `stat`.
pub(super) fn open_all(
    engine: &Layered,
    mut stat: VerifyStat,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<VerifyStat> {
    let view = engine.inner.view()?;
    let mut scratch = Scratch::default();
    let (mut rows, mut bytes, mut damaged) = (0_u64, 0_u64, 0_u64);
    let mut stopped: Option<Error> = None;
    let scanned = view.scan(Scan::all(), &mut |key, stored| {
        if rows.is_multiple_of(ROWS_PER_STEP) {
            let progress = Progress { phase: "layers", done: rows, total: None, unit: "records" };
            if let Err(error) = seen.step("verify", progress) {
                stopped = Some(error);
                return ControlFlow::Break(());
            }
        }
        rows = rows.saturating_add(1);
        let value = match engine.codec.open(key, stored, &mut scratch) {
            Ok(place) => place.of(stored, &scratch).len(),
            Err(error) => {
                damaged = damaged.saturating_add(1);
                found(Finding::damage(FindingCode::Record, error.context(), show_stored_key(key)));
                stored.len()
            }
        };
        bytes = bytes.saturating_add(key.len() as u64).saturating_add(value as u64);
        ControlFlow::Continue(())
    });
    if let Some(error) = stopped {
        return Err(error);
    }
    match scanned {
        Ok(()) => stat.bytes = bytes,
        // The engine's own check has said so.
        Err(error) if error.kind() == ErrorKind::Corrupt && stat.damaged > 0 => {}
        Err(error) => return Err(error),
    }
    stat.damaged = stat.damaged.saturating_add(damaged);
    Ok(stat)
}
