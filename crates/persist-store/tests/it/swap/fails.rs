//! Every operation of a swap fails.

use persist_api::{Durability, ErrorKind, Quiet};
use persist_io::sim::{Code, Crash, Fault, Forgot, When};
use persist_store::SwapOptions;

use super::crash::reopen;
use super::plain::target;
use super::stand::{Stand, all, log, swap_options};
use crate::kit::content;

/// How an operation of a swap may fail.
pub(super) const FAILURES: [Fault; 8] = [
    Fault::Error { code: Code::Io, applied: false },
    Fault::Error { code: Code::Io, applied: true },
    Fault::Error { code: Code::NoSpace, applied: false },
    Fault::Error { code: Code::Interrupted, applied: false },
    Fault::ShortWrite { bytes: 1, then: Some(Code::Io) },
    Fault::ShortWrite { bytes: 9, then: Some(Code::NoSpace) },
    Fault::ShortWrite { bytes: 7, then: None },
    Fault::SyncForgets(Forgot::All),
];

/// Every operation of a swap fails, in every way, once and from then on. With an error of the medium each is tried; with the others one in
/// three, or each with `PERSIST_SWAP_EVERY`.
#[test]
fn swp_05_every_operation_fails() {
    let every = std::env::var_os("PERSIST_SWAP_EVERY").is_some();
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile"), ("memory", "toy")] {
        for (kind, fault) in (0..).zip(FAILURES) {
            let (first, step) = if every || kind < 2 { (1, 1) } else { (1 + kind % 3, 3) };
            for when in [When::At, When::From] {
                let failed =
                    (first..).step_by(step).map_while(|n| fails_at(from, to, n, when, fault)).sum::<u64>();
                let seldom = matches!(
                    fault,
                    Fault::Error { code: Code::Interrupted, .. } | Fault::ShortWrite { then: None, .. }
                );
                assert!(seldom || failed > 0, "{from} to {to}: {fault:?} failed {failed} times");
            }
        }
    }
}

/// Whether a swap fails (1 or 0) by a fault at its operation number `n`; `None` when it has no such operation. Whatever comes of it, the store goes
/// on with what was loaded, and a power cut after that loses nothing.
fn fails_at(from: &str, to: &str, n: u64, when: fn(u64) -> When, fault: Fault) -> Option<u64> {
    let stand = Stand::new();
    let (writer, store) = stand.store(from);
    let loaded = all(&store);
    let start = stand.disk.operations();
    stand.disk.plan(when(start + n), fault);
    let options = SwapOptions { chunk_bytes: 500, ..swap_options() };
    let swapped = store.swap(&target(from, to), &options, &Quiet);
    if stand.disk.met().is_empty() && stand.disk.operations() < start + n {
        swapped.unwrap();
        return None;
    }
    stand.disk.unplan();
    let place = format!("{from} to {to}, operation {n}, {fault:?}");
    let on_disk = store.home().is_some();
    // Nobody can say otherwise which engine the next opening finds.
    let shown = store.view().map(|view| content(&view));
    match &shown {
        Ok(shown) => assert_eq!(*shown, loaded, "{place}: after the swap"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Poisoned, "{place}: {error}"),
    }
    let more =
        store.commit(log("more", "1"), Durability::Durable).and_then(persist_store::Pending::wait).is_ok();
    let mut longer = loaded.clone();
    longer.insert(b"more".to_vec(), b"1".to_vec());
    if more {
        assert_eq!(all(&store), longer, "{place}: after a commit");
    }
    let failed = u64::from(swapped.is_err());
    drop((writer, store));
    let there = Stand::on(stand.disk.crash_image(&Crash::Nothing));
    let Some((_writer, reopened)) = reopen(&there, from) else {
        assert!(!on_disk, "{place}: the store was on disk and is not");
        return Some(failed);
    };
    let found = all(&reopened);
    if !on_disk {
        // It is in memory and on disk: then it must not go on in memory.
        assert!(shown.is_err() && !more, "{place}: two stores");
        assert_eq!(found, loaded, "{place}");
    }
    // What was not acknowledged may be there all the same.
    assert!(found == longer || !more && found == loaded, "{place}: {found:?}");
    Some(failed)
}
