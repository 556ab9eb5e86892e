//! Keys, and what may happen to them.

mod call;
mod key;
mod limits;

pub(crate) use call::{Call, calls, start};
pub(crate) use key::{Key, Subject, encoded};
pub(crate) use limits::{
    MANY_UNITS, MAX_EXACT_PERIOD, any_limits, any_quota, exact_bucket, huge_bucket, period, small_limits,
};
