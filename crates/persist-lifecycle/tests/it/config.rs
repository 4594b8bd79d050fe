//! What a configuration can say, in both formats, and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use persist_api::{Caps, Durability, OpenMode, OpenOptions, Request};
use persist_lifecycle::config::{
    Bytes, CommitConfig, Config, Format, LimitsConfig, MaintenanceConfig, RequestConfig, StoreConfig,
    Trigger, UpkeepConfig, ViewsConfig, reference, template,
};
use persist_store::{CommitOptions, ViewOptions, default_request};
use proptest::prelude::*;

/// Every key, each with another value than its default.
const EVERY_KEY: &str = r#"
data_dir = "elsewhere"

[maintenance]
enabled = false
look_every = "3 s"

[stores.users]

[stores.orders]
enabled = false
engine = "sqlite"
path = "far/away"
mode = "must_exist"
after = ["users"]
open_wait = "250ms"
close_wait = "1 min"
cache_bytes = "8 MiB"
memory_bytes = "16 MiB"
store_bytes_max = 1_000_000
views_max = 17
key_file = "secret.keys"

[stores.orders.views]
age_max = "30 s"

[stores.orders.knobs]
page_bytes = 8192
other = "text"

[stores.orders.request]
durability = "buffered"
durability_may_pend = true
required = ["ORDERED", "SNAPSHOT"]
preferred = []

[stores.orders.request.at_least]
key_bytes_max = 100
value_bytes_max = "2 GiB"
beat_bytes_max = "3 KiB"
views_max = 4
store_bytes_max = "5 TiB"

[stores.orders.commit]
wait = "1 h"
queue_commits_max = 1
queue_bytes_max = 2
beat_commits_max = 3
beat_bytes_max = 4
gather = "0 ms"
redos_max = 5
reads_bytes_max = 6

[stores.orders.maintenance]
checkpoint_bytes = "never"
checkpoint_after = "2 d"
compact_growth_percent = 50
compact_bytes_min = "1 B"
compact_after = "7 d"
compact_keep_beats = 8
retry_after = "9 s"
retry_after_max = "10 s"
busy_after = "11 s"
"#;

fn every_key() -> Config {
    let orders = StoreConfig {
        enabled: false,
        engine: Some("sqlite".to_owned()),
        path: Some(PathBuf::from("far/away")),
        mode: OpenMode::MustExist,
        after: vec!["users".to_owned()],
        open_wait: Duration::from_millis(250),
        close_wait: Duration::from_secs(60),
        cache_bytes: Some(Bytes::mib(8)),
        memory_bytes: Some(Bytes::mib(16)),
        store_bytes_max: Some(Bytes(1_000_000)),
        views_max: Some(17),
        key_file: Some(PathBuf::from("secret.keys")),
        knobs: BTreeMap::from([
            ("page_bytes".to_owned(), "8192".to_owned()),
            ("other".to_owned(), "text".to_owned()),
        ]),
        request: RequestConfig {
            durability: Durability::Buffered,
            durability_may_pend: true,
            required: Caps::ORDERED | Caps::SNAPSHOT,
            preferred: Caps::empty(),
            at_least: LimitsConfig {
                key_bytes_max: Bytes(100),
                value_bytes_max: Bytes(2 << 30),
                beat_bytes_max: Bytes(3 << 10),
                views_max: 4,
                store_bytes_max: Bytes(5 << 40),
            },
        },
        commit: CommitConfig {
            wait: Duration::from_secs(3600),
            queue_commits_max: 1,
            queue_bytes_max: Bytes(2),
            beat_commits_max: 3,
            beat_bytes_max: Bytes(4),
            gather: Duration::ZERO,
            redos_max: 5,
            reads_bytes_max: Bytes(6),
        },
        views: ViewsConfig { age_max: Trigger::at(Duration::from_secs(30)) },
        maintenance: MaintenanceConfig {
            checkpoint_bytes: Trigger::never(),
            checkpoint_after: Trigger::at(Duration::from_secs(2 * 86_400)),
            compact_growth_percent: Trigger::at(50),
            compact_bytes_min: Bytes(1),
            compact_after: Trigger::at(Duration::from_secs(7 * 86_400)),
            compact_keep_beats: 8,
            retry_after: Duration::from_secs(9),
            retry_after_max: Duration::from_secs(10),
            busy_after: Duration::from_secs(11),
        },
    };
    Config {
        data_dir: PathBuf::from("elsewhere"),
        maintenance: UpkeepConfig { enabled: false, look_every: Duration::from_secs(3) },
        stores: [("orders".to_owned(), orders), ("users".to_owned(), StoreConfig::default())].into(),
    }
}

#[test]
fn every_key_is_read_in_both_formats_and_written_back() {
    let config = Config::parse(EVERY_KEY, Format::Toml).unwrap();
    assert_eq!(config, every_key());
    let json = serde_json::to_string_pretty(&config).unwrap();
    assert_eq!(Config::parse(&json, Format::Json).unwrap(), config);
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    assert_eq!(Config::parse(&config.to_toml(), Format::Toml).unwrap(), config);
    // No key is left out of the test: each value differs from its default.
    let defaults: BTreeMap<_, _> = default_settings();
    for (key, value, _) in config.settings() {
        if let Some(name) = key.strip_prefix("stores.orders.").filter(|name| !name.starts_with("knobs")) {
            assert_ne!(defaults.get(name), Some(&value), "{key}");
        }
    }
}

/// The keys of a store with their defaults.
fn default_settings() -> BTreeMap<String, Option<String>> {
    let stores = [("plain".to_owned(), StoreConfig::default())].into();
    let settings = Config { stores, ..Config::default() }.settings().into_iter();
    let below =
        |(key, value, _): (String, _, _)| Some((key.strip_prefix("stores.plain.")?.to_owned(), value));
    settings.filter_map(below).collect()
}

#[test]
fn defaults_are_those_of_the_parts_and_no_temporary_place() {
    let config = Config::parse("", Format::Toml).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(Config::parse("{}", Format::Json).unwrap(), config);
    assert_eq!(config.data_dir, Path::new("data"));
    let store = StoreConfig::default();
    assert_eq!(store.open_options(), OpenOptions::default());
    assert_eq!(store.commit_options(), CommitOptions::default());
    assert_eq!(store.view_options(), ViewOptions::default());
    assert_eq!(store.request(), default_request());
}

#[test]
fn a_store_is_opened_as_its_keys_say() {
    let config = every_key();
    let orders = &config.stores["orders"];
    let options = orders.open_options();
    assert_eq!(
        options,
        OpenOptions {
            mode: OpenMode::MustExist,
            cache_bytes: Some(8 << 20),
            memory_bytes: Some(16 << 20),
            store_bytes_max: Some(1_000_000),
            views_max: Some(17),
            close_wait: Duration::from_secs(60),
            importing: false,
            keep_feed: false,
            knobs: orders.knobs.clone(),
        }
    );
    let Request { required, preferred, durability, durability_may_pend, limits, .. } = orders.request();
    assert_eq!((required, preferred), (Caps::ORDERED | Caps::SNAPSHOT, Caps::empty()));
    assert_eq!((durability, durability_may_pend), (Durability::Buffered, true));
    assert_eq!(limits.named().map(|(_, limit)| limit), [100, 2 << 30, 3 << 10, 4, 5 << 40]);
    let commit = orders.commit_options();
    assert_eq!((commit.wait, commit.gather), (Duration::from_secs(3600), Duration::ZERO));
    assert_eq!(
        (commit.queue_commits_max, commit.queue_bytes_max, commit.beat_commits_max, commit.beat_bytes_max),
        (1, 2, 3, 4)
    );
    assert_eq!((commit.redos_max, commit.reads_bytes_max), (5, 6));
}

#[test]
fn the_template_says_nothing_until_it_is_uncommented_and_then_the_defaults() {
    let template = template();
    assert_eq!(Config::parse(&template, Format::Toml).unwrap(), Config::default());
    let is_setting = |line: &str| {
        let key = line.split(" =").next().unwrap_or_default();
        line.starts_with('[')
            || (line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let said: Vec<String> = template
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| is_setting(line))
        .map(|line| line.replace("NAME", "plain"))
        .collect();
    let config = Config::parse(&said.join("\n"), Format::Toml).unwrap();
    let stores = [("plain".to_owned(), StoreConfig::default())].into();
    assert_eq!(config, Config { stores, ..Config::default() });
    for key in default_settings().keys() {
        let last = key.rsplit('.').next().unwrap();
        assert!(template.lines().any(|line| line.starts_with(&format!("# {last} ="))), "{key}");
        assert!(reference().contains(&format!("| `{last}` |")), "{key}");
    }
}

#[test]
fn paths_start_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("persist.toml");
    let text = "[stores.a]\nkey_file = 'keys'\n[stores.b]\npath = 'c/d'\n[stores.e]\npath = '/abs'\n";
    std::fs::write(&file, text).unwrap();
    let paths = |config: &Config| -> Vec<PathBuf> {
        config.stores.values().map(|store| store.path.clone().unwrap()).collect()
    };
    let loaded = Config::load(&file, []).unwrap();
    let data = dir.path().join("data");
    assert_eq!(loaded.file, file);
    assert_eq!(loaded.config.data_dir, data);
    assert_eq!(loaded.config.stores["a"].key_file, Some(dir.path().join("keys")));
    assert_eq!(paths(&loaded.config), [data.join("a"), data.join("c/d"), PathBuf::from("/abs")]);
    // Once more changes nothing.
    let mut again = loaded.config.clone();
    again.resolve(Path::new("/other"));
    assert_eq!(again, loaded.config);

    std::fs::write(&file, format!("data_dir = '/srv'\n{text}")).unwrap();
    let paths_now = paths(&Config::load(&file, []).unwrap().config);
    assert_eq!(paths_now, ["/srv/a", "/srv/c/d", "/abs"].map(PathBuf::from));
}

#[test]
fn the_end_of_the_name_tells_the_format() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("a.toml", "data_dir = 'x'"), ("a.TOML", "data_dir = 'x'"), ("a.json", "{\"data_dir\": \"x\"}")]
    {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        assert_eq!(Config::load(&file, []).unwrap().config.data_dir, dir.path().join("x"), "{name}");
    }
}

#[test]
fn a_configuration_can_be_part_of_another_document() {
    #[derive(serde::Deserialize)]
    struct Service {
        port: u16,
        persist: Config,
    }
    let service: Service =
        serde_json::from_str(r#"{"port": 1, "persist": {"stores": {"a": {"engine": "memory"}}}}"#).unwrap();
    assert_eq!((service.port, service.persist.stores["a"].engine.as_deref()), (1, Some("memory")));
    let wrong = serde_json::from_str::<Config>(r#"{"stores": {"a": {"egnine": "memory"}}}"#).unwrap_err();
    assert!(wrong.to_string().contains("stores.a.egnine: unknown key; did you mean engine?"), "{wrong}");
}

#[test]
fn times_are_written_in_the_largest_unit_that_gives_a_whole_number() {
    let text = |time: Duration| {
        let config = Config {
            maintenance: UpkeepConfig { look_every: time, ..UpkeepConfig::default() },
            ..Config::default()
        };
        let settings = config.settings();
        settings
            .into_iter()
            .find(|(key, ..)| key == "maintenance.look_every")
            .unwrap()
            .1
            .unwrap()
            .replace('"', "")
    };
    assert_eq!(text(Duration::from_nanos(1)), "1 ns");
    assert_eq!(text(Duration::from_nanos(1_500)), "1500 ns");
    assert_eq!(text(Duration::from_micros(1_500)), "1500 us");
    assert_eq!(text(Duration::from_millis(2)), "2 ms");
    assert_eq!(text(Duration::from_secs(86_400)), "1 d");
    assert_eq!(text(Duration::from_millis(86_400_001)), "86400001 ms");
    assert_eq!(text(Duration::ZERO), "0 s");
    // What is longer ends where the reader does.
    assert_eq!(text(Duration::MAX), "18446744073709551615 ms");
}

proptest! {
    #[test]
    fn times_and_sizes_are_written_as_they_are_read(bytes: u64, millis: u64, nanos in 0..=u64::MAX, digits in 0..20_u32) {
        let mut config = every_key();
        let orders = config.stores.get_mut("orders").unwrap();
        orders.cache_bytes = Some(Bytes(bytes));
        orders.close_wait = Duration::from_millis(millis);
        // Of every order of magnitude.
        orders.commit.gather = Duration::from_nanos(nanos / 10_u64.pow(digits));
        prop_assert_eq!(Config::parse(&config.to_toml(), Format::Toml).unwrap(), config);
    }

    #[test]
    fn texts_of_any_kind_survive_the_way_to_toml(value in any::<String>(), path in "[^\0]{1,40}") {
        let mut config = every_key();
        let orders = config.stores.get_mut("orders").unwrap();
        orders.knobs.insert("any".to_owned(), value);
        orders.path = Some(PathBuf::from(path));
        prop_assert_eq!(&Config::parse(&config.to_toml(), Format::Toml).unwrap(), &config);
        let json = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(Config::parse(&json, Format::Json).unwrap(), config);
    }

    #[test]
    fn arbitrary_text_gives_a_configuration_or_problems(text in any::<String>()) {
        for format in [Format::Toml, Format::Json] {
            if let Err(wrong) = Config::parse(&text, format) {
                prop_assert!((1..=100).contains(&wrong.problems.len()));
            }
        }
    }

    #[test]
    fn half_right_text_gives_a_configuration_or_problems(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "[", "]", "[stores.a]", "[stores.a.knobs]", "stores", "data_dir", "=", "'x'", "1", "{", "}", ":", ",",
                "\n", ".", "\"after\"", "[\"a\"]", "never", "null", "1979-05-27", "1e9", "true", "-1", "\"\"",
            ]),
            0..30,
        )
    ) {
        for format in [Format::Toml, Format::Json] {
            let _ = Config::parse(&words.concat(), format);
            let _ = Config::parse(&words.join(" "), format);
        }
    }
}
