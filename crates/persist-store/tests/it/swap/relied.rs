//! What a process had renamed and not synced when it died looks as if it were so. Whoever comes next relies on it, and then the power
//! fails: the store must still be where it was found, with what was acknowledged there.

use persist_api::{ErrorKind, Quiet};
use persist_io::sim::{Code, Crash, Fault, SimDisk, When};

use super::crash::reopen;
use super::plain::target;
use super::stand::{HOME, Stand, all, elsewhere, put, swap_options};

/// Opens the store that a process has left that died, commits, and cuts the power.
pub(super) fn upon(disk: SimDisk, from: &str) {
    let stand = Stand::on(disk);
    let Some((_writer, store)) = reopen(&stand, from) else { return };
    put(&store, "relied", "on");
    let cut = Stand::on(stand.disk.crash_image(&Crash::Nothing));
    let (_writer, there) = reopen(&cut, from).expect("the store is gone");
    assert_eq!(all(&there), all(&store), "what was acknowledged is gone");
}

#[test]
fn a_creation_that_was_killed_is_not_undone_by_a_power_cut() {
    for engine in ["toy", "flatfile"] {
        let stand = Stand::new();
        stand.disk.keep_cut_points();
        let (writer, store) = stand.open(Some(engine), HOME).unwrap();
        put(&store, "first", "1");
        drop((writer, store));
        for cut in stand.disk.cut_points() {
            let there = Stand::on(cut.killed(7));
            let (_writer, store) = there.open(Some(engine), HOME).unwrap();
            put(&store, "relied", "on");
            let after = Stand::on(there.disk.crash_image(&Crash::Nothing));
            let (_writer, found) = after.open(Some(engine), HOME).unwrap();
            assert_eq!(all(&found), all(&store), "{engine}, killed before operation {}", cut.after);
        }
    }
}

/// The same where nobody died: the directory could not be synced.
#[test]
fn a_flip_whose_last_sync_failed_is_durable_once_it_is_opened() {
    for (from, to) in [("flatfile", target("flatfile", "toy")), ("toy", elsewhere("flatfile"))] {
        let mut poisoned = 0_u64;
        for n in 1.. {
            let stand = Stand::new();
            let (writer, store) = stand.store(from);
            let mut swap = store.begin_swap(&to, &swap_options(), &Quiet).unwrap();
            swap.copy(&Quiet).unwrap();
            swap.verify(&Quiet).unwrap();
            let fault = Fault::Error { code: Code::Io, applied: false };
            stand.disk.plan(When::At(stand.disk.operations() + n), fault);
            let flipped = swap.flip(&Quiet);
            if stand.disk.met().is_empty() {
                flipped.unwrap();
                break;
            }
            // Nobody can say then which of them the next opening finds.
            if store.view().is_err_and(|error| error.kind() == ErrorKind::Poisoned) {
                poisoned += u64::from(flipped.is_err());
            }
            drop((writer, swap, store));
            upon(stand.disk.killed(), from);
        }
        assert!(poisoned > 0, "{from}: no flip was left open");
    }
}
