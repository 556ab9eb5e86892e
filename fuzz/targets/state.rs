//! Searches for a state, and calls on it, whose answers make no sense.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| premier_fuzzed::check_state(input));
