use persist_io::sim::{Code, Crash, Fault, Forgot, SimDisk, When};
use persist_io::{RealDisk, create_dir_durably};

use super::*;

fn head(frame: u64) -> Head {
    Head {
        store: 77,
        durable_frame: frame,
        durable_beat: frame + 1,
        durable_commit: 7 * frame,
        floor: 3,
        clean: frame.is_multiple_of(2),
        payload_end: PayloadEnd { segment: 2, offset: 99 },
        oldest_segment: 4,
        runs: vec![
            LiveRun { number: 1, span: FrameSpan::new(0, 5) },
            LiveRun { number: 9, span: FrameSpan::new(5, 8) },
        ],
        ends: vec![SegmentEnd { segment: 3, end: 640 }],
    }
}

#[test]
fn slots_alternate_and_the_newest_counts() {
    let dir = tempfile::tempdir().unwrap();
    let found = read_head(&RealDisk, dir.path()).unwrap();
    assert!(found.missing && found.head.is_none());
    let mut writer = HeadWriter::open(&RealDisk, dir.path(), &found).unwrap();
    writer.write_both(&head(1)).unwrap();
    for frame in 2..7 {
        writer.write(&head(frame)).unwrap();
        let found = read_head(&RealDisk, dir.path()).unwrap();
        assert_eq!((found.head, found.damaged), (Some(head(frame)), vec![]));
    }
    let found = read_head(&RealDisk, dir.path()).unwrap();
    let mut writer = HeadWriter::open(&RealDisk, dir.path(), &found).unwrap();
    writer.write(&head(9)).unwrap();
    assert_eq!(read_head(&RealDisk, dir.path()).unwrap().head, Some(head(9)));
}

/// The first process could not sync its last head, the second sees it all the same, and the power is cut while that writes its own.
#[test]
fn a_head_that_a_failed_sync_left_is_made_durable_before_the_other_is_written_over() {
    let failed = Fault::Error { code: Code::Io, applied: false };
    for (left_by, stopped_at) in [failed, Fault::SyncForgets(Forgot::All)]
        .into_iter()
        .flat_map(|left_by| (1..=4).map(move |stopped_at| (left_by, stopped_at)))
    {
        let (sim, dir) = (SimDisk::new(1), Path::new("/home"));
        create_dir_durably(&sim, dir).unwrap();
        let mut writer = HeadWriter::open(&sim, dir, &read_head(&sim, dir).unwrap()).unwrap();
        writer.write_both(&head(1)).unwrap();
        sim.plan(When::At(sim.operations() + 2), left_by);
        writer.write(&head(2)).unwrap_err();
        sim.unplan();
        let found = read_head(&sim, dir).unwrap();
        assert_eq!(found.head, Some(head(2)));
        let mut writer = HeadWriter::open(&sim, dir, &found).unwrap();
        sim.plan(When::At(sim.operations() + stopped_at), failed);
        let _ = writer.write(&head(3));
        for seed in 0..300 {
            let after = sim.crash_image(&Crash::Random(seed));
            let head = read_head(&after, dir).unwrap().head;
            assert!(head.is_some(), "no head is left: {left_by:?}, stopped at {stopped_at}, seed {seed}");
        }
    }
}

#[test]
fn a_head_outlives_a_power_cut_and_both_slots_say_what_was_written_to_both() {
    let (sim, dir) = (SimDisk::new(1), Path::new("/home"));
    create_dir_durably(&sim, dir).unwrap();
    let found = read_head(&sim, dir).unwrap();
    let mut writer = HeadWriter::open(&sim, dir, &found).unwrap();
    writer.write_both(&head(1)).unwrap();
    writer.write(&head(2)).unwrap();
    let after = sim.crash_image(&Crash::Nothing);
    assert_eq!(read_head(&after, dir).unwrap().head, Some(head(2)));
    writer.write_both(&head(3)).unwrap();
    for slot in [0, SLOT_BYTES] {
        let after = sim.crash_image(&Crash::Nothing);
        assert!(after.flip(dir.join(HEAD), 8 * (slot + 40)));
        let found = read_head(&after, dir).unwrap();
        assert_eq!((found.head, found.damaged), (Some(head(3)), vec![slot]));
    }
}

#[test]
fn more_runs_than_fit_leave_the_newest() {
    let mut many = head(1);
    many.runs =
        (0..1000).map(|n| LiveRun { number: n, span: FrameSpan::new(n.into(), (n + 1).into()) }).collect();
    many.ends = (0..1000).map(|n| SegmentEnd { segment: n, end: 64 }).collect();
    let slot = many.encode(5);
    assert_eq!(slot.len(), SLOT);
    let (_, read) = Head::decode(&slot).unwrap().unwrap();
    assert_eq!(read.runs, many.runs[1000 - HEAD_RUNS_MAX..]);
    assert_eq!(read.ends, many.ends[1000 - HEAD_ENDS_MAX..]);
    assert_eq!(read.durable_commit, many.durable_commit);
}

#[test]
fn every_flipped_bit_of_a_slot_is_noticed_and_any_length_is_ordinary() {
    let slot = head(1).encode(3);
    for bit in 0..slot.len() * 8 {
        let mut bad = slot.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Head::decode(&bad), None, "bit {bit}");
    }
    for cut in 0..slot.len() {
        assert_eq!(Head::decode(&slot[..cut]), None);
    }
    let mut newer = slot;
    newer[24] = 2;
    let crc = crc32c(&newer[8..]);
    newer[4..8].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Head::decode(&newer), Some(Err(2)));
}
