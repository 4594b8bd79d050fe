mod strangers;

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::names::{HEAD, Kind};
use crate::timeline::span::FrameSpan;
use crate::timeline::test_disk::{DIR, Image, TestDisk};
use crate::timeline::test_rig::{Read, Rig, STORE, read, read_after};

fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(Kind::Timeline.name(number))
}

/// Three segments with 4, 3 and 3 durable frames; zeros behind the frames of each.
fn small() -> Rig {
    let mut rig = Rig::new();
    rig.write_head(false);
    for n in 0..10_u64 {
        if n == 4 || n == 7 {
            rig.timeline.roll().unwrap();
        }
        rig.commit(n % 4 + 1);
    }
    rig
}

/// The same, cut down to some zeros behind the frames of each segment, and closed.
fn closed() -> (Rig, Image) {
    let rig = small();
    rig.write_head(true);
    let mut image = rig.disk.image();
    for (path, bytes) in &mut image {
        if !path.ends_with(HEAD) {
            let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
            bytes.resize(used.next_multiple_of(8) + 80, 0);
        }
    }
    (rig, image)
}

/// Nothing is silent: the frames handed out are a subset of what was written, in order, and whatever is missing is
/// reported, with the place.
fn nothing_silent(rig: &Rig, read: &Read, what: &dyn Fn() -> String) {
    let mut expected = rig.written.iter();
    let mut missing = Vec::new();
    for frame in &read.frames {
        loop {
            let next = expected
                .next()
                .unwrap_or_else(|| panic!("{}: a frame that was never written: {frame:?}", what()));
            if next == frame {
                break;
            }
            assert_ne!(next.0, frame.0, "{}: another frame", what());
            missing.push(next.0);
        }
    }
    missing.extend(expected.map(|frame| frame.0));
    let reported = |frame: u64| {
        read.damage.iter().any(|damage| damage.frames.after < frame && frame <= damage.frames.upto)
    };
    for frame in missing {
        assert!(
            reported(frame),
            "{}: frame {frame} is missing, reported: {:?} {:?}",
            what(),
            read.damage,
            read.torn
        );
    }
}

#[test]
fn what_was_written_is_read_and_goes_on() {
    let rig = small();
    let written = rig.written.clone();
    let (mut rig, found) = Rig::reopen(rig.disk.clone());
    assert_eq!(found.frames, written);
    assert!(found.damage.is_empty() && found.torn.is_empty() && found.notes.is_empty(), "{found:?}");
    assert_eq!(found.ended.go_on.current.unwrap().0.segment, 3);
    rig.commit(2);
    rig.timeline.roll().unwrap();
    rig.commit(1);
    let again = read(&rig.disk).unwrap();
    assert_eq!(again.frames, rig.written);
    assert_eq!(again.ended.go_on.last_frame, 12);
    assert!(again.notes.is_empty() && again.ended.payload_end_known);
    let later = read_after(&rig.disk, 7).unwrap();
    assert_eq!(later.frames, rig.written[7..]);
    let superseded: Vec<u32> = later.ended.go_on.superseded.iter().map(|closed| closed.segment).collect();
    assert_eq!(superseded, [1, 2]);
}

#[test]
fn every_flipped_bit_of_a_closed_store_is_reported_or_harmless() {
    let (rig, image) = closed();
    assert!(image.len() == 4 && image.values().map(Vec::len).sum::<usize>() > 8 << 10);
    for (path, bytes) in &image {
        let mut reported = 0;
        for bit in 0..bytes.len() * 8 {
            let mut image = image.clone();
            image.get_mut(path).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let what = || format!("{} bit {bit}", path.display());
            let read = read(&TestDisk::of(&image)).unwrap();
            nothing_silent(&rig, &read, &what);
            for damage in &read.damage {
                assert_eq!(&damage.path, path, "{}", what());
                assert!(
                    damage.offset <= bit as u64 / 8 && bit as u64 / 8 < damage.offset + damage.len,
                    "{}: {damage:?}",
                    what()
                );
            }
            reported +=
                usize::from(!read.damage.is_empty() || !read.torn.is_empty() || !read.notes.is_empty());
        }
        let behind = if path.ends_with(HEAD) { bytes.len() } else { 81 };
        assert!(reported >= (bytes.len() - behind) * 8, "{}: {reported}", path.display());
    }
}

#[test]
fn every_truncation_of_a_closed_store_is_reported_or_harmless() {
    let (rig, image) = closed();
    for (path, bytes) in &image {
        for len in 0..bytes.len() {
            let mut image = image.clone();
            image.get_mut(path).unwrap().truncate(len);
            nothing_silent(&rig, &read(&TestDisk::of(&image)).unwrap(), &|| {
                format!("{} cut to {len}", path.display())
            });
        }
        let mut image = image.clone();
        image.remove(path);
        nothing_silent(&rig, &read(&TestDisk::of(&image)).unwrap(), &|| {
            format!("{} removed", path.display())
        });
    }
}

#[test]
fn a_missing_segment_is_named() {
    let rig = small();
    rig.write_head(true);
    for (number, frames) in [(1, FrameSpan::new(0, 4)), (2, FrameSpan::new(4, 7)), (3, FrameSpan::new(7, 10))]
    {
        let mut image = rig.disk.image();
        image.remove(&segment(number));
        let read = read(&TestDisk::of(&image)).unwrap();
        assert_eq!(read.damage.len(), 1);
        assert_eq!(read.damage[0].frames, frames);
        if number < 3 {
            assert_eq!(
                (&read.damage[0].path, read.damage[0].what),
                (&segment(number), "the segment is missing")
            );
        }
        assert_eq!(read.ended.go_on.last_frame, 10, "numbers are not used again");
        assert_eq!(read.ended.payload_end_known, number < 3);
    }
}

#[test]
fn damage_is_reported_again_by_the_next_replay_until_runs_hold_the_frames() {
    let (rig, mut image) = closed();
    let written = rig.written.clone();
    image.get_mut(&segment(3)).unwrap()[100] ^= 1;
    image.remove(&Path::new(DIR).join(HEAD));
    let disk = TestDisk::of(&image);
    // Frames 8 and 9: the newest that later frames still vouch for is 9.
    let (mut rig, found) = Rig::reopen(disk);
    assert_eq!(found.damage[0].frames, FrameSpan::new(7, 8));
    assert_eq!(found.frames.len(), 9);
    rig.commit(1);
    rig.timeline.roll().unwrap();
    rig.commit(1);
    let again = read(&rig.disk).unwrap();
    assert_eq!((again.damage.len(), &again.damage[0].frames), (1, &FrameSpan::new(7, 8)));
    assert_eq!(again.frames.len(), 11);
    assert_eq!(again.frames[..7], written[..7]);
    assert_eq!(read_after(&rig.disk, 8).unwrap().damage, []);
    let _ = rig.timeline.retire(10, false).unwrap();
    let image = rig.disk.image();
    assert!(
        !image.contains_key(&segment(3))
            && image.contains_key(&Path::new(DIR).join("damaged/branch.idx.00000003"))
    );
}

#[test]
fn damage_at_the_end_is_known_from_the_head_and_stays_known() {
    let (_, mut image) = closed();
    let bytes = image.get_mut(&segment(3)).unwrap();
    let last = bytes.len() - 80 - 20;
    bytes[last] ^= 4;
    let (mut rig, found) = Rig::reopen(TestDisk::of(&image));
    assert_eq!(found.damage[0].frames, FrameSpan::new(9, 10));
    assert_eq!((found.damage[0].path.clone(), found.torn.len()), (segment(3), 0));
    rig.commit(1);
    assert_eq!(rig.written.last().unwrap().0, 11);
    image = rig.disk.image();
    image.remove(&Path::new(DIR).join(HEAD));
    let again = read(&TestDisk::of(&image)).unwrap();
    assert_eq!(again.damage[0].frames, FrameSpan::new(9, 10));
    assert_eq!(again.damage[0].path, segment(3));
    assert_eq!(again.frames.len(), 10);
}

#[test]
fn a_torn_tail_is_moved_aside_and_the_next_segment_says_where_the_old_one_ends() {
    let mut rig = small();
    let before = rig.disk.image();
    rig.append(3).unwrap();
    rig.append(2).unwrap();
    let mut image = rig.disk.image();
    let used = before[&segment(3)].len();
    // Frame 11 is hit, frame 12 is whole: neither was synced.
    image.get_mut(&segment(3)).unwrap()[used + 50] ^= 1;
    let (mut again, found) = Rig::reopen(TestDisk::of(&image));
    assert_eq!(found.frames, rig.written[..10]);
    let torn = &found.torn[0];
    assert_eq!((&torn.path, torn.offset, torn.frame, torn.frames), (&segment(3), used as u64, 11, 1));
    assert_eq!(torn.len, (image[&segment(3)].len() - used) as u64);
    let aside = Path::new(DIR).join(format!("damaged/branch.idx.00000003.from-{used}"));
    assert_eq!(again.disk.image()[&aside], image[&segment(3)][used..]);
    assert_eq!(again.disk.image()[&segment(3)], image[&segment(3)], "the old file is as it was");
    again.commit(1);
    assert_eq!(again.written.last().unwrap().0, 11);
    let third = read(&again.disk).unwrap();
    assert_eq!(third.frames, again.written);
    assert!(third.torn.is_empty() && third.notes.is_empty() && third.damage.is_empty(), "{third:?}");
    // Without the header that says so, the head still knows where the old segment ends.
    again.write_head(false);
    let mut image = again.disk.image();
    image.get_mut(&segment(4)).unwrap()[..64].fill(0xee);
    let fourth = read(&TestDisk::of(&image)).unwrap();
    assert_eq!(fourth.frames, again.written);
    assert_eq!(fourth.notes.len(), 1);
}

#[test]
fn damage_may_be_followed_by_a_torn_tail() {
    let mut rig = Rig::new();
    for n in 0..8_u64 {
        if n == 4 || n == 7 {
            rig.timeline.roll().unwrap();
        }
        rig.commit(1);
    }
    rig.write_head(false);
    rig.append(1).unwrap();
    rig.append(1).unwrap();
    // Frame 8 was durable; 9 and 10 were not, of them 10 got to the disk.
    let mut image = rig.disk.image();
    image.get_mut(&segment(3)).unwrap()[100..300].fill(7);
    let (mut again, found) = Rig::reopen(TestDisk::of(&image));
    assert_eq!(found.frames, rig.written[..7]);
    assert_eq!((found.damage.len(), found.damage[0].frames), (1, FrameSpan::new(7, 8)));
    assert_eq!((found.torn.len(), found.torn[0].frame, found.torn[0].frames), (1, 9, 1));
    again.commit(1);
    assert_eq!(again.written.last().unwrap().0, 9);
    let third = read(&again.disk).unwrap();
    assert_eq!((third.frames, third.torn.len()), (again.written, 0));
    assert_eq!((third.damage.len(), third.damage[0].frames), (1, FrameSpan::new(7, 8)));
}

#[test]
fn garbage_behind_the_end_is_moved_aside_and_zeros_are_not() {
    for (garbage, torn) in [(0, 0), (0x5a, 1)] {
        let rig = small();
        let mut image = rig.disk.image();
        let bytes = image.get_mut(&segment(3)).unwrap();
        bytes.extend([0; 100]);
        bytes.extend([garbage; 3]);
        bytes.extend([0; 100]);
        let read = read(&TestDisk::of(&image)).unwrap();
        assert_eq!((read.frames, read.torn.len()), (rig.written.clone(), torn));
        if let Some(torn) = read.torn.first() {
            assert_eq!((torn.len, torn.frames), (103, 0));
            assert_eq!(read.ended.go_on.current, None);
        }
    }
}

#[test]
fn only_a_head_of_a_closed_store_saves_the_look_behind_the_end() {
    let mut rig = small();
    for clean in [false, true] {
        rig.write_head(clean);
        let head = crate::timeline::head::read_head(&rig.disk, Path::new(DIR)).unwrap();
        assert_eq!(head.head.unwrap().durable_frame, 10);
    }
    rig.write_head(false);
    let used = rig.disk.image()[&segment(3)].len();
    rig.append(2).unwrap();
    rig.append(2).unwrap();
    let mut image = rig.disk.image();
    image.get_mut(&segment(3)).unwrap()[used..used + 100].fill(0);
    let read = read(&TestDisk::of(&image)).unwrap();
    assert_eq!((read.frames.len(), read.torn.len(), read.torn[0].frames), (10, 1, 1));
    assert_eq!(read.ended.go_on.current, None);
}

#[test]
fn frames_that_runs_hold_may_be_damaged() {
    let (rig, image) = closed();
    for at in (0..image[&segment(1)].len()).step_by(7) {
        let mut image = image.clone();
        image.get_mut(&segment(1)).unwrap()[at] ^= 0x10;
        let read = read_after(&TestDisk::of(&image), 4).unwrap();
        assert_eq!(
            (&read.frames[..], read.damage.len(), read.torn.len()),
            (&rig.written[4..], 0, 0),
            "byte {at}"
        );
        let read = read_after(&TestDisk::of(&image), 3).unwrap();
        nothing_silent(&rig_from(&rig, 3), &read, &|| format!("byte {at}"));
    }
}

fn rig_from(rig: &Rig, after: usize) -> Rig {
    let mut later = Rig::new();
    later.written = rig.written[after..].to_vec();
    later
}

#[test]
fn frames_larger_than_the_buffer_come_back() {
    let mut rig = Rig::new();
    for rows in [1, 60_000, 2, 20_000] {
        rig.commit(rows);
    }
    assert_eq!(read(&rig.disk).unwrap().frames, rig.written);
    let mut image = rig.disk.image();
    image.get_mut(&segment(1)).unwrap()[1_000_000] ^= 1;
    let read = read(&TestDisk::of(&image)).unwrap();
    assert_eq!((read.frames.len(), read.damage[0].frames), (3, FrameSpan::new(1, 2)));
}

#[test]
fn an_observer_sees_progress_and_stops_the_replay() {
    let rig = small();
    let steps = std::cell::Cell::new(0);
    let count = |progress: persist_api::Progress| {
        steps.set(steps.get() + 1);
        assert!(Some(progress.done) <= progress.total);
        std::ops::ControlFlow::Continue(())
    };
    let from = super::ReplayFrom { store: Some(STORE), ..super::ReplayFrom::default() };
    super::replay(&rig.disk, Path::new(DIR), from, &count, &mut |_| Ok(())).unwrap();
    assert!(steps.get() >= 3);
    let stop = |_: persist_api::Progress| std::ops::ControlFlow::Break(());
    let stopped = super::replay(&rig.disk, Path::new(DIR), from, &stop, &mut |_| Ok(())).unwrap_err();
    assert_eq!(stopped.kind(), persist_api::ErrorKind::Cancelled);
}

#[test]
fn bytes_without_any_header_are_refused_and_a_newer_format_too() {
    let image = Image::from([(segment(1), vec![1; 200])]);
    let from = super::ReplayFrom::default();
    let refused =
        super::replay(&TestDisk::of(&image), Path::new(DIR), from, &persist_api::Quiet, &mut |_| Ok(()));
    assert_eq!(refused.unwrap_err().kind(), persist_api::ErrorKind::Corrupt);
    let mut image = small().disk.image();
    let bytes = image.get_mut(&segment(2)).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[8..64]).to_le_bytes();
    bytes[4..8].copy_from_slice(&crc);
    assert_eq!(read(&TestDisk::of(&image)).unwrap_err().kind(), persist_api::ErrorKind::Mismatch);
}

proptest! {
    #[test]
    fn arbitrary_segments_never_panic(
        files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4),
        cuts in proptest::collection::vec((0..3_u32, 0..2000_usize, any::<u8>()), 0..6),
        head: bool,
    ) {
        let rig = small();
        if head {
            rig.write_head(true);
        }
        let mut image = rig.disk.image();
        for (number, at, byte) in cuts {
            let bytes = image.get_mut(&segment(number + 1)).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        for (n, bytes) in files.into_iter().enumerate() {
            image.insert(segment(u32::try_from(n).unwrap() + 3), bytes);
        }
        let read = read(&TestDisk::of(&image)).unwrap();
        if head {
            nothing_silent(&rig, &read, &|| "arbitrary".into());
        }
        prop_assert!(read.frames.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
