//! Blobs of a branch: what is listed, what is there, and what can be found.

use persist_api::Quiet;
use persist_cps::branch::{
    BranchFile, BranchLimits, BranchSeverity as S, BranchSource, BranchSurvey, DirSource, SourceEntry,
};
use persist_frame::Checksum;
use persist_frame::aead::AeadMode;
use persist_frame::body::PayloadCodec;

use crate::branch_kit::{Dir, Engine, codes, plain, refers_with, small, survey};

/// A source that shows less in a directory than can be opened.
struct Hidden(Dir);

impl BranchSource for Hidden {
    fn open(&self, name: &str) -> persist_api::Result<Option<Box<dyn BranchFile + '_>>> {
        self.0.open(name)
    }

    fn list(&self, dir: &str) -> persist_api::Result<Vec<SourceEntry>> {
        let mut entries = self.0.list(dir)?;
        entries.retain(|entry| !entry.name.contains(".blob"));
        Ok(entries)
    }
}

#[test]
fn a_listed_blob_is_imported_or_told() {
    let hidden = Hidden(small(Checksum::Crc32).dir);
    let survey = BranchSurvey::read(&hidden, BranchLimits::default(), &Quiet).unwrap();
    assert_eq!((survey.blobs.len(), codes(&survey)), (0, vec!["blob_absent", "blob_missing"]));
    assert_eq!(survey.findings.count(S::Lost), 2);
}

#[cfg(unix)]
#[test]
#[allow(clippy::disallowed_methods, reason = "the branch of another program, on a real disk for its links")]
fn a_linked_directory_of_blobs_is_read() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("branch");
    for (name, bytes) in &small(Checksum::Crc32).dir {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let buckets = std::fs::read_dir(root.join("cas")).unwrap().map(|entry| entry.unwrap().path());
    for (n, bucket) in buckets.filter(|path| path.is_dir()).collect::<Vec<_>>().iter().enumerate() {
        let elsewhere = home.path().join(n.to_string());
        std::fs::rename(bucket, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, bucket).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
    let survey = BranchSurvey::read(&DirSource::new(&root), BranchLimits::default(), &Quiet).unwrap();
    assert_eq!((survey.blobs.len(), codes(&survey)), (2, vec!["unknown_file"]));
}

#[test]
fn cells_may_refer_to_one_blob_in_two_modes() {
    let blob = [9; 250];
    let cell =
        |key: &[u8], mode| plain(1, key, &refers_with(&blob, PayloadCodec::None, mode, blob.len() as u64));
    // The manifest of the kit says 3.
    for modes in [
        [AeadMode::XChaCha20Poly1305, AeadMode::ChaCha20Poly1305],
        [AeadMode::ChaCha20Poly1305, AeadMode::XChaCha20Poly1305],
    ] {
        let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
        engine.blob(&blob, &blob, 0);
        engine.commit(1, &[cell(b"c", modes[0]), cell(b"d", modes[1])]);
        assert_eq!(codes(&survey(&engine.dir)), [""; 0]);
    }
    let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
    engine.blob(&blob, &blob, 0);
    engine.commit(1, &[cell(b"c", AeadMode::ChaCha20Poly1305), cell(b"d", AeadMode::None)]);
    assert_eq!(codes(&survey(&engine.dir)), ["manifest_entry"]);
}

#[test]
fn a_cell_that_says_another_size_than_its_blob_has_is_told() {
    let blob = [9; 250];
    let cell = |key: &[u8], size| {
        plain(1, key, &refers_with(&blob, PayloadCodec::None, AeadMode::XChaCha20Poly1305, size))
    };
    for sizes in [[999, 250], [250, 7], [249, 999]] {
        let mut engine = Engine::new("r/b", Checksum::Crc32, 9);
        engine.blob(&blob, &blob, 0);
        engine.commit(1, &[cell(b"c", sizes[0]), cell(b"d", sizes[1])]);
        let survey = survey(&engine.dir);
        assert_eq!((codes(&survey), survey.is_complete()), (vec!["reference_differs"], true));
    }
}
