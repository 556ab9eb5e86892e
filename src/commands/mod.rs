//! What a Redis command is: arguments → key → algorithm → reply → replication. Nothing is decided here.

mod algorithm;
mod all;
mod apply;
mod arguments;
mod cl_throttle;
mod limiters;
mod peek;
mod refund;
mod throttle;
mod top;

pub(crate) use all::All;
pub(crate) use apply::Apply;
pub(crate) use cl_throttle::ClThrottle;
pub(crate) use peek::Peek;
pub(crate) use refund::Refund;
pub(crate) use throttle::{Limiter, Throttle};
pub(crate) use top::Top;
