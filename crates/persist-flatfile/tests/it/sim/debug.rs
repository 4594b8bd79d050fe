use persist_io::sim::*;
use persist_io::sim::explore::*;
use super::acts::Act::*;
use super::store::Store;
#[test]
fn debug() {
    let store = Store::new(&[], &[Delete(9), LargeBuffered(14), Buffered(12), Checkpoint, Large(9)]);
    use Fate::*;
    let crash = Crash::Each(vec![Kept, Kept, Kept, Kept, Kept, Lost, Lost, Kept, Torn(Tear { at: 348, back: true, rest: Rest::Garbage(2093382760337826971) })]);
    let case = Case { fault: None, restart: Restart::PowerCut { after: 60, crash }, damage: None, deeper: vec![], recovery_fault: None, go_on: None };
    eprintln!("==");
    let f = Explorer { seed: 2823226989022452650, ..Explorer::default() }.replay(&store, &case);
    if let Some(f) = f { panic!("{f}") }
}
