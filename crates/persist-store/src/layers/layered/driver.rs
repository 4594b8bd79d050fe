//! A driver that puts value layers over another's engines.

use std::path::Path;
use std::sync::Arc;

use persist_api::{
    Caps, Driver, Engine, Error, ErrorKind, FormatGrant, Observer, Offer, OpenOptions, Probe, Result,
};

use super::{Layered, offer_under};
use crate::layers::{AEAD_LAYER, Codec, KeyProvider, PREFIX_LAYER, new_parameter, standard_layers};

/// A driver whose engines are another driver's under value layers, without a store around them: so that the conformance
/// suite can check what a store puts over its engine. It keeps no stamp, so it is of no use for anything that lasts longer
/// than the driver itself.
///
/// ```
/// use std::sync::Arc;
/// use persist_api::{Caps, Driver};
/// use persist_store::LayeredDriver;
///
/// let packed = LayeredDriver::new(Arc::new(persist_memory::MemoryDriver::new()), Caps::COMPRESSION, None)?;
/// assert!(!packed.offer(&Default::default()).caps.contains(Caps::ZERO_COPY));
/// # Ok::<(), persist_api::Error>(())
/// ```
pub struct LayeredDriver {
    inner: Arc<dyn Driver>,
    codec: Arc<Codec>,
}

impl std::fmt::Debug for LayeredDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayeredDriver").field("scheme", &self.inner.scheme()).finish_non_exhaustive()
    }
}

impl LayeredDriver {
    /// Puts the layers over `inner` that provide `layers`: any of COMPRESSION, AEAD and CRC32C, whatever the engine can do
    /// by itself. AEAD needs `keys`.
    ///
    /// # Errors
    /// `Invalid` for another capability; `Refused` for AEAD without keys; those of the provider.
    pub fn new(inner: Arc<dyn Driver>, layers: Caps, keys: Option<&dyn KeyProvider>) -> Result<Self> {
        let known = Caps::COMPRESSION | Caps::AEAD | Caps::CRC32C;
        if !known.contains(layers) {
            let what = format!("{} is no value layer", (layers - known).names());
            return Err(Error::new(ErrorKind::Invalid, "layers", what));
        }
        let chosen = standard_layers()
            .into_iter()
            .map(|layer| layer.grant)
            .filter(|layer| layer.name == PREFIX_LAYER || layers.intersects(layer.provides));
        let mut format = FormatGrant { layers: chosen.collect() };
        for layer in &mut format.layers {
            if let (AEAD_LAYER, Some(keys)) = (&*layer.name, keys) {
                layer.parameter = new_parameter(keys)?.into();
            }
        }
        if layers.contains(Caps::AEAD) && keys.is_none() {
            return Err(Error::new(ErrorKind::Refused, "layers", "AEAD needs keys"));
        }
        Ok(Self { inner, codec: Arc::new(Codec::of(&format, keys, None)?) })
    }
}

impl Driver for LayeredDriver {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        self.inner.probe(home)
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer_under(&self.codec, &self.inner.offer(options))
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        self.inner.check(options)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let engine = self.inner.open(home, options, seen)?;
        Ok(Box::new(Layered::new(engine, Arc::clone(&self.codec))))
    }
}
