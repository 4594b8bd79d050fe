//! The name that somebody meant who wrote a wrong one.

/// Longest name that is compared.
const BYTES_MAX: usize = 64;

/// The one of `known` that `name` is most likely to be a slip of: at most one wrong letter in three, where two that
/// changed places are one. The first of equals. `None` when nothing is near.
///
/// ```
/// use persist_api::nearest;
/// assert_eq!(nearest("durabilty", ["path", "durability"]), Some("durability"));
/// assert_eq!(nearest("colour", ["path", "durability"]), None);
/// ```
#[must_use]
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = |text: &str| text.to_lowercase().replace('-', "_").into_bytes();
    let wrong = lower(name);
    if wrong.len() > BYTES_MAX {
        return None;
    }
    let near = known.into_iter().filter(|known| known.len() <= BYTES_MAX).filter_map(|known| {
        let right = lower(known);
        let slips = slips(&wrong, &right);
        (slips <= wrong.len().max(right.len()) / 3).then_some((slips, known))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, known)| known)
}

/// The least number of letters to add, leave out, replace or exchange with a neighbour that makes one of the other.
fn slips(wrong: &[u8], right: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (row, letter) in (1..).zip(wrong) {
        let mut here = vec![row];
        let mut left = None;
        for (column, other) in right.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&above, column).saturating_add(usize::from(letter != other));
            let added = at(&here, column).saturating_add(1);
            let left_out = at(&above, column.saturating_add(1)).saturating_add(1);
            let mut least = replaced.min(added).min(left_out);
            if left == Some(letter) && last == Some(other) {
                least = least.min(at(&before, column.saturating_sub(1)).saturating_add(1));
            }
            here.push(least);
            left = Some(other);
        }
        before = std::mem::replace(&mut above, here);
        last = Some(letter);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (wrong, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("path", "path", 0),
            ("pth", "path", 1),
            ("patth", "path", 1),
            ("path", "bath", 1),
            ("ptah", "path", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(slips(wrong.as_bytes(), right.as_bytes()), expected, "{wrong} {right}");
        }
    }

    #[test]
    fn only_what_is_near_is_named() {
        let known = ["path", "engine", "close_wait", "open_wait"];
        for (wrong, right) in [
            ("pth", Some("path")),
            ("Engine", Some("engine")),
            ("close-wait", Some("close_wait")),
            ("opne_wait", Some("open_wait")),
            ("ab", None),
            ("", None),
            ("knobs", None),
        ] {
            assert_eq!(nearest(wrong, known), right, "{wrong}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
        assert_eq!(nearest("path", []), None);
    }
}
