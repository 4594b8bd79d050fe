//! Every single flipped bit and every truncation of a branch: reported, or without any effect. And bytes of no meaning.

use persist_api::Quiet;
use persist_cps::branch::{BranchFinding, BranchLimits, BranchSeverity as S, BranchSurvey};
use persist_frame::Checksum;
use proptest::prelude::*;

use crate::branch_kit::{Dir, load, real, small, survey};

/// Whether the survey of a damaged branch tells the truth: what differs from the intact one is lost and said to be, and
/// nothing is there that was not. Gives its findings.
fn check(damaged: &Dir, intact: &BranchSurvey, what: &str) -> Vec<BranchFinding> {
    let survey = BranchSurvey::read(damaged, BranchLimits::default(), &Quiet).unwrap();
    let told = [S::Note, S::Unchecked, S::Repaired, S::Lost].map(|it| survey.findings.count(it));
    for (key, newest) in &survey.keys {
        let known = intact.keys.get(key).unwrap_or_else(|| panic!("{what}: a key out of nowhere"));
        if newest.blake3 != known.blake3 {
            assert!(survey.stale_keys.contains(key) || !survey.is_complete(), "{what}: silently older");
        }
    }
    for frame in &survey.frames {
        let known = intact.frames.iter().find(|known| known.idx_at == frame.idx_at);
        let known = known.unwrap_or_else(|| panic!("{what}: a frame out of nowhere"));
        assert_eq!((frame.digest, frame.records), (known.digest, known.records), "{what}");
        if (frame.beat, frame.frame_id) != (known.beat, known.frame_id) {
            assert!(told[1] + told[2] > 2, "{what}: other numbers and no word");
        }
    }
    let missing = survey.frames.len() != intact.frames.len() || survey.keys.len() != intact.keys.len();
    let blobs = survey.blobs.iter().all(|blob| intact.blobs.contains(blob));
    assert!(blobs, "{what}: a blob out of nowhere");
    assert!(!missing || !survey.is_complete(), "{what}: silently missing");
    assert!(
        survey.blobs.len() == intact.blobs.len() || !survey.is_complete(),
        "{what}: a blob silently missing"
    );
    survey.findings.kept().to_vec()
}

#[test]
fn every_flipped_bit_of_a_small_branch_is_reported_and_none_changes_an_answer_silently() {
    let mut dir = small(Checksum::Crc32).dir;
    let intact = survey(&dir);
    let quiet = check(&dir, &intact, "intact");
    let names: Vec<String> = dir.keys().cloned().collect();
    let (mut lost, mut unreported) = (0_u32, 0_u32);
    for name in names {
        for bit in 0..dir[&name].len() * 8 {
            dir.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let what = format!("{name} bit {bit}");
            let told = check(&dir, &intact, &what);
            // What repeats what is known from elsewhere is never worth a loss.
            let survey = survey(&dir);
            let same = (&survey.keys, &survey.frames, &survey.blobs);
            // A zlib stream has bits that mean nothing.
            let harmless = same == (&intact.keys, &intact.frames, &intact.blobs) && name.contains("blob");
            assert!(told != quiet || harmless, "{what}: not reported");
            unreported += u32::from(told == quiet);
            lost += u32::from(!survey.is_complete());
            if ["branch.meta", "branch.frames", "branch.ckp", "cas/manifest.bin"].contains(&name.as_str()) {
                assert!(survey.is_complete(), "{what}: {:?}", survey.findings.kept());
                assert_eq!(survey.keys, intact.keys, "{what}");
            }
            dir.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(lost > 100 && unreported < 10, "{lost} {unreported}");
}

#[test]
fn every_truncation_of_a_small_branch_is_reported() {
    let dir = small(Checksum::RawCastagnoli).dir;
    let intact = survey(&dir);
    let quiet = check(&dir, &intact, "intact");
    for name in dir.keys() {
        for len in 0..dir[name].len() {
            let mut cut = dir.clone();
            cut.get_mut(name).unwrap().truncate(len);
            let what = format!("{name} cut to {len}");
            // A checkpoint that ends where one ended before is a whole file.
            let told = check(&cut, &intact, &what);
            assert!(told != quiet || name == "branch.ckp", "{what}: not reported");
        }
    }
}

#[test]
fn sampled_flips_of_the_real_branches() {
    for (known, root) in real() {
        let mut dir = load(&root);
        let intact = survey(&dir);
        let quiet = check(&dir, &intact, "intact");
        let names: Vec<String> = dir.keys().cloned().collect();
        for name in names {
            let bits = dir[&name].len() * 8;
            // Odd, so that every bit of a byte has its turn.
            let step = (bits / 150) | 1;
            for bit in (0..bits).step_by(step) {
                dir.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
                let what = format!("{} {name} bit {bit}", known["name"]);
                let told = check(&dir, &intact, &what);
                assert!(told != quiet || name.contains("blob"), "{what}: not reported");
                dir.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

/// What may be done to a file.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Word(usize, u32),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Double(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (
            any::<usize>(),
            prop_oneof![
                Just(0),
                Just(u32::MAX),
                Just(0x7FFF_FFFF),
                Just(0x5452_4C31),
                Just(0x544F_4331),
                Just(0x434B_5031),
                any::<u32>()
            ]
        )
            .prop_map(|(at, word)| Change::Word(at, word)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Change::Double(from, to)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let len = bytes.len();
    let place = |at: usize| at.checked_rem(len).unwrap_or(0);
    match change {
        Change::Set(at, byte) if len > 0 => bytes[place(*at)] = *byte,
        Change::Word(at, word) if len >= 4 => {
            let at = place(*at).min(len - 4);
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        Change::Cut(at) => bytes.truncate(place(*at)),
        Change::Insert(at, more) => {
            bytes.splice(place(*at)..place(*at), more.iter().copied());
        }
        Change::Double(from, to) => {
            let (from, to) = (place(*from).min(place(*to)), place(*from).max(place(*to)));
            let copy = bytes[from..to].to_vec();
            bytes.extend_from_slice(&copy);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any damage: no panic, an answer, and no value or frame that was never written.
    #[test]
    fn no_damage_invents_anything(changes in prop::collection::vec((0..8_usize, change()), 1..6)) {
        let mut dir = small(Checksum::Crc32).dir;
        let intact = survey(&dir);
        let names: Vec<String> = dir.keys().cloned().collect();
        for (file, change) in &changes {
            apply(dir.get_mut(&names[file % names.len()]).unwrap(), change);
        }
        let survey = BranchSurvey::read(&dir, BranchLimits::default(), &Quiet).unwrap();
        for frame in &survey.frames {
            prop_assert!(intact.frames.iter().any(|known| known.digest == frame.digest));
        }
        for key in survey.keys.keys() {
            prop_assert!(intact.keys.contains_key(key));
        }
        if survey.keys.iter().any(|(key, newest)| intact.keys[key].blake3 != newest.blake3) {
            prop_assert!(!survey.is_complete(), "{:?}", survey.findings.kept());
        }
    }

    /// Bytes of no meaning, whole files of them.
    #[test]
    fn arbitrary_files_give_an_answer(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 6)) {
        let names = ["branch.meta", "branch.idx", "branch.dat", "branch.frames", "branch.ckp", "cas/manifest.bin"];
        let dir: Dir = names.iter().map(|name| (*name).to_owned()).zip(files).collect();
        let survey = BranchSurvey::read(&dir, BranchLimits::default(), &Quiet).unwrap();
        prop_assert_eq!(survey.frames.len(), 0);
    }
}
