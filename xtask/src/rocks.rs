//! RocksDB takes half an hour of CPU to compile and cargo rebuilds it whenever the mix of crates changes. So the built
//! library is kept under the user's cache directory, by version and platform, and linked from there. Everything works
//! without the cache too, only slower.

use std::path::{Path, PathBuf};

use crate::shell::{self, Outcome};

/// Environment for every cargo call: points librocksdb-sys at the kept library, when there is one.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    match cache_dir() {
        Some(dir) if std::env::var_os("ROCKSDB_LIB_DIR").is_none() && dir.join(LIBRARY).is_file() => {
            vec![("ROCKSDB_LIB_DIR", dir.to_string_lossy().into_owned()), ("ROCKSDB_STATIC", "1".to_owned())]
        }
        _ => Vec::new(),
    }
}

const LIBRARY: &str = "librocksdb.a";

/// Where the library of the locked version is kept. It holds no debug information (`Cargo.toml` builds it so), and says
/// so in its name: one with it is thirty times as large.
fn cache_dir() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    let version = locked_version()?;
    Some(base.join("persist").join(format!(
        "librocksdb-sys-{version}-{}-{}-nodebug",
        std::env::consts::ARCH,
        std::env::consts::OS
    )))
}

/// The version of librocksdb-sys in Cargo.lock.
fn locked_version() -> Option<String> {
    let lock = shell::read("Cargo.lock").ok()?;
    let (_, after) = lock.split_once("name = \"librocksdb-sys\"\nversion = \"")?;
    Some(after.split_once('"')?.0.to_owned())
}

/// After a build: keeps the library that cargo has just made, if none is kept yet. A cache that cannot be written is no
/// failure.
pub(crate) fn keep() {
    if !environment().is_empty() || std::env::var_os("ROCKSDB_LIB_DIR").is_some() {
        return;
    }
    let Some(cache) = cache_dir() else { return };
    let Some(built) = newest_built() else { return };
    match copy_atomically(&built, &cache) {
        Ok(()) => println!("kept {LIBRARY} in {} for the next build", cache.display()),
        Err(error) => println!("could not keep {LIBRARY} in {}: {error}", cache.display()),
    }
}

fn newest_built() -> Option<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from);
    let entries = std::fs::read_dir(target.join("debug/build")).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("librocksdb-sys-"))
        })
        .map(|path| path.join("out").join(LIBRARY))
        .filter(|library| library.is_file())
        .max_by_key(|library| library.metadata().and_then(|metadata| metadata.modified()).ok())
}

fn copy_atomically(from: &Path, cache: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(cache)?;
    let temporary = cache.join(format!("{LIBRARY}.{}", std::process::id()));
    std::fs::copy(from, &temporary)?;
    std::fs::rename(&temporary, cache.join(LIBRARY))
}

/// Builds RocksDB alone first, so that its long compilation is seen as what it is, and keeps the result.
pub(crate) fn build_once() -> Outcome {
    if environment().is_empty() {
        println!("RocksDB is not in the cache yet: compiling it takes about 35 minutes of CPU, once.");
    }
    shell::run(&mut shell::cargo(&["build", "--package", "persist-rocksdb"]))?;
    keep();
    Ok(())
}
