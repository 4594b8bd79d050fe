//! Segments that are not this store's, not this history's, or not in their place.

use std::ops::ControlFlow;

use super::*;
use crate::timeline::frame::tests::header_claiming;
use crate::timeline::frame::{BODY_BYTES_MAX, Place};
use crate::timeline::replay::{Found, ReplayFrom, replay};

#[test]
fn segments_of_another_store_are_not_used() {
    let rig = small();
    let mut other = Rig::on(
        TestDisk::default(),
        crate::timeline::GoOn {
            store: STORE + 1,
            greatest_segment: 3,
            ..crate::timeline::GoOn::new_store(STORE)
        },
        Vec::new(),
        persist_api::BeatHeader::default(),
    );
    other.commit(3);
    let mut image = rig.disk.image();
    image.extend(other.disk.image());
    let (again, found) = Rig::reopen(TestDisk::of(&image));
    assert_eq!((found.frames, found.notes.len()), (rig.written.clone(), 1));
    assert!(again.disk.image().contains_key(&Path::new(DIR).join("damaged/branch.idx.00000004")));
    // In the place of one of ours it is damage.
    let foreign = image.remove(&segment(4)).unwrap();
    image.insert(segment(2), foreign);
    let read = read(&TestDisk::of(&image)).unwrap();
    assert_eq!((read.damage.len(), read.damage[0].frames), (1, FrameSpan::new(4, 7)));
    nothing_silent(&rig, &read, &|| "foreign".into());
    // When all are, it is the head that is not ours.
    let foreign = image.remove(&segment(2)).unwrap();
    let image = Image::from([(segment(4), foreign)]);
    let refused = replay(
        &TestDisk::of(&image),
        Path::new(DIR),
        ReplayFrom { store: Some(STORE), ..ReplayFrom::default() },
        &persist_api::Quiet,
        &mut |_| Ok(()),
    );
    assert_eq!(refused.unwrap_err().kind(), persist_api::ErrorKind::Corrupt);
}

#[test]
fn an_old_copy_of_a_segment_and_a_segment_in_the_place_of_another_are_damage() {
    let rig = small();
    rig.write_head(true);
    let image = rig.disk.image();
    for (from, to) in [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)] {
        let mut image = image.clone();
        let bytes = image[&segment(from)].clone();
        image.insert(segment(to), bytes);
        let read = read(&TestDisk::of(&image)).unwrap();
        nothing_silent(&rig, &read, &|| format!("{from} over {to}"));
        assert!(!read.damage.is_empty());
    }
}

#[test]
fn a_segment_of_another_history_breaks_the_chain() {
    let rig = small();
    rig.write_head(true);
    // The same numbers and lengths as frames 5 to 7 have, and other beats.
    let mut fork = Rig::new();
    for n in 0..7_u64 {
        if n == 4 {
            fork.timeline.roll().unwrap();
            fork.header.beat.0 += 1;
        }
        fork.commit(n % 4 + 1);
    }
    for number in [1, 2] {
        let mut image = rig.disk.image();
        let bytes = fork.disk.image()[&segment(number)].clone();
        assert_eq!(bytes.len(), image[&segment(number)].len());
        image.insert(segment(number), bytes);
        let read = read(&TestDisk::of(&image)).unwrap();
        // Up to frame 4 the histories are one.
        assert_eq!(read.damage.len(), usize::from(number == 2), "{:?}", read.damage);
        if let Some(damage) = read.damage.first() {
            assert_eq!((damage.frames, &damage.path), (FrameSpan::new(7, 8), &segment(3)));
            assert_eq!(damage.what, "the frame does not follow from the one before it");
        }
    }
}

#[test]
fn a_header_that_claims_more_than_a_beat_may_have_costs_no_memory() {
    let rig = small();
    let mut image = rig.disk.image();
    let bytes = image.get_mut(&segment(3)).unwrap();
    let place = Place { store: STORE, segment: 3, offset: bytes.len() as u64 };
    bytes.extend(header_claiming(&place, 11, BODY_BYTES_MAX + 1));
    let disk = TestDisk::of(&image);
    // Room for all that it claims.
    disk.make_sparse(BODY_BYTES_MAX * 2);
    let found = std::cell::Cell::new(0);
    // There is no need to wait until all the zeros were looked at.
    let stop = |progress: persist_api::Progress| {
        if progress.done < 8 << 20 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let from = ReplayFrom { store: Some(STORE), after: 7, ..ReplayFrom::default() };
    let stopped = replay(&disk, Path::new(DIR), from, &stop, &mut |item| {
        found.set(found.get() + usize::from(matches!(item, Found::Frame(_))));
        Ok(())
    });
    assert_eq!((stopped.unwrap_err().kind(), found.get()), (persist_api::ErrorKind::Cancelled, 3));
    assert!(disk.longest_read() <= 1 << 20, "{} bytes at a time", disk.longest_read());
}
