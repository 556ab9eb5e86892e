//! How hard the long tests try.

use std::env;

/// Returns how many attempts a test makes: `full`, or a tenth of it if `PREMIER_TEST_STRENGTH` is
/// `tenth`.
///
/// `scripts/test-matrix` runs one server at full strength and the others at a tenth.
pub(crate) fn at_strength(full: usize) -> usize {
    match env::var("PREMIER_TEST_STRENGTH").as_deref() {
        Err(_) | Ok("full") => full,
        Ok("tenth") => full.div_ceil(10),
        Ok(other) => panic!("unknown PREMIER_TEST_STRENGTH '{other}': expected full or tenth"),
    }
}
