//! Two accidents in a row: the process is killed while it opens, and the power fails while the next one does.

use persist_io::sim::explore::Workload;
use persist_io::sim::{Crash, CutPoint, SimDisk, UnitKind};

use super::acts::Act;
use super::store::Store;

/// Full memtables, so that opening writes a run and removes the segments behind it.
const BEFORE: [Act; 3] = [Act::Put(1), Act::Checkpoint, Act::Large(0)];
const ACTS: [Act; 4] = [Act::Buffered(4), Act::Roll(13), Act::Roll(14), Act::Overwrite(1)];

fn opened(store: &Store, disk: &SimDisk) -> Vec<CutPoint> {
    disk.keep_cut_points();
    let found = store.recover(disk).unwrap();
    assert_eq!(found.damage, Vec::<String>::new());
    disk.cut_points()
}

/// Names of files that a killed process has made are there and not yet durable: what they make superfluous stays until
/// they are.
#[test]
fn what_a_killed_opening_has_named_is_made_durable_before_anything_relies_on_it() {
    let store = Store::new(&BEFORE, &ACTS);
    let base = SimDisk::new(1);
    store.prepare(&base).unwrap();
    let base = base.killed();
    base.keep_cut_points();
    store.run(&base).unwrap();
    let mut images = 0;
    // The last moment at which the full memtables had no runs yet: before the newest run gets its name.
    let points = base.cut_points();
    let rename = points.iter().rposition(|point| point.next == Some(persist_io::sim::Op::Rename)).unwrap();
    let crashed = points[rename].cut(1).image(&Crash::Everything);
    let right = store.recover(&crashed.killed()).unwrap();
    assert!(right.damage.is_empty());
    for killed in opened(&store, &crashed.killed()) {
        let disk = killed.killed(1);
        for point in opened(&store, &disk) {
            let cut = point.cut(1);
            let names = (0..cut.units().len()).filter(|unit| cut.units()[*unit].what == UnitKind::Names);
            for crash in names.map(Crash::LoseOne).chain([Crash::Nothing]) {
                let found = store.recover(&cut.image(&crash)).unwrap();
                images += 1;
                let place = format!("killed after {}, cut after {}, {crash:?}", killed.after, point.after);
                assert_eq!((found.steps, &found.damage), (right.steps, &vec![]), "{place}");
                assert_eq!(found.state, right.state, "{place}");
            }
        }
    }
    assert!(images > 100, "{images} images");
}
