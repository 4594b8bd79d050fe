//! What the demo stores: three frames that another program wrote, and generated records.

/// Real frames, with their names. They are in the binary, so that an installed one has them. `frames` is a link to the fixtures,
/// which a package of this crate resolves.
pub(super) const FRAMES: [(&str, &[u8]); 3] = [
    ("payload_ref_inline.frame", include_bytes!("../../../frames/payload_ref_inline.frame")),
    ("payload_ref_cas_plain.frame", include_bytes!("../../../frames/payload_ref_cas_plain.frame")),
    ("payload_ref_cas_deflate.frame", include_bytes!("../../../frames/payload_ref_cas_deflate.frame")),
];

/// Where generated records lie.
pub(super) const PREFIX: &[u8] = b"demo/";

/// Key of a generated record.
pub(super) fn key(number: u64) -> Vec<u8> {
    format!("demo/{number:010}").into_bytes()
}

/// Value of a generated record: 16 to 271 bytes that follow from its number and the run, half of them text.
pub(super) fn value(number: u64, run: u64) -> Vec<u8> {
    let mut state = mix(number ^ run.rotate_left(32));
    let len = 16 + usize::from(state.to_le_bytes()[0]);
    let mut value = format!("record {number} of run {run} ").into_bytes();
    while value.len() < len {
        state = mix(state);
        if number.is_multiple_of(2) {
            value.extend_from_slice(format!("{state:016x}").as_bytes());
        } else {
            value.extend_from_slice(&state.to_le_bytes());
        }
    }
    value.truncate(len);
    value
}

/// One step of SplitMix64.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_from_number_and_run_and_keys_sort_by_number() {
        assert_eq!(value(7, 1), value(7, 1));
        assert_ne!(value(7, 1), value(7, 2));
        assert_ne!(value(7, 1), value(8, 1));
        assert!((0..1000).all(|number| (16..=271).contains(&value(number, 3).len())));
        assert!(key(9) < key(10) && key(999) < key(1000));
        assert!(key(0).starts_with(PREFIX));
    }
}
