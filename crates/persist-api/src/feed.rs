//! What a feed hands out.

use std::ops::ControlFlow;

use crate::{BeatHeader, KeyRange};

/// One piece of a feed: a beat begins, then come its operations in the order in which they were staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem<'f> {
    /// A beat begins.
    Beat(BeatHeader),
    /// It set a record.
    Put {
        /// The key.
        key: &'f [u8],
        /// The value.
        value: &'f [u8],
    },
    /// It removed a record.
    Delete {
        /// The key.
        key: &'f [u8],
    },
    /// It removed a range.
    DeleteRange {
        /// The range.
        range: KeyRange<'f>,
    },
}

/// What a feed calls for each piece. `Break` ends it without an error.
pub type FeedVisit<'f> = dyn FnMut(FeedItem<'_>) -> ControlFlow<()> + 'f;
