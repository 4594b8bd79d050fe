//! Encrypted stores in a registry: keys from files, and from the program.

use std::sync::Arc;

use persist_api::{Durability, ErrorKind, Quiet};
use persist_lifecycle::Registry;
use persist_store::{BeatLog, KeyId, KeyRing, SecretKey};

use crate::kit::{commit, config};
use crate::registry::{fail, open_all, options};

#[test]
fn an_encrypted_store_takes_its_keys_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = "[stores.a]\nengine = 'flatfile'\nrequest.required = ['SNAPSHOT', 'AEAD']\n";
    let with = config(dir.path(), &format!("{text}key_file = 'keys'\n"));
    let without = config(dir.path(), text);
    assert_eq!(fail(&without).name, "a");
    assert!(!dir.path().join("data").exists());
    let registry = open_all(&with);
    let store = registry.store("a").unwrap();
    commit(&store, "key", 100, Durability::Durable);
    assert!(store.grant().session.caps.contains(persist_api::Caps::AEAD));
    drop((registry, store));
    let refused = fail(&without).error.kind();
    assert!(![ErrorKind::Locked, ErrorKind::Corrupt].contains(&refused), "{refused}");
    let registry = open_all(&with);
    let value = registry.store("a").unwrap().view().unwrap().get(b"key").unwrap().unwrap().to_vec();
    assert_eq!(value, [b'x'; 100]);
    drop(registry);
    std::fs::write(&keys, "08".repeat(32)).unwrap();
    assert_eq!(fail(&with).name, "a");
    std::fs::remove_file(&keys).unwrap();
    assert_eq!(fail(&with).error.path(), Some(keys.as_path()));
}

#[test]
fn each_encrypted_store_has_its_keys_from_the_program_or_from_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    std::fs::write(&file, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let secret = "request.required = ['SNAPSHOT', 'AEAD']\nkey_file = ";
    let text = format!(
        "[stores.a]\nengine = 'flatfile'\n{secret}'keys'\n[stores.b]\nengine = 'sqlite'\n{secret}'missing'\n[stores.c]\nengine = 'flatfile'\n"
    );
    let config = config(dir.path(), &text);
    let ring = |byte| Arc::new(KeyRing::new().with(KeyId(1), SecretKey::new([byte; 32])));
    let open = |options| Registry::open(&config, options, Vec::new(), &Quiet);
    let failed = open(options()).err().unwrap();
    assert_eq!(
        (failed.name.as_str(), failed.error.path()),
        ("b", Some(dir.path().join("missing").as_path()))
    );
    for round in 0..2_u8 {
        let registry = open(options().keys("b", ring(8))).unwrap();
        for name in ["a", "b", "c"] {
            let store = registry.store(name).unwrap();
            assert_eq!(store.view().unwrap().get(&[0]).unwrap().is_some(), round > 0, "{name}");
            let mut log = BeatLog::new();
            log.put(&[round], name.as_bytes()).unwrap();
            store.commit(log, Durability::Durable).unwrap().wait().unwrap();
        }
    }
    for (name, options) in
        [("a", options().keys("b", ring(8)).keys("a", ring(9))), ("b", options().keys("b", ring(7)))]
    {
        let failed = open(options).err().unwrap();
        assert_eq!((failed.name.as_str(), failed.error.kind()), (name, ErrorKind::Refused), "{failed:?}");
        assert!(failed.closed.iter().all(|step| step.result.is_ok()));
    }
}
