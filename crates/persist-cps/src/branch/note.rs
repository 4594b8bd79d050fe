//! The frame record of an imported frame: what is known of it beside its records. One line of canonical text.

use std::fmt::Write as _;

use persist_api::Result;
use persist_frame::Digest;

use crate::error::corrupt;

const HEAD: &str = "persist-cps-branch-frame/1";

/// What is kept of a frame that came from a branch directory, beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchNote {
    /// The branch, where its identity verified.
    pub branch_id: Option<[u8; 16]>,
    /// The frame's own beat, an operation stamp.
    pub beat: u64,
    /// The frame's number in the branch.
    pub frame_id: u64,
    /// Where the frame began in `branch.idx`; one place has one frame for good.
    pub idx_at: u64,
    /// Its records.
    pub records: u32,
    /// Bytes of their spans.
    pub span_bytes: u64,
    /// The digest of the original engine, which the records had when they were imported.
    pub digest: Digest,
    /// The root over the kept records by the rule of frames, computed at the import: the original kept none.
    pub root: Digest,
}

impl BranchNote {
    /// Whether a frame record is of this kind.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(HEAD.as_bytes())
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = HEAD.to_owned();
        let mut word = |name: &str, value: &dyn std::fmt::Display| {
            let _ = write!(text, " {name}={value}");
        };
        match self.branch_id {
            Some(id) => word("branch-id", &format!("{:032x}", u128::from_be_bytes(id))),
            None => word("branch-id", &"none"),
        }
        word("beat", &self.beat);
        word("frame-id", &self.frame_id);
        word("idx-offset", &self.idx_at);
        word("records", &self.records);
        word("span-bytes", &self.span_bytes);
        word("digest", &blake3::Hash::from_bytes(self.digest).to_hex());
        word("root", &blake3::Hash::from_bytes(self.root).to_hex());
        text.into_bytes()
    }

    /// Reads the stored form. Anything but the exact bytes that [`encode`](Self::encode) gives is refused.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let note = std::str::from_utf8(bytes).ok().and_then(parse);
        note.filter(|note| note.encode() == bytes)
            .ok_or_else(|| corrupt("read_frame", "the record of an imported frame that cannot be read"))
    }
}

fn parse(text: &str) -> Option<BranchNote> {
    let mut words = text.strip_prefix(HEAD)?.strip_prefix(' ')?.split(' ');
    let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let digest = |text: &str| blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes());
    Some(BranchNote {
        branch_id: match value("branch-id")? {
            "none" => None,
            id => Some(u128::from_str_radix(id, 16).ok()?.to_be_bytes()),
        },
        beat: value("beat")?.parse().ok()?,
        frame_id: value("frame-id")?.parse().ok()?,
        idx_at: value("idx-offset")?.parse().ok()?,
        records: value("records")?.parse().ok()?,
        span_bytes: value("span-bytes")?.parse().ok()?,
        digest: digest(value("digest")?)?,
        root: digest(value("root")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let note = BranchNote {
            branch_id: Some([0xAB; 16]),
            beat: u64::MAX,
            frame_id: 1,
            idx_at: 2,
            records: 3,
            span_bytes: 4,
            digest: [5; 32],
            root: [6; 32],
        };
        for note in [note, BranchNote { branch_id: None, ..note }] {
            let bytes = note.encode();
            assert_eq!(BranchNote::decode(&bytes).unwrap(), note);
            assert!(BranchNote::is_one(&bytes));
            for end in 0..bytes.len() {
                assert!(BranchNote::decode(&bytes[..end]).is_err(), "cut at {end}");
            }
            assert!(BranchNote::decode(&[&bytes[..], b" "].concat()).is_err());
            let text = String::from_utf8(bytes).unwrap();
            assert!(BranchNote::decode(text.replace("records=3", "records=03").as_bytes()).is_err());
        }
    }
}
