//! What each argument is called, what it means and what it may be.

use crate::{Argument, argument};

/// Units admitted per duration.
pub static QUOTA: Argument =
    argument!("quota", "Units admitted per duration; 0 blocks every call", units from 0 to 1_000_000_000_000);

/// The time in which `quota` units are admitted.
pub static DURATION: Argument =
    argument!("duration", "The time in which quota units are admitted", time from 1 "ms" to 3650 "d");

/// Units that a bucket holds.
pub static CAPACITY: Argument =
    argument!("CAPACITY", "Units the bucket holds; quota by default", units from 1 to 1_000_000_000_000);

/// Units that a call takes.
pub static COST: Argument = argument!("COST", "Units this call takes; 1 by default", units from 1 to 1_000_000_000_000);

/// Where windows begin.
pub static ALIGNED: Argument = argument!(
    "ALIGNED",
    "Windows begin at multiples of the duration since the Unix epoch, a day at midnight UTC",
    alone
);

/// Charging what can't be prevented any more.
pub static FORCE: Argument = argument!(
    "FORCE",
    "Charges the call whatever is left; what was used may exceed the limit, and later calls wait for that to drain",
    alone
);

/// Units that are given back.
pub static UNITS: Argument = argument!("n", "Units to give back", units from 1 to 1_000_000_000_000);

/// By which algorithm.
pub static ALGORITHM: Argument =
    argument!("algorithm", "By which algorithm", one of "FIXED", "SLIDING", "TOKEN" or "LEAKY");

/// How long a caller is ready to wait.
pub static MAX_WAIT: Argument =
    argument!("MAXWAIT", "How long the caller is ready to wait for its turn", time from 0 to 3650 "d");
