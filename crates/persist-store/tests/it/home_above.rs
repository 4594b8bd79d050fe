//! What lies above the directory of a store.

use persist_api::ErrorKind;
use persist_store::STAMP_FILE;

use crate::kit::{fails, look, open_default, place, put, toy};

#[test]
fn no_store_is_made_inside_the_home_of_another() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"k", b"v")]);
    for inner in ["inner", "engine-1/inner", "engine-1/a/b", "cas/inner"] {
        let inner = place.home.join(inner);
        let error = fails(look(&toy(), &inner), ErrorKind::Invalid, &["lies inside the store at"]);
        assert_eq!(error.path(), Some(inner.as_path()));
        assert!(!inner.exists());
    }
    drop((writer, store));
    open_default(&place.home);
}

/// Whoever may write above a home could stop every creation below it, or have it wait for ever.
#[test]
fn what_has_the_name_of_a_stamp_above_a_home_and_is_none_is_in_nobodys_way() {
    let place = place();
    let stamp = place.home.join(STAMP_FILE);
    let inner = place.home.join("inner");
    std::fs::create_dir(&place.home).unwrap();
    let pipe = || assert!(std::process::Command::new("mkfifo").arg(&stamp).status().unwrap().success());
    let made: [&dyn Fn(); 4] = [
        &|| std::fs::create_dir(&stamp).unwrap(),
        &|| std::fs::write(&stamp, b"notes of somebody").unwrap(),
        &|| std::fs::write(&stamp, vec![b'p'; 1 << 20]).unwrap(),
        &pipe,
    ];
    for make in made {
        make();
        open_default(&inner);
        std::fs::remove_dir_all(&inner).unwrap();
        std::fs::remove_file(&stamp).or_else(|_| std::fs::remove_dir(&stamp)).unwrap();
    }
    std::fs::write(&stamp, b"persist-stamp = 1\nand then damage").unwrap();
    fails(look(&toy(), &inner), ErrorKind::Invalid, &["lies inside the store at"]);
}
