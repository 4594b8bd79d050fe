//! Installs what the build and the tests lack, and says so.

use std::path::Path;
use std::process::Command;

use crate::shell::{self, Outcome};

/// A thing that must be on the machine, the Debian package that brings it, and what it is for.
struct Need {
    package: &'static str,
    reason: &'static str,
    present: fn() -> bool,
}

const NEEDS: [Need; 6] = [
    Need {
        package: "g++",
        reason: "compiles RocksDB",
        present: || shell::on_path("c++") || shell::on_path("g++"),
    },
    Need { package: "libclang-dev", reason: "makes RocksDB's bindings", present: libclang_present },
    Need {
        package: "strace",
        reason: "records what the power-cut class replays",
        present: || shell::on_path("strace"),
    },
    Need {
        package: "eatmydata",
        reason: "proves that the power-cut class can fail",
        present: || shell::on_path("eatmydata"),
    },
    Need {
        package: "valgrind",
        reason: "counts the instructions of the overhead gate",
        present: || shell::on_path("valgrind"),
    },
    Need {
        package: "python3",
        reason: "runs the independent reader of the flatfile format",
        present: || shell::on_path("python3"),
    },
];

/// Whether a file of this name is the C library that bindgen loads: `libclang-cpp`, which comes with the compiler, is another one.
fn is_libclang(name: &str) -> bool {
    let named = name.starts_with("libclang.so") || name.starts_with("libclang-") && name.contains(".so");
    named && !name.starts_with("libclang-cpp.") || name == "libclang.dylib"
}

/// bindgen looks for a shared libclang in these places, as well as in LIBCLANG_PATH.
fn libclang_present() -> bool {
    let holds = |dir: &Path| {
        std::fs::read_dir(dir).is_ok_and(|entries| {
            entries.flatten().any(|entry| is_libclang(&entry.file_name().to_string_lossy()))
        })
    };
    if std::env::var_os("LIBCLANG_PATH").is_some_and(|dir| holds(Path::new(&dir))) {
        return true;
    }
    let llvm = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    llvm.filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .map(|entry| entry.path().join("lib"))
        .chain(["/usr/lib64", "/usr/local/lib", "/usr/lib"].map(Into::into))
        .any(|dir| holds(&dir))
}

/// Makes sure that everything is there.
pub(crate) fn run() -> Outcome {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.package, need.reason);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!("apt-get install -y {}", packages.join(" "));
    if !shell::on_path("apt-get") {
        return Err(format!("install these with your package manager (on Debian: {by_hand})"));
    }
    if !is_root() {
        return Err(format!("installing needs root; run: sudo {by_hand}"));
    }
    println!("installing them as root");
    shell::run(Command::new("apt-get").arg("update").arg("-qq"))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages);
    shell::run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => Err(format!("{} was installed but is still not found", need.package)),
    }
}

fn is_root() -> bool {
    shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn only_the_library_that_bindgen_loads_counts() {
        for name in
            ["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang-14.so.14.0.6", "libclang.dylib"]
        {
            assert!(is_libclang(name), "{name}");
        }
        // A machine with a compiler alone has these.
        for name in ["libclang-cpp.so.14", "libclang-cpp.so", "libclang-14.a", "libclangBasic.so", "clang"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
