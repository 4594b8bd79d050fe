//! The value layers of a store as one thing: value in, stored bytes out, and back. There is no other way between them.

use std::ops::ControlFlow;

use lz4_flex::block::CompressTable;
use persist_api::{Engine, Error, ErrorKind, FormatGrant, Result, Scan, Value, View};

use super::crc::{self, CRC_LEN};
use super::keys::KeyProvider;
use super::lz4::{self, LZ4_OVERHEAD, Stored};
use super::seal::{Cipher, Nonces, SEAL_OVERHEAD, damaged};
use super::space::{KEY_CHECKS, is_plain};
use super::{AEAD_LAYER, CRC_LAYER, LZ4_LAYER, MERKLE_LAYER, PREFIX_LAYER, standard_layers};

/// What the layers of a store do to values. Keys are the engine's, first byte included.
pub(crate) struct Codec {
    pub(crate) crc: bool,
    pub(crate) merkle: bool,
    lz4: bool,
    cipher: Option<Cipher>,
}

/// Memory that sealing and opening use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The stored form of a value.
    sealed: Vec<u8>,
    /// A value that was decrypted, perhaps still packed.
    opened: Vec<u8>,
    /// A value that was unpacked.
    unpacked: Vec<u8>,
    associated: Vec<u8>,
    table: Option<CompressTable>,
    nonces: Nonces,
}

impl Scratch {
    /// Bytes that it keeps.
    pub(crate) fn capacity(&self) -> usize {
        [&self.sealed, &self.opened, &self.unpacked].map(Vec::capacity).iter().sum()
    }
}

/// Where an opened value lies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// In the stored bytes: so many of them, from the first.
    Stored(usize),
    /// In [`Scratch::opened`]: so many bytes, from the first.
    Opened(usize),
    /// In [`Scratch::unpacked`].
    Unpacked,
}

impl Place {
    /// The value.
    pub(crate) fn of<'b>(self, stored: &'b [u8], scratch: &'b Scratch) -> &'b [u8] {
        match self {
            Self::Stored(len) => stored.get(..len).unwrap_or_default(),
            Self::Opened(len) => scratch.opened.get(..len).unwrap_or_default(),
            Self::Unpacked => &scratch.unpacked,
        }
    }
}

impl Codec {
    /// The codec of a format grant. With `view`, which shows what the engine holds, every key is proved; without it, only
    /// what the grant itself can prove is.
    ///
    /// # Errors
    /// `Refused` when the grant names a layer that this runtime does not have, in another order, or lacks the prefix, and
    /// for a missing or wrong key; `Corrupt`.
    pub(crate) fn of(
        format: &FormatGrant,
        keys: Option<&dyn KeyProvider>,
        view: Option<&dyn View>,
    ) -> Result<Self> {
        let refused = |what: String| Err(Error::new(ErrorKind::Refused, "negotiate", what));
        let mut ready = standard_layers().into_iter();
        for layer in &format.layers {
            if !ready.any(|has| has.grant.is_same_layer(layer)) {
                return refused(format!("layer {} is not in this build, or not in this place", layer.id()));
            }
        }
        if format.layer(PREFIX_LAYER).is_none() {
            return refused("the format has no prefix layer".to_owned());
        }
        let cipher = match (format.layer(AEAD_LAYER), keys) {
            (None, _) => None,
            (Some(layer), Some(keys)) => Some(Cipher::of(&layer.parameter, keys, view)?),
            (Some(layer), None) => {
                let id = super::seal::first_key(&layer.parameter)?;
                return refused(format!(
                    "this store is encrypted (first with key {id}), and no key was given"
                ));
            }
        };
        Ok(Self {
            crc: format.layer(CRC_LAYER).is_some(),
            merkle: format.layer(MERKLE_LAYER).is_some(),
            lz4: format.layer(LZ4_LAYER).is_some(),
            cipher,
        })
    }

    /// True if values are stored as they are.
    pub(crate) const fn is_bare(&self) -> bool {
        !self.crc && !self.lz4 && self.cipher.is_none()
    }

    /// The layer that covers every byte of a value by a checksum or a tag, if there is one.
    pub(crate) const fn checking_layer(&self) -> Option<&'static str> {
        match (self.crc, &self.cipher) {
            (true, _) => Some(CRC_LAYER),
            (false, Some(_)) => Some(AEAD_LAYER),
            (false, None) => None,
        }
    }

    /// True if values are encrypted.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// True if the value of a record can be handed out where it lies.
    pub(crate) const fn keeps_bytes(&self) -> bool {
        !self.lz4 && self.cipher.is_none()
    }

    /// Bytes that are added to each value, at most.
    pub(crate) const fn value_overhead(&self) -> u64 {
        let crc = if self.crc { CRC_LEN } else { 0 };
        let lz4 = if self.lz4 { LZ4_OVERHEAD } else { 0 };
        let seal = if self.cipher.is_some() { SEAL_OVERHEAD } else { 0 };
        (crc + lz4 + seal) as u64
    }

    /// A record that has to go into the first beat that is sealed, unless the engine has it already: engine key and value.
    pub(crate) fn new_key_check(&self) -> Option<(Vec<u8>, &[u8])> {
        self.cipher.as_ref()?.new_check()
    }

    /// Checks a record in which a key of encryption proves itself.
    ///
    /// # Errors
    /// `Corrupt` naming it.
    pub(crate) fn prove(&self, key: &[u8], check: &[u8]) -> Result<()> {
        self.cipher.as_ref().map_or(Ok(()), |cipher| cipher.prove(key, check))
    }

    /// How many such records the engine holds.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn count_key_checks(&self, engine: &dyn Engine) -> Result<u64> {
        let mut count = 0_u64;
        if self.is_encrypted() {
            engine.view()?.scan(Scan::prefix(KEY_CHECKS).keys_only(), &mut |_, _| {
                count = count.saturating_add(1);
                ControlFlow::Continue(())
            })?;
        }
        Ok(count)
    }

    /// True if a stored value is sealed with the key that seals now.
    pub(crate) fn seals_like(&self, stored: &[u8]) -> bool {
        self.cipher.as_ref().is_none_or(|cipher| cipher.seals_like(stored))
    }

    /// The value as the engine stores it under `key`: packed, then encrypted, then with its checksum.
    ///
    /// # Errors
    /// `Io` without randomness, `TooLarge`.
    pub(crate) fn seal<'b>(&self, key: &[u8], value: &'b [u8], scratch: &'b mut Scratch) -> Result<&'b [u8]> {
        if self.is_bare() || is_plain(key) {
            return Ok(value);
        }
        let Scratch { sealed, associated, table, nonces, .. } = scratch;
        sealed.clear();
        if let Some(cipher) = &self.cipher {
            cipher.start(nonces, sealed)?;
        }
        if self.lz4 {
            lz4::append(value, table.get_or_insert_with(CompressTable::default), sealed);
        } else {
            sealed.extend_from_slice(value);
        }
        if let Some(cipher) = &self.cipher {
            cipher.close(key, 0, associated, sealed)?;
        }
        if self.crc {
            crc::append(key, 0, sealed);
        }
        Ok(sealed)
    }

    /// Takes the layers off what the engine stores under `key`, each checked.
    ///
    /// # Errors
    /// `Corrupt` naming the key; `Refused` when it was sealed with a key that is missing.
    #[inline]
    pub(crate) fn open(&self, key: &[u8], stored: &[u8], scratch: &mut Scratch) -> Result<Place> {
        if is_plain(key) {
            return Ok(Place::Stored(stored.len()));
        }
        let mut rest = stored;
        if self.crc {
            rest = crc::checked(key, rest).map_err(|why| damaged(key, why))?;
        }
        if self.keeps_bytes() {
            return Ok(Place::Stored(rest.len()));
        }
        self.open_changed(key, rest, scratch)
    }

    /// Decrypts and unpacks.
    fn open_changed(&self, key: &[u8], stored: &[u8], scratch: &mut Scratch) -> Result<Place> {
        let Scratch { opened, unpacked, associated, .. } = scratch;
        let packed = match &self.cipher {
            None => stored,
            Some(cipher) => {
                cipher.open(key, stored, associated, opened)?;
                opened
            }
        };
        if !self.lz4 {
            return Ok(Place::Opened(packed.len()));
        }
        match lz4::read(packed).map_err(|why| damaged(key, why))? {
            Stored::Raw(value) if self.cipher.is_some() => Ok(Place::Opened(value.len())),
            Stored::Raw(value) => Ok(Place::Stored(value.len())),
            Stored::Packed(block, len) => {
                lz4::unpack(block, len, unpacked).map_err(|why| damaged(key, why))?;
                Ok(Place::Unpacked)
            }
        }
    }

    /// As [`open`](Self::open), leaving the value where it is if no layer changed its bytes.
    #[inline]
    pub(crate) fn open_value<'v>(
        &self,
        key: &[u8],
        stored: Value<'v>,
        scratch: &mut Scratch,
    ) -> Result<Value<'v>> {
        Ok(match self.open(key, &stored, scratch)? {
            Place::Stored(len) => {
                let more = stored.len().saturating_sub(len);
                if more == 0 { stored } else { stored.shortened(more) }
            }
            Place::Opened(len) => {
                let mut value = std::mem::take(&mut scratch.opened);
                value.truncate(len);
                Value::owned(value)
            }
            Place::Unpacked => Value::owned(std::mem::take(&mut scratch.unpacked)),
        })
    }
}
