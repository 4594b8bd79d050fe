//! Blobs of a branch: what is listed, what is there, and what can be found.

use persist_api::Quiet;
use persist_cps::branch::{
    BranchFile, BranchLimits, BranchSeverity as S, BranchSource, BranchSurvey, DirSource, SourceEntry,
};
use persist_frame::Checksum;

use crate::branch_kit::{Dir, codes, small};

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
