//! config, and stores by their names in a configuration.

use serde_json::json;

use crate::kit::{Place, Run, assert_fields};

const FILE: &str = "data_dir = 'all'\n[stores.users]\nengine = 'sqlite'\n\
                    [stores.orders]\nengine = 'flatfile'\nafter = ['users']\nknobs.history_beats = 3\n";

fn place() -> Place {
    let place = Place::new();
    place.write("persist.toml", FILE.as_bytes());
    place
}

fn at(place: &Place, args: &[&str]) -> Run {
    place.run(&[&["--config", "persist.toml"], args].concat())
}

#[test]
fn stores_are_opened_by_their_names() {
    let place = place();
    at(&place, &["init", "--store", "@orders"]).ok();
    at(&place, &["init", "--store", "@users"]).ok();
    assert!(place.path().join("all/orders/persist.stamp").exists());
    at(&place, &["put", "key", "value", "--store", "@orders"]).ok();
    assert_eq!(at(&place, &["get", "key", "--store", "@orders"]).ok().text(), "value\n");
    // The same store by its address.
    assert_eq!(place.run(&["get", "key", "--store", "all/orders"]).ok().text(), "value\n");
    let engine = |name: &str| {
        let stats = at(&place, &["stats", "--json", "--store", name]).ok().objects().remove(0);
        stats["engine"].as_str().unwrap().to_owned()
    };
    assert_eq!((engine("@orders"), engine("@users")), ("flatfile".to_owned(), "sqlite".to_owned()));
    at(&place, &["doctor", "--store", "@orders"]).ok();
    at(&place, &["get", "key", "--store", "@users"]).fails(8, "no record");
}

#[test]
fn the_only_store_needs_no_name_and_several_do() {
    let place = place();
    at(&place, &["stats"]).fails(2, "name one of the stores");
    at(&place, &["stats", "--store", "@order"]).fails(2, "has no store order; did you mean @orders?");
    place.run(&["stats", "--store", "@orders"]).fails(2, "add --config FILE");
    place.write("persist.toml", b"[stores.only]\nengine = 'flatfile'\n");
    at(&place, &["init"]).ok();
    let output = place.command(&["stats", "--json"]).env("PERSIST_CONFIG", "persist.toml").output().unwrap();
    let home = Run::of(output).ok().objects().remove(0)["home"].as_str().unwrap().to_owned();
    assert!(home.ends_with("/data/only"), "{home}");
    place.write("persist.toml", b"");
    at(&place, &["stats"]).fails(2, "names no store");
}

#[test]
fn what_the_configuration_asks_is_what_the_store_grants() {
    let place = place();
    let asks = "[stores.plain]\nengine = 'sqlite'\nviews_max = 7\nrequest.preferred = []\nrequest.durability = 'buffered'\n";
    place.write("persist.toml", asks.as_bytes());
    let init = at(&place, &["init", "--json"]).ok().objects().remove(0);
    assert_eq!((&init["durability"], &init["layers"]), (&json!("buffered"), &json!(["prefix/1"])));
    let stats = at(&place, &["stats", "--json"]).ok().objects().remove(0);
    assert_eq!(stats["limits"]["views_max"], 7);
    at(&place, &["compact"]).fails(7, "COMPACTION");
    // Asked for with a duration that it did not promise.
    at(&place, &["put", "key", "value"]).fails(7, "durability durable is not granted");
    at(&place, &["put", "key", "value", "--buffered"]).ok();
}

#[test]
fn check_says_all_that_is_wrong_and_the_order_where_nothing_is() {
    let place = place();
    let fine = at(&place, &["config", "check", "--json"]).ok().object("ok file stores overridden");
    assert_eq!((&fine["ok"], &fine["stores"]), (&json!(true), &json!(["users", "orders"])));
    assert!(
        place.run(&["config", "check", "persist.toml"]).ok().text().contains("in this order: users, orders")
    );
    place.run(&["config", "check"]).fails(2, "which file?");
    place.run(&["config", "check", "none.toml"]).fails(1, "there is no such file");

    let wrong = "[stores.a]\npth = 'x'\nengine = 'flatfile'\nknobs.histroy_beats = 1\nviews_max = -1\n";
    place.write("wrong.toml", wrong.as_bytes());
    let run = place.run(&["config", "check", "wrong.toml", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    let told = run.objects();
    assert_eq!(told.len(), 3);
    assert_fields(&told[0], "line variable key what near");
    assert_eq!(
        (&told[0]["line"], &told[0]["key"], &told[0]["near"]),
        (&json!(2), &json!("stores.a.pth"), &json!("path"))
    );
    assert_eq!((&told[1]["line"], &told[1]["near"]), (&json!(5), &json!(null)));
    let file = std::path::absolute(place.path().join("wrong.toml")).unwrap().display().to_string();
    assert_eq!(told[2], json!({"ok": false, "file": file, "stores": [], "overridden": []}));
    let text = place.run(&["config", "check", "wrong.toml"]);
    assert!(
        text.text().starts_with("line 2: stores.a.pth: unknown key; did you mean path?\n"),
        "{}",
        text.text()
    );

    // Engines are asked once the rest is right.
    place.write("wrong.toml", wrong.replace("pth", "path").replace("-1", "1").as_bytes());
    let told = place.run(&["config", "check", "wrong.toml", "--json"]).objects();
    assert_eq!((&told[0]["line"], &told[0]["key"]), (&json!(4), &json!("stores.a.knobs.histroy_beats")));
    // Other commands say it in one line, and touch nothing.
    place.run(&["--config", "wrong.toml", "init"]).fails(1, "did you mean history_beats?");
    assert!(!place.path().join("data").exists());
}

#[test]
fn show_prints_what_is_in_effect_and_default_what_there_is() {
    let place = place();
    let shown = |json: &[&str]| {
        let mut command = place.command(&[&["config", "show", "persist.toml"], json].concat());
        Run::of(command.env("PERSIST__STORES__ORDERS__CLOSE_WAIT", "7 s").output().unwrap()).ok()
    };
    let orders = &shown(&["--json"]).objects()[0]["stores"]["orders"];
    assert_eq!((&orders["close_wait"], &orders["engine"]), (&json!("7 s"), &json!("flatfile")));
    let text = shown(&[]);
    assert!(text.text().starts_with("# PERSIST__STORES__ORDERS__CLOSE_WAIT sets stores.orders.close_wait\n"));
    assert!(text.text().contains("\nclose_wait = \"7 s\"\n"), "{}", text.text());
    // What is shown is a configuration that says the same.
    place.write("again.toml", text.text().as_bytes());
    let again = place.run(&["config", "show", "again.toml", "--json"]).ok();
    assert_eq!(again.objects(), shown(&["--json"]).objects());

    let wrong =
        place.command(&["config", "show", "persist.toml"]).env("PERSIST__STORES__ORDER__PATH", "x").output();
    Run::of(wrong.unwrap()).fails(1, "did you mean stores.orders?");
    let default = place.run(&["config", "default"]).ok();
    place.write("default.toml", &default.stdout);
    assert!(place.run(&["config", "check", "default.toml"]).ok().text().contains("no store"));
    assert!(place.run(&["config", "default", "--json"]).ok().objects()[0]["data_dir"] == "data");
}

#[test]
fn maintain_opens_in_order_does_the_upkeep_and_closes_in_the_opposite_order() {
    let place = place();
    at(&place, &["maintain"]).fails(1, "users: there is no store here");
    assert!(!place.path().join("all").exists());
    at(&place, &["init", "--store", "@users"]).ok();
    at(&place, &["maintain"]).fails(1, "orders: there is no store here");
    at(&place, &["init", "--store", "@orders"]).ok();
    at(&place, &["put", "key", "value", "--store", "@orders"]).ok();

    let told = at(&place, &["maintain", "--compact", "--json"]).ok().objects();
    let steps: Vec<_> =
        told.iter().map(|one| (one["step"].as_str().unwrap(), one["store"].as_str().unwrap())).collect();
    let expected = [
        ("open", "users"),
        ("open", "orders"),
        ("checkpoint", "users"),
        ("compact", "users"),
        ("checkpoint", "orders"),
        ("compact", "orders"),
        ("close_store", "orders"),
        ("close_store", "users"),
    ];
    assert_eq!(steps, expected);
    assert_fields(&told[1], "step store engine home created beat phases recovered strangers milliseconds");
    assert_eq!((&told[1]["beat"], &told[1]["recovered"]["recovered_frames"]), (&json!("1"), &json!(1)));
    assert_fields(&told[2], "step store ok bytes error milliseconds");
    assert_fields(&told[6], "step store ok error milliseconds");
    assert!(told[2..].iter().all(|one| one["ok"] == true && one["error"].is_null()));
    let doctor = at(&place, &["doctor", "--store", "@orders", "--json"]).ok().objects().remove(0);
    assert_eq!((&doctor["closed"], &doctor["runs"], &doctor["frames"]), (&json!(true), &json!(1), &json!(0)));

    let text = at(&place, &["maintain", "users"]).ok();
    assert!(text.text().ends_with("users: closed\n") && !text.text().contains("orders"), "{}", text.text());
    let both = at(&place, &["maintain", "@orders"]).ok();
    assert!(both.text().starts_with("users: sqlite, beat 0"), "{}", both.text());
    at(&place, &["maintain", "order"]).fails(2, "did you mean orders?");
    place.run(&["maintain"]).fails(2, "which stores?");
}
