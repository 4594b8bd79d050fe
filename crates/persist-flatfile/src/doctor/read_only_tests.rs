//! Where nothing may be written.
#![allow(clippy::disallowed_methods, reason = "a test damages files")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use persist_api::{Advice, Driver, Durability, Error, ErrorKind, OpenOptions, Quiet};
use persist_io::{Call, Disk, FileMode, Intercept, Intercepted, PassOn, RealDisk};

use super::tests::{close, files, open};
use super::*;
use crate::FlatfileDriver;

/// Refuses whatever writes, as a file system does that is read-only.
struct ReadOnly;

impl Intercept for ReadOnly {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
        match call {
            Call::Open(FileMode::Read)
            | Call::List
            | Call::IsLocked
            | Call::ReadAt
            | Call::Map
            | Call::DropCache
            | Call::SyncDir => pass_on(),
            _ => Err(Error::io("write", path, std::io::ErrorKind::ReadOnlyFilesystem.into())),
        }
    }
}

#[test]
fn a_store_that_cannot_be_written_is_examined_and_a_repair_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let engine = open(&home).unwrap();
    let next = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(next).unwrap();
    beat.put_record(b"key", b"value").unwrap();
    beat.commit_beat().unwrap();
    let read_only: Arc<dyn Disk> = Arc::new(Intercepted::new(RealDisk, ReadOnly));
    assert_eq!(examine(&*read_only, &home, &Quiet).unwrap_err().kind(), ErrorKind::Locked);
    engine.checkpoint().unwrap();
    close(engine);
    let told = examine(&*read_only, &home, &Quiet).unwrap();
    assert_eq!((told.verdict, told.runs), (Verdict::Whole, 1), "{told:#?}");

    let run = files(&home).into_keys().find(|name| name.starts_with("branch.ckp.")).unwrap();
    let mut bytes = fs::read(home.join(&run)).unwrap();
    bytes[60] ^= 1;
    fs::write(home.join(&run), bytes).unwrap();
    let before = files(&home);
    assert_eq!(examine(&*read_only, &home, &Quiet).unwrap().verdict, Verdict::Repairable);
    let error = repair(&read_only, &home, Losses::Keep, &[], &Quiet).unwrap_err();
    assert_eq!((error.kind(), error.advice()), (ErrorKind::Io, Advice::CopyToWrite), "{error}");
    let error =
        FlatfileDriver::new(read_only).open(&home, &OpenOptions::default(), &Quiet).map(drop).unwrap_err();
    assert_eq!((error.kind(), error.advice()), (ErrorKind::Io, Advice::CopyToWrite), "{error}");
    assert_eq!(files(&home), before);
}
