//! Opening in order, failing in the middle, closing in the opposite order.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{Durability, Error, ErrorKind, Observer, Progress, Quiet, Result};
use persist_lifecycle::config::Config;
use persist_lifecycle::maintenance::Task;
use persist_lifecycle::{
    Closed, Component, Event, OpenFailed, Registry, RegistryOptions, Replayed, Step, Stores,
};

use crate::kit::{HandClock, Stop, commit, config, drivers, open};

const THREE: &str = "[stores.a]\nengine = 'sqlite'\nafter = ['c']\n[stores.b]\nengine = 'flatfile'\nafter = ['a']\n\
                     [stores.c]\nengine = 'flatfile'\n[maintenance]\nenabled = false\n";

pub fn options() -> RegistryOptions {
    RegistryOptions::new(drivers()).clock(Arc::new(HandClock::default()))
}

pub fn open_all(config: &Config) -> Registry {
    Registry::open(config, options(), Vec::new(), &Quiet).unwrap()
}

/// Whether the files of a flatfile store say that it was closed.
fn is_closed(home: &Path) -> bool {
    persist_flatfile::doctor::examine(&persist_io::RealDisk, &home.join("engine-1"), &Quiet).unwrap().closed
}

fn steps(closed: &[Closed]) -> Vec<(&str, Step, Option<ErrorKind>)> {
    closed
        .iter()
        .map(|one| (one.name.as_str(), one.step, one.result.as_ref().err().map(Error::kind)))
        .collect()
}

/// Writes down what it is called for, and fails where it is told to.
struct Diary {
    name: &'static str,
    fails_at: &'static str,
    pages: Arc<Mutex<Vec<String>>>,
}

impl Diary {
    fn write(&self, step: &'static str) -> Result<()> {
        self.pages.lock().push(format!("{} {step}", self.name));
        if self.fails_at == step {
            return Err(Error::new(ErrorKind::Conflict, "component", "as told"));
        }
        Ok(())
    }
}

impl Component for Diary {
    fn name(&self) -> &str {
        self.name
    }

    fn stores(&self) -> Vec<String> {
        vec!["a".to_owned()]
    }

    fn open(&mut self, stores: &Stores) -> Result<()> {
        assert_eq!(stores.names(), ["c", "a", "b"]);
        stores.get("a")?.view()?;
        self.write("open")
    }

    fn replay(&mut self, seen: &dyn Observer) -> Result<Replayed> {
        seen.step("replay", Progress { phase: "replay", done: 3, total: None, unit: "items" })?;
        self.write("replay").map(|()| Replayed { items: 3, bytes: 30 })
    }

    fn ready(&mut self) -> Result<()> {
        self.write("ready")
    }

    fn flush(&mut self) -> Result<()> {
        self.write("flush")
    }

    fn close(&mut self) -> Result<()> {
        self.write("close")
    }
}

type Pages = Arc<Mutex<Vec<String>>>;

fn diaries(fails: [&'static str; 2]) -> (Vec<Box<dyn Component>>, Pages) {
    let pages = Pages::default();
    let of =
        |name, fails_at| Box::new(Diary { name, fails_at, pages: Arc::clone(&pages) }) as Box<dyn Component>;
    (vec![of("one", fails[0]), of("two", fails[1])], pages)
}

#[test]
fn stores_open_in_their_order_and_close_in_the_opposite_one() {
    let dir = tempfile::tempdir().unwrap();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = Arc::clone(&told);
    let options = options().listener(move |event| {
        listener.lock().push(match event {
            Event::Opening(name) => format!("opening {name}"),
            Event::StoreOpened(opened) => format!("opened {}", opened.name),
            Event::ComponentOpened(opened) => format!("component {}", opened.name),
            Event::Ready => "ready".to_owned(),
            Event::Upkeep(run) => format!("upkeep {}", run.store),
            Event::Closed(closed) => format!("{} {}", closed.step.name(), closed.name),
        });
    });
    let (components, pages) = diaries(["", ""]);
    let mut registry = Registry::open(&config(dir.path(), THREE), options, components, &Quiet).unwrap();
    assert!(registry.is_ready());
    let names: Vec<_> =
        registry.store_reports().iter().map(|report| (report.name.as_str(), report.engine)).collect();
    assert_eq!(names, [("c", "flatfile"), ("a", "sqlite"), ("b", "flatfile")]);
    assert!(registry.store_reports().iter().all(|report| report.created && report.beat.0 == 0));
    let replayed: Vec<_> = registry.component_reports().iter().map(|report| report.replayed).collect();
    assert_eq!(replayed, [Replayed { items: 3, bytes: 30 }; 2]);
    commit(&registry.store("b").unwrap(), "key", 10, Durability::Durable);

    let closed = registry.close();
    assert!(!registry.is_ready());
    let expected = [
        ("two", Step::Flush, None),
        ("one", Step::Flush, None),
        ("two", Step::CloseComponent, None),
        ("one", Step::CloseComponent, None),
        ("b", Step::CloseStore, None),
        ("a", Step::CloseStore, None),
        ("c", Step::CloseStore, None),
    ];
    assert_eq!(steps(&closed), expected);
    assert!(is_closed(&dir.path().join("data/b")));
    assert!(registry.close().is_empty());
    assert_eq!(registry.store("a").unwrap_err().kind(), ErrorKind::Invalid);
    drop(registry);
    let life = "one open, one replay, two open, two replay, one ready, two ready, two flush, one flush, two close, one close";
    assert_eq!(pages.lock().join(", "), life);
    let events = "opening c, opened c, opening a, opened a, opening b, opened b, component one, component two, ready, \
                  flush two, flush one, close_component two, close_component one, close_store b, close_store a, close_store c";
    assert_eq!(told.lock().join(", "), events);

    let again = open_all(&config(dir.path(), THREE));
    let b = &again.store_reports()[2];
    assert_eq!((b.created, b.beat.0, b.commit.0), (false, 1, 1));
}

#[test]
fn a_component_that_fails_ends_what_was_opened_before_it() {
    let all = ["b", "a", "c"].map(|name| (name, Step::CloseStore, None));
    for (fails, culprit, life) in [
        (["", "open"], "two", "one open, one replay, two open, one flush, one close"),
        (
            ["", "replay"],
            "two",
            "one open, one replay, two open, two replay, two flush, one flush, two close, one close",
        ),
        (["replay", ""], "one", "one open, one replay, one flush, one close"),
        (
            ["ready", ""],
            "one",
            "one open, one replay, two open, two replay, one ready, two flush, one flush, two close, one close",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), THREE);
        let (components, pages) = diaries(fails);
        let failed = Registry::open(&config, options(), components, &Quiet).unwrap_err();
        assert_eq!((failed.name.as_str(), failed.error.kind()), (culprit, ErrorKind::Conflict), "{fails:?}");
        assert_eq!(pages.lock().join(", "), life, "{fails:?}");
        let closed = steps(&failed.closed);
        assert_eq!(&closed[closed.len() - 3..], all, "{fails:?}");
        open_all(&config);
    }
}

#[test]
fn flush_and_close_that_fail_are_told_and_keep_nothing_from_closing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), THREE);
    let (components, _) = diaries(["close", "flush"]);
    let mut registry = Registry::open(&config, options(), components, &Quiet).unwrap();
    let closed = registry.close();
    let failed: Vec<_> = steps(&closed).into_iter().filter(|(.., error)| error.is_some()).collect();
    let conflict = Some(ErrorKind::Conflict);
    assert_eq!(failed, [("two", Step::Flush, conflict), ("one", Step::CloseComponent, conflict)]);
    assert_eq!(closed.len(), 7);
    open_all(&config);
}

pub fn fail(config: &Config) -> OpenFailed {
    Registry::open(config, options(), Vec::new(), &Quiet).unwrap_err()
}

#[test]
fn a_store_that_fails_closes_those_before_it_and_says_which_one_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), THREE);
    // Somebody else's directory where b shall lie.
    std::fs::create_dir_all(dir.path().join("data/b")).unwrap();
    std::fs::write(dir.path().join("data/b/notes.txt"), "mine").unwrap();
    let failed = fail(&config);
    assert_eq!((failed.name.as_str(), failed.error.kind()), ("b", ErrorKind::Mismatch));
    assert_eq!(steps(&failed.closed), [("a", Step::CloseStore, None), ("c", Step::CloseStore, None)]);
    let error = Error::from(failed);
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Mismatch, Some(dir.path().join("data/b").as_path()))
    );
    assert!(error.context().starts_with("b: "), "{error}");
    // What was opened is free and whole again.
    std::fs::remove_dir_all(dir.path().join("data/b")).unwrap();
    let registry = open_all(&config);
    let created: Vec<_> = registry.store_reports().iter().map(|report| report.created).collect();
    assert_eq!(created, [false, false, true]);
}

#[test]
fn a_wrong_configuration_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = config(dir.path(), THREE);
    ring.stores.get_mut("c").unwrap().after.push("b".to_owned());
    let mut knob = config(dir.path(), THREE);
    knob.stores.get_mut("b").unwrap().knobs.insert("memtable_byte".to_owned(), "1".to_owned());
    for (wrong, what) in
        [(ring, "in a ring: a after c after b after a"), (knob, "did you mean memtable_bytes?")]
    {
        let failed = fail(&wrong);
        assert_eq!((failed.name.as_str(), failed.error.kind()), ("the configuration", ErrorKind::Invalid));
        assert!(failed.error.context().contains(what), "{}", failed.error);
        assert!(failed.closed.is_empty() && !dir.path().join("data").exists());
    }
    let mut unopened = config(dir.path(), THREE);
    unopened.stores.remove("b");
    unopened.stores.get_mut("a").unwrap().enabled = false;
    let (components, pages) = diaries(["", ""]);
    let failed = Registry::open(&unopened, options(), components, &Quiet).unwrap_err();
    assert_eq!((failed.name.as_str(), failed.error.kind()), ("one", ErrorKind::Invalid));
    assert!(failed.error.context().contains("needs the store a, which is not opened"), "{}", failed.error);
    assert!(pages.lock().is_empty() && !dir.path().join("data").exists());
}

#[test]
fn what_is_replayed_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let one = config(dir.path(), "[stores.a]\nengine = 'flatfile'\n");
    let (writer, store) = open(&one, &drivers());
    for key in ["x", "y", "z"] {
        commit(&store, key, 1000, Durability::Durable);
    }
    // As after the death of a process: nobody closes.
    drop((writer, store));
    let registry = open_all(&one);
    let report = &registry.store_reports()[0];
    let replay = report.phases.iter().find(|phase| phase.phase == "replay").expect("a replay");
    assert!(replay.done >= 3000 && replay.unit == "bytes", "{replay:?}");
    let frames = report.recovered.iter().find(|(name, _)| *name == "recovered_frames").unwrap();
    assert_eq!((frames.1, report.beat.0, report.created), (3, 3, false));
    assert_eq!(report.home.as_deref(), Some(dir.path().join("data/a").as_path()));
}

#[test]
fn an_opening_that_is_cancelled_closes_what_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let two = config(dir.path(), "[stores.a]\nengine = 'flatfile'\n[stores.b]\nengine = 'flatfile'\n");
    let mut only_b = two.clone();
    only_b.stores.remove("a");
    let (writer, store) = open(&only_b, &drivers());
    commit(&store, "key", 1000, Durability::Durable);
    drop((writer, store));
    // The new store a has nothing to report; the replay of b has.
    let failed = Registry::open(&two, options(), Vec::new(), &Stop).unwrap_err();
    assert_eq!((failed.name.as_str(), failed.error.kind()), ("b", ErrorKind::Cancelled));
    assert_eq!(steps(&failed.closed), [("a", Step::CloseStore, None)]);
    open_all(&two);
}

#[test]
fn opening_waits_for_another_holder_as_long_as_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let one = config(dir.path(), "[stores.a]\nengine = 'flatfile'\n");
    let patient = config(dir.path(), "[stores.a]\nengine = 'flatfile'\nopen_wait = '1 s'\n");
    let holder = open(&one, &drivers());
    let try_open = |config: &Config, clock: &Arc<HandClock>| {
        Registry::open(config, options().clock(clock.clone()), Vec::new(), &Quiet)
    };
    let clock = Arc::new(HandClock::default());
    assert_eq!(try_open(&one, &clock).unwrap_err().error.kind(), ErrorKind::Locked);
    assert_eq!(clock.pauses(), 0);
    assert_eq!(try_open(&patient, &clock).unwrap_err().error.kind(), ErrorKind::Locked);
    assert_eq!(clock.pauses(), 20);

    let clock = Arc::new(HandClock::default());
    let (held, mut pauses) = (Mutex::new(Some(holder)), 0);
    clock.on_pause(move || {
        pauses += 1;
        if pauses == 3 {
            held.lock().take();
        }
    });
    let registry = try_open(&patient, &clock).unwrap();
    assert_eq!((clock.pauses(), registry.store_reports()[0].waited), (3, Duration::from_millis(150)));
}

#[test]
fn a_store_that_is_in_use_stays_open_and_can_be_closed_later() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[stores.a]\nengine = 'flatfile'\n[stores.b]\nengine = 'sqlite'\nclose_wait = '0 ms'\n[stores.c]\nengine = 'flatfile'\n";
    let mut registry = open_all(&config(dir.path(), text));
    let view = registry.store("b").unwrap().view().unwrap();
    let busy = Some(ErrorKind::Busy);
    let closed = registry.close();
    let expected = [
        ("", Step::StopUpkeep, None),
        ("c", Step::CloseStore, None),
        ("b", Step::CloseStore, busy),
        ("a", Step::CloseStore, None),
    ];
    assert_eq!(steps(&closed), expected);
    assert_eq!(registry.stores().names(), ["b"]);
    drop(view);
    assert_eq!(steps(&registry.close()), [("b", Step::CloseStore, None)]);
    assert!(registry.close().is_empty());
}

#[test]
fn a_store_that_somebody_else_is_closing_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry =
        open_all(&config(dir.path(), "[stores.a]\nengine = 'flatfile'\nclose_wait = '1 min'\n"));
    let store = registry.store("a").unwrap();
    let view = store.view().unwrap();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close());
        // It has begun as soon as views are refused, and waits for the one that is open.
        while store.view().is_ok() {
            std::thread::yield_now();
        }
        let closed = registry.close();
        assert_eq!(steps(&closed).last(), Some(&("a", Step::CloseStore, Some(ErrorKind::Busy))));
        assert_eq!(registry.stores().names(), ["a"]);
        drop(view);
        closing.join().unwrap().unwrap();
    });
    assert_eq!(steps(&registry.close()), [("a", Step::CloseStore, None)]);
    assert!(registry.close().is_empty());
}

#[test]
fn the_writer_of_a_store_is_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry = open_all(&config(dir.path(), "[stores.orders]\nengine = 'flatfile'\n"));
    let stores = registry.stores().clone();
    let mut writer = stores.take_writer("orders").unwrap();
    assert_eq!(stores.take_writer("orders").unwrap_err().kind(), ErrorKind::Busy);
    let unknown = stores.get("order").unwrap_err();
    assert!(unknown.context().contains("did you mean orders? open are: orders"), "{unknown}");
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.put(b"key", b"value").unwrap();
    beat.commit().unwrap();
    assert!(registry.close().iter().all(|step| step.result.is_ok()));
    assert_eq!(writer.begin(Durability::Durable).map(drop).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_registry_that_is_dropped_closes_its_stores() {
    let dir = tempfile::tempdir().unwrap();
    let one = config(dir.path(), "[stores.a]\nengine = 'flatfile'\n");
    let registry = open_all(&one);
    let store = registry.store("a").unwrap();
    commit(&store, "key", 1000, Durability::Durable);
    let home = dir.path().join("data/a");
    drop(registry);
    assert!(is_closed(&home));
    // Our handle is still there, and of no use.
    assert_eq!(store.view().map(drop).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn upkeep_runs_in_the_background_and_its_runs_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[stores.a]\nengine = 'flatfile'\nmaintenance.checkpoint_bytes = 1000\n[maintenance]\nlook_every = '1 d'\n";
    let (send, receive) = mpsc::channel();
    let send = Mutex::new(send);
    let options = options().listener(move |event| {
        if let Event::Upkeep(run) = event {
            send.lock().send((run.store.clone(), run.task)).unwrap();
        }
    });
    let mut registry = Registry::open(&config(dir.path(), text), options, Vec::new(), &Quiet).unwrap();
    commit(&registry.store("a").unwrap(), "key", 2000, Durability::Durable);
    registry.maintenance().wake();
    assert_eq!(receive.recv().unwrap(), ("a".to_owned(), Task::Checkpoint));
    let closed = registry.close();
    assert_eq!(steps(&closed), [("", Step::StopUpkeep, None), ("a", Step::CloseStore, None)]);
    assert_eq!(registry.maintenance().stats()["a"].checkpoint.done, 1);
}

#[test]
fn views_are_recalled_at_the_age_that_the_configuration_says() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[stores.a]\nengine = 'flatfile'\nviews.age_max = '1 min'\n[maintenance]\nenabled = false\n";
    let clock = Arc::new(HandClock::default());
    let options = options().clock(clock.clone());
    let registry = Registry::open(&config(dir.path(), text), options, Vec::new(), &Quiet).unwrap();
    let store = registry.store("a").unwrap();
    commit(&store, "key", 100, Durability::Durable);
    let view = store.view().unwrap();
    clock.advance(59);
    registry.maintenance().step();
    assert!(view.get(b"key").unwrap().is_some());
    clock.advance(2);
    registry.maintenance().step();
    assert_eq!(store.stats().unwrap().engine.views_open, 0);
    assert_eq!(view.get(b"key").map(drop).unwrap_err().kind(), ErrorKind::Stale);
}
