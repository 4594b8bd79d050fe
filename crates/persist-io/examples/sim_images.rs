//! How many crash images a second the simulated disk makes, of a store of 64 KiB with 4 KiB not synced, each read whole; and how many
//! rows a second a journal of 500 rows takes, each written and synced.
//! `cargo run --release -p persist-io --example sim_images`
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::time::Instant;

use persist_io::sim::{Crash, SimDisk};
use persist_io::{Disk, FileMode};

const IMAGES: u64 = 200_000;
const JOURNALS: u64 = 1_000;
const ROWS: u64 = 500;

fn main() -> persist_api::Result<()> {
    let disk = SimDisk::new(1);
    disk.put("/store/runs", &vec![7; 32 << 10]);
    disk.put("/store/log", &vec![7; 32 << 10]);
    let log = disk.open("/store/log".as_ref(), FileMode::Write)?;
    for write in 0..8 {
        log.write_at(28_000 + write * 512, &[9; 512])?;
    }
    let cut = disk.cut();
    let mut buffer = vec![0; 64 << 10];
    for read in [false, true] {
        let start = Instant::now();
        for seed in 0..IMAGES {
            let image = cut.image(&Crash::Random(seed));
            if read {
                for (path, _) in image.files() {
                    image.open(&path, FileMode::Read)?.read_at(0, &mut buffer)?;
                }
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let what = if read { "and all files opened and read" } else { "images alone" };
        println!("{:>9.0} images/s, {what} ({} units not synced)", 200_000.0 / seconds, cut.units().len());
    }
    let start = Instant::now();
    for seed in 0..JOURNALS {
        let disk = SimDisk::new(seed);
        let log = disk.open("/log".as_ref(), FileMode::CreateNew)?;
        for row in 0..ROWS {
            log.write_at(row * 128, &[9; 128])?;
            log.sync_data()?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:>9.0} rows/s, each written and synced", 500_000.0 / seconds);
    Ok(())
}
