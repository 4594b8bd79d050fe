//! An encrypted store of whose keys a lost frame hides the checks.

use std::path::Path;
use std::sync::Arc;

use persist_api::{Driver, Durability, Error, ErrorKind, Result};
use persist_flatfile::FlatfileDriver;
use persist_store::{BeatLog, Store, Writer, default_request, encrypted};

use crate::encryption::ring;
use crate::kit::{fails, look_at, options, place, put};

fn open(home: &Path, keys: &[(u32, u8)]) -> Result<(Writer, Store)> {
    let drivers = vec![Arc::new(FlatfileDriver::default()) as Arc<dyn Driver>];
    let opened = look_at(&drivers, home, Some("flatfile"), &options())?.keys(Arc::new(ring(keys)));
    opened.negotiate(&encrypted(default_request())).map_err(Error::from)
}

/// Opens with these keys, writes a record, and closes.
fn write(home: &Path, keys: &[(u32, u8)], key: &[u8]) {
    let (mut writer, store) = open(home, keys).unwrap();
    put(&mut writer, &[(key, b"value")]);
    drop(writer);
    store.close().unwrap();
}

fn get(store: &Store, key: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(store.view()?.get(key)?.map(|value| value.to_vec()))
}

fn commit(store: &Store) -> Result<()> {
    let mut log = BeatLog::new();
    log.put(b"anew", b"value")?;
    store.commit(log, Durability::Durable)?.wait().map(drop)
}

#[test]
fn a_lost_frame_over_the_checks_of_later_keys_leaves_the_rest_to_be_read() {
    let place = place();
    let home = place.home.as_path();
    let all = [(1, 1), (2, 2), (3, 3)];
    for (keys, key) in [(1, "first"), (2, "second"), (3, "third"), (3, "lost-key"), (3, "later")] {
        write(home, &all[..keys], key.as_bytes());
    }
    let segment = home.join("engine-1/branch.idx.00000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(8).position(|bytes| bytes == b"lost-key").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let (writer, store) = open(home, &all).unwrap();
    assert_eq!(get(&store, b"later").unwrap().as_deref(), Some(b"value".as_slice()));
    fails(get(&store, b"first"), ErrorKind::Corrupt, &["is lost"]);
    fails(commit(&store), ErrorKind::Refused, &["key 3", "repair"]);
    drop((writer, store));

    // A wrong key opens no record, and writes none.
    let (writer, store) = open(home, &[(1, 1), (2, 2), (3, 9)]).unwrap();
    fails(get(&store, b"later"), ErrorKind::Corrupt, &["tag"]);
    fails(commit(&store), ErrorKind::Refused, &["key 3"]);
    drop((writer, store));
    // The first key is proved by the grant, as ever.
    fails(open(home, &[(1, 9), (2, 2), (3, 3)]), ErrorKind::Refused, &["key 1"]);
    let (_writer, store) = open(home, &[(1, 1)]).unwrap();
    commit(&store).unwrap();
}
