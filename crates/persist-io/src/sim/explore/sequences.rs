//! Every short sequence of some operations.

/// All sequences of 1 to `longest` letters, short ones first. Twelve letters and a longest of 3 make 1,884.
pub fn sequences<L: Clone>(alphabet: &[L], longest: u32) -> impl Iterator<Item = Vec<L>> + '_ {
    let letters = alphabet.len() as u64;
    (1..=longest).flat_map(move |len| {
        (0..letters.saturating_pow(len)).map(move |mut number| {
            let mut letter = || {
                let place = number.checked_rem(letters).unwrap_or(0);
                number = number.checked_div(letters).unwrap_or(0);
                alphabet.get(usize::try_from(place).unwrap_or(usize::MAX)).cloned()
            };
            (0..len).filter_map(|_| letter()).collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_as_many_as_there_should_be() {
        let all: Vec<_> = sequences(&[0; 12].map(|_| ()), 3).collect();
        assert_eq!(all.len(), 1_884);
        let letters: Vec<u32> = (0..5).collect();
        let all: BTreeSet<_> = sequences(&letters, 3).collect();
        assert_eq!(all.len(), 5 + 25 + 125);
        assert_eq!(sequences::<u32>(&[], 3).count(), 0);
    }
}
