//! Searches for an answer of a service by which requests wait for another time than it names.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| premier_fuzzed::check_received(input));
