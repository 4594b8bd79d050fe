//! The runtime over our own engine: what a program pays that uses stores, with the real group committer.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use persist_api::{Caps, CompactScope, Driver, Durability, OpenOptions, Quiet, Request};
use persist_flatfile::FlatfileDriver;
use persist_io::Disk;
use persist_store::{BeatLog, Pending, Store, Writer, default_request, open_with};

use crate::contender::{Ack, Contender, Reader, Result, Settings, SharedPut, text};
use crate::ours::OurReader;
use crate::rows::Row;

/// How a thread waits for its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It blocks, and leads when nobody does.
    Blocking,
    /// It polls a future and parks in between; the helper thread commits.
    Future,
}

/// An open store.
pub(crate) struct Runtime {
    store: Store,
    waiting: Waiting,
    /// Kept, because the store's programs keep theirs.
    _writer: std::sync::Mutex<Writer>,
}

impl Runtime {
    /// Opens a store. No Merkle roots: engines alone make none either.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        home: &Path,
        settings: &Settings,
        waiting: Waiting,
    ) -> Result<Self> {
        let drivers: [Arc<dyn Driver>; 1] = [Arc::new(FlatfileDriver::new(Arc::clone(&disk)))];
        let options = OpenOptions { cache_bytes: Some(settings.cache_bytes), ..OpenOptions::default() };
        let usual = default_request();
        let request = Request { preferred: usual.preferred.difference(Caps::MERKLE), ..usual };
        let opened = open_with(disk, &drivers, home, Some("flatfile"), &options).map_err(text)?;
        let (writer, store) = opened.negotiate(&request).map_err(text)?;
        Ok(Self { store, waiting, _writer: std::sync::Mutex::new(writer) })
    }

    fn commit_rows(&self, rows: &[Row], durability: Durability) -> Result<()> {
        let mut log = BeatLog::new();
        for row in rows {
            log.put(&row.key, &row.value).map_err(text)?;
        }
        let pending = self.store.commit(log, durability).map_err(text)?;
        let done = match self.waiting {
            Waiting::Blocking => pending.wait(),
            Waiting::Future => wait_for(pending),
        };
        done.map(drop).map_err(text)
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor: polls, and parks until woken.
fn wait_for(pending: Pending) -> persist_api::Result<persist_store::Receipt> {
    let mut pending = pin!(pending);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(done) = pending.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::park();
    }
}

impl Contender for Runtime {
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()> {
        let durability = if ack == Ack::Unsynced { Durability::Buffered } else { Durability::Durable };
        self.commit_rows(rows, durability)
    }

    fn sync(&self) -> Result<()> {
        self.store.sync().map(drop).map_err(text)
    }

    fn with_shared(&self, work: &mut dyn FnMut(&SharedPut<'_>) -> Result<()>) -> Result<()> {
        work(&|row| self.commit_rows(std::slice::from_ref(row), Durability::Durable))
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(OurReader(Box::new(self.store.view().map_err(text)?))))
    }

    fn checkpoint(&self) -> Result<()> {
        self.store.checkpoint().map(drop).map_err(text)
    }

    fn settle(&self) -> Result<()> {
        self.checkpoint()?;
        self.store.compact(CompactScope::default(), &Quiet).map(drop).map_err(text)
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        self.store.compact(CompactScope::default(), &Quiet).map_err(text)?;
        Ok(self)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.store.close().map_err(text)
    }
}
