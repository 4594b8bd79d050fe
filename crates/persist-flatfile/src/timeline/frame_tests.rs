use proptest::prelude::*;

use super::*;
use crate::payload_ref::PayloadRef;
use crate::timeline::builder::{BUILT_AT, FrameBuilder, Seal};
use crate::timeline::record;

fn sealed(rows: u64) -> (FrameBuilder, Place, u64) {
    let mut builder = FrameBuilder::default();
    for row in 0..rows {
        builder.put(&row.to_be_bytes(), &[row.to_le_bytes()[0]; 13]);
    }
    let place = Place { store: 77, segment: 3, offset: 4096 };
    let header = BeatHeader::default().next(1, persist_api::Durability::Durable, Some([5; 32])).unwrap();
    let payload_end = PayloadEnd { segment: 2, offset: 640 };
    let seal = Seal { frame: 9, durable_through: 8, chain: 0x1234, payload_end, header: &header };
    let digest = builder.seal(&place, &seal).unwrap();
    (builder, place, digest)
}

/// A header that verifies at `place`, of a frame with a body of `body_len` bytes.
pub(crate) fn header_claiming(place: &Place, frame: u64, body_len: u64) -> [u8; FRAME_HEADER] {
    let mut head = [0; FRAME_HEADER];
    head[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    head[8..16].copy_from_slice(&frame.to_le_bytes());
    head[16..24].copy_from_slice(&frame.to_le_bytes());
    head[24..].copy_from_slice(&body_len.to_le_bytes());
    let crc = crc32c_append(place.seed(), &head[8..]);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    head
}

#[test]
fn a_body_is_no_longer_than_that_of_the_largest_beat() {
    let place = Place { store: 77, segment: 3, offset: 4096 };
    let read = |body_len| FrameHead::read(&header_claiming(&place, 9, body_len), place.seed());
    assert_eq!(read(BODY_BYTES_MAX).map(|head| (head.frame, head.body_len)), Some((9, BODY_BYTES_MAX)));
    assert_eq!(read(BODY_BYTES_MAX + 1), None);
    assert_eq!(read(u64::MAX), None);
    // What takes the most bytes for each that counts when a beat is staged.
    let mut builder = FrameBuilder::default();
    builder.put(b"k", b"");
    assert_eq!(builder.body().len() as u64, BODY_BYTES_MAX / BEAT_BYTES_MAX);
    builder.clear();
    builder.put_large(b"k", &PayloadRef { segment: 1, crc: 2, offset: 3, len: 65 });
    assert!(builder.body().len() < 3 * (1 + 65));
    builder.clear();
    builder.delete_range(std::ops::Bound::Included(b"a"), std::ops::Bound::Excluded(b"b"));
    assert!(builder.body().len() < 16);
}

#[test]
fn a_frame_comes_back() {
    for rows in [0, 1, 2, 3, 4, 500] {
        let (builder, place, digest) = sealed(rows);
        let frame = builder.frame();
        assert_eq!(frame.len() as u64, builder.frame_len());
        assert_eq!(frame.len() % 8, 0);
        let head = FrameHead::read(frame, place.seed()).unwrap();
        assert_eq!((head.frame, head.beat, head.len), (9, 1, frame.len() as u64));
        let footer = check_frame(frame, &head, place.seed()).unwrap();
        assert_eq!((footer.ops, footer.durable_through, footer.chain), (rows, 8, 0x1234));
        assert_eq!(footer.payload_end, PayloadEnd { segment: 2, offset: 640 });
        assert_eq!((footer.header.root, footer.digest), (Some([5; 32]), digest));
        assert_eq!(&frame[builder.body_in_frame()], builder.body());
        assert_eq!(record::count(builder.body()), Ok(rows));
        assert!(padding_is_zero(frame, &head));
    }
}

#[test]
fn every_flipped_bit_and_every_other_place_is_noticed() {
    let (builder, place, _) = sealed(3);
    let good = builder.frame().to_vec();
    let verify = |bytes: &[u8], place: Place| {
        let head = FrameHead::read(bytes, place.seed()).ok_or("header")?;
        let footer = check_frame(bytes, &head, place.seed())?;
        if padding_is_zero(bytes, &head) { Ok((head, footer)) } else { Err("padding") }
    };
    verify(&good, place).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        verify(&bad, place).expect_err("a flipped bit was not noticed");
    }
    for cut in 0..good.len() {
        assert!(
            check_frame(&good[..cut], &FrameHead::read(&good, place.seed()).unwrap(), place.seed()).is_err()
                || cut + 8 > good.len()
        );
    }
    for other in
        [Place { store: 78, ..place }, Place { segment: 4, ..place }, Place { offset: 4104, ..place }]
    {
        assert!(FrameHead::read(&good, other.seed()).is_none(), "{other:?}");
    }
}

#[test]
fn a_builder_is_used_again_without_a_trace() {
    let (mut builder, ..) = sealed(100);
    assert!(
        builder
            .seal(
                &Place { store: 0, segment: 0, offset: 0 },
                &Seal {
                    frame: 1,
                    durable_through: 0,
                    chain: 0,
                    payload_end: PayloadEnd::default(),
                    header: &BeatHeader::default(),
                }
            )
            .is_err()
    );
    let taken = builder.frame().to_vec();
    assert_eq!(&builder.take()[BUILT_AT..], taken);
    assert_eq!((builder.ops(), builder.body().len()), (0, 0));
    builder.delete(b"k");
    assert_eq!(builder.body(), [6, b'k']);
    builder.clear();
    assert_eq!(builder.frame_len(), 152);
}

#[test]
fn a_hundred_small_rows_cost_eight_percent_at_most() {
    let mut builder = FrameBuilder::default();
    for row in 0..100_u64 {
        builder.put(&[row.to_le_bytes(); 2].concat(), &[7; 100]);
    }
    assert!(builder.frame_len() * 100 <= 11_600 * 104, "{}", builder.frame_len());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), seed: u32, body_len: u64) {
        prop_assert!(FrameHead::read(&bytes, seed).is_none());
        let head = FrameHead { frame: 1, beat: 1, body_len, len: 0 };
        prop_assert!(check_frame(&bytes, &head, seed).is_err());
        let _ = padding_is_zero(&bytes, &head);
        if let Some(footer) = bytes.first_chunk() {
            prop_assert!(Footer::read(footer, &head, seed).is_err() || u32_at(footer, 112) == Some(seed));
        }
    }
}
