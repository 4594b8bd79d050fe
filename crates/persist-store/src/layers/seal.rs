//! Layer `xchacha20-poly1305`: values encrypted at rest, and bound to their key and their store.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use persist_api::{Error, ErrorKind, Result, Scan, View};

use super::keys::{KeyId, KeyProvider, SecretKey, fill_random};
use super::space::{KEY_CHECKS, show_stored_key};

/// Bytes of a nonce.
const NONCE_LEN: usize = 24;
/// Bytes of a tag.
const TAG_LEN: usize = 16;
/// Bytes before the encrypted value: number of the key, nonce.
const HEAD_LEN: usize = 4 + NONCE_LEN;
/// Bytes that are added to each value.
pub(super) const SEAL_OVERHEAD: usize = HEAD_LEN + TAG_LEN;
/// Of so many keys whose checks may be lost the provider is asked, at most.
const KEYS_TRIED_MAX: usize = 64;
/// Most nonces that are drawn at once.
const NONCES_MAX: usize = 40;

/// What the layer was given when the store was created, and keeps for good, also in copies: the seal, 16 random bytes that
/// stand for the store in what is authenticated, and the check of the first key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameter {
    seal: [u8; 16],
    check: [u8; SEAL_OVERHEAD],
}

impl Parameter {
    fn to_text(self) -> String {
        let mut text = String::new();
        for byte in self.seal {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('-');
        for byte in self.check {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    fn parse(text: &str) -> Result<Self> {
        let read = || {
            let (seal, check) = text.split_once('-')?;
            Some(Self { seal: from_hex(seal)?, check: from_hex(check)? })
        };
        let read = read().filter(|parameter| parameter.to_text() == text);
        read.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "read_grant", "the parameter of the encryption cannot be read")
        })
    }
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A new parameter, for a new store: a random seal and the check of the newest key.
///
/// # Errors
/// Those of the provider; `Io` without randomness.
pub(crate) fn new_parameter(keys: &dyn KeyProvider) -> Result<String> {
    let mut seal = [0; 16];
    fill_random(&mut seal)?;
    let id = keys.newest()?;
    let key = keys.key(id)?.ok_or_else(|| missing(id))?;
    let check = key_check(&seal, &Key::new(id, &key))?;
    Ok(Parameter { seal, check }.to_text())
}

/// The first key of the layer's parameter.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn first_key(parameter: &str) -> Result<KeyId> {
    Ok(id_of(&Parameter::parse(parameter)?.check))
}

/// Engine key of the record in which a key proves itself.
fn check_key(id: KeyId) -> Vec<u8> {
    [KEY_CHECKS, &id.0.to_be_bytes()].concat()
}

/// A sealed empty value: only the same key opens it, in the same store.
fn key_check(seal: &[u8; 16], key: &Key) -> Result<[u8; SEAL_OVERHEAD]> {
    let (mut out, mut nonce) = (Vec::new(), [0; NONCE_LEN]);
    fill_random(&mut nonce)?;
    key.append_head(&nonce, &mut out);
    key.close(&associated(seal, &check_key(key.id)), 0, &mut out)?;
    out.try_into().map_err(|_| Error::new(ErrorKind::Invalid, "seal", "a check of another length"))
}

/// What is authenticated with a value: the store's seal and the engine's key.
fn associated(seal: &[u8; 16], key: &[u8]) -> Vec<u8> {
    [seal, key].concat()
}

fn id_of(sealed: &[u8; SEAL_OVERHEAD]) -> KeyId {
    let [a, b, c, d, ..] = *sealed;
    KeyId(u32::from_le_bytes([a, b, c, d]))
}

/// The records in which later keys prove themselves.
#[derive(Default)]
struct StoredChecks {
    checks: Vec<[u8; SEAL_OVERHEAD]>,
    /// Damage hides some of them, perhaps.
    is_lossy: bool,
    /// It hides that of the newest key.
    newest_lost: bool,
}

impl StoredChecks {
    /// Reads those that can be read, that of `newest` also where not all of them can.
    ///
    /// # Errors
    /// `Corrupt` for one that is there and is none, `Io`.
    fn read(view: &dyn View, newest: KeyId) -> Result<Self> {
        let mut stored = Self::default();
        let mut odd = None;
        let scanned = view.scan(Scan::prefix(KEY_CHECKS), &mut |key, check| match check_of(key, check) {
            Ok(check) => {
                stored.checks.push(check);
                ControlFlow::Continue(())
            }
            Err(error) => {
                odd = Some(error);
                ControlFlow::Break(())
            }
        });
        match scanned {
            Err(error) if error.kind() == ErrorKind::Corrupt => stored.is_lossy = true,
            scanned => scanned?,
        }
        if let Some(odd) = odd {
            return Err(odd);
        }
        if stored.is_lossy && !stored.checks.iter().any(|check| id_of(check) == newest) {
            let key = check_key(newest);
            match view.get_record(&key) {
                Err(error) if error.kind() == ErrorKind::Corrupt => stored.newest_lost = true,
                found => stored.checks.extend(found?.map(|check| check_of(&key, &check)).transpose()?),
            }
        }
        Ok(stored)
    }
}

/// The check in a record.
fn check_of(key: &[u8], record: &[u8]) -> Result<[u8; SEAL_OVERHEAD]> {
    let check = <[u8; SEAL_OVERHEAD]>::try_from(record).ok().filter(|check| check_key(id_of(check)) == key);
    check.ok_or_else(|| damaged(key, "it is no check of that key"))
}

/// A key, ready for use. The cipher overwrites it when dropped.
struct Key {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl Key {
    fn new(id: KeyId, key: &SecretKey) -> Self {
        Self { id, cipher: XChaCha20Poly1305::new(key.bytes().into()) }
    }

    fn append_head(&self, nonce: &[u8; NONCE_LEN], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(nonce);
    }

    /// Encrypts in place what lies behind the head at `start`, and appends the tag.
    fn close(&self, associated: &[u8], start: usize, out: &mut Vec<u8>) -> Result<()> {
        let too_long = || Error::new(ErrorKind::TooLarge, "seal", "the value is too long to be encrypted");
        let (head, text) =
            out.get_mut(start..).and_then(|out| out.split_at_mut_checked(HEAD_LEN)).ok_or_else(too_long)?;
        let nonce = head.last_chunk::<NONCE_LEN>().ok_or_else(too_long)?;
        let tag = self.cipher.encrypt_inout_detached(&XNonce::from(*nonce), associated, text.into());
        out.extend_from_slice(&tag.map_err(|_| too_long())?);
        Ok(())
    }

    /// Makes `out` the value, if everything fits.
    fn open(&self, associated: &[u8], sealed: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let parts = sealed.split_last_chunk::<TAG_LEN>();
        let parts = parts.and_then(|(rest, tag)| Some((rest.split_first_chunk::<HEAD_LEN>()?, tag)));
        let Some(((head, text), tag)) = parts else { return false };
        let Some(nonce) = head.last_chunk::<NONCE_LEN>() else { return false };
        out.extend_from_slice(text);
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let opened = self.cipher.decrypt_inout_detached(&nonce, associated, out.as_mut_slice().into(), &tag);
        if opened.is_err() {
            out.clear();
        }
        opened.is_ok()
    }
}

/// The keys of one open store.
pub(super) struct Cipher {
    seal: [u8; 16],
    /// The one that seals, first.
    keys: Vec<Key>,
    /// Keys that sealed records here and that the provider does not have.
    missing: BTreeSet<KeyId>,
    /// The check of the sealing key, where the store does not have it yet.
    new_check: Option<[u8; SEAL_OVERHEAD]>,
    /// The sealing key, where damage hides what would prove it: it only opens records.
    unproved: Option<KeyId>,
}

impl Cipher {
    /// The cipher of a store, each key proved. `view` shows what the engine holds; without it, only the first key is.
    ///
    /// # Errors
    /// `Refused` for a key that is not the one of that number, and when the newest key that sealed here is missing;
    /// `Corrupt`; those of the provider.
    pub(super) fn of(parameter: &str, keys: &dyn KeyProvider, view: Option<&dyn View>) -> Result<Self> {
        let Parameter { seal, check } = Parameter::parse(parameter)?;
        let newest = keys.newest()?;
        let stored = view.map(|view| StoredChecks::read(view, newest)).transpose()?.unwrap_or_default();
        let checks: Vec<_> = std::iter::once(check).chain(stored.checks).collect();
        let mut cipher =
            Self { seal, keys: Vec::new(), missing: BTreeSet::new(), new_check: None, unproved: None };
        for check in &checks {
            let id = id_of(check);
            let Some(key) = keys.key(id)? else {
                cipher.missing.insert(id);
                continue;
            };
            let key = Key::new(id, &key);
            if !key.open(&associated(&seal, &check_key(id)), check, &mut Vec::new()) {
                let what = format!("key {id} is not the key {id} that this store was sealed with");
                return Err(refused(what));
            }
            cipher.keys.push(key);
        }
        let known = checks.iter().map(id_of).max().unwrap_or(newest);
        if view.is_some() && cipher.missing.contains(&known) {
            return Err(missing(known));
        }
        if newest < known && view.is_some() {
            let what = format!("this store was sealed with key {known} already; key {newest} is older");
            return Err(refused(what));
        }
        cipher.choose(newest, keys)?;
        if stored.newest_lost && newest != id_of(&check) {
            // What it seals could be sealed with a wrong key. What it opens cannot: each record has its tag.
            (cipher.unproved, cipher.new_check) = (Some(newest), None);
            tracing::warn!(name: "persist.key_unproved", key = newest.0, "damage hides what would prove the newest key; nothing is written with it");
        }
        if stored.is_lossy {
            cipher.add_unproved(id_of(&check), newest, keys)?;
        }
        Ok(cipher)
    }

    /// Takes in the keys between the first and the newest whose checks damage may hide: only to open records with.
    fn add_unproved(&mut self, first: KeyId, newest: KeyId, keys: &dyn KeyProvider) -> Result<()> {
        for id in (first.0..newest.0).rev().take(KEYS_TRIED_MAX).map(KeyId) {
            if self.keys.iter().all(|known| known.id != id) && !self.missing.contains(&id) {
                self.keys.extend(keys.key(id)?.map(|key| Key::new(id, &key)));
            }
        }
        Ok(())
    }

    /// Puts the sealing key first.
    fn choose(&mut self, newest: KeyId, keys: &dyn KeyProvider) -> Result<()> {
        if let Some(at) = self.keys.iter().position(|key| key.id == newest) {
            self.keys.swap(0, at);
            return Ok(());
        }
        let key = Key::new(newest, &keys.key(newest)?.ok_or_else(|| missing(newest))?);
        self.new_check = Some(key_check(&self.seal, &key)?);
        self.keys.insert(0, key);
        Ok(())
    }

    /// The record in which the sealing key proves itself, where the engine does not have it yet: it belongs into the first
    /// beat that this cipher seals.
    pub(super) fn new_check(&self) -> Option<(Vec<u8>, &[u8])> {
        let check = self.new_check.as_ref()?;
        Some((check_key(id_of(check)), check))
    }

    /// Checks a record in which a key proves itself, as far as that key is here.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn prove(&self, key: &[u8], check: &[u8]) -> Result<()> {
        let id = check.first_chunk::<4>().map(|id| KeyId(u32::from_le_bytes(*id)));
        let known = self.keys.iter().find(|known| Some(known.id) == id);
        let fits = match (id, known) {
            (Some(id), Some(known)) => {
                check_key(id) == key && known.open(&associated(&self.seal, key), check, &mut Vec::new())
            }
            (Some(id), None) => check_key(id) == key && self.missing.contains(&id),
            (None, _) => false,
        };
        if fits { Ok(()) } else { Err(damaged(key, "it is no check of that key")) }
    }

    /// Starts the stored form of a value: the value follows, then [`close`](Self::close).
    ///
    /// # Errors
    /// `Io` without randomness; `Refused` when the sealing key is not proved.
    pub(super) fn start(&self, nonces: &mut Nonces, out: &mut Vec<u8>) -> Result<()> {
        if let Some(id) = self.unproved {
            let what = format!(
                "damage hides what would prove that key {id} is the one of this store, so that nothing is written with it; \
                 repair the store first"
            );
            return Err(refused(what));
        }
        let nonce = nonces.next()?;
        if let Some(key) = self.keys.first() {
            key.append_head(&nonce, out);
        }
        Ok(())
    }

    /// Encrypts what follows the start at `start`.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(super) fn close(
        &self,
        key: &[u8],
        start: usize,
        spare: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let sealing = self.keys.first().ok_or_else(|| refused("there is no key to seal with".to_owned()))?;
        sealing.close(self.associated(key, spare), start, out)
    }

    /// True if a value is sealed with the key that seals now.
    pub(super) fn seals_like(&self, sealed: &[u8]) -> bool {
        let id = sealed.first_chunk::<4>().map(|id| KeyId(u32::from_le_bytes(*id)));
        self.keys.first().map(|sealing| sealing.id) == id
    }

    /// Makes `out` the value.
    ///
    /// # Errors
    /// `Corrupt` naming the record; `Refused` naming the key of encryption that is missing.
    pub(super) fn open(
        &self,
        key: &[u8],
        sealed: &[u8],
        spare: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.clear();
        let id = match sealed.first_chunk::<4>() {
            Some(id) if sealed.len() >= SEAL_OVERHEAD => KeyId(u32::from_le_bytes(*id)),
            _ => return Err(damaged(key, "it is too short to be sealed")),
        };
        match self.keys.iter().find(|known| known.id == id) {
            Some(known) if known.open(self.associated(key, spare), sealed, out) => Ok(()),
            Some(_) => Err(damaged(key, "its tag does not fit its key, its store and its bytes")),
            None if self.missing.contains(&id) => {
                let what =
                    format!("the record {} was sealed with key {id}, which is missing", show_stored_key(key));
                Err(refused(what))
            }
            None => Err(damaged(key, "it names a key that never sealed anything here")),
        }
    }

    fn associated<'s>(&self, key: &[u8], spare: &'s mut Vec<u8>) -> &'s [u8] {
        spare.clear();
        spare.extend_from_slice(&self.seal);
        spare.extend_from_slice(key);
        spare
    }
}

fn missing(id: KeyId) -> Error {
    refused(format!("this store is encrypted with key {id}, which is missing"))
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::Refused, "key", what)
}

/// The error for a record that does not verify.
#[cold]
pub(super) fn damaged(key: &[u8], why: &str) -> Error {
    let what = format!("the record {} is damaged: {why}", show_stored_key(key));
    Error::new(ErrorKind::Corrupt, "read_record", what)
}

/// Random nonces, drawn several at a time; none is given out twice.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    drawn: Vec<[u8; NONCE_LEN]>,
    batch: usize,
}

impl Nonces {
    fn next(&mut self) -> Result<[u8; NONCE_LEN]> {
        if self.drawn.is_empty() {
            self.batch = self.batch.saturating_mul(2).clamp(1, NONCES_MAX);
            let mut fresh = vec![[0; NONCE_LEN]; self.batch];
            fill_random(fresh.as_flattened_mut())?;
            self.drawn = fresh;
        }
        self.drawn.pop().ok_or_else(|| Error::new(ErrorKind::Io, "random", "no nonce was drawn"))
    }
}
