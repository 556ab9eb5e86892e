//! Searches for words that are read as something else, or refused without a sentence.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| premier_fuzzed::check_arguments(text));
