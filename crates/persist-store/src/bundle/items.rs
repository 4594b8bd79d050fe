//! Items that follow each other without a gap, in bytes that come in pieces.

use persist_api::Result;

/// What knows where an item ends, and takes it.
pub(super) trait Items {
    /// How many bytes the item at the beginning of `bytes`, of which there is one at least, has, as far as these bytes tell:
    /// more than there are if it is not whole.
    ///
    /// # Errors
    /// When there cannot be such an item.
    fn extent(&self, bytes: &[u8]) -> Result<usize>;

    /// Takes a whole item.
    ///
    /// # Errors
    /// When it cannot be taken.
    fn take(&mut self, item: &[u8]) -> Result<()>;
}

/// The beginning of an item that is not whole yet. It grows by what was read, never by what is announced.
#[derive(Debug, Default)]
pub(super) struct Carry(Vec<u8>);

impl Carry {
    /// True when the last item was whole.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next bytes, and gives on the items that are whole.
    ///
    /// # Errors
    /// Those of the items.
    pub(super) fn push(&mut self, mut bytes: &[u8], items: &mut dyn Items) -> Result<()> {
        while !self.0.is_empty() {
            let missing = items.extent(&self.0)?.saturating_sub(self.0.len());
            if missing == 0 {
                items.take(&self.0)?;
                self.0.clear();
                break;
            }
            let Some((now, rest)) = bytes.split_at_checked(missing) else {
                self.0.extend_from_slice(bytes);
                return Ok(());
            };
            self.0.extend_from_slice(now);
            bytes = rest;
        }
        while !bytes.is_empty() {
            let Some((item, rest)) = bytes.split_at_checked(items.extent(bytes)?) else {
                self.0.extend_from_slice(bytes);
                return Ok(());
            };
            items.take(item)?;
            bytes = rest;
        }
        Ok(())
    }
}

/// A length at the beginning of bytes, and what follows it.
pub(super) fn length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*length), rest))
}
