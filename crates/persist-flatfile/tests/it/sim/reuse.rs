//! Files of segments that become the next ones: every moment, with every name that was not durable lost.

use persist_io::sim::explore::{Explorer, Workload};
use persist_io::sim::{Crash, SimDisk};

use super::acts::Act;
use super::rounds::seed;
use super::store::Store;

/// Each full memtable ends a segment; the durable beats between them make zeros worth writing.
const ACTS: [Act; 15] = [
    Act::Put(0),
    Act::Roll(0),
    Act::Put(1),
    Act::Roll(1),
    Act::Put(2),
    Act::Roll(2),
    Act::Put(3),
    Act::Put(4),
    Act::Roll(3),
    Act::Put(5),
    Act::Put(6),
    Act::Roll(4),
    Act::Put(7),
    Act::Put(8),
    Act::Overwrite(1),
];

#[test]
fn segments_made_of_old_ones_survive_every_crash() {
    let store = Store::new(&[Act::Durable(0)], &ACTS);
    let disk = SimDisk::new(1);
    store.prepare(&disk).unwrap();
    disk.keep_cut_points();
    store.run(&disk).unwrap();
    let spared = |point: &persist_io::sim::CutPoint| {
        let files = point.cut(1).image(&Crash::Everything).files();
        let mut names = files.iter().map(|(path, _)| path.to_string_lossy());
        names
            .find(|name| name.contains("branch.idx.") && name.ends_with(".new"))
            .map(std::borrow::Cow::into_owned)
    };
    let mut names: Vec<_> = disk.cut_points().iter().filter_map(spared).collect();
    names.dedup();
    assert!(names.len() >= 3, "{names:?}");
    let explorer = Explorer { seed: seed(), randoms: 1, deep_one_in: 2_000, ..Explorer::default() };
    let report = explorer.crashes(&store).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:?}");
    assert!(!report.cut_short && report.images > 1_000, "{report:?}");
}
