//! The seeds of the fuzz targets, and inputs that are one step away from them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use premier_fuzzed::{check_arguments, check_forwarded, check_received, check_state};

#[test]
fn arguments_are_read_correctly_or_refused() {
    check_around_seeds("arguments", check_arguments);
}

#[test]
fn trusted_proxies_name_the_client_whatever_it_has_sent() {
    check_around_seeds("forwarded", check_forwarded);
}

#[test]
fn what_a_service_asks_for_is_heeded_within_bounds() {
    check_around_seeds("received", check_received);
}

#[test]
fn replies_to_calls_on_any_state_make_sense() {
    check_around_seeds("state", check_state);
}

/// Checks each seed, each of its beginnings, and each seed with one bit flipped.
fn check_around_seeds(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("each target has a folder of seeds") {
        let path = entry.expect("the folder can be read").path();
        let mut bytes = fs::read(&path).expect("a seed can be read");
        let check = |bytes: &[u8]| {
            catch_unwind(AssertUnwindSafe(|| check(bytes))).unwrap_or_else(|panic| {
                println!("near {}: {}", path.display(), bytes.escape_ascii());
                resume_unwind(panic)
            });
        };
        check(&bytes);
        for end in 0..bytes.len() {
            check(&bytes[..end]);
        }
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        seeds += 1;
    }
    assert!(seeds > 10, "{target} has {seeds} seeds");
}
