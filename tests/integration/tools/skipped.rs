//! What a server cannot do is not tried on it, and told by name.

use std::fmt::Display;

/// Says that the running test is not tried here, and why. Who calls this returns; `scripts/test-matrix` lists the test by the
/// line that this prints.
pub(crate) fn skipped(why: impl Display) {
    println!("skipped: {why}");
}
