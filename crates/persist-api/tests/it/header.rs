//! The stored header of a beat.

use persist_api::{BeatHeader, BeatNo, CommitNo, Durability, ErrorKind};
use proptest::prelude::*;

use crate::kit::{config, durability};

fn header() -> impl Strategy<Value = BeatHeader> {
    (any::<u64>(), any::<u64>(), any::<u64>(), durability(), any::<Option<[u8; 32]>>()).prop_map(
        |(beat, first_commit, commits, durability, root)| BeatHeader {
            beat: BeatNo(beat),
            first_commit: CommitNo(first_commit),
            commits,
            durability,
            root,
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn decoding_undoes_encoding(header in header()) {
        prop_assert_eq!(BeatHeader::decode(&header.encode()).unwrap(), header);
    }

    #[test]
    fn any_flipped_bit_is_refused(header in header()) {
        let bytes = header.encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = BeatHeader::decode(&changed).is_err_and(|error| error.kind() == ErrorKind::Corrupt);
            prop_assert!(refused, "bit {}", bit);
        }
    }

    #[test]
    fn any_change_inside_one_word_is_refused(header in header(), word in 0..9_usize, mask in 1..=u64::MAX) {
        let mut bytes = header.encode();
        for (byte, change) in bytes[word * 8..].iter_mut().zip(mask.to_le_bytes()) {
            *byte ^= change;
        }
        prop_assert!(BeatHeader::decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(header) = BeatHeader::decode(&bytes) {
            prop_assert_eq!(header.encode().to_vec(), bytes);
        }
    }

    #[test]
    fn the_next_header_follows_and_no_other_number_does(header in header(), commits in 0..1000_u64, other in header()) {
        match header.next(commits, Durability::Durable, None) {
            Ok(next) => {
                prop_assert!(next.check_follows(&header, false).is_ok());
                prop_assert!(next.check_follows(&header, true).is_ok());
                prop_assert_eq!(next.beat.0, header.beat.0 + 1);
                prop_assert_eq!(next.first_commit.0, header.first_commit.0 + header.commits);
                prop_assert!(next.check_follows(&next, false).is_err());
                prop_assert!(next.check_follows(&next, true).is_ok(), "importing repeats numbers");
                prop_assert!(header.check_follows(&next, true).is_err(), "and never goes back");
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Invalid),
        }
        if other.beat.0 != header.beat.0.wrapping_add(1) {
            prop_assert!(other.check_follows(&header, false).is_err_and(|error| error.kind() == ErrorKind::Conflict));
        }
    }
}

#[test]
fn golden_bytes() {
    let header = BeatHeader {
        beat: BeatNo(2),
        first_commit: CommitNo(3),
        commits: 4,
        durability: Durability::Durable,
        root: Some([0xAB; 32]),
    };
    let bytes = header.encode();
    let mut expected = b"PBH1\x02\x01\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0".to_vec();
    expected.extend([0xAB; 32]);
    assert_eq!(&bytes[..64], expected);
    assert_eq!(u64::from_le_bytes(bytes[64..].try_into().unwrap()), check_word(&bytes[..64]));
}

/// As `docs/format.md` says it.
fn check_word(bytes: &[u8]) -> u64 {
    let mut state = u64::from_be_bytes(*b"persist!");
    for word in bytes.chunks(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        state = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    state
}

#[test]
fn numbers_run_out_with_an_error() {
    let last = BeatHeader { beat: BeatNo(u64::MAX), ..BeatHeader::default() };
    assert_eq!(last.next(1, Durability::Durable, None).unwrap_err().kind(), ErrorKind::Invalid);
    let full = BeatHeader { first_commit: CommitNo(u64::MAX), commits: 1, ..BeatHeader::default() };
    assert_eq!(full.next(1, Durability::Durable, None).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(BeatHeader::default().last_commit(), CommitNo(0));
}
