//! The frame record: what is kept of a frame beside its records. One line of canonical text, `name=value` words.

use std::fmt::Write as _;

use persist_api::Result;
use persist_frame::{ApplyMode, Branch, Checksum, Compression, Digest, Frame, FrameCaps, TrailerFields};

use crate::error::corrupt;

const HEAD: &str = "persist-cps-frame/1";

/// What is kept of a frame beside its records: enough to write the same bytes again, and to notice if that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameNote {
    /// The trailer's fields. Their `beat` is the frame's own, which is data; the store's beat is in the key.
    pub fields: TrailerFields,
    /// Records of the frame.
    pub records: u32,
    /// Root over the records, as the trailer gave it and the reader recomputed it.
    pub root: Digest,
    /// Length of the bare frame, in bytes.
    pub bare_bytes: u64,
    /// BLAKE3 of the bare frame. The root does not cover the trailer; this does.
    pub bare_blake3: Digest,
    /// Length of the input as it came, container included.
    pub received_bytes: u64,
    /// BLAKE3 of the input as it came.
    pub received_blake3: Digest,
}

impl FrameNote {
    pub(crate) fn of(frame: &Frame<'_>, received: &[u8]) -> Self {
        let trailer = frame.trailer();
        let bare = frame.bare_bytes();
        let bare_blake3 = *blake3::hash(bare).as_bytes();
        Self {
            fields: trailer.fields,
            records: trailer.record_count,
            root: trailer.merkle_root,
            bare_bytes: bare.len() as u64,
            bare_blake3,
            received_bytes: received.len() as u64,
            received_blake3: if frame.came_in_container() {
                *blake3::hash(received).as_bytes()
            } else {
                bare_blake3
            },
        }
    }

    /// Whether the frame came in a container.
    pub fn came_in_container(&self) -> bool {
        self.fields.compression == Compression::Deflate
    }

    /// Whether a frame record is of this kind.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(HEAD.as_bytes())
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let fields = &self.fields;
        let mut text = HEAD.to_owned();
        let mut word = |name: &str, value: &dyn std::fmt::Display| {
            let _ = write!(text, " {name}={value}");
        };
        word("beat", &fields.beat);
        word("records", &self.records);
        word("apply-mode", &fields.apply_mode.number());
        word("compression", &fields.compression.number());
        word("checksum", &fields.checksum.number());
        word("payload-history-beats", &fields.payload_history_beats);
        word("manifest-history-beats", &fields.manifest_history_beats);
        word("caps", &fields.caps);
        match fields.branch {
            None => word("branch", &"none"),
            Some(branch) => word(
                "branch",
                &format!(
                    "{}:{:016x}:{:016x}:{}",
                    u8::from(branch.glob),
                    branch.domain,
                    branch.tag,
                    branch.frame_id
                ),
            ),
        }
        word("root", &hex(&self.root));
        word("bare-bytes", &self.bare_bytes);
        word("bare-blake3", &hex(&self.bare_blake3));
        word("received-bytes", &self.received_bytes);
        word("received-blake3", &hex(&self.received_blake3));
        text.into_bytes()
    }

    /// Reads the stored form. Anything but the exact bytes that [`encode`](Self::encode) gives is refused.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let note = std::str::from_utf8(bytes).ok().and_then(parse);
        note.filter(|note| note.encode() == bytes)
            .ok_or_else(|| corrupt("read_frame", "a frame record that cannot be read"))
    }
}

fn parse(text: &str) -> Option<FrameNote> {
    let mut words = text.strip_prefix(HEAD)?.strip_prefix(' ')?.split(' ');
    let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let beat = value("beat")?.parse().ok()?;
    let records = value("records")?.parse().ok()?;
    let apply_mode = ApplyMode::from_number(value("apply-mode")?.parse().ok()?)?;
    let compression = match value("compression")? {
        "0" => Compression::None,
        "1" => Compression::Deflate,
        _ => return None,
    };
    let checksum = Checksum::from_number(value("checksum")?.parse().ok()?)?;
    let payload_history_beats = value("payload-history-beats")?.parse().ok()?;
    let manifest_history_beats = value("manifest-history-beats")?.parse().ok()?;
    let caps = value("caps")?.strip_prefix("0x")?;
    let caps = FrameCaps::from_bits(u32::from_str_radix(caps, 16).ok()?);
    let branch = match value("branch")? {
        "none" => None,
        text => Some(parse_branch(text)?),
    };
    Some(FrameNote {
        fields: TrailerFields {
            beat,
            apply_mode,
            compression,
            checksum,
            payload_history_beats,
            manifest_history_beats,
            caps,
            branch,
        },
        records,
        root: unhex(value("root")?)?,
        bare_bytes: value("bare-bytes")?.parse().ok()?,
        bare_blake3: unhex(value("bare-blake3")?)?,
        received_bytes: value("received-bytes")?.parse().ok()?,
        received_blake3: unhex(value("received-blake3")?)?,
    })
}

fn parse_branch(text: &str) -> Option<Branch> {
    let mut words = text.split(':');
    let glob = words.next()? == "1";
    let domain = u64::from_str_radix(words.next()?, 16).ok()?;
    let tag = u64::from_str_radix(words.next()?, 16).ok()?;
    let frame_id = words.next()?.parse().ok()?;
    Some(Branch { glob, domain, tag, frame_id })
}

fn hex(digest: &Digest) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

fn unhex(text: &str) -> Option<Digest> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> FrameNote {
        FrameNote {
            fields: TrailerFields {
                beat: u64::MAX,
                caps: FrameCaps::from_bits(0x0700),
                branch: Some(Branch { glob: true, domain: 1 << 57, tag: 7, frame_id: 12 }),
                compression: Compression::Deflate,
                ..TrailerFields::default()
            },
            records: 3,
            root: [0xA5; 32],
            bare_bytes: 1000,
            bare_blake3: [1; 32],
            received_bytes: 900,
            received_blake3: [2; 32],
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let with_branch = note();
        let without =
            FrameNote { fields: TrailerFields { branch: None, ..with_branch.fields }, ..with_branch };
        for note in [with_branch, without] {
            assert_eq!(FrameNote::decode(&note.encode()).unwrap(), note);
        }
    }

    #[test]
    fn every_other_text_is_corrupt() {
        let good = note().encode();
        let refused = |bytes: &[u8]| FrameNote::decode(bytes).is_err();
        for end in 0..good.len() {
            assert!(refused(&good[..end]), "cut at {end}");
        }
        let text = String::from_utf8(good.clone()).unwrap();
        for (from, to) in [
            ("records=3", "records=03"),
            ("records=3", "records=-3"),
            ("compression=1", "compression=2"),
            ("branch=1", "branch=2"),
            ("caps=0x00000700", "caps=0x700"),
            ("frame/1", "frame/2"),
        ] {
            assert!(refused(text.replace(from, to).as_bytes()), "{to}");
        }
        assert!(refused(&[&good[..], b" "].concat()));
        assert!(refused(b"\xFF"));
    }
}
