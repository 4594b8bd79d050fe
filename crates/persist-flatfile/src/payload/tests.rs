use persist_api::ErrorKind;

use super::*;
use crate::timeline::PayloadEnd;
use crate::timeline::test_disk::{DIR, Done, TestDisk};

const STORE: u64 = 5;

fn writer(disk: &TestDisk, end: Option<PayloadEnd>) -> PayloadWriter {
    let files = Payloads::open(disk, Path::new(DIR)).unwrap();
    PayloadWriter::resume(Arc::new(disk.clone()), Path::new(DIR), STORE, &files, end, 1000).unwrap()
}

fn value(n: u8) -> Vec<u8> {
    (0..100 + n).map(|byte| byte ^ n).collect()
}

fn path(number: u32) -> PathBuf {
    Path::new(DIR).join(Kind::Payload.name(number))
}

#[test]
fn values_come_back_from_segments_that_roll() {
    let disk = TestDisk::default();
    let mut writer = writer(&disk, None);
    let mut places: Vec<_> = (0..20).map(|n| (writer.stage(&value(n)).unwrap(), value(n))).collect();
    let huge = vec![9; 5000];
    places.push((writer.stage(&huge).unwrap(), huge));
    places.push((writer.stage(b"").unwrap(), Vec::new()));
    writer.sync().unwrap();
    writer.keep();
    let files = Payloads::open(&disk, Path::new(DIR)).unwrap();
    let own = places[20].0.segment;
    assert_eq!(
        places.iter().filter(|(place, _)| place.segment == own).count(),
        1,
        "a huge value has its own segment"
    );
    for (place, value) in &places {
        assert_eq!(place.offset % 8, 0);
        assert_eq!(&*files.read(place).unwrap(), value);
    }
    for file in files.iter() {
        file.check_header(STORE).unwrap();
        assert_eq!(file.check_header(6).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(file.number() == own || file.len().unwrap() <= 1000);
    }
    let older = files.without(&[1]);
    assert_eq!(older.read(&places[0].0).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(
        files.read(&places[0].0).is_ok()
            && older.with(files.get(1).unwrap().clone()).read(&places[0].0).is_ok()
    );
}

#[test]
fn a_value_costs_one_write_and_a_beat_one_sync() {
    let disk = TestDisk::default();
    let mut writer = writer(&disk, None);
    writer.stage(&value(0)).unwrap();
    writer.sync().unwrap();
    writer.keep();
    disk.take_done();
    writer.stage(&value(1)).unwrap();
    writer.stage(&value(2)).unwrap();
    writer.sync().unwrap();
    writer.keep();
    assert_eq!(writer.begun().count(), 0);
    let done = disk.take_done();
    assert!(matches!(&done[..], [Done::Write(..), Done::Write(..), Done::Sync(_)]), "{done:?}");
    writer.sync().unwrap();
    assert_eq!(disk.take_done(), []);
    // A segment that a beat begins has its name synced before anything can refer to it, and both files are synced.
    for n in 0..9 {
        writer.stage(&value(n)).unwrap();
    }
    assert_eq!(writer.begun().count(), 1);
    writer.sync().unwrap();
    let done = disk.take_done();
    assert_eq!(done.iter().filter(|done| matches!(done, Done::SyncDir(_))).count(), 1);
    assert_eq!(done[done.len() - 2..], [Done::Sync(path(1)), Done::Sync(path(2))]);
}

#[test]
fn an_aborted_beat_leaves_only_bytes_that_are_written_over() {
    let disk = TestDisk::default();
    let mut writer = writer(&disk, None);
    let first = writer.stage(&value(0)).unwrap();
    writer.sync().unwrap();
    writer.keep();
    let end = writer.end();
    for n in 0..40 {
        writer.stage(&value(n)).unwrap();
    }
    writer.abort().unwrap();
    assert_eq!(writer.end(), end);
    assert_eq!(disk.image().len(), 1, "segments of the beat are gone");
    let second = writer.stage(&value(9)).unwrap();
    writer.sync().unwrap();
    assert_eq!((second.segment, second.offset), (1, end.offset.next_multiple_of(8)));
    let files = Payloads::open(&disk, Path::new(DIR)).unwrap();
    assert_eq!(
        (&*files.read(&first).unwrap(), &*files.read(&second).unwrap()),
        (&value(0)[..], &value(9)[..])
    );
}

#[test]
fn it_goes_on_where_the_newest_frame_says_and_elsewhere_when_nobody_knows() {
    let disk = TestDisk::default();
    let mut first = writer(&disk, None);
    let place = first.stage(&value(0)).unwrap();
    first.sync().unwrap();
    first.keep();
    let end = first.end();
    let mut known = writer(&disk, Some(end));
    assert_eq!(known.stage(&value(1)).unwrap().offset, end.offset.next_multiple_of(8));
    let mut unknown = writer(&disk, None);
    assert_eq!(unknown.stage(&value(2)).unwrap().segment, 2);
    let mut gone = writer(&disk, Some(PayloadEnd { segment: 7, offset: 64 }));
    assert_eq!(gone.stage(&value(2)).unwrap().segment, 8);
    assert!(Payloads::open(&disk, Path::new(DIR)).unwrap().read(&place).is_ok());
}

#[test]
fn payloads_never_end_before_where_they_ended() {
    let disk = TestDisk::default();
    let mut first = writer(&disk, None);
    first.stage(&value(0)).unwrap();
    first.keep();
    let end = first.end();
    // A compaction begins: what comes next goes elsewhere, also when a beat was aborted in between.
    assert_eq!(first.roll(), 2);
    assert_eq!(first.end(), end);
    assert_eq!(first.stage(&value(1)).unwrap().segment, 2);
    first.abort().unwrap();
    assert_eq!(first.end(), end);
    assert_eq!(first.stage(&value(2)).unwrap().segment, 3);
    first.keep();
    assert!(first.end() > end);
    // Where nobody knows the end, it is that of the last file.
    let unknown = writer(&disk, None);
    assert_eq!(unknown.end(), first.end());
    // Nor do they when their segment is gone, also where a beat is aborted or a compaction begins; and none that is written later
    // gets to lie before that end.
    let gone = PayloadEnd { segment: 7, offset: 640 };
    let mut later = writer(&disk, Some(gone));
    assert_eq!((later.end(), later.roll()), (gone, 8));
    later.stage(&value(3)).unwrap();
    later.abort().unwrap();
    assert_eq!(later.end(), gone);
    assert!(later.stage(&value(3)).unwrap().segment > 7);
    later.keep();
    assert!(later.end() > gone);
}

#[test]
fn segments_of_an_open_beat_stay_however_often_a_compaction_begins() {
    let disk = TestDisk::default();
    let mut writer = writer(&disk, None);
    writer.stage(&value(0)).unwrap();
    writer.keep();
    assert_eq!(writer.stage(&value(1)).unwrap().segment, 1);
    assert_eq!(writer.roll(), 1);
    assert_eq!(writer.roll(), 1, "the beat is still open");
    assert_eq!(writer.stage(&value(2)).unwrap().segment, 2);
    assert_eq!(writer.roll(), 1);
    writer.keep();
    assert_eq!(writer.roll(), 3);
}

#[test]
fn nobody_holds_a_segment_once_a_compaction_has_begun_and_the_beat_has_ended() {
    let disk = TestDisk::default();
    let files = || Payloads::open(&disk, Path::new(DIR)).unwrap();
    for (staged, kept) in [(false, true), (true, true), (true, false)] {
        let end = {
            let mut writer = writer(&disk, None);
            writer.stage(&value(0)).unwrap();
            writer.sync().unwrap();
            writer.keep();
            writer.end()
        };
        let files = files();
        let mut writer =
            PayloadWriter::resume(Arc::new(disk.clone()), Path::new(DIR), STORE, &files, Some(end), 1000)
                .unwrap();
        let holders = || Arc::strong_count(files.get(end.segment).unwrap());
        if staged {
            writer.stage(&value(1)).unwrap();
        }
        writer.roll();
        assert_eq!(holders() > 1, staged, "the beat goes on in it");
        if kept {
            writer.sync().unwrap();
            writer.keep();
        } else {
            writer.abort().unwrap();
        }
        assert_eq!(holders(), 1, "{staged} {kept}");
        assert!(writer.end() >= end);
        assert!(writer.stage(&value(2)).unwrap().segment > end.segment);
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_under_a_value_is_noticed() {
    let disk = TestDisk::default();
    let mut writer = writer(&disk, None);
    writer.stage(&value(3)).unwrap();
    let place = writer.stage(&value(0)).unwrap();
    let image = disk.image();
    let (name, good) = image.first_key_value().unwrap();
    let read = |bytes: Vec<u8>| {
        let disk = TestDisk::of(&[(name.clone(), bytes)].into());
        Payloads::open(&disk, Path::new(DIR)).unwrap().read(&place).map(|value| value.to_vec())
    };
    let from = usize::try_from(place.offset).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match read(bad) {
            Ok(bytes) => assert!(bit / 8 < from && bytes == value(0)),
            Err(error) => {
                assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(name.as_path())));
                assert!(error.context().contains(&place.offset.to_string()) && bit / 8 >= from);
            }
        }
    }
    for len in 0..good.len() {
        assert_eq!(read(good[..len].to_vec()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    for place in [
        PayloadRef { offset: 0, ..place },
        PayloadRef { offset: u64::MAX, ..place },
        PayloadRef { len: u64::MAX, ..place },
        PayloadRef { len: place.len + 1, ..place },
        PayloadRef { crc: !place.crc, ..place },
    ] {
        let files = Payloads::open(&disk, Path::new(DIR)).unwrap();
        assert_eq!(files.read(&place).unwrap_err().kind(), ErrorKind::Corrupt, "{place:?}");
    }
}

#[test]
fn a_failed_write_or_sync_poisons_the_writer() {
    for sync in [false, true] {
        let disk = TestDisk::default();
        let mut writer = writer(&disk, None);
        writer.stage(&value(0)).unwrap();
        if sync {
            disk.fail(|done| matches!(done, Done::Sync(_)));
            writer.sync().unwrap_err();
        } else {
            disk.fail(|done| matches!(done, Done::Write(..)));
            writer.stage(&value(0)).unwrap_err();
        }
        disk.fail(|_| false);
        assert_eq!(writer.stage(&value(0)).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(writer.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    }
}
