//! An engine whose values go through the layers.

mod beat;
mod driver;
mod verify;
mod view;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use persist_api::{
    BackupStat, Beat, BeatHeader, BeatNo, Caps, CheckpointStat, CompactScope, CompactStat, Engine, Error,
    Finding, Observer, Offer, Result, Stats, VerifyStat, View,
};

use self::beat::LayeredBeat;
pub(crate) use self::view::LayeredView;
use super::{Codec, Scratch};

pub use driver::LayeredDriver;

/// Memory that is kept from one beat to the next, at most.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// An engine under a codec. Where the codec is bare, views and beats are the engine's own.
pub(crate) struct Layered {
    inner: Box<dyn Engine>,
    codec: Arc<Codec>,
    offer: Offer,
    /// Memory of the last beat, for the next.
    spare: Mutex<Option<Box<Scratch>>>,
}

/// What an engine with this offer offers under a codec.
fn offer_under(codec: &Codec, inner: &Offer) -> Offer {
    let mut offer = inner.clone();
    if codec.is_bare() {
        return offer;
    }
    offer.caps -= Caps::FEED;
    if !codec.keeps_bytes() {
        offer.caps -= Caps::ZERO_COPY;
    }
    if codec.crc {
        offer.caps |= Caps::CRC32C;
    }
    offer.limits = offer.limits.net_of(0, codec.value_overhead());
    offer
}

impl Layered {
    pub(crate) fn new(inner: Box<dyn Engine>, codec: Arc<Codec>) -> Self {
        let offer = offer_under(&codec, inner.offer());
        Self { inner, codec, offer, spare: Mutex::default() }
    }

    /// The engine below, which shows values as they are stored.
    pub(crate) fn inner(&self) -> &dyn Engine {
        &*self.inner
    }

    /// Closes.
    ///
    /// # Errors
    /// `Busy` hands the engine back, still usable.
    pub(crate) fn close(mut self: Box<Self>) -> Result<(), (Box<Self>, Error)> {
        match self.inner.close() {
            Ok(()) => Ok(()),
            Err((inner, error)) => {
                self.inner = inner;
                Err((self, error))
            }
        }
    }

    /// A view that also shows values as they are stored, whatever the codec.
    ///
    /// # Errors
    /// As `view`.
    pub(crate) fn layered_view(&self) -> Result<LayeredView> {
        Ok(LayeredView::new(self.inner.view()?, Arc::clone(&self.codec)))
    }

    fn covered(&self, view: Box<dyn View>) -> Box<dyn View> {
        if self.codec.is_bare() { view } else { Box::new(LayeredView::new(view, Arc::clone(&self.codec))) }
    }
}

impl Engine for Layered {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        let inner = self.inner.begin_beat(header)?;
        if self.codec.is_bare() {
            return Ok(inner);
        }
        Ok(Box::new(LayeredBeat::new(self, inner)))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.inner.sync()
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(self.covered(self.inner.view()?))
    }

    fn view_at(&self, beat: BeatNo) -> Result<Box<dyn View>> {
        Ok(self.covered(self.inner.view_at(beat)?))
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        self.inner.checkpoint()
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        self.inner.backup(into, seen)
    }

    fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        self.inner.compact(scope, seen)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let stat = self.inner.verify(found, seen)?;
        if self.codec.is_bare() { Ok(stat) } else { verify::open_all(self, stat, found, seen) }
    }

    fn stats(&self) -> Result<Stats> {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        Self::close(self).map_err(|(back, error)| (back as Box<dyn Engine>, error))
    }
}
