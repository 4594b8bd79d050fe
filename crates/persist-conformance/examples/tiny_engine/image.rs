//! The one file of a store: what is in it, how it is read with suspicion, and how it is replaced durably.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use persist_api::{BeatHeader, ErrorKind, Result};

use super::{io, refusal};

pub(crate) const IMAGE: &str = "tiny.image";
pub(crate) const NEW_IMAGE: &str = "tiny.new";
pub(crate) const MAGIC: &[u8; 8] = b"TINYENG1";

/// One state of the store: what a beat leaves and a view shows.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) header: BeatHeader,
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Length of its image.
    pub(crate) bytes: u64,
}

/// Magic, header, each row as length and key and length and value, and a CRC-32C over all of it.
pub(crate) fn encode(state: &State) -> Vec<u8> {
    let mut image = MAGIC.to_vec();
    image.extend(state.header.encode());
    for piece in state.rows.iter().flat_map(|(key, value)| [key, value]) {
        // The limits are far below 4 GiB.
        image.extend(u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes());
        image.extend(piece);
    }
    image.extend(crc32c::crc32c(&image).to_le_bytes());
    image
}

/// The image as a state, or what is wrong with it. Lengths are believed only as far as there are bytes.
pub(crate) fn decode(image: &[u8]) -> Result<State, &'static str> {
    let (body, crc) = image.split_last_chunk().ok_or("the image is too short")?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return Err("the checksum of the image differs");
    }
    let body = body.strip_prefix(MAGIC).ok_or("the image begins with other bytes")?;
    let (header, mut rest) = body.split_at_checked(BeatHeader::ENCODED_LEN).ok_or("the header is cut")?;
    let header = BeatHeader::decode(header).map_err(|_| "the header does not verify")?;
    let mut rows = BTreeMap::new();
    while !rest.is_empty() {
        let key = piece(&mut rest).ok_or("a key is cut")?.to_vec();
        let value = piece(&mut rest).ok_or("a value is cut")?.to_vec();
        if key.is_empty() || rows.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err("the keys are out of order");
        }
        rows.insert(key, value);
    }
    Ok(State { header, rows, bytes: image.len() as u64 })
}

fn piece<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (piece, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(piece)
}

pub(crate) fn read_image(home: &Path) -> Result<Option<State>> {
    let path = home.join(IMAGE);
    match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("open", &path)(error)),
        Ok(image) => {
            decode(&image).map(Some).map_err(|what| refusal(ErrorKind::Corrupt, "open", what).with_path(path))
        }
    }
}

pub(crate) fn write_image(home: &Path, image: &[u8]) -> std::io::Result<()> {
    let new = home.join(NEW_IMAGE);
    let mut file = File::create(&new)?;
    file.write_all(image)?;
    file.sync_all()?; // the bytes are there before the name is
    fs::rename(&new, home.join(IMAGE))?;
    sync_dir(home) // and now the name is there
}

/// Writes the image of a store without beats.
pub(crate) fn create_image(home: &Path) -> std::io::Result<State> {
    let image = encode(&State::default());
    write_image(home, &image)?;
    Ok(State { bytes: image.len() as u64, ..State::default() })
}

/// Creates a directory and what is missing above it. A name is durable once the directory that holds it was synced.
pub(crate) fn create_dir(path: &Path) -> std::io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !above.is_dir() {
        create_dir(above)?;
    }
    fs::create_dir_all(path)?;
    sync_dir(above)
}

pub(crate) fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
