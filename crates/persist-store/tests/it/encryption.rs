//! Compressed and encrypted stores: what is stored, what is refused, what damage does, and how keys change.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use persist_api::{Caps, Error, ErrorKind, Quiet, Request, Result, Scan, Severity};
use persist_io::sim::SimDisk;
use persist_store::{
    HoldOptions, KeyId, KeyProvider, KeyRing, SecretKey, Store, Writer, compressed, default_request,
    encrypted, volatile_request,
};

use crate::kit::{
    Place, change_raw, content, drivers, fails, files, look, look_at, open_default, options, place, put, raw,
    raw_value, toy,
};
use crate::toy::Toy;

fn key(byte: u8) -> SecretKey {
    SecretKey::new([byte; 32])
}

pub fn ring(keys: &[(u32, u8)]) -> KeyRing {
    keys.iter().fold(KeyRing::new(), |ring, (id, byte)| ring.with(KeyId(*id), key(*byte)))
}

pub fn open_with(home: &Path, request: &Request, keys: KeyRing) -> Result<(Writer, Store)> {
    Ok(look(&toy(), home)?.keys(Arc::new(keys)).negotiate(request)?)
}

pub fn open(home: &Path, keys: &[(u32, u8)]) -> Result<(Writer, Store)> {
    open_with(home, &encrypted(default_request()), ring(keys))
}

/// With a checksum too, which an encrypted store asks for only on demand.
fn checked(mut request: Request) -> Request {
    request.required |= Caps::CRC32C;
    request
}

/// A store with one record under key 1.
pub fn with_one() -> Place {
    let place = place();
    let (mut writer, _store) = open(&place.home, &[(1, 1)]).unwrap();
    put(&mut writer, &[(b"first", b"plain as day")]);
    place
}

fn holds(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

#[test]
fn values_lie_encrypted_and_keys_in_clear() {
    let place = with_one();
    let stored = raw_value(&toy(), &place.home, b"\x01first");
    assert_eq!(stored.len(), b"plain as day".len() + 44);
    assert_eq!(stored[..4], 1_u32.to_le_bytes());
    for (path, bytes) in files(&place.home) {
        let Some(bytes) = bytes else { continue };
        assert!(!holds(&bytes, b"plain as day") && !holds(&bytes, &[1; 32]), "{}", path.display());
    }
    let (_writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    let view = store.view().unwrap();
    assert_eq!(view.get(b"first").unwrap().as_deref(), Some(b"plain as day".as_slice()));
    let layers: Vec<_> = store.grant().format.layers.iter().map(persist_api::LayerGrant::id).collect();
    assert_eq!(layers, ["prefix/1", "xchacha20-poly1305/1", "merkle/1"], "a tag makes a checksum needless");
}

#[test]
fn content_digest_and_roots_do_not_depend_on_the_layers() {
    let records: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"", b""), (b"long", &[7; 5000])];
    let (plain, sealed) = (place(), place());
    let (mut writer, store) = open_default(&plain.home);
    let receipt = put(&mut writer, &records);
    let request = checked(compressed(encrypted(default_request())));
    let (mut other_writer, other) = open_with(&sealed.home, &request, ring(&[(1, 1)])).unwrap();
    let ids: Vec<_> = other.grant().format.layers.iter().map(persist_api::LayerGrant::id).collect();
    assert_eq!(ids, ["prefix/1", "lz4/1", "xchacha20-poly1305/1", "crc32c/1", "merkle/1"]);
    assert_eq!(put(&mut other_writer, &records).root, receipt.root);
    let (view, other_view) = (store.view().unwrap(), other.view().unwrap());
    assert_eq!(content(&other_view), content(&view));
    assert_eq!(other.digest(&other_view).unwrap(), store.digest(&view).unwrap());
    assert!(raw_value_len(other_writer, other, other_view, &sealed.home) < 100);
}

fn raw_value_len(writer: Writer, store: Store, view: persist_store::StoreView, home: &Path) -> usize {
    drop((writer, store, view));
    raw_value(&toy(), home, b"\x01long").len()
}

#[test]
fn every_flipped_bit_is_corrupt_and_names_the_key_under_every_stack() {
    let stacks: [(fn() -> Request, usize); 4] = [
        (|| encrypted(default_request()), 44),
        (|| compressed(encrypted(default_request())), 45),
        (|| compressed(default_request()), 5),
        (|| checked(compressed(encrypted(default_request()))), 49),
    ];
    for (request, overhead) in stacks {
        let (toy, home) = (Toy::new(Arc::new(SimDisk::new(1))), Path::new("/store"));
        let open =
            || look(&toy, home).unwrap().keys(Arc::new(ring(&[(1, 1)]))).negotiate(&request()).unwrap();
        let (mut writer, store) = open();
        put(&mut writer, &[(b"a", b"fine"), (b"bad\xFE", b"some value"), (b"c", b"fine")]);
        drop((writer, store));
        let sound = raw_value(&toy, home, b"\x01bad\xFE");
        assert_eq!(sound.len(), b"some value".len() + overhead);
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            change_raw(&toy, home, &[(b"\x01bad\xFE", &damaged)]);
            let (_writer, store) = open();
            check_damage(&store);
        }
    }
}

fn check_damage(store: &Store) {
    let view = store.view().unwrap();
    fails(view.get(b"bad\xFE"), ErrorKind::Corrupt, &["\"bad\\xfe\""]);
    assert_eq!(view.get(b"c").unwrap().as_deref(), Some(b"fine".as_slice()));
    let mut rows = Vec::new();
    let scanned = view.scan(Scan::all(), |key, _| {
        rows.push(key.to_vec());
        ControlFlow::Continue(())
    });
    fails(scanned, ErrorKind::Corrupt, &["\"bad\\xfe\""]);
    assert_eq!(rows, [b"a"], "rows before the damage were right");
    let mut places = Vec::new();
    let report = store.verify(
        &mut |finding| {
            if finding.severity == Severity::Damage {
                places.push(finding.place);
            }
        },
        &Quiet,
    );
    let report = report.unwrap();
    assert_eq!((report.damaged, report.records, report.digest), (1, 3, None));
    assert_eq!(places, ["\"bad\\xfe\""]);
}

#[test]
fn a_sound_encrypted_store_verifies_as_checked() {
    let place = with_one();
    let (_writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    let mut findings = Vec::new();
    let report = store.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    assert_eq!((report.damaged, report.records), (0, 1));
    assert!(report.digest.is_some());
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.name()).collect();
    assert_eq!(codes, ["root_not_computed"], "the tag is a check: nothing says that there is none");
}

#[test]
fn without_a_key_nothing_is_made_and_nothing_is_opened() {
    let place = place();
    let refused = look(&toy(), &place.home).unwrap().negotiate(&encrypted(default_request()));
    fails(refused.map_err(Error::from), ErrorKind::Refused, &["AEAD", "none was given"]);
    assert!(!place.home.exists());
    // Where it is only liked, it is not granted.
    let liked = Request { preferred: Caps::AEAD, ..default_request() };
    let (_writer, store) = look(&toy(), &place.home).unwrap().negotiate(&liked).unwrap();
    assert!(!store.grant().session.caps.contains(Caps::AEAD));

    let place = with_one();
    let before = files(&place.home);
    let refused = look(&toy(), &place.home).unwrap().negotiate(&default_request());
    fails(refused.map_err(Error::from), ErrorKind::Refused, &["encrypted", "key 1"]);
    assert_eq!(files(&place.home), before);
}

#[test]
fn a_wrong_key_is_refused_before_anything_is_written() {
    let place = with_one();
    let before = files(&place.home);
    fails(open(&place.home, &[(1, 2)]), ErrorKind::Refused, &["key 1 is not the key 1"]);
    fails(open(&place.home, &[(1, 2), (2, 1)]), ErrorKind::Refused, &["key 1 is not the key 1"]);
    assert_eq!(files(&place.home), before);
    fails(open(&place.home, &[(2, 1)]), ErrorKind::Refused, &["key 1", "missing"]);

    // Also of a store that has no beat yet.
    let bare = crate::kit::place();
    drop(open(&bare.home, &[(1, 1)]).unwrap());
    fails(open(&bare.home, &[(1, 2)]), ErrorKind::Refused, &["key 1 is not the key 1"]);
}

#[test]
fn a_caller_that_does_not_ask_for_encryption_still_gets_the_stores() {
    let place = with_one();
    let opened = look(&toy(), &place.home).unwrap().keys(Arc::new(ring(&[(1, 1)])));
    let (_writer, store) = opened.negotiate(&default_request()).unwrap();
    assert!(!store.grant().session.caps.contains(Caps::AEAD), "not asked for, not granted");
    assert_eq!(store.view().unwrap().get(b"first").unwrap().as_deref(), Some(b"plain as day".as_slice()));
}

#[test]
fn new_records_are_sealed_with_the_newest_key_and_old_ones_stay_readable() {
    let place = with_one();
    let (mut writer, store) = open(&place.home, &[(1, 1), (2, 2)]).unwrap();
    assert_eq!(store.stats().unwrap().engine.records, Some(1));
    put(&mut writer, &[(b"second", b"two")]);
    put(&mut writer, &[(b"third", b"three")]);
    assert_eq!(content(&store.view().unwrap()).len(), 3);
    assert_eq!(
        store.stats().unwrap().engine.records,
        Some(3),
        "the proof of a key is no record of the user's"
    );
    drop((writer, store));
    assert_eq!(raw_value(&toy(), &place.home, b"\x01second")[..4], 2_u32.to_le_bytes());
    assert_eq!(raw_value(&toy(), &place.home, b"\0key/\0\0\0\x02").len(), 44);
    assert_eq!(rows(&place.home), 5, "three records, the format, the proof of key 2, written once");

    // The old key is missing: what it sealed is out of reach, and the error says so.
    let (_writer, store) = open(&place.home, &[(2, 2)]).unwrap();
    let view = store.view().unwrap();
    assert_eq!(view.get(b"second").unwrap().as_deref(), Some(b"two".as_slice()));
    fails(view.get(b"first"), ErrorKind::Refused, &["\"first\"", "key 1", "missing"]);
    let mut findings = Vec::new();
    let report = store.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    assert_eq!((report.damaged, report.digest), (0, None));
    assert!(
        findings.iter().any(|finding| finding.code.name() == "not_read" && finding.what.contains("key 1"))
    );
}

fn rows(home: &Path) -> usize {
    let mut rows = 0;
    let view = raw(&toy(), home).view().unwrap();
    view.scan(Scan::all(), &mut |_, _| {
        rows += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// Has every key, and never a new one.
struct Stubborn;
impl KeyProvider for Stubborn {
    fn newest(&self) -> Result<KeyId> {
        Ok(KeyId(1))
    }
    fn key(&self, id: KeyId) -> Result<Option<SecretKey>> {
        Ok(Some(SecretKey::new([u8::try_from(id.0).unwrap(); 32])))
    }
}

#[test]
fn every_key_proves_itself_and_an_older_one_does_not_come_back() {
    let place = with_one();
    let (mut writer, store) = open(&place.home, &[(1, 1), (2, 2)]).unwrap();
    put(&mut writer, &[(b"second", b"two")]);
    drop((writer, store));
    fails(open(&place.home, &[(1, 1)]), ErrorKind::Refused, &["key 2", "missing"]);
    fails(open(&place.home, &[(1, 1), (2, 3)]), ErrorKind::Refused, &["key 2 is not the key 2"]);
    fails(open(&place.home, &[(1, 3), (2, 2)]), ErrorKind::Refused, &["key 1 is not the key 1"]);
    let opened = look(&toy(), &place.home).unwrap().keys(Arc::new(Stubborn));
    let refused = opened.negotiate(&encrypted(default_request())).map_err(Error::from);
    fails(refused, ErrorKind::Refused, &["key 1 is older"]);

    // A damaged proof is noticed at once, and so is one that lies under another number.
    let proof = raw_value(&toy(), &place.home, b"\0key/\0\0\0\x02");
    for (at, change) in [(0, 1), (10, 1), (43, 0x80)] {
        let mut damaged = proof.clone();
        damaged[at] ^= change;
        change_raw(&toy(), &place.home, &[(b"\0key/\0\0\0\x02", &damaged)]);
        assert!(open(&place.home, &[(1, 1), (2, 2)]).is_err());
    }
    change_raw(&toy(), &place.home, &[(b"\0key/\0\0\0\x02", &proof), (b"\0key/\0\0\0\x03", &proof)]);
    fails(open(&place.home, &[(1, 1), (2, 2)]), ErrorKind::Corrupt, &["no check of that key"]);
}

struct Broken;
impl KeyProvider for Broken {
    fn newest(&self) -> Result<KeyId> {
        Err(Error::new(ErrorKind::Io, "newest", "the key service does not answer"))
    }
    fn key(&self, _: KeyId) -> Result<Option<SecretKey>> {
        Ok(None)
    }
}

#[test]
fn a_provider_that_fails_stops_the_opening() {
    let place = place();
    let opened = look(&toy(), &place.home).unwrap().keys(Arc::new(Broken));
    let failed = opened.negotiate(&encrypted(default_request())).map_err(Error::from);
    fails(failed, ErrorKind::Io, &["key service"]);
    assert!(!place.home.exists());
}

#[test]
fn a_backup_opens_with_the_same_key_under_its_new_name() {
    let place = with_one();
    let copy = crate::kit::place();
    let (_writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    let report = store.backup(&copy.home, &Quiet).unwrap();
    assert_ne!(report.store, report.origin);
    let (_copy_writer, copied) = open(&copy.home, &[(1, 1)]).unwrap();
    assert_eq!(content(&copied.view().unwrap()), content(&store.view().unwrap()));
    fails(open(&crate::kit::place().home, &[]), ErrorKind::Invalid, &["no key"]);
}

#[test]
fn what_the_feed_keeps_is_sealed_too() {
    let place = with_one();
    let (mut writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    let hold = store.hold("mirror", HoldOptions::default()).unwrap();
    put(&mut writer, &[(b"second", b"seen by the feed")]);
    let mut feed = hold.feed().unwrap();
    let read = feed.pull().unwrap().unwrap();
    assert!(holds(read.log.canonical_bytes(), b"seen by the feed"));
    drop((feed, hold, writer, store));
    for (path, bytes) in files(&place.home) {
        let bytes = bytes.unwrap_or_default();
        assert!(!holds(&bytes, b"seen by") && !holds(&bytes, b"mirror"), "{}", path.display());
    }
}

#[test]
fn records_of_another_store_under_the_same_key_are_refused() {
    let (one, two) = (with_one(), with_one());
    let foreign = raw_value(&toy(), &one.home, b"\x01first");
    change_raw(&toy(), &two.home, &[(b"\x01first", &foreign)]);
    let (_writer, store) = open(&two.home, &[(1, 1)]).unwrap();
    fails(store.view().unwrap().get(b"first"), ErrorKind::Corrupt, &["\"first\"", "tag"]);
}

/// Copies of a store, with their own ids, are one store for the seal: as a record's earlier state, what one of them wrote under
/// the same key is not noticed in another (`docs/layers.md`).
#[test]
fn records_of_a_copy_pass_in_the_original_under_their_key_and_no_other() {
    let place = with_one();
    let copy = place.home.with_extension("copy");
    let (writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    store.backup(&copy, &Quiet).unwrap();
    let id = store.stamp().unwrap().store;
    drop((writer, store));
    let (mut writer, store) = open(&copy, &[(1, 1)]).unwrap();
    assert_ne!(store.stamp().unwrap().store, id, "else this shows nothing");
    put(&mut writer, &[(b"first", b"of the copy")]);
    drop((writer, store));
    let foreign = raw_value(&toy(), &copy, b"\x01first");
    change_raw(&toy(), &place.home, &[(b"\x01first", &foreign), (b"\x01second", &foreign)]);
    let (_writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    let view = store.view().unwrap();
    assert_eq!(view.get(b"first").unwrap().as_deref(), Some(b"of the copy".as_slice()));
    fails(view.get(b"second"), ErrorKind::Corrupt, &["\"second\"", "tag"]);
}

#[test]
fn what_layers_cannot_keep_is_not_granted() {
    let open = |request: &Request| {
        let opened = look_at(&drivers(&[]), Path::new(""), Some("memory"), &options()).unwrap();
        opened.keys(Arc::new(ring(&[(1, 1)]))).negotiate(request).map_err(Error::from)
    };
    let (_writer, store) = open(&volatile_request()).unwrap();
    assert!(store.grant().session.caps.contains(Caps::ZERO_COPY), "else this shows nothing");
    let (mut writer, store) = open(&compressed(volatile_request())).unwrap();
    assert!(!store.grant().session.caps.contains(Caps::ZERO_COPY));
    put(&mut writer, &[(b"a", &[b'a'; 100])]);
    let view = store.view().unwrap();
    assert_eq!(view.get(b"a").unwrap().as_deref(), Some([b'a'; 100].as_slice()));
    let (_writer, sealed) = open(&encrypted(volatile_request())).unwrap();
    assert!(!sealed.grant().session.caps.contains(Caps::ZERO_COPY));
    let plain_max = store.grant().session.limits.value_bytes_max;
    assert_eq!(sealed.grant().session.limits.value_bytes_max, plain_max - 44 + 5);

    let mut both = volatile_request();
    both.required |= Caps::ZERO_COPY | Caps::AEAD;
    fails(open(&both), ErrorKind::Refused, &["ZERO_COPY"]);
    // What is only liked gives way to what is required.
    both.required -= Caps::AEAD;
    both.preferred |= Caps::AEAD | Caps::COMPRESSION;
    let (_writer, store) = open(&both).unwrap();
    assert!(store.grant().session.caps.contains(Caps::ZERO_COPY));
    assert!(!store.grant().session.caps.intersects(Caps::AEAD | Caps::COMPRESSION));
}

#[test]
fn damage_in_the_parameter_of_the_grant_is_found_at_opening() {
    let place = with_one();
    let stamp = place.home.join(persist_store::STAMP_FILE);
    let text = std::fs::read_to_string(&stamp).unwrap();
    let at = text.find(" with ").unwrap() + " with ".len();
    for (from, to) in [(at, at + 1), (at + 32, at + 33), (at + 40, at + 41)] {
        let was = &text[from..to];
        let other = if was == "0" { "1" } else { "0" };
        let body = [&text[..from], other, &text[to..text.find("grant-digest").unwrap()]].concat();
        let grant: String = body
            .lines()
            .filter_map(|line| line.strip_prefix("grant = "))
            .flat_map(|line| [line, "\n"])
            .collect();
        let body = format!("{body}grant-digest = {}\n", blake3::hash(grant.as_bytes()).to_hex());
        std::fs::write(&stamp, format!("{body}blake3 = {}\n", blake3::hash(body.as_bytes()).to_hex()))
            .unwrap();
        assert!(open(&place.home, &[(1, 1)]).is_err(), "even when all check lines are made right again");
    }
}

#[test]
fn key_files_are_read_strictly_and_never_repeated() {
    let hex = |byte: u8| format!("{byte:02x}").repeat(32);
    let ids = |text: &str| KeyRing::parse(text).map(|ring| ring.ids().map(|id| id.0).collect::<Vec<_>>());
    assert_eq!(ids(&hex(1)).unwrap(), [1]);
    assert_eq!(
        ids(&format!("\n# old and new\n7 {}\n 12\t{} # since May\n", hex(1), hex(2))).unwrap(),
        [7, 12]
    );
    assert_eq!(ids(&hex(0xAB).to_uppercase()).unwrap(), [1]);
    let newest = KeyRing::parse(&format!("7 {}\n12 {}", hex(1), hex(2))).unwrap().newest().unwrap();
    assert_eq!(newest, KeyId(12));
    let secret = hex(0xCD);
    for (text, words) in [
        (String::new(), "no key"),
        (format!("{secret}0"), "line 1"),
        (secret[1..].to_owned(), "64 hexadecimal digits"),
        (format!("1 {secret}\n1 {secret}"), "line 2: there is a key 1 already"),
        (format!("{secret}\n2 {secret}"), "not every one has its number"),
        (format!("x {secret}"), "line 1: a key's number"),
        (format!("4294967296 {secret}"), "line 1"),
        (format!("1 {secret} 2"), "line 1: more than"),
        (format!("1 {}", secret.replace('c', "+")), "64 hexadecimal digits"),
        (format!("1 {}", "é".repeat(32)), "64 hexadecimal digits"),
    ] {
        let error = fails(ids(&text), ErrorKind::Invalid, &[words]);
        assert!(!error.to_string().contains(&secret[..8]), "a key is shown: {error}");
    }
}
