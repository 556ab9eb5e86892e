//! The commands: arguments → key → decision → reply and effect. Nothing is decided here.

mod all;
mod apply;
mod cl_throttle;
mod inspect;
mod limiter;
mod parameters;
mod peek;
mod refund;
mod release;
mod throttle;
mod top;

pub(crate) use all::All;
pub(crate) use apply::Apply;
pub(crate) use cl_throttle::ClThrottle;
pub(crate) use inspect::Inspect;
pub(crate) use peek::Peek;
pub(crate) use refund::Refund;
pub(crate) use release::Release;
pub(crate) use throttle::Throttle;
pub(crate) use top::Top;
