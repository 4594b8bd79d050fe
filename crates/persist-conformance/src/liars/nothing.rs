//! What a liar hands out where it should refuse: a beat that swallows everything, a view of nothing.

use persist_api::{
    Beat, BeatHeader, BeatNo, BeatReceipt, CommitNo, Cursor, Durability, Error, Result, Scan, Value, View,
    Visit,
};

/// A beat that swallows everything: what a liar hands out where it should refuse.
pub(crate) struct NullBeat(pub(crate) BeatHeader);

impl Beat for NullBeat {
    fn put_record(&mut self, _: &[u8], _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn delete_record(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        Ok(BeatReceipt { header: self.0, reached: self.0.durability })
    }

    fn abort_beat(self: Box<Self>) {}
}

/// A view of nothing.
pub(crate) struct Nothing;

static NOTHING: BeatHeader = BeatHeader {
    beat: BeatNo(0),
    first_commit: CommitNo(1),
    commits: 0,
    durability: Durability::Volatile,
    root: None,
};

impl View for Nothing {
    fn header(&self) -> &BeatHeader {
        &NOTHING
    }

    fn get_record(&self, _: &[u8]) -> Result<Option<Value<'_>>> {
        Ok(None)
    }

    fn scan(&self, _: Scan<'_>, _: &mut Visit<'_>) -> Result<()> {
        Ok(())
    }

    fn cursor<'v>(&'v self, _: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Err(Error::unsupported("cursor", "ORDERED"))
    }
}
