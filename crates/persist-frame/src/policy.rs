//! What a well-formed frame asks for that this version does not know. Reading allows it, ingestion must not.

use crate::caps::FrameCaps;
use crate::error::{ErrorClass, FrameError};
use crate::reader::Frame;
use crate::record::{RECORD_VERSION, RecordKind};

/// Everything unknown in one frame, each thing once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyReport {
    /// Capability bits without a meaning.
    pub unknown_caps: FrameCaps,
    /// Record kinds without a meaning, ascending.
    pub unknown_kinds: Vec<RecordKind>,
    /// Record versions other than 1, ascending.
    pub unknown_versions: Vec<u8>,
}

impl PolicyReport {
    /// Whether everything is known.
    pub fn is_clean(&self) -> bool {
        self.unknown_caps.is_empty() && self.unknown_kinds.is_empty() && self.unknown_versions.is_empty()
    }

    /// The refusal that ingestion owes: [`ErrorClass::CapabilityMismatch`] if there are unknown bits, else
    /// [`ErrorClass::UnsupportedRecord`]; the message names everything that is unknown.
    pub fn into_result(self) -> Result<(), FrameError> {
        if self.is_clean() {
            return Ok(());
        }
        let mut unknown = Vec::new();
        if !self.unknown_caps.is_empty() {
            unknown.push(format!("capability bits {}", self.unknown_caps));
        }
        if !self.unknown_kinds.is_empty() {
            let kinds: Vec<String> =
                self.unknown_kinds.iter().map(|kind| format!("{:#04x}", kind.0)).collect();
            unknown.push(format!("record types {}", kinds.join(", ")));
        }
        if !self.unknown_versions.is_empty() {
            let versions: Vec<String> = self.unknown_versions.iter().map(u8::to_string).collect();
            unknown.push(format!("record versions {}", versions.join(", ")));
        }
        let class = if self.unknown_caps.is_empty() {
            ErrorClass::UnsupportedRecord
        } else {
            ErrorClass::CapabilityMismatch
        };
        Err(FrameError::new(class, format!("not known here: {}", unknown.join("; "))))
    }
}

impl Frame<'_> {
    /// Lists unknown capability bits, record kinds and record versions.
    pub fn policy(&self) -> PolicyReport {
        let mut kinds = [false; 256];
        let mut versions = [false; 256];
        for record in self.records() {
            if let Some(seen) = kinds.get_mut(usize::from(record.kind().0)) {
                *seen = record.kind().name().is_none();
            }
            if let Some(seen) = versions.get_mut(usize::from(record.version())) {
                *seen = record.version() != RECORD_VERSION;
            }
        }
        let marked =
            |seen: [bool; 256]| (0..=u8::MAX).zip(seen).filter(|(_, seen)| *seen).map(|(number, _)| number);
        PolicyReport {
            unknown_caps: self.trailer().fields.caps.unknown(),
            unknown_kinds: marked(kinds).map(RecordKind).collect(),
            unknown_versions: marked(versions).collect(),
        }
    }
}
