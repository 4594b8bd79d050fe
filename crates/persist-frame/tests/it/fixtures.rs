//! The three upstream fixtures, made by our own writer byte for byte.
//!
//! With `CEP_UPDATE_PAYLOAD_REF_FIXTURES` set to anything, the files are written anew before they are compared.

use std::path::Path;

use persist_frame::aead::AeadMode;
use persist_frame::body::{CellDesc, PayloadCodec, PayloadRef, RefKind};
use persist_frame::cas::deflate_blob;
use persist_frame::{FrameWriter, NewRecord, RecordKind, TrailerFields};

use crate::manifest::root;

struct Fixture {
    name: &'static str,
    key: [u8; 2],
    payload: Vec<u8>,
    kind: RefKind,
    codec: PayloadCodec,
    aead_mode: AeadMode,
}

fn fixtures() -> [Fixture; 3] {
    let cas = |name, key, payload, codec| Fixture {
        name,
        key,
        payload,
        kind: RefKind::Cas,
        codec,
        aead_mode: AeadMode::XChaCha20Poly1305,
    };
    [
        Fixture {
            name: "payload_ref_inline",
            key: [0x11, 0x01],
            payload: b"inline-payload-fixture-01".to_vec(),
            kind: RefKind::Inline,
            codec: PayloadCodec::None,
            aead_mode: AeadMode::None,
        },
        cas("payload_ref_cas_plain", [0x22, 0x01], (0x10..0x50).collect(), PayloadCodec::None),
        cas("payload_ref_cas_deflate", [0x23, 0x02], deflate_payload(), PayloadCodec::Deflate),
    ]
}

fn deflate_payload() -> Vec<u8> {
    (b'A'..=b'F').flat_map(|letter| [b"CAS-DEFLATE-01-", &[letter][..]].concat()).collect()
}

impl Fixture {
    fn frame(&self) -> Vec<u8> {
        let hash = blake3::hash(&self.payload);
        let description = CellDesc {
            revision: hash.as_bytes()[..16].try_into().unwrap(),
            inline: if self.kind == RefKind::Inline { &self.payload } else { &[] },
            payload_ref: Some(PayloadRef {
                kind: self.kind,
                codec: self.codec,
                aead_mode: self.aead_mode,
                payload_size: self.payload.len() as u64,
                hash: hash.as_bytes(),
            }),
            ..CellDesc::default()
        };
        let mut writer = FrameWriter::new(TrailerFields { beat: 1, ..TrailerFields::default() });
        writer.push(NewRecord::new(RecordKind::CELL_DESC, &self.key, &description.encode())).unwrap();
        writer.derive_caps();
        writer.finish().unwrap()
    }

    fn blob(&self) -> Option<Vec<u8>> {
        match (self.kind, self.codec) {
            (RefKind::Inline, _) => None,
            (RefKind::Cas, PayloadCodec::None) => Some(self.payload.clone()),
            (RefKind::Cas, PayloadCodec::Deflate) => Some(deflate_blob(&self.payload).unwrap()),
        }
    }
}

#[test]
fn our_writer_makes_the_upstream_fixtures() {
    let update = std::env::var_os("CEP_UPDATE_PAYLOAD_REF_FIXTURES").is_some_and(|value| !value.is_empty());
    for fixture in fixtures() {
        compare(&root().join(format!("frames/{}.frame", fixture.name)), &fixture.frame(), update);
        if let Some(blob) = fixture.blob() {
            compare(&root().join(format!("cas/{}.blob", fixture.name)), &blob, update);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test writes its fixtures when it is asked to")]
fn compare(path: &Path, bytes: &[u8], update: bool) {
    if update {
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(std::fs::read(path).unwrap(), bytes, "{}", path.display());
}
