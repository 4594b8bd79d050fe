//! Payload chunks that break a rule, and odd ones that do not.

use persist_frame::ErrorClass as Class;

use crate::forge::{Chunk, Forge, chunk, number, rec};
use crate::refusals::check;

fn chunks(list: &[Chunk]) -> Vec<u8> {
    Forge::of(&list.iter().map(Chunk::rec).collect::<Vec<_>>()).bare()
}

fn one_chunk(change: impl FnOnce(&mut Chunk)) -> Vec<u8> {
    chunks(&[chunk(b"base", 0, 4, 0, b"data").with(change)])
}

#[test]
fn chunk_bodies() {
    let sealed = |mode: u8, nonce: usize, data: usize| {
        one_chunk(|c| {
            (c.mode, c.nonce) = (mode, [number(nonce as u64), vec![9; nonce]].concat());
            c.data = vec![1; data];
        })
    };
    check(vec![
        ("good", one_chunk(|_| {}), Ok(())),
        ("payload kind 3", one_chunk(|c| c.kind = 3), Ok(())),
        ("payload kind 4", one_chunk(|c| c.kind = 4), Err(Class::ChunkLength)),
        ("fingerprint of 8", one_chunk(|c| c.fingerprint = [&[8][..], &[1; 8]].concat()), Ok(())),
        (
            "fingerprint of 4",
            one_chunk(|c| c.fingerprint = [&[4][..], &[1; 4]].concat()),
            Err(Class::ChunkFingerprint),
        ),
        (
            "fingerprint of 9",
            one_chunk(|c| c.fingerprint = [&[9][..], &[1; 9]].concat()),
            Err(Class::ChunkFingerprint),
        ),
        ("fingerprint of 2^64 - 1", one_chunk(|c| c.fingerprint = number(u64::MAX)), Err(Class::ChunkLength)),
        (
            "fingerprint length in two bytes",
            one_chunk(|c| c.fingerprint = vec![0x80, 0]),
            Err(Class::VarintNoncanonical),
        ),
        ("mode 0 with a nonce", sealed(0, 12, 4), Err(Class::ChunkAead)),
        ("mode 1", sealed(1, 12, 20), Err(Class::ChunkAead)),
        ("mode 1 without a nonce", sealed(1, 0, 20), Err(Class::ChunkAead)),
        ("mode 4", sealed(4, 24, 20), Err(Class::ChunkAead)),
        ("mode 2", sealed(2, 12, 20), Ok(())),
        ("mode 2 without a nonce", sealed(2, 0, 20), Err(Class::ChunkAead)),
        ("mode 2 with 11", sealed(2, 11, 20), Err(Class::ChunkAead)),
        ("mode 2 with 24", sealed(2, 24, 20), Err(Class::ChunkAead)),
        ("mode 3", sealed(3, 24, 20), Ok(())),
        ("mode 3 with 12", sealed(3, 12, 20), Err(Class::ChunkAead)),
        ("mode 3, 19 bytes", sealed(3, 24, 19), Err(Class::ChunkLength)),
        ("mode 3, 21 bytes", sealed(3, 24, 21), Err(Class::ChunkLength)),
        (
            "nonce of 2^64 - 32",
            one_chunk(|c| (c.mode, c.nonce) = (2, number(u64::MAX - 31))),
            Err(Class::ChunkAead),
        ),
        ("mode 0 with a tag's room", one_chunk(|c| c.data = vec![0; 20]), Err(Class::ChunkLength)),
        ("no aad hash", one_chunk(|c| (c.aad, c.data) = (Some(vec![]), vec![])), Err(Class::ChunkLength)),
        ("aad hash of another key", one_chunk(|c| c.aad = Some(vec![7; 32])), Err(Class::ChunkAad)),
        (
            "sealed, aad hash of another key",
            one_chunk(|c| {
                (c.mode, c.nonce) = (2, [&[12][..], &[0; 12]].concat());
                (c.data, c.aad) = (vec![0; 20], Some(vec![7; 32]));
            }),
            Err(Class::ChunkAad),
        ),
        ("size 0", one_chunk(|c| (c.size, c.data) = (0, vec![])), Err(Class::ChunkExtent)),
        (
            "size 0 of a payload of 0",
            one_chunk(|c| (c.size, c.total, c.data) = (0, 0, vec![])),
            Err(Class::ChunkExtent),
        ),
        ("size above the total", one_chunk(|c| (c.total, c.size) = (3, 4)), Err(Class::ChunkExtent)),
        (
            "extent wraps",
            one_chunk(|c| (c.offset, c.total) = (u64::MAX - 1, u64::MAX)),
            Err(Class::ChunkExtent),
        ),
        ("first chunk not at 0", one_chunk(|c| (c.offset, c.total) = (1, 5)), Err(Class::ChunkOrder)),
        ("not complete", one_chunk(|c| c.total = 5), Err(Class::ChunkUnsealed)),
        ("complete but for 2^63", one_chunk(|c| c.total = 1 << 63), Err(Class::ChunkUnsealed)),
    ]);
}

#[test]
fn presealed_payloads() {
    let presealed = |change: fn(&mut Chunk)| {
        one_chunk(|c| {
            (c.mode, c.nonce) = (3, [&[24][..], &[1; 24]].concat());
            (c.total, c.size, c.data) = (33, 33, vec![5; 33]);
            c.aad = Some(vec![7; 32]);
            change(c);
        })
    };
    let followed = chunks(&[
        chunk(b"base", 0, 33, 0, &[5; 33]).with(|c| (c.mode, c.nonce) = (2, [&[12][..], &[1; 12]].concat())),
        chunk(b"base", 1, 33, 33, b"x"),
    ]);
    check(vec![
        ("XChaCha20", presealed(|_| {}), Ok(())),
        ("ChaCha20", presealed(|c| (c.mode, c.nonce) = (2, [&[12][..], &[1; 12]].concat())), Ok(())),
        (
            "in clear it is an ordinary chunk",
            presealed(|c| (c.mode, c.nonce) = (0, vec![0])),
            Err(Class::ChunkAad),
        ),
        ("mode 1", presealed(|c| c.mode = 1), Err(Class::ChunkAead)),
        ("wrong nonce", presealed(|c| c.nonce = vec![0]), Err(Class::ChunkAead)),
        ("not the whole payload", presealed(|c| c.total = 34), Err(Class::ChunkLength)),
        ("one byte less than it says", presealed(|c| c.data = vec![5; 32]), Err(Class::ChunkLength)),
        (
            "with a tag more it is sealed by the writer",
            presealed(|c| c.data = vec![5; 49]),
            Err(Class::ChunkAad),
        ),
        ("and then needs the hash of its key", presealed(|c| (c.data, c.aad) = (vec![5; 49], None)), Ok(())),
        ("at ordinal 1", presealed(|c| c.key = b"base\x01".to_vec()), Err(Class::ChunkOrder)),
        ("and a chunk behind it", followed, Err(Class::ChunkOrder)),
    ]);
}

#[test]
fn chunk_order() {
    let a = |ordinal: u64| chunk(b"a", ordinal, 6, ordinal * 2, b"aa");
    let b = |ordinal: u64| chunk(b"b", ordinal, 4, ordinal * 2, b"bb");
    check(vec![
        ("three chunks", chunks(&[a(0), a(1), a(2)]), Ok(())),
        ("interleaved", chunks(&[a(0), b(0), a(1), b(1), a(2)]), Ok(())),
        (
            "other records between",
            Forge::of(&[a(0).rec(), rec(1, b"a\x01", b""), a(1).rec(), a(2).rec()]).bare(),
            Ok(()),
        ),
        ("the last is missing", chunks(&[a(0), a(1)]), Err(Class::ChunkUnsealed)),
        ("the first is missing", chunks(&[a(1), a(2)]), Err(Class::ChunkOrder)),
        ("the middle is missing", chunks(&[a(0), a(2)]), Err(Class::ChunkOrder)),
        ("backwards", chunks(&[a(2), a(1), a(0)]), Err(Class::ChunkOrder)),
        ("the first twice", chunks(&[a(0), a(0), a(1), a(2)]), Err(Class::ChunkOrder)),
        ("the second twice", chunks(&[a(0), a(1), a(1), a(2)]), Err(Class::ChunkOrder)),
        (
            "one after the end",
            chunks(&[a(0), a(1), a(2), a(3).with(|c| (c.offset, c.total) = (4, 6))]),
            Err(Class::ChunkOrder),
        ),
        ("the payload again", chunks(&[b(0), b(1), b(0), b(1)]), Err(Class::ChunkOrder)),
        ("a gap in the offsets", chunks(&[a(0), a(1).with(|c| c.offset = 3)]), Err(Class::ChunkOrder)),
        ("an overlap", chunks(&[a(0), a(1).with(|c| c.offset = 1)]), Err(Class::ChunkOrder)),
        ("another total", chunks(&[a(0), a(1).with(|c| c.total = 7)]), Err(Class::ChunkTotal)),
        ("another total, below the end", chunks(&[a(0), a(1).with(|c| c.total = 1)]), Err(Class::ChunkTotal)),
        (
            "another kind and fingerprint",
            chunks(&[
                a(0),
                a(1).with(|c| {
                    (c.kind, c.fingerprint) = (2, [&[8][..], &[1; 8]].concat());
                }),
                a(2),
            ]),
            Ok(()),
        ),
    ]);
}

#[test]
fn chunk_keys() {
    let keyed = |key: &[u8]| one_chunk(|c| c.key = key.to_vec());
    check(vec![
        ("empty", keyed(b""), Err(Class::ChunkKey)),
        ("no base", keyed(b"\0"), Err(Class::ChunkKey)),
        ("no base, ordinal 5", keyed(b"\x05"), Err(Class::ChunkKey)),
        ("ends in the middle of a varint", keyed(b"base\x80"), Err(Class::ChunkKey)),
        ("base of one byte", keyed(b"x\0"), Ok(())),
        ("base that ends like a varint", keyed(b"x\x80\0"), Ok(())),
        ("base of zeros", keyed(b"\0\0\0"), Ok(())),
    ]);
    let long = |count: u64| (0..count).map(|n| chunk(b"long", n, count, n, b"x")).collect::<Vec<_>>();
    let two = (0..200).flat_map(|n| [&b"one "[..], b"two "].map(|base| chunk(base, n, 200, n, b"x")));
    let mut reversed = long(200);
    reversed[128].key = b"long\x01\x80".to_vec();
    let mut overlong = long(130);
    overlong[127].key = b"long\xFF\x00".to_vec();
    let mut skipped = long(130);
    skipped.remove(128);
    check(vec![
        ("128 chunks", chunks(&long(128)), Ok(())),
        ("129 chunks", chunks(&long(129)), Ok(())),
        ("200 chunks of two payloads in turns", chunks(&two.collect::<Vec<_>>()), Ok(())),
        ("16 500 chunks", chunks(&long(16_500)), Ok(())),
        ("ordinal 128 reversed", chunks(&reversed), Err(Class::ChunkKey)),
        ("ordinal 127 in two bytes is a new payload", chunks(&overlong), Err(Class::ChunkOrder)),
        ("ordinal 128 missing", chunks(&skipped), Err(Class::ChunkOrder)),
    ]);
}

#[test]
fn a_key_that_two_payloads_await_is_refused() {
    // "p" awaits ordinal 128 = 80 01, "p\x80" awaits ordinal 1: both keys are p 80 01.
    let first = |count: u64, total: u64| (0..count).map(move |n| chunk(b"p", n, total, n, b"x"));
    let second = chunk(b"p\x80", 0, 2, 0, b"y");
    let contested = chunk(b"p", 128, 129, 128, b"x");
    let all = |parts: &[&[Chunk]]| chunks(&parts.concat());
    let p: Vec<Chunk> = first(128, 129).collect();
    let whole: Vec<Chunk> = first(128, 128).collect();
    let other = chunk(b"p\x80", 1, 2, 1, b"y");
    check(vec![
        ("contested", all(&[&p, &[second.clone(), contested.clone()]]), Err(Class::ChunkKey)),
        (
            "a payload that is complete awaits nothing",
            all(&[&whole, &[second.clone(), other.clone()]]),
            Ok(()),
        ),
        (
            "the one before the other awaits it",
            all(&[&[second.clone(), other.clone()], &p, std::slice::from_ref(&contested)]),
            Ok(()),
        ),
        ("and the other way round", all(&[&p, &[contested, second, other]]), Ok(())),
    ]);
}

#[test]
fn history_is_not_followed_like_a_payload() {
    let body = [number(5), chunk(b"k", 0, 100, 0, b"x").rec().body].concat();
    check(vec![
        ("half a revision", Forge::of(&[rec(6, b"k", &body)]).bare(), Ok(())),
        ("twice the same key", Forge::of(&[rec(6, b"k", &body), rec(6, b"k", &body)]).bare(), Ok(())),
        ("random bytes", Forge::of(&[rec(6, b"", b"\xFF")]).bare(), Ok(())),
    ]);
}
