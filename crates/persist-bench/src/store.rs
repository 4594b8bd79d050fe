//! The runtime over our own engine: what a program pays that uses stores, with the real group committer.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use persist_api::{Caps, CompactScope, Driver, Durability, OpenOptions, Quiet};
use persist_flatfile::FlatfileDriver;
use persist_io::Disk;
use persist_store::{BeatLog, HoldOptions, Pending, Store, Writer, default_request, open_with};

use crate::contender::{Ack, Contender, Reader, Result, Settings, SharedPut, text};
use crate::ours::OurReader;
use crate::rows::Row;

/// How the store is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Each thread blocks on its commit, and leads when nobody does.
    Blocking,
    /// Each thread polls a future and parks in between; the helper thread commits.
    Awaited,
    /// As `Blocking`, while a hold without bounds keeps every durable commit for the feed.
    Held,
    /// As `Blocking`, with the default request: each commit carries the Merkle root of its records.
    Merkle,
}

/// An open store.
pub(crate) struct Runtime {
    store: Store,
    usage: Usage,
    is_held: AtomicBool,
    /// Kept, because the store's programs keep theirs.
    _writer: std::sync::Mutex<Writer>,
}

impl Runtime {
    /// Opens a store. No Merkle roots unless they are what is measured: engines alone make none either.
    pub(crate) fn open(disk: Arc<dyn Disk>, home: &Path, settings: &Settings, usage: Usage) -> Result<Self> {
        let drivers: [Arc<dyn Driver>; 1] = [Arc::new(FlatfileDriver::new(Arc::clone(&disk)))];
        let options = OpenOptions { cache_bytes: Some(settings.cache_bytes), ..OpenOptions::default() };
        let mut request = default_request();
        if usage != Usage::Merkle {
            request.preferred -= Caps::MERKLE;
        }
        let opened = open_with(disk, &drivers, home, Some("flatfile"), &options).map_err(text)?;
        let (writer, store) = opened.negotiate(&request).map_err(text)?;
        Ok(Self { store, usage, is_held: AtomicBool::new(false), _writer: std::sync::Mutex::new(writer) })
    }

    /// Takes the hold, once: what was loaded before is not kept.
    fn hold(&self) -> Result<()> {
        if self.usage == Usage::Held && !self.is_held.swap(true, Ordering::AcqRel) {
            let all = HoldOptions { bytes_max: u64::MAX, commits_max: u64::MAX };
            self.store.hold("bench", all).map_err(text)?;
        }
        Ok(())
    }

    fn commit_rows(&self, rows: &[Row], durability: Durability) -> Result<()> {
        if durability == Durability::Durable {
            self.hold()?;
        }
        let mut log = BeatLog::new();
        for row in rows {
            log.put(&row.key, &row.value).map_err(text)?;
        }
        let pending = self.store.commit(log, durability).map_err(text)?;
        let done = match self.usage {
            Usage::Blocking | Usage::Held | Usage::Merkle => pending.wait(),
            Usage::Awaited => wait_for(pending),
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

    fn put_in_order(&self) -> Result<()> {
        self.checkpoint()
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

#[cfg(test)]
mod tests {
    use persist_io::RealDisk;

    use super::*;
    use crate::rows::{Random, VALUE_BYTES, fresh};

    #[test]
    fn roots_are_in_the_headers_of_the_contender_that_is_named_for_them() {
        for usage in [Usage::Blocking, Usage::Awaited, Usage::Held, Usage::Merkle] {
            let dir = tempfile::tempdir().unwrap();
            let runtime = Runtime::open(Arc::new(RealDisk), dir.path(), &Settings::USUAL, usage).unwrap();
            runtime.commit(&fresh(&mut Random(1), 3, VALUE_BYTES), Ack::Durable).unwrap();
            let header = *runtime.store.view().unwrap().header();
            assert_eq!(header.root.is_some(), usage == Usage::Merkle, "{usage:?}");
        }
    }
}
