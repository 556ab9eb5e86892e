//! Tests that need what a server lacks are skipped, and listed by name.

use std::fmt::Display;

/// Prints that the running test is skipped, and why. The caller then returns. `scripts/test-matrix`
/// lists the test by the line that this prints.
pub(crate) fn skipped(why: impl Display) {
    println!("skipped: {why}");
}
