//! Keys of encryption at rest, and who provides them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use persist_api::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Number of a key. A store remembers which keys its records were sealed with, by number; higher is newer by custom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key of 32 bytes. It is overwritten when dropped and never shows in debug output.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// The key with these bytes. They should be random: a password is none.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// `Io` when there is none.
    pub fn random() -> Result<Self> {
        let mut key = Self::new([0; 32]);
        fill_random(key.0.as_mut_slice())?;
        Ok(key)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl FromStr for SecretKey {
    type Err = Error;

    /// Reads exactly 64 hexadecimal digits. The error does not repeat them.
    fn from_str(text: &str) -> Result<Self> {
        let mut key = Self::new([0; 32]);
        let digits = text.as_bytes();
        let read = |pair: &[u8]| {
            let hex = pair.iter().all(u8::is_ascii_hexdigit);
            std::str::from_utf8(pair).ok().filter(|_| hex).and_then(|pair| u8::from_str_radix(pair, 16).ok())
        };
        let good = digits.len() == 64
            && key.0.iter_mut().zip(digits.chunks(2)).all(|(byte, pair)| match read(pair) {
                Some(value) => {
                    *byte = value;
                    true
                }
                None => false,
            });
        if good { Ok(key) } else { Err(wrong("a key is 64 hexadecimal digits".to_owned())) }
    }
}

/// Provides the keys of encrypted stores. It is asked while a store is being opened, and by a swap for the engine that it fills: for the key with which
/// new records are sealed, and for those that sealed the records that are there.
pub trait KeyProvider: Send + Sync {
    /// The number of the key with which new records are to be sealed.
    ///
    /// # Errors
    /// The provider's own, as `Io`.
    fn newest(&self) -> Result<KeyId>;

    /// The key with this number, if the provider has it.
    ///
    /// # Errors
    /// The provider's own, as `Io`.
    fn key(&self, id: KeyId) -> Result<Option<SecretKey>>;
}

/// A provider that holds its keys in memory. The highest number is the newest.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(BTreeMap<KeyId, SecretKey>);

impl KeyRing {
    /// A ring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The ring with one key more. It takes the place of one with the same number.
    #[must_use]
    pub fn with(mut self, id: KeyId, key: SecretKey) -> Self {
        self.0.insert(id, key);
        self
    }

    /// Reads the text of a key file (`docs/layers.md`): one key a line, as number and 64 hexadecimal digits; a file of one
    /// key may leave the number out, which is then 1. Empty lines, and what follows a `#`, are ignored.
    ///
    /// # Errors
    /// `Invalid` naming the line, never its content.
    pub fn parse(text: &str) -> Result<Self> {
        let mut ring = Self::new();
        let mut unnumbered = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (id, key) = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some(key), None, _) => {
                    unnumbered = true;
                    (KeyId(1), key)
                }
                (Some(id), Some(key), None) => match id.parse() {
                    Ok(id) => (KeyId(id), key),
                    Err(_) => {
                        return Err(wrong(format!("line {number}: a key's number is 0 to {}", u32::MAX)));
                    }
                },
                (Some(_), Some(_), Some(_)) => {
                    return Err(wrong(format!("line {number}: more than a number and a key")));
                }
            };
            let key =
                key.parse().map_err(|error: Error| wrong(format!("line {number}: {}", error.context())))?;
            if ring.0.insert(id, key).is_some() {
                return Err(wrong(format!("line {number}: there is a key {id} already")));
            }
        }
        match ring.0.len() {
            0 => Err(wrong("there is no key".to_owned())),
            1 => Ok(ring),
            _ if unnumbered => Err(wrong("several keys, and not every one has its number".to_owned())),
            _ => Ok(ring),
        }
    }

    /// The numbers of the keys, ascending.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.0.keys().copied()
    }
}

impl KeyProvider for KeyRing {
    fn newest(&self) -> Result<KeyId> {
        let newest = self.0.last_key_value().map(|(id, _)| *id);
        newest.ok_or_else(|| wrong("there is no key".to_owned()))
    }

    fn key(&self, id: KeyId) -> Result<Option<SecretKey>> {
        Ok(self.0.get(&id).cloned())
    }
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Invalid, "read_key", what)
}

/// Fills with bytes of the operating system's randomness.
///
/// # Errors
/// `Io` when there is none.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::new(ErrorKind::Io, "random", error.to_string()))
}
