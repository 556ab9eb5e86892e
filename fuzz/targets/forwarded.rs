//! Searches for a header by which a client is taken for somebody else.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| premier_fuzzed::check_forwarded(input));
