//! Any bytes as a sorted run: nothing panics, memory is bounded.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| persist_flatfile_fuzz::run(input));
