//! The name, the meaning and the allowed values of each argument.

use crate::{Argument, argument};

/// `quota`: units admitted per duration.
pub static QUOTA: Argument =
    argument!("quota", "Units admitted per duration; 0 blocks every call", units from 0 to 1_000_000_000_000);

/// `duration`: the time in which `quota` units are admitted.
pub static DURATION: Argument =
    argument!("duration", "The time in which quota units are admitted", time from 1 "ms" to 3650 "d" or 120 "mo");

/// `CAPACITY`: units that a bucket holds.
pub static CAPACITY: Argument =
    argument!("CAPACITY", "Units the bucket holds; quota by default", units from 1 to 1_000_000_000_000);

/// `COST`: units that a call takes.
pub static COST: Argument = argument!("COST", "Units this call takes; 1 by default", units from 1 to 1_000_000_000_000);

/// `ALIGNED`: where windows begin.
pub static ALIGNED: Argument = argument!(
    "ALIGNED",
    "Windows begin at multiples of the duration since the Unix epoch, a day at midnight UTC, a week on Monday",
    alone
);

/// `ZONE`: the clock on which aligned windows are counted.
pub static ZONE: Argument = argument!(
    "ZONE",
    "The clock on which aligned windows are counted, by its offset from UTC now; UTC by default",
    offset up to 18 "h"
);

/// `FORCE`: charging a call that can no longer be prevented.
pub static FORCE: Argument = argument!(
    "FORCE",
    "Charges the call whatever is left; what was used may exceed the limit, and later calls wait for that to drain",
    alone
);

/// `n`: units to give back.
pub static UNITS: Argument = argument!("n", "Units to give back", units from 1 to 1_000_000_000_000);

/// `algorithm`: the algorithm that decides a call.
pub static ALGORITHM: Argument = argument!("algorithm", "The algorithm", one of "FIXED", "SLIDING", "TOKEN" or "LEAKY");

/// `MAXWAIT`: how long a caller is willing to wait.
pub static MAX_WAIT: Argument =
    argument!("MAXWAIT", "How long the caller is willing to wait before going ahead", time from 0 to 3650 "d");
