//! Every sentence that a wrong configuration gets.

use persist_api::{Advice, Error, ErrorKind};
use persist_lifecycle::config::{CONFIG_BYTES_MAX, Config, ConfigError, Format, Place};

fn told(text: &str, format: Format) -> Vec<String> {
    let wrong = Config::parse(text, format).unwrap_err();
    wrong.problems.iter().map(ToString::to_string).collect()
}

/// A text and all that is said about it.
const TOML: &[(&str, &[&str])] = &[
    ("data_dir", &["line 1: not TOML: "]),
    ("\n\nx = ", &["line 3: not TOML: "]),
    ("a = 1\na = 2", &["line 2: not TOML: duplicate key"]),
    ("data_dri = 'x'", &["line 1: data_dri: unknown key; did you mean data_dir?"]),
    ("zzz = 1", &["line 1: zzz: unknown key; here are: data_dir, maintenance, stores"]),
    ("'a b' = 1", &["line 1: \"a b\": unknown key; here are: data_dir, maintenance, stores"]),
    ("data_dir = 1", &["line 1: data_dir: takes a path, not 1"]),
    ("data_dir = ''", &["line 1: data_dir: takes a path, not \"\""]),
    ("data_dir = \"a\\u0000\"", &["line 1: data_dir: takes a path, not \"a\\0\""]),
    ("data_dir = 1979-05-27", &["line 1: data_dir: takes a path, not 1979-05-27"]),
    ("data_dir = 1.5", &["line 1: data_dir: takes a path, not 1.5"]),
    ("data_dir = ['x']", &["line 1: data_dir: takes a path, not a list"]),
    ("stores = 3", &["line 1: stores: takes a table of tables, not 3"]),
    ("maintenance = 3", &["line 1: maintenance: takes a table, not 3"]),
    (
        "[maintenance]\nenabled = 'false'",
        &["line 2: maintenance.enabled: takes true or false, not \"false\""],
    ),
    ("[maintenance]\nenabled = 0", &["line 2: maintenance.enabled: takes true or false, not 0"]),
    (
        "[maintenance]\nlook_every = '0 s'",
        &["line 2: maintenance.look_every: takes more than no time at all"],
    ),
    (
        "[maintenance]\nlook_every = 10",
        &[
            "line 2: maintenance.look_every: takes a time with a unit (ns, us, ms, s, min, h, d), as \"5 s\", not 10",
        ],
    ),
    (
        "[stores.Orders]\n[stores.a__b]\n[stores.1a]\n[stores.'']\n[stores.a-b]",
        &[
            "line 1: stores.Orders: a name takes lower-case letters, digits and single _ between them, begins with a \
             letter and has at most 64",
            "line 2: stores.a__b: a name takes",
            "line 3: stores.1a: a name takes",
            "line 4: stores.\"\": a name takes",
            "line 5: stores.a-b: a name takes",
        ],
    ),
    ("[stores]\na = 1", &["line 2: stores.a: takes a table, not 1"]),
    ("[stores.a]\npth = 'x'", &["line 2: stores.a.pth: unknown key; did you mean path?"]),
    (
        "[stores.a]\nengine = 'SQLite'",
        &["line 2: stores.a.engine: takes the name of an engine, not \"SQLite\""],
    ),
    (
        "[stores.a]\nmode = 'create'",
        &[
            "line 2: stores.a.mode: takes \"open_or_create\", \"must_exist\" or \"must_create\", not \"create\"",
        ],
    ),
    ("[stores.a]\nafter = 'b'", &["line 2: stores.a.after: takes a list of names of stores, not \"b\""]),
    ("[stores.a]\nafter = [1]", &["line 2: stores.a.after: takes a list of names of stores, not 1"]),
    (
        "[stores.users]\n[stores.b]\nafter = ['user']",
        &["line 3: stores.b.after: there is no store \"user\"; did you mean users?"],
    ),
    (
        "[stores.a]\nafter = ['a']",
        &["line 2: stores.a.after: these stores come after each other in a ring: a after a"],
    ),
    (
        "[stores.d]\nafter = ['a']\n[stores.a]\nafter = ['b']\n[stores.b]\nafter = ['c']\n[stores.c]\nafter = ['a']",
        &["line 4: stores.a.after: these stores come after each other in a ring: a after b after c after a"],
    ),
    (
        "[stores.a]\nenabled = false\n[stores.b]\nafter = ['a']",
        &["line 4: stores.b.after: the store a is not enabled"],
    ),
    ("[stores.a]\n[stores.b]\npath = './x/../a'", &["line 3: stores.b.path: the store a lies there"]),
    ("[stores.a]\nviews_max = -1", &["line 2: stores.a.views_max: takes a whole number, not -1"]),
    ("[stores.a]\nviews_max = 1e3", &["line 2: stores.a.views_max: takes a whole number, not 1e3"]),
    (
        "[stores.a]\nviews_max = 99999999999999999999",
        &["line 2: stores.a.views_max: takes a whole number, not 99999999999999999999"],
    ),
    (
        "[stores.a]\ncache_bytes = '64 MB'",
        &["line 2: stores.a.cache_bytes: takes bytes, as 4096 or \"64 MiB\", not \"64 MB\""],
    ),
    ("[stores.a]\ncache_bytes = '16777216 TiB'", &["line 2: stores.a.cache_bytes: takes bytes"]),
    ("[stores.a]\nclose_wait = '5'", &["line 2: stores.a.close_wait: takes a time with a unit"]),
    ("[stores.a]\nclose_wait = '-5 s'", &["line 2: stores.a.close_wait: takes a time with a unit"]),
    ("[stores.a]\nclose_wait = '5  s'", &["line 2: stores.a.close_wait: takes a time with a unit"]),
    ("[stores.a]\nclose_wait = '1.5 s'", &["line 2: stores.a.close_wait: takes a time with a unit"]),
    ("[stores.a]\nclose_wait = '213503982335 d'", &["line 2: stores.a.close_wait: takes a time with a unit"]),
    ("[stores.a]\nclose_wait = '18446744073709551615001 us'", &["line 2: stores.a.close_wait: takes a time"]),
    (
        "[stores.a]\nclose_wait = '999999999999999999999999999999999999999 d'",
        &["line 2: stores.a.close_wait: takes a time"],
    ),
    ("[stores.a.knobs]\nx = true", &["line 2: stores.a.knobs.x: takes a text or a whole number, not true"]),
    (
        "[stores.a]\nknobs = 1",
        &["line 2: stores.a.knobs: takes a table of texts and whole numbers, by the names"],
    ),
    (
        "[stores.a.request]\nrequired = ['ORDERD', 'nonsense']",
        &[
            "line 2: stores.a.request.required: there is no capability ORDERD; did you mean ORDERED?",
            "line 2: stores.a.request.required: there is no capability nonsense",
        ],
    ),
    (
        "[stores.a.request]\ndurability = 'FULL'",
        &[
            "line 2: stores.a.request.durability: takes \"durable\", \"buffered\" or \"volatile\", not \"FULL\"",
        ],
    ),
    (
        "[stores.a.commit]\nredos_max = 4294967296",
        &["line 2: stores.a.commit.redos_max: takes a whole number up to"],
    ),
    (
        "[stores.a.commit]\nqueue_commits_max = 0",
        &["line 2: stores.a.commit.queue_commits_max: takes at least 1"],
    ),
    ("[stores.a.commit]\nbeat_bytes_max = 0", &["line 2: stores.a.commit.beat_bytes_max: takes at least 1"]),
    (
        "[stores.a.maintenance]\ncheckpoint_bytes = 'nevre'",
        &["line 2: stores.a.maintenance.checkpoint_bytes: takes bytes, as 4096 or \"64 MiB\", \
           or \"never\", not \"nevre\""],
    ),
    (
        "[stores.a.maintenance]\ncheckpoint_bytes = 0\ncompact_growth_percent = 0\ncheckpoint_after = '0 s'",
        &[
            "line 2: stores.a.maintenance.checkpoint_bytes: takes at least 1",
            "line 3: stores.a.maintenance.compact_growth_percent: takes at least 1",
            "line 4: stores.a.maintenance.checkpoint_after: takes more than no time at all",
        ],
    ),
    (
        "[stores.a.maintenance]\nretry_after_max = '1 s'",
        &["line 2: stores.a.maintenance.retry_after_max: takes no less than retry_after"],
    ),
    (
        // Everything is told at once, in the order of the file.
        "[stores.a]\nviews_max = 'x'\nmode = 'y'\n[stores.b]\npaht = 'z'",
        &["line 2: stores.a.views_max: ", "line 3: stores.a.mode: ", "line 5: stores.b.paht: "],
    ),
];

const JSON: &[(&str, &[&str])] = &[
    ("", &["line 1: not JSON: EOF while parsing a value"]),
    ("{", &["line 1: not JSON: "]),
    ("{\n\"data_dir\": }", &["line 2: not JSON: expected value"]),
    ("{}\n\n{}", &["line 3: not JSON: trailing characters"]),
    ("{\n\"a\": 1,\n\"a\": 2}", &["line 3: not JSON: the key \"a\" stands there twice"]),
    ("[]", &["line 1: takes a table, not a list"]),
    ("null", &["line 1: takes a table, not null"]),
    ("{\n \"data_dri\": \"x\"\n}", &["line 2: data_dri: unknown key; did you mean data_dir?"]),
    ("{\n \"data_dir\": 1\n}", &["line 2: data_dir: takes a path, not 1"]),
    (
        "{\n\"stores\": {\n\"a\": {\n\"views_max\":\n1.5\n}}}",
        &["line 4: stores.a.views_max: takes a whole number, not 1.5"],
    ),
    (
        "{\"stores\": {\"a\": {\"after\":\n [\n\"b\",\n7\n]}}}",
        &["line 4: stores.a.after: takes a list of names of stores, not 7"],
    ),
    (
        "{\"maintenance\": {\"enabled\": \"false\"}}",
        &["line 1: maintenance.enabled: takes true or false, not \"false\""],
    ),
];

#[test]
fn every_problem_names_line_key_and_what_is_right() {
    for (format, table) in [(Format::Toml, TOML), (Format::Json, JSON)] {
        for (text, expected) in table {
            let told = told(text, format);
            assert_eq!(told.len(), expected.len(), "{text:?}: {told:#?}");
            for (told, expected) in told.iter().zip(*expected) {
                let whole = expected.ends_with(|last: char| !last.is_whitespace()) && told == expected;
                assert!(whole || told.starts_with(expected), "{text:?}:\n  {told}\n  {expected}");
            }
        }
    }
}

#[test]
fn null_in_json_is_as_if_the_key_was_not_there() {
    let plain = Config::parse("[stores.a]", Format::Toml).unwrap();
    for text in [
        r#"{"data_dir": null, "stores": {"a": {"engine": null, "views_max": null, "mode": null}}}"#,
        r#"{"maintenance": null, "stores": {"a": {"request": null, "knobs": null}}}"#,
        r#"{"stores": {"a": {"knobs": {"page_bytes": null}}, "b": null}}"#,
        r#"{"stores": {"a": {"unknown": null}}, "unknown": null}"#,
    ] {
        assert_eq!(Config::parse(text, Format::Json).unwrap(), plain, "{text}");
        assert_eq!(serde_json::from_str::<Config>(text).unwrap(), plain, "{text}");
    }
    // And so nobody can come after it.
    let text = r#"{"stores": {"a": {"after": ["b"]}, "b": null}}"#;
    assert_eq!(told(text, Format::Json), ["line 1: stores.a.after: there is no store \"b\""]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("latin.toml"), [b'#', 0xE4]).unwrap();
    std::fs::create_dir(at("dir.toml")).unwrap();
    let long = usize::try_from(CONFIG_BYTES_MAX).unwrap() + 1;
    std::fs::write(at("long.toml"), vec![b'\n'; long]).unwrap();
    std::fs::write(at("wrong.toml"), "\ndata_dri = 1").unwrap();
    for (name, kind, what) in [
        ("a.yaml", ErrorKind::Invalid, "ends in .toml or .json"),
        ("plain", ErrorKind::Invalid, "ends in .toml or .json"),
        ("none.toml", ErrorKind::Invalid, "there is no such file"),
        ("latin.toml", ErrorKind::Invalid, "not UTF-8"),
        ("dir.toml", ErrorKind::Io, "not a regular file"),
        ("long.toml", ErrorKind::TooLarge, "1048576"),
    ] {
        let error = Config::load(&at(name), []).unwrap_err();
        assert_eq!((error.kind(), error.advice()), (kind, Advice::FixPath), "{name}: {error}");
        assert!(error.context().contains(what), "{name}: {error}");
        assert_eq!(error.path(), Some(at(name).as_path()), "{error}");
    }
    let error = Config::load(&at("wrong.toml"), []).unwrap_err();
    assert_eq!((error.kind(), error.advice()), (ErrorKind::Invalid, Advice::FixConfig));
    assert_eq!(error.path(), Some(at("wrong.toml").as_path()));
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<ConfigError>().unwrap();
    assert_eq!(source.problems[0].place, Place::Line(2));
    assert_eq!(source.problems[0].key, "data_dri");
    assert_eq!(source.problems[0].near.as_deref(), Some("data_dir"));
    assert_eq!(
        error.to_string(),
        format!(
            "config: line 2: data_dri: unknown key; did you mean data_dir? [{}] (invalid); correct the configuration",
            at("wrong.toml").display()
        )
    );
}

#[test]
fn a_file_of_nothing_but_mistakes_takes_little() {
    let many = (0..20_000).map(|number| format!("k{number} = {number}")).collect::<Vec<_>>().join("\n");
    assert_eq!(told(&many, Format::Toml).len(), 100);
    let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    for text in [
        format!("x = {}", deep("[", "]")),
        format!("x = {}", deep("{a = ", "}")),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
    ] {
        let told = told(&text, Format::Toml);
        assert_eq!(told.len(), 1);
        assert!(told[0].len() < 400, "{}", told[0]);
    }
    for text in [deep("[", "]"), deep("{\"a\":", "}")] {
        assert!(told(&text, Format::Json)[0].contains("not JSON: recursion limit"));
    }
    let long = format!("{} = 1", "k".repeat(100_000));
    assert!(told(&long, Format::Toml)[0].len() < 400);
}

#[test]
fn a_configuration_of_a_program_is_checked_too() {
    let mut config = Config::default();
    config.stores.insert("No Name".to_owned(), persist_lifecycle::config::StoreConfig::default());
    let error = Error::from(config.check().unwrap_err());
    assert!(error.context().contains("No Name: this is no name of a store"), "{error}");
    config.stores.clear();
    config.check().unwrap();
}
