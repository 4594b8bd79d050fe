//! The names of the files of a home.

use std::ffi::OsStr;

/// Head slots: a hint of what was durable.
pub(crate) const HEAD: &str = "branch.meta";
/// Where recovery puts what it moves aside.
pub(crate) const DAMAGED: &str = "damaged";
/// Ending of a file that is being written.
pub(crate) const UNFINISHED: &str = ".new";

/// A numbered file of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Timeline segment: `branch.idx.<number>`.
    Timeline,
    /// Payload segment: `branch.dat.<number>`.
    Payload,
    /// Sorted run: `branch.ckp.<number>`.
    Run,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Timeline, Self::Payload, Self::Run];

    const fn stem(self) -> &'static str {
        match self {
            Self::Timeline => "branch.idx.",
            Self::Payload => "branch.dat.",
            Self::Run => "branch.ckp.",
        }
    }

    /// The name of file `number`.
    pub(crate) fn name(self, number: u32) -> String {
        format!("{}{number:08}", self.stem())
    }
}

/// The kind and number that a name says; `None` for any other name.
pub(crate) fn parse(name: &OsStr) -> Option<(Kind, u32)> {
    let name = name.to_str()?;
    let (kind, digits) =
        Kind::ALL.into_iter().find_map(|kind| Some((kind, name.strip_prefix(kind.stem())?)))?;
    let number = digits.parse().ok()?;
    (kind.name(number) == name).then_some((kind, number))
}

/// What the name of a timeline segment begins with whose frames are all in runs and which the feed still needs.
const KEPT: &str = "branch.old.";

/// The name of such a segment: `branch.old.<number>.<end>`, where `end` is where its frames end.
pub(crate) fn kept_name(number: u32, end: u64) -> String {
    format!("{KEPT}{number:08}.{end}")
}

/// The number and the end in the name of a kept segment; `None` for any other name.
pub(crate) fn parse_kept(name: &OsStr) -> Option<(u32, u64)> {
    let name = name.to_str()?;
    let (number, end) = name.strip_prefix(KEPT)?.split_once('.')?;
    let (number, end) = (number.parse().ok()?, end.parse().ok()?);
    (kept_name(number, end) == name).then_some((number, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_of_a_name_is_ours() {
        for kind in Kind::ALL {
            for number in [0, 7, 12_345_678, 123_456_789, u32::MAX] {
                assert_eq!(parse(kind.name(number).as_ref()), Some((kind, number)));
            }
        }
        for (number, end) in [(0, 0), (7, 64), (u32::MAX, u64::MAX)] {
            assert_eq!(parse_kept(kept_name(number, end).as_ref()), Some((number, end)));
        }
        for other in
            ["branch.old.1.64", "branch.old.00000001", "branch.old.00000001.", "branch.old.00000001.064"]
        {
            assert_eq!(parse_kept(other.as_ref()), None, "{other}");
        }
        for other in [
            "branch.idx",
            "branch.idx.1",
            "branch.idx.+0000001",
            "branch.meta",
            "branch.idx.00000001.new",
            "",
        ] {
            assert_eq!(parse(other.as_ref()), None, "{other}");
        }
    }
}
