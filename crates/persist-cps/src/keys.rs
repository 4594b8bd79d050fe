//! Where ingested frames live in the key space. `docs/cps.md` shows the layout; it is part of the format.
//!
//! Beats and indexes are decimal text of fixed width, so that keys sort by number and a person can read a scan.

use persist_api::BeatNo;
use persist_frame::Digest;

/// Everything kept of frames lies below this.
pub const FRAMES: &[u8] = b"frame/";
/// Newest record of each key that fits.
pub const CELLS: &[u8] = b"cell/";
/// Newest record of each key that does not fit, under the hash of the key.
pub const LONG_CELLS: &[u8] = b"cell-long/";
/// Which frames of branch directories were imported.
pub const BRANCHES: &[u8] = b"branch/";
/// Blobs of branch directories, under the hash of their plaintext.
pub const BLOBS: &[u8] = b"blob/";
/// Longest key of a cell that is kept as it is, prefix included. The same on every engine, so that equal frames give
/// equal stores; it fits the shortest limit of the engines we know (LMDB: 511 bytes, one of them the runtime's).
pub const CELL_KEY_MAX: usize = 480;

/// Digits of 2^64 - 1.
const BEAT_DIGITS: usize = 20;
/// Digits of 2^32 - 1.
const INDEX_DIGITS: usize = 10;

/// Key of what is known about the frame that arrived with this beat.
pub fn frame_key(beat: BeatNo) -> Vec<u8> {
    format!("frame/{:0width$}", beat.0, width = BEAT_DIGITS).into_bytes()
}

/// Key of one kept record: the store's beat and the record's place in the frame, counted from 0.
pub fn record_key(beat: BeatNo, index: u32) -> Vec<u8> {
    format!("frame/{:0beat$}/{index:0width$}", beat.0, beat = BEAT_DIGITS, width = INDEX_DIGITS).into_bytes()
}

/// Prefix of all kept records of one frame.
pub fn records_prefix(beat: BeatNo) -> Vec<u8> {
    let mut prefix = frame_key(beat);
    prefix.push(b'/');
    prefix
}

/// What a key below [`FRAMES`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKey {
    /// [`frame_key`].
    Frame(BeatNo),
    /// [`record_key`].
    Record(BeatNo, u32),
}

impl FrameKey {
    /// Takes a key apart; `None` for anything that [`frame_key`] and [`record_key`] do not make.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let rest = key.strip_prefix(FRAMES)?;
        let (beat, rest) = rest.split_at_checked(BEAT_DIGITS)?;
        let beat = BeatNo(number(beat)?);
        match rest.split_first() {
            None => Some(Self::Frame(beat)),
            Some((b'/', index)) if index.len() == INDEX_DIGITS => {
                Some(Self::Record(beat, u32::try_from(number(index)?).ok()?))
            }
            Some(_) => None,
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// The key under which the newest record with this frame key is kept, in a store whose keys have at most
/// `key_bytes_max` bytes.
pub fn cell_key(key: &[u8], key_bytes_max: u64) -> Vec<u8> {
    let whole = CELLS.len().saturating_add(key.len());
    if whole <= CELL_KEY_MAX && whole as u64 <= key_bytes_max {
        return [CELLS, key].concat();
    }
    [LONG_CELLS, blake3::hash(key).to_hex().as_bytes()].concat()
}

/// Prefix of the marks of one branch: its identity, `None` where that is not known.
pub(crate) fn branch_prefix(branch_id: Option<[u8; 16]>) -> Vec<u8> {
    match branch_id {
        Some(id) => format!("branch/{:032x}/", u128::from_be_bytes(id)).into_bytes(),
        None => b"branch/none/".to_vec(),
    }
}

/// Key of the mark that says which beat brought a frame of a branch directory: the branch's identity, the frame's place in
/// `branch.idx` and its digest.
pub fn branch_key(branch_id: Option<[u8; 16]>, idx_at: u64, digest: &Digest) -> Vec<u8> {
    let hash = blake3::Hash::from_bytes(*digest).to_hex();
    let place = format!("{idx_at:0BEAT_DIGITS$}/{hash}");
    [&branch_prefix(branch_id), place.as_bytes()].concat()
}

/// The same mark as earlier versions wrote it, without the identity: the frame record says whose it is.
pub(crate) fn old_branch_key(idx_at: u64, digest: &Digest) -> Vec<u8> {
    let hash = blake3::Hash::from_bytes(*digest).to_hex();
    format!("branch/{idx_at:0BEAT_DIGITS$}/{hash}").into_bytes()
}

/// Where the marks of earlier versions begin of frames from this place on.
pub(crate) fn marks_from(idx_at: u64) -> Vec<u8> {
    format!("branch/{idx_at:0BEAT_DIGITS$}/").into_bytes()
}

/// The first key behind all marks of a branch.
pub(crate) fn behind_branch(branch_id: [u8; 16]) -> Vec<u8> {
    let mut behind = branch_prefix(Some(branch_id));
    // The byte that follows the slash.
    if let Some(last) = behind.last_mut() {
        *last = b'0';
    }
    behind
}

/// For a scan of the marks that name no branch, of frames from this place on: where it goes on from a key that is of another
/// branch, or of a frame before.
pub(crate) fn behind_other_marks(key: &[u8], idx_at: u64) -> Option<Vec<u8>> {
    if let Some(id) = branch_of(key) {
        return Some(behind_branch(id));
    }
    let none = branch_prefix(None);
    let from = [&none, format!("{idx_at:0BEAT_DIGITS$}/").as_bytes()].concat();
    (key.starts_with(&none) && key < from.as_slice()).then_some(from)
}

/// The identity in the key of a mark; `None` for anything else below [`BRANCHES`].
pub(crate) fn branch_of(key: &[u8]) -> Option<[u8; 16]> {
    let (digits, rest) = key.strip_prefix(BRANCHES)?.split_at_checked(32)?;
    let id = u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?.to_be_bytes();
    (rest.first() == Some(&b'/') && key.starts_with(&branch_prefix(Some(id)))).then_some(id)
}

/// Key of a blob, by the hash of its plaintext.
pub fn blob_key(hash: &Digest) -> Vec<u8> {
    [BLOBS, blake3::Hash::from_bytes(*hash).to_hex().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_number_and_parse_back() {
        let mut last = Vec::new();
        for beat in [1, 9, 10, u64::MAX] {
            for index in [0, 9, 10, u32::MAX] {
                let key = record_key(BeatNo(beat), index);
                assert!(key > last && key > frame_key(BeatNo(beat)));
                assert!(key.starts_with(&records_prefix(BeatNo(beat))));
                assert_eq!(FrameKey::parse(&key), Some(FrameKey::Record(BeatNo(beat), index)));
                last = key;
            }
            assert_eq!(FrameKey::parse(&frame_key(BeatNo(beat))), Some(FrameKey::Frame(BeatNo(beat))));
        }
    }

    #[test]
    fn what_we_do_not_write_does_not_parse() {
        let good = String::from_utf8(record_key(BeatNo(3), 4)).unwrap();
        for bad in [
            "frame/",
            "frame/3",
            "other/00000000000000000003",
            "frame/0000000000000000000x",
            "frame/99999999999999999999",
            "frame/00000000000000000003/",
            "frame/00000000000000000003/4",
            "frame/00000000000000000003/9999999999",
            "frame/00000000000000000003.0000000004",
            &format!("{good}0"),
        ] {
            assert_eq!(FrameKey::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn long_keys_go_under_their_hash() {
        let fits = vec![7; CELL_KEY_MAX - CELLS.len()];
        assert_eq!(cell_key(&fits, 510), [CELLS, &fits].concat());
        let long = [&fits[..], &[7]].concat();
        let expected = [LONG_CELLS, blake3::hash(&long).to_hex().as_bytes()].concat();
        assert_eq!(cell_key(&long, u64::MAX), expected);
        assert_eq!(cell_key(&fits, 100), cell_key(&fits, 99), "a lower limit of the engine counts too");
        assert_eq!(cell_key(b"", 510), CELLS);
    }

    #[test]
    fn marks_without_a_branch_are_found_among_others() {
        let (id, digest) = ([0; 16], [1; 32]);
        let marks = [
            branch_key(Some(id), 5, &digest),
            old_branch_key(4, &digest),
            old_branch_key(5, &digest),
            branch_key(Some([0x0A; 16]), 5, &digest),
            branch_key(None, 4, &digest),
            branch_key(None, 5, &digest),
            b"branch/others".to_vec(),
        ];
        let (mut at, mut seen) = (marks_from(5), Vec::new());
        while let Some(key) = marks.iter().filter(|key| **key >= at).min() {
            at = behind_other_marks(key, 5).unwrap_or_else(|| {
                seen.push(key);
                [&key[..], &[0]].concat()
            });
        }
        assert_eq!(seen, [&marks[2], &marks[5], &marks[6]]);
    }

    #[test]
    fn the_branch_of_a_mark_reads_back_and_nothing_else_does() {
        let id = [0x0A; 16];
        assert_eq!(branch_of(&branch_key(Some(id), 5, &[1; 32])), Some(id));
        let whole = String::from_utf8(branch_prefix(Some(id))).unwrap();
        for other in [
            branch_key(None, 5, &[1; 32]),
            old_branch_key(5, &[1; 32]),
            whole.to_uppercase().replace("BRANCH", "branch").into_bytes(),
            whole[..whole.len() - 1].to_owned().into_bytes(),
            whole.replace("/0a", "/+a").into_bytes(),
        ] {
            assert_eq!(branch_of(&other), None, "{}", other.escape_ascii());
        }
    }
}
