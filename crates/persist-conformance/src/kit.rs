//! What the cases share: a stand that holds home and options, and short ways to write and read.

use std::ops::ControlFlow;
use std::path::Path;

use persist_api::{
    Beat, BeatHeader, BeatReceipt, Caps, Driver, Durability, Engine, Error, Offer, OpenOptions, Quiet, Scan,
    View,
};

use crate::rng::Rng;
use crate::{Failure, Fixture, Home};

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// One place where a case opens its engine, again and again if it likes.
pub(crate) struct Stand<'f> {
    pub(crate) fixture: &'f dyn Fixture,
    pub(crate) home: Home,
}

impl<'f> Stand<'f> {
    pub(crate) fn new(fixture: &'f dyn Fixture) -> Self {
        Self { fixture, home: fixture.home() }
    }

    pub(crate) fn driver(&self) -> &'f dyn Driver {
        self.fixture.driver()
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Engine>, Error> {
        self.driver().open(self.path(), &self.fixture.options(), &Quiet)
    }

    pub(crate) fn open_with(&self, change: impl FnOnce(&mut OpenOptions)) -> Result<Box<dyn Engine>, Error> {
        self.driver().open(self.path(), &self.options_with(change), &Quiet)
    }

    pub(crate) fn options_with(&self, change: impl FnOnce(&mut OpenOptions)) -> OpenOptions {
        let mut options = self.fixture.options();
        change(&mut options);
        options
    }

    /// Opens a copy of the store that lies somewhere else.
    pub(crate) fn open_at(&self, path: &Path) -> Result<Box<dyn Engine>, Error> {
        self.driver().open(path, &self.fixture.options(), &Quiet)
    }
}

/// What the engine offers where the case opens it.
pub(crate) fn offer(fixture: &dyn Fixture) -> Offer {
    fixture.driver().offer(&fixture.options())
}

/// The cheapest durability that the engine offers besides none: what cases use that are not about durability.
pub(crate) fn level(engine: &dyn Engine) -> Durability {
    let caps = engine.offer().caps;
    if caps.contains(Caps::BUFFERED) { Durability::Buffered } else { engine.offer().durability_max() }
}

/// The header of the next beat, with one commit.
pub(crate) fn next_header(engine: &dyn Engine) -> Result<BeatHeader, Error> {
    engine.view()?.header().next(1, level(engine), None)
}

/// Opens the next beat.
pub(crate) fn begin(engine: &dyn Engine) -> Result<Box<dyn Beat + '_>, Error> {
    engine.begin_beat(next_header(engine)?)
}

/// Commits one beat with what `work` does.
pub(crate) fn commit(
    engine: &dyn Engine,
    work: impl FnOnce(&mut dyn Beat) -> Result<(), Error>,
) -> Result<BeatReceipt, Error> {
    let mut beat = begin(engine)?;
    work(&mut *beat)?;
    beat.commit_beat()
}

/// Commits one beat with these records.
pub(crate) fn put<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    engine: &dyn Engine,
    records: impl IntoIterator<Item = (K, V)>,
) -> Result<BeatReceipt, Error> {
    commit(engine, |beat| {
        for (key, value) in records {
            beat.put_record(key.as_ref(), value.as_ref())?;
        }
        Ok(())
    })
}

/// Commits one beat with these keys; the value of each is `=` and the key.
pub(crate) fn put_keys<K: AsRef<[u8]>>(
    engine: &dyn Engine,
    keys: impl IntoIterator<Item = K>,
) -> Result<BeatReceipt, Error> {
    put(engine, keys.into_iter().map(|key| (key.as_ref().to_vec(), value_of(key.as_ref()))))
}

/// The value that [`put_keys`] gives a key.
pub(crate) fn value_of(key: &[u8]) -> Vec<u8> {
    [b"=", key].concat()
}

/// Bytes of which each says where it stands: `step` apart lie equal ones.
pub(crate) fn pattern(length: usize, step: u8) -> Vec<u8> {
    (0..step.max(1)).cycle().take(length).collect()
}

/// One record at the newest beat.
pub(crate) fn get(engine: &dyn Engine, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
    get_in(&*engine.view()?, key)
}

/// One record of a view.
pub(crate) fn get_in(view: &dyn View, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
    Ok(view.get_record(key.as_ref())?.map(persist_api::Value::into_vec))
}

/// The rows of a scan, by the visitor.
pub(crate) fn rows(view: &dyn View, scan: Scan<'_>) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    view.scan(scan, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// The keys of a scan, by the visitor, as text that reads well in a message.
pub(crate) fn keys(view: &dyn View, scan: Scan<'_>) -> Result<Vec<String>, Error> {
    Ok(rows(view, scan)?.into_iter().map(|(key, _)| key.escape_ascii().to_string()).collect())
}

/// The rows of a scan, by a cursor.
pub(crate) fn cursor_rows(view: &dyn View, scan: Scan<'_>) -> Result<Vec<Row>, Error> {
    let mut cursor = view.cursor(scan)?;
    let mut rows = Vec::new();
    while cursor.advance()? {
        rows.push((cursor.key().to_vec(), cursor.value().to_vec()));
    }
    Ok(rows)
}

/// Bytes that no engine can store in less room.
pub(crate) fn dense(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    std::iter::repeat_with(|| rng.next().to_le_bytes()).flatten().take(length).collect()
}

/// Closes, dropping what comes back on failure.
pub(crate) fn close(engine: Box<dyn Engine>) -> Result<(), Error> {
    engine.close().map_err(|(_, error)| error)
}

/// Runs the body of a thread and turns a panic into a failure.
pub(crate) fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    handle.join().unwrap_or_else(|_| Err(Failure::new("a thread panicked")))
}
