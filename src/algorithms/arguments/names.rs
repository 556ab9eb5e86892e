//! The name, the meaning and the allowed values of each argument.

use crate::{Argument, argument};

/// `quota`: units admitted per duration, or held at once.
pub static QUOTA: Argument = argument!(
    "quota",
    "Units admitted per duration; HOLD: units held at once; 0 blocks every call",
    units from 0 to 1_000_000_000_000
);

/// `duration`: the time in which `quota` units are admitted, or the lease of a holder.
pub static DURATION: Argument = argument!(
    "duration",
    "The time in which quota units are admitted; HOLD: the lease, after which a hold ends by itself",
    time from 1 "ms" to 3650 "d" or 120 "mo"
);

/// `CAPACITY`: units that a bucket holds.
pub static CAPACITY: Argument =
    argument!("CAPACITY", "Units the bucket holds; quota by default", units from 1 to 1_000_000_000_000);

/// `COST`: units that a call takes.
pub static COST: Argument = argument!("COST", "Units this call takes; 1 by default", units from 1 to 1_000_000_000_000);

/// `COST` of a previewed call.
pub static PEEK_COST: Argument =
    argument!("COST", "Units the call would take; 1 by default, and 0 only looks", units from 0 to 1_000_000_000_000);

/// `ATMOST`: charging as many units as fit.
pub static AT_MOST: Argument = argument!(
    "ATMOST",
    "Charges as many units as fit, COST at most, and adds their number to the reply; limited only if none fits",
    alone
);

/// `KEEP`: units that must remain.
pub static KEEP: Argument = argument!(
    "KEEP",
    "Units that must remain after this call, a reserve for more important ones",
    units from 0 to 1_000_000_000_000
);

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

/// `ID`: the holder that makes a call.
pub static ID: Argument =
    argument!("ID", "The holder, by a name that it chose; the same id is the same holder", bytes from 1 to 128);

/// `algorithm`: the algorithm that decides a call.
pub static ALGORITHM: Argument =
    argument!("algorithm", "The algorithm", one of "FIXED", "SLIDING", "TOKEN", "LEAKY" or "HOLD");

/// `MAXWAIT`: how long a caller is willing to wait.
pub static MAX_WAIT: Argument =
    argument!("MAXWAIT", "How long the caller is willing to wait before going ahead", time from 0 to 3650 "d");
