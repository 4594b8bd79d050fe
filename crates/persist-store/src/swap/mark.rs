//! What a stamp says of a swap. Format: `docs/format.md`.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use persist_api::{Error, ErrorKind, Result};
use persist_io::absolute;

use crate::stamp::{StoreId, is_scheme};

const FOLLOW_BACK: &str = "swap-follow-back";
/// The line of a mark that is to follow back; others have none.
const FOLLOW_BACK_LINE: &str = "swap-follow-back = yes\n";

/// The name of one swap: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SwapId(pub [u8; 16]);

/// How far a swap has come, as a stamp says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SwapState {
    /// The target is being filled; the source is the store.
    Copying,
    /// The target is the store; the source is kept until told otherwise.
    Flipped,
}

/// Where the other side of a swap lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SwapPlace {
    /// In the same home.
    Here,
    /// Nowhere on disk: it is kept by a process as long as that lives.
    Nowhere,
    /// In another home. The path is absolute.
    Home(PathBuf),
}

/// What a stamp says of a swap: what it is, and where its other side lies. In the stamp of the source that is the target,
/// and the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapMark {
    /// Name of the swap.
    pub id: SwapId,
    /// How far it has come.
    pub state: SwapState,
    /// Scheme of the engine on the other side.
    pub engine: String,
    /// That engine's format number.
    pub engine_format: u32,
    /// The epoch of the other side; 0 where it lies nowhere.
    pub epoch: u64,
    /// Where the other side lies.
    pub place: SwapPlace,
    /// True while copying, where the new engine is to keep what it commits after the flip
    /// ([`follow_back`](super::SwapOptions::follow_back)). After the flip the feed's hold says it.
    pub follow_back: bool,
}

impl SwapId {
    /// A new name from the operating system's randomness.
    ///
    /// # Errors
    /// `Io` when there is none.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self(StoreId::random()?.0))
    }
}

impl fmt::Display for SwapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StoreId(self.0).fmt(f)
    }
}

impl SwapState {
    /// The name in the stamp.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Flipped => "flipped",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Copying, Self::Flipped].into_iter().find(|state| state.name() == name)
    }
}

impl SwapPlace {
    /// The place of another home.
    ///
    /// # Errors
    /// `Invalid` for a path that cannot stand in a stamp: not text, or with a line break.
    pub(crate) fn home(path: &Path) -> Result<Self> {
        let path = absolute("swap", path)?;
        match path.to_str() {
            Some(text) if !text.contains(['\n', '\r']) => Ok(Self::Home(path)),
            _ => {
                let context = "the path cannot be noted in the stamp: it is not text, or has a line break";
                Err(Error::new(ErrorKind::Invalid, "swap", context).with_path(path))
            }
        }
    }

    /// The other home; `None` where there is no other.
    pub(crate) fn as_home(&self) -> Option<&Path> {
        match self {
            Self::Home(home) => Some(home),
            Self::Here | Self::Nowhere => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Here => "here".to_owned(),
            Self::Nowhere => "nowhere".to_owned(),
            Self::Home(path) => format!("home {}", path.display()),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "here" => Some(Self::Here),
            "nowhere" => Some(Self::Nowhere),
            text => {
                let path = text.strip_prefix("home ").filter(|path| !path.is_empty())?;
                Some(Self::Home(PathBuf::from(path)))
            }
        }
    }
}

impl SwapMark {
    /// Adds its lines to a stamp's text.
    pub(crate) fn append_to(&self, text: &mut String) {
        let _ = write!(
            text,
            "swap = {}\nswap-state = {}\nswap-engine = {}\nswap-engine-format = {}\nswap-epoch = {}\nswap-place = {}\n",
            self.id,
            self.state.name(),
            self.engine,
            self.engine_format,
            self.epoch,
            self.place.text(),
        );
        if self.follow_back {
            text.push_str(FOLLOW_BACK_LINE);
        }
    }

    /// Reads its lines; `value` gives that of the next line, which must have this key. With `follow_back` there is one more.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn read<'t>(
        follow_back: bool,
        mut value: impl FnMut(&'static str) -> Result<&'t str>,
    ) -> Result<Self> {
        fn parsed<T>(key: &str, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
            let wrong = || {
                let context = format!("stamp: {key} cannot be {text:?}");
                Error::new(ErrorKind::Corrupt, "read_stamp", context)
            };
            parse(text).ok_or_else(wrong)
        }
        let mut next = |key| Ok::<_, Error>((key, value(key)?));
        let (key, text) = next("swap")?;
        let id = parsed(key, text, |text| StoreId::from_str(text).ok())?;
        let (key, text) = next("swap-state")?;
        let state = parsed(key, text, SwapState::from_name)?;
        let (key, text) = next("swap-engine")?;
        let engine = parsed(key, text, |text| is_scheme(text).then(|| text.to_owned()))?;
        let (key, text) = next("swap-engine-format")?;
        let engine_format = parsed(key, text, |text| text.parse().ok())?;
        let (key, text) = next("swap-epoch")?;
        let epoch = parsed(key, text, |text| text.parse().ok())?;
        let (key, text) = next("swap-place")?;
        let place = parsed(key, text, SwapPlace::from_text)?;
        if follow_back {
            let (key, text) = next(FOLLOW_BACK)?;
            parsed(key, text, |text| (text == "yes").then_some(()))?;
        }
        Ok(Self { id: SwapId(id.0), state, engine, engine_format, epoch, place, follow_back })
    }
}
