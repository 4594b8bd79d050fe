//! The content of a file, with holes.

use std::collections::BTreeMap;

const PAGE: u64 = 4096;
const PAGE_LEN: usize = 4096;

/// Bytes of a file; what was never written is zero and takes no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sparse {
    len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        out.write(0, bytes);
        out
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let inside = usize::try_from(at % PAGE).unwrap_or(0);
            let (now, later) = rest.split_at(rest.len().min(PAGE_LEN - inside));
            let page = self.pages.entry(at / PAGE).or_insert_with(|| vec![0; PAGE_LEN]);
            if let Some(slot) = page.get_mut(inside..inside + now.len()) {
                slot.copy_from_slice(now);
            }
            at = at.saturating_add(now.len() as u64);
            rest = later;
        }
        self.len = self.len.max(at);
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.zero(len, self.len);
        }
        self.len = len;
    }

    /// Makes `from..to` a hole; the length stays.
    pub(crate) fn zero(&mut self, from: u64, to: u64) {
        let inner = from.div_ceil(PAGE)..(to / PAGE).max(from.div_ceil(PAGE));
        let doomed: Vec<u64> = self.pages.range(inner).map(|(page, _)| *page).collect();
        for page in doomed {
            self.pages.remove(&page);
        }
        for number in [from / PAGE, to / PAGE] {
            let start = number.saturating_mul(PAGE);
            if let Some(page) = self.pages.get_mut(&number) {
                let inside = |at: u64| usize::try_from(at.saturating_sub(start).min(PAGE)).unwrap_or(0);
                if let Some(slot) = page.get_mut(inside(from)..inside(to)) {
                    slot.fill(0);
                }
            }
        }
    }

    pub(crate) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let end = offset.saturating_add(len as u64).min(self.len);
        let mut out = Vec::new();
        let mut at = offset;
        while at < end {
            let inside = usize::try_from(at % PAGE).unwrap_or(0);
            let take = usize::try_from(end - at).unwrap_or(PAGE_LEN).min(PAGE_LEN - inside);
            match self.pages.get(&(at / PAGE)).and_then(|page| page.get(inside..inside + take)) {
                Some(bytes) => out.extend_from_slice(bytes),
                None => out.resize(out.len() + take, 0),
            }
            at = at.saturating_add(take as u64);
        }
        out
    }

    /// The pages that hold something: offset and bytes, none beyond the length.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().filter_map(|(page, bytes)| {
            let start = page.saturating_mul(PAGE);
            let room = usize::try_from(self.len.saturating_sub(start)).unwrap_or(PAGE_LEN).min(PAGE_LEN);
            Some((start, bytes.get(..room)?)).filter(|(_, bytes)| !bytes.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;

    #[test]
    fn behaves_as_a_vector_of_bytes() {
        let mut rng = Rng::new(&[7]);
        for _ in 0..200 {
            let (mut sparse, mut plain) = (Sparse::default(), Vec::<u8>::new());
            for _ in 0..12 {
                let at = rng.below(20_000);
                let start = usize::try_from(at).unwrap();
                match rng.below(4) {
                    0 => {
                        sparse.set_len(at);
                        plain.resize(start, 0);
                    }
                    1 => {
                        let to = at + rng.below(9_000);
                        sparse.zero(at, to);
                        let end = plain.len().min(usize::try_from(to).unwrap());
                        plain[start.min(end)..end].fill(0);
                    }
                    _ => {
                        let len = 1 + rng.index(9_000);
                        let bytes = rng.bytes(len);
                        sparse.write(at, &bytes);
                        let end = start + bytes.len();
                        plain.resize(plain.len().max(end), 0);
                        plain[start..end].copy_from_slice(&bytes);
                    }
                }
                assert_eq!(sparse.read(0, 1 << 20), plain);
                let runs: usize = sparse
                    .runs()
                    .map(|(at, run)| usize::try_from(at).unwrap() + run.len())
                    .max()
                    .unwrap_or(0);
                assert!(runs <= plain.len());
            }
        }
    }
}
