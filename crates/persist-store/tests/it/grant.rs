//! Granted = enforced, and the stamped format is authoritative.

use persist_api::{
    BeatNo, Caps, CompactScope, Durability, ErrorKind, KeyRange, Limits, Quiet, REGISTRY, Refusal, Request,
    Scan,
};
use persist_store::{BeatLog, Store, Writer, default_request, volatile_request};
use std::error::Error as _;
use std::ops::ControlFlow;

use crate::kit::{
    content, fails, files, look, memory, only, open, open_default, open_memory, place, put, toy,
};
use crate::toy::Toy;

#[test]
fn a_refusal_names_everything_touches_nothing_and_keeps_the_handle() {
    let place = place();
    for existing in [false, true] {
        if existing {
            open_default(&place.home);
        }
        let before = files(&place.home);
        let demanding = Request {
            required: Caps::REMOTE | Caps::AEAD,
            limits: Limits { key_bytes_max: 1 << 30, views_max: 1 << 30, ..Limits::NO_NEED },
            ..default_request()
        };
        let failed = look(&toy(), &place.home).unwrap().negotiate(&demanding).unwrap_err();
        let refusal = failed.error().source().unwrap().downcast_ref::<Refusal>().unwrap();
        assert_eq!(refusal.missing, Caps::REMOTE | Caps::AEAD);
        assert_eq!(refusal.limits.len(), 2);
        assert_eq!(files(&place.home), before);
        let (opened, error) = failed.into_parts();
        assert_eq!(error.kind(), ErrorKind::Refused);
        opened.negotiate(&default_request()).unwrap();
    }
}

#[test]
fn an_engine_that_cannot_promise_durability_is_refused_or_pends() {
    let place = place();
    let mut weak = toy();
    weak.caps.remove(Caps::DURABLE);
    let failed = look(&weak, &place.home).unwrap().negotiate(&default_request()).unwrap_err();
    assert!(failed.to_string().contains("durability buffered instead of durable"), "{failed}");
    assert!(!place.home.exists());

    let (mut writer, store) = open(&weak, &place.home, &volatile_request()).unwrap();
    assert_eq!(store.grant().session.durability_pending, Some(Durability::Durable));
    let receipt = writer.begin(Durability::Durable).unwrap().commit().unwrap();
    assert_eq!(receipt.reached, Durability::Buffered, "the receipt says what was reached");
    fails(writer.sync(), ErrorKind::Unsupported, &["DURABLE"]);
    fails(store.sync(), ErrorKind::Unsupported, &["DURABLE"]);
}

#[test]
fn durability_beyond_the_grant_is_refused() {
    let place = place();
    let (mut writer, _store) =
        open(&toy(), &place.home, &Request { durability: Durability::Buffered, ..default_request() })
            .unwrap();
    fails(writer.begin(Durability::Durable), ErrorKind::Unsupported, &["durable", "buffered"]);
    fails(writer.commit(&BeatLog::new(), Durability::Durable), ErrorKind::Unsupported, &["durable"]);
    fails(writer.commit_group(&[BeatLog::new()], Durability::Durable), ErrorKind::Unsupported, &["durable"]);
    assert_eq!(writer.begin(Durability::Buffered).unwrap().commit().unwrap().reached, Durability::Buffered);
    assert_eq!(writer.begin(Durability::Volatile).unwrap().commit().unwrap().reached, Durability::Volatile);
    fails(writer.sync(), ErrorKind::Unsupported, &["DURABLE"]);
}

#[test]
fn a_buffered_beat_is_made_durable_where_there_is_nothing_less() {
    let place = place();
    let mut strict = toy();
    strict.caps.remove(Caps::BUFFERED);
    let (mut writer, _store) = open(&strict, &place.home, &default_request()).unwrap();
    assert_eq!(writer.begin(Durability::Buffered).unwrap().commit().unwrap().reached, Durability::Durable);
}

/// One optional verb and the capability without which it is refused, though the engine could do it.
type Verb = (Caps, fn(&mut Writer, &Store) -> persist_api::Result<()>);

fn verbs() -> Vec<Verb> {
    vec![
        (Caps::SNAPSHOT, |_, store| store.view().map(drop)),
        (Caps::HISTORY, |_, store| store.view_at(BeatNo(1)).map(drop)),
        (Caps::CHECKPOINT, |_, store| store.checkpoint().map(drop)),
        (Caps::COMPACTION, |_, store| store.compact(CompactScope::default(), &Quiet).map(drop)),
        (Caps::DELETE_RANGE, |writer, _| writer.begin(Durability::Volatile)?.delete_range(&KeyRange::all())),
        (Caps::DELETE_RANGE, |writer, _| {
            let mut log = BeatLog::new();
            log.delete_range(&KeyRange::all())?;
            writer.commit(&log, Durability::Volatile).map(drop)
        }),
        (Caps::DELETE_RANGE, |writer, _| {
            let mut log = BeatLog::new();
            log.delete_range(&KeyRange::all())?;
            let mut results = writer.commit_group(&[BeatLog::new(), log], Durability::Volatile)?;
            assert!(results[0].is_ok());
            results.remove(1).map(drop)
        }),
        (Caps::BACKUP, |_, store| {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("copy");
            let done = store.backup(&target, &Quiet).map(drop);
            assert_eq!(target.exists(), done.is_ok());
            done
        }),
        (Caps::ORDERED | Caps::SNAPSHOT, |_, store| {
            store.view().unwrap().scan(Scan::all(), |_, _| ControlFlow::Continue(()))
        }),
        (Caps::ORDERED | Caps::SNAPSHOT, |_, store| store.view().unwrap().cursor(Scan::all()).map(drop)),
        (Caps::ORDERED | Caps::SNAPSHOT, |_, store| store.digest(&store.view().unwrap()).map(drop)),
        (Caps::PREFIX_SCAN | Caps::SNAPSHOT, |_, store| {
            store.view().unwrap().scan_prefix(b"", |_, _| ControlFlow::Continue(()))
        }),
        (Caps::LONG_KEYS, |writer, _| writer.begin(Durability::Volatile)?.put(&vec![0; 65_535], b"")),
    ]
}

#[test]
fn what_was_not_granted_is_refused_though_the_engine_could() {
    let mut able = toy();
    able.caps.insert(Caps::HISTORY);
    let all = able.caps;
    for (index, (needed, verb)) in verbs().into_iter().enumerate() {
        let name = needed - Caps::SNAPSHOT;
        let name = if name.is_empty() { needed } else { name };
        let granted = place();
        let (mut writer, store) = open(&able, &granted.home, &only(all)).unwrap();
        put_volatile(&mut writer);
        verb(&mut writer, &store).unwrap_or_else(|error| panic!("verb {index}: {error}"));

        let without = place();
        let (mut writer, store) = open(&able, &without.home, &only(all - name)).unwrap();
        put_volatile(&mut writer);
        let done = verb(&mut writer, &store);
        if name == Caps::LONG_KEYS {
            fails(done, ErrorKind::TooLarge, &["65534"]);
        } else {
            fails(done, ErrorKind::Unsupported, &[name.names().as_str(), "not granted"]);
        }
    }
}

fn put_volatile(writer: &mut Writer) {
    let mut beat = writer.begin(Durability::Volatile).unwrap();
    beat.put(b"k", b"v").unwrap();
    beat.commit().unwrap();
}

#[test]
fn every_optional_verb_of_an_engine_has_its_check() {
    // A capability that engines own either has a verb in the test above, or none in the runtime yet, for the reason here.
    let checked = verbs().into_iter().fold(Caps::empty(), |set, (caps, _)| set | caps);
    let by_durability = Caps::DURABLE | Caps::BUFFERED;
    let not_a_verb = Caps::BEAT_ATOMIC | Caps::ZERO_COPY | Caps::MULTI_PROCESS | Caps::REMOTE | Caps::CRC32C;
    let no_verb_yet = Caps::READ_OWN | Caps::FEED;
    for cap in REGISTRY.iter().filter(|cap| Caps::offerable().contains(cap.bit)) {
        let known = checked | by_durability | not_a_verb | no_verb_yet;
        assert!(known.contains(cap.bit), "{} is neither checked nor explained", cap.name);
    }
}

#[test]
fn the_key_limit_without_long_keys_is_part_of_the_grant() {
    let place = place();
    let (writer, store) = open(&toy(), &place.home, &only(Caps::SNAPSHOT)).unwrap();
    assert_eq!(store.grant().session.limits.key_bytes_max, 65_534);
    drop((writer, store));
    let floor = Limits { key_bytes_max: 70_000, ..Limits::NO_NEED };
    let asks = |caps| Request { limits: floor, ..only(caps) };
    let refused = open(&toy(), &place.home, &asks(Caps::SNAPSHOT));
    fails(refused, ErrorKind::Refused, &["key_bytes_max", "65534", "70000", "LONG_KEYS"]);
    let (mut writer, store) = open(&toy(), &place.home, &asks(Caps::SNAPSHOT | Caps::LONG_KEYS)).unwrap();
    assert_eq!(store.grant().session.limits.key_bytes_max, 99_999, "net of the prefix");
    let mut log = BeatLog::new();
    log.put(&vec![1; 99_999], b"at the limit").unwrap();
    writer.commit(&log, Durability::Volatile).unwrap();
}

#[test]
fn limits_are_net_of_layers_and_exact() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    assert_eq!(store.grant().session.limits.value_bytes_max, (1 << 20) - 4);
    let at = vec![3; (1 << 20) - 4];
    put(&mut writer, &[(b"k", &at)]);
    assert_eq!(store.view().unwrap().get(b"k").unwrap().unwrap().len(), at.len());
    let over = vec![3; (1 << 20) - 3];
    let mut beat = writer.begin(Durability::Durable).unwrap();
    fails(beat.put(b"k", &over), ErrorKind::TooLarge, &["value", "1048573", "1048572", "\"k\""]);
    let long = vec![9; 100_000];
    drop(beat);
    assert!(store.view().unwrap().get(&long).unwrap().is_none(), "a key that cannot be is absent");
}

#[test]
fn a_root_is_shown_only_where_merkle_is_granted() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    assert!(put(&mut writer, &[(b"k", b"v")]).root.is_some());
    drop((writer, store));
    // The format has the layer, so the root goes on being stored; this session did not ask to see it.
    let (mut writer, store) =
        open(&toy(), &place.home, &Request { durability: Durability::Durable, ..only(Caps::SNAPSHOT) })
            .unwrap();
    assert_eq!(put(&mut writer, &[(b"k", b"v")]).root, None);
    assert!(store.view().unwrap().header().root.is_some());
    drop((writer, store));

    let plain = crate::kit::place();
    let (mut writer, store) = open(&toy(), &plain.home, &only(Caps::SNAPSHOT)).unwrap();
    assert_eq!(writer.begin(Durability::Volatile).unwrap().commit().unwrap().root, None);
    assert_eq!(store.view().unwrap().header().root, None);
}

fn layers(store: &Store) -> Vec<String> {
    store.grant().format.layers.iter().map(persist_api::LayerGrant::id).collect()
}

#[test]
fn the_stamped_format_stands_whatever_is_asked_for_later() {
    let (with, without) = (place(), place());
    let (mut writer, store) = open_default(&with.home);
    put(&mut writer, &[(b"k", b"v")]);
    assert_eq!(layers(&store), ["prefix/1", "crc32c/1", "merkle/1"]);
    drop((writer, store));
    let (writer, store) = open(&toy(), &with.home, &only(Caps::SNAPSHOT | Caps::ORDERED)).unwrap();
    assert_eq!(layers(&store), ["prefix/1", "crc32c/1", "merkle/1"]);
    assert_eq!(content(&store.view().unwrap())[b"k".as_slice()], b"v");
    drop((writer, store));

    let (mut writer, store) = open(&toy(), &without.home, &only(Caps::SNAPSHOT)).unwrap();
    put_volatile(&mut writer);
    assert_eq!(layers(&store), ["prefix/1"]);
    drop((writer, store));
    let before = files(&without.home);
    fails(
        open(&toy(), &without.home, &only(Caps::MERKLE | Caps::CRC32C)),
        ErrorKind::Refused,
        &["CRC32C MERKLE"],
    );
    assert_eq!(files(&without.home), before);
    let (_writer, store) = open(&toy(), &without.home, &default_request()).unwrap();
    assert_eq!(layers(&store), ["prefix/1"]);
    assert!(!store.grant().session.caps.intersects(Caps::MERKLE | Caps::CRC32C));
}

#[test]
fn an_engine_with_checksums_of_its_own_gets_no_layer() {
    let place = place();
    let mut able = toy();
    able.caps.insert(Caps::CRC32C);
    let (writer, store) = open(&able, &place.home, &default_request()).unwrap();
    assert_eq!(layers(&store), ["prefix/1", "merkle/1"]);
    assert!(store.grant().session.caps.contains(Caps::CRC32C));
    drop((writer, store));
    // Reopened by a build of the engine that lost them: what is required is refused, the files stay as they are.
    let before = files(&place.home);
    let demanding = Request { required: Caps::CRC32C, ..default_request() };
    fails(open(&toy(), &place.home, &demanding), ErrorKind::Refused, &["CRC32C"]);
    assert_eq!(files(&place.home), before);
}

#[test]
fn layers_of_a_callers_own_are_not_granted() {
    let mut request = volatile_request();
    request.layers.clear();
    let (_writer, store) = open_memory(&request);
    assert_eq!(layers(&store), ["prefix/1", "crc32c/1", "merkle/1"]);
    let grant = persist_api::LayerGrant {
        name: "aead".into(),
        version: 1,
        provides: Caps::AEAD,
        key_overhead: 0,
        value_overhead: 16,
        parameter: "".into(),
    };
    request.layers.push(persist_api::Layer { grant, always: true, removes: Caps::empty() });
    request.preferred |= Caps::AEAD;
    let (_writer, store) = open_memory(&request);
    assert!(!store.grant().session.caps.contains(Caps::AEAD));
}

#[test]
fn an_engine_that_says_one_thing_and_offers_another_is_refused() {
    struct Liar(Toy);
    impl persist_api::Driver for Liar {
        fn scheme(&self) -> &'static str {
            "toy"
        }
        fn probe(&self, home: &std::path::Path) -> persist_api::Result<persist_api::Probe> {
            self.0.probe(home)
        }
        fn offer(&self, options: &persist_api::OpenOptions) -> persist_api::Offer {
            persist_api::Offer { caps: self.0.caps | Caps::READ_OWN, ..self.0.offer(options) }
        }
        fn open(
            &self,
            home: &std::path::Path,
            options: &persist_api::OpenOptions,
            seen: &dyn persist_api::Observer,
        ) -> persist_api::Result<Box<dyn persist_api::Engine>> {
            self.0.open(home, options, seen)
        }
    }
    let place = place();
    let drivers: crate::kit::Drivers = vec![std::sync::Arc::new(Liar(toy()))];
    let opened = crate::kit::look_at(&drivers, &place.home, Some("toy"), &crate::kit::options()).unwrap();
    fails(
        opened.negotiate(&default_request()).map_err(Into::into),
        ErrorKind::Mismatch,
        &["offers something else"],
    );
}

#[test]
fn memory_grants_what_it_has() {
    let (_writer, store) = memory();
    let session = store.grant().session;
    assert_eq!(
        (session.durability, session.durability_pending),
        (Durability::Volatile, Some(Durability::Durable))
    );
    assert_eq!(session.emulated, Caps::CRC32C | Caps::MERKLE);
    fails(store.checkpoint(), ErrorKind::Unsupported, &["CHECKPOINT"]);
    fails(store.backup("anywhere".as_ref(), &Quiet), ErrorKind::Unsupported, &["BACKUP"]);
}
