//! Overrides from the environment, and what engines say.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use persist_api::{Driver, ErrorKind, Result};
use persist_lifecycle::config::{Config, Loaded};
use persist_store::CommitOptions;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("persist.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file, variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

const FILE: &str = "[stores.orders]\nengine = 'flatfile'\nviews_max = 5\n[stores.users]\n";

#[test]
fn every_key_has_a_variable_that_sets_it() {
    let plain = load(FILE, &[]).unwrap().config;
    for (key, value, variable) in plain.settings() {
        // Something else than the file says.
        let other = match (key.rsplit('.').next().unwrap(), value.as_deref()) {
            ("enabled", _) | ("durability_may_pend", Some("true")) => "false",
            ("durability_may_pend", _) => "true",
            ("engine", _) => "lmdb",
            ("path" | "data_dir" | "key_file", _) => "/else",
            ("mode", _) => "must_exist",
            ("after", _) if key.contains("users") => "orders",
            ("after", _) => " users , ",
            ("durability", _) => "buffered",
            ("required" | "preferred", _) => "ORDERED,SNAPSHOT",
            ("wait" | "gather" | "open_wait" | "close_wait" | "look_every" | "age_max", _) => "77 s",
            ("knobs", _) => continue,
            (name, _) if name.ends_with("_after") => "78 s",
            ("retry_after_max", _) => "2 h",
            _ => "79",
        };
        let loaded = load(FILE, &[(&variable, other)]).unwrap();
        assert_ne!(loaded.config, plain, "{variable}");
        assert_eq!(loaded.overridden, [(variable.clone(), key.clone())]);
        let changed: Vec<_> = loaded
            .config
            .settings()
            .into_iter()
            .zip(plain.settings())
            .filter(|(now, before)| now.1 != before.1 && now.0 == before.0)
            .map(|(now, _)| now.0)
            .collect();
        if key != "data_dir" && key != "path" {
            assert!(changed.contains(&key), "{variable}: {changed:?}");
        }
    }
}

#[test]
fn variables_are_text_and_read_by_the_type_of_their_key() {
    let config = load(
        FILE,
        &[
            ("PERSIST__MAINTENANCE__ENABLED", "false"),
            ("PERSIST__STORES__ORDERS__VIEWS_MAX", "17"),
            ("PERSIST__STORES__ORDERS__CACHE_BYTES", "4096"),
            ("PERSIST__STORES__ORDERS__KNOBS__HISTORY_BEATS", "8"),
            ("PERSIST__STORES__USERS__AFTER", "orders"),
            ("PERSIST__STORES__USERS__MAINTENANCE__CHECKPOINT_BYTES", "never"),
            ("PERSIST_STORE", "not ours"),
            ("PERSIST_SEED", "not ours"),
            ("OTHER__THING", "not ours"),
        ],
    )
    .unwrap()
    .config;
    assert!(!config.maintenance.enabled);
    let (orders, users) = (&config.stores["orders"], &config.stores["users"]);
    assert_eq!((orders.views_max, orders.cache_bytes.unwrap().0), (Some(17), 4096));
    assert_eq!(orders.knobs["history_beats"], "8");
    assert_eq!(
        (users.after.as_slice(), users.maintenance.checkpoint_bytes.0),
        (&["orders".to_owned()][..], None)
    );
}

#[test]
fn wrong_variables_are_named() {
    for (name, value, expected) in [
        ("PERSIST__DATA_DRI", "x", "PERSIST__DATA_DRI: data_dri: unknown key; did you mean data_dir?"),
        (
            "PERSIST__STORES__ORDRES__PATH",
            "x",
            "stores.ordres.path: there is no such store in the file; did you mean stores.orders?",
        ),
        ("PERSIST__STORES__ZZZ", "x", "stores.zzz: there is no such store in the file"),
        (
            "PERSIST__STORES__ORDERS__PTH",
            "x",
            "PERSIST__STORES__ORDERS__PTH: stores.orders.pth: unknown key; did you mean path?",
        ),
        ("PERSIST__stores__orders__path", "x", "write the name in upper case"),
        ("PERSIST__", "x", "names no key"),
        ("PERSIST__STORES____PATH", "x", "names no key"),
        ("PERSIST__DATA_DIR__X", "x", "data_dir: takes a path, not a table"),
        (
            "PERSIST__STORES__ORDERS__ENGINE__X",
            "x",
            "unknown key: what stands before the last part is no table",
        ),
        ("PERSIST__STORES", "x", "stores: takes a table of tables, not \"x\""),
        ("PERSIST__STORES__ORDERS__VIEWS_MAX", "+5", "takes a whole number, not \"+5\""),
        ("PERSIST__STORES__ORDERS__VIEWS_MAX", "", "takes a whole number, not \"\""),
        ("PERSIST__MAINTENANCE__ENABLED", "False", "takes true or false, not \"False\""),
        ("PERSIST__STORES__ORDERS__AFTER", "usres", "there is no store \"usres\"; did you mean users?"),
        (
            "PERSIST__STORES__ORDERS__COMMIT__BEAT_COMMITS_MAX",
            "0",
            "PERSIST__STORES__ORDERS__COMMIT__BEAT_COMMITS_MAX: stores.orders.commit.beat_commits_max: takes at least 1",
        ),
    ] {
        let error = load(FILE, &[(name, value)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        assert!(error.context().contains(expected), "{name}:\n  {error}\n  {expected}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("persist.json");
    std::fs::write(&file, "{}").unwrap();
    let odd = (OsString::from("PERSIST__DATA_DIR"), OsString::from_vec(vec![0xFF]));
    let error = Config::load(&file, [odd]).unwrap_err();
    assert!(error.context().contains("data_dir: the value is not UTF-8"), "{error}");
    std::fs::write(&file, r#"{"stores": {"b": null}}"#).unwrap();
    let of_none = (OsString::from("PERSIST__STORES__B__PATH"), OsString::from("x"));
    let error = Config::load(&file, [of_none]).unwrap_err();
    assert!(error.context().contains("stores.b.path: there is no such store in the file"), "{error}");
}

fn drivers() -> Vec<Arc<dyn Driver>> {
    vec![
        Arc::new(persist_memory::MemoryDriver::new()),
        Arc::new(persist_flatfile::FlatfileDriver::default()),
        Arc::new(persist_sqlite::SqliteDriver),
    ]
}

#[test]
fn engines_are_asked_about_knobs_and_sizes_without_opening() {
    let told = |text: &str| -> Vec<String> {
        let wrong = load(text, &[]).unwrap().check_engines(&drivers()).unwrap_err();
        wrong.problems.iter().map(ToString::to_string).collect()
    };
    for (text, expected) in [
        (
            "engine = 'sqllite'",
            "line 2: stores.a.engine: this build has no engine sqllite, but: memory, flatfile, sqlite; did you mean sqlite?",
        ),
        (
            "engine = 'flatfile'\nknobs.histroy_beats = 3",
            "line 3: stores.a.knobs.histroy_beats: unknown knob \"histroy_beats\"; did you mean history_beats?",
        ),
        (
            "engine = 'flatfile'\nknobs.history_beats = 'x'",
            "line 3: stores.a.knobs.history_beats: knob history_beats is \"x\"; it takes a whole number",
        ),
        (
            "engine = 'flatfile'\nstore_bytes_max = 1",
            "line 3: stores.a.store_bytes_max: store_bytes_max is 1; the least is 262144",
        ),
        (
            "engine = 'memory'",
            "line 1: stores.a.request: memory cannot give what is required: durability volatile instead of durable",
        ),
        ("mode = 'must_create'", "line 1: stores.a.engine: a store that is created needs an engine"),
        (
            "engine = 'sqlite'\nrequest.required = ['FEED']",
            "line 3: stores.a.request: sqlite cannot give what is required: missing FEED",
        ),
    ] {
        let told = told(&format!("[stores.a]\n{text}"));
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        assert!(told[0].starts_with(expected), "{text}:\n  {}\n  {expected}", told[0]);
    }
    let several = "[stores.a]\nengine='flatfile'\nknobs.x = 1\nknobs.y = 2\n[stores.b]\nengine = 'none'";
    assert_eq!(told(several).len(), 3);
    let fine = "[stores.a]\nengine='flatfile'\nknobs.history_beats = 1\n[stores.b]\n[stores.c]\nenabled = false\nengine = 'none'";
    load(fine, &[]).unwrap().check_engines(&drivers()).unwrap();
    assert_eq!(load(fine, &[]).unwrap().config.stores["a"].commit_options(), CommitOptions::default());
}
