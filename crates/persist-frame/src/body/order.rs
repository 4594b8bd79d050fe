//! `order_delta`: one page of the order of a cell's children.

use super::{EntryOp, defined};
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::name::{SEGMENT_LEN, Segment};
use crate::varint;

/// Operation, segment, and a byte each for position and sort-key length.
const SHORTEST_ENTRY: u64 = 1 + SEGMENT_LEN as u64 + 2;

/// One page of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderDelta<'a> {
    /// 1 by insertion, 2 by hash, 0 otherwise; the same number stands in the key.
    pub projection: u8,
    /// Modification stamp of the store.
    pub epoch: u64,
    /// Position of the first entry.
    pub rank_min: u64,
    count: u64,
    entries: &'a [u8],
}

/// One child's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderEntry<'a> {
    /// Whether it is there.
    pub op: EntryOp,
    /// Its name.
    pub name: Segment,
    /// Its position; upstream stops counting at 65535.
    pub position: u64,
    /// Always empty in real frames.
    pub sort_key: &'a [u8],
}

impl<'a> OrderEntry<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, FrameError> {
        let op = EntryOp::read(cursor)?;
        let name = Segment::read(cursor)?;
        let position = cursor.varint("position")?;
        let sort_key = cursor.prefixed("sort key")?;
        Ok(Self { op, name, position, sort_key })
    }

    /// Appends the entry's bytes.
    pub fn append(&self, out: &mut Vec<u8>) {
        out.push(self.op.number());
        out.extend_from_slice(&self.name.to_bytes());
        varint::encode(self.position, out);
        varint::encode(self.sort_key.len() as u64, out);
        out.extend_from_slice(self.sort_key);
    }
}

impl<'a> OrderDelta<'a> {
    /// A page over entries that were appended with [`OrderEntry::append`]; anything else is refused.
    pub fn new(projection: u8, epoch: u64, rank_min: u64, entries: &'a [u8]) -> Result<Self, FrameError> {
        if !is_projection(projection) {
            return Err(FrameError::new(ErrorClass::Body, format!("projection {projection} is not defined")));
        }
        let mut cursor = Cursor::new(entries, 0, ErrorClass::Body);
        let mut count = 0_u64;
        while cursor.remaining() > 0 {
            OrderEntry::read(&mut cursor)?;
            count = count.saturating_add(1);
        }
        Ok(Self { projection, epoch, rank_min, count, entries })
    }

    /// Decodes a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(body, 0, ErrorClass::Body);
        let projection =
            defined(&mut cursor, "projection", |number| is_projection(number).then_some(number))?;
        let epoch = cursor.varint("epoch")?;
        let rank_min = cursor.varint("first rank")?;
        let count = cursor.varint("entry count")?;
        if count > cursor.remaining() as u64 / SHORTEST_ENTRY {
            let message = format!("{count} entries in {} bytes", cursor.remaining());
            return Err(cursor.error(ErrorClass::Body, message));
        }
        let entries = cursor.rest();
        for _ in 0..count {
            OrderEntry::read(&mut cursor)?;
        }
        cursor.finish(ErrorClass::Body, "order")?;
        Ok(Self { projection, epoch, rank_min, count, entries })
    }

    /// The children's places.
    pub fn entries(&self) -> OrderEntries<'a> {
        OrderEntries(Cursor::new(self.entries, 0, ErrorClass::Body))
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len().saturating_add(32));
        out.push(self.projection);
        varint::encode(self.epoch, &mut out);
        varint::encode(self.rank_min, &mut out);
        varint::encode(self.count, &mut out);
        out.extend_from_slice(self.entries);
        out
    }
}

/// The places of one page.
#[derive(Debug, Clone)]
pub struct OrderEntries<'a>(Cursor<'a>);

impl<'a> Iterator for OrderEntries<'a> {
    type Item = OrderEntry<'a>;

    fn next(&mut self) -> Option<OrderEntry<'a>> {
        if self.0.remaining() == 0 {
            return None;
        }
        OrderEntry::read(&mut self.0).ok()
    }
}

fn is_projection(number: u8) -> bool {
    number <= 2
}
