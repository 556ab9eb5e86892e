//! Keys, and what may happen to them.

mod call;
pub(crate) mod hold;
mod key;
mod limits;
mod stored;

pub(crate) use call::{Call, Kind, calls, calls_of, calls_with_forced, calls_with_refunds, start};
pub(crate) use key::{Key, Subject, encoded};
pub(crate) use limits::{
    MANY_UNITS, MAX_EXACT_DURATION, MAX_UNITS, any_limits, any_quota, any_windows, duration, exact_bucket, huge_bucket,
    short_bucket, small_limits,
};
pub(crate) use stored::Stored;
