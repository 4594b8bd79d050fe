//! Any sequence of operations and crashes: the store holds what a map holds.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| persist_flatfile_fuzz::operations(input));
