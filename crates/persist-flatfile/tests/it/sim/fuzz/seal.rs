//! Checksums made right again, so that what lies behind them is reached. Written from `docs/format-flatfile.md`.

use std::path::Path;

/// Bytes of a place, if they are there.
fn part(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(part(bytes, at, 4)?.try_into().unwrap()))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(part(bytes, at, 8)?.try_into().unwrap())).ok()
}

fn set(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// A header whose checksum stands at 4 and goes over the rest.
fn seal_header(header: &mut [u8]) {
    if header.len() > 8 {
        let crc = crc32c::crc32c(&header[8..]);
        set(header, 4, crc);
    }
}

/// Makes all checksums of a file right that can be found.
pub(super) fn seal(path: &Path, bytes: &mut [u8]) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kind = name.split('.').nth(1).unwrap_or_default();
    let number = name.split('.').nth(2).and_then(|number| number.parse().ok()).unwrap_or(0);
    match kind {
        "meta" => bytes.chunks_mut(4096).for_each(seal_header),
        "dat" => bytes.chunks_mut(64).take(1).for_each(seal_header),
        "idx" | "old" => {
            bytes.chunks_mut(64).take(1).for_each(seal_header);
            seal_frames(bytes, number);
        }
        "ckp" => {
            seal_blocks(bytes, number);
        }
        _ => {}
    }
}

/// Header and footer of every frame, one behind the other, and the chain between them.
fn seal_frames(bytes: &mut [u8], number: u32) -> Option<()> {
    let tag: [u8; 8] = part(bytes, 16, 8)?.try_into().unwrap();
    let (mut at, mut chain) = (64, None);
    loop {
        part(bytes, at, 32).filter(|header| header.starts_with(b"PBT1"))?;
        let mut place = tag.to_vec();
        place.extend(number.to_le_bytes());
        place.extend((at as u64).to_le_bytes());
        let seed = crc32c::crc32c(&place);
        let crc = crc32c::crc32c_append(seed, &bytes[at + 8..at + 32]);
        set(bytes, at + 4, crc);
        let footer = at.checked_add(32)?.checked_add(usize_at(bytes, at + 24)?)?;
        part(bytes, footer, 120)?;
        if let Some(chain) = chain {
            bytes[footer + 16..footer + 24].copy_from_slice(&u64::to_le_bytes(chain));
        }
        let crc = crc32c::crc32c_append(seed, &bytes[at..footer + 112]);
        set(bytes, footer + 112, crc);
        chain = Some(digest(&bytes[footer..footer + 120]));
        at = (footer + 120).next_multiple_of(8);
    }
}

/// What the next frame calls its chain.
fn digest(footer: &[u8]) -> u64 {
    let mut sum = 0x7065_5F63_6861_696E_u64;
    for word in footer.chunks(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        sum = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    sum ^ (sum >> 32)
}

/// Every block of a run.
fn seal_blocks(bytes: &mut [u8], number: u32) -> Option<()> {
    let mut at = 0;
    loop {
        part(bytes, at, 24)?;
        let end = u32_at(bytes, at + 4).and_then(|len| (at + 24).checked_add(usize::try_from(len).ok()?));
        let Some(end) = end.filter(|end| bytes[at..].starts_with(b"PR") && *end <= bytes.len()) else {
            at += 8;
            continue;
        };
        let mut place = number.to_le_bytes().to_vec();
        place.extend((at as u64).to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&place), &bytes[at..at + 20]);
        let crc = crc32c::crc32c_append(crc, &bytes[at + 24..end]);
        set(bytes, at + 20, crc);
        at = end.next_multiple_of(8);
    }
}
