//! Reading everything back, from the files.

use persist_api::{Finding, FindingCode, Observer, Progress, Result, VerifyStat};
use rocksdb::{DB, ReadOptions};

use crate::bounds::Bounds;
use crate::core::read_header;
use crate::engine::RocksEngine;
use crate::error::map_error;
use crate::home;

/// How many records to read between two reports of progress.
const STRIDE: u64 = 4096;

/// Opens the files a second time, read-only and without a cache, and reads all of it: the manifest and the log on
/// opening, each block of each table, with its checksum, on walking. RocksDB drops no file meanwhile.
pub(crate) fn verify(
    engine: &RocksEngine,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<VerifyStat> {
    let db = &engine.core.db;
    db.disable_file_deletions().map_err(|error| map_error("verify", error))?;
    let mut check = Check { found, stat: VerifyStat::default() };
    let done = check.everything(engine, seen);
    db.enable_file_deletions().map_err(|error| map_error("verify", error))?;
    done.map(|()| check.stat)
}

struct Check<'f> {
    found: &'f mut dyn FnMut(Finding),
    stat: VerifyStat,
}

impl Check<'_> {
    fn damage(&mut self, code: FindingCode, what: impl Into<String>, place: impl Into<String>) {
        self.stat.damaged = self.stat.damaged.saturating_add(1);
        (self.found)(Finding::damage(code, what, place));
    }

    fn everything(&mut self, engine: &RocksEngine, seen: &dyn Observer) -> Result<()> {
        self.lengths(engine)?;
        let dir = home::db_dir(&engine.core.home);
        let newest = engine.committed();
        let files = match DB::open_for_read_only(&engine.settings.for_checking()?, &dir, false) {
            Ok(files) => files,
            Err(error) => {
                self.damage(FindingCode::Structure, error.into_string(), dir.display().to_string());
                return Ok(());
            }
        };
        match read_header("verify", &files, &ReadOptions::default()) {
            Ok(header) if header.beat < newest => {
                let what =
                    format!("the files hold beat {} at most; beat {newest} was committed", header.beat);
                self.damage(FindingCode::Header, what, dir.display().to_string());
            }
            Ok(_) => {}
            Err(error) => self.damage(FindingCode::Header, error.context(), "header"),
        }
        self.records(&files, seen)
    }

    /// Compares the length of each table with the one in the manifest.
    fn lengths(&mut self, engine: &RocksEngine) -> Result<()> {
        let dir = home::db_dir(&engine.core.home);
        let tables = engine.core.db.live_files().map_err(|error| map_error("verify", error))?;
        for table in tables {
            let path = dir.join(table.name.trim_start_matches('/'));
            let bytes = home::size_of_file(&path)?;
            if bytes != table.size as u64 {
                let what = format!("{bytes} bytes instead of {}", table.size);
                self.damage(FindingCode::Structure, what, path.display().to_string());
            }
        }
        Ok(())
    }

    fn records(&mut self, files: &DB, seen: &dyn Observer) -> Result<()> {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.fill_cache(false);
        if let Some(bounds) = Bounds::of(&persist_api::KeyRange::all()) {
            options.set_iterate_lower_bound(bounds.start);
        }
        let mut rows = files.raw_iterator_opt(options);
        rows.seek_to_first();
        let mut last = Vec::new();
        while let Some((key, value)) = rows.item() {
            if self.stat.records.is_multiple_of(STRIDE) {
                let done = self.stat.records;
                seen.step("verify", Progress { phase: "read", done, total: None, unit: "records" })?;
            }
            self.stat.records += 1;
            self.stat.bytes = self.stat.bytes.saturating_add((key.len() + value.len()) as u64);
            last.clear();
            last.extend_from_slice(key);
            rows.next();
        }
        if let Err(error) = rows.status() {
            self.damage(
                FindingCode::Structure,
                error.into_string(),
                format!("behind key {}", last.escape_ascii()),
            );
        }
        Ok(())
    }
}
