//! Damaged and forged files: what is shown is right or told, nothing panics, memory is bounded.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| persist_flatfile_fuzz::open(input));
