//! The stamp: the small file that says which engine, format and grant own a home. Format: `docs/format.md`.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::str::FromStr;

use persist_api::{Error, ErrorKind, FormatGrant, Result};
use persist_io::{Disk, EntryKind, read_file, replace};

use crate::layers::{FORMAT_KEY, format_record};
use crate::swap::SwapMark;

/// Name of the stamp in a home.
pub const STAMP_FILE: &str = "persist.stamp";
/// Longest stamp that is read or written, in bytes.
pub const STAMP_BYTES_MAX: u64 = 16 * 1024;

/// The version of a stamp that says nothing of a swap.
const VERSION: &str = "1";
/// The version of a stamp that says something of a swap: builds that know nothing of swaps must not open its home.
const VERSION_SWAP: &str = "2";
/// The version with the lines of a swap that is to follow back.
const VERSION_BACK: &str = "3";
const CHECK_LINE: &str = "blake3 = ";

/// The name of a store: 16 random bytes, given at creation and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

/// What a home is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StampState {
    /// Being created; nothing was ever committed here.
    Creating,
    /// A store.
    Ready,
    /// A copy from another store is being made; it is no store yet.
    Importing,
    /// The store that was here lives in another home now.
    Moved,
}

/// What a stamp says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Name of the store.
    pub store: StoreId,
    /// What the home is.
    pub state: StampState,
    /// Scheme of the engine that owns the active epoch.
    pub engine: String,
    /// That engine's format number.
    pub engine_format: u32,
    /// The active epoch: the engine lies in `engine-<epoch>`.
    pub epoch: u64,
    /// The store of which this one is a backup.
    pub origin: Option<StoreId>,
    /// A swap of the engine that is not finished.
    pub swap: Option<SwapMark>,
    /// The format grant, authoritative on every reopening.
    pub format: FormatGrant,
}

impl StoreId {
    /// A new name from the operating system's randomness.
    ///
    /// # Errors
    /// `Io` when there is none.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(ErrorKind::Io, "new_store_id", error.to_string()))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for StoreId {
    type Err = Error;

    /// Reads exactly 32 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        let plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| plain);
        let number = number.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "read_store_id", format!("{text:?} is no store id: 32 hex digits"))
        })?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl StampState {
    /// The name in the stamp.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Importing => "importing",
            Self::Moved => "moved",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Creating, Self::Ready, Self::Importing, Self::Moved]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

impl Stamp {
    /// Records of the runtime, by engine key, that its engine holds once there is a beat and that the stamp can write again: the
    /// copy of the format grant.
    #[must_use]
    pub fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![(FORMAT_KEY.to_vec(), format_record(&self.format))]
    }

    /// The stored text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let grant = self.format.canonical_text();
        let version = match &self.swap {
            None => VERSION,
            Some(swap) if swap.follow_back => VERSION_BACK,
            Some(_) => VERSION_SWAP,
        };
        let origin = self.origin.map_or_else(|| "none".to_owned(), |origin| origin.to_string());
        let mut text = format!(
            "persist-stamp = {version}\nstore = {}\nstate = {}\nengine = {}\nengine-format = {}\nepoch = {}\norigin = {origin}\n",
            self.store,
            self.state.name(),
            self.engine,
            self.engine_format,
            self.epoch,
        );
        if let Some(swap) = &self.swap {
            swap.append_to(&mut text);
        }
        for line in grant.lines() {
            let _ = writeln!(text, "grant = {line}");
        }
        let _ = writeln!(text, "grant-digest = {}", blake3::hash(grant.as_bytes()).to_hex());
        let check = blake3::hash(text.as_bytes()).to_hex();
        let _ = writeln!(text, "{CHECK_LINE}{check}");
        text
    }

    /// Reads the stored text back. Anything but the exact bytes that [`to_text`](Self::to_text) gives is refused.
    ///
    /// # Errors
    /// `Corrupt` naming the line; `Mismatch` for a sound stamp of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > STAMP_BYTES_MAX {
            return Err(corrupt(&format!("{} bytes, more than a stamp can have", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| corrupt("not text"))?;
        let body = checked_body(text)?;
        let mut lines = Lines { rest: body.lines() };
        let version = lines.value("persist-stamp")?;
        if ![VERSION, VERSION_SWAP, VERSION_BACK].contains(&version) {
            let context =
                format!("the stamp has format {version}; this build reads {VERSION} to {VERSION_BACK}");
            return Err(Error::new(ErrorKind::Mismatch, "read_stamp", context));
        }
        let store = lines.parsed("store", |text| text.parse().ok())?;
        let state = lines.parsed("state", StampState::from_name)?;
        let engine = lines.parsed("engine", |text| is_scheme(text).then(|| text.to_owned()))?;
        let engine_format = lines.parsed("engine-format", |text| text.parse().ok())?;
        let epoch = lines.parsed("epoch", |text| text.parse().ok().filter(|epoch| *epoch > 0))?;
        let origin = lines.parsed("origin", |text| match text {
            "none" => Some(None),
            text => text.parse().ok().map(Some),
        })?;
        let swap = match version {
            VERSION => None,
            _ => Some(SwapMark::read(version == VERSION_BACK, |key| lines.value(key))?),
        };
        if state == StampState::Moved && swap.is_none() {
            return Err(corrupt("a store that moved, and not where to"));
        }
        let (grant, digest) = lines.grant()?;
        if blake3::hash(grant.as_bytes()).to_hex().as_str() != digest {
            return Err(corrupt("grant-digest does not fit the grant"));
        }
        let stamp = Self {
            store,
            state,
            engine,
            engine_format,
            epoch,
            origin,
            swap,
            format: FormatGrant::parse(&grant)?,
        };
        if stamp.to_text() != text {
            return Err(corrupt("not in canonical form"));
        }
        Ok(stamp)
    }

    /// Reads the stamp of a home; `None` when it has none.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), with the path; `Mismatch` when what has its name is not a file; `Io`.
    pub fn read(disk: &dyn Disk, home: &Path) -> Result<Option<Self>> {
        let path = home.join(STAMP_FILE);
        let entries = disk.list(home)?.unwrap_or_default();
        // To open what is not a file can block for ever.
        if entries.iter().any(|entry| *entry.name == *STAMP_FILE && entry.kind != EntryKind::File) {
            let context = "the stamp is not a file; nothing was touched";
            return Err(Error::new(ErrorKind::Mismatch, "read_stamp", context).with_path(path));
        }
        let Some(bytes) = read_file(disk, &path, STAMP_BYTES_MAX)? else { return Ok(None) };
        Self::parse(&bytes).map(Some).map_err(|error| error.with_path(path))
    }

    /// True for a home into which a bundle is being imported.
    pub(crate) fn is_import(&self) -> bool {
        self.state == StampState::Importing && self.swap.is_none()
    }

    /// True for a home that a swap is filling.
    pub(crate) fn is_arriving(&self) -> bool {
        self.state == StampState::Importing && self.swap.is_some()
    }

    /// Puts the stamp in its place, atomically and durably.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn write(&self, disk: &dyn Disk, home: &Path) -> Result<()> {
        let text = self.to_text();
        // What was written must be readable, whatever a driver calls itself.
        Self::parse(text.as_bytes())?;
        replace(disk, &home.join(STAMP_FILE), text.as_bytes())
    }
}

/// True for what can be a scheme: lower-case letters, digits and `-`, a letter first.
#[must_use]
pub fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read_stamp", format!("stamp: {what}"))
}

/// All but the last line, when the last line is the BLAKE3 of the rest.
fn checked_body(text: &str) -> Result<&str> {
    let unclosed = text.strip_suffix('\n').ok_or_else(|| corrupt("the last line is cut short"))?;
    let start = unclosed.rfind('\n').map_or(0, |newline| newline + 1);
    let (body, last) = text.split_at(start);
    let check = last.trim_end_matches('\n').strip_prefix(CHECK_LINE);
    if check != Some(blake3::hash(body.as_bytes()).to_hex().as_str()) {
        return Err(corrupt("the check line does not fit"));
    }
    Ok(body)
}

/// `key = value` lines in a fixed order.
struct Lines<'t> {
    rest: std::str::Lines<'t>,
}

impl<'t> Lines<'t> {
    fn value(&mut self, key: &str) -> Result<&'t str> {
        let line = self.rest.next().unwrap_or_default();
        let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(" = "));
        value.ok_or_else(|| corrupt(&format!("{key:?} expected in line {line:?}")))
    }

    fn parsed<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let value = self.value(key)?;
        parse(value).ok_or_else(|| corrupt(&format!("{key} cannot be {value:?}")))
    }

    /// The lines of the grant, joined again, and its digest, which ends the body.
    fn grant(&mut self) -> Result<(String, &'t str)> {
        let mut grant = String::new();
        loop {
            let line = self.rest.next().unwrap_or_default();
            if let Some(part) = line.strip_prefix("grant = ") {
                grant.push_str(part);
                grant.push('\n');
            } else if let Some(digest) = line.strip_prefix("grant-digest = ") {
                return match self.rest.next() {
                    None => Ok((grant, digest)),
                    Some(line) => Err(corrupt(&format!("unknown line {line:?}"))),
                };
            } else {
                return Err(corrupt(&format!("\"grant\" expected in line {line:?}")));
            }
        }
    }
}
